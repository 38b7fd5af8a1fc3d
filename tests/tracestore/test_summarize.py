"""The summary job on the real engine: what it finds, that it may run twice, and what late spans change."""

from __future__ import annotations

import itertools
import os
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from django.utils import timezone

from tests.factories import insert_traces
from tests.spans import build_request
from tracestore import semconv, summarize
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.migrate import FOLDER
from tracestore.fingerprint import fingerprint
from tracestore.models import JobCursor
from tracestore.queries import summaries
from tracestore.summarize import release_leases, roll_up_pending, settle_running, summarize_pending
from tracestore.tasks import summarize_traces

pytestmark = pytest.mark.django_db

WRITER = "summarize"
START_NS = (time.time_ns() // 60_000_000_000 - 2) * 60_000_000_000  # a whole minute, two to three minutes ago
_batch_seqs = itertools.count(1)

AGENT = {"gen_ai.operation.name": "invoke_agent"}
CALL = {
    "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10,
}  # fmt: skip


def new_trace_id() -> str:
    return os.urandom(16).hex()


def step(trace_id: str, span_id: str, parent: str = "", offset_s: float = 0, **overrides: Any) -> dict[str, Any]:
    """Return a span one second long; ids of spans are one hex digit."""
    return {
        "trace_id": trace_id, "span_id": span_id * 16, "parent": parent * 16, "start_ns": START_NS + int(offset_s * 10**9),
        "name": f"step {span_id}",
    } | overrides  # fmt: skip


def a_run(trace_id: str) -> list[dict[str, Any]]:
    return [step(trace_id, "1", duration_ns=10 * 10**9, attributes=AGENT), step(trace_id, "2", "1", 1, attributes=CALL)]


def insert(
    store: Store, *spans: dict[str, Any], project_id: int = 1, writer: str = WRITER, batch_seq: int = 0, part: str = ""
) -> int:
    batch_seq = batch_seq or next(_batch_seqs)
    insert_batch(store, [(project_id, time.time_ns(), build_request(*spans))], writer=writer, batch_seq=batch_seq, part=part)
    return batch_seq


def read_traces(store: Store, columns: str = "lower(hex(trace_id)), outcome, span_count, input_tokens") -> list[tuple[Any, ...]]:
    return store.query_rows(f"SELECT {columns} FROM traces FINAL ORDER BY project_id, trace_id")


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


def test_hours_are_added_up_when_they_have_ended_and_again_for_late_traces(store: Store) -> None:
    now_s = time.time_ns() // 10**9
    ended_s, old_s = (now_s - 300) // 3600 * 3600 - 3600, now_s // 3600 * 3600 - 9 * 3600
    insert_traces(
        store, {}, {"start_ns": ended_s * 10**9}, {"start_ns": old_s * 10**9}, {"start_ns": old_s * 10**9, "project_id": 2},
        start_ns=time.time_ns(),
    )  # fmt: skip

    roll_up_pending()

    assert read_hours(store) == [(1, old_s, 1), (1, ended_s, 1), (2, old_s, 1)]

    insert_traces(store, start_ns=(old_s + 3000) * 10**9)
    roll_up_pending()

    assert read_hours(store) == [(1, old_s, 2), (1, ended_s, 1), (2, old_s, 1)]


def test_hours_of_an_earlier_version_are_computed_from_their_traces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old_s = time.time_ns() // 10**9 // 3600 * 3600 - 9 * 3600
    long_ago_us = (time.time_ns() - 3600 * 10**9) // 1000
    insert_traces(store, *({"start_ns": (old_s + 3600 * hour) * 10**9, "summarized_at": long_ago_us} for hour in range(3)))
    JobCursor.objects.update_or_create(job="roll up", source="", defaults={"position": time.time_ns()})
    monkeypatch.setattr(summarize, "_HOURS_WORK_S", -1.0)  # no time left after one hour

    roll_up_pending()

    assert read_hours(store) == [(1, old_s, 1)]

    for _ in range(2):
        roll_up_pending()

    assert read_hours(store) == [(1, old_s + 3600 * hour, 1) for hour in range(3)]


def read_hours(store: Store) -> list[tuple[Any, ...]]:
    return store.query_rows(
        "SELECT project_id, toUnixTimestamp(bucket_start) AS hour_s, sum(requests) FROM rollups_hourly FINAL WHERE dimension = ''"
        " GROUP BY project_id, hour_s ORDER BY project_id, hour_s"
    )


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai.tool.call.arguments": '{"reason": "refund 4711 failed", "priority": "high"}'}, "refund <n> failed"),
        ({"input.value": """{'kwargs': {'reason': 'asked for a person'}}"""}, "asked for a person"),
        ({"gen_ai.tool.call.arguments": '{"input": "{\\"reason\\": \\"angry\\"}"}'}, "angry"),
        ({"tracestore.escalation.reason": "policy", "gen_ai.tool.call.arguments": '{"reason": "x"}'}, "policy"),
        ({"gen_ai.tool.call.arguments": '{"priority": "high"}'}, None),
    ],
)
def test_reason_of_an_escalation_is_kept(store: Store, attributes: dict[str, Any], reason: str | None) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "escalate_to_human"} | attributes
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id), step(trace_id, "3", "1", 3, attributes=tool), step(trace_id, "4", "1", 5, attributes=tool))

    summarize_pending()

    assert read_traces(store, "escalated, escalation_reasons") == [(True, [reason] if reason else [])]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai.tool.call.arguments": '{"reason": "invoice 4711 is wrong"}'}, "invoice <n> is wrong"),
        ({"input.value": """{'kwargs': {'reason': 'speaks German'}}"""}, "speaks German"),
        *(({key: "expertise_required"}, "expertise_required") for key in semconv.HANDOFF_REASONS),
        ({"gen_ai.tool.call.arguments": '{"message": "Please go on."}'}, None),
    ],
)
def test_reason_of_a_handoff_is_kept_and_is_none_of_an_escalation(
    store: Store, attributes: dict[str, Any], reason: str | None
) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "transfer_to_billing"} | attributes
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id), step(trace_id, "3", "1", 3, attributes=tool), step(trace_id, "4", "1", 5, attributes=tool))

    summarize_pending()

    assert read_traces(store, "handed_over, handoff_reasons, escalation_reasons") == [(True, [reason] if reason else [], [])]


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


