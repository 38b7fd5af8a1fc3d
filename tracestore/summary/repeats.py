"""What runs did again: retries after an error and loops of identical calls, and what those used. Pure, computed on columns.

This is the one definition, for the metrics (rows.py) and for the trace page (dashboards/trace/repeats.py); docs/transcript.md
tells it to users. A call is the same when one agent calls the same tool with the same arguments (spans.arguments_hash). Of such
calls those after the first are **retries** when every one but the last had failed; three or more that are not are a **loop**.
A model call is a retry when the call right before it, to the same model and by the same agent, had failed; it is **after a cut
answer** when the answer of that one ended at the limit of its length.

Wasted is what the repeats used: what ran inside the calls after the first, and the turns of the model that asked for nothing but
such calls. Of model calls that is the failed ones: a call may go on from a cut answer. A turn that several repeats share counts
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracestore.summary.calls import Calls, ToolCalls
from tracestore.summary.columns import Ints, Mask, SpanColumns, mark_ancestors, nearest_ancestor

RETRY, LOOP, CUT = 0, 1, 2
_LOOP = 3
# What stands between two model calls, so that the second does not repeat the first.
_STEPS = ("agent", "llm", "tool", "retriever", "embedding", "guardrail", "evaluator")
# Large odd numbers: what is the same of one trace and tool must not be so of others.
_OF_TRACE, _OF_TOOL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True)
class Repeats:
    """Same calls: `members` are their positions, group after group and each in order; those of group i are offsets[i] to
    offsets[i + 1], and kinds[i] is RETRY, LOOP or CUT. `wasted` marks the spans whose usage the repeats used.
    """

    members: Ints
    offsets: Ints
    kinds: Ints
    wasted: Mask

    def count_by_trace(self, spans: SpanColumns, kind: int) -> tuple[Ints, Ints]:
        """Return per trace how many groups of a kind it has, and how many calls after the first of each."""
        which = np.flatnonzero(self.kinds == kind)
        trace = spans.trace[self.members[self.offsets[which]]]
        groups = np.bincount(trace, minlength=spans.trace_count)
        calls = np.zeros(spans.trace_count, dtype=np.int64)
        np.add.at(calls, trace, np.diff(self.offsets)[which] - 1)
        return groups, calls


def find_repeats(spans: SpanColumns, calls: Calls, tools: ToolCalls, arguments: Ints, cut: Mask | None = None) -> Repeats:
    """Return what was done again. `arguments` is spans.arguments_hash, 0 for none: a call without is never the same.

    `cut` marks the model calls whose answer ended at the limit of its length; metrics do not count those.
    """
    made = tools.is_call | tools.refused
    asks = calls.is_call & spans.labels("kind").where("llm")
    broken = asks & (spans.mask("is_error") if cut is None else spans.mask("is_error") | cut)
    # Most traces repeat nothing: only of those that may have done so more is looked at.
    told = np.flatnonzero(made & (arguments != 0))
    keys = arguments[told].astype(np.uint64)
    keys ^= spans.trace[told].astype(np.uint64) * _OF_TRACE ^ spans.labels("tool").codes[told].astype(np.uint64) * _OF_TOOL
    order = np.argsort(keys)
    again = told[order[1:][keys[order[1:]] == keys[order[:-1]]]]
    looked_at = spans.traces_with(again) | spans.traces_with(broken)
    wasted = np.zeros(spans.count, dtype=bool)
    if not looked_at.any():
        return Repeats(np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64), wasted)

    inside = looked_at[spans.trace]
    is_step = spans.labels("kind").where(*_STEPS) & inside
    is_step &= calls.is_call | made | ~spans.labels("kind").where("llm", "tool")
    steps = np.flatnonzero(is_step)
    scope = _find_scopes(spans, steps, inside)
    order = np.lexsort((steps, scope))
    steps, scope = steps[order], scope[order]

    of_calls = _same_calls(spans, steps, scope, made, _find_failed(spans, tools), arguments)
    of_turns = _same_turns(spans, steps, scope, asks, broken)
    again = of_calls.members[~of_calls.is_first]
    vain = of_turns.members[~of_turns.is_last & (of_turns.kinds[of_turns.group] == RETRY)]
    if again.size or vain.size:
        vain = np.unique(np.concatenate([vain, _vain_turns(steps, scope, asks, made, again)]))
        wasted = _find_wasted(spans, calls, inside, again, vain)
    return Repeats(
        np.concatenate([of_calls.members, of_turns.members]),
        np.concatenate([of_calls.offsets, of_calls.offsets[-1] + of_turns.offsets[1:]]),
        np.concatenate([of_calls.kinds, of_turns.kinds]),
        wasted,
    )


@dataclass(frozen=True)
class _Groups:
    """Members group after group, each of `sizes` of them, and the kind of each group."""

    members: Ints
    sizes: Ints
    kinds: Ints

    @property
    def offsets(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @property
    def group(self) -> Ints:
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def is_first(self) -> Mask:
        return _at(self.offsets[:-1], len(self.members))

    @property
    def is_last(self) -> Mask:
        return _at(self.offsets[1:] - 1, len(self.members))


def _at(positions: Ints, count: int) -> Mask:
    mask = np.zeros(count, dtype=bool)
    mask[positions] = True
    return mask


def _find_scopes(spans: SpanColumns, steps: Ints, inside: Mask) -> Ints:
    """Return for each step a number that is the same for what one agent, or one call of a tool, did itself.

    Some frameworks have an agent span for each round within that of the agent, often nameless: it is the same agent.
    """
    is_agent, agent = spans.labels("kind").where("agent") & inside, spans.labels("agent")
    opens = (spans.labels("kind").where("tool") & inside) | is_agent
    nameless = is_agent & ~agent.present
    for rounds in (np.flatnonzero(nameless), np.flatnonzero(is_agent & ~nameless)):
        outer = nearest_ancestor(spans.parent, rounds, opens)
        same = (outer >= 0) & is_agent[outer] & (nameless[rounds] | (agent.codes[rounds] == agent.codes[outer]))
        opens[rounds[same]] = False
    scope = nearest_ancestor(spans.parent, steps, opens)
    return np.where(scope >= 0, scope, -1 - spans.trace[steps])


def _find_failed(spans: SpanColumns, tools: ToolCalls) -> Mask:
    """Return which calls failed: what went wrong below one counts unless it says that it went well."""
    below = mark_ancestors(spans.parent, spans.mask("is_error")) & ~spans.labels("status").where("ok")
    return spans.mask("is_error") | tools.failed | tools.refused | below


def _same_calls(spans: SpanColumns, steps: Ints, scope: Ints, made: Mask, failed: Mask, arguments: Ints) -> _Groups:
    which = made[steps] & (arguments[steps] != 0)
    members, scope = steps[which], scope[which]
    tool, said = spans.labels("tool").codes[members], arguments[members]
    order = np.lexsort((members, said, tool, scope))
    members, keys = members[order], np.stack([scope, tool, said])[:, order]
    starts = np.ones(len(members), dtype=bool)
    starts[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    group = np.cumsum(starts) - 1
    sizes = np.bincount(group)
    all_ = _Groups(members, sizes, np.zeros(len(sizes), dtype=np.int64))
    failures = np.bincount(group, weights=failed[members] & ~all_.is_last)
    is_retry = (sizes > 1) & (failures == sizes - 1)
    counts = is_retry | (sizes >= _LOOP)
    return _Groups(members[counts[group]], sizes[counts], np.where(is_retry, RETRY, LOOP)[counts])


def _same_turns(spans: SpanColumns, steps: Ints, scope: Ints, asks: Mask, broken: Mask) -> _Groups:
    """Return model calls each of which asks again for what the one before it did not give in full."""
    asked, answered = spans.labels("request_model"), spans.labels("response_model")
    one, two = steps[:-1], steps[1:]
    follows = (scope[:-1] == scope[1:]) & broken[one] & asks[two] & (asked.codes[one] == asked.codes[two])
    follows &= asked.present[one] | (answered.codes[one] == answered.codes[two])
    at = np.flatnonzero(follows)
    kind = np.where(spans.mask("is_error")[steps[at]], RETRY, CUT)
    starts = np.ones(len(at), dtype=bool)
    starts[1:] = (at[1:] != at[:-1] + 1) | (kind[1:] != kind[:-1])
    first = np.flatnonzero(starts)
    sizes = np.diff(np.concatenate([first, [len(at)]])) + 1
    ends = np.cumsum(sizes)
    within = np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)
    return _Groups(steps[np.repeat(at[first], sizes) + within], sizes, kind[first])


def _vain_turns(steps: Ints, scope: Ints, asks: Mask, made: Mask, again: Ints) -> Ints:
    """Return the model calls that asked for nothing but the calls in `again`: the calls after one are what it asked for."""
    places = np.arange(len(steps))
    starts = np.ones(len(steps), dtype=bool)
    starts[1:] = scope[1:] != scope[:-1]
    turn = np.maximum.accumulate(np.where(starts | asks[steps], places, 0))
    asked_for = made[steps] & asks[steps[turn]]
    total = np.bincount(turn[asked_for], minlength=len(steps))
    vain = np.bincount(turn[asked_for & np.isin(steps, again)], minlength=len(steps))
    return np.asarray(steps[(total > 0) & (total == vain)], dtype=np.int64)


def _find_wasted(spans: SpanColumns, calls: Calls, inside: Mask, again: Ints, vain: Ints) -> Mask:
    """Return the spans with the usage of these model calls, and of what ran inside the calls in `again`."""
    used = np.flatnonzero(calls.counts_usage & inside)
    within = nearest_ancestor(spans.parent, used, _at(again, spans.count))
    wasted = _at(used[within >= 0], spans.count)
    # Usage that several calls share is wasted when all of them are.
    sharing = np.bincount(calls.account[np.flatnonzero(calls.is_call & inside)], minlength=spans.count)
    in_vain = np.bincount(calls.account[vain], minlength=spans.count)
    return np.asarray(wasted | (calls.counts_usage & (in_vain > 0) & (in_vain == sharing)), dtype=np.bool_)
