"""A second fault in an incident is told, once; a second symptom of the first one is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.evidence.model import Cause, Causes, Distinction, Evidence, SeenError
from alerts.models import Alert, AlertRule, Delivery, Grouping, Incident
from alerts.on_call import incidents
from tests.alerts.factories import create_channel, create_rule
from tests.alerts.incidents import begin, create_silence, end, told, worsen
from tests.factories import default_project
from tracestore.timerange import NS_PER_S

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def evidence(*, version: str = "", tool: str = "", error: str = "") -> dict[str, Any]:
    """Of ten failing traces that have this version, failed in this tool or with this error in common."""
    return Evidence(
        "status:error", "failing traces", 0, NS_PER_S,
        causes=Causes(10, 90, [Cause(tool, 10, 0, 1.0, 0.0)] if tool else []),
        compared=90,
        distinctions=[Distinction("version", "Version", version, 10, 1, 1.0, 0.01, 0.8)] if version else [],
        errors=[SeenError(error, "TimeoutError", error, 10, 0, "", True)] if error else [],
    ).to_json()  # fmt: skip


def fire(rule: AlertRule, minutes: float, labels: dict[str, str] | None = None, **causes: str) -> Alert:
    return begin(rule, at(minutes), labels, evidence=evidence(**causes))


def rules(*names: str, **overrides: Any) -> list[AlertRule]:
    phone = create_channel(name="Phone")
    return [create_rule(phone, name=name, **overrides) for name in names]


def heard() -> list[str]:
    return [rule for _, rule, state in told() if state == "firing"]


def test_another_fault_is_told_and_says_so() -> None:
    first, second = rules("Failures", "Slow")
    fire(first, 0, version="v3", tool="refund", error="e1")
    fire(second, 4, tool="search", error="e2")

    assert heard() == ["Failures", "Slow"]
    assert Incident.objects.count() == 1
    assert Delivery.objects.last().reason.startswith("Another fault")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "causes", [{"version": "v3", "error": "e9"}, {"tool": "refund"}, {"version": "v4", "tool": "search", "error": "e1"}, {}]
)
def test_symptom_that_shares_what_was_named_or_names_nothing_is_silent(causes: Any) -> None:
    first, second = rules("Failures", "Slow")
    fire(first, 0, version="v3", tool="refund", error="e1")
    fire(second, 4, **causes)

    assert heard() == ["Failures"]


def test_group_of_a_rule_that_names_what_was_told_is_silent() -> None:
    first, by_tool = rules("Failures", "Tools")
    fire(first, 0, tool="refund")
    fire(by_tool, 1, {"tool": "refund"}, error="e2")

    assert heard() == ["Failures"]


def test_other_group_of_the_same_rule_is_told_when_it_begins_later() -> None:
    [by_tool] = rules("Tools")
    fire(by_tool, 0, {"tool": "refund"}, error="e1")
    fire(by_tool, 0, {"tool": "search"}, error="e2")
    assert heard() == ["Tools"]

    fire(by_tool, 5, {"tool": "lookup"}, error="e3")

    assert heard() == ["Tools", "Tools"]


def test_fault_that_comes_back_within_the_incident_is_told_no_more() -> None:
    first, second, third = rules("Failures", "Slow", "Cost")
    fire(first, 0, error="e1")
    end(fire(second, 2, error="e2"), at(3))
    fire(second, 4, error="e2")
    fire(third, 5, error="e2")

    assert heard() == ["Failures", "Slow"]


def test_at_most_three_other_faults_are_told() -> None:
    made = rules("A", "B", "C", "D", "E", "F")
    for minute, rule in enumerate(made):
        fire(rule, minute, error=f"e{minute}")

    assert heard() == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("causes", "made"), [({"tool": "search"}, 2), ({}, 2), ({"tool": "refund", "error": "e2"}, 1), ({"version": "v3"}, 1)]
)
def test_ended_incident_comes_back_for_the_same_cause_alone(causes: Any, made: int) -> None:
    first, second = rules("Failures", "Slow")
    end(fire(first, 0, version="v3", tool="refund", error="e1"), at(3))

    fire(second, 6, **causes)

    assert Incident.objects.count() == made
    assert heard() == ["Failures", "Slow"]
    assert Incident.objects.latest("pk").title == "Slow"


def test_other_group_of_a_rule_opens_an_incident_of_its_own_when_the_first_is_over() -> None:
    [by_tool] = rules("Tools")
    end(fire(by_tool, 0, {"tool": "refund"}), at(3))
    fire(by_tool, 6, {"tool": "search"})

    assert [one.title for one in Incident.objects.order_by("pk")] == ["Tools: tool refund", "Tools: tool search"]


def test_other_fault_does_not_vanish_in_an_incident_that_flapped_and_is_quiet() -> None:
    first, second = rules("Failures", "Slow")
    for minute in (0, 2, 4):
        end(fire(first, minute, error="e1"), at(minute + 1))
    before = heard()

    fire(second, 6, error="e2")

    assert heard() == [*before, "Slow"]


def test_flapping_incident_tells_no_other_fault() -> None:
    first, second = rules("Failures", "Slow")
    for minute in (0, 2):
        end(fire(first, minute, error="e1"), at(minute + 1))
    fire(first, 4, error="e1")
    before = heard()

    fire(second, 6, error="e2")

    assert heard() == before


def test_who_acknowledged_hears_of_another_fault_and_stays_on_it() -> None:
    first, second = rules("Failures", "Slow")
    incident_id = fire(first, 0, error="e1").incident_id
    assert incident_id
    incidents.acknowledge(incident_id, "ann", at(1))

    fire(second, 2, error="e2")

    assert heard() == ["Failures", "Slow"]
    assert Incident.objects.get().acked_by == "ann"


def test_snoozed_incident_tells_no_other_fault() -> None:
    first, second = rules("Failures", "Slow")
    incident_id = fire(first, 0, error="e1").incident_id
    assert incident_id
    incidents.snooze(incident_id, 3600, "ann", at(1))

    fire(second, 2, error="e2")

    assert heard() == ["Failures"]


def test_silenced_fault_is_not_told() -> None:
    first, second = rules("Failures", "Slow")
    create_silence(NOW, at(60), "rule:Slow")
    fire(first, 0, error="e1")
    fire(second, 2, error="e2")

    assert heard() == ["Failures"]


def test_first_message_that_waits_is_sent_beside_that_of_another_fault() -> None:
    Grouping.objects.create(project=default_project(), wait_s=30)
    first, second = rules("Failures", "Slow")
    fire(first, 0, error="e1")
    fire(second, 0.2, error="e2")

    assert heard() == ["Failures", "Slow"]


def test_lesser_fault_of_another_kind_is_told_and_its_rise_too() -> None:
    phone = create_channel(name="Phone")
    fire(create_rule(phone, name="Failures", severity="critical"), 0, error="e1")
    lesser = fire(create_rule(phone, name="Slow", severity="warning"), 1, error="e2")
    assert heard() == ["Failures", "Slow"]

    worsen(lesser, "critical", at(2))

    assert heard() == ["Failures", "Slow"]  # the channel has heard of this incident at that severity


def test_end_of_another_fault_is_told_with_the_incident() -> None:
    first, second = rules("Failures", "Slow")
    one, two = fire(first, 0, error="e1"), fire(second, 1, error="e2")
    end(one, at(5))
    end(two, at(6))

    assert [(rule, state) for _, rule, state in told()][2:] == [("Failures", "resolved"), ("Slow", "resolved")]
