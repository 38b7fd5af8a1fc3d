"""The messages of a payload as cards: each tool result with the call it answers, and how much of them to show at once. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from dashboards.text import EXCERPT_CHARS
from dashboards.trace.markdown import MARKDOWN_CHARS
from tracestore.content.message_parts import Part
from tracestore.content.messages import Message

_PANEL_CHARS, _LAYOUT_CHARS = 400_000, 100_000
# Of a message and of a part in it.
_Place = tuple[int, int]


@dataclass(frozen=True)
class ShownPart:
    """A part and its place in its message; a tool call that has a result among the messages brings it along with its place."""

    part: Part
    index: int
    result: Part | None = None
    result_place: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ShownMessage:
    """A message as its card shows it; `index` is its place among all."""

    message: Message
    index: int
    parts: list[ShownPart]


def pair_calls(messages: list[Message]) -> list[ShownMessage]:
    """Return the messages with each tool result under the call it answers, in place of a message of its own."""
    results = _match_results(messages)
    paired = set(results.values())
    shown = []
    for at, message in enumerate(messages):
        parts = []
        for place, part in enumerate(message.parts):
            if (at, place) in results:
                result_at, result_place = results[at, place]
                result = messages[result_at].parts[result_place]
                parts.append(ShownPart(part, place, result, (result_at, result_place)))
            elif (at, place) not in paired:
                parts.append(ShownPart(part, place))
        if parts or not message.parts:
            shown.append(ShownMessage(message, at, parts))
    return shown


def _match_results(messages: list[Message]) -> dict[_Place, _Place]:
    """Return for the places of calls those of the results that answer them.

    A result belongs to the last call before it with its id that has none yet; without an id, to the first such call of its name.
    """
    by_id: defaultdict[str, deque[_Place]] = defaultdict(deque)
    by_name: defaultdict[str, deque[_Place]] = defaultdict(deque)
    results: dict[_Place, _Place] = {}
    for at, message in enumerate(messages):
        for place, part in enumerate(message.parts):
            if part.kind == "tool_call":
                by_id[part.call_id].append((at, place))
                by_name[part.name].append((at, place))
            elif part.kind == "tool_result":
                waiting = by_id[part.call_id] if part.call_id else by_name[part.name] if part.name else deque()
                call = _take(waiting, results, from_end=bool(part.call_id))
                if call is not None:
                    results[call] = (at, place)
    return results


def _take(waiting: deque[_Place], answered: Mapping[_Place, _Place], *, from_end: bool) -> _Place | None:
    """Take a call that has no result yet off one end; None when there is none."""
    while waiting:
        call = waiting.pop() if from_end else waiting.popleft()
        if call not in answered:
            return call
    return None


@dataclass(frozen=True)
class MessageCards:
    """Messages to show. Each text is cut at `excerpt_chars`, so that the whole stays light however many messages there are.

    A text of an open message of up to `markdown_chars` is laid out at once: layout takes about 1 s per MB.
    """

    cards: list[ShownMessage]
    excerpt_chars: int
    markdown_chars: int


def lay_out(messages: list[Message]) -> MessageCards:
    """Return the messages of a payload as cards."""
    parts = max(1, sum(len(message.parts) for message in messages))
    return MessageCards(
        pair_calls(messages),
        excerpt_chars=max(500, min(EXCERPT_CHARS, _PANEL_CHARS // parts)),
        markdown_chars=max(500, min(MARKDOWN_CHARS, _LAYOUT_CHARS // parts)),
    )
