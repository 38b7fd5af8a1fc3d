"""Counted calls between agents, models and tools -> a graph with hand-offs, escalations and cost. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tracestore.prices.catalogue import TokenUsage
from tracestore.prices.pricing import price_call
from tracestore.summary.outcomes import ESCALATION_TOOL

AGENT, MODEL, TOOL, SERVICE, PERSON, HANDOFF = "agent", "model", "tool", "service", "person", "handoff"
NodeKey = tuple[str, str]  # kind and name


@dataclass(frozen=True)
class Pair:
    """Calls of one callee by one caller, or by all of them when `caller_kind` is "".

    `callee_kind` is agent, model, tool, handoff (to an agent of about that name) or person. `escalations` are calls whose spans
    say that they brought a person in. `cached_tokens` are part of the input tokens, `provider` is that of one of the calls.
    `p95_ns` is None where no span tells of the calls.
    """

    caller_kind: str
    caller: str
    callee_kind: str
    callee: str
    calls: int
    errors: int
    escalations: int
    trace_count: int
    succeeded_trace_count: int
    p95_ns: float | None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    provider: str = ""


@dataclass(frozen=True)
class Node:
    """An agent, model, tool, service (where what has no agent begins) or person (whom traces were handed to).

    `calls` is 0 and `p95_ns` None for a service and for an agent that has no span of its own. `trace_count` is approximate in the
    ten thousands (HyperLogLog), `p95_ns` always (t-digest). `cost_usd` is None where nothing has a price.
    """

    kind: str
    name: str
    calls: int = 0
    errors: int = 0
    trace_count: int = 0
    p95_ns: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None

    @property
    def key(self) -> NodeKey:
        return self.kind, self.name

    @property
    def failure_rate(self) -> float | None:
        """Errors per call, None without calls."""
        return self.errors / self.calls if self.calls else None


@dataclass(frozen=True)
class Edge:
    """Calls of one node by another; `is_handoff` where all of them pass the conversation on instead.

    The cost of a model is shared out among its callers by what their tokens would cost.
    """

    caller: NodeKey
    callee: NodeKey
    calls: int
    errors: int
    trace_count: int
    p95_ns: float | None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    is_handoff: bool = False

    @property
    def key(self) -> tuple[NodeKey, NodeKey]:
        return self.caller, self.callee

    @property
    def failure_rate(self) -> float | None:
        """Errors per call, None without calls."""
        return self.errors / self.calls if self.calls else None


@dataclass(frozen=True)
class AgentGraph:
    """Nodes and edges, most calls first. When `sampled_one_in` is above 1, all numbers are of about one trace in so many.

    `is_cut`: there are more pairs than were counted.
    """

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    trace_count: int = 0
    failed_count: int = 0
    escalated_count: int = 0
    span_count: int = 0
    sampled_one_in: int = 1
    is_cut: bool = False


_Nodes = dict[NodeKey, Node]
_Edges = dict[tuple[NodeKey, NodeKey], Edge]


def build_graph(pairs: Iterable[Pair], costs: Mapping[str, float], now_ns: int) -> tuple[list[Node], list[Edge]]:
    """Return nodes and edges. `costs` are USD by model over all callers; prices of `now_ns` share them out."""
    counted = list(pairs)
    agents = {pair.callee for pair in counted if pair.callee_kind == AGENT}
    agents |= {pair.caller for pair in counted if pair.caller_kind == AGENT}
    agents_by_slug = {slug_of(name): name for name in sorted(agents)}
    shares = _share_costs(counted, costs, now_ns)
    nodes: _Nodes = {}
    edges: _Edges = {}
    for pair in counted:
        callee = _find_callee(pair, agents_by_slug)
        if pair.callee_kind in (HANDOFF, PERSON):
            nodes.setdefault(callee, Node(*callee))
        if pair.caller_kind:
            caller = (pair.caller_kind, pair.caller)
            nodes.setdefault(caller, Node(*caller))
            _add_edge(edges, _read_edge(pair, caller, callee, shares))
        elif pair.callee_kind not in (HANDOFF, PERSON):
            nodes[callee] = _read_node(pair, costs)
            _add_escalations(pair, nodes, edges)
    _drop_entries_beside_handoffs(nodes, edges)
    _sum_up(nodes, edges)
    in_order = sorted(nodes.values(), key=lambda node: (-node.calls, node.key))
    return in_order, sorted(edges.values(), key=lambda edge: (-edge.calls, edge.key))


def _find_callee(pair: Pair, agents_by_slug: Mapping[str, str]) -> NodeKey:
    if pair.callee_kind != HANDOFF:
        return pair.callee_kind, pair.callee
    slug = slug_of(pair.callee)
    return AGENT, agents_by_slug.get(slug) or agents_by_slug.get(f"{slug}_agent") or pair.callee


def slug_of(name: str) -> str:
    """Tools are called transfer_to_billing_agent where the agent is Billing agent."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _read_node(pair: Pair, costs: Mapping[str, float]) -> Node:
    cost_usd = costs.get(pair.callee) if pair.callee_kind == MODEL else None
    return Node(
        pair.callee_kind, pair.callee, pair.calls, pair.errors, pair.trace_count, pair.p95_ns, pair.input_tokens,
        pair.output_tokens, cost_usd,
    )  # fmt: skip


