"""Backtests: the real state machine over simulated traffic whose incidents are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.models import Alert, AlertRule, IncidentMark
from alerts.past.backtest import Mark, find_marks, run_backtest
from alerts.past.chart import build_backtest_chart
from alerts.past.observations import observe_past, step_of
from alerts.rules.observing import observe_rule
from tests.alerts.factories import create_rule, evaluate_rule
from tests.factories import default_project, insert_traces
from tests.simulator.traffic import Incident, Kind, Traffic, to_ns, write_traffic
from tracestore.clickhouse.client import Store
from tracestore.timerange import NS_PER_S, TimeRange, moment_of

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
OUTAGE = Incident(Kind.TOOL_OUTAGE, MONDAY + timedelta(hours=14), MONDAY + timedelta(hours=14, minutes=40))
OUTAGE_MARK = Mark("Refund service down", to_ns(OUTAGE.start), to_ns(OUTAGE.end))


@pytest.fixture
def traffic(store: Store) -> TimeRange:
    """Eighteen hours with an outage of the tool refund."""
    written = Traffic(MONDAY + timedelta(hours=6), MONDAY + timedelta(hours=24), (OUTAGE,))
    write_traffic(store, written)
    return written.time_range


def draft(**values: Any) -> AlertRule:
    """A rule that is not saved: failure rate above 5% over five minutes, held for five."""
    defaults = {"name": "Draft", "metric": "failure_rate", "threshold": 0.05, "window_s": 300, "hold_s": 300}
    return AlertRule(project=default_project(), **defaults | values)


def test_outage_is_one_page_and_its_delay_is_told(store: Store, traffic: TimeRange) -> None:
    backtest = run_backtest(store, draft(), traffic, [OUTAGE_MARK])

    [page] = backtest.pages
    assert page.mark == OUTAGE_MARK
    assert not page.is_flap
    assert backtest.false_pages == 0
    [detection] = backtest.detections
    assert detection.delay_s is not None
    assert 300 <= detection.delay_s <= 300 + 300 + backtest.step_s
    assert page.episode.end_ns is not None
    assert 0 <= (page.episode.end_ns - OUTAGE_MARK.end_ns) / NS_PER_S <= 300


_SCORE_ALL = """
INSERT INTO scores (project_id, time, trace_id, id, name, value, received_at)
SELECT project_id, start_time, trace_id, 'own', 'helpful', outcome = 'ok', start_time FROM traces WHERE project_id = 1
"""


@pytest.mark.parametrize(("metric", "group_by"), [("resolution_rate", []), ("score_mean", []), ("score_mean", ["score"])])
def test_rules_on_sessions_and_scores_are_replayed(store: Store, traffic: TimeRange, metric: str, group_by: list[str]) -> None:
    store.command(_SCORE_ALL)
    rule = draft(metric=metric, group_by=group_by, comparison="below", threshold=0.9, window_s=900, hold_s=0, min_samples=30)

    backtest = run_backtest(store, rule, traffic, [OUTAGE_MARK])

    [page] = backtest.pages
    assert page.mark == OUTAGE_MARK
    assert page.labels == dict.fromkeys(group_by, "helpful")
    assert backtest.evaluations > 100


def test_outage_that_is_marked_twice_is_noticed_as_often(store: Store, traffic: TimeRange) -> None:
    again = Mark("#12 Failures", OUTAGE_MARK.start_ns + 60 * NS_PER_S, OUTAGE_MARK.end_ns, incident_id=12)

    backtest = run_backtest(store, draft(), traffic, [OUTAGE_MARK, again])

    assert (len(backtest.pages), backtest.detected, backtest.false_pages) == (1, 2, 0)
    assert backtest.suggestion is not None
    assert backtest.suggestion.detected == 2


def test_page_without_a_mark_is_unexplained_and_a_mark_without_page_missed(store: Store, traffic: TimeRange) -> None:
    morning = Mark("Slow morning", traffic.start_ns, traffic.start_ns + 3600 * NS_PER_S)

    backtest = run_backtest(store, draft(), traffic, [morning])

    assert (backtest.false_pages, backtest.detected) == (1, 0)
    assert backtest.detections[0].delay_s is None


def test_replay_agrees_with_life(store: Store, traffic: TimeRange) -> None:
    rule = create_rule(threshold=0.05, hold_s=300, min_samples=30)
    hours = TimeRange(to_ns(OUTAGE.start) - 1800 * NS_PER_S, to_ns(OUTAGE.end) + 1800 * NS_PER_S)

    backtest = run_backtest(store, rule, hours, [])
    moment = OUTAGE.start - timedelta(seconds=1800)
    while moment <= OUTAGE.end + timedelta(seconds=1800):
        AlertRule.objects.filter(pk=rule.pk).update(next_evaluation_at=moment)
        evaluate_rule(rule.pk, moment, store)
        moment += timedelta(seconds=backtest.step_s)

    lived = [(to_ns(alert.started_at), alert.resolved_at and to_ns(alert.resolved_at)) for alert in Alert.objects.all()]
    assert [(page.episode.start_ns, page.episode.end_ns) for page in backtest.pages] == lived
    assert backtest.step_s == 60
    assert len(lived) == 1


def test_too_low_a_threshold_flaps_and_a_better_one_is_suggested(store: Store, traffic: TimeRange) -> None:
    backtest = run_backtest(store, draft(threshold=0.012, hold_s=0), traffic, [OUTAGE_MARK], pages_per_week=0)

    assert backtest.flaps > 3
    assert backtest.false_pages > 3
    assert backtest.suggestion is not None
    assert backtest.suggestion.detected == 1
    better = run_backtest(store, draft(threshold=backtest.suggestion.threshold, hold_s=0), traffic, [OUTAGE_MARK])
    assert better.false_pages == 0
    assert better.detected == 1


@pytest.mark.parametrize(
    ("metric", "comparison", "values"), [("failure_rate", "above", (0, 1)), ("tool_success_rate", "below", (1, 0))]
)
def test_threshold_that_nothing_can_be_past_is_not_suggested(
    store: Store, metric: str, comparison: str, values: tuple[int, int]
) -> None:
    """Few traces fail for a minute at a time, all or none: any threshold of a rate pages too often or never."""
    start_ns = to_ns(MONDAY)
    good: dict[str, Any] = {"outcome": "ok", "tools": [("refund", 1, 0)]}
    bad: dict[str, Any] = {"outcome": "error", "tools": [("refund", 1, 1)]}
    minutes = [(good if number % 20 else bad) | {"start_ns": start_ns + (60 * number + 5) * NS_PER_S} for number in range(60)]
    insert_traces(store, *minutes)
    rule = draft(metric=metric, comparison=comparison, threshold=0.5, window_s=60, hold_s=0, min_samples=0)

    backtest = run_backtest(store, rule, TimeRange(start_ns, start_ns + 3600 * NS_PER_S), [])

    assert {seen.value for group in backtest.groups for seen in group.observations} == set(values)
    assert len(backtest.pages) == 3
    assert backtest.suggestion is None


def test_groups_are_replayed_one_by_one(store: Store, traffic: TimeRange) -> None:
    rule = draft(metric="tool_success_rate", comparison="below", threshold=0.8, group_by=["tool"])

    backtest = run_backtest(store, rule, traffic, [OUTAGE_MARK])

    assert {tuple(group.labels.items()) for group in backtest.groups} == {
        (("tool", "lookup"),), (("tool", "search"),), (("tool", "refund"),),
    }  # fmt: skip
    assert [page.labels for page in backtest.pages] == [{"tool": "refund"}]
    assert backtest.suggestion is not None
    assert backtest.suggestion.detected == 1
    assert backtest.suggestion.threshold < 1


def test_chart_shows_the_name_of_a_group_as_text(store: Store, traffic: TimeRange) -> None:
    backtest = run_backtest(store, draft(metric="tool_success_rate", comparison="below", group_by=["tool"]), traffic, [])
    hostile = '<a href="https://evil.example">sign in</a>'
    groups = [replace(group, labels={"tool": hostile}) for group in backtest.groups]

    chart = build_backtest_chart(replace(backtest, groups=groups))

    assert {line["name"] for line in chart["figure"]["data"]} == {hostile.replace("<", "&lt;")}
    assert set(chart["labels"]) == {hostile}


def test_rule_without_data_pages_nobody_and_suggests_nothing(store: Store) -> None:
    backtest = run_backtest(store, draft(), TimeRange(to_ns(MONDAY), to_ns(MONDAY) + 3600 * NS_PER_S), [])

    assert not backtest.has_data
    assert backtest.pages == []
    assert backtest.suggestion is None


def test_long_ranges_are_evaluated_less_often_in_windows_that_still_fit(store: Store) -> None:
    month = TimeRange(to_ns(MONDAY), to_ns(MONDAY + timedelta(days=28)))

    backtest = run_backtest(store, draft(window_s=3600), month, [])

    assert 3600 % backtest.step_s == 0
    assert 500 < backtest.evaluations <= 4001


def test_marks_of_the_range_and_project_are_found(db: None) -> None:
    project = default_project()
    hour = timedelta(hours=1)
    IncidentMark.objects.create(project=project, name="Before", started_at=MONDAY - hour, ended_at=MONDAY)
    IncidentMark.objects.create(project=project, name="Across", started_at=MONDAY - hour, ended_at=MONDAY + hour)

    [found] = find_marks(project.pk, TimeRange(to_ns(MONDAY), to_ns(MONDAY + hour)))

    assert (found.name, found.start_ns) == ("Across", to_ns(MONDAY - hour))
    assert find_marks(project.pk + 1, TimeRange(to_ns(MONDAY), to_ns(MONDAY + hour))) == []


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "baseline", "metric": "tool_success_rate", "comparison": "below", "threshold": 0.2, "group_by": ["tool"],
         "baseline_weeks": 1, "window_s": 600},
        {"kind": "baseline", "metric": "requests", "comparison": "below", "threshold": 0.5, "baseline_weeks": 2, "window_s": 900},
        {"kind": "budget", "metric": "cost", "threshold": 10, "warning_threshold": 5, "severity": "critical"},
        {"kind": "budget", "metric": "cost", "threshold": 0.1, "budget_period": "month", "group_by": ["agent"]},
        {"kind": "budget", "metric": "cost", "threshold": 0.1, "time_zone": "Asia/Kathmandu"},
        {"kind": "run", "metric": "run_cost", "threshold": 0.03, "window_s": 600, "group_by": ["agent"]},
        {"kind": "threshold", "metric": "failure_rate", "threshold": 0.05, "window_s": 600, "grace_s": 60,
         "group_by": ["agent", "model"]},
    ],
    ids=lambda values: f"{values['kind']} {values['metric']} {values.get('time_zone', '')}",
)  # fmt: skip
def test_past_shows_each_kind_what_life_would(store: Store, values: dict[str, Any]) -> None:
    start = MONDAY + timedelta(weeks=1, hours=9)
    write_traffic(store, Traffic(MONDAY + timedelta(hours=6), MONDAY + timedelta(hours=12)))
    outage = Incident(Kind.TOOL_OUTAGE, start, start + timedelta(hours=1))
    write_traffic(store, Traffic(start - timedelta(hours=3), start + timedelta(hours=3), (outage,), seed=2))
    rule = draft(**values)
    rule.project_id = 1
    hours = TimeRange(to_ns(start - timedelta(hours=1)), to_ns(start + timedelta(hours=2)))

    groups = observe_past(store, rule, hours, step_of(rule, hours))

    assert groups
    for group in groups:
        for seen in group.observations[:: len(group.observations) // 4]:
            sights = observe_rule(store, rule, moment_of(seen.at_ns))
            [live] = [sight.observation for sight in sights if sight.labels == group.labels]
            assert (live.at_ns, live.samples) == (seen.at_ns, seen.samples)
            assert (seen.value, seen.baseline, seen.margin) == pytest.approx((live.value, live.baseline, live.margin))


@pytest.mark.parametrize("metric", ["failure_rate", "cost_per_trace", "duration_p95"])
def test_past_shows_a_version_guard_what_life_would(store: Store, monkeypatch: pytest.MonkeyPatch, metric: str) -> None:
    """v7 follows v6 at noon, v8 comes beside it at three and v6 runs on elsewhere: each is the newest for a while."""
    start, noon = MONDAY + timedelta(hours=6), MONDAY + timedelta(hours=12)
    bad = Incident(Kind.BAD_VERSION, noon + timedelta(hours=3, seconds=20), MONDAY + timedelta(hours=20))
    write_traffic(store, Traffic(start, bad.end, (bad,), released=noon + timedelta(seconds=40)))
    write_traffic(store, Traffic(start, bad.end, released=bad.end, seed=2, peak_per_minute=2))
    rule = draft(kind="version", metric=metric, threshold=0.1, window_s=4 * 3600, min_samples=30, grace_s=90, hold_s=0)
    hours = TimeRange(to_ns(noon - timedelta(hours=1)), to_ns(bad.end))
    reads: list[str] = []
    ask = Store.query_rows

    def count(self: Store, sql: str, **params: Any) -> Any:
        reads.append(sql)
        return ask(self, sql, **params)

    with monkeypatch.context() as patches:
        patches.setattr(Store, "query_rows", count)
        groups = observe_past(store, rule, hours, step_of(rule, hours))

    assert 2 <= len(reads) <= 3
    seen_by = {group.labels["version"]: group.observations for group in groups}
    assert {version: len(seen) > 100 for version, seen in seen_by.items()} == {"v7": True, "v8": True}
    for version, observations in seen_by.items():
        for seen in (observations[0], *observations[9 :: len(observations) // 3]):
            [sight] = observe_rule(store, rule, moment_of(seen.at_ns))
            live = sight.observation
            assert (sight.labels, live.samples) == ({"version": version}, seen.samples)
            # Durations of the past are in buckets.
            off = 0.02 * (live.value or 0.0) if metric == "duration_p95" else 1e-9
            assert (seen.value, seen.baseline, seen.margin) == pytest.approx((live.value, live.baseline, live.margin), abs=off)


def test_version_before_that_never_fails_is_no_tiny_share_of_failures(store: Store) -> None:
    """A change against next to nothing would be without measure."""
    hours = [{"versions": ["v1"], "outcome": "error"}] * 3 + [{"versions": ["v2"]}] * 30 + [{"versions": ["v3"]}] * 30
    starts_ns = [to_ns(MONDAY) + number * 600 * NS_PER_S for number in range(len(hours))]
    insert_traces(store, *(row | {"start_ns": start_ns} for row, start_ns in zip(hours, starts_ns, strict=True)))
    insert_traces(store, {"versions": ["v2"], "outcome": "error", "start_ns": to_ns(MONDAY) + 1800 * NS_PER_S})
    rule = draft(kind="version", window_s=86_400, min_samples=0, hold_s=0)

    groups = observe_past(store, rule, TimeRange(starts_ns[0], starts_ns[-1]), 600)

    of_newest = next(group.observations for group in groups if group.labels == {"version": "v3"})
    assert {seen.baseline for seen in of_newest[-3:]} == {0.0}


def test_resting_hours_are_left_out(store: Store, traffic: TimeRange) -> None:
    mornings = {"days": [0, 1, 2, 3, 4], "start": "08:00", "end": "12:00"}

    backtest = run_backtest(store, draft(schedule=mornings), traffic, [OUTAGE_MARK])

    [group] = backtest.groups
    assert {moment_of(seen.at_ns).hour for seen in group.observations} == {8, 9, 10, 11}
    assert backtest.pages == []
