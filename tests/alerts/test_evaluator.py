from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

import pytest
from django.db import DataError, connections

from alerts.evidence.gathering import collect_evidence
from alerts.models import Alert, AlertRule, AlertTransition, Delivery, Route, Silence
from alerts.rules import editing, evaluator, schedule
from alerts.rules.observing import Sight, judged_window, observe_rules, window_before
from alerts.rules.recording import record_change
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, find_due_rules, insert_traffic
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.timerange import NS_PER_S, TimeRange, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_breach_fires_with_an_alert_a_transition_and_its_reasons(store: Store) -> None:
    rule = create_rule(create_channel())
    failed, _ = insert_traffic(store, NOW, failed=3, ok=7)

    transition = evaluate_rule(rule.pk, NOW)

    assert transition is not None
    assert (transition.from_state, transition.to_state) == ("inactive", "firing")
    rule.refresh_from_db()
    assert (rule.state, rule.last_evaluated_at) == ("firing", NOW)
    assert rule.last_value == pytest.approx(0.3)
    alert = Alert.objects.get()
    assert (alert.state, alert.started_at, alert.threshold) == ("firing", NOW, 0.1)
    causes = alert.evidence["causes"]
    assert (causes["failing"], causes["others"]) == (3, 7)
    assert [(tool["value"], tool["failing"]) for tool in causes["failing_tools"]] == [("refund", 3)]
    assert next((found["field"], found["value"]) for found in alert.evidence["distinctions"]) == ("version", "v3")
    assert {example["trace_id"] for example in alert.evidence["examples"]} == set(failed)
    assert Delivery.objects.count() == 1


def test_value_within_its_threshold_changes_nothing(store: Store) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=1, ok=99)

    assert evaluate_rule(rule.pk, NOW) is None

    rule.refresh_from_db()
    assert rule.state == "inactive"
    assert rule.last_value == pytest.approx(0.01)
    assert not AlertTransition.objects.exists()


def test_no_traces_are_no_data_and_no_breach(store: Store) -> None:
    rule = create_rule(comparison="below", threshold=0.5)

    assert evaluate_rule(rule.pk, NOW) is None

    rule.refresh_from_db()
    assert (rule.last_value, rule.last_evaluated_at) == (None, NOW)


def test_rule_is_evaluated_on_the_traces_of_its_query_alone(store: Store) -> None:
    rule = create_rule(query="version:v2")
    insert_traffic(store, NOW, failed=5, ok=5)

    evaluate_rule(rule.pk, NOW)

    rule.refresh_from_db()
    assert (rule.state, rule.last_value) == ("inactive", 0.0)


def evaluate_every(rule: AlertRule, start: datetime, seconds: int, times: int) -> list[str]:
    """Evaluate in steps; return the states that the transitions led to."""
    steps = (evaluate_rule(rule.pk, start + timedelta(seconds=seconds * step)) for step in range(times))
    return [transition.to_state for transition in steps if transition]


def test_hold_passes_through_pending_and_every_change_is_a_row(store: Store) -> None:
    rule = create_rule(hold_s=30)
    insert_traffic(store, NOW, failed=3, ok=7)

    states = evaluate_every(rule, NOW, 15, 3)

    assert states == ["pending", "firing"]
    alert = Alert.objects.get()
    assert alert.started_at == NOW + timedelta(seconds=30)
    assert [(row.from_state, row.to_state) for row in alert.transitions.all()] == [("inactive", "pending"), ("pending", "firing")]


def test_short_breach_returns_to_inactive_without_an_alert(store: Store) -> None:
    rule = create_rule(hold_s=60, window_s=60)
    insert_traffic(store, NOW, failed=3, ok=7, age_s=30)

    states = evaluate_every(rule, NOW, 45, 2)

    assert states == ["pending", "inactive"]
    assert not Alert.objects.exists()


def test_hold_starts_again_when_nobody_looked_in_between(store: Store) -> None:
    rule = create_rule(hold_s=600, window_s=3600)
    insert_traffic(store, NOW, failed=3, ok=7)
    evaluate_rule(rule.pk, NOW)

    after_a_pause = evaluate_rule(rule.pk, NOW + timedelta(minutes=20))

    assert after_a_pause is None
    rule.refresh_from_db()
    assert (rule.state, rule.state_since) == ("pending", NOW + timedelta(minutes=20))


