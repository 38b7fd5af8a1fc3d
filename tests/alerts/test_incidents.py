from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from alerts import delivery
from alerts.models import Delivery, Grouping, Incident, Silence, Suppression
from alerts.on_call import incidents
from alerts.on_call.incidents import IncidentError
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.incidents import begin, create_route, create_silence, end, told, worsen
from tests.alerts.receivers import receive_webhooks
from tests.factories import default_project
from tracestore.clickhouse.client import Store
from tracestore.models import Project

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def kinds(incident: Incident) -> list[str]:
    return list(incident.events.values_list("kind", flat=True))


def accept_all() -> None:
    """As if every receiver had taken its messages."""
    Delivery.objects.update(status="delivered", delivered_at=NOW)


def tend(minutes: float) -> int:
    """Let the schedule come round; return how many messages it made."""
    accept_all()
    before = Delivery.objects.count()
    incidents.tend_incidents(at(minutes))
    return Delivery.objects.count() - before


def test_alerts_that_begin_close_together_are_one_incident_and_one_page() -> None:
    phone = create_channel(name="Phone")
    first = begin(create_rule(phone, name="Refund tool fails"), NOW)
    second = begin(create_rule(phone, name="Failure rate"), at(4))
    third = begin(create_rule(phone, name="Slow"), at(13))  # within ten minutes of the second

    incident = Incident.objects.get()
    assert {alert.incident_id for alert in (first, second, third)} == {incident.pk}
    assert told() == [("Phone", "Refund tool fails", "firing")]
    assert incident.title == "Refund tool fails"
    assert kinds(incident) == ["opened", "joined", "joined"]


def test_alert_after_the_window_is_another_incident_and_pages() -> None:
    phone = create_channel(name="Phone")
    begin(create_rule(phone, name="A"), NOW)
    begin(create_rule(phone, name="B"), at(11))

    assert Incident.objects.count() == 2
    assert told() == [("Phone", "A", "firing"), ("Phone", "B", "firing")]


def test_grouping_by_label_keeps_tools_apart() -> None:
    Grouping.objects.create(project=default_project(), names=["tool"])
    rule = create_rule(create_channel())
    for tool in ("refund", "search", "refund"):
        begin(rule if tool == "search" else create_rule(name=f"{tool} {Incident.objects.count()}"), NOW, {"tool": tool})

    assert sorted(incident.alerts.count() for incident in Incident.objects.all()) == [1, 2]


def test_joining_alert_tells_the_channels_that_have_not_heard() -> None:
    begin(create_rule(create_channel(name="Payments"), name="A"), NOW)
    begin(create_rule(create_channel(name="Search"), name="B"), at(1))

    assert told() == [("Payments", "A", "firing"), ("Search", "B", "firing")]


def test_rise_of_severity_pages_again_and_ends_the_acknowledgement() -> None:
    rule = create_rule(create_channel(name="Phone"))
    alert = begin(rule, NOW, severity="warning")
    incident = incidents.acknowledge(Incident.objects.get().pk, "ann", at(1))

    worsen(alert, "critical", at(5))

    incident.refresh_from_db()
    assert (incident.severity, incident.state, incident.acked_by) == ("critical", "firing", "")
    assert len(told()) == 2


def test_first_message_waits_for_the_worst_of_the_outage() -> None:
    Grouping.objects.create(project=default_project(), wait_s=30)
    phone = create_channel(name="Phone")
    begin(create_rule(phone, name="A"), NOW, severity="warning")
    begin(create_rule(phone, name="B"), at(0.2), severity="critical")

    assert told() == [("Phone", "B", "firing")]
    assert delivery.find_due_deliveries(at(0.4)) == []
    assert len(delivery.find_due_deliveries(at(0.5))) == 1  # thirty seconds after the first
    incident = Incident.objects.get()
    assert (incident.title, incident.severity) == ("B", "critical")


def test_outage_that_is_over_before_its_message_leaves_is_told_to_nobody() -> None:
    Grouping.objects.create(project=default_project(), wait_s=30)
    end(begin(create_rule(create_channel()), NOW), at(0.3))

    assert told() == []
    assert Incident.objects.get().state == "resolved"


def test_lesser_alert_joins_in_silence() -> None:
    phone = create_channel()
    begin(create_rule(phone, name="A"), NOW, severity="critical")
    begin(create_rule(phone, name="B"), at(1), severity="warning")

    assert len(told()) == 1


