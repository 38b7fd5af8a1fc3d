"""Evaluation results of every dialect: one row each in `scores`, the same that the page of a trace shows."""

from __future__ import annotations

import itertools
import time
from typing import Any

from dashboards.trace.logs import read_scores
from tests.factories import insert_traces, new_trace_id
from tests.logs import insert_logs
from tests.spans import T0, SendSpans, build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.migrate import FOLDER
from tracestore.language import parse_query
from tracestore.queries.logs import find_logs_of_trace
from tracestore.queries.metrics.groups import Question, find_groups
from tracestore.queries.metrics.series import metric_value
from tracestore.queries.spans import get_span
from tracestore.timerange import NS_PER_S, TimeRange

EVALUATION = "gen_ai.evaluation.result"
NAME, VALUE, LABEL = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label"
STEP = "1" * 16
AN_HOUR = TimeRange(T0 - NS_PER_S, T0 + 3600 * NS_PER_S)
OPENINFERENCE = {
    "annotations.10.annotation.name": "tone", "annotations.10.annotation.label": "rude",
    "annotations.9.annotation.name": "correct", "annotations.9.annotation.score": 0.75,
    "annotations.9.annotation.explanation": "One figure is wrong.", "annotations.9.annotation.annotator_kind": "HUMAN",
    "annotations.9.annotation.identifier": "ada", "evaluations.0.evaluation.name": "correct",
    "evaluations.0.evaluation.score": 0.25, "trace.evaluations.0.evaluation.name": "resolved",
    "trace.evaluations.0.evaluation.score": 1, "annotations.x.annotation.name": "no number",
    f"annotations.{'9' * 50}.annotation.score": 7.0, "annotations.1.evaluation.score": 7.0,
    "my.annotations.1.annotation.score": 7.0,
}  # fmt: skip
_batches = itertools.count(1)


def means(store: Store, **more: Any) -> dict[str, float | None]:
    """Return the mean score of each name in the hour."""
    question = Question(parse_query(""), "score_mean")
    found = find_groups(store, project_id=1, time_range=AN_HOUR, question=question, group_by=["score"], **more)
    return {answer.labels[0]: answer.value for answer in found}


def count(store: Store) -> float | None:
    return metric_value(store, project_id=1, time_range=AN_HOUR, query=parse_query(""), metric="scores")


def send(store: Store, *spans: dict[str, Any], scope: str = "logfire.feedback") -> None:
    payload = build_request(*({"span_id": STEP, "name": "step", "start_ns": T0} | span for span in spans), scope=scope)
    insert_batch(store, [(1, T0, payload)], writer="scores of spans", batch_seq=next(_batches))


def test_annotations_in_attributes_count(store: Store, send_spans: SendSpans) -> None:
    (trace_id,) = insert_traces(store, {}, start_ns=T0)
    send_spans({"trace_id": trace_id, "attributes": OPENINFERENCE})

    assert means(store) == {"correct": 0.5, "resolved": 1}
    assert count(store) == 3


def test_annotation_counts_once_however_often_it_is_sent(store: Store, send_spans: SendSpans) -> None:
    (trace_id,) = insert_traces(store, {"session_id": "s"}, start_ns=T0)
    of_trace = {"trace.annotations.0.annotation.name": "solved", "trace.annotations.0.annotation.score": 1.0}
    of_session = {
        "session.annotations.0.annotation.name": "csat",
        "session.annotations.0.annotation.score": 4.0,
        "session.id": "s",
    }
    own = {"annotations.0.annotation.name": "tone", "annotations.0.annotation.score": 0.5}
    spans = [
        {"trace_id": trace_id, "span_id": digit * 16, "start_ns": T0 + place, "attributes": of_trace | of_session | own}
        for place, digit in enumerate("123")
    ]

    for _ in range(2):  # as exporters do whose answer got lost
        send_spans(*spans)

    assert count(store) == 1 + 1 + 3
    assert means(store) == {"csat": 4, "solved": 1, "tone": 0.5}


