"""Steps of a trace as rows in tree order, with depth, offsets and the critical path. Pure; takes spans in any order.

Nothing is lost: children of a parent that never arrived stand under a placeholder, and where parents form a ring the
earliest step of the ring is shown as a root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dashboards.text import make_visible
from tracestore.model import SpanSummary
from tracestore.queries.events import EventMark


@dataclass
class Row:
    """One line. `span` is None for a placeholder, whose `span_id` is the id its children name as parent.

    `offset_ns` counts from the first start of the trace. `critical` holds the stretches of this step, as (offset, end offset) in
    ns, during which the whole trace waited for it and not for one of its children. `subtree_size` counts the rows below it.
    """

    span_id: str
    span: SpanSummary | None
    depth: int = 0
    parent_row: int = -1
    offset_ns: int = 0
    duration_ns: int = 0
    subtree_size: int = 0
    subtree_errors: int = 0
    in_cycle: bool = False
    critical: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Waterfall:
    """Rows in tree order; `duration_ns` reaches from the first start to the last end, whatever the root says."""

    rows: list[Row]
    start_ns: int
    duration_ns: int
    missing_parents: int
    orphans: int

    def find_row(self, span_id: str) -> Row | None:
        """Return the row of a span."""
        return next((row for row in self.rows if row.span is not None and row.span_id == span_id), None)

    def find_ancestors(self, row: Row) -> list[Row]:
        """Return the rows above this one, outermost first."""
        found: list[Row] = []
        while row.parent_row >= 0:
            row = self.rows[row.parent_row]
            found.append(row)
        return found[::-1]


@dataclass
class _Node:
    row: Row
    children: list[_Node] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.row.offset_ns

    @property
    def end(self) -> int:
        return self.row.offset_ns + self.row.duration_ns


def build_waterfall(spans: Sequence[SpanSummary]) -> Waterfall:
    """Return all spans as rows, siblings in start order."""
    if not spans:
        return Waterfall([], 0, 0, 0, 0)
    start_ns = min(span.start_ns for span in spans)
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns, span.span_id))
    nodes = [_Node(Row(s.span_id, s, offset_ns=s.start_ns - start_ns, duration_ns=s.duration_ns)) for s in ordered]
    roots, placeholders, orphans = _link(nodes)
    rows = _flatten(roots)
    _mark_critical_path(roots)
    duration_ns = max(node.end for node in nodes)
    return Waterfall(rows, start_ns, duration_ns, placeholders, orphans)


def _link(nodes: list[_Node]) -> tuple[list[_Node], int, int]:
    """Hang each node under its parent or a placeholder; return the roots in start order and both counts."""
    by_id: dict[str, _Node] = {}
    for node in nodes:
        by_id.setdefault(node.row.span_id, node)
    roots: list[_Node] = []
    missing: dict[str, _Node] = {}
    orphans = 0
    for node in nodes:
        assert node.row.span is not None
        parent_id = node.row.span.parent_span_id
        if not parent_id:
            roots.append(node)
        elif parent_id in by_id:
            by_id[parent_id].children.append(node)
        else:
            orphans += 1
            if parent_id not in missing:
                missing[parent_id] = _Node(Row(parent_id, None))
                roots.append(missing[parent_id])
            missing[parent_id].children.append(node)
    for placeholder in missing.values():
        placeholder.row.offset_ns = min(child.start for child in placeholder.children)
        placeholder.row.duration_ns = max(child.end for child in placeholder.children) - placeholder.start
    roots += _break_cycles(nodes, roots, by_id)
    roots.sort(key=lambda node: node.start)
    return roots, len(missing), orphans


def _break_cycles(nodes: list[_Node], roots: list[_Node], by_id: dict[str, _Node]) -> list[_Node]:
    """Return a new root for each ring of parents, cut out of its parent's children."""
    reached: set[int] = set()
    for root in roots:
        _collect(root, reached)
    cut: list[_Node] = []
    for node in nodes:
        if id(node) in reached:
            continue
        assert node.row.span is not None
        parent = by_id[node.row.span.parent_span_id]
        parent.children = [child for child in parent.children if child is not node]
        node.row.in_cycle = True
        cut.append(node)
        _collect(node, reached)
    return cut