def test_firing_rule_resolves_and_tells_the_channels_again(store: Store) -> None:
    rule = create_rule(create_channel(), window_s=60)
    insert_traffic(store, NOW, failed=3, ok=7, age_s=30)

    states = evaluate_every(rule, NOW, 45, 2)

    assert states == ["firing", "resolved"]
    alert = Alert.objects.get()
    assert (alert.state, alert.resolved_at, alert.length_s) == ("resolved", NOW + timedelta(seconds=45), 45)
    rule.refresh_from_db()
    assert rule.state == "inactive"
    assert [delivery.transition.to_state for delivery in Delivery.objects.all()] == ["firing", "resolved"]


def test_alert_remembers_its_worst_value(store: Store) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=2, ok=8)
    evaluate_rule(rule.pk, NOW)
    insert_traffic(store, NOW, failed=10, ok=0)

    evaluate_rule(rule.pk, NOW + timedelta(seconds=15))

    alert = Alert.objects.get()
    assert alert.value == pytest.approx(0.2)
    assert alert.peak_value == pytest.approx(0.6)


def test_rule_is_not_evaluated_before_its_time(store: Store) -> None:
    rule = create_rule()
    evaluate_rule(rule.pk, NOW)

    evaluate_rule(rule.pk, NOW + timedelta(seconds=5))

    rule.refresh_from_db()
    assert rule.last_evaluated_at == NOW
    assert find_due_rules(NOW + timedelta(seconds=5)) == []
    assert find_due_rules(NOW + timedelta(seconds=15)) == [rule.pk]


def test_disabled_rule_is_not_evaluated(store: Store) -> None:
    rule = create_rule(enabled=False)

    evaluate_rule(rule.pk, NOW)

    rule.refresh_from_db()
    assert rule.last_evaluated_at is None


def test_store_failure_keeps_the_state_and_is_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = create_rule(state="firing")

    def fail(*_: Any, **__: Any) -> float:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr("alerts.rules.evaluator.observe_rules", fail)

    evaluate_rule(rule.pk, NOW)

    rule.refresh_from_db()
    assert (rule.state, rule.last_error) == ("firing", "connection refused")


def test_alert_fires_even_when_its_evidence_cannot_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)

    def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(evaluator, "collect_evidence", fail)

    evaluate_rule(rule.pk, NOW)

    assert Alert.objects.get().evidence["query"] == "status:error"


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_race_make_one_alert(store: Store) -> None:
    rule = create_rule(create_channel())
    insert_traffic(store, NOW, failed=3, ok=7)
    start = threading.Barrier(4)
    results: list[AlertTransition | None] = []

    def evaluate() -> None:
        start.wait(60)
        results.append(evaluate_rule(rule.pk, NOW))
        connections.close_all()

    threads = [threading.Thread(target=evaluate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)

    assert len(results) == 4
    assert len([result for result in results if result]) == 1
    assert (Alert.objects.count(), AlertTransition.objects.count(), Delivery.objects.count()) == (1, 1, 1)


def test_evaluation_that_an_edit_overtook_is_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)
    measure = observe_rules

    def measure_while_someone_edits(*args: Any, **kwargs: Any) -> Any:
        edited = AlertRule.objects.get(pk=rule.pk)
        edited.threshold = 0.9
        editing.save_rule(edited, NOW)
        return measure(*args, **kwargs)

    monkeypatch.setattr("alerts.rules.evaluator.observe_rules", measure_while_someone_edits)

    assert evaluate_rule(rule.pk, NOW) is None

    rule.refresh_from_db()
    assert (rule.state, rule.threshold) == ("inactive", 0.9)
    assert not Alert.objects.exists()


def test_editing_the_condition_resolves_a_firing_alert_and_says_why(store: Store) -> None:
    rule = create_rule(create_channel())
    insert_traffic(store, NOW, failed=3, ok=7)
    evaluate_rule(rule.pk, NOW)
    rule.refresh_from_db()
    rule.threshold = 0.8

    editing.save_rule(rule, NOW + timedelta(seconds=5))

    alert = Alert.objects.get()
    assert (alert.state, alert.resolve_reason) == ("resolved", "the rule was edited")
    assert rule.state == "inactive"
    assert Delivery.objects.count() == 2


