"""Items of the transcript with what was said in them, ready for the template. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile, takewhile

from dashboards.text import preview, split_stacktrace
from dashboards.trace.content import read_documents
from dashboards.trace.logs import as_span, read_fields
from dashboards.trace.repeats import Mark
from dashboards.trace.transcript import Item, Transcript
from tracestore.content.payload_readers import Payload
from tracestore.content.payloads import read_input, read_output, read_tool_call
from tracestore.content.values import decode_value
from tracestore.model import LogRecord, Span, SpanSummary
from tracestore.semconv.signals import ACCEPTED, BY_PERSON, DECISION_EVENTS

_LINE_CHARS, _FRAME_CHARS, _CALL_LIMIT = 280, 1_200, 8
_SAID = ("text", "data", "media")
# What frameworks and applications call the question.
_QUESTIONS = ("task", "question", "query", "prompt", "user_input", "input", "message", "text", "content")
# "ChatMessage(_role=<ChatRole.USER: 'user'>, ...", "<workflows.context.context.Context object at 0x7f70287e4e50>"
_PYTHON_OBJECT = re.compile(r'"(?:[A-Z]\w+\(\w+=|<[\w.]+ object at 0x)')
_APPROVALS = {
    "human_approval_requested": "Approval asked of a person",
    "human_approval_decided": "Approval decided by a person",
    "human_wait": "Waited for a person",
}


@dataclass(frozen=True)
class Said:
    """The gist of a payload: `text` in the role of `speaker`, and tool calls as (name, arguments). Lines are not cut."""

    text: str = ""
    is_thought: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Card:
    """One card. `said` is what went in or was said, `answer` what came back; both one line, "" when it was not recorded.

    `error` is the message of what failed here itself, `decision` what a person said to the call (approved, rejected), `opened`
    what stands in a group that is open.
    """

    item: Item
    title: str
    note: str = ""
    said: str = ""
    is_thought: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    hidden_calls: int = 0
    answer: str = ""
    error: str = ""
    mark: Mark | None = None
    decision: str = ""
    opened: Opened | None = None


@dataclass(frozen=True)
class Opened:
    """Part of what stands in a list of items: the cards from place `at` on, out of `total`."""

    cards: list[Card]
    at: int
    total: int
    window: int

    @property
    def earlier(self) -> int | None:
        """Where the cards before these begin, None when there are none."""
        return max(0, self.at - self.window) if self.at else None

    @property
    def later(self) -> int | None:
        """Where the cards after these begin, None when there are none."""
        after = self.at + len(self.cards)
        return after if after < self.total else None

    @property
    def left(self) -> int:
        """How many cards come after these."""
        return self.total - self.at - len(self.cards)


@dataclass(frozen=True)
class Known:
    """What is known about steps beyond their summaries, by span id: content, which are repeats, what a person decided."""

    contents: Mapping[str, Span] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """What a story begins and ends with: the user's words and the answer; "" when they were not recorded."""

    input: str
    output: str


def choose_steps(items: Iterable[Item]) -> tuple[list[SpanSummary], list[str]]:
    """Return the steps whose content these items show, and the ids of those among them whose input is shown, too."""
    steps: dict[str, SpanSummary] = {}
    with_input: list[str] = []
    for item in items:
        if item.kind == "folded":
            continue
        shown = [item.span, *item.details[:2]] if item.kind == "turn" else [item.span]
        turns = item.turns() if item.is_group else []
        if turns:
            shown += [turns[0].span, turns[-1].span]
            with_input.append(turns[0].span_id)
        steps |= {span.span_id: span for span in shown}
    return list(steps.values()), with_input


def choose_frame_steps(transcript: Transcript) -> tuple[list[SpanSummary], list[str]]:
    """Return what build_frame needs, in the same form."""
    turns = [item for item in transcript.walk() if item.kind == "turn"]
    frames = [span for span in (transcript.main, transcript.inner) if span is not None]
    shown = [*frames, *([turns[0].span, turns[-1].span] if turns else [])]
    ids = [*(span.span_id for span in frames), *(turn.span_id for turn in turns[:1])]
    return list({span.span_id: span for span in shown}.values()), ids


