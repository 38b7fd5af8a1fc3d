"""A trace as a turn of a conversation."""

from __future__ import annotations

import json
from typing import Any

from dashboards.trace.conversation import TOOL_LIMIT, build_turn, find_telling_steps
from tests.spans import make_span, make_summary
from tracestore.model import SpanSummary, Trace, TraceSummary

HISTORY = [
    {"role": "user", "content": "Where is my order?"},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "And my refund?"},
]


def _trace(*spans: SpanSummary, root: str = "1" * 16) -> Trace:
    fields: dict[str, Any] = dict.fromkeys(TraceSummary.__dataclass_fields__, "")
    return Trace(TraceSummary(**fields | {"root_span_id": root}), list(spans))


def test_telling_steps_are_the_root_and_the_first_and_last_model_call() -> None:
    calls = [make_summary(span_id=digit * 16, kind="llm") for digit in "234"]

    assert find_telling_steps(_trace(make_summary(), *calls)) == ["1" * 16, "2" * 16, "4" * 16]
    assert find_telling_steps(_trace(make_summary(kind="llm"))) == ["1" * 16]
    assert find_telling_steps(_trace(calls[0], root="")) == ["2" * 16]
    assert find_telling_steps(_trace(root="")) == [""]


def test_last_question_of_a_history_is_the_one_of_this_turn() -> None:
    root = make_span({"input.value": json.dumps(HISTORY), "output.value": "It was paid today."})

    turn = build_turn(_trace(root.summary), [root])

    assert (turn.asked, turn.answered) == ("And my refund?", "It was paid today.")


def test_words_beside_a_tool_call_are_no_answer() -> None:
    asking = [{"role": "assistant", "parts": [
        {"type": "text", "content": "Let me check."}, {"type": "tool_call", "id": "1", "name": "lookup", "arguments": {}},
    ]}]  # fmt: skip
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "On its way."}]}]

    def answered(*outputs: list[dict[str, Any]]) -> str:
        steps = [make_span({"gen_ai.output.messages": json.dumps(said)}, kind="llm") for said in outputs]
        return build_turn(_trace(*(step.summary for step in steps)), steps).answered

    assert answered(asking) == ""
    assert answered(asking, answer) == answered(answer + asking) == "On its way."


def test_what_a_model_said_before_a_step_failed_is_no_answer() -> None:
    said = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "approve: paid in full"}])}
    call = make_span(said, span_id="2" * 16, kind="llm", start_ns=3 * 10**9)

    def answered(failed_at_s: int) -> str:
        failed = make_summary(span_id="3" * 16, kind="tool", start_ns=failed_at_s * 10**9, is_error=True)
        return build_turn(_trace(make_summary(), call.summary, failed), [make_span(), call]).answered

    assert (answered(5), answered(1)) == ("", "approve: paid in full")


def test_only_text_of_an_object_is_the_question() -> None:
    root = make_span({"input.value": '{"question": "Where is my order?"}', "output.value": '{"text": "Here.", "cost": 1}'})

    turn = build_turn(_trace(root.summary), [root])

    assert (turn.asked, turn.answered) == ("Where is my order?", "")


def test_model_calls_tell_what_the_root_does_not() -> None:
    root = make_span()
    first = make_span({"gen_ai.input.messages": json.dumps(HISTORY[:1])}, span_id="2" * 16, kind="llm")
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "On its way."}]}]
    last = make_span({"gen_ai.output.messages": json.dumps(answer)}, span_id="3" * 16, kind="llm")

    turn = build_turn(_trace(root.summary, first.summary, last.summary), [root, first, last])

    assert (turn.asked, turn.answered) == ("Where is my order?", "On its way.")


def test_turn_without_recorded_texts_is_empty_and_names_some_tools() -> None:
    root = make_span()
    tools = [make_summary(span_id=f"{number:016x}", kind="tool", tool=f"t{number}") for number in range(2, TOOL_LIMIT + 5)]

    turn = build_turn(_trace(root.summary, *tools), [root])

    assert (turn.asked, turn.answered) == ("", "")
    assert (len(turn.tools), turn.hidden_tools) == (TOOL_LIMIT, 3)