def test_incident_ends_with_its_last_alert_and_then_says_so() -> None:
    phone = create_channel(name="Phone")
    first = begin(create_rule(phone, name="A"), NOW)
    second = begin(create_rule(phone, name="B"), at(1))

    end(first, at(3))
    assert Incident.objects.get().resolved_at is None
    assert len(told()) == 1
    end(second, at(5))

    incident = Incident.objects.get()
    assert (incident.state, incident.resolved_at, incident.resolved_by) == ("resolved", at(5), "")
    assert told()[1:] == [("Phone", "A", "resolved")]


def test_alert_that_returns_opens_its_incident_again_and_says_so() -> None:
    rule = create_rule(create_channel())
    end(begin(rule, NOW), at(2))

    begin(rule, at(10))

    incident = Incident.objects.get()
    assert (incident.resolved_at, incident.opened_at, incident.started_at) == (None, at(10), NOW)
    assert [state for _, _, state in told()] == ["firing", "resolved", "firing"]


def test_incident_opened_again_by_another_alert_carries_its_name() -> None:
    phone = create_channel(name="Phone")
    end(begin(create_rule(phone, name="No traffic", severity="critical"), NOW, {"agent": "a"}), at(1))
    begin(create_rule(phone, name="Refunds fail", severity="critical"), at(6), {"agent": "a"})

    incident = Incident.objects.get()
    assert incident.title == "Refunds fail: agent a"  # what is over must not stand above the button that acknowledges
    assert kinds(incident) == ["opened", "resolved", "reopened"]
    assert told()[-1] == ("Phone", "Refunds fail", "firing")


def test_flapping_alert_is_held_open_and_told_once_until_it_is_quiet() -> None:
    rule = create_rule(create_channel())
    for minute in range(0, 40, 4):
        end(begin(rule, at(minute)), at(minute + 2))
        tend(minute + 3)

    incident = Incident.objects.get()
    assert incident.flapping_since == at(8)
    assert [state for _, _, state in told()] == ["firing", "resolved"] * 2 + ["firing"]
    assert Delivery.objects.order_by("pk").last().reason.startswith("Flapping")  # type: ignore[union-attr]
    assert tend(52) == 0
    assert tend(53) == 1
    incident.refresh_from_db()
    assert incident.state == "resolved"
    assert told()[-1][2] == "resolved"


def test_repeats_until_acknowledged() -> None:
    phone = create_channel()
    create_route("Everything", (0, [phone]), repeat_s=1800)
    begin(create_rule(), NOW)

    assert [tend(minute) for minute in (0, 29, 30, 31, 60)] == [0, 0, 1, 0, 1]
    reasons = list(Delivery.objects.order_by("pk").values_list("repeat", "reason"))
    assert reasons[0] == (0, "")
    assert reasons[2] == (2, "Repeated: it has been firing for 1 h; nobody acknowledged.")
    incidents.acknowledge(Incident.objects.get().pk, "ann", at(61))
    assert [tend(minute) for minute in (91, 300)] == [0, 0]


def test_message_that_still_waits_is_not_repeated() -> None:
    phone = create_channel()
    create_route("Everything", (0, [phone]), repeat_s=600)
    begin(create_rule(), NOW)

    for minute in (10, 20, 30):
        incidents.tend_incidents(at(minute))

    assert Delivery.objects.count() == 1


def test_escalates_step_by_step_when_nobody_acknowledges() -> None:
    chat, phone, boss = (create_channel(name=name) for name in ("Chat", "Phone", "Boss"))
    create_route("Critical", (0, [chat]), (300, [phone]), (900, [boss]), matcher="severity:critical")
    begin(create_rule(severity="critical"), NOW)

    assert [tend(minute) for minute in (1, 4.9, 5, 6, 14.9, 15, 60)] == [0, 0, 1, 0, 0, 1, 0]
    assert [channel for channel, _, _ in told()] == ["Chat", "Phone", "Boss"]
    assert [one.reason for one in Delivery.objects.order_by("pk")][1] == "Escalated: nobody acknowledged within 5 m."


def test_acknowledged_incident_does_not_escalate_but_a_withdrawn_one_does() -> None:
    chat, boss = create_channel(name="Chat"), create_channel(name="Boss")
    create_route("All", (0, [chat]), (300, [boss]))
    begin(create_rule(), NOW)
    pk = Incident.objects.get().pk
    incidents.acknowledge(pk, "ann", at(4))

    assert tend(10) == 0
    incidents.withdraw_acknowledgement(pk, "ann", at(20))

    assert [tend(minute) for minute in (20, 24, 25)] == [1, 0, 1]
    assert [channel for channel, _, _ in told()] == ["Chat", "Chat", "Boss"]