def build_frame(transcript: Transcript, contents: Mapping[str, Span]) -> Frame:
    """Return what the run was asked and what it answered: as the step that stands for all says, else its first and last turn."""
    turns = [item for item in transcript.walk() if item.kind == "turn"]
    frames = [contents[span.span_id] for span in (transcript.main, transcript.inner) if span and span.span_id in contents]
    first = contents.get(turns[0].span_id) if turns else None
    inputs = [read_input(span) for span in (*frames, first) if span is not None]
    asked = _first_text(_asked(payload) for payload in sorted(inputs, key=_is_state))
    # The last turn stands in the story anyway.
    outputs = [read_output(span) for span in frames]
    answer = _first_text(_say(output).text for output in outputs if first is None or not _is_state(output))
    return Frame(_cut(asked), _cut(answer))


def _is_state(payload: Payload | None) -> bool:
    """Tell what a framework passes on (its agent, its workflow) from what somebody said: JSON too long to be shown, or Python's
    way to show an object in it."""
    if payload is None or not payload.is_json or payload.messages:
        return False
    text = _asked(payload)
    return len(text) > _FRAME_CHARS or _PYTHON_OBJECT.search(text) is not None


def _cut(text: str) -> str:
    return text if len(text) <= _FRAME_CHARS else text[:_FRAME_CHARS].rstrip() + "…"


def add_records(contents: Mapping[str, Span], records: Sequence[LogRecord]) -> tuple[dict[str, Span], dict[str, str]]:
    """Return the content with what log records tell about the steps, and what a person decided about tool calls, by span id."""
    calls = {span.summary.tool_call_id: span_id for span_id, span in contents.items() if span.summary.tool_call_id}
    told: dict[str, list[LogRecord]] = {}
    decisions = {}
    for record in records:
        span_id = calls.get(record.tool_call_id, record.span_id)
        told.setdefault(span_id, []).append(record)
        said = read_fields(record)
        if record.event_name in DECISION_EVENTS and re.match(BY_PERSON, str(said.get("source", "")).lower()):
            decisions[span_id] = "approved" if str(said.get("decision")).lower() in ACCEPTED else "rejected"
    merged = {
        span_id: replace(span, events=[*span.events, *as_span(span, told[span_id]).events]) if span_id in told else span
        for span_id, span in contents.items()
    }
    return merged, decisions


def build_cards(items: Sequence[Item], known: Known, opened: Mapping[str, Opened]) -> list[Card]:
    """Return a card for each item; `opened` is what stands in the groups that are open, by span id of the group."""
    return [_build_card(item, known, opened.get(item.span_id)) for item in items]


def _build_card(item: Item, known: Known, opened: Opened | None) -> Card:
    span, contents = item.span, known.contents
    content = contents.get(span.span_id)
    title, note = _name(item)
    said, answer, thought = "", "", False
    calls: list[tuple[str, str]] = []
    if item.kind == "turn":
        spans = (contents[step.span_id] for step in (span, *item.details[:2]) if step.span_id in contents)
        told = _first_said(_say(read_output(step)) for step in spans)
        said, thought, calls = told.text, told.is_thought, told.calls
    elif span.kind == "tool" and content is not None:
        arguments, result = read_tool_call(content)
        said, answer = (payload.text if payload else "" for payload in (arguments, result))
    elif content is not None and item.kind != "folded":
        said, answer = _asked(read_input(content)), _say(read_output(content)).text
    if item.kind == "retriever" and content is not None and (documents := read_documents(content)):
        gist = " · ".join(document.text[:80] for document in documents[:3])
        answer = f"{len(documents)} document{'' if len(documents) == 1 else 's'}: {gist}"
    if item.is_group and item.kind != "turn":
        turns = item.turns()
        first, last = (contents.get(turn.span_id) for turn in (turns[0], turns[-1])) if turns else (None, None)
        said = said or (_asked(read_input(first)) if first is not None else "")
        answer = answer or (_say(read_output(last)).text if last is not None else "")
    return Card(
        item, title, note, preview(said, _LINE_CHARS), thought,
        [(name, preview(arguments, _LINE_CHARS)) for name, arguments in calls[:_CALL_LIMIT]], max(0, len(calls) - _CALL_LIMIT),
        preview(answer, _LINE_CHARS), _find_error(item), known.marks.get(span.span_id), known.decisions.get(span.span_id, ""),
        opened,
    )  # fmt: skip


