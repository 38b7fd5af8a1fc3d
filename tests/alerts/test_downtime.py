"""What Tracestore could not receive is no silence of agents: no alert begins by it, and none ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from alerts.models import AlertRule
from alerts.past.observations import observe_past
from alerts.past.preview import preview_rule
from alerts.rules import evaluator
from tests.alerts.factories import create_rule, insert_traffic
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.intake import reception
from tracestore.models import Reception
from tracestore.timerange import TimeRange, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
WEEK = timedelta(weeks=1)


def receive(began: datetime, seen: datetime) -> None:
    Reception.objects.create(began_at=began, seen_at=seen, stored_until=seen)


def down(minutes: float, since: datetime = NOW, until: datetime = NOW + timedelta(hours=9)) -> datetime:
    """Tracestore was down for so long; return when it was up again."""
    up = since + timedelta(minutes=minutes)
    receive(since - timedelta(days=1), since)
    receive(up, until)
    return up


def insert(store: Store, at: datetime, count: int, **columns: Any) -> None:
    insert_traces(store, *[{}] * count, start_ns=ns_of(at), **columns)


def evaluate(rule: AlertRule, now: datetime) -> list[str]:
    return [change.to_state for change in evaluator.evaluate_rules([rule.pk], now)]


def silence_rule(**overrides: Any) -> AlertRule:
    return create_rule(**{"metric": "requests", "comparison": "below", "threshold": 1, "window_s": 120} | overrides)


def test_silence_of_the_own_making_wakes_nobody(store: Store) -> None:
    rule = silence_rule()
    insert(store, NOW - timedelta(seconds=5), 10)
    up = down(10)

    # Half a minute after the start the first exporters have tried again, and traffic goes on.
    assert [evaluate(rule, up + timedelta(seconds=s)) for s in (1, 20)] == [[], []]
    insert(store, up + timedelta(seconds=30), 10)
    assert [evaluate(rule, up + timedelta(seconds=s)) for s in (40, 100)] == [[], []]


def test_silence_that_goes_on_after_the_start_is_told_once_a_whole_window_was_received(store: Store) -> None:
    rule = silence_rule()
    insert(store, NOW - timedelta(seconds=5), 10)
    up = down(10)

    told = [evaluate(rule, up + timedelta(seconds=s)) for s in range(15, 241, 15)]

    assert told == [[]] * 11 + [["firing"]] + [[]] * 4  # a minute for retries and the window


def find_wait(rule: AlertRule) -> datetime | None:
    """Return until when the rule waits, as the API says it; None when it does not wait."""
    [group] = Client().get(f"/api/v1/alert-rules/{rule.pk}").json()["groups"]
    assert group["is_waiting"] == (group["waits_until"] is not None)
    return datetime.fromisoformat(group["waits_until"]) if group["is_waiting"] else None


@pytest.mark.parametrize(
    ("columns", "waits_s"),
    [({"window_s": 120}, 60 + 120), ({"window_s": 120, "grace_s": 30}, 60 + 30 + 120), ({"window_s": 4 * 3600}, 60 + 15 * 60)],
)
def test_rule_says_until_when_it_waits(store: Store, columns: dict[str, int], waits_s: int) -> None:
    rule = silence_rule(**columns)
    up = down(6 * 60)

    evaluate(rule, up + timedelta(seconds=20))
    assert find_wait(rule) == up + timedelta(seconds=waits_s)
    evaluate(rule, up + timedelta(seconds=waits_s - 15))
    assert find_wait(rule) == up + timedelta(seconds=waits_s)

    assert evaluate(rule, up + timedelta(seconds=waits_s)) == ["firing"]
    assert find_wait(rule) is None


def test_list_and_page_of_a_waiting_rule_say_so(store: Store) -> None:
    rule = silence_rule()
    evaluate(rule, down(10) + timedelta(seconds=20))

    for path in ("/alerts/rules", f"/alerts/rules/{rule.pk}"):
        assert "Waits until 2026-11-20 08:43:00 UTC" in Client().get(path).content.decode()
    assert "Waiting" in Client().get("/alerts/rules").content.decode()


def test_rule_waits_without_an_end_while_nothing_can_be_received(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "_STARTED", NOW - timedelta(days=1))
    rule = silence_rule()
    receive(NOW - timedelta(days=1), NOW)

    evaluate(rule, NOW + timedelta(minutes=2))

    assert "Waits until Tracestore receives again" in Client().get("/alerts/rules").content.decode()


def test_of_a_long_window_a_quarter_of_an_hour_is_enough(store: Store) -> None:
    rule = silence_rule(window_s=4 * 3600)
    up = down(6 * 60)

    told = [evaluate(rule, up + timedelta(minutes=m)) for m in (1, 8, 15, 16)]

    assert told == [[], [], [], ["firing"]]


def test_silence_that_fires_goes_on_firing_while_nothing_can_be_received(store: Store) -> None:
    rule = silence_rule()
    insert(store, NOW - timedelta(minutes=10), 10)
    assert evaluate(rule, NOW) == ["firing"]
    up = down(10)

    assert [evaluate(rule, up + timedelta(seconds=s)) for s in (1, 60, 150, 300)] == [[]] * 4


def test_vanished_group_is_not_told_after_a_downtime(store: Store) -> None:
    rule = silence_rule(group_by=["agent"])
    insert(store, NOW - timedelta(seconds=5), 10, agents=["a"])
    assert evaluate(rule, NOW) == []
    up = down(10)

    assert evaluate(rule, up + timedelta(seconds=30)) == []
    assert evaluate(rule, up + timedelta(seconds=200)) == ["firing"]


def test_number_that_is_too_small_for_want_of_time_is_no_breach(store: Store) -> None:
    rule = silence_rule(threshold=100, window_s=3600)
    up = down(30)
    insert(store, up + timedelta(minutes=5), 80)

    # 80 of half an hour would be 160 of a whole one, 80 of 45 minutes 107, and of 49 they would be 98.
    assert evaluate(rule, up + timedelta(minutes=31)) == []
    assert evaluate(rule, up + timedelta(minutes=46)) == []
    assert evaluate(rule, up + timedelta(minutes=50)) == ["firing"]


def test_failing_that_cannot_be_seen_is_not_resolved(store: Store) -> None:
    rule = create_rule(window_s=120)
    insert_traffic(store, NOW, failed=5, ok=5, age_s=5)
    assert evaluate(rule, NOW) == ["firing"]
    up = down(10)

    assert evaluate(rule, up + timedelta(seconds=20)) == []
    insert_traffic(store, up + timedelta(seconds=30), failed=0, ok=10, age_s=0)
    assert evaluate(rule, up + timedelta(seconds=40)) == ["resolved"]


def test_missing_data_of_the_own_making_are_no_breach(store: Store) -> None:
    rule = create_rule(window_s=120, no_data="alert")
    up = down(10)

    assert evaluate(rule, up + timedelta(seconds=20)) == []
    assert evaluate(rule, up + timedelta(seconds=200)) == ["firing"]


def test_week_with_a_downtime_is_none_to_compare_amounts_with(store: Store) -> None:
    rule = create_rule(kind="baseline", metric="requests", threshold=0.5, window_s=1800, baseline_weeks=2)
    receive(NOW - 9 * WEEK, NOW - WEEK - timedelta(minutes=25))
    receive(NOW - WEEK - timedelta(minutes=1), NOW + timedelta(days=1))
    insert(store, NOW - WEEK - timedelta(minutes=28), 10)  # and then nothing more could come
    insert(store, NOW - 2 * WEEK - timedelta(minutes=20), 100)
    insert(store, NOW - timedelta(minutes=20), 100)

    assert evaluate(rule, NOW) == []

    rule.refresh_from_db()
    assert rule.instances.get().last_baseline == 100


def test_drop_against_past_weeks_is_none_after_a_downtime(store: Store) -> None:
    rule = create_rule(kind="baseline", metric="requests", comparison="below", threshold=0.5, window_s=1800, baseline_weeks=1)
    up = down(20)
    insert(store, up - WEEK - timedelta(minutes=5), 100)
    insert(store, up - WEEK + timedelta(minutes=2), 1)
    insert(store, up + timedelta(minutes=4), 30)

    assert evaluate(rule, up + timedelta(minutes=9)) == []


def test_preview_and_backtest_show_no_alert_for_a_downtime(store: Store) -> None:
    rule = silence_rule(window_s=300, hold_s=0)
    for minute in range(0, 60):
        if not 20 <= minute < 41:
            insert(store, NOW + timedelta(minutes=minute, seconds=30), 1)
    down(20, since=NOW + timedelta(minutes=20))
    hour = TimeRange(ns_of(NOW), ns_of(NOW + timedelta(hours=1)))

    assert preview_rule(store, rule, hour).episodes == []
    judged = [seen.might_be for group in observe_past(store, rule, hour, 60) for seen in group.observations if not seen.value]
    assert judged
    assert None not in judged
