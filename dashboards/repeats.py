"""What a run did again: retries after an error and loops of identical calls, and what that cost. Pure.

A call is the same when one agent calls the same tool with the same arguments (in whatever order they stand). After the first,
each is a **retry** when the one before it had failed; three or more that are not all retries are a **loop**. A model call is a
retry when the call right before it, to the same model and by the same agent, had failed; **after a cut answer** when the answer
of that one ended at the limit of its length.

Wasted is what the repeats used: what ran inside the calls after the first, and the turns of the model that asked for nothing but
such calls. Of model calls that is the failed ones: a call may go on from a cut answer. A turn that several repeats share counts
once in a sum.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.content import open_envelope
from dashboards.text import decode_value
from dashboards.transcript import Item, Transcript, Usage

_LOOP = 3
# How providers say that an answer ended at the limit of its length.
_CUT = ("length", "max_tokens", "max_output_tokens")
_CALLS = ("tool", "handoff", "escalation")


@dataclass(frozen=True)
class Repeat:
    """Calls that are the same, in order. `kind` is retry, cut or loop, `name` the tool's or the model's.

    `wasted` are the model calls that the repeats used, by span id.
    """

    kind: str
    name: str
    span_ids: list[str]
    wasted: Mapping[str, Usage]

    @property
    def usage(self) -> Usage:
        return _add_up(self.wasted)


@dataclass(frozen=True)
class Mark:
    """What a repeated call is: the `number`-th of `total` the same."""

    kind: str
    number: int
    total: int


@dataclass(frozen=True)
class Repeats:
    """All that a run did again, in the order in which it began."""

    found: list[Repeat]

    @property
    def retries(self) -> int:
        return sum(len(repeat.span_ids) - 1 for repeat in self.found if repeat.kind == "retry")

    @property
    def after_cuts(self) -> int:
        """How many model calls follow an answer that ended at the limit of its length."""
        return sum(len(repeat.span_ids) - 1 for repeat in self.found if repeat.kind == "cut")

    @property
    def loops(self) -> int:
        return sum(repeat.kind == "loop" for repeat in self.found)

    @property
    def wasted(self) -> Usage:
        """What all of them used, no turn counted twice."""
        return _add_up({span_id: usage for repeat in self.found for span_id, usage in repeat.wasted.items()})

    @property
    def marks(self) -> dict[str, Mark]:
        """The repeated calls by span id; the first of each has no mark."""
        return {
            span_id: Mark(repeat.kind, number, len(repeat.span_ids))
            for repeat in self.found
            for number, span_id in enumerate(repeat.span_ids[1:], 2)
        }


@dataclass(frozen=True)
class _Call:
    item: Item
    turn: Item | None


def find_repeats(transcript: Transcript, arguments: Mapping[str, str]) -> Repeats:
    """Return what was done again; `arguments` are those of tool calls as text, by span id. A call without is never the same."""
    found = []
    for items in _scopes(transcript):
        found += _find_repeated_calls(items, arguments)
        found += _find_repeated_turns(items)
    starts = {item.span_id: item.span.start_ns for item in transcript.walk()}
    return Repeats(sorted(found, key=lambda repeat: starts[repeat.span_ids[0]]))


def find_repeated_tools(transcript: Transcript) -> list[str]:
    """Return the tools that some agent called more than once: of others the arguments need not be read."""
    tools: set[str] = set()
    for items in _scopes(transcript):
        seen: set[str] = set()
        for item in items:
            if item.kind in _CALLS:
                (tools if item.span.tool in seen else seen).add(item.span.tool)
    return sorted(tools - {""})


def canonical(arguments: str) -> str:
    """Return arguments as text that is the same for the same arguments: without envelopes, keys in order."""
    value: Any = open_envelope(decode_value(arguments))
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return arguments


def _scopes(transcript: Transcript) -> Iterator[list[Item]]:
    """Return what each agent did itself."""
    yield transcript.items
    for item in transcript.walk():
        if item.is_group:
            yield item.items


def _find_repeated_calls(items: list[Item], arguments: Mapping[str, str]) -> list[Repeat]:
    same: dict[tuple[str, str], list[_Call]] = {}
    asked: dict[str, list[str]] = {}
    turn: Item | None = None
    for item in items:
        if item.kind == "turn":
            turn = item
        elif item.kind in _CALLS:
            if turn is not None:
                asked.setdefault(turn.span_id, []).append(item.span_id)
            if said := arguments.get(item.span_id):
                same.setdefault((item.span.tool, canonical(said)), []).append(_Call(item, turn))
    groups = [(kind, calls) for calls in same.values() if (kind := _judge(calls))]
    repeated = {call.item.span_id for _, calls in groups for call in calls[1:]}
    found = []
    for kind, calls in groups:
        wasted: dict[str, Usage] = {}
        for call in calls[1:]:
            wasted |= {inner.span_id: inner.usage for inner in call.item.turns()}
            if call.turn is not None and repeated.issuperset(asked[call.turn.span_id]):
                wasted[call.turn.span_id] = call.turn.usage
        found.append(Repeat(kind, calls[0].item.span.tool, [call.item.span_id for call in calls], wasted))
    return found


def _judge(calls: Sequence[_Call]) -> str:
    if len(calls) < 2:
        return ""
    if all(_failed(call.item) for call in calls[:-1]):
        return "retry"
    return "loop" if len(calls) >= _LOOP else ""


def _failed(item: Item) -> bool:
    """Tell whether a call failed: what went wrong below it counts unless the call says that it went well."""
    span = item.span
    return span.is_error or span.signal == "refused_call" or (span.status.lower() != "ok" and item.error_count > 0)


def _find_repeated_turns(items: list[Item]) -> list[Repeat]:
    found: list[Repeat] = []
    run: list[Item] = []
    kind = ""
    for item in [*(item for item in items if item.kind != "folded"), None]:
        again = _why_again(run[-1], item) if run and item else ""
        if len(run) > 1 and again != kind:
            wasted = {turn.span_id: turn.usage for turn in run[:-1]} if kind == "retry" else {}
            found.append(Repeat(kind, _model(run[0]), [turn.span_id for turn in run], wasted))
            run = run[-1:]
        if not again:
            run = []
        if item is not None and item.kind == "turn":
            run.append(item)
        kind = again
    return found


def _why_again(turn: Item, item: Item) -> str:
    """Return retry or cut where an item asks the model again for what the turn before it did not give in full, else ""."""
    if item.kind != "turn" or _model(item) != _model(turn):
        return ""
    if turn.span.is_error:
        return "retry"
    return "cut" if turn.span.finish_reason.lower() in _CUT else ""


def _model(turn: Item) -> str:
    return turn.span.request_model or turn.span.response_model


def _add_up(wasted: Mapping[str, Usage]) -> Usage:
    total = Usage()
    for usage in wasted.values():
        total.add(usage)
    return total
