"""Steps of a trace as rows in tree order, with depth, offsets and the critical path. Pure; takes spans in any order.

Nothing is lost: children of a parent that never arrived stand under a placeholder, and where parents form a ring the
earliest step of the ring is shown as a root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    critical: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Waterfall(Generic[AnySpan]):
    """Rows in tree order; `duration_ns` reaches from the first start to the last end, whatever the root says."""

    rows: list[Row[AnySpan]]
    start_ns: int
    duration_ns: int


def build_waterfall(spans: Sequence[AnySpan]) -> Waterfall[AnySpan]:
    """Return all spans as rows, siblings in start order."""
    if not spans:
        return Waterfall([], 0, 0)
    start_ns = min(span.start_ns for span in spans)
    forest = _Forest(sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns, span.span_id)), start_ns)
    rows = forest.flatten()
    return Waterfall(rows, start_ns, max(forest.ends))


class _Forest(Generic[AnySpan]):
    """The steps in start order and how they hang together, by their places: 100,000 of them are too many for an object each.

    Placeholders for parents that never arrived come after the steps. `starts` and `ends` count from the start of the trace.
    """

    def __init__(self, ordered: Sequence[AnySpan], start_ns: int) -> None:
        self.spans = ordered
        self.starts = [span.start_ns - start_ns for span in ordered]
        self.ends = [start + span.duration_ns for start, span in zip(self.starts, ordered, strict=True)]
        self.missing: list[str] = []
        self.children: dict[int, list[int]] = {}
        self.cut: set[int] = set()
        self.roots = sorted(self._link(), key=self.starts.__getitem__)

    def _link(self) -> list[int]:
        """Hang each step under its parent or a placeholder; return the roots."""
        places: dict[str, int] = {}
        for place, span in enumerate(self.spans):
            places.setdefault(span.span_id, place)
        roots: list[int] = []
        absent: dict[str, int] = {}
        for place, span in enumerate(self.spans):
            parent_id = span.parent_span_id
            if not parent_id:
                roots.append(place)
                continue
            parent = places.get(parent_id)
            if parent is None:
                parent = absent.get(parent_id)
            if parent is None:
                parent = absent[parent_id] = len(self.spans) + len(absent)
                roots.append(parent)
            self.children.setdefault(parent, []).append(place)
        for parent_id, parent in absent.items():
            self.missing.append(parent_id)
            self.starts.append(min(self.starts[child] for child in self.children[parent]))
            self.ends.append(max(self.ends[child] for child in self.children[parent]))
        return roots + self._break_cycles(roots, places)

    def _break_cycles(self, roots: Sequence[int], places: Mapping[str, int]) -> list[int]:
        """Return a new root for each ring of parents, cut out of its parent's children."""
        reached = bytearray(len(self.starts))
        for root in roots:
            self._reach(root, reached)
        for place, span in enumerate(self.spans):
            if not reached[place]:
                self.children[places[span.parent_span_id]].remove(place)
                self.cut.add(place)
                self._reach(place, reached)
        return sorted(self.cut)

    def _reach(self, root: int, reached: bytearray) -> None:
        stack = [root]
        while stack:
            place = stack.pop()
            if not reached[place]:
                reached[place] = True
                stack += self.children.get(place, ())

    def flatten(self) -> list[Row[AnySpan]]:
        """Return the rows depth first, without recursion: a chain of 5,000 steps is deeper than Python's stack."""
        critical = self._find_critical_path()
        rows: list[Row[AnySpan]] = []
        stack = [(root, 0, -1) for root in reversed(self.roots)]
        while stack:
            place, depth, above = stack.pop()
            span = self.spans[place] if place < len(self.spans) else None
            span_id = self.missing[place - len(self.spans)] if span is None else span.span_id
            start = self.starts[place]
            row = Row(span_id, span, depth, above, start, self.ends[place] - start, 0, place in self.cut, critical.get(place, ()))
            if children := self.children.get(place):
                index = len(rows)
                stack += [(child, depth + 1, index) for child in reversed(children)]
            rows.append(row)
        for row in reversed(rows):
            if row.parent_row >= 0:
                own_error = row.span is not None and row.span.is_error
                rows[row.parent_row].subtree_errors += own_error + row.subtree_errors
        return rows

    def _find_critical_path(self) -> dict[int, tuple[tuple[int, int], ...]]:
        """Walk back from the end: whoever ended last before the moment in question is what the trace waited for."""
        found: dict[int, tuple[tuple[int, int], ...]] = {}
        last = max(self.roots, key=self.ends.__getitem__)
        stack = [(last, self.ends[last])]
        while stack:
            place, moment = stack.pop()
            began = self.starts[place]
            stretches = []
            for child in sorted(self.children.get(place, ()), key=self.ends.__getitem__, reverse=True):
                if moment <= began:
                    break
                end = min(self.ends[child], moment)
                if self.starts[child] >= moment or end <= began:
                    continue
                if end < moment:
                    stretches.append((end, moment))
                stack.append((child, end))
                moment = max(self.starts[child], began)
            if moment > began:
                stretches.append((began, moment))
            if stretches:
                found[place] = tuple(stretches)
        return found


ERROR, PLACEHOLDER, CYCLE, SUBJECT_IN_NAME, ALL_CRITICAL = 1, 2, 4, 8, 16
_NAME_CHARS = 200


def pack_rows(waterfall: Waterfall[Step], marks: Mapping[str, Sequence[EventMark]]) -> dict[str, object]:
    """Return the rows as compact JSON for trace-tree.js, by column and less than 100 bytes each.

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
    return row.critical == ((row.offset_ns, row.offset_ns + row.duration_ns),)


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
