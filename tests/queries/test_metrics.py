"""Metrics: what each counts."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.factories import insert_traces, new_trace_id
from tests.logs import insert_logs
from tests.queries.metrics import EIGHT_HOURS, HOUR_S, ONE_HOUR, START_NS, model_columns, seconds, series_of, value_of
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.metrics import sources
from tracestore.queries.metrics.definitions import MetricError
from tracestore.queries.metrics.groups import Answer, Question, answer_questions, find_groups
from tracestore.queries.rollups import recompute_rollups
from tracestore.semconv.scores import SCORE_IDS
from tracestore.statistics.buckets import MAX_RELATIVE_ERROR
from tracestore.timerange import NS_PER_S, TimeRange

EVALUATION = "gen_ai.evaluation.result"
NAME, VALUE = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value"


def test_failure_rate_is_failed_traces_per_trace_and_error_rate_counts_recovered_ones(store: Store) -> None:
    insert_traces(
        store, {"outcome": "error", "has_errors": True}, {"has_errors": True}, {}, {"escalated": True}, start_ns=START_NS
    )

    assert value_of(store, "requests") == 4
    assert value_of(store, "failure_rate") == 0.25
    assert value_of(store, "error_rate") == 0.5
    assert value_of(store, "escalation_rate") == 0.25


def test_empty_range_counts_zero_and_has_no_rate(store: Store) -> None:
    assert value_of(store, "requests") == 0
    assert value_of(store, "cost") == 0
    assert value_of(store, "failure_rate") is None
    assert value_of(store, "duration_p95") is None
    assert value_of(store, "tool_success_rate") is None


def test_every_step_of_the_range_has_a_point(store: Store) -> None:
    insert_traces(store, {"outcome": "error"}, start_ns=START_NS + 40 * 60 * NS_PER_S)

    [requests] = series_of(store, "requests")
    [rate] = series_of(store, "failure_rate")

    assert requests.points == [(START_NS, 0.0), (START_NS + 1800 * NS_PER_S, 1.0)]
    assert rate.points == [(START_NS, None), (START_NS + 1800 * NS_PER_S, 1.0)]


def test_steps_are_aligned_and_the_first_may_begin_before_the_range(store: Store) -> None:
    insert_traces(store, start_ns=START_NS + 100 * NS_PER_S)
    time_range = TimeRange(START_NS + 60 * NS_PER_S, START_NS + 1860 * NS_PER_S)

    [series] = series_of(store, "requests", time_range=time_range)

    assert [start_ns for start_ns, _ in series.points] == [START_NS, START_NS + 1800 * NS_PER_S]
    assert [value for _, value in series.points] == [1, 0]


def test_tool_filter_restricts_tool_metrics_to_that_tool(store: Store) -> None:
    insert_traces(store, {"tools": [("refund", 2, 1), ("search", 8, 0)]}, {"tools": [("search", 5, 5)]}, start_ns=START_NS)

    assert value_of(store, "tool_calls") == 15
    assert value_of(store, "tool_calls", "tool:refund") == 2
    assert value_of(store, "tool_success_rate", "tool:refund") == 0.5
    assert value_of(store, "tool_calls", "tool:(refund OR search)") == 15
    assert value_of(store, "tool_calls", "tool:ref*") == 2
    # A condition that not every match meets restricts nothing.
    assert value_of(store, "tool_calls", "tool:refund OR status:error") == 10


def test_run_that_tries_a_failing_call_again_and_again_counts_once(store: Store) -> None:
    insert_traces(
        store, {"tools": [("refund", 9, 9), ("search", 1, 0)]}, *[{"tools": [("refund", 1, 0)]}] * 3, {}, start_ns=START_NS
    )
    question = Question(parse_query(""), "tool_run_success_rate")

    assert value_of(store, "tool_run_success_rate") == 0.75
    assert value_of(store, "tool_run_success_rate", "tool:search") == 1
    assert value_of(store, "tool_run_success_rate", "-tool:*") is None
    assert answer_questions(store, project_id=1, time_range=ONE_HOUR, questions=[question]) == [Answer(0.75, 4)]
    assert find_groups(store, project_id=1, time_range=ONE_HOUR, question=question, group_by=["tool"], descending=False) == [
        Answer(0.75, 4, ("refund",)), Answer(1.0, 1, ("search",)),
    ]  # fmt: skip


def test_grouping_by_tool_counts_a_trace_in_each_of_its_tools_and_sums_that_tools_calls(store: Store) -> None:
    insert_traces(store, {"tools": [("refund", 2, 1), ("search", 8, 0)]}, {"tools": [("search", 5, 0)]}, {}, start_ns=START_NS)

    requests = {series.group: series.points[0][1] for series in series_of(store, "requests", group_by="tool")}
    calls = {series.group: series.points[0][1] for series in series_of(store, "tool_calls", group_by="tool")}

    assert requests == {"search": 2, "refund": 1}
    assert calls == {"search": 13, "refund": 2}


def test_grouping_by_model_sums_what_that_model_used(store: Store) -> None:
    insert_traces(
        store, model_columns(("large", 1, 100, 10, 0.5), ("small", 3, 30, 3, None)), model_columns(("small", 1, 7, 1, 0.25)),
        start_ns=START_NS,
    )  # fmt: skip

    def by_model(metric: str) -> dict[str, float | None]:
        return {series.group: series.points[0][1] for series in series_of(store, metric, group_by="model")}

    assert by_model("input_tokens") == {"small": 37, "large": 100}
    assert by_model("cost") == {"small": 0.25, "large": 0.5}
    assert by_model("llm_calls") == {"small": 4, "large": 1}


def test_trace_with_two_versions_counts_in_both_and_one_without_in_the_empty_group(store: Store) -> None:
    insert_traces(store, {"versions": ["v1", "v2"]}, {"versions": ["v2"]}, {}, start_ns=START_NS)

    groups = {series.group: series.points[0][1] for series in series_of(store, "requests", group_by="version")}

    assert groups == {"v2": 2, "v1": 1, "": 1}


def test_groups_are_cut_to_the_values_that_the_query_demands(store: Store) -> None:
    insert_traces(store, {"versions": ["v1", "v2"]}, start_ns=START_NS)

    assert [series.group for series in series_of(store, "requests", "version:v2", group_by="version")] == ["v2"]


def test_only_the_groups_with_most_traces_are_returned(store: Store) -> None:
    insert_traces(store, *({"agents": [f"agent-{number % 12}"]} for number in range(30)), start_ns=START_NS)

    groups = [series.group for series in series_of(store, "failure_rate", group_by="agent")]

    assert len(groups) == 10
    assert set(groups[:6]) == {f"agent-{number}" for number in range(6)}


def test_unfinished_traces_have_no_part_in_percentiles(store: Store) -> None:
    insert_traces(store, {"duration_ns": 4 * NS_PER_S}, {"outcome": "running", "duration_ns": 1}, start_ns=START_NS)

    assert value_of(store, "duration_p50") == pytest.approx(4.0, rel=0.005)


def test_percentiles_are_within_the_stated_error_however_they_were_added_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(3)
    durations = sorted(int(10 ** chance.uniform(5, 11)) for _ in range(3000))
    starts = [START_NS + chance.randrange(8 * HOUR_S) * NS_PER_S for _ in durations]
    insert_traces(store, *({"start_ns": start, "duration_ns": ns} for start, ns in zip(starts, durations, strict=True)))
    recompute_rollups(store, project_id=1, bucket_starts_s={start // NS_PER_S for start in starts})

    rolled = [value_of(store, f"duration_p{level}", time_range=EIGHT_HOURS) for level in (50, 90, 95, 99)]
    monkeypatch.setattr(sources, "rollup_dimension", lambda *_: None)
    raw = [value_of(store, f"duration_p{level}", time_range=EIGHT_HOURS) for level in (50, 90, 95, 99)]

    assert rolled == raw
    for level, value in zip((50, 90, 95, 99), raw, strict=True):
        exact_s = durations[int(len(durations) * level / 100) - 1] / NS_PER_S
        assert value == pytest.approx(exact_s, rel=MAX_RELATIVE_ERROR * 1.001)


def test_success_rate_is_of_traces_that_ended(store: Store) -> None:
    insert_traces(store, {}, {}, {"outcome": "error"}, {"outcome": "running"}, start_ns=START_NS)

    assert value_of(store, "success_rate") == pytest.approx(2 / 3)


def test_model_that_fails_entirely_has_an_error_rate_of_one(store: Store) -> None:
    healthy = model_columns(("large", 2, 100, 10, 0.5)) | {
        "models.durations": [seconds(1, 3)],
        "models.first_tokens": [seconds(0.5)],
    }
    failing = model_columns(("small", 3, 0, 0, None)) | {
        "models.provider": ["acme"], "models.errors": [3], "llm_errors": 3, "models.durations": [seconds(9, 9, 9)],
    }  # fmt: skip
    insert_traces(store, healthy, failing, start_ns=START_NS)

    rates = {series.group: series.points[0][1] for series in series_of(store, "model_error_rate", group_by="model")}
    by_provider = {series.group: series.points[0][1] for series in series_of(store, "model_error_rate", group_by="provider")}

    assert rates == {"large": 0, "small": 1}
    assert by_provider == {"openai": 0, "acme": 1}
    assert value_of(store, "model_error_rate") == pytest.approx(3 / 5)
    assert value_of(store, "model_error_rate", "model:small") == 1
    assert value_of(store, "model_errors", "provider:openai") == 0
    assert value_of(store, "model_duration_p99", "model:large") == pytest.approx(3, rel=0.005)
    assert value_of(store, "model_duration_p50") == pytest.approx(9, rel=0.005)
    assert value_of(store, "time_to_first_token_p50") == pytest.approx(0.5, rel=0.005)
    assert value_of(store, "time_to_first_token_p50", "model:small") is None


def test_durations_of_tools_and_steps_are_those_that_the_query_names(store: Store) -> None:
    insert_traces(
        store, {"tools": [("refund", 1, 0), ("search", 1, 0)], "tools.durations": [seconds(8), seconds(2)],
                "steps.kind": ["agent", "tool"], "steps.durations": [seconds(20), seconds(8, 2)]},
        start_ns=START_NS,
    )  # fmt: skip

    tools = {series.group: series.points[0][1] for series in series_of(store, "tool_duration_p95", group_by="tool")}
    kinds = {series.group: series.points[0][1] for series in series_of(store, "step_duration_p99", group_by="kind")}

    assert tools == {"refund": pytest.approx(8, rel=0.005), "search": pytest.approx(2, rel=0.005)}
    assert kinds == {"agent": pytest.approx(20, rel=0.005), "tool": pytest.approx(8, rel=0.005)}
    assert value_of(store, "tool_duration_p50", "tool:search") == pytest.approx(2, rel=0.005)
    assert value_of(store, "step_duration_p50") == pytest.approx(8, rel=0.005)


def test_cost_per_session_and_user_leaves_out_traces_that_name_none(store: Store) -> None:
    insert_traces(
        store, {"session_id": "a", "user_id": "u", "cost_usd": 1}, {"session_id": "a", "cost_usd": 2},
        {"session_id": "b", "cost_usd": 3}, {"cost_usd": 10}, start_ns=START_NS,
    )  # fmt: skip

    assert value_of(store, "cost_per_session") == 3
    assert value_of(store, "cost_per_user") == 1
    assert (value_of(store, "sessions"), value_of(store, "users")) == (2, 1)


def test_users_with_most_traces_are_followed_through_time(store: Store) -> None:
    insert_traces(
        store, *({"user_id": f"u{number}"} for number in range(20)), *({"user_id": "u7"}, {"user_id": "u3"}) * 2,
        {"user_id": "u7"}, {}, start_ns=START_NS,
    )  # fmt: skip

    series = series_of(store, "requests", group_by="user")

    assert [one.group for one in series][:3] == ["u7", "u3", "u0"]
    assert [one.points[0][1] for one in series][:3] == [4, 3, 1]
    assert len(series) == 10


def test_unpriced_models_can_be_counted_and_named(store: Store) -> None:
    insert_traces(store, {"unpriced_models": ["house-7b"], "unpriced_calls": 3}, {}, start_ns=START_NS)

    groups = [series.group for series in series_of(store, "unpriced_traces", group_by="unpriced_model")]

    assert (value_of(store, "unpriced_traces"), value_of(store, "unpriced_calls"), groups) == (1, 3, ["house-7b"])


def test_what_was_done_again_is_counted_and_its_share_of_the_cost(store: Store) -> None:
    insert_traces(
        store,
        {"retried_calls": 2, "loops": 1, "looping_calls": 4, "wasted_tokens": 300, "wasted_cost_usd": 0.5, "cost_usd": 1.5},
        {"loops": 2, "looping_calls": 5, "wasted_tokens": 30, "cost_usd": 0.5},
        {"cost_usd": None},
        start_ns=START_NS,
    )

    names = ("retried_calls", "looping_calls", "looping_traces", "wasted_tokens", "wasted_cost", "wasted_cost_share")
    assert [value_of(store, name) for name in names] == [2, 9, 2, 330, 0.5, 0.25]
    assert value_of(store, "wasted_tokens", "loops:>1") == 30
    assert value_of(store, "requests", "wasted_cost:>0.1 retries:2 wasted_tokens:>=300") == 1


def test_session_is_resolved_when_it_ends_well_without_a_person(store: Store) -> None:
    def turn(session: str, at_s: int, **more: Any) -> dict[str, Any]:
        return {"session_id": session, "start_ns": START_NS + at_s * NS_PER_S, "duration_ns": 10 * NS_PER_S} | more

    insert_traces(
        store, turn("a", 0, outcome="error", versions=["v1"]), turn("a", 90, versions=["v2"]), turn("b", 5),
        turn("b", 50, outcome="error"), turn("c", 7, escalated=True), turn("c", 9), {"start_ns": START_NS},
    )  # fmt: skip

    by_version = {series.group: series.points[0][1] for series in series_of(store, "resolution_rate", group_by="version")}

    assert value_of(store, "resolution_rate") == pytest.approx(1 / 3)
    assert value_of(store, "resolution_time_p50") == pytest.approx(100, rel=0.005)
    assert by_version == {"": 0, "v1": 1, "v2": 1}
    assert value_of(store, "requests") == 7


def test_scores_of_log_records_and_span_events_count_for_their_trace(store: Store, send_spans: SendSpans) -> None:
    told, late = new_trace_id(), new_trace_id()
    insert_traces(store, {"trace_id": told, "versions": ["v1"]}, {"trace_id": late, "versions": ["v2"]}, {}, start_ns=T0)
    send_spans(
        {"trace_id": told, "start_ns": T0, "events": [(EVALUATION, {NAME: "helpful", VALUE: 0.5}), (EVALUATION, {NAME: "none"})]}
    )
    insert_logs(
        store, {"trace_id": late, "time_ns": T0 + 5, "event_name": EVALUATION, "attributes": {NAME: "helpful", VALUE: 1.0}}
    )
    an_hour = TimeRange(T0 - NS_PER_S, T0 + HOUR_S * NS_PER_S)

    def means(group_by: str) -> dict[str, list[float]]:
        found = series_of(store, "score_mean", group_by=group_by, time_range=an_hour)
        return {series.group: [value for _, value in series.points if value is not None] for series in found}

    assert value_of(store, "scores", time_range=an_hour) == 2
    assert value_of(store, "score_mean", time_range=an_hour) == 0.75
    assert value_of(store, "score_mean", "version:v2", time_range=an_hour) == 1
    assert means("version") == {"v1": [0.5], "v2": [1]}
    assert means("score") == {"helpful": [0.75]}


def test_handoffs_are_counted_by_their_reason(store: Store) -> None:
    insert_traces(
        store, {"handed_over": True, "handoff_reasons": ["billing"]},
        {"handed_over": True, "handoff_reasons": ["billing", "German"]}, {"handed_over": True}, {}, start_ns=START_NS,
    )  # fmt: skip

    found = {series.group: series.points[0][1] for series in series_of(store, "handoffs", group_by="handoff_reason")}

    assert found == {"billing": 2, "German": 1, "": 1}
    assert value_of(store, "handoffs", "handoff_reason:billing") == 2
    assert value_of(store, "requests", "has:handoff_reason") == 2


def test_score_of_a_session_counts_for_its_last_run_by_then(store: Store) -> None:
    first, second, other = (new_trace_id() for _ in range(3))
    insert_traces(
        store, {"trace_id": first, "start_ns": T0, "session_id": "s"},
        {"trace_id": second, "start_ns": T0 + 100, "session_id": "s"},
        {"trace_id": other, "start_ns": T0 + 50, "session_id": "t"},
    )  # fmt: skip
    said: dict[str, Any] = {"event_name": EVALUATION}
    insert_logs(
        store,
        said | {"time_ns": T0 + 60, "attributes": {"session.id": "s", NAME: "csat", VALUE: 1.0}},
        said | {"time_ns": T0 + 10**9, "attributes": {"session.id": "s", NAME: "csat", VALUE: 5.0}},
        said | {"time_ns": T0 + 10**9, "attributes": {"session.id": "unheard of", NAME: "csat", VALUE: 3.0}},
    )

    def mean(start_ns: int, end_ns: int) -> float | None:
        return value_of(store, "score_mean", time_range=TimeRange(start_ns, end_ns))

    assert mean(T0, T0 + 100) == 1
    assert mean(T0 + 100, T0 + 10**10) == 5
    assert value_of(store, "scores", time_range=TimeRange(T0 - 1, T0 + 10**11)) == 2


@pytest.mark.parametrize("key", SCORE_IDS)
def test_later_score_with_the_same_id_takes_the_place_of_the_first(store: Store, key: str) -> None:
    trace_id, other_id = new_trace_id(), new_trace_id()
    insert_traces(store, {"trace_id": trace_id}, {"trace_id": other_id}, start_ns=T0)

    def score(of_trace: str, at_ns: int, value: float | None, label: str = "") -> dict[str, Any]:
        said = {NAME: "helpful", key: "a"} | ({VALUE: value} if value is not None else {"gen_ai.evaluation.score.label": label})
        return {"trace_id": of_trace, "time_ns": at_ns, "event_name": EVALUATION, "attributes": said}

    insert_logs(store, score(trace_id, T0 + 9, 1.0), score(trace_id, T0 + 5, 0.0), score(other_id, T0 + 5, 0.5))
    an_hour = TimeRange(T0 - NS_PER_S, T0 + HOUR_S * NS_PER_S)
    assert value_of(store, "score_mean", time_range=an_hour) == 0.75

    insert_logs(store, score(trace_id, T0 + 20, None, "withdrawn"))
    assert value_of(store, "scores", time_range=an_hour) == 1


def test_other_project_and_other_time_are_not_counted(store: Store) -> None:
    insert_traces(store, {"project_id": 2}, {"start_ns": ONE_HOUR.end_ns}, {"start_ns": START_NS - 1}, {}, start_ns=START_NS)

    assert value_of(store, "requests") == 1


@pytest.mark.parametrize(
    ("arguments", "parameter", "suggestion"),
    [
        ({"metric": "failure_rat"}, "metric", "failure_rate"),
        ({"metric": "cost", "group_by": "versoin"}, "group_by", "version"),
        ({"metric": "reasoning_tokens", "group_by": "model"}, "group_by", "output_tokens"),
        ({"metric": "cost", "group_by": "score"}, "group_by", ""),
        ({"metric": "cost", "step_s": 0}, "step", ""),
        ({"metric": "cost", "step_s": 60, "time_range": TimeRange(START_NS, START_NS + 30 * 86_400 * NS_PER_S)}, "step", "21600"),
    ],
)
def test_impossible_request_names_the_argument(store: Store, arguments: dict[str, Any], parameter: str, suggestion: str) -> None:
    with pytest.raises(MetricError) as caught:
        series_of(store, **arguments)

    assert (caught.value.parameter, caught.value.suggestion) == (parameter, suggestion)
