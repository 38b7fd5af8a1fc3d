"""The agent graph made ready to draw: places, widths, words, colours of a comparison, and links to the traces behind it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from dashboards.agents.layout import Curve, Layout, Place, Sizes, lay_out
from dashboards.search.query_string import Search
from tracestore.agent_graph import AGENT, MODEL, PERSON, SERVICE, TOOL, AgentGraph, Edge, Node, NodeKey
from tracestore.language import QueryError, add_filter, format_filter, parse_query
from tracestore.language.parser import MAX_LENGTH

# More would be a picture of nothing; the tables hold all.
MAX_NODES = 40
# Tables of more rows show their first until all are asked for.
MOST_ROWS = 40
SIZES = Sizes()
# Failures per call from which an edge is red: nearly everything fails now and then.
FAILING_FROM = 0.05
_FIELDS = {AGENT: "agent", MODEL: "model", TOOL: "tool", SERVICE: "service"}
_MIN_WIDTH, _MAX_WIDTH = 1.2, 7.0
# Room that the number of an edge needs, in px: 11 px high, such as "1.2k · 100%".
_LABEL_WIDTH, _LABEL_HEIGHT = 64, 12
# |z| of two proportions above which a difference is none of chance (95%).
_Z = 1.96
# Relative differences of times and costs below this are noise.
_NOTABLE = 0.1


@dataclass(frozen=True)
class Measure:
    """What a comparison colours by. `unit` tells the template how to write a value and a difference."""

    name: str
    label: str
    unit: str  # ratio, ns, USD
    is_cost: bool  # more of it is worse


MEASURES = (
    Measure("failure_rate", "Failure rate", "ratio", True),
    Measure("share", "Share of traces", "ratio", False),
    Measure("p95", "Duration p95", "ns", True),
    Measure("cost", "Cost a trace", "USD", True),
)


@dataclass(frozen=True)
class Numbers:
    """What is known of a node or an edge in one selection. Ratios are 0 to 1, None where there was no call."""

    calls: int
    errors: int
    trace_count: int
    traces_in_all: int
    p95_ns: float | None
    tokens: int
    cost_usd: float | None

    @property
    def failure_rate(self) -> float | None:
        return self.errors / self.calls if self.calls else None

    @property
    def share(self) -> float | None:
        return self.trace_count / self.traces_in_all if self.traces_in_all else None

    @property
    def cost_per_trace_usd(self) -> float | None:
        return None if self.cost_usd is None or not self.traces_in_all else self.cost_usd / self.traces_in_all

    def value(self, measure: Measure) -> float | None:
        """Return the number that a comparison is about."""
        values = {
            "failure_rate": self.failure_rate, "share": self.share, "p95": self.p95_ns, "cost": self.cost_per_trace_usd,
        }  # fmt: skip
        return values[measure.name]


@dataclass(frozen=True)
class Difference:
    """`tone` is new, gone, worse, better, more, less or same; `value` is B less A, None where one of them has none."""

    tone: str
    value: float | None = None

    @property
    def word(self) -> str:
        """A word for the tone of what is only on one side, else ""."""
        return self.tone if self.tone in ("new", "gone") else ""


@dataclass(frozen=True)
class DrawnNode:
    """A node: `name` in full; `place` is None when it is only in the table. `before` and `difference` are of a comparison."""

    number: int
    kind: str
    name: str
    numbers: Numbers
    href: str
    before: Numbers | None = None
    difference: Difference | None = None
    place: Place | None = None

    @property
    def label(self) -> str:
        return "A person" if self.kind == PERSON else self.name or "(no name)"

    @property
    def shown(self) -> Numbers:
        """What to write in the node: of one that is gone, what it had."""
        return self.before if self.difference and self.difference.tone == "gone" and self.before else self.numbers


@dataclass(frozen=True)
class DrawnEdge:
    """An edge between two drawn nodes; `path` is "" when it is only in the table. Its number stands when `is_labelled`."""

    number: int
    caller: DrawnNode
    callee: DrawnNode
    numbers: Numbers
    href: str
    is_handoff: bool
    before: Numbers | None = None
    difference: Difference | None = None
    path: str = ""
    label_x: float = 0
    label_y: float = 0
    width: float = _MIN_WIDTH
    is_labelled: bool = False

    @property
    def verb(self) -> str:
        if self.callee.kind == PERSON:
            return "escalates to"
        return "hands over to" if self.is_handoff else "starts" if self.caller.kind == SERVICE else "calls"

    @property
    def shown(self) -> Numbers:
        return self.before if self.difference and self.difference.tone == "gone" and self.before else self.numbers

    @property
    def tone(self) -> str:
        """Of a comparison the tone of the difference, else failing where many calls fail."""
        if self.difference:
            return self.difference.tone
        return "failing" if (self.numbers.failure_rate or 0) >= FAILING_FROM else "plain"


@dataclass(frozen=True)
class Drawing:
    """Everything of the page below its search bar. `graph` is B of a comparison, `against` A."""

    graph: AgentGraph
    against: AgentGraph | None
    measure: Measure
    nodes: list[DrawnNode]
    edges: list[DrawnEdge]
    width: float
    height: float
    hidden_nodes: int


def find_measure(name: str) -> Measure:
    """Return the measure of that name, the first for any other text."""
    return next((measure for measure in MEASURES if measure.name == name), MEASURES[0])


def draw(search: Search, graph: AgentGraph, against: AgentGraph | None, against_text: str, measure: Measure) -> Drawing:
    """Place a graph, or the difference of two."""
    links = _Links(search, against_text)
    nodes = _draw_nodes(graph, against, links, measure)
    by_key = {(node.kind, node.name): node for node in nodes}
    edges = _draw_edges(graph, against, links, measure, by_key)
    drawn = sorted(nodes, key=lambda node: (node.kind == TOOL, -node.shown.calls))[:MAX_NODES]
    # Where a run begins comes first, so that rings are cut behind it.
    starts = {(edge.caller.kind, edge.caller.name) for edge in edges if edge.caller.kind in (SERVICE, AGENT)}
    ends = {(edge.callee.kind, edge.callee.name) for edge in edges if edge.caller.kind == AGENT}
    drawn.sort(key=lambda node: (node.kind != SERVICE, (node.kind, node.name) in ends, (node.kind, node.name) not in starts))
    positions = {(node.kind, node.name): position for position, node in enumerate(drawn)}
    lines = [edge for edge in edges if _ends(edge)[0] in positions and _ends(edge)[1] in positions]
    layout = lay_out(len(drawn), [(positions[_ends(edge)[0]], positions[_ends(edge)[1]]) for edge in lines], SIZES)
    placed = {node.number: layout.places[position] for position, node in enumerate(drawn)}
    nodes = [replace(node, place=placed.get(node.number)) for node in nodes]
    return Drawing(
        graph, against, measure, nodes, _place_edges(edges, lines, layout), layout.width, layout.height,
        hidden_nodes=len(nodes) - len(drawn),
    )  # fmt: skip


def _ends(edge: DrawnEdge) -> tuple[NodeKey, NodeKey]:
    return (edge.caller.kind, edge.caller.name), (edge.callee.kind, edge.callee.name)


def _place_edges(edges: list[DrawnEdge], lines: list[DrawnEdge], layout: Layout) -> list[DrawnEdge]:
    most = max((edge.shown.calls for edge in lines), default=1)
    curves = {edge.number: curve for edge, curve in zip(lines, layout.curves, strict=True)}
    labelled = _choose_labels(lines, curves)
    return [
        replace(
            edge, path=curves[edge.number].path, label_x=curves[edge.number].label_x, label_y=curves[edge.number].label_y,
            width=_MIN_WIDTH + (_MAX_WIDTH - _MIN_WIDTH) * math.sqrt(edge.shown.calls / most),
            is_labelled=edge.number in labelled,
        ) if edge.number in curves else edge
        for edge in edges
    ]  # fmt: skip


def _choose_labels(lines: list[DrawnEdge], curves: Mapping[int, Curve]) -> set[int]:
    """Return the edges whose numbers stand beside their ends.

    Where numbers would cover each other, those of what fails or has most calls stand; a pointer and the table tell the others.
    """
    taken: dict[int, tuple[float, float]] = {}
    for edge in sorted(lines, key=lambda edge: (edge.tone == "plain", -edge.shown.calls)):
        at = curves[edge.number].label_x, curves[edge.number].label_y
        if all(abs(at[0] - x) > _LABEL_WIDTH or abs(at[1] - y) >= _LABEL_HEIGHT for x, y in taken.values()):
            taken[edge.number] = at
    return set(taken)


class _Links:
    """Addresses of the list of traces behind a node or an edge."""

    def __init__(self, search: Search, against_text: str) -> None:
        self._search, self._against_text = search, against_text

    def of_node(self, key: NodeKey, is_gone: bool) -> str:
        return self._list(_narrow(self._text(is_gone), key))

    def of_edge(self, edge: Edge, is_gone: bool) -> str:
        text = self._text(is_gone)
        structural = _structural_query(edge)
        if structural and _asks_spans(structural):
            return self._list(f"({text}) ({structural})" if text.strip() else structural)
        return self._list(_narrow(_narrow(text, edge.caller), edge.callee))

    def _text(self, is_gone: bool) -> str:
        return self._against_text if is_gone else self._search.text

    def _list(self, text: str) -> str:
        # No query may be longer: one of a name of a megabyte would stand in the page six times and find nothing.
        return self._search.querystring(q=text if len(text) <= MAX_LENGTH else self._search.text)


def _narrow(text: str, key: NodeKey) -> str:
    kind, name = key
    if kind == PERSON:
        return add_filter(text, "escalated", "true")
    return add_filter(text, _FIELDS[kind], name) if name else text


def _structural_query(edge: Edge) -> str:
    """Return a query for traces in which the one calls the other, "" where that is more than the language can say."""
    agent = _quote(edge.caller[1])
    if edge.caller[0] != AGENT or not edge.callee[1] or edge.is_handoff:
        return ""
    callee = _quote(edge.callee[1])
    if edge.callee[0] == AGENT:
        return f"agent({callee}) inside agent({agent})"
    step = {TOOL: f"tool:{callee}", MODEL: f"model:{callee}"}.get(edge.callee[0])
    return f"span{{{step} agent:{agent}}} OR span{{{step}}} inside agent({agent})" if step else ""


def _quote(value: str) -> str:
    return format_filter("name", value).removeprefix("name:")


def _asks_spans(text: str) -> bool:
    """Tell whether the language reads this as spans; words that it does not know it would look for as words."""
    try:
        return not any(term.field == "text" for term in parse_query(text).terms())
    except QueryError:
        return False


def _draw_nodes(graph: AgentGraph, against: AgentGraph | None, links: _Links, measure: Measure) -> list[DrawnNode]:
    now = {node.key: node for node in graph.nodes}
    before = {node.key: node for node in against.nodes} if against else {}
    drawn = []
    for number, key in enumerate(dict.fromkeys((*now, *before))):
        numbers, earlier = _read(now.get(key), graph), _read(before.get(key), against) if against else None
        difference = _compare(numbers, earlier, measure, key in now, key in before) if earlier else None
        href = links.of_node(key, is_gone=key not in now)
        drawn.append(DrawnNode(number, *key, numbers, href, earlier, difference))
    return drawn


def _draw_edges(
    graph: AgentGraph, against: AgentGraph | None, links: _Links, measure: Measure, nodes: Mapping[NodeKey, DrawnNode]
) -> list[DrawnEdge]:
    now = {edge.key: edge for edge in graph.edges}
    before = {edge.key: edge for edge in against.edges} if against else {}
    drawn = []
    for number, key in enumerate(dict.fromkeys((*now, *before))):
        edge = now.get(key) or before[key]
        numbers, earlier = _read(now.get(key), graph), _read(before.get(key), against) if against else None
        difference = _compare(numbers, earlier, measure, key in now, key in before) if earlier else None
        href = links.of_edge(edge, is_gone=key not in now)
        drawn.append(
            DrawnEdge(number, nodes[edge.caller], nodes[edge.callee], numbers, href, edge.is_handoff, earlier, difference)
        )
    return drawn


def _read(item: Node | Edge | None, graph: AgentGraph) -> Numbers:
    if item is None:
        return Numbers(0, 0, 0, graph.trace_count, None, 0, None)
    tokens = item.input_tokens + item.output_tokens
    return Numbers(item.calls, item.errors, item.trace_count, graph.trace_count, item.p95_ns, tokens, item.cost_usd)


def _compare(now: Numbers, before: Numbers, measure: Measure, is_now: bool, was_before: bool) -> Difference:
    if not was_before:
        return Difference("new")
    if not is_now:
        return Difference("gone")
    value, earlier = now.value(measure), before.value(measure)
    if value is None or earlier is None:
        return Difference("same")
    is_notable: Callable[[], bool] = {
        "failure_rate": lambda: _is_significant(now.errors, now.calls, before.errors, before.calls),
        "share": lambda: _is_significant(now.trace_count, now.traces_in_all, before.trace_count, before.traces_in_all),
    }.get(measure.name, lambda: abs(value - earlier) > _NOTABLE * max(value, earlier))
    difference = value - earlier
    if not difference or not is_notable():
        return Difference("same", difference)
    words = ("worse", "better") if measure.is_cost else ("more", "less")
    return Difference(words[0] if difference > 0 else words[1], difference)


def _is_significant(hits: int, count: int, hits_before: int, count_before: int) -> bool:
    """Tell whether two proportions differ by more than chance: the z-test with the pooled proportion."""
    if not count or not count_before:
        return False
    pooled = (hits + hits_before) / (count + count_before)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / count + 1 / count_before))
    return spread > 0 and abs(hits / count - hits_before / count_before) / spread > _Z


def against_querystring(search: Search, against: str, measure: str, **changes: str) -> str:
    """Return the query string of the page with the comparison kept."""
    own = {"against": against, "by": measure} | changes
    more = urlencode({name: value for name, value in own.items() if value and (name, value) != ("by", MEASURES[0].name)})
    return search.href + ("&" if search.href != "?" and more else "") + more


def quick_comparisons(search: Search) -> list[tuple[str, str]]:
    """Return (label, query string) of comparisons that are often wanted."""
    text = search.text
    failed, well = add_filter(text, "status", "error"), add_filter(text, "status", "ok")
    escalated = add_filter(text, "escalated", "true")
    not_escalated = add_filter(text, "escalated", "false")
    return [
        ("Failed against successful", against_querystring(replace(search, text=failed), well, "share")),
        ("Escalated against the others", against_querystring(replace(search, text=escalated), not_escalated, "share")),
    ]
