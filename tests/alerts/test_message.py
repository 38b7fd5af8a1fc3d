"""What messages say in each case: levels, baselines, groups, no data, a rule's own error, escalation, the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.evidence.model import Cause, Causes, Distinction, Evidence, Example, SeenError
from alerts.messages.message import build_notification
from alerts.messages.notification import Event, Notification
from alerts.messages.rendering.text import render_text
from alerts.models import BROKEN_KEY, Alert, AlertTransition, Delivery, RuleKind
from tests.alerts.factories import create_channel, create_rule
from tests.factories import default_project
from tracestore.timerange import NS_PER_S, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
URL = "https://t.example"
END_NS = ns_of(NOW)
EVIDENCE = Evidence(
    query="tool:refund status:error",
    noun="failing traces",
    start_ns=END_NS - 300 * NS_PER_S,
    end_ns=END_NS,
    causes=Causes(failing=37, others=173),
    cost_usd=0.5,
    among="tool:refund",
)


def build(
    alert: dict[str, Any] | None = None, transition: dict[str, Any] | None = None, cost_usd: float | None = None, **delivery: Any
) -> Notification:
    """Return the message about a failure rate of 17.6 % against 10 %, changed as told."""
    rule = create_rule(name="Refunds fail")
    alert_values = {
        "rule": rule, "rule_name": rule.name, "severity": "warning", "metric": rule.metric, "query": "tool:refund",
        "window_s": 300, "comparison": "above", "threshold": 0.1, "hold_s": 0, "value": 0.176, "peak_value": 0.2,
        "started_at": NOW, "evidence": EVIDENCE.to_json(),
    } | (alert or {})  # fmt: skip
    made = Alert.objects.create(project=default_project(), **alert_values)
    transition_values = {
        "alert": made, "rule": rule, "from_state": "inactive", "to_state": "firing", "at": NOW, "value": 0.176, "threshold": 0.1,
        "severity": "warning", "window_start_ns": EVIDENCE.start_ns, "window_end_ns": END_NS,
    } | (transition or {})  # fmt: skip
    changed = AlertTransition.objects.create(**transition_values)
    told = Delivery.objects.create(alert=made, transition=changed, channel=create_channel(), **delivery)
    return build_notification(told, URL, cost_usd)


def facts_of(notification: Notification) -> dict[str, str]:
    return dict(notification.facts)


def test_value_stands_against_its_threshold_with_counts_and_links() -> None:
    message = build()

    assert message.title == "[warning] Refunds fail: Failure rate 17.6% > 10%"
    assert message.lead[1] == "Failure rate is 17.6%, above the threshold of 10% (37 of 210 traces)."
    assert facts_of(message)["Cost so far"] == "$0.50 for these failing traces"
    links = {link.label: link.url for link in message.links}
    assert links["See exactly these failing traces"].startswith(f"{URL}/traces?q=tool%3Arefund+status%3Aerror&start=")
    assert links["All differences"].startswith(f"{URL}/why?q=tool%3Arefund+status%3Aerror&against=tool%3Arefund&")
    assert links["Rule"].startswith(f"{URL}/alerts/rules/")


def test_breach_began_when_it_was_first_seen_not_when_the_hold_was_over() -> None:
    rule_start = NOW - timedelta(minutes=5)
    message = build({"hold_s": 300})
    alert = Alert.objects.get()
    AlertTransition.objects.create(
        alert=alert, from_state="inactive", to_state="pending", at=rule_start, threshold=0.1, window_start_ns=0, window_end_ns=0
    )

    again = build_notification(Delivery.objects.get(), URL)

    assert facts_of(message)["Since"] == "2026-11-20 08:30:00 UTC"
    assert facts_of(again)["Since"] == "2026-11-20 08:25:00 UTC"
    assert again.lead[-1].endswith("It had been so for 5 m.")
    assert again.payload["alert"]["breached_since"] == "2026-11-20T08:25:00+00:00"


@pytest.mark.parametrize(("kind", "label"), [(RuleKind.BASELINE, "Usual at this time"), (RuleKind.VERSION, "The version before")])
def test_baseline_is_named_with_the_factor(kind: RuleKind, label: str) -> None:
    message = build({"kind": kind, "baseline": 0.02}, {"baseline": 0.02, "samples": 210})

    assert facts_of(message)[label] == "2%, now 8.8 times as much"
    assert (message.payload["baseline"], message.payload["samples"]) == (0.02, 210)


def test_baseline_says_what_it_is_made_of() -> None:
    message = build({"compared_with": "the same hours of the past 4 weeks", "baseline": 0.02}, {"baseline": 0.02})

    assert facts_of(message)["The same hours of the past 4 weeks"] == "2%, now 8.8 times as much"
    assert message.payload["compared_with"] == "the same hours of the past 4 weeks"


def test_baseline_of_nothing_has_no_factor() -> None:
    assert facts_of(build({"baseline": 0.0}, {"baseline": 0.0}))["Usual at this time"] == "0%"


def test_group_is_named_in_title_and_text() -> None:
    message = build({"labels": {"tool": "refund", "version": ""}})

    assert message.title.startswith("[warning] Refunds fail (tool refund, version (none)): ")
    assert message.lead[0] == "Refunds fail (tool refund, version (none)) is firing (warning)."
    assert message.payload["labels"] == {"tool": "refund", "version": ""}


def test_rise_to_critical_is_said_with_its_own_threshold_and_evidence() -> None:
    worse = Evidence(**{**EVIDENCE.__dict__, "causes": Causes(failing=100, others=100)})
    message = build(
        {"severity": "critical", "hold_s": 60},
        {
            "from_state": "firing", "severity": "critical", "value": 0.5, "threshold": 0.3, "evidence": worse.to_json(),
        },
    )  # fmt: skip

    assert message.title == "[critical] Refunds fail: Failure rate 50% > 30%"
    assert message.lead == [
        "Refunds fail is now critical.",
        "Failure rate is 50%, above the threshold of 30% (100 of 200 traces).",
    ]
    assert message.severity == "critical"


def test_missing_data_that_are_the_breach_are_said_as_such() -> None:
    message = build({"value": None, "peak_value": None}, {"value": None, "reason": "no trace for 15 m"})

    assert message.title == "[warning] Refunds fail: Failure rate no data"
    assert message.lead[1] == "Failure rate has no data: no trace for 15 m."


def test_silence_says_when_the_last_trace_came_and_from_which_version() -> None:
    last = Example("a" * 32, "invoke_agent support", ns_of(NOW) - 900 * NS_PER_S, NS_PER_S, [], "", ["v3"])
    evidence = replace(EVIDENCE, causes=Causes(), examples=[last])

    message = build({"comparison": "below", "evidence": evidence.to_json()})

    assert facts_of(message)["Last trace"] == "2026-11-20 08:15:00 UTC (invoke_agent support, v3)"
    assert "The last trace before:\n- invoke_agent support | v3\n" in render_text(message)


def test_run_of_an_alert_about_one_run_is_the_first_link() -> None:
    assert build({"trace_id": "a" * 32}).links[0].url == f"{URL}/traces/{'a' * 32}"


def test_what_may_be_chance_and_what_is_new_are_marked() -> None:
    evidence = Evidence(
        **{
            **EVIDENCE.__dict__,
            "distinctions": [Distinction("version", "Version", "", 2, 0, 1.0, 0.0, 0.0)],
            "compared": 3,
            "errors": [SeenError("f00d", "TimeoutError", "timed\nout", 1, END_NS - NS_PER_S, "", True)],
        }
    )

    text = render_text(build({"evidence": evidence.to_json()}))

    assert "1. Version (none): 2 (100%), against 0 (0%) (may be chance: too few traces)\n" in text
    assert (
        "- TimeoutError: timed out: 1 trace (new; first seen 2026-11-20 08:29:59 UTC)\n  https://t.example/errors/f00d\n" in text
    )


CERTAIN = Distinction("version", "Version", "v3", 35, 20, 0.95, 0.12, 0.72)
NEW_ERROR = SeenError("f00d", "TimeoutError", "refund service\ntimed out", 30, END_NS - NS_PER_S, "v3", True)
TENANT = replace(CERTAIN, field="attr.tenant.id", label="tenant.id", value="globex")
KNOWN_ERROR = replace(NEW_ERROR, is_new=False, message="")
REFUND = Cause("refund", 36, 0, 0.97, 0.0)


@pytest.mark.parametrize(
    ("labels", "distinctions", "tools", "errors", "cause"),
    [
        (
            {}, [CERTAIN], [REFUND], [NEW_ERROR],
            "Likely cause: version v3; failing tool refund; new error TimeoutError: refund service timed out",
        ),
        ({"tool": "refund"}, [CERTAIN], [REFUND], [], "Likely cause: version v3"),  # the title says which tool
        ({}, [replace(CERTAIN, failing_share=0.2), TENANT], [], [], "Likely cause: tenant.id globex"),
        ({}, [], [], [replace(NEW_ERROR, traces=1), KNOWN_ERROR], "Likely cause: error TimeoutError"),
        ({}, [replace(CERTAIN, least=0.0)], [replace(REFUND, failing=3)], [replace(NEW_ERROR, traces=3)], ""),
    ],
)  # fmt: skip
def test_likely_cause_comes_first(
    labels: dict[str, str], distinctions: list[Distinction], tools: list[Cause], errors: list[SeenError], cause: str
) -> None:
    causes = Causes(failing=37, others=173, failing_tools=tools)
    evidence = replace(EVIDENCE, causes=causes, distinctions=distinctions, compared=173, errors=errors)

    message = build({"evidence": evidence.to_json(), "labels": labels})

    assert message.cause == cause
    assert message.lead[0].startswith(cause or "Refunds fail is firing")
    assert render_text(message).startswith(message.lead[0] + "\n")


@pytest.mark.parametrize(
    ("metric", "noun", "figure"),
    [
        ("cost_per_trace", "dearer traces", "$0.84"),
        ("run_cost", "dearer traces", "$0.84"),
        ("cost", "traces", "$0.84"),
        ("duration_p95", "slower traces", "12 s"),
        ("failure_rate", "failing traces", ""),
    ],
)
def test_example_stands_with_the_figure_that_the_alert_is_about(metric: str, noun: str, figure: str) -> None:
    example = Example("ab" * 16, "answer", END_NS, 12 * NS_PER_S, [], "", [], cost_usd=0.84)
    message = build({"metric": metric, "evidence": replace(EVIDENCE, noun=noun, examples=[example]).to_json()})

    [section] = [section for section in message.sections if section.heading.startswith("Examples")]
    assert [item.text for item in section.items] == [" | ".join(filter(None, ("answer", figure)))]
    assert message.payload["examples"][0]["cost_usd"] == 0.84


def test_escalations_say_why_they_were_handed_over() -> None:
    evidence = replace(EVIDENCE, noun="escalated traces", reasons={"refund limit": 30, "angry customer": 7})

    message = build({"evidence": evidence.to_json()})

    assert message.cause == "Likely cause: reason refund limit"
    assert "Why they were handed over:\n- refund limit: 30\n- angry customer: 7\n" in render_text(message)


def test_comparison_with_the_time_before_is_said_as_such() -> None:
    evidence = Evidence(
        **{
            **EVIDENCE.__dict__,
            "causes": Causes(failing=30, others=0),
            "noun": "traces",
            "distinctions": [Distinction("model", "Model", "gpt-5-pro", 30, 1, 1.0, 0.02, 0.8)],
            "compared": 50,
            "earlier_start_ns": 0,
        }
    )

    assert "What differs about these 30 traces from the 50 before:" in render_text(build({"evidence": evidence.to_json()}))


def test_escalation_says_why_it_comes_again() -> None:
    message = build(reason="Escalated: nobody acknowledged within 10 m.")

    assert message.lead[0] == "Escalated: nobody acknowledged within 10 m."


def test_end_says_how_long_how_bad_and_what_it_cost() -> None:
    later = NOW + timedelta(minutes=20)
    message = build(
        {"resolved_at": later},
        {
            "from_state": "firing", "to_state": "resolved", "at": later, "value": 0.01, "severity": "",
            "window_end_ns": ns_of(later),
        },
        cost_usd=12.5,
    )  # fmt: skip

    assert (message.event, message.title) == (Event.RESOLVED, "[resolved] Refunds fail: after 20 m")
    assert message.lead[1] == "Failure rate is 1%; the threshold is above 10%."
    assert facts_of(message)["At worst"] == "20%"
    assert facts_of(message)["Cost so far"] == "$12.50 for these failing traces"
    # The link reaches to the end of the alert.
    assert "end=2026-11-20T08%3A50%3A00.000000000Z" in message.links[0].url
    assert message.payload["traces"]["cost_usd"] == 12.5


def test_rule_that_cannot_be_evaluated_says_so_and_why_and_when_it_is_well_again() -> None:
    broken = {"instance_key": BROKEN_KEY, "evidence": Evidence("", "traces", 0, 0).to_json(), "value": None, "peak_value": None}
    failed = build(broken, {"value": None, "reason": "The query needs more than 2 GB."})
    alert = Alert.objects.get()
    end = AlertTransition.objects.create(
        alert=alert, from_state="firing", to_state="resolved", at=NOW + timedelta(minutes=9), threshold=0.1, window_start_ns=0,
        window_end_ns=0,
    )  # fmt: skip
    repaired = build_notification(Delivery.objects.create(alert=alert, transition=end, channel=create_channel(name="Other")), URL)

    assert (failed.event, failed.title) == (Event.RULE_ERROR, "[rule error] Refunds fail cannot be evaluated")
    assert failed.lead[-1] == "The reason: The query needs more than 2 GB."
    assert failed.payload["error"] == "The query needs more than 2 GB."
    assert (repaired.event, repaired.key) == (Event.RESOLVED, failed.key)
    assert repaired.title == "[resolved] Refunds fail is evaluated again: after 9 m"


def test_names_that_hold_line_breaks_stay_on_their_line() -> None:
    message = build({"rule_name": "Refunds\n\nSee exactly these:\nhttp://evil.example"})

    assert "\nhttp://evil.example" not in render_text(message)
