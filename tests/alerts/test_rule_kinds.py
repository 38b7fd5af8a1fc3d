"""Groups, kinds of rules, missing data, hours of rest and rules that fail, each on the real engine."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from alerts.models import Alert, AlertRule, AlertTransition, Delivery, RuleInstance
from alerts.rules import broken, evaluator
from alerts.rules.observing import forecast
from tests.alerts.factories import create_channel, create_rule, find_due_rules, insert_traffic
from tests.factories import insert_traces
from tests.logs import insert_logs
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError, StoreUnavailable
from tracestore.queries.rollups import recompute_rollups
from tracestore.timerange import NS_PER_S, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)  # a Friday
SECOND = timedelta(seconds=1)


def insert_at(store: Store, at: datetime, *rows: dict[str, Any], **common: Any) -> list[str]:
    return insert_traces(store, *rows, start_ns=ns_of(at), **common)


def states(rule: AlertRule) -> dict[str, str]:
    return {" ".join(row.labels.values()): row.state for row in RuleInstance.objects.filter(rule=rule)}


def roll_up_day(store: Store) -> None:
    """Windows of many hours are read from rollups."""
    recompute_rollups(store, project_id=1, bucket_starts_s=range(int(NOW.timestamp()) - 86_400, int(NOW.timestamp()), 60))


def evaluate(rule: AlertRule, at: datetime) -> list[str]:
    """Return what happened, as "v3 firing"."""
    AlertRule.objects.filter(pk=rule.pk).update(next_evaluation_at=at)
    return [" ".join([*row.labels.values(), row.to_state]) for row in evaluator.evaluate_rules([rule.pk], at)]


# Groups


def test_each_group_has_a_state_and_an_alert_of_its_own(store: Store) -> None:
    rule = create_rule(create_channel(), group_by=["version", "tool"])
    insert_traffic(store, NOW, failed=3, ok=7)

    assert evaluate(rule, NOW) == ["v3 refund firing"]

    alert = Alert.objects.get()
    assert alert.labels == {"version": "v3", "tool": "refund"}
    assert (alert.value, alert.samples, alert.query) == (1.0, 3, "version:v3 tool:refund")
    assert alert.evidence["causes"]["failing"] == 3
    rule.refresh_from_db()
    assert (rule.state, rule.last_value) == ("firing", 1.0)
    assert states(rule) == {"v3 refund": "firing"}  # nothing is kept of a group in which nothing happens


def test_groups_fire_and_resolve_apart(store: Store) -> None:
    rule = create_rule(group_by=["agent"], window_s=60)
    insert_at(store, NOW - 50 * SECOND, {"agents": ["a"], "outcome": "error"})
    insert_at(store, NOW - 10 * SECOND, {"agents": ["b"], "outcome": "error"}, {"agents": ["a"]})

    assert sorted(evaluate(rule, NOW)) == ["a firing", "b firing"]
    assert evaluate(rule, NOW + 30 * SECOND) == ["a resolved"]
    assert evaluate(rule, NOW + 60 * SECOND) == ["b resolved"]
    rule.refresh_from_db()
    assert rule.state == "inactive"
    assert Alert.objects.filter(resolved_at=None).count() == 0


def test_rule_may_ask_for_what_people_say_of_runs(store: Store) -> None:
    rule = create_rule(query="score.review:bad", metric="requests", threshold=0.5)
    reviewed, _ = insert_at(store, NOW - 60 * SECOND, {}, {})
    told = {"gen_ai.evaluation.name": "review", "gen_ai.evaluation.score.value": 0.0}
    before = evaluate(rule, NOW)

    insert_logs(
        store, {"trace_id": reviewed, "time_ns": ns_of(NOW), "event_name": "gen_ai.evaluation.result", "attributes": told}
    )

    assert (before, evaluate(rule, NOW + SECOND)) == ([], ["firing"])
    assert Alert.objects.get().value == 1


def test_of_many_groups_that_fire_at_once_the_worst_get_their_reasons(store: Store) -> None:
    rule = create_rule(group_by=["agent"], metric="failures", threshold=0.5)
    rows = [{"agents": [f"a{n:02}"], "outcome": "error"} for n in range(12) for _ in range(12 - n)]
    insert_at(store, NOW - 60 * SECOND, *rows)

    assert len(evaluate(rule, NOW)) == 12

    explained = {alert.labels["agent"]: alert.evidence["causes"]["failing"] for alert in Alert.objects.all()}
    assert explained == {f"a{n:02}": 12 - n if n < 10 else 0 for n in range(12)}
    assert Alert.objects.get(labels={"agent": "a11"}).evidence["query"] == "agent:a11 status:error"


def test_vanished_group_counts_as_zero_where_numbers_add_up(store: Store) -> None:
    rule = create_rule(metric="requests", comparison="below", threshold=1, group_by=["agent"], window_s=60)
    insert_at(store, NOW - 30 * SECOND, {"agents": ["a"]}, {"agents": ["b"]})
    insert_at(store, NOW + 30 * SECOND, {"agents": ["a"]})

    assert evaluate(rule, NOW) == []
    assert states(rule) == {"a": "inactive", "b": "inactive"}
    assert evaluate(rule, NOW + 60 * SECOND) == ["b firing"]


@pytest.mark.parametrize(("policy", "happens"), [("ok", ["v3 resolved"]), ("keep", []), ("alert", [])])
def test_vanished_group_follows_the_policy_for_no_data(store: Store, policy: str, happens: list[str]) -> None:
    rule = create_rule(group_by=["version"], window_s=60, no_data=policy)
    insert_traffic(store, NOW, failed=3, ok=0, age_s=30)
    evaluate(rule, NOW)

    assert evaluate(rule, NOW + timedelta(minutes=5)) == happens


def test_group_without_data_for_a_day_is_forgotten(store: Store) -> None:
    rule = create_rule(group_by=["version"], window_s=60, no_data="keep")
    insert_traffic(store, NOW, failed=3, ok=0, age_s=30)
    evaluate(rule, NOW)

    assert evaluate(rule, NOW + timedelta(days=1, seconds=1)) == ["v3 resolved"]

    assert Alert.objects.get().resolve_reason == "no data for a day"
    assert states(rule) == {}


# Levels and missing data


def test_rise_from_warning_to_critical_is_a_transition_of_the_same_alert(store: Store) -> None:
    rule = create_rule(create_channel(), severity="critical", threshold=0.5, warning_threshold=0.1, window_s=60)
    insert_traffic(store, NOW, failed=2, ok=8, age_s=30)
    assert evaluate(rule, NOW) == ["firing"]
    assert Alert.objects.get().severity == "warning"
    insert_traffic(store, NOW, failed=30, ok=0, age_s=20)

    assert evaluate(rule, NOW + 15 * SECOND) == ["firing"]

    alert = Alert.objects.get()
    assert (alert.severity, alert.threshold, alert.peak_value) == ("critical", 0.5, 0.8)
    assert [row.severity for row in alert.transitions.all()] == ["warning", "critical"]
    assert Delivery.objects.count() == 2


def test_no_data_may_be_a_breach(store: Store) -> None:
    rule = create_rule(no_data="alert")

    assert evaluate(rule, NOW) == ["firing"]

    alert = Alert.objects.get()
    assert (alert.value, alert.peak_value, alert.samples) == (None, None, 0)
    assert "no data" in alert.transitions.get().reason


def test_too_few_samples_do_not_fire(store: Store) -> None:
    rule = create_rule(min_samples=4)
    insert_traffic(store, NOW, failed=3, ok=0)

    assert evaluate(rule, NOW) == []


def test_grace_waits_for_late_data(store: Store) -> None:
    rule = create_rule(grace_s=60, window_s=60)
    insert_traffic(store, NOW, failed=3, ok=0, age_s=30)

    assert evaluate(rule, NOW) == []
    assert evaluate(rule, NOW + 60 * SECOND) == ["firing"]


# Baselines


def insert_weeks(store: Store, *, failed: int, total: int, weeks: int = 4) -> None:
    for week in range(1, weeks + 1):
        at = NOW - timedelta(days=7 * week, seconds=60)
        insert_at(store, at, *[{"outcome": "error"}] * failed, *[{}] * (total - failed))


def test_spike_against_the_same_hour_of_past_weeks_fires(store: Store) -> None:
    rule = create_rule(kind="baseline", threshold=1.0)
    insert_weeks(store, failed=2, total=100)
    insert_at(store, NOW - 60 * SECOND, *[{"outcome": "error"}] * 20, *[{}] * 80)

    assert evaluate(rule, NOW) == ["firing"]

    alert = Alert.objects.get()
    assert (alert.value, alert.compared_with) == (0.2, "the same hours of the past 4 weeks")
    assert alert.baseline == pytest.approx(0.02)
    assert 0.04 < alert.threshold < 0.1  # doubled, or what chance leads to when that is more


def test_one_failure_after_weeks_without_is_no_spike(store: Store) -> None:
    rule = create_rule(kind="baseline", threshold=0.5)
    insert_weeks(store, failed=0, total=50)
    insert_at(store, NOW - 60 * SECOND, {"outcome": "error"}, *[{}] * 49)

    assert evaluate(rule, NOW) == []


def test_drop_in_traffic_is_found_and_first_weeks_are_silent(store: Store) -> None:
    rule = create_rule(kind="baseline", metric="requests", comparison="below", threshold=0.5)
    insert_at(store, NOW - 60 * SECOND, *[{}] * 10)
    assert evaluate(rule, NOW) == []

    insert_weeks(store, failed=0, total=100)

    assert evaluate(rule, NOW) == ["firing"]


def test_agent_that_falls_silent_is_found_among_others(store: Store) -> None:
    rule = create_rule(kind="baseline", metric="requests", comparison="below", threshold=0.5, group_by=["agent"])
    for week in range(4):
        at = NOW - timedelta(days=7 * week, seconds=60)
        insert_at(store, at, *[{"agents": ["a"]}] * 40, *[{"agents": ["b"]}] * (40 if week else 1))
    assert evaluate(rule, NOW) == ["b firing"]
    soon = NOW + timedelta(minutes=1)
    for week in range(1, 4):
        insert_at(store, soon - timedelta(days=7 * week, seconds=30), *[{"agents": ["a"]}] * 40)

    assert evaluate(rule, NOW + timedelta(minutes=5)) == ["a firing", "b resolved"]


# Budgets


def test_budget_of_the_day_is_of_the_rules_time_zone_and_foretells_its_end(store: Store) -> None:
    rule = create_rule(kind="budget", metric="cost", threshold=10, time_zone="Europe/Vienna")  # midnight is 23:00 UTC
    insert_at(store, NOW.replace(hour=0) - timedelta(hours=2), {"cost_usd": 100.0})
    insert_at(store, NOW - timedelta(hours=3), {"cost_usd": 9.5})
    roll_up_day(store)

    assert evaluate(rule, NOW) == []

    instance = RuleInstance.objects.get()
    assert instance.last_value == 9.5
    assert instance.spent_at == NOW + timedelta(hours=9.5) * (0.5 / 9.5)
    insert_at(store, NOW - timedelta(hours=1), {"cost_usd": 1.0})
    roll_up_day(store)
    assert evaluate(rule, NOW + timedelta(minutes=1)) == ["firing"]
    assert evaluate(rule, NOW.replace(hour=23, minute=1)) == ["resolved"]


@pytest.mark.parametrize(
    ("hour", "spent", "spent_at_hour"),
    [(12, 6.0, 20), (12, 5.1, 23.53), (12, 4.9, None), (12, 10.5, None), (12, 0.0, None), (12, None, None), (0.4, 1.0, None)],
)
def test_end_of_a_budget_is_foretold_within_its_period_alone(
    hour: float, spent: float | None, spent_at_hour: float | None
) -> None:
    rule = AlertRule(kind="budget", budget_period="day", threshold=10)
    midnight = NOW.replace(hour=0, minute=0)

    at = forecast(rule, spent, midnight + timedelta(hours=hour))

    assert (at and (at - midnight) / timedelta(hours=1)) == (spent_at_hour and pytest.approx(spent_at_hour, abs=0.01))


def test_monthly_budget_of_a_user_names_the_user(store: Store) -> None:
    rule = create_rule(kind="budget", metric="cost", threshold=10, budget_period="month", group_by=["user"])
    insert_at(store, NOW - timedelta(days=15), {"user_id": "u1", "cost_usd": 6.0}, {"user_id": "u2", "cost_usd": 6.0})
    insert_at(store, NOW - timedelta(days=1), {"user_id": "u1", "cost_usd": 6.0}, {"user_id": "", "cost_usd": 50.0})

    assert evaluate(rule, NOW) == ["u1 firing"]

    assert Alert.objects.get().value == 12.0


# Single runs


def test_dear_run_is_named(store: Store) -> None:
    rule = create_rule(kind="run", metric="run_cost", threshold=1.0)
    ids = insert_at(store, NOW - 60 * SECOND, {"cost_usd": 0.9}, {"cost_usd": 1.8}, {"cost_usd": 1.2})

    assert evaluate(rule, NOW) == ["firing"]

    alert = Alert.objects.get()
    assert (alert.value, alert.trace_id, alert.kind) == (1.8, ids[1], "run")
    assert alert.evidence["query"] == "cost:>1"
    assert alert.evidence["examples"][0]["trace_id"] in ids[1:]
    dearer = insert_at(store, NOW, {"cost_usd": 7.0})
    evaluate(rule, NOW + 15 * SECOND)
    alert.refresh_from_db()
    assert (alert.peak_value, alert.trace_id) == (7.0, dearer[0])


# Versions


def insert_versions(store: Store, *, new_failed: int, new_total: int, **of_new: Any) -> None:
    """A day of v2 with 2% failures; v3 comes two hours ago beside it."""
    for hour in range(2, 24):
        insert_at(store, NOW - timedelta(hours=hour), {"outcome": "error"}, *[{}] * 49, versions=["v2"])
    insert_at(store, NOW - timedelta(hours=1), *[{"outcome": "error"}] * 2, *[{}] * 98, versions=["v2"])
    rows = [{"outcome": "error"} | of_new] * new_failed + [of_new] * (new_total - new_failed)
    insert_at(store, NOW - timedelta(hours=1), *rows, versions=["v3"])


def guard(metric: str = "failure_rate", **overrides: Any) -> AlertRule:
    values = {"kind": "version", "threshold": 0.1, "window_s": 86_400, "min_samples": 30} | overrides
    return create_rule(metric=metric, **values)


def test_version_that_fails_more_is_found_and_named(store: Store) -> None:
    insert_versions(store, new_failed=20, new_total=100)

    assert evaluate(guard(), NOW) == ["v3 firing"]

    alert = Alert.objects.get()
    assert (alert.labels, alert.compared_with) == ({"version": "v3"}, "v2")
    assert (alert.value, alert.samples) == (0.2, 100)
    assert alert.baseline == pytest.approx(0.02)
    assert 0.02 < alert.threshold < 0.2


def test_version_that_may_be_no_worse_is_left_alone(store: Store) -> None:
    insert_versions(store, new_failed=4, new_total=100)

    assert evaluate(guard(), NOW) == []


def test_version_guard_watches_escalations_cost_and_latency(store: Store) -> None:
    insert_versions(store, new_failed=0, new_total=400, escalated=True, cost_usd=1.0, duration_ns=9 * NS_PER_S)

    for metric in ("escalation_rate", "cost_per_trace", "duration_p95"):
        assert evaluate(guard(metric, name=metric), NOW) == ["v3 firing"], metric


def test_dearer_version_is_found(store: Store) -> None:
    for hour in range(2, 24):
        insert_at(store, NOW - timedelta(hours=hour), *[{"cost_usd": 0.1 + n / 1000} for n in range(20)], versions=["v2"])
    insert_at(store, NOW - timedelta(hours=1), *[{"cost_usd": 0.1 + n / 1000} for n in range(40)], versions=["v2"])
    insert_at(store, NOW - timedelta(hours=1), *[{"cost_usd": 0.2 + n / 1000} for n in range(40)], versions=["v3"])

    assert evaluate(guard("cost_per_trace"), NOW) == ["v3 firing"]


def test_only_version_and_old_versions_are_not_guarded(store: Store) -> None:
    insert_at(store, NOW - timedelta(hours=1), *[{"outcome": "error"}] * 50, versions=["v1"])
    rule = guard()
    assert evaluate(rule, NOW) == []

    insert_versions(store, new_failed=50, new_total=100)

    assert evaluate(rule, NOW + timedelta(days=2)) == []
    assert states(rule) == {}


def test_rule_with_a_long_read_of_its_own_is_evaluated_less_often(store: Store) -> None:
    each = {"group_by": ["agent"], "next_evaluation_at": NOW}
    create_rule(name="an hour", window_s=3600, **each)
    create_rule(name="a day", window_s=86_400, **each)
    create_rule(name="every minute", window_s=86_400, interval_s=60, **each)
    create_rule(name="shared", window_s=86_400, next_evaluation_at=NOW)

    assert evaluator.evaluate_due(NOW) == []

    def due_after(seconds: int) -> set[str]:
        ids = find_due_rules(NOW + seconds * SECOND)
        return set(AlertRule.objects.filter(pk__in=ids).values_list("name", flat=True))

    assert due_after(15) == {"an hour", "shared"}
    assert due_after(60) == {"an hour", "shared", "every minute"}
    assert due_after(300) == {"an hour", "shared", "every minute", "a day"}


# Hours of rest


def test_rule_rests_outside_its_hours_and_resolves_what_fires(store: Store) -> None:
    hours = {"days": [0, 1, 2, 3, 4], "start": "09:00", "end": "17:00"}
    rule = create_rule(schedule=hours, time_zone="Europe/Vienna")  # 09:00 there is 08:00 UTC
    insert_traffic(store, NOW, failed=3, ok=0)
    insert_traffic(store, NOW.replace(hour=16), failed=3, ok=0)

    assert evaluate(rule, NOW) == ["firing"]
    assert evaluate(rule, NOW.replace(hour=16, minute=1)) == ["resolved"]
    assert Alert.objects.get().resolve_reason == "the rule rests outside its hours"
    assert evaluate(rule, NOW + timedelta(days=1)) == []


def test_hours_over_midnight_belong_to_the_day_on_which_they_start(store: Store) -> None:
    rule = create_rule(schedule={"days": [4], "start": "22:00", "end": "06:00"})
    saturday = NOW.replace(hour=5, minute=0) + timedelta(days=1)
    insert_traffic(store, saturday, failed=3, ok=0)
    insert_traffic(store, NOW.replace(hour=5), failed=3, ok=0)

    assert evaluate(rule, NOW.replace(hour=5)) == []
    assert evaluate(rule, saturday) == ["firing"]


# Rules that fail, and many rules at once


def test_rule_that_fails_again_and_again_tells_its_channels(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = create_rule(create_channel())
    with monkeypatch.context() as patch:
        patch.setattr("alerts.rules.evaluator.observe_rules", lambda *_: [StoreError("Code 42")])
        happened = [evaluate(rule, NOW + 15 * turn * SECOND) for turn in range(broken.FAILURES_BEFORE_ALERT + 2)]

    assert happened == [[], [], [], ["firing"], [], []]
    alert = Alert.objects.get()
    assert alert.is_about_rule
    assert "Code 42" in alert.transitions.get().reason
    assert Delivery.objects.count() == 1
    assert evaluate(rule, NOW + timedelta(minutes=5)) == ["resolved"]
    assert Delivery.objects.count() == 2
    assert evaluate(rule, NOW + timedelta(minutes=6)) == []


def test_turn_that_two_workers_fail_counts_once(store: Store) -> None:
    rule = create_rule(create_channel(), failed_evaluations=broken.FAILURES_BEFORE_ALERT - 1)
    copies = [AlertRule.objects.get(pk=rule.pk) for _ in range(2)]  # the first worker's lease ran out while the store was slow

    happened = [evaluator._fail(copy, StoreError("too slow"), NOW) for copy in copies]

    assert [len(transitions) for transitions in happened] == [1, 0]
    assert AlertRule.objects.get().failed_evaluations == broken.FAILURES_BEFORE_ALERT


def test_store_that_is_away_fails_every_rule_and_loses_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [create_rule(name=f"rule {n}") for n in range(3)]

    def fail(*_: Any) -> None:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr("alerts.rules.evaluator.observe_rules", fail)

    assert evaluator.evaluate_due(NOW) == []

    assert set(AlertRule.objects.values_list("last_error", flat=True)) == {"connection refused"}
    assert set(find_due_rules(NOW + 15 * SECOND)) == {rule.pk for rule in rules}


def test_many_rules_are_evaluated_in_one_pass(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traffic(store, NOW, failed=3, ok=7)
    for n in range(40):
        create_rule(name=f"{n}", query=f"version:v{n % 4}", metric="requests", threshold=float(n % 10))
    bad = create_rule(name="luck", metric="luck")
    asked: list[str] = []
    run = Store.query_rows

    def count(self: Store, sql: str, **params: Any) -> Any:
        asked.append(sql)
        return run(self, sql, **params)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "query_rows", count)
        transitions = evaluator.evaluate_due(NOW)

    fired = {row.rule.name for row in transitions if row.rule}
    assert fired == {f"{n}" for n in range(40) if {2: 7, 3: 3}.get(n % 4, 0) > n % 10}
    assert len([sql for sql in asked if "matches0" in sql]) == 1
    bad.refresh_from_db()
    assert "no metric" in bad.last_error
    assert evaluator.evaluate_due(NOW) == []


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_for_many_rules_evaluate_each_once(store: Store) -> None:
    insert_traffic(store, NOW, failed=3, ok=7)
    ids = [create_rule(create_channel(name=f"{n}"), name=f"{n}").pk for n in range(6)]
    start = threading.Barrier(3)
    results: list[AlertTransition] = []

    def work() -> None:
        start.wait(60)
        results.extend(evaluator.evaluate_rules(ids, NOW))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)

    assert sorted(row.rule_id for row in results if row.rule_id) == sorted(ids)
    assert (Alert.objects.count(), Delivery.objects.count()) == (6, 6)
