"""What many steps said, what tools were called with, and how a step compares, on the real engine."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

import pytest

from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.content.keys import reduce_content
from tracestore.model import Span, SpanSummary
from tracestore.queries.steps import ARGUMENT_KEYS, find_step_contents, get_history
from tracestore.queries.traces import get_trace

Name = TypeVar("Name", bound=Hashable)

A, B = "a" * 32, "b" * 32
SECOND, DAY_NS = 10**9, 86_400 * 10**9
LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


def _steps(store: Store, trace_id: str = A) -> list[SpanSummary]:
    return get_trace(store, project_id=1, trace_id=trace_id).spans


def _contents(store: Store, *, with_input: tuple[str, ...] = ()) -> dict[str, Span]:
    return find_step_contents(store, project_id=1, trace_id=A, steps=_steps(store), with_input=with_input)


def test_content_of_many_steps_comes_in_one_answer(store: Store, send_spans: SendSpans) -> None:
    send_spans(
        {"trace_id": A, "span_id": "1" * 16, "attributes": TOOL | {"gen_ai.tool.call.arguments": '{"q": 1}', "retries": 2}},
        {"trace_id": A, "span_id": "2" * 16, "events": [("gen_ai.choice", {"content": "hi"}), ("noise", {"x": "y"})]},
        {"trace_id": B, "span_id": "3" * 16},
    )

    found = _contents(store)

    assert found.keys() == {"1" * 16, "2" * 16}
    assert found["1" * 16].attributes["gen_ai.tool.call.arguments"] == '{"q": 1}'
    assert found["1" * 16].attributes["retries"] == 2
    assert found["1" * 16].summary.tool == "search"
    assert [(event.name, event.attributes) for event in found["2" * 16].events] == [("gen_ai.choice", {"content": "hi"})]


def test_structured_values_and_the_last_of_equal_keys_are_read_as_on_the_panel(store: Store, send_spans: SendSpans) -> None:
    send_spans({"trace_id": A, "span_id": "1" * 16, "attributes": {"list": [1, {"a": "b"}], "map": {"k": None}, "on": True}})

    assert _contents(store)["1" * 16].attributes == {"list": [1, {"a": "b"}], "map": {"k": None}, "on": True}


def test_input_of_a_model_call_is_read_only_where_it_is_asked_for(store: Store, send_spans: SendSpans) -> None:
    said = {
        "gen_ai.input.messages": "[1]",
        "llm.input_messages.0.message.content": "x",
        "input.value": "y",
        "gen_ai.output.messages": "[2]",
    }
    send_spans(
        {"trace_id": A, "span_id": "1" * 16, "attributes": LLM | said},
        {"trace_id": A, "span_id": "2" * 16, "attributes": LLM | said},
        {"trace_id": A, "span_id": "3" * 16, "attributes": TOOL | said},
    )

    found = _contents(store, with_input=("1" * 16,))

    assert found["1" * 16].attributes.keys() >= said.keys()
    assert found["2" * 16].attributes.keys() & said.keys() == {"gen_ai.output.messages"}
    assert found["3" * 16].attributes.keys() >= said.keys()


def test_large_values_are_cut_and_the_largest_left_out(store: Store, send_spans: SendSpans) -> None:
    many = {f"big.{number}": "é" * 150_000 for number in range(6)}
    send_spans({"trace_id": A, "span_id": "1" * 16, "attributes": many | {"small": "kept"}})

    attributes = _contents(store)["1" * 16].attributes

    assert attributes["small"] == "kept"
    assert all(len(value) <= 100_000 for value in attributes.values())
    assert sum(len(value) for value in attributes.values()) <= 410_000
    assert 2 <= len(attributes) < len(many) + 1


def test_events_are_bounded(store: Store, send_spans: SendSpans) -> None:
    events = [("gen_ai.choice", {f"k{key}": "x" * 30_000 for key in range(12)} | {"index": number}) for number in range(15)]
    send_spans({"trace_id": A, "span_id": "1" * 16, "events": events})

    found = _contents(store)["1" * 16].events

    assert len(found) == 10
    assert all(len(event.attributes) <= 10 for event in found)
    assert all(len(value) <= 20_000 for event in found for value in event.attributes.values() if isinstance(value, str))


def test_step_that_was_sent_twice_counts_as_it_came_last(store: Store, send_spans: SendSpans) -> None:
    send_spans({"trace_id": A, "span_id": "1" * 16, "attributes": {"v": "old"}}, received_ns=T0)
    send_spans({"trace_id": A, "span_id": "1" * 16, "attributes": {"v": "new"}}, received_ns=T0 + 1)

    assert _contents(store)["1" * 16].attributes["v"] == "new"


def test_nothing_is_asked_of_the_store_for_no_steps(store: Store) -> None:
    assert find_step_contents(store, project_id=1, trace_id=A, steps=[], with_input=[]) == {}


def _hash_arguments(store: Store, send_spans: SendSpans, steps: dict[Name, dict[str, Any]]) -> dict[Name, int]:
    """Return the hash of each step's arguments; the steps are one insert, which takes far longer than a step of it."""
    names = {f"{number:016x}": name for number, name in enumerate(steps, start=1)}
    send_spans(*({"trace_id": A, "span_id": span_id} | steps[name] for span_id, name in names.items()))
    rows = store.query_rows("SELECT lower(hex(span_id)), arguments_hash FROM spans WHERE trace_id = unhex({id:String})", id=A)
    return {names[span_id]: number for span_id, number in rows}


