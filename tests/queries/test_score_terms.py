"""Traces and spans by their scores: what the engine finds is what a plain reading of what was told finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.factories import insert_traces
from tests.logs import insert_logs
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.conditions import Params
from tracestore.queries.facets import count_facet
from tracestore.queries.metrics.series import metric_value
from tracestore.queries.offers import Wanted, count_offers
from tracestore.queries.score_terms import score_of_span, score_of_trace
from tracestore.queries.spans import find_spans
from tracestore.queries.traces import find_traces
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

EVALUATION = "gen_ai.evaluation.result"
NAME, VALUE, LABEL = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label"
ID, WITHDRAWN = "tracestore.score.id", "tracestore.score.withdrawn"
RANGE = TimeRange(T0 - NS_PER_S, T0 + 3600 * NS_PER_S)
RUN_NS, RUNS, STEPS = 100, 4, 2  # runs begin RUN_NS apart; the first two are of the session "s", the others of no session
_projects = itertools.count(5000)


@dataclass(frozen=True)
class Told:
    """A result: about run `run` and its step `step` (0: as a whole), or with `run` 0 about the session; `at_ns` after T0."""

    run: int = 1
    step: int = 0
    name: str = "review"
    value: float | None = None
    label: str = ""
    id: str = ""
    at_ns: int = 0
    is_withdrawn: bool = False


def _store(store: Store, results: list[Told]) -> int:
    """Store RUNS runs of STEPS steps each and what was told of them, in this order, under a project of their own; return it."""
    project_id = next(_projects)
    insert_traces(
        store,
        *({"trace_id": _trace_id(project_id, run), "start_ns": T0 + run * RUN_NS, "session_id": "s" if run <= 2 else ""}
          for run in range(1, RUNS + 1)),
        project_id=project_id, duration_ns=10,
    )  # fmt: skip
    steps = list(itertools.product(range(1, RUNS + 1), range(1, STEPS + 1)))
    columns: dict[str, Sequence[Any]] = {
        "project_id": [project_id for _ in steps],
        "trace_id": [bytes.fromhex(_trace_id(project_id, run)) for run, _ in steps],
        "span_id": [step.to_bytes(8, "big") for _, step in steps],
        "start_time": [T0 + run * RUN_NS + step for run, step in steps],
        "kind": ["tool" for _ in steps],
        "tool": [f"t{step}" for _, step in steps],
    }
    store.insert_columns("spans", columns)
    for received_ns, told in enumerate(results, T0):
        attributes = {NAME: told.name, VALUE: told.value, LABEL: told.label, ID: told.id, "session.id": "" if told.run else "s"}
        attributes |= {WITHDRAWN: "true"} if told.is_withdrawn else {}
        about = {"trace_id": _trace_id(project_id, told.run)} if told.run else {}
        about |= {"span_id": told.step.to_bytes(8, "big").hex()} if told.run and told.step else {}
        record = {
            "time_ns": T0 + told.at_ns,
            "event_name": EVALUATION,
            "attributes": {k: v for k, v in attributes.items() if v not in ("", None)},
        }
        insert_logs(store, record | about, project_id=project_id, received_ns=received_ns)
    return project_id


def _trace_id(project_id: int, run: int) -> str:
    return f"{project_id:016x}{run:016x}"


def _traces(store: Store, project_id: int, text: str, time_range: TimeRange = RANGE) -> set[int]:
    page = find_traces(store, project_id=project_id, time_range=time_range, query=parse_query(text))
    return {int(trace.trace_id[16:], 16) for trace in page.items}


def _spans(store: Store, project_id: int, text: str) -> set[tuple[int, int]]:
    page = find_spans(store, project_id=project_id, time_range=RANGE, query=parse_query(text))
    return {(int(span.trace_id[16:], 16), int(span.span_id, 16)) for span in page.items}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("score.review:bad", {1}),
        ("score.review:good", {2}),
        ("score.review:note", {3}),
        ("score.review:(good OR note)", {2, 3}),
        ("score.review:g*", {2}),
        ("score.review:false", {1}),
        ("has:score.review", {1, 2, 3}),
        ("-has:score.review", {4}),
        ('score.review:""', {4}),
        ("score.faithfulness:<0.5", {1}),
        ("score.faithfulness:0.25", {1}),
        ("score.faithfulness:0.5..1", {2}),
        ("-score.faithfulness:<0.5", {2, 3, 4}),
        ('score."answer relevance":high', {4}),
        ("score.stars:5", {2}),
        ('score.stars:"5"', {3}),
        ("score:<0.5", {1}),
        ("score:high", {4}),
        ("has:score", {1, 2, 3, 4}),
        ("scores.REVIEW:bad", set()),
        ("score.review:bad score.faithfulness:<0.5", {1}),
        ("tool:x OR score.review:bad", {1}),
        ("tool(t1){score.faithfulness:<0.5}", {1}),
        ("tool(t2){score.faithfulness:<0.5}", set()),
        ("count(has:score.faithfulness):1", {1, 2}),
        ("tool{score:<0.5} then tool(t2)", {1}),
    ],
)
def test_traces_are_found_by_their_scores(store: Store, text: str, found: set[int]) -> None:
    project_id = _store(
        store,
        [
            Told(1, value=0.0), Told(2, value=1.0), Told(3, label="note"),
            Told(1, 1, "faithfulness", 0.25), Told(2, 2, "faithfulness", 0.75), Told(4, 0, "answer relevance", label="high"),
            Told(2, 0, "stars", 5.0), Told(3, 0, "stars", label="5"),
        ],
    )  # fmt: skip

    assert _traces(store, project_id, text) == found
    assert _traces(store, project_id + 10_000, text) == set()


def test_spans_are_found_by_their_own_scores(store: Store) -> None:
    project_id = _store(store, [Told(1, 1, "tone", 0.25), Told(1, 0, "tone", 0.25), Told(3, 2, "tone", 0.75)])

    assert _spans(store, project_id, "score.tone:<0.5") == {(1, 1)}
    assert _spans(store, project_id, "has:score.tone") == {(1, 1), (3, 2)}
    assert _spans(store, project_id, "-has:score.tone tool:t2") == {(1, 2), (2, 2), (4, 2)}


def test_score_that_comes_weeks_later_counts(store: Store) -> None:
    project_id = _store(store, [Told(2, value=0.0, at_ns=60 * DAY_NS)])

    narrow = TimeRange(T0 + 2 * RUN_NS, T0 + 2 * RUN_NS + 1)

    assert _traces(store, project_id, "score.review:bad", narrow) == {2}
    assert _traces(store, project_id, "score.review:bad", TimeRange(T0 - 30 * DAY_NS, T0 + 90 * DAY_NS)) == {2}


def test_score_of_a_session_is_about_its_last_run_by_then(store: Store) -> None:
    project_id = _store(
        store, [Told(0, name="csat", value=1.0, at_ns=RUN_NS + 50), Told(0, name="csat", value=5.0, at_ns=DAY_NS)]
    )

    assert _traces(store, project_id, "score.csat:<3") == {1}
    assert _traces(store, project_id, "score.csat:>3") == {2}
    assert _traces(store, project_id, "score.csat:>3", TimeRange(T0, T0 + 2 * RUN_NS)) == set()


def test_numbers_of_traces_may_ask_for_scores(store: Store) -> None:
    project_id = _store(store, [Told(1, value=0.0)])

    def value(text: str) -> float | None:
        return metric_value(store, project_id=project_id, time_range=RANGE, query=parse_query(text), metric="requests")

    assert (value("score.review:bad"), value("-score.review:bad")) == (1, 3)


def test_scores_are_looked_up_without_reading_spans() -> None:
    (term,) = parse_query("score.review:bad").terms()

    assert "spans" not in score_of_trace(term, Params())
    assert "spans" not in score_of_span(term, Params())


def test_verdicts_are_counted_as_the_list_finds_them(store: Store) -> None:
    project_id = _store(
        store,
        [
            Told(1, value=0.0),
            Told(1, value=0.0),
            Told(2, value=1.0),
            Told(2, label="note"),
            Told(3, 0, "tone", 0.0),
            Told(4, value=0.0),
        ],
    )

    def counts(text: str) -> list[tuple[str, int]]:
        query = parse_query(text)
        found = count_facet(store, project_id=project_id, time_range=RANGE, query=query, field="score.review")
        return [(value.value, value.count) for value in found]

    assert counts("") == [("bad", 2), ("good", 1), ("note", 1)]
    assert counts("score.review:good score.review:note") == [("bad", 2), ("good", 1), ("note", 1)]
    assert counts("score.tone:<1") == []


def test_names_and_labels_of_scores_are_offered(store: Store) -> None:
    project_id = _store(
        store,
        [
            Told(1, value=0.0),
            Told(2, value=0.0),
            Told(3, value=1.0),
            Told(3, name="topic", label="billing"),
            Told(4, name="tone", value=0.5),
        ],
    )

    def offered(wanted: Wanted) -> list[tuple[str, int]]:
        found = count_offers(store, project_id=project_id, time_range=RANGE, wanted=wanted, limit=10)
        return [(value.value, value.count) for value in found]

    assert offered(Wanted("score")) == [("review", 3), ("tone", 1), ("topic", 1)]
    assert offered(Wanted("score", "review", labels=True)) == [("bad", 2), ("good", 1)]
    assert offered(Wanted("score", labels=True)) == [("bad", 2), ("billing", 1), ("good", 1)]
    assert offered(Wanted("score", "tone", labels=True)) == []


# Property: any results, told in any order, replaced and withdrawn

_RESULT = st.builds(
    Told,
    run=st.integers(0, RUNS),
    step=st.integers(0, STEPS),
    name=st.sampled_from(("review", "tone")),
    value=st.sampled_from((None, 0.0, 0.5, 1.0, -2.0)),
    label=st.sampled_from(("", "bad", "note")),
    id=st.sampled_from(("a", "b")),
    at_ns=st.integers(0, 5 * RUN_NS),
    is_withdrawn=st.sampled_from((False, False, False, True)),
)


def _effective(results: list[Told]) -> list[Told]:
    """What counts: of each id within a run or session what was told last, by its own time and then by arrival."""
    newest: dict[tuple[int, str], Told] = {}
    for told in results:
        key = (told.run, told.id)
        if key not in newest or told.at_ns >= newest[key].at_ns:
            newest[key] = told
    return [told for told in newest.values() if not told.is_withdrawn]


def _run_of(told: Told) -> int:
    """The run that a result is about: of a session the last one that had begun by then; 0 for none."""
    return told.run or max((run for run in (1, 2) if run * RUN_NS <= told.at_ns), default=0)


def _verdict(told: Told) -> str:
    return "" if told.name != "review" or told.value is None else "good" if told.value > 0 else "bad"


Says = Callable[[Told], bool]
_TERMS: st.SearchStrategy[tuple[str, Says]] = st.sampled_from(
    [
        ("has:score", lambda told: True),
        ("has:score.review", lambda told: told.name == "review"),
        ("score.review:bad", lambda told: told.name == "review" and "bad" in (told.label, _verdict(told))),
        ("score:bad", lambda told: "bad" in (told.label, _verdict(told))),
        ("score.review:*o*", lambda told: told.name == "review" and ("o" in told.label or "o" in _verdict(told))),
        ("score.tone:true", lambda told: told.name == "tone" and told.value == 1),
        ("score.tone:<0.5", lambda told: told.name == "tone" and told.value is not None and told.value < 0.5),
        ("score.tone:0.5", lambda told: told.name == "tone" and told.value == 0.5),
        ("score:0..1", lambda told: told.value is not None and 0 <= told.value <= 1),
    ]
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_RESULT, min_size=1, max_size=8), st.lists(_TERMS, min_size=1, max_size=4))
@example(
    [
        Told(1, 1, value=0.0, id="a"),
        Told(1, 1, name="tone", id="a"),
        Told(2, 0, value=0.0, id="a"),
        Told(2, 0, id="a", is_withdrawn=True),
    ],
    [("score.review:bad", lambda told: told.name == "review" and "bad" in (told.label, _verdict(told)))],
)
def test_engine_finds_what_a_plain_reading_finds(store: Store, results: list[Told], terms: list[tuple[str, Says]]) -> None:
    project_id = _store(store, results)
    effective = _effective(results)

    for text, says in terms:
        runs = {_run_of(told) for told in effective if says(told)} - {0}
        steps = {(told.run, told.step) for told in effective if says(told) and told.run and told.step}
        assert _traces(store, project_id, text) == runs, text
        assert _traces(store, project_id, f"-{text}") == set(range(1, RUNS + 1)) - runs, text
        assert _spans(store, project_id, text) == steps, text
        assert _traces(store, project_id, f"span{{{text}}}") == {run for run, _ in steps}, text