def test_feedback_of_logfire_counts_when_it_is_a_number_or_a_verdict(store: Store) -> None:
    (trace_id,) = insert_traces(store, {}, start_ns=T0)
    expected: list[tuple[Any, float | None]] = [(0.5, 0.5), (4, 4), (True, 1), (False, 0), ("0.5", None), (float("nan"), None)]
    names = [f"feedback-{value!r}" for value, _ in expected]
    spans = [
        {"trace_id": trace_id, "span_id": f"{number:016x}", "attributes": {"logfire.feedback.name": name, name: value}}
        for number, (name, (value, _)) in enumerate(zip(names, expected, strict=True), start=1)
    ]

    send(store, *spans)
    others = [span | {"span_id": f"{number:016x}"} for number, span in enumerate(spans, start=100)]
    send(store, *others, scope="logfire.openai")

    assert means(store) == {name: mean for name, (_, mean) in zip(names, expected, strict=True) if mean is not None}
    assert count(store) == 4


def test_numbers_that_are_none_do_not_count(store: Store, send_spans: SendSpans) -> None:
    (trace_id,) = insert_traces(store, {}, start_ns=T0)
    values: list[Any] = [float("inf"), float("nan"), "high", [1], "", "1e999"]
    send_spans({"trace_id": trace_id, "events": [(EVALUATION, {NAME: "n", VALUE: value}) for value in [*values, 1.0, "0.5"]]})

    assert means(store) == {"n": 0.75}


def test_page_and_metrics_read_the_same_results(store: Store) -> None:
    trace_id = new_trace_id()
    events = [(EVALUATION, {NAME: "a", VALUE: 0.5, "error.type": "Timeout"}), (EVALUATION, {NAME: "b", LABEL: "bad"})]
    feedback = {"logfire.feedback.name": "helpful", "helpful": True, "logfire.feedback.comment": "Thanks."}
    attributes = OPENINFERENCE | feedback | {"session.annotations.3.annotation.name": "no session"}
    send(store, {"trace_id": trace_id, "attributes": attributes, "events": events})
    told: dict[str, Any] = {"trace_id": trace_id, "span_id": STEP, "event_name": EVALUATION, "time_ns": T0 + 9}
    insert_logs(store, told | {"attributes": {NAME: "c", VALUE: 1, "gen_ai.evaluation.explanation": "Fine."}})
    insert_logs(store, told | {"attributes": {NAME: "d", LABEL: "x", "tracestore.score.id": "own"}})

    records = find_logs_of_trace(store, project_id=1, trace_id=trace_id).items
    shown = read_scores(get_span(store, project_id=1, trace_id=trace_id, span_id=STEP), records)
    stored = store.query_rows(
        "SELECT id, name, if(value IN (0, 1) AND label IN ('true', 'false'), '', ifNull(toString(value), '')), label, comment,"
        " error_type FROM scores FINAL WHERE project_id = 1"
    )

    assert len(shown) == 10
    assert sorted(stored) == sorted(
        (score.score_id, score.name, score.value, score.label, score.explanation, score.error_type) for score in shown
    )


def test_results_of_before_the_table_was_are_filled_in(store: Store) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    feedback = {"logfire.feedback.name": "helpful", "helpful": 0.5}
    send(store, {"trace_id": trace_id, "attributes": feedback, "events": [(EVALUATION, {NAME: "a", VALUE: 0.5})]})
    send(store, {"trace_id": trace_id, "start_ns": now_ns - 86_400 * NS_PER_S, "attributes": OPENINFERENCE | feedback})
    insert_logs(store, {"trace_id": trace_id, "event_name": EVALUATION, "attributes": {NAME: "c", VALUE: 1}})
    stored = store.query_rows("SELECT * FROM scores FINAL WHERE project_id = 1 ORDER BY ALL")
    store.command("TRUNCATE TABLE scores")

    store.command((FOLDER / "0054_scores_of_the_past.sql").read_text())

    assert store.query_rows("SELECT * FROM scores FINAL WHERE project_id = 1 ORDER BY ALL") == stored
    assert len(stored) == 1 + 1 + 5 + 1
