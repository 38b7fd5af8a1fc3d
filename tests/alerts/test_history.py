from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from alerts.evidence.focus import narrow
from alerts.models import Alert, Incident
from alerts.on_call import incidents
from alerts.past import detection
from alerts.past.detection import find_beginning
from alerts.past.history import Episode, find_history, summarise
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.incidents import begin, end
from tests.factories import default_project
from tracestore.clickhouse.client import Store

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "beginning"),
    [
        ([], None),
        ([0.0, 0.1], None),
        ([0.0, 0.9, 0.9], 1),
        ([0.9, 0.0, 0.9], 2),
        ([0.9, None, 0.9, None], 0),
        ([None, 0.9], 1),
        ([0.9, 0.9, 0.1], None),
        ([0.5], None),  # equal is no breach
    ],
)
def test_beginning_is_where_the_last_unbroken_run_of_breaches_starts(values: list[float | None], beginning: int | None) -> None:
    assert find_beginning(list(enumerate(values)), comparison="above", threshold=0.5) == beginning


def episode(resolve_s: float | None, *, paged: bool = True, cared: bool = False, detect_s: float | None = None) -> Episode:
    return Episode(1, "Rule", "warning", detect_s, resolve_s, paged, cared)


@pytest.mark.parametrize(
    ("episodes", "pages", "noise", "short", "score"),
    [
        ([], 0, 0, 0, None),
        ([episode(60)], 1, 1, 1, 1.0),
        ([episode(301)], 1, 1, 0, 1.0),
        ([episode(60, cared=True)], 1, 0, 0, 0.0),
        ([episode(60, paged=False)], 0, 0, 0, None),
        ([episode(None)], 1, 0, 0, None),  # not over: nobody can say yet
        ([episode(60), episode(900, cared=True), episode(900), episode(None)], 4, 2, 1, 2 / 3),
    ],
)
def test_noise_is_the_share_of_ended_pages_that_nobody_did_anything_about(
    episodes: list[Episode], pages: int, noise: int, short: int, score: float | None
) -> None:
    record = summarise(episodes)

    assert (record.pages, record.noise, record.short) == (pages, noise, short)
    assert record.noise_score == (None if score is None else pytest.approx(score))


def test_times_are_medians_of_what_is_known() -> None:
    record = summarise([episode(10, detect_s=1), episode(30, detect_s=3), episode(100, detect_s=None), episode(None)])

    assert (record.detect_s, record.resolve_s) == (2, 30)


@pytest.mark.django_db
def test_history_of_a_project_by_rule() -> None:
    phone = create_channel()
    noisy, needed = create_rule(phone, name="Noisy"), create_rule(phone, name="Needed")
    end(begin(noisy, NOW), NOW + timedelta(minutes=1))
    later = NOW + timedelta(hours=5)
    alert = begin(needed, later, breached_at=later - timedelta(minutes=4))
    incidents.acknowledge(Incident.objects.get(alerts=alert).pk, "ann", later + timedelta(minutes=2))
    end(alert, later + timedelta(minutes=30))
    begin(create_rule(name="Too early"), NOW - timedelta(days=9))

    found = find_history(1, NOW - timedelta(days=1), NOW + timedelta(days=1))

    assert [(record.rule_name, record.pages, record.noise, record.short, record.noise_score) for record in found.records] == [
        ("Noisy", 1, 1, 1, 1.0),
        ("Needed", 1, 0, 0, 0.0),
    ]
    assert found.records[1].detect_s == 240
    assert (found.incidents, found.acknowledge_s, found.resolve_s) == (2, 120, (60 + 1800) / 2)
    assert found.total.noise_score == 0.5


@pytest.mark.django_db
def test_breach_that_took_minutes_to_be_noticed_is_dated_back(store: Store) -> None:
    rule = create_rule(window_s=3600, threshold=0.3)
    insert_traffic(store, NOW, failed=0, ok=10, age_s=1800)
    insert_traffic(store, NOW, failed=6, ok=0, age_s=400)
    evaluate_rule(rule.pk, NOW)

    detection.measure_beginnings(store, NOW)

    assert Alert.objects.get().breached_at == datetime(2026, 11, 20, 8, 23, tzinfo=UTC)


@pytest.mark.django_db
def test_alert_whose_beginning_breaks_costs_no_other_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traffic(store, NOW, failed=6, ok=0, age_s=400)
    for name, query in (("odd", "status:error"), ("good", "")):
        evaluate_rule(create_rule(name=name, window_s=3600, threshold=0.3, query=query).pk, NOW)
    odd = Alert.objects.get(rule_name="odd")
    monkeypatch.setattr(detection, "narrow", lambda query, labels: narrow(query, labels) if query != odd.query else 1 / 0)

    detection.measure_beginnings(store, NOW)

    assert odd.pk < Alert.objects.get(rule_name="good").pk
    assert not Alert.objects.filter(breached_at=None).exists()


@pytest.mark.django_db
def test_page_names_the_rules_and_the_empty_one_says_what_it_would(client: Client) -> None:
    default_project()
    assert "Nothing fired in 7 days" in client.get("/alerts/history?days=7").content.decode()
    end(begin(create_rule(create_channel(), name="Noisy"), timezone.now() - timedelta(minutes=2)), timezone.now())

    page = client.get("/alerts/history?days=nonsense").content.decode()

    assert "Noisy" in page
    assert "1 under 5&nbsp;m" in page
    assert "100%" in page
