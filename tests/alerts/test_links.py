"""The signed address by which the reader of a message acknowledges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.messages.links import ACK_DAYS, LinkRefused, ack_url, incident_url, read_ack, sign_ack
from alerts.models import Alert
from tracestore.models import Project
from tracestore.projects import address_of

MADE = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_link_holds_until_the_end_of_its_last_day() -> None:
    token = sign_ack(7, MADE)
    midnight = (MADE + timedelta(days=ACK_DAYS + 1)).replace(hour=0, minute=0)

    assert read_ack(token, midnight - timedelta(seconds=1)) == 7
    with pytest.raises(LinkRefused, match="expired"):
        read_ack(token, midnight)


def test_link_for_another_incident_or_day_is_refused() -> None:
    incident, _, signed = sign_ack(7, MADE).partition("-")

    for forged in (f"8-{signed}", f"{incident}-2099{signed[4:]}", "7", ""):
        with pytest.raises(LinkRefused, match="not complete"):
            read_ack(forged, MADE)


@pytest.mark.parametrize(("project", "root"), [(Project(pk=1, slug="default"), ""), (Project(pk=2, slug="shop"), "/p/shop")])
def test_links_lead_into_the_project_of_the_alert(project: Project, root: str, settings: Any) -> None:
    settings.BASE_URL = "https://tracestore.example.com"
    alert = Alert(project=project, incident_id=7)

    assert address_of(project) == f"https://tracestore.example.com{root}"
    assert incident_url(alert) == f"https://tracestore.example.com{root}/alerts/incidents/7"
    assert ack_url(alert).startswith(f"https://tracestore.example.com{root}/alerts/ack/7-")