def test_idle_job_does_not_summarise_the_last_batch_forever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *a_run(new_trace_id()))

    monkeypatch.setattr(summarize, "_MOMENT_S", 3600)
    assert [summarize_pending() for _ in range(3)] == [1, 0, 0]  # when it shows

    monkeypatch.setattr(summarize, "_MOMENT_S", 0)
    assert [summarize_pending() for _ in range(3)] == [1, 0, 0]  # once it has been quiet for a moment


def test_batch_that_its_writer_calls_complete_is_summarised_once(store: Store) -> None:
    batch_seq = insert(store, *a_run(new_trace_id()))

    summarize_traces(WRITER, batch_seq)

    assert len(read_traces(store)) == 1
    assert JobCursor.objects.get(job="summarize", source=WRITER).position == batch_seq
    assert summarize_pending() == 0


def test_batch_after_a_complete_one_is_still_open(store: Store) -> None:
    summarize_traces(WRITER, insert(store, *a_run(new_trace_id())))
    batch_seq = insert(store, *a_run(new_trace_id()), part="0")
    summarize_pending()
    insert(store, *a_run(new_trace_id()), batch_seq=batch_seq, part="1")

    summarize_traces(WRITER, batch_seq)

    assert len(read_traces(store)) == 3


def test_rows_that_join_a_batch_later_are_not_missed(store: Store) -> None:
    first, second = new_trace_id(), new_trace_id()
    batch_seq = insert(store, *a_run(first), part="0")
    summarize_pending()

    insert(store, *a_run(second), batch_seq=batch_seq, part="1")
    summarize_pending()

    assert {row[0] for row in read_traces(store)} == {first, second}


def test_rows_that_join_a_batch_after_a_long_outage_are_not_missed(store: Store) -> None:
    """One half was inserted; the other waited for hours, or the clock jumped by as much."""
    first, second = new_trace_id(), new_trace_id()
    batch_seq = insert(store, *a_run(first), part="0")
    store.command(
        "ALTER TABLE trace_touches UPDATE inserted_at = inserted_at - INTERVAL 5 HOUR WHERE 1 SETTINGS mutations_sync = 1"
    )
    summarize_pending()

    insert(store, *a_run(second), batch_seq=batch_seq, part="1")
    summarize_pending()

    assert {row[0] for row in read_traces(store)} == {first, second}