def _collect(root: _Node, reached: set[int]) -> None:
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) not in reached:
            reached.add(id(node))
            stack += node.children


def _flatten(roots: list[_Node]) -> list[Row]:
    """Return the rows depth first, without recursion: a chain of 5,000 steps is deeper than Python's stack."""
    rows: list[Row] = []
    stack = [(root, 0, -1) for root in reversed(roots)]
    while stack:
        node, depth, parent_row = stack.pop()
        node.row.depth, node.row.parent_row = depth, parent_row
        index = len(rows)
        rows.append(node.row)
        stack += [(child, depth + 1, index) for child in reversed(node.children)]
    for row in reversed(rows):
        if row.parent_row >= 0:
            parent = rows[row.parent_row]
            parent.subtree_size += 1 + row.subtree_size
            own_error = row.span is not None and row.span.is_error
            parent.subtree_errors += own_error + row.subtree_errors
    return rows


def _mark_critical_path(roots: list[_Node]) -> None:
    """Walk back from the end: whoever ended last before the moment in question is what the trace waited for."""
    if not roots:
        return
    last = max(roots, key=lambda node: node.end)
    stack = [(last, last.end)]
    while stack:
        node, moment = stack.pop()
        for child in sorted(node.children, key=lambda child: child.end, reverse=True):
            if moment <= node.start:
                break
            end = min(child.end, moment)
            if child.start >= moment or end <= node.start:
                continue
            if end < moment:
                node.row.critical.append((end, moment))
            stack.append((child, end))
            moment = max(child.start, node.start)
        if moment > node.start:
            node.row.critical.append((node.start, moment))


ERROR, PLACEHOLDER, CYCLE = 1, 2, 4
_NAME_CHARS = 200


def pack_rows(waterfall: Waterfall, marks: Mapping[str, Sequence[EventMark]]) -> dict[str, object]:
    """Return the rows as compact JSON for trace.js, about 100 bytes each; its reader is `unpack` there.

    A row is [span id, parent row, depth, name, kind, offset ns, duration ns, flags, rows below, errors below, input tokens,
    output tokens, cost USD, subject, service, error type, critical stretches flat, events as offset and name in turn]; names are
    positions in `strings`.
    """
    strings: dict[str, int] = {"": 0}

    def intern(text: str) -> int:
        return strings.setdefault(make_visible(text[:_NAME_CHARS]), len(strings))

    rows = []
    for row in waterfall.rows:
        span = row.span
        flags = (CYCLE if row.in_cycle else 0) | (PLACEHOLDER if span is None else ERROR if span.is_error else 0)
        named = [intern(span.name), intern(span.kind)] if span else [0, 0]
        usage = [span.input_tokens, span.output_tokens, span.cost_usd] if span else [0, 0, None]
        labels = [intern(_find_subject(span)), intern(span.service), intern(span.error_type)] if span else [0, 0, 0]
        stretches = [moment for stretch in row.critical for moment in stretch]
        events = [part for mark in marks.get(row.span_id, ()) for part in (mark.time_ns - waterfall.start_ns, intern(mark.name))]
        place = [make_visible(row.span_id), row.parent_row, row.depth, *named, row.offset_ns, row.duration_ns, flags]
        rows.append([*place, row.subtree_size, row.subtree_errors, *usage, *labels, stretches, events if span else []])
    return {"strings": list(strings), "rows": rows, "duration_ns": waterfall.duration_ns}


def _find_subject(span: SpanSummary) -> str:
    """Return what the step was about, unless its name says so: the tool, the model or the agent."""
    subjects = {"tool": span.tool, "llm": span.response_model or span.request_model, "agent": span.agent}
    subject = subjects.get(span.kind, "")
    is_named = subject in span.name or (span.kind == "llm" and span.request_model and span.request_model in span.name)
    return "" if is_named else subject
