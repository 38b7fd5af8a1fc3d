"""Who calls whom, from the real engine, against a plain count over the same spans."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest

from tests.factories import insert_traces, new_trace_id
from tests.spans import T0, SendSpans
from tracestore.agent_graph import AgentGraph, Edge, Node
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.agents import MAX_STEPS_ABOVE, find_agent_graph
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0 - 10**9, T0 + 10**12)
SERVICE = ("service", "support-bot")
_NAMES = {
    "agent": "gen_ai.agent.name", "tool": "gen_ai.tool.name", "model": "gen_ai.request.model", "call_id": "gen_ai.tool.call.id",
}  # fmt: skip


def _span(trace_id: str, number: int, parent: int | None = None, kind: str = "CHAIN", **more: Any) -> dict[str, Any]:
    """A span as an OpenInference exporter sends it; `agent`, `tool`, `model` and `call_id` name what it is about."""
    names = {
        "agent": "gen_ai.agent.name",
        "tool": "gen_ai.tool.name",
        "model": "gen_ai.request.model",
        "call_id": "gen_ai.tool.call.id",
    }
    attributes = {names[key]: more.pop(key) for key in list(more) if key in names}
    tokens = more.pop("tokens", None)
    if tokens:
        attributes |= {"gen_ai.usage.input_tokens": tokens[0], "gen_ai.usage.output_tokens": tokens[1]}
    return {
        "trace_id": trace_id, "span_id": f"{number:016x}", "parent": "" if parent is None else f"{parent:016x}",
        "name": f"{kind.lower()} step", "start_ns": T0 + number,
        "attributes": attributes | more.pop("attributes", {}) | ({"openinference.span.kind": kind} if kind else {}),
    } | more  # fmt: skip


def _graph(store: Store, text: str = "", **more: Any) -> AgentGraph:
    return find_agent_graph(store, project_id=1, time_range=RANGE, query=parse_query(text), **more)


def _calls(graph: AgentGraph) -> dict[tuple[tuple[str, str], tuple[str, str]], tuple[int, int, int]]:
    return {edge.key: (edge.calls, edge.errors, edge.trace_count) for edge in graph.edges}


def _edge(graph: AgentGraph, caller: tuple[str, str], callee: tuple[str, str]) -> Edge:
    return next(edge for edge in graph.edges if edge.key == (caller, callee))


def _node(graph: AgentGraph, *key: str) -> Node:
    return next(node for node in graph.nodes if node.key == key)


def _draw_trace(chance: random.Random) -> list[dict[str, Any]]:
    """A random tree of steps, deeper than the way up is followed."""
    trace_id = new_trace_id()
    spans = []
    for number in range(1, chance.randint(2, 30)):
        # Mostly below one of the last few, so that some chains get long.
        parent = chance.choice(range(max(1, number - 3), number)) if number > 1 and chance.random() < 0.9 else None
        kind = chance.choice(["AGENT", "LLM", "TOOL", "CHAIN", "CHAIN", "CHAIN", ""])
        more: dict[str, Any] = {"error": "broken"} if chance.random() < 0.3 else {}
        more |= {"agent": chance.choice("ab")} if chance.random() < (0.8 if kind == "AGENT" else 0.15) else {}
        more |= {"tool": chance.choice(["search", "refund"])} if kind == "TOOL" else {}
        more |= {"model": chance.choice(["large", "small"])} if kind == "LLM" else {}
        spans.append(_span(trace_id, number, parent, kind, duration_ns=10**6 * chance.randint(1, 500), **more))
    return spans


def _count(traces: list[list[dict[str, Any]]]) -> dict[tuple[tuple[str, str], tuple[str, str]], tuple[int, int, int]]:
    """The same count by hand, span by span."""
    found: dict[Any, list[tuple[str, bool]]] = defaultdict(list)
    for spans in traces:
        by_id = {span["span_id"]: span for span in spans}

        def get(span: dict[str, Any], key: str) -> str:
            return str(span["attributes"].get(key, ""))

        def kind(span: dict[str, Any]) -> str:
            return get(span, "openinference.span.kind")

        def label(span: dict[str, Any]) -> str:
            return get(span, "gen_ai.agent.name") or (span["name"] if kind(span) == "AGENT" else "")

        for span in spans:
            children = [other for other in spans if other["parent"] == span["span_id"]]
            above: list[dict[str, Any]] = []
            current = span
            while current["parent"] in by_id and len(above) < MAX_STEPS_ABOVE:
                current = by_id[current["parent"]]
                above.append(current)
            failed = "error" in span
            if kind(span) == "LLM" and not any(kind(child) == "LLM" for child in children):
                callee = ("model", get(span, "gen_ai.request.model"))
            elif kind(span) == "TOOL":
                callee = ("tool", get(span, "gen_ai.tool.name"))
                if above and kind(above[0]) == "TOOL" and get(above[0], "gen_ai.tool.name") == callee[1]:
                    continue
                failed = failed or any(kind(child) == "" and "error" in child for child in children)
            elif kind(span) == "AGENT":
                callee = ("agent", label(span))
            else:
                continue
            caller = "" if kind(span) == "AGENT" else label(span)
            is_repeated = False
            for ancestor in above:
                if caller or is_repeated:
                    break
                if callee == ("agent", label(ancestor)):
                    is_repeated = kind(ancestor) == "AGENT"
                else:
                    caller = label(ancestor)
            if not is_repeated:
                found[("agent", caller) if caller else SERVICE, callee].append((span["trace_id"], failed))
    return {key: (len(calls), sum(bad for _, bad in calls), len({trace for trace, _ in calls})) for key, calls in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_random_traces_are_counted_as_by_hand(store: Store, send_spans: SendSpans, seed: int) -> None:
    chance = random.Random(seed)
    traces = [_draw_trace(chance) for _ in range(25)]
    send_spans(*(span for spans in traces for span in spans))
    insert_traces(store, *({"trace_id": spans[0]["trace_id"], "span_count": len(spans)} for spans in traces), start_ns=T0)

    graph = _graph(store)

    assert _calls(graph) == _count(traces)
    assert graph.trace_count == 25
    assert not graph.is_cut


def _store_one(store: Store, send_spans: SendSpans, *spans: dict[str, Any], **summary: Any) -> None:
    send_spans(*spans)
    insert_traces(store, {"trace_id": spans[0]["trace_id"], "span_count": len(spans)}, start_ns=T0, **summary)


def test_only_traces_that_match_are_counted(store: Store, send_spans: SendSpans) -> None:
    for outcome, tool in (("ok", "search"), ("error", "refund")):
        trace_id = new_trace_id()
        spans = [_span(trace_id, 1, kind="AGENT", agent="support"), _span(trace_id, 2, 1, "TOOL", tool=tool)]
        _store_one(store, send_spans, *spans, outcome=outcome)

    graph = _graph(store, "status:error")

    assert [edge.callee for edge in graph.edges if edge.caller == ("agent", "support")] == [("tool", "refund")]
    assert (graph.trace_count, graph.failed_count, graph.span_count) == (1, 1, 2)
    assert _graph(store, "status:running") == AgentGraph()


def test_other_projects_and_times_are_not_counted(store: Store, send_spans: SendSpans) -> None:
    trace_id = new_trace_id()
    spans = [_span(trace_id, 1, kind="AGENT", agent="support")]
    send_spans(*spans, project_id=2)
    insert_traces(store, {"trace_id": trace_id, "project_id": 2}, start_ns=T0)

    assert _graph(store) == AgentGraph()
    assert find_agent_graph(
        store, project_id=2, time_range=TimeRange(T0 + 10**10, T0 + 10**11), query=parse_query("")
    ) == AgentGraph()  # fmt: skip


def test_copies_and_two_spans_of_one_tool_call_count_once(store: Store, send_spans: SendSpans) -> None:
    trace_id = new_trace_id()
    spans = [
        _span(trace_id, 1, kind="AGENT", agent="support"),
        _span(trace_id, 2, 1, "TOOL", tool="search", call_id="call-1"),
        _span(trace_id, 3, 1, "TOOL", tool="search", call_id="call-1", error="down"),
        _span(trace_id, 4, 1, "TOOL", tool="search", call_id="call-2"),
    ]
    _store_one(store, send_spans, *spans)
    send_spans(*spans, received_ns=T0 + 5)

    graph = _graph(store)

    assert _calls(graph)[("agent", "support"), ("tool", "search")] == (2, 1, 1)
    assert _node(graph, "agent", "support").calls == 1


def test_handoff_leads_to_the_agent_that_its_tool_names(store: Store, send_spans: SendSpans) -> None:
    trace_id = new_trace_id()
    _store_one(
        store, send_spans, _span(trace_id, 1),
        _span(trace_id, 2, 1, "AGENT", agent="Triage"),
        _span(trace_id, 3, 2, "TOOL", tool="transfer_to_billing_agent"),
        _span(trace_id, 4, 1, "AGENT", agent="Billing agent"),
    )  # fmt: skip

    graph = _graph(store)

    handoff = _edge(graph, ("agent", "Triage"), ("agent", "Billing agent"))
    assert handoff.is_handoff
    assert handoff.calls == 1
    # The service started the first agent and not the one that was handed the conversation.
    assert [edge.callee for edge in graph.edges if edge.caller == SERVICE] == [("agent", "Triage")]
    assert not any(node.kind == "tool" for node in graph.nodes)


@pytest.mark.parametrize(
    "handoff",
    [
        {"tool": "transfer_to_agent", "attributes": {"gen_ai.tool.call.arguments": '{"agent_name": "billing"}'}},
        {"kind": "CHAIN", "attributes": {"langgraph.command.goto_node": "billing_agent"}},
    ],
)
def test_handoff_leads_to_the_agent_that_an_attribute_names(store: Store, send_spans: SendSpans, handoff: dict[str, Any]) -> None:
    trace_id = new_trace_id()
    _store_one(
        store, send_spans, _span(trace_id, 1, None, "AGENT", agent="Triage"),
        _span(trace_id, 2, 1, **{"kind": "TOOL"} | handoff),
        _span(trace_id, 3, None, "AGENT", agent="Billing agent"),
        _span(trace_id, 4, 3, "TOOL", tool="search"),
    )  # fmt: skip

    graph = _graph(store)

    edge = _edge(graph, ("agent", "Triage"), ("agent", "Billing agent"))
    assert (edge.is_handoff, edge.calls) == (True, 1)
    assert {node.name for node in graph.nodes if node.kind == "tool"} == {"search"}


@pytest.mark.parametrize("is_told", [False, True])
def test_agents_one_after_the_other_hand_over_where_only_an_answer_tells_of_it(
    store: Store, send_spans: SendSpans, is_told: bool
) -> None:
    trace_id = new_trace_id()
    told = [_span(trace_id, 5, 2, "", attributes={"tracestore.signal": "agent_handoff"})] if is_told else []
    _store_one(
        store, send_spans, _span(trace_id, 1),
        _span(trace_id, 2, 1, "AGENT", agent="Triage"),
        _span(trace_id, 3, 1, "AGENT", agent="Billing agent"),
        _span(trace_id, 4, 3, "TOOL", tool="refund"),
        *told, _span(trace_id, 6, 3, "AGENT", agent="Clerk"), _span(trace_id, 7, 1, "AGENT", agent="Billing agent"),
        handed_over=True, agents=["Triage", "Billing agent", "Clerk"],
    )  # fmt: skip

    graph = _graph(store)

    handoffs = [(edge.caller[1], edge.callee[1], edge.calls, edge.p95_ns) for edge in graph.edges if edge.is_handoff]
    assert handoffs == ([] if is_told else [("Triage", "Billing agent", 1, None)])
    assert ("service", "support-bot") in {edge.caller for edge in graph.edges}


def test_handoffs_that_only_the_names_of_asked_tools_tell_lead_from_the_one_agent_or_the_service(
    store: Store, send_spans: SendSpans
) -> None:
    traces: list[dict[str, Any]] = [
        {"agents": ["Triage"], "handed_over": True, "tools": [("transfer_to_billing_agent", 0, 0), ("search", 0, 0)]},
        {"agents": [], "handed_over": True, "tools": [("handoff_to_shipping", 0, 0), ("transfer_to_agent", 0, 0)]},
        {"agents": [], "escalated": True, "tools": [("escalate_to_human", 0, 0)]},
        {"agents": ["Billing agent"], "handed_over": True, "tools": [("transfer_to_billing_agent", 0, 0)]},
        {"agents": ["a", "b"], "handed_over": True, "tools": [("transfer_to_c", 0, 0)]},
        # This one ran, and its span says so.
        {"agents": ["Triage"], "handed_over": True, "tools": [("transfer_to_refunds", 1, 0)]},
    ]
    trace_id = new_trace_id()
    send_spans(_span(trace_id, 1, kind="AGENT", agent="Billing agent"))
    insert_traces(store, {"trace_id": trace_id}, *traces, start_ns=T0)

    graph = _graph(store)

    assert {(edge.key, edge.calls, edge.trace_count, edge.is_handoff) for edge in graph.edges} == {
        ((("agent", "Triage"), ("agent", "Billing agent")), 1, 1, True),
        ((SERVICE, ("agent", "shipping")), 1, 1, True),
        ((SERVICE, ("person", "")), 1, 1, False),
    }
    assert _node(graph, "person", "").calls == 1


def test_asked_tools_lead_where_a_projects_rules_say(store: Store) -> None:
    insert_traces(store, {"agents": ["Triage"], "escalated": True, "tools": [("page_duty", 0, 0)]}, start_ns=T0)

    graph = _graph(store, read_signal={"page_duty": "human_escalation"}.get)

    assert [edge.key for edge in graph.edges] == [(("agent", "Triage"), ("person", ""))]


def test_escalations_lead_to_a_person(store: Store, send_spans: SendSpans) -> None:
    trace_id = new_trace_id()
    _store_one(
        store, send_spans, _span(trace_id, 1, kind="AGENT", agent="support"),
        _span(trace_id, 2, 1, "TOOL", tool="escalate_to_human"),
        _span(trace_id, 3, 1, "TOOL", tool="escalate_to_human", error="nobody there"),
        _span(trace_id, 4, 1, "", attributes={"tracestore.signal": "human_escalation"}),
        escalated=True,
    )  # fmt: skip

    graph = _graph(store)

    assert _edge(graph, ("tool", "escalate_to_human"), ("person", "")).calls == 1
    assert _edge(graph, ("agent", "support"), ("person", "")).calls == 1
    assert _node(graph, "person", "").calls == 2
    assert graph.escalated_count == 1


def test_cost_of_a_model_is_shared_out_by_what_its_callers_used(store: Store, send_spans: SendSpans) -> None:
    trace_id = new_trace_id()
    used = {
        "model": "house-model", "provider": "", "calls": 2, "errors": 0, "input_tokens": 400, "output_tokens": 0,
        "cached_input_tokens": 0, "cost_usd": 0.8,
    }  # fmt: skip
    _store_one(
        store, send_spans, _span(trace_id, 1, kind="AGENT", agent="a"),
        _span(trace_id, 2, 1, "LLM", model="house-model", tokens=(300, 0)),
        _span(trace_id, 3, 1, "AGENT", agent="b"),
        _span(trace_id, 4, 3, "LLM", model="house-model", tokens=(100, 0)),
        **{f"models.{name}": [value] for name, value in used.items()},
    )  # fmt: skip

    graph = _graph(store)

    assert _edge(graph, ("agent", "a"), ("model", "house-model")).cost_usd == pytest.approx(0.6)
    assert _node(graph, "agent", "b").cost_usd == pytest.approx(0.2)
    assert _node(graph, "model", "house-model").cost_usd == pytest.approx(0.8)
    assert _node(graph, "model", "house-model").input_tokens == 400


def test_large_selection_is_sampled_by_whole_traces(store: Store, send_spans: SendSpans) -> None:
    traces = []
    for _ in range(60):
        trace_id = new_trace_id()
        traces.append([_span(trace_id, 1, kind="AGENT", agent="support"), _span(trace_id, 2, 1, "TOOL", tool="search")])
    send_spans(*(span for spans in traces for span in spans))
    insert_traces(store, *({"trace_id": spans[0]["trace_id"], "span_count": 2} for spans in traces), start_ns=T0)

    graph = _graph(store, max_spans=40)

    assert graph.sampled_one_in == 3
    assert 5 < graph.trace_count < 40
    assert _calls(graph)[("agent", "support"), ("tool", "search")] == (graph.trace_count, 0, graph.trace_count)
    assert graph == _graph(store, max_spans=40)


def test_p95_is_that_of_the_calls(store: Store, send_spans: SendSpans) -> None:
    trace_id = new_trace_id()
    calls = [_span(trace_id, at, 1, "TOOL", tool="search", duration_ns=at * 10**6) for at in range(2, 102)]
    _store_one(store, send_spans, _span(trace_id, 1, kind="AGENT", agent="support"), *calls)

    assert _edge(_graph(store), ("agent", "support"), ("tool", "search")).p95_ns == pytest.approx(96 * 10**6, rel=0.03)
