"""What traces were asked and what they answered, as lists show it: the job on the real engine, and what readers get."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.tracestore.summarize.runs import AGENT, CALL, START_NS, insert, new_trace_id, step
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.content.payload_readers import Payload
from tracestore.content.payloads import read_input
from tracestore.jobs import previews
from tracestore.jobs.previews import Previews
from tracestore.jobs.summarize import summarize_pending
from tracestore.language import parse_query
from tracestore.queries import previews as reads
from tracestore.queries.contents import StepContent
from tracestore.queries.traces import find_traces, find_updated_traces
from tracestore.timerange import TimeRange

pytestmark = pytest.mark.django_db

RANGE = TimeRange(START_NS - 60 * 10**9, START_NS + 600 * 10**9)
HISTORY = [
    {"role": "system", "content": "You help."},
    {"role": "user", "content": "Where is my order?"},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "And my\n  refund?"},
]


def _said(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _read(store: Store, project_id: int = 1) -> dict[str, tuple[str, str]]:
    page = find_traces(store, project_id=project_id, time_range=RANGE, query=parse_query(""))
    return {trace.trace_id: (trace.asked, trace.answered) for trace in page.items}


def _preview(store: Store, *spans: dict[str, Any]) -> tuple[str, str]:
    insert(store, *spans)
    summarize_pending()
    Previews().tend(store)
    return _read(store)[spans[0]["trace_id"]]


def test_root_tells_what_the_run_was_asked_and_answered(store: Store) -> None:
    trace_id = new_trace_id()
    root = AGENT | {"input.value": json.dumps(HISTORY), "output.value": "It was  paid today."}
    call = CALL | {"gen_ai.input.messages": _said("user", "a template"), "gen_ai.output.messages": _said("assistant", "no")}

    preview = _preview(store, step(trace_id, "1", attributes=root), step(trace_id, "2", "1", 1, attributes=call))

    assert preview == ("And my refund?", "It was paid today.")


def test_model_calls_tell_what_the_root_does_not(store: Store) -> None:
    trace_id = new_trace_id()
    calls = [
        CALL | {"gen_ai.input.messages": json.dumps(HISTORY), "gen_ai.output.messages": _said("assistant", "Let me see.")},
        CALL | {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "later", "gen_ai.completion.0.content": "Paid."},
    ]
    steps = [step(trace_id, str(number + 2), "1", number + 1, attributes=call) for number, call in enumerate(calls)]

    assert _preview(store, step(trace_id, "1"), *reversed(steps)) == ("And my refund?", "Paid.")


def test_what_a_model_said_before_a_step_failed_is_no_answer(store: Store) -> None:
    said = CALL | {"gen_ai.output.messages": _said("assistant", "approve: paid in full")}
    failing, recovered = new_trace_id(), new_trace_id()
    for trace_id, failed_at_s in ((failing, 5), (recovered, 1)):
        insert(
            store,
            step(trace_id, "1", attributes=AGENT | {"input.value": "a question"}, duration_ns=10 * 10**9),
            step(trace_id, "2", "1", 3, attributes=said),
            step(trace_id, "3", "1", failed_at_s, error="no answer", attributes={"gen_ai.operation.name": "execute_tool"}),
        )
    summarize_pending()
    Previews().tend(store)

    assert _read(store) == {failing: ("a question", ""), recovered: ("a question", "approve: paid in full")}


def test_events_of_a_call_without_a_root_tell(store: Store) -> None:
    events = [("gen_ai.user.message", {"content": "Where is my order?"}), ("gen_ai.choice", {"message": "On its way."})]

    assert _preview(store, step(new_trace_id(), "2", "1", attributes=CALL, events=events)) == (
        "Where is my order?",
        "On its way.",
    )


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Where is my order?", "Where is my order?"),
        ('{"question": "Where is my order?"}', "Where is my order?"),
        ('{"question": "Where?", "user": "u17"}', ""),
        ("x" * 5000, "x" * 300),
        ('[REDACTED] {"tokens": {"total_tokens": 109}}', ""),
        ('[{"role": "user", "content": "[REDACTED]"}]', ""),
        ('[{"role": "user", "content": "half \\ud83d a pair"}]', "half ? a pair"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ('[{"role": "user", "content": "' + "y" * 17_000 + '"}]', ""),
    ],
)
def test_texts_are_one_short_line(store: Store, said: str, asked: str) -> None:
    assert _preview(store, step(new_trace_id(), "1", attributes=AGENT | {"input.value": said})) == (asked, "")


def test_trace_that_goes_on_is_previewed_again(store: Store) -> None:
    trace_id, job = new_trace_id(), Previews()
    insert(store, step(trace_id, "2", "1", 1, attributes=CALL | {"gen_ai.input.messages": _said("user", "Hello")}))
    summarize_pending()
    assert job.tend(store) == 1
    assert _read(store) == {trace_id: ("Hello", "")}

    insert(store, step(trace_id, "1", attributes=AGENT | {"input.value": "Hello there", "output.value": "Bye"}))
    summarize_pending()
    assert job.tend(store) == 1
    assert job.tend(store) == 0
    assert _read(store) == {trace_id: ("Hello there", "Bye")}


def test_what_has_a_preview_is_left_alone_by_a_new_process_too(store: Store) -> None:
    insert(store, *(step(new_trace_id(), "1", attributes=AGENT) for _ in range(3)))
    summarize_pending()

    assert Previews().tend(store) == 3  # one that says nothing has been looked at all the same
    assert Previews().tend(store) == 0


def test_clock_that_is_set_back_leaves_no_trace_without(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job, hour_ns = Previews(), 3600 * 10**9
    insert(store, step(new_trace_id(), "1", attributes=AGENT | {"input.value": "before"}))
    summarize_pending()
    store.command("INSERT INTO traces SELECT * REPLACE (summarized_at + INTERVAL 1 HOUR AS summarized_at) FROM traces FINAL")
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda now=time.time_ns: now() + hour_ns)
        assert job.tend(store) == 1

    insert(store, step(new_trace_id(), "1", attributes=AGENT | {"input.value": "after"}))
    summarize_pending()
    job.tend(store)
    Previews().tend(store)

    assert {asked for asked, _ in _read(store).values()} == {"before", "after"}


def test_projects_are_apart(store: Store) -> None:
    trace_id = new_trace_id()
    for project_id in (1, 2):
        root = AGENT | {"input.value": f"of project {project_id}"}
        insert(store, step(trace_id, "1", attributes=root), project_id=project_id)
    summarize_pending()

    assert Previews().tend(store) == 2
    assert [_read(store, project_id) for project_id in (1, 2)] == [
        {trace_id: ("of project 1", "")},
        {trace_id: ("of project 2", "")},
    ]


def test_many_traces_are_read_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_STEPS", 2)
    monkeypatch.setattr(previews, "_TRACES_PER_LOOK", 3)
    spans = [step(new_trace_id(), "1", offset_s=n, attributes=AGENT | {"input.value": f"question {n}"}) for n in range(7)]
    insert(store, *spans)
    summarize_pending()

    assert Previews().tend(store, most_s=0) == 2  # each part is kept
    assert Previews().tend(store) == 5
    assert _read(store) == {span["trace_id"]: (f"question {n}", "") for n, span in enumerate(spans)}


def test_trace_that_is_too_much_costs_no_other_its_preview(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = new_trace_id(), new_trace_id()
    for trace_id in (large, small):
        insert(store, step(trace_id, "1", attributes=AGENT | {"input.value": "a question"}))
    summarize_pending()
    read = reads.read_step_contents

    def refuse(store: Store, traces: Any, span_ids: list[bytes]) -> Any:
        if any(span_id.startswith(bytes.fromhex(large)) for span_id in span_ids):
            raise QueryTooExpensive("too much")
        return read(store, traces, span_ids)

    monkeypatch.setattr(reads, "read_step_contents", refuse)

    assert Previews().tend(store) == 2
    assert _read(store) == {large: ("", ""), small: ("a question", "")}


def test_trace_that_breaks_a_reader_costs_no_other_its_preview(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    odd, other = new_trace_id(), new_trace_id()
    insert(
        store,
        step(odd, "1", attributes=AGENT | {"input.value": "odd"}),
        step(other, "1", attributes=AGENT | {"input.value": "a question"}),
    )
    summarize_pending()

    def break_on_odd(content: StepContent) -> Payload | None:
        if content.attributes["input.value"] == "odd":
            raise IndexError("no reader foresaw this")
        return read_input(content)

    monkeypatch.setattr(previews, "read_input", break_on_odd)

    assert Previews().tend(store) == 2
    assert _read(store) == {odd: ("", ""), other: ("a question", "")}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"trace {odd} of project 1 has no preview: what it says cannot be read; other traces are not affected"
    ]


def test_texts_that_take_long_to_read_end_a_look_early(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        insert(store, step(new_trace_id(), "1", attributes=AGENT | {"input.value": f"question {number}"}))
    summarize_pending()

    def take_long(content: StepContent) -> Payload | None:
        time.sleep(0.06)
        return read_input(content)

    monkeypatch.setattr(previews, "read_input", take_long)
    job = Previews()
    looks = [job.tend(store, most_s=0.1)]
    while looks[-1]:
        looks.append(job.tend(store, most_s=0.1))

    assert sum(looks) == 6
    assert max(looks) < 6
    assert sorted(asked for asked, _ in _read(store).values()) == [f"question {number}" for number in range(6)]


def test_second_look_at_a_time_leaves_the_work_to_the_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, step(new_trace_id(), "1", attributes=AGENT | {"input.value": "a question"}))
    summarize_pending()
    job = Previews()
    meanwhile: list[int] = []

    def look_meanwhile(content: StepContent) -> Payload | None:
        meanwhile.append(job.tend(store))
        return read_input(content)

    monkeypatch.setattr(previews, "read_input", look_meanwhile)

    assert job.tend(store) == 1
    assert set(meanwhile) == {0}


def test_job_waits_while_the_drain_is_behind(store: Store) -> None:
    insert(store, step(new_trace_id(), "1", attributes=AGENT))
    summarize_pending()

    store.hold_merges(["spans"], True)
    try:
        assert Previews().tend(store) == 0
    finally:
        store.hold_merges(["spans"], False)
    assert Previews().tend(store) == 1


def test_live_list_is_told_of_a_preview(store: Store) -> None:
    insert(store, step(new_trace_id(), "1", attributes=AGENT | {"input.value": "a question"}))
    summarize_pending()
    since_ns = time.time_ns()
    Previews().tend(store)

    updated = find_updated_traces(store, project_id=1, time_range=RANGE, query=parse_query(""), since_ns=since_ns)

    assert [trace.asked for trace in updated.items] == ["a question"]