def test_span_that_comes_after_the_clock_was_set_back_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> SetBack:
            return super().now(tz) - timedelta(hours=3)

    monkeypatch.setattr(summarize, "datetime", SetBack)
    insert(store, step(trace_id, "3", "1", 2, attributes=CALL))
    summarize_pending()

    assert read_traces(store, "span_count, input_tokens") == [(3, 200)]


def test_cursor_moves_past_batches_that_a_newer_one_follows(store: Store) -> None:
    seqs = [insert(store, *a_run(new_trace_id())) for _ in range(3)]

    assert summarize_pending() == 3

    assert JobCursor.objects.get(job="summarize", source=WRITER).position == seqs[1]


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


def test_two_writers_each_have_a_cursor(store: Store) -> None:
    insert(store, *a_run(new_trace_id()), writer="summarize-a")
    insert(store, *a_run(new_trace_id()), writer="summarize-b")

    assert summarize_pending() == 2

    assert set(JobCursor.objects.values_list("source", flat=True)) == {"summarize-a", "summarize-b"}


def test_lease_keeps_a_second_worker_away_until_it_ends(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    lease = timezone.now() + timedelta(seconds=60)
    JobCursor.objects.create(job="summarize", source=WRITER, lease_until=lease)

    assert summarize_pending() == 0
    assert JobCursor.objects.get(source=WRITER).lease_until == lease

    JobCursor.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert summarize_pending() == 1


def test_lease_of_a_killed_process_is_released_at_the_next_start(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    JobCursor.objects.create(job="summarize", source=WRITER, lease_until=timezone.now() + timedelta(seconds=60))

    release_leases()

    assert summarize_pending() == 1


def test_failing_job_frees_its_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *a_run(new_trace_id()))

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(summaries, "find_touched", fail)
        with pytest.raises(RuntimeError, match="out of luck"):
            summarize_pending()

    assert summarize_pending() == 1


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


def test_trace_of_five_thousand_spans_is_summarised_whole(store: Store) -> None:
    trace_id = new_trace_id()
    spans = [step(trace_id, "1", duration_ns=100 * 10**9, attributes=AGENT)]
    spans += [
        step(trace_id, "1", "1", number / 100) | {"span_id": f"{number:016x}", "attributes": CALL} for number in range(1, 5000)
    ]
    insert(store, *spans)

    summarize_pending()

    assert read_traces(store, "span_count, llm_calls, input_tokens") == [(5000, 4999, 499_900)]


def test_rollups_follow_the_traces_and_late_spans(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()
    roll_up_pending()
    totals = "SELECT sum(requests), sum(failures), sum(input_tokens) FROM rollups FINAL WHERE dimension = ''"
    first = store.query_rows(totals)

    insert(store, step(trace_id, "3", "1", 5, error="boom", attributes={"gen_ai.operation.name": "execute_tool"}))
    summarize_pending()
    roll_up_pending()
    roll_up_pending()

    assert first == [(1, 0, 100)]
    assert store.query_rows(totals) == [(1, 1, 100)]


def test_rollup_cursor_overlaps_so_that_a_slow_insert_is_not_missed(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    roll_up_pending()  # moves the cursor to now
    summarize_pending()
    # By way of another table: a merge of both versions would leave the newer one.
    earlier = "SELECT * REPLACE (summarized_at - INTERVAL 30 SECOND AS summarized_at) FROM traces"
    store.command(f"CREATE TABLE earlier ENGINE = Memory AS {earlier}")
    store.command("TRUNCATE TABLE traces")
    store.command("INSERT INTO traces SELECT * FROM earlier")
    store.command("DROP TABLE earlier SYNC")

    assert roll_up_pending() == 1


def test_minute_is_rolled_up_once_unless_it_changes(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()

    first = [roll_up_pending(), roll_up_pending()]
    insert(store, step(trace_id, "3", "1", 2, attributes=CALL))
    summarize_pending()

    assert first == [1, 0]
    assert [roll_up_pending(), roll_up_pending()] == [1, 0]


def test_minute_that_a_trace_left_is_rolled_up(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, step(trace_id, "2", "1", 60, attributes=CALL))
    summarize_pending()
    roll_up_pending()

    insert(store, step(trace_id, "1", "", -120, duration_ns=300 * 10**9, attributes=AGENT))
    summarize_pending()

    assert roll_up_pending() == 2
    assert store.query_rows("SELECT sum(requests) FROM rollups FINAL WHERE dimension = ''") == [(1,)]


def test_failed_rollup_is_done_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *a_run(new_trace_id()))
    summarize_pending()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(summarize, "recompute_rollups", fail)
        with pytest.raises(RuntimeError):
            roll_up_pending()

    assert roll_up_pending() == 1


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


_LIBRARY = '  File "/x/site-packages/a.py", line 7, in call\n    call()\n'
STACK = (
    f'Traceback (most recent call last):\n{_LIBRARY * 1000}  File "/app/pay.py", line 7, in refund\n    raise GatewayTimeout()\n'
)
SHORT_STACK = 'Traceback (most recent call last):\n  File "/app/pay.py", line 7, in refund\n    raise GatewayTimeout()'


def a_failing_run(trace_id: str, message: str, **events: Any) -> list[dict[str, Any]]:
    """Return an agent whose tool fails, and which fails with it."""
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "GatewayTimeout"}
    return [
        step(trace_id, "1", duration_ns=10 * 10**9, attributes=AGENT, error="the tool failed"),
        step(trace_id, "2", "1", 1, attributes=tool, error=message, **events),
    ]


def test_failed_trace_is_named_after_the_error_of_its_failing_step(store: Store) -> None:
    one, other, fine, recovered = (new_trace_id() for _ in range(4))
    insert(store, *a_failing_run(one, "no answer for A-1"), *a_failing_run(other, "no answer for A-2"), *a_run(fine))
    insert(
        store,
        *a_run(recovered),
        step(recovered, "3", "1", 0.1, duration_ns=10**8, attributes={"gen_ai.operation.name": "chat"}, error="no"),
    )

    summarize_pending()

    names = dict(read_traces(store, "lower(hex(trace_id)), error_fingerprint"))
    expected = fingerprint("GatewayTimeout", "no answer for A-1")
    assert names == {one: expected, other: expected, fine: "", recovered: ""}


def test_stack_trace_of_the_failing_step_names_its_error(store: Store) -> None:
    trace_id = new_trace_id()
    exception = {"exception.type": "GatewayTimeout", "exception.stacktrace": STACK}
    insert(store, *a_failing_run(trace_id, "free text", events=[("exception", exception)]))

    summarize_pending()

    assert read_traces(store, "error_fingerprint") == [(fingerprint("GatewayTimeout", "other text", STACK),)]


def test_stack_trace_at_the_end_of_a_long_message_names_its_error(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_failing_run(trace_id, "why " * 1000 + "\n" + SHORT_STACK))

    summarize_pending()

    assert read_traces(store, "error_fingerprint") == [(fingerprint("GatewayTimeout", "", SHORT_STACK),)]


def test_interrupted_trace_is_named_although_no_span_says_why(store: Store) -> None:
    insert(store, step(new_trace_id(), "2", "1", attributes=CALL, start_ns=START_NS - 86_400 * 10**9))

    summarize_pending()

    assert read_traces(store, "outcome_rule, error_fingerprint") == [("interrupted", fingerprint("interrupted", ""))]


def test_traces_that_failed_before_fingerprints_get_one_after_what_is_new(store: Store) -> None:
    old = [new_trace_id() for _ in range(3)]
    for trace_id in old:
        insert(store, *a_failing_run(trace_id, "no answer"))
    summarize_pending()
    store.command("TRUNCATE TABLE traces")
    store.command("TRUNCATE TABLE trace_touches")
    JobCursor.objects.all().delete()
    insert_traces(store, *({"trace_id": trace_id, "start_ns": START_NS, "outcome": "error"} for trace_id in old))
    migration = (FOLDER / "0029_fingerprints_of_old_traces.sql").read_text()
    # What it inserts must not be taken for a repeated insert: the engine remembers over all tests.
    store.command(migration.replace("2000", "2").replace("1 + intDiv", f"{next(_batch_seqs) + 10**6} + intDiv"))

    runs = [summarize_pending(), summarize_pending()]

    assert runs == [2, 1]  # one batch at a time
    assert set(read_traces(store, "error_fingerprint")) == {(fingerprint("GatewayTimeout", "no answer"),)}
