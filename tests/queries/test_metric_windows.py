"""A metric over windows that overlap, as live evaluations see it."""

from __future__ import annotations

import pytest

from tests.factories import insert_traces
from tests.logs import insert_logs
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.metrics.definitions import MetricError
from tracestore.queries.metrics.groups import Question, find_groups
from tracestore.queries.metrics.series import measure_apart, metric_value
from tracestore.queries.metrics.windows import Windows, read_windows
from tracestore.queries.rollups import recompute_rollups
from tracestore.timerange import NS_PER_S, TimeRange

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
START_NS = T0 - T0 % HOUR_NS
NAME, VALUE = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value"


def ask(metric: str, text: str = "") -> Question:
    return Question(parse_query(text), metric)


def read_alone(store: Store, question: Question, minutes: int, window_s: int, step_s: int) -> Windows:
    time_range = TimeRange(START_NS, START_NS + minutes * MINUTE_NS)
    [(group, windows)] = read_windows(
        store, project_id=1, time_range=time_range, question=question, window_s=window_s, step_s=step_s
    ).items()
    assert group == ()
    return windows


def test_windows_overlap_and_count_each_trace_in_all_of_theirs(store: Store) -> None:
    insert_traces(store, *({"start_ns": START_NS + at * MINUTE_NS, "outcome": "error" if at == 3 else "ok"} for at in (0, 1, 3)))

    found = read_alone(store, ask("failure_rate"), minutes=7, window_s=120, step_s=60)

    assert [(at_ns - START_NS) // MINUTE_NS for at_ns, *_ in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [value for _, value, _ in found] == [0.0, 0.0, 0.0, 1.0, 1.0, None, None]
    assert [samples for *_, samples in found] == [1, 2, 1, 1, 1, 0, 0]


def test_counts_of_nothing_are_zero_and_a_range_without_a_step_is_empty(store: Store) -> None:
    assert [value for _, value, _ in read_alone(store, ask("requests"), minutes=3, window_s=60, step_s=60)] == [0.0, 0.0, 0.0]
    short = TimeRange(START_NS + 1, START_NS + 2)
    assert read_windows(store, project_id=1, time_range=short, question=ask("requests"), window_s=60, step_s=60) == {(): []}


@pytest.mark.parametrize("metric", ["duration_p95", "tool_success_rate", "cost", "requests"])
@pytest.mark.parametrize(("hours", "step_s"), [(1, 600), (8, 600), (8, 450)])
def test_windows_have_the_values_that_each_has_alone(store: Store, metric: str, hours: int, step_s: int) -> None:
    insert_traces(
        store,
        *(
            {"start_ns": START_NS + at * 61 * NS_PER_S, "duration_ns": (1 + at % 9) * NS_PER_S, "cost_usd": at / 100,
             "tools": [("refund", 2, at % 2)]}
            for at in range(60 * hours)
        ),
    )  # fmt: skip
    recompute_rollups(store, project_id=1, bucket_starts_s=range(START_NS // NS_PER_S, START_NS // NS_PER_S + 3600 * hours, 60))

    found = read_alone(store, ask(metric), minutes=60 * hours, window_s=1800, step_s=step_s)

    for at_ns, value, _ in found[:: len(found) // 6]:
        window = TimeRange(at_ns - 1800 * NS_PER_S, at_ns)
        alone = metric_value(store, project_id=1, time_range=window, query=parse_query(""), metric=metric)
        assert value == pytest.approx(alone, rel=0.02), at_ns


def test_groups_of_several_fields_and_single_runs_agree_with_live_reads(store: Store) -> None:
    insert_traces(
        store,
        *(
            {"start_ns": START_NS + at * 10 * NS_PER_S, "versions": [f"v{at % 2}"], "cost_usd": at / 10,
             "environment": "production", "tools": [("refund", 1, at % 3 == 0), ("lookup", 1, 0)][: 1 + at % 2]}
            for at in range(60)
        ),
    )  # fmt: skip
    time_range = TimeRange(START_NS, START_NS + 10 * MINUTE_NS)
    for metric, fields in (("tool_success_rate", ("version", "tool", "environment")), ("run_cost", ("version",))):
        question = ask(metric, "env:production")

        found = read_windows(
            store, project_id=1, time_range=time_range, question=question, group_by=fields, window_s=600, step_s=600
        )
        live = find_groups(store, project_id=1, time_range=time_range, question=question, group_by=fields)

        assert {group: windows[-1][1:] for group, windows in found.items()} == {
            answer.labels: (answer.value, answer.samples) for answer in live
        }


def test_unknown_field_is_refused(store: Store) -> None:
    with pytest.raises(MetricError, match="grouped by 'tol'"):
        read_windows(
            store, project_id=1, time_range=TimeRange(START_NS, START_NS + HOUR_NS), question=ask("requests"), group_by=["tol"],
            window_s=60, step_s=60,
        )  # fmt: skip


def test_windows_of_sessions_and_scores_have_the_values_that_each_has_alone(store: Store) -> None:
    ids = insert_traces(
        store,
        *(
            {"start_ns": START_NS + at * 61 * NS_PER_S, "session_id": f"s{at // 7}", "versions": [f"v{at % 2}"],
             "outcome": "error" if at % 5 == 0 else "ok", "escalated": at % 11 == 0}
            for at in range(120)
        ),
    )  # fmt: skip
    of_trace = [
        {"trace_id": trace_id, "attributes": {NAME: "tone", VALUE: at / 10}} for at, trace_id in enumerate(ids) if at % 3 == 0
    ]
    of_session = [{"attributes": {"session.id": f"s{at}", NAME: "csat", VALUE: at}} for at in range(0, 17, 2)]
    insert_logs(store, *of_trace, *of_session, event_name="gen_ai.evaluation.result", time_ns=START_NS + 3 * HOUR_NS)
    time_range = TimeRange(START_NS, START_NS + 130 * MINUTE_NS)

    for metric in ("resolution_rate", "resolution_time_p95", "scores", "score_mean"):
        question = ask(metric, "-outcome:running")
        found = read_alone(store, question, minutes=130, window_s=1800, step_s=300)
        assert any(value for _, value, _ in found)
        for at_ns, value, samples in found[::4]:
            window = TimeRange(max(0, at_ns - 1800 * NS_PER_S), at_ns)
            alone = measure_apart(store, project_id=1, time_range=window, query=question.query, metric=metric)
            assert [value, samples] == pytest.approx(list(alone)), (metric, at_ns)

    for metric, field in (("score_mean", "score"), ("score_mean", "version"), ("resolution_rate", "version")):
        grouped = read_windows(
            store, project_id=1, time_range=time_range, question=ask(metric), group_by=[field], window_s=7800, step_s=7800
        )
        end_ns = next(iter(grouped.values()))[-1][0]
        whole = TimeRange(end_ns - 7800 * NS_PER_S, end_ns)
        live = find_groups(store, project_id=1, time_range=whole, question=ask(metric), group_by=[field])
        assert {group: windows[-1][2] for group, windows in grouped.items()} == {one.labels: one.samples for one in live}
        assert [grouped[one.labels][-1][1] for one in live] == pytest.approx([one.value for one in live])