def _read_edge(pair: Pair, caller: NodeKey, callee: NodeKey, shares: Mapping[tuple[NodeKey, NodeKey], float]) -> Edge:
    return Edge(
        caller, callee, pair.calls, pair.errors, pair.trace_count, pair.p95_ns, pair.input_tokens, pair.output_tokens,
        shares.get((caller, callee)), is_handoff=pair.callee_kind == HANDOFF,
    )  # fmt: skip


def _add_edge(edges: _Edges, edge: Edge) -> None:
    """An agent that both calls another and hands over to it has one edge, with the times of the calls."""
    known = edges.get(edge.key)
    if known is None:
        edges[edge.key] = edge
        return
    call = edge if known.is_handoff else known
    edges[edge.key] = replace(
        call,
        calls=known.calls + edge.calls,
        errors=known.errors + edge.errors,
        trace_count=max(known.trace_count, edge.trace_count),
        is_handoff=known.is_handoff and edge.is_handoff,
    )


def _add_escalations(pair: Pair, nodes: _Nodes, edges: _Edges) -> None:
    """What brought a person in, by what its spans say or by the name of a tool that succeeded, leads to one."""
    calls, trace_count = pair.escalations, min(pair.escalations, pair.trace_count)
    if pair.callee_kind == TOOL and ESCALATION_TOOL.search(pair.callee):
        calls, trace_count = max(calls, pair.calls - pair.errors), max(trace_count, pair.succeeded_trace_count)
    if calls:
        nodes.setdefault((PERSON, ""), Node(PERSON, ""))
        _add_edge(edges, Edge((pair.callee_kind, pair.callee), (PERSON, ""), calls, 0, trace_count, None))


def _drop_entries_beside_handoffs(nodes: _Nodes, edges: _Edges) -> None:
    """An agent that others hand over to runs beside them: its service did not start it."""
    handed: defaultdict[NodeKey, int] = defaultdict(int)
    for edge in edges.values():
        if edge.is_handoff:
            handed[edge.callee] += edge.calls
    for key, edge in list(edges.items()):
        is_entry = edge.caller[0] == SERVICE and edge.callee[0] == AGENT and not edge.is_handoff
        if is_entry and edge.calls <= handed[edge.callee]:
            del edges[key]
    connected = {end for key in edges for end in key}
    for lonely in [key for key in nodes if key[0] == SERVICE and key not in connected]:
        del nodes[lonely]


def _sum_up(nodes: _Nodes, edges: _Edges) -> None:
    """Give agents and services the tokens and costs of the models they call, and a person the escalations."""
    for key, node in nodes.items():
        if node.kind in (AGENT, SERVICE):
            calls = [edge for edge in edges.values() if edge.caller == key and edge.callee[0] == MODEL]
            costs = [edge.cost_usd for edge in calls if edge.cost_usd is not None]
            nodes[key] = replace(
                node,
                input_tokens=sum(edge.input_tokens for edge in calls),
                output_tokens=sum(edge.output_tokens for edge in calls),
                cost_usd=sum(costs) if costs else None,
            )
        elif node.kind == PERSON:
            exits = [edge for edge in edges.values() if edge.callee == key]
            calls_of_all = sum(edge.calls for edge in exits)
            nodes[key] = replace(node, calls=calls_of_all, trace_count=max((edge.trace_count for edge in exits), default=0))


def _share_costs(pairs: Iterable[Pair], costs: Mapping[str, float], now_ns: int) -> dict[tuple[NodeKey, NodeKey], float]:
    """Share out what each model cost in all: by the list price of its callers' average calls, else by their tokens."""
    weights: defaultdict[str, dict[NodeKey, float]] = defaultdict(dict)
    for pair in pairs:
        if not pair.caller_kind or pair.callee_kind != MODEL or pair.callee not in costs:
            continue
        tokens_in, tokens_out, cached = (
            round(tokens / pair.calls) for tokens in (pair.input_tokens, pair.output_tokens, pair.cached_tokens)
        )
        price = price_call(pair.provider, pair.callee, TokenUsage(tokens_in, tokens_out, cached), now_ns)
        weights[pair.callee][pair.caller_kind, pair.caller] = (tokens_in + tokens_out if price is None else price) * pair.calls
    return {
        (caller, (MODEL, model)): costs[model] * weight / total
        for model, of_callers in weights.items()
        if (total := sum(of_callers.values())) > 0
        for caller, weight in of_callers.items()
    }
