"""The span list and everything of one span, on the real engine."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.factories import insert_traces
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.language import parse_query
from tracestore.queries import spans
from tracestore.queries.spans import find_spans, find_spans_of_trace, get_span
from tracestore.timerange import TimeRange

DAY_NS = 86_400 * 10**9
RANGE = TimeRange(T0 - DAY_NS, T0 + DAY_NS)
A, B = "a" * 32, "b" * 32


def _found(store: Store, text: str) -> list[str]:
    return [span.name for span in find_spans(store, project_id=1, time_range=RANGE, query=parse_query(text)).items]


# Query -> names of the spans below that match it, newest first.
SPAN_CASES = {
    "status:error": ["execute_tool refund"],
    "status:ok": ["chat gpt-5", "invoke_agent triage"],
    "kind:tool": ["execute_tool refund"],
    "tool:refund": ["execute_tool refund"],
    "tool_error:refund": ["execute_tool refund"],
    "error:TimeoutError": ["execute_tool refund"],
    "model:gpt-5": ["chat gpt-5"],
    "model:gpt-5-2026": ["chat gpt-5"],
    'model:""': ["execute_tool refund", "invoke_agent triage"],
    'tool_error:""': ["chat gpt-5", "invoke_agent triage"],
    "agent:triage": ["invoke_agent triage"],
    "name:chat*": ["chat gpt-5"],
    "input_tokens:>=100": ["chat gpt-5"],
    "tokens:150": ["chat gpt-5"],
    "prompt:policy": ["chat gpt-5"],
    "prompt:policy@4": ["chat gpt-5"],
    "duration:>4s": ["invoke_agent triage"],
    "needle": ["chat gpt-5"],
    "attr.q:*": ["chat gpt-5"],
    "version:v3": ["execute_tool refund", "chat gpt-5", "invoke_agent triage"],
    "escalated:true kind:tool": ["execute_tool refund"],
    "user:u-1 kind:llm": ["chat gpt-5"],
    "cost:>0.5 kind:llm": ["chat gpt-5"],
    "rule:other": [],
    "status:running": [],
}


def test_spans_are_found_by_their_own_columns_and_by_their_trace(store: Store, send_spans: SendSpans) -> None:
    insert_traces(store, trace_id=A, start_ns=T0, escalated=True, user_id="u-1", cost_usd=0.75, outcome="error")
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.response.model": "gpt-5-2026"}
    usage = {"q": "Needle", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50}
    prompt = {"gen_ai.prompt.name": "policy", "gen_ai.prompt.version": "4"}
    send_spans(
        {"trace_id": A, "name": "invoke_agent triage", "duration_ns": 5 * 10**9},
        {"trace_id": A, "span_id": "2" * 16, "name": "chat gpt-5", "start_ns": T0 + 1, "attributes": chat | usage | prompt},
        {"trace_id": A, "span_id": "3" * 16, "name": "execute_tool refund", "start_ns": T0 + 2, "error": True,
         "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "TimeoutError"}},
        resource={"service.version": "v3"},
    )  # fmt: skip

    assert {text: _found(store, text) for text in SPAN_CASES} == SPAN_CASES


def test_span_sent_twice_is_listed_once_and_pages_follow_each_other(store: Store, send_spans: SendSpans) -> None:
    spans = [{"span_id": f"{number + 1:016x}", "name": str(number), "start_ns": T0 + number // 2} for number in range(7)]
    send_spans(*spans)
    send_spans(*spans, received_ns=T0 + 1)
    names: list[str] = []
    cursor = ""

    for _ in range(10):
        page = find_spans(store, project_id=1, time_range=RANGE, query=parse_query(""), limit=3, cursor=cursor)
        names += [span.name for span in page.items]
        cursor = page.next_cursor
        if not cursor:
            break

    assert names == ["6", "5", "4", "3", "2", "1", "0"]


def test_span_is_given_back_as_it_was_sent(store: Store, send_spans: SendSpans) -> None:
    attributes = {
        "text": 'ü\t"\\\n', "empty": "", "int": -(2**63), "double": 0.1, "whole": 3.0, "nan": float("nan"), "true": True,
        "false": False, "list": ["x", 1, b"\xff", None, [2.5]], "map": {"k": {"deep": True}}, "bytes": b"\xff\x00", "none": None,
    }  # fmt: skip
    send_spans(
        {"trace_id": A, "attributes": attributes, "events": [("exception", {"exception.message": "bad", "n": 1}, 2)],
         "links": [(B, "5" * 16, {"why": "retry"})]},
        resource={"host.name": "h", "raw": b"\xfe"}, scope_attributes={"s": [1]}, received_ns=T0 + 7,
    )  # fmt: skip

    span = get_span(store, project_id=1, trace_id=A, span_id="1" * 16)

    assert span.attributes == {
        "text": 'ü\t"\\\n', "empty": "", "int": -(2**63), "double": 0.1, "whole": 3.0, "nan": "NaN", "true": True, "false": False,
        "list": ["x", 1, "/w==", None, [2.5]], "map": {"k": {"deep": True}}, "bytes": "/wA=", "none": None,
    }  # fmt: skip
    assert isinstance(span.attributes["whole"], float)
    assert isinstance(span.attributes["int"], int)
    assert span.resource_attributes == {"service.name": "support-bot", "host.name": "h", "raw": "/g=="}
    assert span.scope_attributes == {"s": [1]}
    (event,) = span.events
    assert (event.time_ns, event.name, event.attributes) == (T0 + 5, "exception", {"exception.message": "bad", "n": 1})
    assert event.dropped_attributes_count == 2
    (link,) = span.links
    assert (link.trace_id, link.span_id, link.attributes) == (B, "5" * 16, {"why": "retry"})
    assert (span.reported_start_ns, span.reported_end_ns, span.received_ns) == (T0, T0 + 10**9, T0 + 7)


def test_last_value_of_a_repeated_key_counts(store: Store, send_spans: SendSpans) -> None:
    send_spans({"trace_id": A, "attributes": [("k", "first"), ("other", 1), ("k", 2)]})

    assert get_span(store, project_id=1, trace_id=A, span_id="1" * 16).attributes == {"k": 2, "other": 1}


def test_megabyte_of_text_comes_back_whole(store: Store, send_spans: SendSpans) -> None:
    text = "<script>\x01é" * 100_000
    send_spans({"trace_id": A, "attributes": {"input": text}})

    assert get_span(store, project_id=1, trace_id=A, span_id="1" * 16).attributes["input"] == text


def test_known_model_has_a_price_and_an_unknown_one_has_none(store: Store, send_spans: SendSpans) -> None:
    usage = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
    send_spans(
        {"span_id": "1" * 16, "attributes": usage | {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}},
        {"span_id": "2" * 16, "attributes": usage | {"gen_ai.request.model": "no-such-model"}},
    )

    page = find_spans(store, project_id=1, time_range=RANGE, query=parse_query(""))
    costs = {span.span_id[0]: span.cost_usd for span in page.items}

    assert costs["1"] is not None
    assert 0 < costs["1"] < 1
    assert costs["2"] is None


@pytest.mark.parametrize(("trace_id", "span_id"), [(A, "2" * 16), (B, "1" * 16), (A, ""), (A, "é" * 16), ("x", "y")])
def test_unknown_span_is_not_found(store: Store, send_spans: SendSpans, trace_id: str, span_id: str) -> None:
    send_spans({"trace_id": A})

    with pytest.raises(TraceNotFound):
        get_span(store, project_id=1, trace_id=trace_id, span_id=span_id)


def test_array_of_any_value_is_not_mistaken_for_a_bare_value(store: Store, send_spans: SendSpans) -> None:
    nested = AnyValue()
    nested.array_value.values.add().kvlist_value.values.add(key="k", value=AnyValue(int_value=1))
    send_spans({"trace_id": A, "attributes": {"v": nested}})

    assert get_span(store, project_id=1, trace_id=A, span_id="1" * 16).attributes == {"v": [{"k": 1}]}


def test_tags_and_agent_id_are_read_and_found(store: Store, send_spans: SendSpans) -> None:
    send_spans(
        {"span_id": "1" * 16, "attributes": {"langfuse.trace.tags": ["vip", "beta"], "gen_ai.agent.id": "asst_1"}},
        {"span_id": "2" * 16, "attributes": {"langsmith.span.tags": "vip, gamma"}},
        {"span_id": "3" * 16},
    )

    def found(text: str) -> set[str]:
        page = find_spans(store, project_id=1, time_range=RANGE, query=parse_query(text))
        return {span.span_id[0] for span in page.items}

    assert found("tag:vip") == {"1", "2"}
    assert found("tag:bet*") == {"1"}
    assert found("-has:tag") == {"3"}
    assert found("agent_id:asst_1") == {"1"}
    span = get_span(store, project_id=1, trace_id="a" * 32, span_id="1" * 16).summary
    assert (span.tags, span.agent_id) == (("vip", "beta"), "asst_1")


@pytest.mark.parametrize("few", [1000, 1])
def test_spans_of_a_trace_come_in_order_and_of_copies_the_last_received(
    store: Store, send_spans: SendSpans, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(spans, "_FEW_ROWS", few)
    late = {"trace_id": A, "span_id": "1" * 16, "start_ns": T0 + 120 * 10**9, "name": "late"}
    early = {"trace_id": A, "span_id": "2" * 16, "start_ns": T0, "name": "early"}
    send_spans(late, early | {"name": "first copy", "start_ns": T0 + 240 * 10**9})
    send_spans(early, {"trace_id": B, "span_id": "3" * 16, "start_ns": T0})

    def names(limit: int) -> list[str]:
        found = find_spans_of_trace(store, project_id=1, trace_id=A, time_range=RANGE, limit=limit)
        return [span.name for span in found]

    assert names(10) == ["early", "late"]
    assert names(1) == ["early"]