def test_snooze_stops_repeats_and_then_tells_anew() -> None:
    create_route("All", (0, [create_channel()]), repeat_s=600)
    begin(create_rule(), NOW)
    incident = incidents.snooze(Incident.objects.get().pk, 3600, "ann", at(5))

    assert [tend(minute) for minute in (20, 64)] == [0, 0]
    assert tend(65) == 1
    incident.refresh_from_db()
    assert incident.snoozed_until is None
    assert kinds(incident)[-1] == "woken"
    assert tend(75) == 1


def test_escalation_after_a_snooze_counts_from_its_end_however_late_that_is_seen() -> None:
    chat, boss = create_channel(name="Chat"), create_channel(name="Boss")
    create_route("All", (0, [chat]), (300, [boss]))
    begin(create_rule(), NOW)
    incidents.snooze(Incident.objects.get().pk, 3600, "ann", at(1))

    assert [tend(minute) for minute in (63, 65.9, 66)] == [1, 0, 1]
    assert [channel for channel, _, _ in told()] == ["Chat", "Chat", "Boss"]


def test_incident_resolved_by_hand_is_told_no_more_and_its_successor_is_news() -> None:
    create_route("All", (0, [create_channel()]), repeat_s=600)
    rule = create_rule()
    alert = begin(rule, NOW)
    incidents.resolve_by_hand(Incident.objects.get().pk, "ann", at(5))

    assert tend(11) == 0
    end(alert, at(12))
    assert told()[-1][2] == "resolved"
    begin(rule, at(13))  # so soon that another would be opened again

    assert Incident.objects.count() == 2
    assert [state for _, _, state in told()] == ["firing", "resolved", "firing"]


def test_nothing_is_done_about_an_incident_that_is_over() -> None:
    end(begin(create_rule(), NOW), at(1))
    pk = Incident.objects.get().pk

    with pytest.raises(IncidentError, match="is resolved"):
        incidents.acknowledge(pk, "ann", at(2))
    with pytest.raises(IncidentError, match="is resolved"):
        incidents.snooze(pk, 600, "ann", at(2))
    assert incidents.comment(pk, " Was the deploy. ", "ann", at(2)).text == "Was the deploy."


def test_incident_that_a_script_fills_can_still_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "MAX_ENTRIES", 3)
    begin(create_rule(create_channel()), NOW)
    pk = Incident.objects.get().pk
    incidents.acknowledge(pk, "script", at(1))
    incidents.withdraw_acknowledgement(pk, "script", at(1))
    incidents.comment(pk, "one", "script", at(1))

    for act in (
        lambda: incidents.comment(pk, "two", "script", at(2)),
        lambda: incidents.acknowledge(pk, "script", at(2)),
        lambda: incidents.snooze(pk, 600, "script", at(2)),
    ):
        with pytest.raises(IncidentError, match="at most 3"):
            act()
    incidents.resolve_by_hand(pk, "ann", at(3))

    assert kinds(Incident.objects.get()) == ["opened", "acked", "unacked", "comment", "resolved"]


def test_second_acknowledgement_changes_nothing() -> None:
    begin(create_rule(), NOW)
    pk = Incident.objects.get().pk
    incidents.acknowledge(pk, "ann", at(1))

    incident = incidents.acknowledge(pk, "bob", at(2))

    assert (incident.acked_by, incident.acked_at) == ("ann", at(1))
    assert kinds(incident) == ["opened", "acked"]


def test_silenced_alert_is_told_to_nobody_and_written_down() -> None:
    silence = create_silence(at(-10), at(60), "tool:refund")
    rule = create_rule(create_channel())
    alert = begin(rule, NOW, {"tool": "refund"})
    begin(rule, NOW, {"tool": "search"})

    assert [(one.silence_id, one.alert_id) for one in Suppression.objects.all()] == [(silence.pk, alert.pk)]
    assert list(Delivery.objects.values_list("alert__labels__tool", flat=True)) == ["search"]


def test_alert_that_outlives_its_silence_is_told_then() -> None:
    create_silence(at(-10), at(60))
    create_route("All", (0, [create_channel(name="Chat")]), (300, [create_channel(name="Boss")]))
    begin(create_rule(), NOW)

    assert [tend(minute) for minute in (30, 60, 64, 65)] == [0, 1, 0, 1]
    assert [channel for channel, _, _ in told()] == ["Chat", "Boss"]


def test_silence_begun_during_an_incident_stops_its_repeats() -> None:
    create_route("All", (0, [create_channel()]), repeat_s=600)
    begin(create_rule(), NOW)
    create_silence(at(5), at(30))

    assert [tend(minute) for minute in (15, 29, 30, 35, 40)] == [0, 0, 1, 0, 1]
    assert Suppression.objects.count() == 1


