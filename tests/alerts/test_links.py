"""The signed address by which the reader of a message acknowledges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.links import ACK_DAYS, LinkRefused, read_ack, sign_ack

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
