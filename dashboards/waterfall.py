"""Steps of a trace as rows in tree order, with depth, offsets and the critical path. Pure; takes spans in any order.

Nothing is lost: children of a parent that never arrived stand under a placeholder, and where parents form a ring the
earliest step of the ring is shown as a root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from dashboards.text import make_visible
from tracestore.queries.events import EventMark
from tracestore.queries.tree import Step


class Timed(Protocol):
    """What a tree is made of: a Step, or a SpanSummary."""

    @property
    def span_id(self) -> str: ...
    @property
    def parent_span_id(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...
    @property
    def is_error(self) -> bool: ...


AnySpan = TypeVar("AnySpan", bound=Timed)


@dataclass(slots=True)
class Row(Generic[AnySpan]):
    """One line. `span` is None for a placeholder, whose `span_id` is the id its children name as parent.

    `offset_ns` counts from the first start of the trace. `critical` holds the stretches of this step, as (offset, end offset) in
    ns, during which the whole trace waited for it and not for one of its children.
    """

    span_id: str
    span: AnySpan | None
    depth: int = 0
    parent_row: int = -1
    offset_ns: int = 0
    duration_ns: int = 0
    subtree_errors: int = 0
    in_cycle: bool = False
    critical: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Waterfall(Generic[AnySpan]):
    """Rows in tree order; `duration_ns` reaches from the first start to the last end, whatever the root says."""

    rows: list[Row[AnySpan]]
    start_ns: int
    duration_ns: int


@dataclass(slots=True)
class _Node(Generic[AnySpan]):
    row: Row[AnySpan]
    children: list[_Node[AnySpan]] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.row.offset_ns

    @property
    def end(self) -> int:
        return self.row.offset_ns + self.row.duration_ns


def build_waterfall(spans: Sequence[AnySpan]) -> Waterfall[AnySpan]:
    """Return all spans as rows, siblings in start order."""
    if not spans:
        return Waterfall([], 0, 0)
    start_ns = min(span.start_ns for span in spans)
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns, span.span_id))
    nodes = [_Node(Row(s.span_id, s, offset_ns=s.start_ns - start_ns, duration_ns=s.duration_ns)) for s in ordered]
    roots = _link(nodes)
    rows = _flatten(roots)
    _mark_critical_path(roots)
    duration_ns = max(node.end for node in nodes)
    return Waterfall(rows, start_ns, duration_ns)


def _link(nodes: list[_Node[AnySpan]]) -> list[_Node[AnySpan]]:
    """Hang each node under its parent or a placeholder; return the roots in start order."""
    by_id: dict[str, _Node[AnySpan]] = {}
    for node in nodes:
        by_id.setdefault(node.row.span_id, node)
    roots: list[_Node[AnySpan]] = []
    missing: dict[str, _Node[AnySpan]] = {}
    for node in nodes:
        assert node.row.span is not None
        parent_id = node.row.span.parent_span_id
        if not parent_id:
            roots.append(node)
        elif parent_id in by_id:
            by_id[parent_id].children.append(node)
        else:
            if parent_id not in missing:
                missing[parent_id] = _Node(Row[AnySpan](parent_id, None))
                roots.append(missing[parent_id])
            missing[parent_id].children.append(node)
    for placeholder in missing.values():
        placeholder.row.offset_ns = min(child.start for child in placeholder.children)
        placeholder.row.duration_ns = max(child.end for child in placeholder.children) - placeholder.start
    roots += _break_cycles(nodes, roots, by_id)
    roots.sort(key=lambda node: node.start)
    return roots


def _break_cycles(
    nodes: list[_Node[AnySpan]], roots: list[_Node[AnySpan]], by_id: dict[str, _Node[AnySpan]]
) -> list[_Node[AnySpan]]:
    """Return a new root for each ring of parents, cut out of its parent's children."""
    reached: set[int] = set()
    for root in roots:
        _collect(root, reached)
    cut: list[_Node[AnySpan]] = []
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


def _collect(root: _Node[AnySpan], reached: set[int]) -> None:
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) not in reached:
            reached.add(id(node))
            stack += node.children