def test_renaming_a_firing_rule_leaves_its_alert_alone(store: Store) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)
    evaluate_rule(rule.pk, NOW)
    rule.refresh_from_db()
    rule.name = "Renamed"

    editing.save_rule(rule, NOW)

    assert rule.state == "firing"
    assert Alert.objects.get().state == "firing"


def test_deleting_a_firing_rule_resolves_its_alert_and_keeps_it(store: Store) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)
    evaluate_rule(rule.pk, NOW)

    editing.delete_rule(rule, NOW + timedelta(seconds=1))

    alert = Alert.objects.get()
    assert (alert.rule_id, alert.state, alert.rule_name) == (None, "resolved", "Failures")


def test_long_window_ends_with_a_whole_minute() -> None:
    moment = NOW + timedelta(seconds=42, microseconds=7)

    assert judged_window(moment, AlertRule(window_s=300)) == window_before(moment, 300)
    assert judged_window(moment, AlertRule(window_s=300, grace_s=42)).end_ns == window_before(moment, 42).start_ns
    assert judged_window(moment, AlertRule(window_s=86_400)) == window_before(NOW, 86_400)


@pytest.mark.parametrize(("hour", "ends_after_s"), [(8, 0), (5, 42)])
def test_budget_of_many_hours_ends_with_a_whole_minute(store: Store, hour: int, ends_after_s: int) -> None:
    rule, moment = create_rule(kind="budget", metric="cost", threshold=10), NOW.replace(hour=hour)

    [[sight]] = cast("list[list[Sight]]", observe_rules(store, [rule], moment + timedelta(seconds=42)))

    assert sight.time_range == TimeRange(ns_of(NOW.replace(hour=0, minute=0)), ns_of(moment + timedelta(seconds=ends_after_s)))


def test_evaluation_slower_than_the_interval_still_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)
    measure = observe_rules
    due_meanwhile: list[int] = []

    def measure_slowly(*args: Any, **kwargs: Any) -> Any:
        due_meanwhile.extend(find_due_rules(NOW + timedelta(seconds=30)))
        monkeypatch.setattr("alerts.rules.evaluator.observe_rules", measure)
        evaluate_rule(rule.pk, NOW + timedelta(seconds=90))  # the lease has run out: someone else begins
        return measure(*args, **kwargs)

    monkeypatch.setattr("alerts.rules.evaluator.observe_rules", measure_slowly)

    evaluate_rule(rule.pk, NOW)

    assert due_meanwhile == []
    assert Alert.objects.count() == 1
    assert find_due_rules(NOW + timedelta(seconds=90 + 15)) == [rule.pk]


def test_overtaken_evaluation_counts_when_the_one_that_overtook_has_no_result_yet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)

    def collect_while_someone_else_begins(*args: Any) -> Any:
        AlertRule.objects.filter(pk=rule.pk).update(next_evaluation_at=NOW)
        assert schedule.claim([rule.pk], NOW)
        return collect_evidence(*args)

    monkeypatch.setattr(evaluator, "collect_evidence", collect_while_someone_else_begins)

    assert evaluate_rule(rule.pk, NOW) is not None

    assert Alert.objects.count() == 1


def test_rule_goes_on_after_the_clock_was_set_back(store: Store) -> None:
    rule = create_rule()
    evaluate_rule(rule.pk, NOW)
    earlier = NOW - timedelta(hours=5)

    assert find_due_rules(earlier) == [rule.pk]
    evaluate_rule(rule.pk, earlier)

    rule.refresh_from_db()
    assert rule.last_evaluated_at == earlier


def test_resolved_goes_to_whom_firing_went(store: Store) -> None:
    told, added = create_channel(name="Told"), create_channel(name="Added later")
    rule = create_rule(told, window_s=60)
    insert_traffic(store, NOW, failed=3, ok=7, age_s=30)
    evaluate_rule(rule.pk, NOW)
    rule.channels.set([added])

    evaluate_rule(rule.pk, NOW + timedelta(seconds=45))

    resolved = Delivery.objects.filter(transition__to_state="resolved")
    assert [delivery.channel for delivery in resolved] == [told]


