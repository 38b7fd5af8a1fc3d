"""Which tools hand a trace over to a person, and which only sound like it."""

from __future__ import annotations

import pytest

from tests.span_table import ROOT, span, summarize


@pytest.mark.parametrize(
    "name",
    [
        "escalate", "escalate_to_human", "transfer_to_human", "transfer_to_human_agent", "handoff_to_user", "ask_human",
        "human_handoff",
        "call-human", "live_agent", "TransferToHumanAgent", "contact_human_support", "page_oncall", "transfer_to_operator",
        "create_escalation", "escalateTicket", "transfer_to_live_agent",
    ],
)  # fmt: skip
def test_tool_that_hands_over_to_a_person_escalates(name: str) -> None:
    assert summarize(ROOT, span("t", "root", 1, 2, "tool", tool=name))["escalated"] is True


@pytest.mark.parametrize(
    "name",
    [
        "transfer_to_refunds", "exit_loop", "transfer_money", "humanize_text", "format_for_humans", "get_escalation_policy",
        "check_escalation_status", "de_escalate", "deescalate_tone", "request_escalated_permissions", "human_readable_date", "",
        "page_down", "delegate_work_to_coworker", "list_escalations", "convert_to_human_readable",
    ],
)  # fmt: skip
def test_false_friend_does_not_escalate(name: str) -> None:
    assert summarize(ROOT, span("t", "root", 1, 2, "tool", tool=name))["escalated"] is False


def test_failed_hand_over_is_no_escalation() -> None:
    assert summarize(ROOT, span("t", "root", 1, 2, "tool", tool="transfer_to_human", error="E"))["escalated"] is False


def test_step_that_is_no_tool_does_not_escalate_by_its_name() -> None:
    assert summarize(ROOT, span("escalate_to_human"[:8], "root", 1, 2, "llm", name="escalate_to_human"))["escalated"] is False