def _flatten(roots: list[_Node[AnySpan]]) -> list[Row[AnySpan]]:
    """Return the rows depth first, without recursion: a chain of 5,000 steps is deeper than Python's stack."""
    rows: list[Row[AnySpan]] = []
    stack = [(root, 0, -1) for root in reversed(roots)]
    while stack:
        node, depth, parent_row = stack.pop()
        node.row.depth, node.row.parent_row = depth, parent_row
        index = len(rows)
        rows.append(node.row)
        stack += [(child, depth + 1, index) for child in reversed(node.children)]
    for row in reversed(rows):
        if row.parent_row >= 0:
            own_error = row.span is not None and row.span.is_error
            rows[row.parent_row].subtree_errors += own_error + row.subtree_errors
    return rows


def _mark_critical_path(roots: list[_Node[AnySpan]]) -> None:
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


ERROR, PLACEHOLDER, CYCLE, SUBJECT_IN_NAME, ALL_CRITICAL = 1, 2, 4, 8, 16
_NAME_CHARS = 200


def pack_rows(waterfall: Waterfall[Step], marks: Mapping[str, Sequence[EventMark]]) -> dict[str, object]:
    """Return the rows as compact JSON for trace.js, by column and less than 100 bytes each; its reader is `readTree` there.

    `ids` are the span ids one after another, 16 digits each. `parent` is a position in the rows, -1 for none. `name`, `kind`,
    `subject` (the tool, model or agent), `service` and `error` are positions in `strings`. `cost` is in USD, null for none.
    `critical` is row, start, end in turn, as seen from the row's offset, of rows of which a part is critical; `events` is row,
    offset, name in turn; `handoffs` is row, name of the agent in turn.
    """
    strings: dict[str, int] = {"": 0}

    def intern(text: str) -> int:
        found = strings.get(text)
        return strings.setdefault(text, len(strings)) if found is None else found

    rows = waterfall.rows
    none = Step("", "", "", "", 0, 0)
    steps = [row.span or none for row in rows]
    subjects = [_find_subject(step) for step in steps]
    critical = [
        (at, start - row.offset_ns, end - row.offset_ns)
        for at, row in enumerate(rows) if not _is_all_critical(row)
        for start, end in row.critical
    ]  # fmt: skip
    events = [
        (at, mark.time_ns - waterfall.start_ns, intern(mark.name))
        for at, row in enumerate(rows) if marks and row.span is not None
        for mark in marks.get(row.span_id, ())
    ]  # fmt: skip
    columns = {
        "ids": "".join([row.span_id for row in rows]),
        "parent": [row.parent_row for row in rows],
        "offset_ns": [row.offset_ns for row in rows],
        "duration_ns": [row.duration_ns for row in rows],
        "flags": [_flags(row, subject) for row, subject in zip(rows, subjects, strict=True)],
        "name": [intern(step.name) for step in steps],
        "kind": [intern(step.kind) for step in steps],
        "subject": [intern(subject) for subject in subjects],
        "service": [intern(step.service) for step in steps],
        "error": [intern(step.error_type) for step in steps],
        "input": [step.input_tokens for step in steps],
        "output": [step.output_tokens for step in steps],
        "cost": [None if step.cost_usd is None else round(step.cost_usd, 9) for step in steps],
        "critical": [part for stretch in critical for part in stretch],
        "events": [part for event in events for part in event],
        "handoffs": [part for at, step in enumerate(steps) if step.handoff_to for part in (at, intern(step.handoff_to))],
    }
    shown = [make_visible(text[:_NAME_CHARS]) for text in strings]
    return {"total_ns": waterfall.duration_ns, "strings": shown, **columns}


def _is_all_critical(row: Row[Step]) -> bool:
    return row.critical == [(row.offset_ns, row.offset_ns + row.duration_ns)]


def _flags(row: Row[Step], subject: str) -> int:
    span = row.span
    if span is None:
        return PLACEHOLDER
    is_named = subject in span.name or (span.kind == "llm" and span.request_model and span.request_model in span.name)
    flags = (ERROR if span.is_error else 0) | (CYCLE if row.in_cycle else 0) | (SUBJECT_IN_NAME if is_named else 0)
    return flags | (ALL_CRITICAL if _is_all_critical(row) else 0)


def _find_subject(step: Step) -> str:
    """Return what the step was about: the tool, the model or the agent."""
    if step.kind == "tool":
        return step.tool
    if step.kind in ("llm", "embedding"):
        return step.model
    return step.agent if step.kind == "agent" else ""
