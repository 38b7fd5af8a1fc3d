"""The summary job on the real engine: what it finds, that it may run twice, and what late spans change."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from tests.tracestore.summarize.runs import AGENT, CALL, START_NS, WRITER, a_run, insert, new_trace_id, read_traces, step
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.content.payloads import read_output
from tracestore.jobs import summarize
from tracestore.jobs.summarize import settle_running, summarize_pending
from tracestore.models import JobCursor
from tracestore.queries import summaries, tool_requests
from tracestore.summary.rows import build_rows
from tracestore.tasks import summarize_traces

pytestmark = pytest.mark.django_db


def test_pending_batches_become_summaries(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))

    written = summarize_pending()

    assert written == 1
    assert read_traces(store) == [(trace_id, "ok", 2, 100)]


def test_a_process_that_found_nothing_rests_until_its_next_insert(store: Store) -> None:
    summarize_traces(WRITER, insert(store, *a_run(new_trace_id())))
    assert not summarize.has_rested()  # it found something, and more may have come since

    summarize_traces()
    assert summarize.has_rested()

    late = new_trace_id()
    batch_seq = insert(store, *a_run(late))
    assert not summarize.has_rested()
    summarize_traces()
    summarize_traces()
    assert late in [row[0] for row in read_traces(store)]
    assert not summarize.has_rested()  # nobody has said that the batch is complete

    summarize_traces(WRITER, batch_seq)
    summarize_traces()
    assert summarize.has_rested()


def test_nothing_pending_writes_nothing(store: Store) -> None:
    assert summarize_pending() == 0


def test_running_the_job_again_changes_nothing(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    summarize_pending()
    before = read_traces(store, "* EXCEPT (summarized_at)")

    summarize_pending()
    JobCursor.objects.all().delete()
    summarize_pending()

    assert read_traces(store, "* EXCEPT (summarized_at)") == before


def test_late_span_changes_the_outcome(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()

    insert(
        store,
        step(
            trace_id,
            "3",
            "1",
            5,
            error="boom",
            attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"},
        ),
    )
    summarize_pending()

    assert read_traces(store, "outcome, outcome_rule, span_count, `tools.name`, `tools.errors`, error_message") == [
        ("error", "unrecovered_error", 3, ["refund"], [1], "boom")
    ]


def test_late_earlier_span_moves_the_start_and_leaves_one_row(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, step(trace_id, "2", "1", 60, attributes=CALL))
    summarize_pending()

    insert(store, step(trace_id, "1", "", -120, duration_ns=300 * 10**9, attributes=AGENT))
    summarize_pending()

    assert read_traces(store, "toUnixTimestamp64Nano(start_time), outcome, span_count") == [(START_NS - 120 * 10**9, "ok", 2)]
    assert store.query_rows(
        "SELECT count() FROM traces FINAL WHERE start_time > fromUnixTimestamp64Nano({at:Int64})", at=START_NS
    ) == [(0,)]


def test_traces_of_more_months_than_one_insert_may_touch_hold_up_nobody(store: Store) -> None:
    month_ns = 31 * 86_400 * 10**9
    insert(store, *(step(new_trace_id(), "1", start_ns=START_NS - months * month_ns, attributes=AGENT) for months in range(130)))
    insert(store, *a_run(new_trace_id()), project_id=2)

    assert summarize_pending() == 131
    assert store.query_rows("SELECT uniqExact(toYYYYMM(start_time)) FROM traces FINAL WHERE project_id = 1") == [(130,)]


def test_same_trace_id_in_two_projects_is_two_traces(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    insert(store, step(trace_id, "1", error="boom"), project_id=2)

    summarize_pending()

    assert read_traces(store, "project_id, outcome, span_count") == [(1, "ok", 2), (2, "error", 1)]


def test_batch_that_an_exporter_sends_again_doubles_nothing(store: Store) -> None:
    trace_id = new_trace_id()
    for _ in range(3):
        insert(store, *a_run(trace_id))
    summarize_pending()

    assert read_traces(store, "span_count, llm_calls, input_tokens, `models.calls`") == [(2, 1, 100, [1])]


def test_trace_ids_that_end_in_zero_bytes_stay_apart(store: Store) -> None:
    ids = ["ab" + "00" * 15, "ab00" + "00" * 13 + "01", "00" * 15 + "01"]
    insert(store, *(span for trace_id in ids for span in a_run(trace_id)))

    summarize_pending()

    assert [row[0] for row in read_traces(store)] == sorted(ids)


def test_running_trace_is_settled_once_it_has_been_silent(store: Store, settings: Any) -> None:
    settings.RUNNING_TIMEOUT_S = 10**6  # START_NS is as old as this run of tests
    insert(store, step(new_trace_id(), "2", "1", 1, attributes=CALL))
    summarize_pending()
    running = read_traces(store, "outcome")

    untouched = settle_running()
    settings.RUNNING_TIMEOUT_S = 30
    settled = settle_running()

    assert (running, untouched, settled) == ([("running",)], 0, 1)
    assert read_traces(store, "outcome, outcome_rule") == [("error", "interrupted")]
    assert settle_running() == 0


def test_many_traces_are_read_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part's ids lie together, as the rows of one minute do: no part reads the rows of the others."""
    monkeypatch.setattr(summarize, "_TRACES_PER_QUERY", 7)
    ids = [new_trace_id() for _ in range(20)]
    insert(store, *(span for trace_id in ids for span in a_run(trace_id)))
    parts: list[list[str]] = []
    read = summaries.read_spans

    def read_and_note(store: Store, **query: Any) -> Any:
        parts.append(query["trace_ids"])
        return read(store, **query)

    monkeypatch.setattr(summaries, "read_spans", read_and_note)

    assert summarize_pending() == 20
    assert read_traces(store) == [(trace_id, "ok", 2, 100) for trace_id in sorted(ids)]
    assert [len(part) for part in parts] == [7, 7, 6]
    assert [trace_id for part in parts for trace_id in part] == sorted(ids)