def test_weekly_window_silences_in_its_hours() -> None:
    create_silence(at(-10_000), None, weekdays=[4], time_of_day="02:00", length_s=2 * 3600)  # NOW is a Friday, 03:00

    begin(create_rule(create_channel()), NOW)

    assert told() == []
    assert tend(59) == 0
    assert tend(60) == 1


def test_silence_holds_back_what_would_end_an_acknowledgement() -> None:
    rule = create_rule(create_channel())
    alert = begin(rule, NOW, severity="warning")
    pk = Incident.objects.get().pk
    incidents.acknowledge(pk, "ann", at(1))
    create_silence(at(2), at(60))

    worsen(alert, "critical", at(3))

    assert Incident.objects.get().acked_by == "ann"
    assert len(told()) == 1


def test_channel_mended_during_an_incident_is_told() -> None:
    channel = create_channel(enabled=False)
    begin(create_rule(channel), NOW)
    assert told() == []

    channel.enabled = True
    channel.save()

    assert tend(1) == 1


def test_route_that_matches_the_labels_of_the_rule_tells_its_team() -> None:
    team = create_channel(name="Payments")
    create_route("Payments", (0, [team]), matcher="team:payments")
    begin(create_rule(labels={"team": "payments"}), NOW)
    begin(create_rule(name="Other", labels={"team": "search"}), at(100))

    assert [channel for channel, _, _ in told()] == ["Payments"]


def test_real_evaluation_pages_through_a_route_and_delivers(store: Store) -> None:
    now = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    with receive_webhooks() as hook:
        create_route("All", (0, [create_channel(target=hook.url)]), repeat_s=600)
        rule = create_rule(severity="critical")
        insert_traffic(store, now, failed=3, ok=7)
        evaluate_rule(rule.pk, now)

        for due in delivery.find_due_deliveries(now):
            delivery.deliver(due, now)
        incidents.tend_incidents(now + timedelta(minutes=10))
        for due in delivery.find_due_deliveries(now + timedelta(minutes=10)):
            delivery.deliver(due, now + timedelta(minutes=10))

    assert [body["event"] for body in hook.bodies] == ["firing", "firing"]
    assert len({body["delivery_id"] for body in hook.bodies}) == 2


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_escalate_once() -> None:
    create_route("All", (0, [create_channel(name="Chat")]), (300, [create_channel(name="Boss")]))
    begin(create_rule(), NOW)
    Delivery.objects.update(status="delivered")
    start = threading.Barrier(4)

    def race() -> None:
        start.wait(60)
        incidents.tend_incidents(at(6))
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)

    assert [channel for channel, _, _ in told()] == ["Chat", "Boss"]


@pytest.mark.django_db(transaction=True)
def test_alerts_that_begin_at_the_same_moment_find_each_other() -> None:
    phone = create_channel()
    rules = [create_rule(phone, name=f"Rule {number}") for number in range(4)]
    start = threading.Barrier(4)

    def fire(number: int) -> None:
        start.wait(60)
        begin(rules[number], NOW)
        connections.close_all()

    threads = [threading.Thread(target=fire, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)

    assert Incident.objects.count() == 1
    assert len(told()) == 1


def test_project_that_is_broken_keeps_no_other_from_being_escalated() -> None:
    phone, boss = create_channel(name="Phone"), create_channel(name="Boss")
    create_route("Page", (0, [phone]), (600, [boss]))
    other = Project.objects.create(slug="other", name="Other")
    Incident.objects.create(project=other, key="{}", title="x", severity="info", started_at=NOW, opened_at=NOW, last_began_at=NOW)
    begin(create_rule(), at(0.1))
    Silence.objects.create(project=other, matcher="no matcher at all", starts_at=NOW, ends_at=at(60))

    assert tend(11) == 1
    assert told()[-1][0] == "Boss"


@pytest.mark.parametrize("is_silenced", [False, True])
def test_tending_a_large_incident_asks_no_more_often_than_a_small_one(is_silenced: bool) -> None:
    rule = create_rule(create_channel(name="Phone"))
    create_route("Page", (0, [create_channel(name="Boss")]), repeat_s=3600)
    if is_silenced:
        create_silence(starts_at=NOW, ends_at=at(60))

    def count_queries(groups: range) -> int:
        for number in groups:
            begin(rule, NOW, {"tool": f"t{number}"})
        accept_all()
        incidents.tend_incidents(at(1))  # what is new is written down once
        with CaptureQueriesContext(connection) as queries:
            incidents.tend_incidents(at(2))
        return len(queries)

    few = count_queries(range(2))
    many = count_queries(range(2, 22))

    assert Incident.objects.count() == 1
    assert many == few
    assert Suppression.objects.count() == (22 if is_silenced else 0)
