"""Many questions in one read must answer as each alone does; groups must add up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces
from tests.spans import SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.language import parse_query
from tracestore.queries.metrics import groups
from tracestore.queries.metrics.definitions import METRICS, READ_APART, MetricError
from tracestore.queries.metrics.groups import Answer, Question, answer_questions, check_groups, find_groups, only_if
from tracestore.queries.metrics.series import metric_values
from tracestore.queries.rollups import recompute_rollups
from tracestore.timerange import NS_PER_S, TimeRange

NOW_S = 1_790_000_040  # a whole minute
HOUR = TimeRange((NOW_S - 3600) * NS_PER_S, NOW_S * NS_PER_S)
DAY = TimeRange((NOW_S - 86_400) * NS_PER_S, NOW_S * NS_PER_S)
QUERIES = ("", "version:v3", "version:v3 tool:refund", "status:error OR tool:search", "tool:refund -env:dev", "user:u1")


def insert_some(store: Store) -> None:
    insert_traces(
        store,
        {"versions": ["v3"], "tools": [("refund", 2, 1)], "outcome": "error", "cost_usd": 0.5, "duration_ns": 3 * NS_PER_S},
        {"versions": ["v3"], "tools": [("refund", 1, 0), ("search", 4, 0)], "cost_usd": 2.5, "user_id": "u1"},
        {"versions": ["v2"], "tools": [("search", 3, 3)], "duration_ns": 9 * NS_PER_S, "escalated": True},
        {"versions": ["v2"], "outcome": "running", "environment": "dev"},
        start_ns=(NOW_S - 600) * NS_PER_S,
    )


@pytest.mark.parametrize("time_range", [HOUR, DAY], ids=["raw", "rolled"])
def test_questions_asked_together_are_answered_as_each_alone(store: Store, time_range: TimeRange) -> None:
    insert_some(store)
    recompute_rollups(store, project_id=1, bucket_starts_s=[NOW_S - 600])
    questions = [Question(parse_query(query), metric) for query in QUERIES for metric in METRICS]

    answers = answer_questions(store, project_id=1, time_range=time_range, questions=questions)

    found = {(question.query.text, question.metric): answer for question, answer in zip(questions, answers, strict=True)}
    for query in map(parse_query, QUERIES):
        alone = metric_values(store, project_id=1, time_range=time_range, query=query, metrics=list(METRICS))
        for metric, value in alone.items():
            answer = found[query.text, metric]
            assert isinstance(answer, Answer)
            assert answer.value == pytest.approx(value), (metric, query.text)
            if metric in READ_APART or metric == "tool_run_success_rate":  # of runs that called a tool: test_metrics.py
                continue
            counted = {"tool": "tool_calls", "model": "llm_calls"}.get(metric.partition("_")[0], "requests")
            assert answer.samples == alone[counted], (metric, query.text)


def test_question_that_cannot_be_answered_does_no_harm_to_the_others(store: Store) -> None:
    insert_some(store)

    bad, good = answer_questions(
        store, project_id=1, time_range=HOUR,
        questions=[Question(parse_query(""), "luck"), Question(parse_query(""), "requests")],
    )  # fmt: skip

    assert isinstance(bad, MetricError)
    assert good == Answer(4, 4)


def test_statement_that_is_too_expensive_is_asked_in_halves(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_some(store)
    ask_once = groups._ask_once

    def refuse(store: Store, project_id: int, time_range: TimeRange, questions: dict[int, Question]) -> object:
        if any(question.metric == "spans" for question in questions.values()):
            raise QueryTooExpensive("too much")
        return ask_once(store, project_id, time_range, questions)

    monkeypatch.setattr(groups, "_ask_once", refuse)
    questions = [Question(parse_query(""), metric) for metric in ("requests", "failures", "spans", "escalations", "cost")]

    answers = answer_questions(store, project_id=1, time_range=HOUR, questions=questions)

    assert [isinstance(answer, QueryTooExpensive) for answer in answers] == [False, False, True, False, False]
    assert answers[4] == Answer(3.0, 4)


def test_largest_run_is_named(store: Store) -> None:
    ids = insert_traces(
        store, {"cost_usd": 0.5}, {"cost_usd": 2.5}, {"cost_usd": None, "duration_ns": 9 * NS_PER_S},
        start_ns=(NOW_S - 60) * NS_PER_S,
    )  # fmt: skip
    questions = [Question(parse_query(query), metric) for query, metric in
                 (("", "run_cost"), ("", "run_duration"), ("cost:<1", "run_cost"), ("version:none", "run_cost"))]  # fmt: skip

    answers = answer_questions(store, project_id=1, time_range=HOUR, questions=questions)

    assert answers == [
        Answer(2.5, 3, trace_id=ids[1]), Answer(9.0, 3, trace_id=ids[2]), Answer(0.5, 1, trace_id=ids[0]), Answer(None, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("metrics", [("run_cost", "duration_p95"), ("duration_p95", "run_cost")])
def test_run_and_metric_of_one_query_are_asked_together(store: Store, metrics: tuple[str, str]) -> None:
    insert_traces(store, {"cost_usd": 2.5, "duration_ns": 9 * NS_PER_S}, start_ns=(NOW_S - 60) * NS_PER_S)
    questions = [Question(parse_query("env:prod OR cost:>1"), metric) for metric in metrics]

    answers = answer_questions(store, project_id=1, time_range=HOUR, questions=questions)

    values = {"run_cost": 2.5, "duration_p95": pytest.approx(9, rel=0.005)}
    assert [answer.value for answer in answers if isinstance(answer, Answer)] == [values[metric] for metric in metrics]


def test_groups_of_three_fields_have_values_and_counts(store: Store) -> None:
    insert_some(store)

    groups = find_groups(
        store, project_id=1, time_range=HOUR, question=Question(parse_query("-status:running"), "tool_success_rate"),
        group_by=("version", "tool", "environment"), descending=False,
    )  # fmt: skip

    assert groups == [
        Answer(0.0, 3, ("v2", "search", "")),
        Answer(pytest.approx(2 / 3), 3, ("v3", "refund", "")),  # type: ignore[arg-type]  # compares as a number does
        Answer(1.0, 4, ("v3", "search", "")),
    ]


def test_groups_are_bounded_and_the_worst_are_kept(store: Store) -> None:
    insert_traces(store, *({"agents": [f"a{n}"], "cost_usd": float(n)} for n in range(30)), start_ns=(NOW_S - 60) * NS_PER_S)

    groups = find_groups(
        store, project_id=1, time_range=HOUR, question=Question(parse_query(""), "cost"), group_by=("agent",), limit=3
    )

    assert [group.labels for group in groups] == [("a29",), ("a28",), ("a27",)]


def test_sessions_are_grouped_by_one_field_the_worst_first(store: Store) -> None:
    insert_traces(
        store, {"session_id": "a", "versions": ["v1"]}, {"session_id": "b", "versions": ["v2"]},
        {"session_id": "c", "versions": ["v2"], "outcome": "error"}, {"versions": ["v3"]},
        start_ns=(NOW_S - 600) * NS_PER_S,
    )  # fmt: skip
    question = Question(parse_query(""), "resolution_rate")

    groups = find_groups(
        store, project_id=1, time_range=HOUR, question=question, group_by=("version",), descending=False, limit=5
    )

    assert groups == [Answer(0.5, 2, ("v2",)), Answer(1.0, 1, ("v1",))]
    with pytest.raises(MetricError, match="by one field"):
        find_groups(store, project_id=1, time_range=HOUR, question=question, group_by=("version", "agent"))


def test_scores_are_grouped_by_the_name_of_their_evaluation(store: Store, send_spans: SendSpans) -> None:
    def told(name: str, score: float) -> tuple[str, dict[str, Any]]:
        return "gen_ai.evaluation.result", {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": score}

    span = {"trace_id": "a" * 32, "span_id": "1" * 16, "start_ns": (NOW_S - 600) * NS_PER_S}
    send_spans(span | {"events": [told("helpful", 0.25), told("helpful", 0.75), told("polite", 1)]})
    insert_traces(store, {"trace_id": "a" * 32}, start_ns=(NOW_S - 600) * NS_PER_S)

    groups = find_groups(
        store, project_id=1, time_range=HOUR, question=Question(parse_query(""), "score_mean"), group_by=("score",)
    )

    assert groups == [Answer(1.0, 1, ("polite",)), Answer(0.5, 2, ("helpful",))]


@pytest.mark.parametrize(("metric", "field"), [("cost", "score"), ("wasted_cost", "model"), ("unpriced_calls", "provider")])
def test_group_that_a_metric_does_not_know_is_refused(metric: str, field: str) -> None:
    with pytest.raises(MetricError):
        check_groups(metric, [field])


def test_group_by_an_unknown_field_is_refused(store: Store) -> None:
    with pytest.raises(MetricError, match="luck"):
        find_groups(store, project_id=1, time_range=HOUR, question=Question(parse_query(""), "cost"), group_by=("luck",))


@pytest.mark.parametrize(
    ("part", "conditional"),
    [
        ("count()", "countIf(m)"),
        ("sum(ifNull(x, 0))", "sumIf(ifNull(x, 0), m)"),
        ("countIf(outcome = 'error')", "countIf(outcome = 'error' AND m)"),
        ("quantileIf(0.5)(x, y) / 1e9", "quantileIf(0.5)(x, y AND m) / 1e9"),
        ("arrayElement(quantilesMerge(0.5, 0.9)(x), 1)", "arrayElement(quantilesMergeIf(0.5, 0.9)(x, m), 1)"),
    ],
)
def test_aggregate_is_made_conditional(part: str, conditional: str) -> None:
    assert only_if(part, "m") == conditional
