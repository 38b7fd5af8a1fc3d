"""Backtests and marks over the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from alerts.models import AlertRule, Incident, IncidentMark
from alerts.past.backtest import find_marks
from tests.alerts.factories import create_rule
from tests.alerts.test_backtest_pages import breach  # noqa: F401  # a fixture
from tests.factories import default_project
from tests.simulator.traffic import to_ns
from tracestore.clickhouse.client import Store
from tracestore.timerange import TimeRange

pytestmark = pytest.mark.usefixtures("default_project")
DRAFT = {"name": "Draft", "metric": "failure_rate", "threshold": 0.1}


def mark(client: Client, start: datetime, end: datetime, status: int = 201) -> Any:
    body = {"name": "Refunds down", "started_at": start.isoformat(), "ended_at": end.isoformat()}
    response = client.post("/api/v1/incident-marks", body, content_type="application/json")
    assert response.status_code == status, response.content
    return response.json()


def test_saved_rule_is_replayed(client: Client, store: Store, breach: datetime) -> None:  # noqa: F811
    mark(client, breach - timedelta(minutes=5), breach + timedelta(minutes=5))

    answer = client.get(f"/api/v1/alert-rules/{create_rule().pk}/backtest?start=now-24h&pages_per_week=0").json()

    [page] = answer["results"]
    assert (page["labels"], page["incident"], page["is_flap"], page["severity"]) == ({}, "Refunds down", False, "warning")
    assert page["peak_value"] == 0.5
    assert page["resolved_at"] > page["started_at"]
    assert (answer["detected"], answer["flaps"], answer["false_pages"]) == (1, 0, 0)
    assert 200 < answer["incidents"][0]["delay_s"] < 330
    assert answer["suggestion"]["detected"] == 1
    assert answer["next"] is None


def test_draft_is_replayed_and_not_saved(client: Client, store: Store, breach: datetime) -> None:  # noqa: F811
    answer = client.post("/api/v1/alert-rules/backtest?start=now-24h", DRAFT, content_type="application/json")

    assert (answer.status_code, len(answer.json()["results"])) == (200, 1)
    assert not AlertRule.objects.exists()


def test_draft_may_have_the_name_of_a_rule_or_none(client: Client, store: Store, breach: datetime) -> None:  # noqa: F811
    saved = create_rule(name=DRAFT["name"])
    nameless = {name: value for name, value in DRAFT.items() if name != "name"}

    for draft in (DRAFT, nameless, DRAFT | {"name": ""}):
        answer = client.post("/api/v1/alert-rules/backtest?start=now-24h", draft, content_type="application/json")
        assert (answer.status_code, len(answer.json()["results"])) == (200, 1)

    assert AlertRule.objects.get() == saved


@pytest.mark.parametrize("query", ["start=yesterday", "pages_per_week=nan", "pages_per_week=-1", "begin=now"])
def test_wrong_parameter_is_refused(client: Client, store: Store, query: str) -> None:
    assert client.get(f"/api/v1/alert-rules/{create_rule().pk}/backtest?{query}").status_code == 400


def test_wrong_draft_is_refused(client: Client, store: Store) -> None:
    for wrong in ({"metric": "fail"}, {"threshold": 7}, {"query": "verison:v3"}):
        assert client.post("/api/v1/alert-rules/backtest", DRAFT | wrong, content_type="application/json").status_code == 400
    assert client.get("/api/v1/alert-rules/99/backtest").status_code == 404


def test_marks_are_listed_and_deleted(client: Client) -> None:
    now = datetime.fromisoformat("2026-11-20T08:00:00+00:00")
    made = mark(client, now, now + timedelta(hours=1))
    mark(client, now, now, status=400)

    assert client.get("/api/v1/incident-marks").json()["results"] == [made]
    assert client.delete(f"/api/v1/incident-marks/{made['id']}").status_code == 204
    assert client.delete(f"/api/v1/incident-marks/{made['id']}").status_code == 404
    assert not IncidentMark.objects.exists()


def test_acknowledged_incident_counts_as_a_mark(db: None) -> None:
    start = datetime.fromisoformat("2026-11-20T08:00:00+00:00")
    times = {"started_at": start, "opened_at": start, "last_began_at": start, "resolved_at": start + timedelta(hours=1)}
    project = default_project()
    Incident.objects.create(project=project, key="a", title="Ignored", severity="warning", **times)
    acked = Incident.objects.create(project=project, key="b", title="Refunds", severity="warning", first_acked_at=start, **times)

    [found] = find_marks(project.pk, TimeRange(to_ns(start), to_ns(start + timedelta(hours=2))))

    assert (found.incident_id, found.mark_id, found.end_ns) == (acked.pk, None, to_ns(start + timedelta(hours=1)))
