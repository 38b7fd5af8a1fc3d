"""Groups of spans, structure and counts: what the engine finds is what a plain reading of the spans in Python finds.

A generated query is a pair: its text, and a function that tells the answer from the spans alone. So parser and SQL are tested
together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.spans import find_spans
from tracestore.queries.structure import MAX_LEVELS
from tracestore.queries.traces import find_traces
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0 - 10**9, T0 + 10**9)
_NAMES = ("a", "ab", "b c")
_KINDS = ("tool", "agent", "llm", "chain")
_projects = itertools.count(1000)


@dataclass(frozen=True)
class Span:
    """A span as small as the queries need it. `parent` is a number of its trace, also of a span that is not there; 0 for none."""

    number: int
    parent: int = 0
    kind: str = "tool"
    name: str = "a"
    start_ns: int = 0
    duration_ns: int = 5
    is_error: bool = False
    tag: str = ""
    copies: int = 1


@dataclass(frozen=True)
class Trace:
    """Spans of one trace, and what its summary says."""

    spans: tuple[Span, ...]
    cost_usd: float | None = None
    status: str = "ok"
    key: bytes = field(default=b"", compare=False)

    def at(self, number: int) -> Span | None:
        return next((span for span in self.spans if span.number == number), None)

    def above(self, span: Span) -> Iterator[Span]:
        """The parent, its parent and so on: what `inside` looks at."""
        for _ in range(MAX_LEVELS):
            if not span.parent or not (parent := self.at(span.parent)):
                return
            yield parent
            span = parent


OneSpan = Callable[[Span], bool]
Chosen = Callable[[Trace], set[int]]
Holds = Callable[[Trace], bool]
Conditions = st.SearchStrategy[tuple[str, Callable[[Any], bool]]]


def _choose(condition: OneSpan) -> Chosen:
    return lambda trace: {span.number for span in trace.spans if condition(span)}


_SPAN = st.builds(
    Span,
    number=st.just(0),
    parent=st.integers(0, 7),
    kind=st.sampled_from(_KINDS),
    name=st.sampled_from(_NAMES),
    start_ns=st.integers(0, 12),
    duration_ns=st.integers(0, 6),
    is_error=st.booleans(),
    tag=st.sampled_from(("", "x", "yx")),
    copies=st.sampled_from((1, 1, 2)),
)
_TRACE = st.builds(
    lambda spans, cost, status: Trace(tuple(replace(span, number=n) for n, span in enumerate(spans, 1)), cost, status),
    st.lists(_SPAN, min_size=1, max_size=6),
    st.sampled_from((None, 0.0, 0.5, 2.0)),
    st.sampled_from(("ok", "error")),
)


def _conditions(leaves: Conditions) -> Conditions:
    """The leaves, their opposites and their combinations."""

    def grow(inner: Conditions) -> Conditions:
        pairs = st.tuples(inner, inner)
        return st.one_of(
            inner.map(lambda one: (f"-({one[0]})", lambda item: not one[1](item))),
            pairs.map(lambda two: (f"({two[0][0]} OR {two[1][0]})", lambda item: two[0][1](item) or two[1][1](item))),
            pairs.map(lambda two: (f"({two[0][0]} {two[1][0]})", lambda item: two[0][1](item) and two[1][1](item))),
        )

    return st.recursive(leaves, grow, max_leaves=3)


_ONE_SPAN: st.SearchStrategy[tuple[str, OneSpan]] = _conditions(
    st.sampled_from(
        [
            ("status:error", lambda span: span.is_error),
            ("status:ok", lambda span: not span.is_error),
            ("duration:>2ns", lambda span: span.duration_ns > 2),
            ("duration:..0ns", lambda span: span.duration_ns == 0),
            ("attr.tag:x", lambda span: span.tag == "x"),
            ("has:attr.tag", lambda span: span.tag != ""),
            ("X", lambda span: "x" in span.tag),
            ("kind:(tool OR llm)", lambda span: span.kind in ("tool", "llm")),
            ("has:tool", lambda span: span.kind == "tool"),
            ("name:a*", lambda span: span.name.startswith("a")),
        ]
    )
)
_GROUP_NAMES = st.sampled_from(
    [
        ("", lambda name: True),
        ("(a)", lambda name: name == "a"),
        ('("b c" OR a*)', lambda name: name != "never"),
        ("(-a)", lambda name: name != "a"),
        ("(*b)", lambda name: name == "ab"),
    ]
)
_GROUP: st.SearchStrategy[tuple[str, OneSpan]] = st.builds(
    lambda kind, names, inner: (
        f"{kind}{names[0]}" + (f"{{{inner[0] if inner else ''}}}" if inner or not names[0] else ""),
        lambda span: kind in ("span", span.kind) and names[1](span.name) and (inner is None or inner[1](span)),
    ),
    st.sampled_from((*_KINDS, "span")),
    _GROUP_NAMES,
    st.none() | _ONE_SPAN,
)


def _relate(relation: str, left: Chosen, right: Chosen) -> Chosen:
    def stands(trace: Trace, span: Span, others: set[int]) -> bool:
        if relation == "inside":
            return any(above.number in others for above in trace.above(span))
        if relation == "calls":
            return any(trace.at(number).parent == span.number for number in others)  # type: ignore[union-attr]
        after_ns = span.start_ns + max(span.duration_ns, 1)
        return any(trace.at(number).start_ns >= after_ns for number in others)  # type: ignore[union-attr]

    def choose(trace: Trace) -> set[int]:
        chosen, others = left(trace), right(trace)
        return {span.number for span in trace.spans if span.number in chosen and stands(trace, span, others)}

    return choose


_SPANS: st.SearchStrategy[tuple[str, Chosen]] = st.recursive(
    _GROUP.map(lambda group: (group[0], _choose(group[1]))),
    lambda inner: st.builds(
        lambda left, relation, right: (f"({left[0]}) {relation} ({right[0]})", _relate(relation, left[1], right[1])),
        inner,
        st.sampled_from(("inside", "then", "calls")),
        inner,
    ),
    max_leaves=3,
)
_COUNTED = st.one_of(_SPANS, _ONE_SPAN.map(lambda condition: (condition[0], _choose(condition[1]))))
_NUMBERS: st.SearchStrategy[tuple[str, Callable[[int], bool]]] = st.sampled_from(
    [(">1", lambda n: n > 1), ("0", lambda n: n == 0), ("<=1", lambda n: n <= 1), ("1..2", lambda n: 1 <= n <= 2)]
)
_COUNT: st.SearchStrategy[tuple[str, Holds]] = st.builds(
    lambda what, number: (f"count({what[0]}):{number[0]}", lambda trace: number[1](len(what[1](trace)))), _COUNTED, _NUMBERS
)
_TOTALS: st.SearchStrategy[tuple[str, Holds]] = st.sampled_from(
    [
        ("trace.cost:>=0.5", lambda trace: (trace.cost_usd or 0) >= 0.5),
        ("has:cost", lambda trace: trace.cost_usd is not None),
        ("trace.status:error", lambda trace: trace.status == "error"),
        ("tool:ab", lambda trace: any(span.kind == "tool" and span.name == "ab" for span in trace.spans)),
        ("attr.tag:x", lambda trace: any(span.tag == "x" for span in trace.spans)),
    ]
)
_QUERY: st.SearchStrategy[tuple[str, Holds]] = _conditions(
    st.one_of(_SPANS.map(lambda spans: (spans[0], lambda trace: bool(spans[1](trace)))), _COUNT, _TOTALS)
)


def _store_traces(store: Store, traces: list[Trace]) -> tuple[int, list[Trace]]:
    """Store the traces under a project of their own; return it, and the traces with their ids."""
    project_id = next(_projects)
    keyed = [
        Trace(trace.spans, trace.cost_usd, trace.status, project_id.to_bytes(8, "big") + n.to_bytes(8, "big"))
        for n, trace in enumerate(traces, 1)
    ]
    insert_traces(
        store,
        *(
            {
                "trace_id": trace.key.hex(), "start_ns": T0, "duration_ns": 100, "cost_usd": trace.cost_usd,
                "outcome": trace.status,
                "tools": [(name, 1, 0) for name in sorted({span.name for span in trace.spans if span.kind == "tool"})],
            }
            for trace in keyed
        ),
        project_id=project_id,
    )  # fmt: skip
    rows = [(trace, span, copy) for trace in keyed for span in trace.spans for copy in range(span.copies)]
    columns: dict[str, list[Any]] = {
        "project_id": [project_id for _ in rows],
        "trace_id": [trace.key for trace, _, _ in rows],
        "span_id": [_span_id(span.number) for _, span, _ in rows],
        "parent_span_id": [_span_id(span.parent) for _, span, _ in rows],
        "start_time": [T0 + span.start_ns for _, span, _ in rows],
        "duration_ns": [span.duration_ns for _, span, _ in rows],
        "name": [span.name for _, span, _ in rows],
        "kind": [span.kind for _, span, _ in rows],
        "is_error": [span.is_error for _, span, _ in rows],
        "attributes": [{"tag": span.tag} if span.tag else {} for _, span, _ in rows],
        "received_at": [T0 + copy for _, _, copy in rows],
    }
    for column, kind in (("tool", "tool"), ("agent", "agent"), ("request_model", "llm")):
        columns[column] = [span.name if span.kind == kind else "" for _, span, _ in rows]
    # One insert for the first copies and one for the second: rows of one insert that replace each other would be merged at once.
    for copy in (0, 1):
        part = [index for index, row in enumerate(rows) if row[2] == copy]
        if part:
            store.insert_columns("spans", {name: [values[index] for index in part] for name, values in columns.items()})
    return project_id, keyed


def _span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _found_traces(store: Store, project_id: int, text: str) -> set[bytes]:
    page = find_traces(store, project_id=project_id, time_range=RANGE, query=parse_query(text), limit=1000)
    return {bytes.fromhex(trace.trace_id) for trace in page.items}


def _found_spans(store: Store, project_id: int, text: str) -> set[tuple[bytes, int]]:
    page = find_spans(store, project_id=project_id, time_range=RANGE, query=parse_query(text), limit=1000)
    return {(bytes.fromhex(span.trace_id), int(span.span_id, 16)) for span in page.items}


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(_TRACE, min_size=1, max_size=12),
    st.lists(_QUERY, min_size=1, max_size=4),
    st.lists(_SPANS, min_size=1, max_size=2),
)
@example([Trace((Span(1, parent=2), Span(2, parent=1)))], [("tool(a) inside tool(a)", lambda trace: True)], [])
def test_engine_finds_what_a_plain_reading_finds(
    store: Store, traces: list[Trace], queries: list[tuple[str, Holds]], spans: list[tuple[str, Chosen]]
) -> None:
    project_id, stored = _store_traces(store, traces)

    for text, holds in queries:
        assert _found_traces(store, project_id, text) == {trace.key for trace in stored if holds(trace)}, text
    for text, choose in spans:
        expected = {(trace.key, number) for trace in stored for number in choose(trace)}
        assert _found_spans(store, project_id, text) == expected, text


def test_inside_looks_as_far_up_as_the_manual_says(store: Store) -> None:
    chain = tuple(Span(n, parent=n - 1, name="a" if n == 1 else "ab") for n in range(1, MAX_LEVELS + 3))
    project_id, (trace,) = _store_traces(store, [Trace(chain)])

    found = _found_spans(store, project_id, "tool(ab) inside tool(a)")

    assert found == {(trace.key, n) for n in range(2, MAX_LEVELS + 2)}
    manual = (Path(__file__).parents[2] / "docs" / "query-language.md").read_text()
    assert f"up to {MAX_LEVELS} levels" in manual


def test_structure_reaches_spans_of_the_trace_outside_the_range(store: Store) -> None:
    outer, inner = Span(1, kind="agent", duration_ns=90), Span(2, parent=1, start_ns=50)
    project_id, (trace,) = _store_traces(store, [Trace((outer, inner))])

    page = find_spans(
        store, project_id=project_id, time_range=TimeRange(T0 + 40, T0 + 60), query=parse_query("tool(a) inside agent(a)")
    )

    assert [span.span_id for span in page.items] == [_span_id(2).hex()]
    assert {bytes.fromhex(span.trace_id) for span in page.items} == {trace.key}


def test_structure_stays_within_its_project(store: Store) -> None:
    project_id, _ = _store_traces(store, [Trace((Span(1),))])
    _, (other,) = _store_traces(store, [Trace((Span(1), Span(2, start_ns=50)))])
    # A span of the other project with the very ids of the first one's trace, which would complete its structure.
    first = project_id.to_bytes(8, "big") + (1).to_bytes(8, "big")
    store.insert_columns(
        "spans",
        {
            "project_id": [project_id + 1], "trace_id": [first], "span_id": [_span_id(2)], "start_time": [T0 + 50],
            "kind": ["tool"], "tool": ["a"],
        },
    )  # fmt: skip

    assert _found_traces(store, project_id, "tool(a) then tool(a)") == set()
    assert _found_traces(store, project_id, "count(tool(a)):>1") == set()
    assert _found_traces(store, project_id + 1, "tool(a) then tool(a)") == {other.key}


@pytest.mark.parametrize(
    "text", ["span{} inside span{} inside span{}", "count(span{} then span{}):0", "span{} calls span{} then span{}"]
)
def test_structure_of_an_empty_store_is_nothing(store: Store, text: str) -> None:
    assert find_traces(store, project_id=1, time_range=RANGE, query=parse_query(text)).items == []
    assert find_spans(store, project_id=1, time_range=RANGE, query=parse_query(text)).items == []