def test_arguments_of_each_dialect_are_compared(store: Store, send_spans: SendSpans) -> None:
    keys = [key for key in ARGUMENT_KEYS if key != "arguments"]
    steps: dict[tuple[str, str], dict[str, Any]] = {("", "none"): {"attributes": TOOL}}
    for key in keys:
        steps[key, "one"] = {"attributes": TOOL | {key: '{"q": 1}'}}
        steps[key, "two"] = {"attributes": TOOL | {key: '{"q": 2}'}}
        steps[key, "chat"] = {"attributes": {"gen_ai.operation.name": "chat", key: '{"q": 1}'}}

    found = _hash_arguments(store, send_spans, steps)

    assert found["", "none"] == 0
    assert [key for key in keys if len({found[key, "one"], found[key, "two"], 0}) < 3] == []
    assert [key for key in keys if found[key, "chat"]] == []


def test_schema_of_arguments_is_compared_where_nothing_else_is(store: Store, send_spans: SendSpans) -> None:
    # OpenInference's CrewAI: tool.parameters stands behind the arguments and is the same for each call.
    schema = '{"properties": {"order_id": {"type": "string"}}}'
    one, two = ({"input.value": f'{{"order_id": "{order}"}}', "tool.parameters": schema} for order in ("A-1", "A-2"))
    # Others tell the arguments there and nowhere else.
    alone = {"tool.parameters": '{"order_id": "A-1"}'}
    steps = {name: {"attributes": TOOL | said} for name, said in (("one", one), ("two", two), ("alone", alone))}

    found = _hash_arguments(store, send_spans, steps)

    assert found["one"] == found["alone"] != found["two"]


def test_arguments_that_are_hidden_or_not_stored_are_none(store: Store, send_spans: SendSpans) -> None:
    key = "gen_ai.tool.call.arguments"
    said = {
        arguments: {key: reduce_content(key, arguments)} for arguments in ('{"q": 1}', "plain", '{"q": 1, "cut sho', "call_1")
    }
    said["OpenInference"] = {"input.value": "__REDACTED__", "tool.parameters": '{"properties": {}}'}

    found = _hash_arguments(store, send_spans, {name: {"attributes": TOOL | values} for name, values in said.items()})

    assert found == dict.fromkeys(said, 0)


