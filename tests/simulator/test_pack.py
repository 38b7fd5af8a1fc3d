"""The ready-made pack against weeks of simulated traffic: it notices every incident, names its cause, and is silent otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoDbBlocker

from alerts.models import Alert, AlertRule, RuleKind
from alerts.past.backtest import run_backtest
from alerts.rules.pack import LABEL, add_pack
from tests.factories import default_project
from tests.simulator.clock import live_through
from tests.simulator.traffic import CAUSES, Incident, Kind, Traffic, to_ns, write_traffic
from tracestore.clickhouse.client import Store
from tracestore.timerange import TimeRange

pytestmark = pytest.mark.django_db
# A Monday. Two quiet weeks, in the second of which v7 follows v6, then five days with something wrong on each.
START = datetime(2026, 6, 1, tzinfo=UTC)
SECOND, THIRD, END = START + timedelta(weeks=1), START + timedelta(weeks=2), START + timedelta(weeks=2, days=5)
BUDGETS = {"daily_budget_usd": 400.0, "user_quota_usd": 30.0}
EVALUATION = timedelta(minutes=1)


@dataclass(frozen=True)
class Expected:
    """An incident and the rule of the pack that must notice it within `within`: its window and hold."""

    incident: Incident
    slug: str
    within: timedelta
    step: timedelta = EVALUATION


def incident(kind: Kind, day: int, hour: int, hours: float) -> Incident:
    start = THIRD + timedelta(days=day, hours=hour)
    return Incident(kind, start, start + timedelta(hours=hours))


EXPECTED = (
    Expected(incident(Kind.TOOL_OUTAGE, 0, 9, 1), "tool-failures", timedelta(minutes=10)),
    Expected(incident(Kind.MODEL_OUTAGE, 0, 14, 1), "model-down", timedelta(minutes=5)),
    Expected(incident(Kind.SLOW_MODEL, 1, 9, 1), "slow", timedelta(minutes=20)),
    Expected(incident(Kind.LOOP, 1, 14, 1), "dear-run", timedelta(minutes=10)),
    Expected(incident(Kind.LOOP, 1, 14, 1), "waste", timedelta(minutes=40)),
    Expected(incident(Kind.TRAFFIC_DROP, 2, 14, 1), "traffic-stopped", timedelta(minutes=15)),
    Expected(incident(Kind.COST_LEAK, 3, 8, 12), "daily-cost", timedelta(hours=16), timedelta(minutes=30)),
    Expected(incident(Kind.GREEDY_USER, 4, 8, 14), "user-quota", timedelta(hours=14), timedelta(hours=1)),
    Expected(incident(Kind.BAD_VERSION, 4, 12, 12), "version-failures", timedelta(hours=2), timedelta(minutes=10)),
)


@pytest.fixture(scope="module")
def weeks(_migrated_store: Store, django_db_blocker: DjangoDbBlocker) -> Iterator[Store]:
    for table in ("traces", "rollups"):
        _migrated_store.command(f"TRUNCATE TABLE {table}")
    incidents = tuple(dict.fromkeys(expected.incident for expected in EXPECTED))
    write_traffic(_migrated_store, Traffic(START, END, incidents, released=SECOND + timedelta(days=2, hours=12)))
    yield _migrated_store
    for table in ("traces", "rollups"):
        _migrated_store.command(f"TRUNCATE TABLE {table}")


@pytest.fixture
def rules(weeks: Store) -> dict[str, AlertRule]:
    added = add_pack(default_project(), [], START, **BUDGETS)
    return {rule.labels[LABEL]: rule for rule in added}


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: f"{expected.incident.kind}: {expected.slug}")
def test_incident_is_noticed_in_time_and_its_cause_named(weeks: Store, rules: dict[str, AlertRule], expected: Expected) -> None:
    AlertRule.objects.exclude(pk=rules[expected.slug].pk).update(enabled=False)
    start = expected.incident.start

    alerts = Alert.objects.filter(rule=rules[expected.slug]).order_by("started_at")

    live_through(weeks, start - 2 * expected.step, start + expected.within + expected.step, expected.step, until=alerts.exists)

    first = alerts.first()
    assert first, f"{expected.incident.kind} was not noticed"
    assert start < first.started_at <= start + expected.within + expected.step
    cause = CAUSES.get(expected.incident.kind)
    if cause:
        named = {**first.labels}.items() | {(found["field"], found["value"]) for found in first.evidence["distinctions"][:3]}
        assert cause in named, named


def test_quiet_week_is_silent(weeks: Store, rules: dict[str, AlertRule]) -> None:
    quiet = TimeRange(to_ns(SECOND), to_ns(THIRD))
    noisy = {}
    for slug, rule in rules.items():
        if rule.kind != RuleKind.VERSION:
            backtest = run_backtest(weeks, rule, quiet, [])
            assert backtest.has_data, slug
            noisy[slug] = [(page.labels, page.episode) for page in backtest.pages]

    assert {slug: pages for slug, pages in noisy.items() if pages} == {}


def test_new_version_like_the_old_one_is_not_blamed(weeks: Store, rules: dict[str, AlertRule]) -> None:
    AlertRule.objects.exclude(kind=RuleKind.VERSION).update(enabled=False)
    released = SECOND + timedelta(days=2, hours=12)

    live_through(weeks, released, released + timedelta(days=4), timedelta(hours=4))

    assert not Alert.objects.exists()
    assert AlertRule.objects.filter(kind=RuleKind.VERSION, last_value__isnull=False).count() == 4