def test_trace_too_large_for_a_query_does_not_hold_up_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = sorted(new_trace_id() for _ in range(5))
    insert(store, *(span for trace_id in ids for span in a_run(trace_id)))
    read = summaries.read_spans

    def read_unless_large(store: Store, **query: Any) -> Any:
        if ids[2] in query["trace_ids"]:
            raise QueryTooExpensive("too large")
        return read(store, **query)

    monkeypatch.setattr(summaries, "read_spans", read_unless_large)

    assert summarize_pending() == 4
    assert [row[0] for row in read_traces(store)] == [trace_id for trace_id in ids if trace_id != ids[2]]


def test_answer_that_breaks_its_reader_costs_no_summary(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    odd, other = sorted(new_trace_id() for _ in range(2))
    for trace_id, tool in ((odd, "odd"), (other, "refund")):
        call = CALL | {"gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.tool_calls.0.name": tool}
        insert(store, step(trace_id, "1", attributes=call))

    def break_on_odd(answer: Any) -> Any:
        if answer.attributes["gen_ai.completion.0.tool_calls.0.name"] == "odd":
            raise IndexError("no reader foresaw this")
        return read_output(answer)

    monkeypatch.setattr(tool_requests, "read_output", break_on_odd)

    assert summarize_pending() == 2
    assert read_traces(store, "span_count, `tools.name`") == [(1, []), (1, ["refund"])]


def test_trace_that_breaks_its_summary_does_not_hold_up_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = sorted(new_trace_id() for _ in range(5))
    insert(store, *(span for trace_id in ids for span in a_run(trace_id)))

    def break_on_odd(spans: Any, **rest: Any) -> Any:
        if bytes.fromhex(ids[2]) in spans.first_trace_ids().to_pylist():
            raise IndexError("nobody foresaw this")
        return build_rows(spans, **rest)

    monkeypatch.setattr(summarize, "build_rows", break_on_odd)

    assert summarize_pending() == 4
    assert [row[0] for row in read_traces(store)] == [trace_id for trace_id in ids if trace_id != ids[2]]
    insert(store, *a_run(ids[2]))  # more of it
    summarize_pending()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"trace {ids[2]} of project 1 cannot be summarised; other traces are not affected"
    ]


def test_summaries_wait_while_what_they_need_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))

    def be_away(*_: Any, **__: Any) -> Any:
        raise OperationalError("database is locked")

    with monkeypatch.context() as away:
        away.setattr(summarize, "build_rows", be_away)
        with pytest.raises(OperationalError):
            summarize_pending()

    assert summarize_pending() == 1


def test_trace_of_five_thousand_spans_is_summarised_whole(store: Store) -> None:
    trace_id = new_trace_id()
    spans = [step(trace_id, "1", duration_ns=100 * 10**9, attributes=AGENT)]
    spans += [
        step(trace_id, "1", "1", number / 100) | {"span_id": f"{number:016x}", "attributes": CALL} for number in range(1, 5000)
    ]
    insert(store, *spans)

    summarize_pending()

    assert read_traces(store, "span_count, llm_calls, input_tokens") == [(5000, 4999, 499_900)]


def test_trace_that_is_decided_is_not_settled_again(store: Store, settings: Any) -> None:
    settings.RUNNING_TIMEOUT_S = 10**6
    trace_id = new_trace_id()
    insert(store, step(trace_id, "2", "1", 1, attributes=CALL))
    summarize_pending()
    insert(store, step(trace_id, "1", duration_ns=10 * 10**9, attributes=AGENT))
    summarize_pending()
    settings.RUNNING_TIMEOUT_S = 30

    assert settle_running() == 0
    assert read_traces(store, "outcome") == [("ok",)]