def test_arguments_are_the_same_in_any_order_and_envelope(store: Store, send_spans: SendSpans) -> None:
    expected = {
        ('{"q": 1, "k": "a, b"}', '{"k": "a, b", "q": 1}'): True,
        ('{"q": [1, 2]}', '{"q": [2, 1]}'): False,
        ('{"input_str": "x", "inputs": {"q": 1}, "metadata": {"step": 3}}', '{"input_str": "x", "inputs": {"q": 1}}'): True,
        ('{"input_str": "{\'q\': 1}", "tags": []}', '{"input_str": "{\'q\': 1}", "tags": ["seq:2"]}'): True,
        ('{"input_str": "{\'q\': 1}"}', '{"input_str": "{\'q\': 2}"}'): False,
        ('{"q": 1', '{"q": 2'): False,
        ("{}", "{}"): True,
        ("x" * 5000, "x" * 5000): True,
        ("x" * 5000, "x" * 5000 + "y"): False,
    }
    steps: dict[tuple[tuple[str, str], str], dict[str, Any]] = {}
    for pair in expected:
        steps[pair, "one"] = {"attributes": TOOL | {"arguments": pair[0]}}
        steps[pair, "other"] = {"attributes": TOOL, "events": [("gen_ai.tool.message", {"content": pair[1]})]}

    found = _hash_arguments(store, send_spans, steps)

    assert 0 not in found.values()
    assert {pair: found[pair, "one"] == found[pair, "other"] for pair in expected} == expected


def _call(number: int, duration_ns: int, **values: Any) -> dict[str, Any]:
    return {"trace_id": A, "span_id": f"{number:016x}", "start_ns": T0, "duration_ns": duration_ns, "attributes": TOOL} | values


def test_step_is_compared_with_calls_of_the_same_tool_in_the_seven_days_before(store: Store, send_spans: SendSpans) -> None:
    others = [_call(number, number * SECOND, trace_id=B, start_ns=T0 - DAY_NS) for number in range(1, 100)]
    later = _call(200, SECOND, trace_id=B, start_ns=T0 + 1)
    long_ago = _call(201, SECOND, trace_id=B, start_ns=T0 - 8 * DAY_NS)
    other_tool = _call(202, SECOND, trace_id=B, start_ns=T0 - 1, attributes=TOOL | {"gen_ai.tool.name": "refund"})
    send_spans(_call(1, 97 * SECOND), *others, later, long_ago, other_tool)

    history = get_history(store, project_id=1, step=_steps(store)[0])

    assert (history.subject, history.count, history.faster, history.equal) == ("search", 100, 96, 2)
    assert history.percentile == 97
    assert not history.is_slowest
    assert history.median_ns == pytest.approx(50 * SECOND, rel=0.1)
    assert get_history(store, project_id=2, step=_steps(store)[0]).count == 0


def test_slowest_step_says_so(store: Store, send_spans: SendSpans) -> None:
    send_spans(_call(1, 5 * SECOND), _call(2, SECOND, trace_id=B, start_ns=T0 - 1))

    history = get_history(store, project_id=1, step=_steps(store)[0])

    assert history.is_slowest


def test_step_that_took_as_long_as_all_others_is_in_the_middle(store: Store, send_spans: SendSpans) -> None:
    send_spans(_call(1, SECOND), *(_call(number, SECOND, trace_id=B, start_ns=T0 - 1) for number in range(2, 12)))

    history = get_history(store, project_id=1, step=_steps(store)[0])

    assert (history.percentile, history.is_slowest) == (50, False)


def test_step_without_a_tool_or_model_is_compared_by_its_name(store: Store, send_spans: SendSpans) -> None:
    send_spans(_call(1, SECOND, name="GET /", attributes={}), _call(2, SECOND, name="PUT /", attributes={}))

    history = get_history(store, project_id=1, step=next(step for step in _steps(store) if step.name == "GET /"))

    assert (history.subject, history.count) == ("GET /", 1)
