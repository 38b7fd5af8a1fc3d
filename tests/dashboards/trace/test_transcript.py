"""The story of a run from its spans: what is a card, what a group, what a detail, what is folded."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from dashboards.trace.repeats import canonical, find_repeated_tools
from dashboards.trace.transcript import Item, Transcript, build_transcript
from dashboards.trace.transcript_cards import Known, Opened, add_records, build_cards, build_frame
from tests.spans import make_span, make_summary
from tracestore.model import LogRecord, SpanSummary

SECOND = 10**9


def _span(span_id: str, parent: str = "", kind: str = "other", **values: Any) -> SpanSummary:
    """A span named by one letter or more; spans start in the order of their names."""
    start = sum(ord(letter) for letter in span_id) * SECOND
    named = {"name": span_id, "start_ns": start, "parent_span_id": parent}
    return make_summary(span_id=span_id, kind=kind, **named | values)


def _tell(*spans: SpanSummary) -> Transcript:
    return build_transcript(spans)


def _shape(items: list[Item]) -> list[Any]:
    """Items as nested lists of `kind span`, groups as (head, contents)."""
    return [
        (f"{item.kind} {item.span_id}", _shape(item.items)) if item.is_group else f"{item.kind} {item.span_id}" for item in items
    ]


def _llm(span_id: str, parent: str, **values: Any) -> SpanSummary:
    return _span(span_id, parent, "llm", **{"input_tokens": 100, "output_tokens": 10, "request_model": "gpt-4o"} | values)


def _tool(span_id: str, parent: str, **values: Any) -> SpanSummary:
    return _span(span_id, parent, "tool", **{"tool": "search"} | values)


def test_run_of_one_agent_is_told_without_a_group_around_it() -> None:
    story = _tell(_span("a", kind="agent"), _llm("b", "a"), _tool("c", "a"), _llm("d", "a"))

    assert _shape(story.items) == ["turn b", "tool c", "turn d"]
    assert story.main is not None
    assert story.main.span_id == "a"


def test_framework_spans_between_an_agent_and_its_steps_do_not_show() -> None:
    story = _tell(_span("a", kind="chain"), _span("b", "a", "agent"), _span("c", "b", "chain"), _llm("d", "c"), _tool("e", "c"))

    assert _shape(story.items) == ["turn d", "tool e"]


def test_agent_within_an_agent_is_a_group_with_the_usage_of_its_turns() -> None:
    story = _tell(
        _span("a", kind="agent"), _llm("b", "a"), _span("c", "a", "agent", agent="refunds"), _llm("d", "c", cost_usd=0.25),
        _llm("e", "c", cost_usd=0.5, cached_input_tokens=40), _llm("f", "a"),
    )  # fmt: skip

    assert _shape(story.items) == ["turn b", ("agent c", ["turn d", "turn e"]), "turn f"]
    usage = story.items[1].usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.cost_usd) == (200, 40, 20, 0.75)


def test_agent_that_runs_as_a_tool_is_a_group() -> None:
    story = _tell(
        _span("a", kind="agent"), _llm("b", "a"), _tool("c", "a", tool="ask_expert"), _span("d", "c", "agent"), _llm("e", "d")
    )

    assert _shape(story.items) == ["turn b", ("tool c", [("agent d", ["turn e"])])]


def test_second_span_about_a_call_is_its_detail_and_counts_once() -> None:
    story = _tell(_span("a", kind="agent"), _llm("b", "a"), _llm("c", "b"), _tool("d", "a"), _tool("e", "d"))

    assert _shape(story.items) == ["turn b", "tool d"]
    assert [span.span_id for span in story.items[0].details] == ["c"]
    assert story.items[0].usage.tokens == 110
    assert [span.span_id for span in story.items[1].details] == ["e"]


def test_rounds_of_the_same_agent_are_no_agents_within_it() -> None:
    story = _tell(
        _span("a", kind="agent", agent="triage"),
        _span("b", "a", "agent", agent="triage"),
        _llm("c", "b"),
        _span("d", "a", "agent"),
        _tool("e", "d"),
        _span("f", "a", "agent", agent="other"),
        _llm("g", "f"),
    )

    assert _shape(story.items) == ["turn c", "tool e", ("agent f", ["turn g"])]


@pytest.mark.parametrize(
    ("copy", "is_copy"),
    [
        ({"scope_name": "other", "duration_ns": 0}, True),
        ({"scope_name": "other", "duration_ns": 0, "output_tokens": 9}, True),
        ({"scope_name": "other", "duration_ns": 0, "request_model": "gpt-5"}, False),
        ({"scope_name": "other", "duration_ns": 2 * SECOND}, False),
        ({"duration_ns": 0}, True),
        ({"duration_ns": 0, "output_tokens": 11}, False),
        ({}, False),
    ],
)
def test_turn_that_another_instrumentation_tells_again_counts_once(copy: dict[str, Any], is_copy: bool) -> None:
    story = _tell(_span("a", kind="agent"), _llm("b", "a"), _llm("c", "a", **copy), _tool("d", "a"), _llm("e", "a", **copy))

    assert _shape(story.items) == ["turn b", *([] if is_copy else ["turn c"]), "tool d", "turn e"]
    assert [span.span_id for span in story.items[0].details] == (["c"] if is_copy else [])


def test_call_without_usage_takes_that_of_the_span_below_it() -> None:
    story = _tell(_llm("a", "", input_tokens=0, output_tokens=0), _llm("b", "a", cost_usd=0.5), _tool("c", ""))

    assert story.items[0].usage.tokens == 110
    assert story.items[0].usage.cost_usd == 0.5


def test_span_that_holds_the_loop_of_calls_and_tools_is_a_frame() -> None:
    story = _tell(_llm("a", ""), _llm("b", "a"), _tool("c", "a"), _llm("d", "a"))

    assert _shape(story.items) == ["turn b", "tool c", "turn d"]


def test_call_that_only_holds_its_tools_stays_a_turn() -> None:
    story = _tell(_span("a", kind="agent"), _llm("b", "a"), _tool("c", "b"))

    assert _shape(story.items) == ["turn b", "tool c"]


def test_plumbing_is_folded_and_counts_its_errors() -> None:
    story = _tell(
        _span("a", kind="agent"),
        _span("b", "a"),
        _span("c", "b", is_error=True),
        _span("d", "a"),
        _llm("e", "a"),
        _span("f", "a"),
    )

    assert _shape(story.items) == ["folded b", "turn e", "folded f"]
    assert [span.span_id for span in story.items[0].folded] == ["b", "c", "d"]
    assert story.items[0].error_count == 1


def test_plumbing_below_a_step_is_its_detail() -> None:
    story = _tell(_span("a", kind="agent"), _tool("b", "a"), _span("c", "b"), _span("d", "c"))

    assert _shape(story.items) == ["tool b"]
    assert [span.span_id for span in story.items[0].details] == ["c", "d"]


@pytest.mark.parametrize(
    ("span", "kind"),
    [
        (_tool("b", "a", tool="escalate_to_human"), "escalation"),
        (_tool("b", "a", tool="transfer_to_refunds", signal="agent_handoff"), "handoff"),
        (_span("b", "a", signal="agent_handoff"), "handoff"),
        (_span("b", "a", signal="human_approval_requested"), "approval"),
        (_span("b", "a", signal="human_wait"), "approval"),
    ],
)
def test_handoffs_and_people_have_cards_of_their_own(span: SpanSummary, kind: str) -> None:
    story = _tell(_span("a", kind="agent"), span, _llm("c", "a"))

    assert _shape(story.items) == [f"{kind} b", "turn c"]


def test_error_of_a_frame_shows_when_nothing_below_it_failed() -> None:
    silent = _tell(_span("a", kind="agent"), _span("b", "a", "chain", is_error=True), _llm("c", "b"))
    explained = _tell(_span("a", kind="agent"), _span("b", "a", "chain", is_error=True), _llm("c", "b", is_error=True))

    assert _shape(silent.items) == ["error b", "turn c"]
    assert _shape(explained.items) == ["turn c"]


def test_chain_of_thousands_of_agents_is_told_without_recursion() -> None:
    count = 6_000
    spans = [
        make_summary(
            span_id=f"{number:016x}", parent_span_id=f"{number - 1:016x}" if number else "", kind="agent", start_ns=number
        )
        for number in range(count)
    ]
    spans.append(_llm("z", f"{count - 1:016x}", start_ns=count))

    story = _tell(*spans)

    assert _shape(story.items) == ["turn z"]
    assert len(story.find_path("z")) == 1


def test_orphans_and_rings_of_parents_are_told_all_the_same() -> None:
    story = _tell(_llm("a", "gone"), _tool("b", "gone"), _llm("c", "d"), _tool("d", "c"), _llm("e", "e"))

    assert sorted(item.span_id for item in story.walk()) == ["a", "b", "c", "d", "e"]


def test_path_leads_through_the_groups_to_the_card_that_shows_a_step() -> None:
    story = _tell(
        _span("a", kind="agent"), _llm("b", "a"), _span("c", "a", "agent", agent="x"),
        _span("d", "c", "agent", agent="y"), _llm("e", "d"),
        _span("f", "e"), _llm("g", "a"),
    )  # fmt: skip

    assert [item.span_id for item in story.find_path("f")] == ["c", "d", "e"]
    assert story.find_path("nowhere") == []


# --- Retries and loops


def test_only_tools_that_were_called_again_need_their_arguments() -> None:
    story = _tell(_span("a", kind="agent"), _tool("b", "a"), _tool("c", "a", tool="refund"), _tool("d", "a"), _llm("e", "a"))

    assert find_repeated_tools(story) == ["search"]


@pytest.mark.parametrize("said", ['{"q": 1, "k": 2}', '{"k": 2, "q": 1}', '{"inputs": {"q": 1, "k": 2}, "input_str": "q"}'])
def test_arguments_of_log_records_are_the_same_in_any_order_and_envelope(said: str) -> None:
    assert canonical(said) == '{"k": 2, "q": 1}'


# --- Cards


def test_card_of_a_turn_says_the_text_and_the_calls_of_the_answer() -> None:
    call = {"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": "tea"}}
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "Let me\nlook."}, call]}]
    story = _tell(_llm("a", "", response_model="gpt-4o-2026"), _tool("b", ""))
    contents = {"a": make_span({"gen_ai.output.messages": answer})}

    card = build_cards(story.items, Known(contents), {})[0]

    assert (card.title, card.said) == ("gpt-4o-2026", "Let me look.")
    assert card.calls == [("search", '{ "q": "tea" }')]


def test_card_of_a_turn_says_all_calls_of_an_answer_in_several_messages() -> None:
    # The Responses API, by OpenInference: a message for the reasoning and for each call.
    prefix = "llm.output_messages"
    attributes = {
        f"{prefix}.0.message.role": "assistant",
        f"{prefix}.0.message.contents.0.message_content.type": "reasoning",
        f"{prefix}.0.message.contents.0.message_content.text": "Thinking about the order.",
        f"{prefix}.1.message.role": "assistant",
        f"{prefix}.1.message.tool_calls.0.tool_call.function.name": "lookup_order",
        f"{prefix}.1.message.tool_calls.0.tool_call.function.arguments": '{"order_id": "A-17"}',
        f"{prefix}.2.message.role": "assistant",
        f"{prefix}.2.message.tool_calls.0.tool_call.function.name": "search_kb",
        f"{prefix}.2.message.tool_calls.0.tool_call.function.arguments": '{"query": "refund policy"}',
    }
    story = _tell(_llm("a", ""), _tool("b", ""))

    card = build_cards(story.items, Known({"a": make_span(attributes)}), {})[0]

    assert (card.said, [name for name, _ in card.calls]) == ("", ["lookup_order", "search_kb"])


def test_card_of_a_tool_says_arguments_result_and_error() -> None:
    failed = {
        "is_error": True,
        "error_type": "Timeout",
        "error_message": 'no answer\nTraceback (most recent call last):\n  File "a.py"',
    }
    story = _tell(_llm("a", ""), _tool("b", "", **failed))
    contents = {"b": make_span({"gen_ai.tool.call.arguments": '{"q": 1}', "gen_ai.tool.call.result": "nothing"}, kind="tool")}

    card = build_cards(story.items, Known(contents), {})[1]

    assert (card.said, card.answer, card.error) == ('{ "q": 1 }', "nothing", "Timeout: no answer")


def test_group_shows_its_first_input_and_last_output_from_its_turns_when_it_says_nothing_itself() -> None:
    story = _tell(_llm("a", ""), _span("b", "", "agent", agent="refunds"), _llm("c", "b"), _llm("d", "b"))
    contents = {
        "c": make_span(
            {"gen_ai.input.messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "refund A-1"}]}
        ),
        "d": make_span({"gen_ai.output.messages": [{"role": "assistant", "content": "done"}]}),
    }

    card = build_cards(story.items, Known(contents), {})[1]

    assert (card.title, card.said, card.answer) == ("refunds", "refund A-1", "done")


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ('{"task": "Is it paid?", "stream": false}', "Is it paid?"),
        ('{"input": {"a": 1}, "question": "Paid?"}', "Paid?"),
        ("Is it paid?", "Is it paid?"),
        ('{"order": 1}', '{\n  "order": 1\n}'),
        ('{"input_args": {"question": "Is it paid?"}}', "Is it paid?"),
        ('{"user_id": "u", "new_message": {"parts": [{"text": "Is it paid?"}], "role": "user"}}', "Is it paid?"),
    ],
)
def test_question_is_found_among_the_arguments_of_a_run(value: str, asked: str) -> None:
    story = _tell(_span("a", kind="agent"), _llm("b", "a"), _tool("c", "a"))

    assert build_frame(story, {"a": make_span({"input.value": value}, kind="agent")}).input == asked


@pytest.mark.parametrize(
    "state",
    [
        # CrewAI hands the agent with all its tools to each task, LlamaIndex its workflow to each run.
        {"agent": {"role": "support"}, "context": "", "tools": ["name='lookup_order' " + "x" * 1_200]},
        {"agent": {"messages": ["ChatMessage(_role=<ChatRole.USER: 'user'>, _content=[TextContent(text='Is it paid?')])"]}},
    ],
    ids=["long", "Haystack's messages"],
)
def test_state_of_a_framework_is_no_question_and_no_answer(state: dict[str, Any]) -> None:
    story = _tell(_span("a", kind="agent"), _llm("b", "a"), _tool("c", "a"))
    asked = make_span({"gen_ai.input.messages": [{"role": "user", "content": "Current Task: Is it paid?"}]})
    agent = make_span({"input.value": json.dumps(state), "output.value": json.dumps(state)}, kind="agent")

    frame = build_frame(story, {"a": agent, "b": asked})

    assert (frame.input, frame.output) == ("Current Task: Is it paid?", "")
    # Where nobody says it better, it is shown.
    assert build_frame(story, {"a": agent}).input


def test_part_of_a_list_knows_what_stands_before_and_after_it() -> None:
    cards = build_cards(_tell(_llm("a", ""), _tool("b", "")).items, Known(), {})

    part = Opened(cards, 30, 100, 25)

    assert (part.earlier, part.later, part.left) == (5, 32, 68)
    assert Opened(cards, 0, 2, 25).later is None
    assert Opened(cards, 0, 2, 25).earlier is None


def _record(**values: Any) -> LogRecord:
    kinds: dict[str, Any] = {"int": 0, "str": "", "Any": None}
    empty: dict[str, Any] = {field.name: kinds.get(str(field.type), {}) for field in fields(LogRecord)}
    return LogRecord(**empty | values)


def test_log_records_tell_what_a_span_does_not_and_what_a_person_decided() -> None:
    story = _tell(_llm("a", ""), _tool("b", "", tool_call_id="t1"), _tool("c", "", tool_call_id="t2"), _tool("d", ""))
    contents = {item.span_id: make_span(kind=item.span.kind, tool_call_id=item.span.tool_call_id) for item in story.items}
    decided = "claude_code.tool_decision"
    records = [
        _record(span_id="a", event_name="claude_code.assistant_response", attributes={"response": "I look."}),
        _record(tool_call_id="t1", event_name="claude_code.tool_result", attributes={"tool_input": '{"q": 1}'}),
        _record(tool_call_id="t1", event_name=decided, attributes={"decision": "accept", "source": "user_temporary"}),
        _record(tool_call_id="t2", event_name=decided, attributes={"decision": "reject", "source": "user_reject"}),
        _record(span_id="d", event_name=decided, attributes={"decision": "accept", "source": "config"}),
    ]

    merged, decisions = add_records(contents, records)
    cards = build_cards(story.items, Known(merged, decisions=decisions), {})

    assert cards[0].said == "I look."
    assert cards[1].said == '{ "q": 1 }'
    assert [card.decision for card in cards] == ["", "approved", "rejected", ""]
