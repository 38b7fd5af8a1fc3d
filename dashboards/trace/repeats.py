"""What a run did again, as its page tells it: the groups of tracestore/summary/repeats.py on the cards that show them. Pure.

docs/transcript.md says what a retry, a loop and waste are. Metrics count the same, but for arguments that stand in log records
alone, which only the page reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboards.trace.transcript import Transcript, Usage
from tracestore.content.payload_readers import open_envelope
from tracestore.content.values import decode_value
from tracestore.model import SpanSummary
from tracestore.summary.calls import find_calls, find_tool_calls
from tracestore.summary.columns import Ints, SpanColumns
from tracestore.summary.repeats import LOOP, RETRY, find_repeats

_KINDS = {RETRY: "retry", LOOP: "loop"}
# How providers say that an answer ended at the limit of its length.
_CUT = ("length", "max_tokens", "max_output_tokens")
_CALLS = ("tool", "handoff", "escalation")


@dataclass(frozen=True)
class Repeat:
    """Calls that are the same, in order. `kind` is retry, cut or loop, `name` the tool's or the model's."""

    kind: str
    name: str
    span_ids: list[str]


@dataclass(frozen=True)
class Mark:
    """What a repeated call is: the `number`-th of `total` the same."""

    kind: str
    number: int
    total: int

    @property
    def label(self) -> str:
        if self.kind == "cut":
            return "after a cut answer"
        return f"repeat {self.number} of {self.total}" if self.kind == "loop" else f"retry {self.number - 1}"


@dataclass(frozen=True)
class Repeats:
    """All that a run did again, in the order in which it began. `wasted` is what all of it used, no turn counted twice."""

    found: list[Repeat]
    wasted: Usage

    @property
    def retries(self) -> int:
        return self._count("retry")

    @property
    def after_cuts(self) -> int:
        """How many model calls follow an answer that ended at the limit of its length."""
        return self._count("cut")

    @property
    def loops(self) -> int:
        return sum(repeat.kind == "loop" for repeat in self.found)

    @property
    def marks(self) -> dict[str, Mark]:
        """The repeated calls by span id; the first of each has no mark."""
        return {
            span_id: Mark(repeat.kind, number, len(repeat.span_ids))
            for repeat in self.found
            for number, span_id in enumerate(repeat.span_ids[1:], 2)
        }

    def _count(self, kind: str) -> int:
        return sum(len(repeat.span_ids) - 1 for repeat in self.found if repeat.kind == kind)


def tell_repeats(
    spans: SpanColumns, summaries: Sequence[SpanSummary], transcript: Transcript, logged: Mapping[str, str]
) -> Repeats:
    """Return what one trace did again: `spans` are all of its spans, `summaries` those that the page shows.

    `logged` are arguments of tool calls that stand in log records, by span id: they count where the span has none.
    """
    shown = {summary.span_id: summary for summary in summaries}
    ids = _ids_of(spans, np.arange(spans.count))
    arguments = spans.numbers("arguments_hash").copy()
    for place, span_id in enumerate(ids):
        if not arguments[place] and (said := logged.get(span_id)):
            arguments[place] = hash(canonical(said)) | 1
    cut = np.array([span_id in shown and shown[span_id].finish_reason.lower() in _CUT for span_id in ids], dtype=np.bool_)
    again = find_repeats(spans, find_calls(spans), find_tool_calls(spans), arguments, cut)
    # A call may show on the card of another span about it.
    cards = {span.span_id: item.span_id for item in transcript.walk() for span in (item.span, *item.details)}
    found = []
    for group in np.argsort(again.members[again.offsets[:-1]], kind="stable"):
        members = again.members[again.offsets[group] : again.offsets[group + 1]]
        span_ids = [cards.get(span_id, span_id) for span_id in _ids_of(spans, members)]
        found.append(Repeat(_KINDS.get(int(again.kinds[group]), "cut"), _name_of(spans, int(members[0])), span_ids))
    wasted = Usage()
    for place in np.flatnonzero(again.wasted).tolist():
        cost_usd = shown[ids[place]].cost_usd if ids[place] in shown else None
        read, cached, written = (
            int(spans.numbers(name)[place]) for name in ("input_tokens", "cache_read_tokens", "output_tokens")
        )
        wasted.add(Usage(read, cached, written, cost_usd))
    return Repeats(found, wasted)


def find_repeated_tools(transcript: Transcript) -> list[str]:
    """Return the tools that a run called more than once: of others the arguments need not be looked for."""
    tools: set[str] = set()
    seen: set[str] = set()
    for item in transcript.walk():
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


def _ids_of(spans: SpanColumns, places: Ints) -> list[str]:
    text = spans.raw_ids("span_id")[places].tobytes().hex()
    return [text[at : at + 16] for at in range(0, len(text), 16)]


def _name_of(spans: SpanColumns, place: int) -> str:
    names = [
        labels.values[labels.codes[place]]
        for name in ("tool", "request_model", "response_model")
        if (labels := spans.labels(name))
    ]
    return next((name for name in names if name), "")
