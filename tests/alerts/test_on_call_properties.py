"""Random nights on call: whatever happens, in whatever order, these hold."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from alerts.models import Alert, Delivery, Incident, IncidentEvent
from alerts.on_call import incidents
from tests.alerts.factories import create_channel, create_rule
from tests.alerts.incidents import begin, create_route, create_silence, end, worsen

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
STEPS = 60


@pytest.mark.parametrize("seed", range(4))
def test_random_night(seed: int) -> None:
    draw = random.Random(seed)
    phone, chat, boss = (create_channel(name=name) for name in ("Phone", "Chat", "Boss"))
    create_route("Critical", (0, [phone]), (600, [boss]), matcher="severity:critical", repeat_s=draw.choice([0, 1800]))
    create_route("Rest", (0, [chat]), (1200, [phone]), repeat_s=draw.choice([0, 3600]))
    rules = [create_rule(name=f"Rule {number}", severity="warning") for number in range(4)]
    silence = create_silence(NOW + timedelta(hours=2), NOW + timedelta(hours=3), "rule:*2")
    now = NOW
    for _ in range(STEPS):
        now += timedelta(seconds=draw.choice([20, 300, 900]))
        firing = {alert.rule_id: alert for alert in Alert.objects.filter(resolved_at=None)}
        rule = draw.choice(rules)
        open_ids = list(Incident.objects.filter(resolved_at=None).values_list("pk", flat=True))
        before = Delivery.objects.count()
        quiet = not Incident.objects.filter(resolved_at=None, acked_at=None).exists()
        action = draw.choice(["alert", "alert", "alert", "ack", "snooze", "resolve", "tend", "tend", "tend", "accept"])
        if action == "alert" and rule.pk not in firing:
            begin(rule, now, severity=draw.choice(["warning", "critical"]))
        elif action == "alert" and firing[rule.pk].severity == "warning" and draw.random() < 0.3:
            worsen(firing[rule.pk], "critical", now)
        elif action == "alert":
            end(firing[rule.pk], now)
        elif action == "ack" and open_ids:
            incidents.acknowledge(draw.choice(open_ids), "ann", now)
        elif action == "snooze" and open_ids:
            incidents.snooze(draw.choice(open_ids), 900, "ann", now)
        elif action == "resolve" and open_ids and draw.random() < 0.3:
            incidents.resolve_by_hand(draw.choice(open_ids), "ann", now)
        elif action == "tend":
            incidents.tend_incidents(now)
            if quiet:
                made = Delivery.objects.order_by("pk")[before:]
                assert [one for one in made if one.transition.to_state == "firing"] == []  # all were acknowledged
            after = Delivery.objects.count()
            incidents.tend_incidents(now)
            assert Delivery.objects.count() == after  # what is done is done
        else:
            Delivery.objects.update(status="delivered")
        _check()
        silenced = Delivery.objects.filter(alert__rule_name="Rule 2", transition__to_state="firing")
        assert not silenced.filter(created_at__gte=silence.starts_at, created_at__lt=silence.ends_at).exists()

    for alert in Alert.objects.filter(resolved_at=None):
        end(alert, now)
    incidents.tend_incidents(now + timedelta(hours=1))
    assert not Incident.objects.filter(resolved_at=None).exists()
    heard = set(Delivery.objects.filter(transition__to_state="firing").values_list("alert_id", "channel_id"))
    ends = Counter(Delivery.objects.filter(transition__to_state="resolved").values_list("alert_id", "channel_id"))
    assert ends == Counter(heard)  # who heard that it began hears that it ended, once


def _check() -> None:
    for incident in Incident.objects.filter(resolved_at=None):
        assert incident.flapping_since or incident.quiet_at is None or incident.alerts.filter(resolved_at=None).exists()
        assert bool(incident.acked_at) == bool(incident.acked_by)
    assert not Alert.objects.filter(incident=None).exists()
    firing = Delivery.objects.filter(transition__to_state="firing")
    # The first news of a severity comes once to each channel, each time that the incident is opened.
    news = Counter(
        (one.alert.incident_id, one.channel_id, one.transition.severity)
        for one in firing.filter(reason="").select_related("alert", "transition")
    )
    for (incident_id, _, _), count in news.items():
        assert incident_id is not None
        openings = ("opened", "reopened", "woken", "rose")
        assert count <= IncidentEvent.objects.filter(incident=incident_id or 0, kind__in=openings).count()