def _name(item: Item) -> tuple[str, str]:
    """Return what a card is called and what stands small beside it."""
    span = item.span
    if item.kind == "turn":
        return span.response_model or span.request_model or span.name, span.agent
    if item.kind == "agent":
        return span.agent or span.name, ""
    if item.kind == "approval":
        return _APPROVALS.get(span.signal, "Approval"), span.tool or span.name
    if item.kind == "escalation":
        return "Handed to a person", span.tool or span.name
    if item.kind == "handoff":
        return "Handed to another agent", span.tool or span.name
    return (span.tool or span.name) if item.kind == "tool" else span.name, ""


def _find_error(item: Item) -> str:
    """Return type and message of the error of a step itself; within groups each step says its own."""
    span = item.span
    failed = span if span.is_error else next((step for step in item.details if step.is_error), None)
    if failed is None or item.kind == "folded":
        return ""
    kind = failed.error_type if failed.error_type != "unknown" else ""
    message = split_stacktrace(failed.error_message or failed.status_message)[0]
    if message.startswith(kind):
        kind = ""
    return preview(": ".join(filter(None, (kind, message))), _LINE_CHARS) or "It gave no message."


def _say(payload: Payload | None) -> Said:
    """Return what an output says: the texts and calls of the assistant since anybody else spoke, else its thoughts."""
    if payload is None:
        return Said()
    if not payload.messages:
        return Said(payload.text)
    # The Responses API makes a message of each part of one answer.
    before = dropwhile(lambda message: message.role != "assistant", reversed(payload.messages))
    answer = list(takewhile(lambda message: message.role == "assistant", before))[::-1] or payload.messages[-1:]
    parts = [part for message in answer for part in message.parts]
    texts = [part.text for part in parts if part.kind in ("text", "data") and part.text.strip()]
    thoughts = [part.text for part in parts if part.kind == "reasoning" and part.text.strip()]
    calls = [(part.name, part.text) for part in parts if part.kind == "tool_call"]
    if not texts and not calls and not thoughts:
        others = [part.text for part in parts if part.text.strip()]
        return Said("\n".join(others))
    if texts or calls:
        return Said("\n".join(texts), False, calls)
    return Said("\n".join(thoughts), True)


def _asked(payload: Payload | None) -> str:
    """Return what an input asks: the last words of the user in it, else its last message."""
    if payload is None:
        return ""
    if not payload.messages:
        return _find_question(payload)
    told = [message for message in payload.messages if message.role == "user"] or payload.messages[-1:]
    parts = (("[attached]" if part.kind == "media" else part.text) for part in told[-1].parts if part.kind in _SAID)
    return "\n".join(parts)


def _find_question(payload: Payload) -> str:
    """Return the question among the arguments that a run was started with, else all of them."""
    value = decode_value(payload.text) if payload.is_json else None
    # DSPy writes {"input_args": {...}}, decorators {"kwargs": {...}}.
    while isinstance(value, dict) and len(value) == 1 and isinstance(only := next(iter(value.values())), dict):
        value = only
    if not isinstance(value, dict):
        return payload.text
    return next((value[key] for key in _QUESTIONS if isinstance(value.get(key), str) and value[key].strip()), payload.text)


def _first_text(texts: Iterable[str]) -> str:
    return next((text for text in texts if text.strip()), "")


def _first_said(said: Iterable[Said]) -> Said:
    return next((told for told in said if told.text or told.calls), Said())