# What nobody foresaw: one odd rule costs no other its evaluation


def test_rule_that_breaks_costs_no_other_rule_its_alert(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    insert_traffic(store, NOW, failed=3, ok=7)
    odd = [
        create_rule(name="of a later version", metric="no_such_metric", comparison="below", kind="baseline"),
        create_rule(name="gone zone", kind="budget", metric="cost", time_zone="Nowhere/Gone"),
        create_rule(name="gone hours", time_zone="Nowhere/Gone", schedule={"start": "08:00", "end": "18:00", "days": [0]}),
    ]
    good = create_rule()

    evaluator.evaluate_due(NOW)

    assert [alert.rule_id for alert in Alert.objects.all()] == [good.pk]
    for rule in odd:
        rule.refresh_from_db()
        assert rule.last_error
        assert rule.failed_evaluations == 1
    assert {record.getMessage().split(" (")[0] for record in caplog.records if record.levelname == "ERROR"} == {
        f"alert rule {rule.pk}" for rule in odd[1:]
    }


def test_rule_whose_change_cannot_be_written_costs_no_other_rule_its_alert(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traffic(store, NOW, failed=3, ok=7)
    odd, good = create_rule(name="odd"), create_rule()

    def refuse_odd(rule: AlertRule, *rest: Any) -> Any:
        if rule.pk == odd.pk:
            raise DataError("unsupported Unicode escape sequence")
        return record_change(rule, *rest)

    monkeypatch.setattr(evaluator, "record_change", refuse_odd)

    evaluator.evaluate_due(NOW)

    assert [alert.rule_id for alert in Alert.objects.all()] == [good.pk]
    odd.refresh_from_db()
    assert odd.last_error == "internal error (DataError); the server's log says more"


def test_alert_fires_even_when_its_evidence_breaks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = create_rule()
    insert_traffic(store, NOW, failed=3, ok=7)
    monkeypatch.setattr(evaluator, "collect_evidence", lambda *_: 1 / 0)

    evaluate_rule(rule.pk, NOW)

    assert Alert.objects.get().evidence["query"] == "status:error"


def test_alert_keeps_nothing_that_postgres_refuses(store: Store) -> None:
    """Postgres has no U+0000, neither in text nor in JSON; a tool that prints binary has."""
    rule = create_rule(create_channel(), group_by=["version"])
    trace = {"outcome": "error", "versions": ["v\0"], "error_message": "bad magic: \0\0PK", "error_types": ["\0"]}
    insert_traces(store, *[trace] * 3, start_ns=ns_of(NOW) - 60 * NS_PER_S)

    evaluate_rule(rule.pk, NOW)

    alert = Alert.objects.get()
    assert alert.labels == {"version": "v\ufffd"}
    kept = [alert.evidence, *AlertTransition.objects.values_list("evidence", "labels"), *rule.instances.values_list("labels")]
    assert "\\u0000" not in json.dumps(kept)


def test_silence_and_route_that_can_no_longer_be_read_hold_up_no_alert(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    rule = create_rule(create_channel())
    odd = Silence.objects.create(
        project=rule.project, matcher="", starts_at=NOW - timedelta(days=9), weekdays=[0], time_of_day=time(8), length_s=3600,
        time_zone="Nowhere/Gone",
    )  # fmt: skip
    route = Route.objects.create(project=rule.project, name="odd", matcher="service ~~ of an older language", position=1)
    insert_traffic(store, NOW, failed=3, ok=7)

    evaluate_rule(rule.pk, NOW)

    assert Alert.objects.get().state == "firing"
    assert Delivery.objects.count() == 1
    said = [record.getMessage() for record in caplog.records if record.name == "alerts.on_call.telling"]
    assert [line.partition(":")[0] for line in said] == [f"route {route.pk} is left out", f"silence {odd.pk} is left out"]


def test_group_whose_name_no_query_can_hold_fires_like_the_others(store: Store) -> None:
    rule = create_rule(group_by=["user"])
    for user in ("u" * 3000, "u17"):
        insert_traffic(store, NOW, failed=3, ok=0, user_id=user)

    evaluator.evaluate_rules([rule.pk], NOW)

    assert {len(alert.labels["user"]) for alert in Alert.objects.all()} == {3, 3000}
