"""Which spans stand for a call of a model or a tool, and which token counts are nobody else's."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tracestore.semconv.calls import LOOP_SCOPE
from tracestore.semconv.kinds import HOOK_NAME
from tracestore.summary.columns import Ints, Labels, Mask, SpanColumns, mark_ancestors, nearest_ancestor
from tracestore.summary.copies import drop_accounts, drop_enclosed_siblings, drop_repeated, drop_unnamed_copies, find_copies

# Parts of a call's tokens that have a price of their own: of two spans about one call the one that knows some of them counts.
_DETAILS = (
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cache_write_1h_tokens", "input_audio_tokens",
    "output_audio_tokens",
)  # fmt: skip
_HOOK = re.compile(HOOK_NAME)


@dataclass(frozen=True)
class Calls:
    """Which spans stand for a model call, and which carry token counts that are nobody else's.

    `account` is the position of the span whose model a call belongs to: its own, or the enclosing one that has its tokens.
    """

    is_call: Mask
    counts_usage: Mask
    account: Ints


@dataclass(frozen=True)
class _Told:
    """What spans say of themselves that decides which of them are calls. `details` counts the _DETAILS that each knows."""

    model_call: Mask
    agent: Mask
    barrier: Mask
    has_model: Mask
    has_usage: Mask
    details: Ints
    tokens_in: Ints
    tokens_out: Ints
    start: Ints
    end: Ints
    response_id: Labels
    response_keys: Ints

    def is_same_answer(self, left: Ints, right: Ints) -> Mask:
        """Whether spans with one response id tell of one call.

        Some SDKs send one placeholder as the id of every answer: calls apart in time with other tokens are others.
        """
        overlap = (self.start[left] <= self.end[right]) & (self.start[right] <= self.end[left])
        equal = (self.tokens_in[left] == self.tokens_in[right]) & (self.tokens_out[left] == self.tokens_out[right])
        return np.asarray(overlap | equal | ~self.has_usage[left] | ~self.has_usage[right], dtype=np.bool_)

    def drop_repeated_answers(self, keep: Mask, preferred: Ints | Mask) -> Mask:
        return drop_repeated(keep, self.response_keys, self.response_id.present, preferred, self.is_same_answer)


def _read(spans: SpanColumns) -> _Told:
    kind, response_id = spans.labels("kind"), spans.labels("response_id")
    tokens_in, tokens_out = spans.numbers("input_tokens"), spans.numbers("output_tokens")
    details = np.zeros(spans.count, dtype=np.int64)
    for name in _DETAILS:
        details += spans.numbers(name) > 0
    return _Told(
        model_call=kind.where("llm", "embedding"),
        agent=kind.where("agent"),
        barrier=kind.where("tool", "agent"),
        has_model=spans.labels("request_model").present | spans.labels("response_model").present,
        has_usage=(tokens_in + tokens_out) > 0,
        details=details,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        start=spans.numbers("start_ns"),
        end=spans.numbers("start_ns") + spans.numbers("duration_ns"),
        response_id=response_id,
        response_keys=spans.trace * max(len(response_id.values), 1) + response_id.codes,
    )


def find_calls(spans: SpanColumns) -> Calls:
    """Decide which spans are model calls and whose usage counts, so that no token is counted twice.

    An agent or chain span may repeat the sum of the calls below it, a framework's span the numbers of the SDK span inside it:
    the deepest counts. But a call that runs a tool or another agent below itself (streamed calls of the Vercel AI SDK do)
    reports its own tokens, so tools and agents are barriers between calls. Two instrumentations of one call that are siblings
    share the provider's response id, or lie inside each other's time. Of two spans about one call the one that knows most of its
    parts (_DETAILS) or, where they know as many, its model counts: vLLM's own span tells the tokens and no model.
    """
    told = _read(spans)
    counted, unnamed_copy = _count_usage(spans, told)
    is_call = _find_model_calls(spans, told, counted, unnamed_copy)
    account = _find_accounts(spans, told, is_call, counted)
    is_call = drop_enclosed_siblings(spans, is_call)
    _merge_copies(spans, told, is_call, counted)
    return Calls(is_call, counted, account)


def _count_usage(spans: SpanColumns, told: _Told) -> tuple[Mask, Mask]:
    """Return the spans whose usage counts, and those left out of them because they repeat a call that has a response id."""
    usage_calls = told.model_call & told.has_usage
    counted = usage_calls & ~mark_ancestors(spans.parent, usage_calls, told.barrier)
    _prefer_who_knows_more(spans, told, counted, usage_calls)
    counted = told.drop_repeated_answers(counted, told.details)
    named = drop_unnamed_copies(spans, counted, told.response_id.present)
    unnamed_copy = counted & ~named
    counted = drop_enclosed_siblings(spans, named, same_usage=True)
    aggregate = told.has_usage & ~told.model_call
    counted |= aggregate & ~mark_ancestors(spans.parent, told.has_usage)
    counted = drop_accounts(spans, counted)
    _take_sums_of_loops(spans, counted, told.agent & told.has_usage, told.model_call, told.barrier)
    return told.drop_repeated_answers(counted, told.model_call), unnamed_copy


def _prefer_who_knows_more(spans: SpanColumns, told: _Told, counted: Mask, usage_calls: Mask) -> None:
    """Let a call around another count in its place where both are one call and the outer one knows more of it."""
    inner = np.flatnonzero(counted)
    outer = nearest_ancestor(spans.parent, inner, usage_calls | told.barrier)
    equal = (told.tokens_in[outer] == told.tokens_in[inner]) & (told.tokens_out[outer] == told.tokens_out[inner])
    shared = told.response_id.present[inner] & (told.response_keys[outer] == told.response_keys[inner])
    names_model = (told.details[outer] == told.details[inner]) & told.has_model[outer] & ~told.has_model[inner]
    knows_more = (told.details[outer] > told.details[inner]) | names_model
    replaced = (outer >= 0) & usage_calls[outer] & knows_more & (shared | equal)
    counted[inner[replaced]], counted[outer[replaced]] = False, True


def _find_model_calls(spans: SpanColumns, told: _Told, counted: Mask, unnamed_copy: Mask) -> Mask:
    """Return the innermost span of each model call, where those that are counted stand for it before others."""
    is_call = told.model_call & ~mark_ancestors(spans.parent, told.model_call, told.barrier) & ~unnamed_copy
    is_call = told.drop_repeated_answers(is_call, counted)
    # A call takes time. Zero-length spans are log records of a call that has a span of its own; a refused connection takes less
    # than the millisecond that JavaScript's clock counts.
    model = spans.labels("request_model")
    keys = spans.trace * len(model.values) + model.codes if spans.count else spans.trace
    timed = (spans.numbers("duration_ns") > 0) | spans.mask("is_error")
    is_call &= timed | ~np.isin(keys, keys[is_call & timed])
    outer = told.model_call & told.has_model & ~told.has_usage
    _take_failures_from_around(spans, is_call, told.model_call | told.barrier, outer, told.has_model | told.has_usage)
    return is_call


def _find_accounts(spans: SpanColumns, told: _Told, is_call: Mask, counted: Mask) -> Ints:
    """Return for each span the position of the one whose model it belongs to, as in Calls.account."""
    account = np.arange(spans.count)
    inner = np.flatnonzero(is_call & ~counted)
    owner = nearest_ancestor(spans.parent, inner, (told.model_call & counted) | told.barrier)
    owned = (owner >= 0) & (told.model_call & counted)[owner]
    account[inner[owned]] = owner[owned]
    unnamed = ~told.has_model & ((counted & ~told.model_call) | (is_call & ~counted))
    _name_by_call_around(spans, account, unnamed, told.model_call & told.has_model & ~told.has_usage, told.barrier)
    unnamed = counted & ~told.model_call & ~told.has_model
    _name_by_calls_below(spans, account, unnamed, is_call & told.has_model & ~told.has_usage)
    return account


def _merge_copies(spans: SpanColumns, told: _Told, is_call: Mask, counted: Mask) -> None:
    """Let one of several spans by which instrumentations tell of one call stand for all: the one with the most details."""
    is_error = spans.mask("is_error")
    members = np.flatnonzero(told.model_call & (is_call | counted) & (told.has_usage | is_error))
    same = spans.labels("request_model").codes, told.tokens_in, told.tokens_out, is_error.astype(np.int64)
    copies, originals = find_copies(spans, members, *same, ids=told.response_id)
    better = told.details[copies] > told.details[originals]
    copies, originals = np.where(better, originals, copies), np.where(better, copies, originals)
    for calls in (is_call, counted):
        calls[originals] |= calls[copies]
        calls[copies] = False


def _name_by_call_around(spans: SpanColumns, account: Ints, unnamed: Mask, call: Mask, barrier: Mask) -> None:
    """Let the call around a step that tells its usage or its failure say which model it asked for, as Codex does."""
    steps = np.flatnonzero(unnamed)
    owner = nearest_ancestor(spans.parent, steps, call | barrier)
    owned = (owner >= 0) & call[owner]
    account[steps[owned]] = owner[owned]


def _name_by_calls_below(spans: SpanColumns, account: Ints, unnamed: Mask, call: Mask) -> None:
    """Let the first call below a span that alone tells the usage say which model it was (Logfire's runs of Claude's agents)."""
    calls = np.flatnonzero(call & spans.traces_with(unnamed)[spans.trace])[::-1]
    owner = nearest_ancestor(spans.parent, calls, unnamed)
    account[owner[owner >= 0]] = calls[owner >= 0]


def _take_sums_of_loops(spans: SpanColumns, counted: Mask, agent: Mask, model_call: Mask, barrier: Mask) -> None:
    """Let the usage of an agent count for that of its calls, where their spans tell the last of a loop alone (LOOP_SCOPE)."""
    of_scope = spans.labels("scope_name").where(LOOP_SCOPE)
    loops = np.flatnonzero(counted & model_call & of_scope)
    around = nearest_ancestor(spans.parent, loops, barrier)
    told = (around >= 0) & (agent & of_scope)[around]
    counted[loops[told]], counted[around[told]] = False, True


def _take_failures_from_around(spans: SpanColumns, is_call: Mask, nearest: Mask, outer: Mask, says_more: Mask) -> None:
    """Let a failed model call around the attempts stand for the last of them, where that one says neither model nor error."""
    errors = spans.mask("is_error")
    bare = np.flatnonzero(is_call & ~says_more & ~errors)
    around = nearest_ancestor(spans.parent, bare, nearest)
    failed = (around >= 0) & (outer & errors)[around]
    last = np.full(spans.count, -1, dtype=np.int64)
    np.maximum.at(last, around[failed], bare[failed])
    replacing = np.flatnonzero(last >= 0)
    is_call[last[replacing]], is_call[replacing] = False, True


@dataclass(frozen=True)
class ToolCalls:
    """Which spans stand for one execution of a tool, which of those failed, and which for a call that was refused."""

    is_call: Mask
    failed: Mask
    refused: Mask


def find_tool_calls(spans: SpanColumns) -> ToolCalls:
    """Count each execution of a tool once: not again for a span of the same tool inside it, nor for a repeated call id.

    Of several spans about one execution the innermost saw what the function did: it failed when the last of them did, also
    where the span around it says OK, because its framework made the exception an answer.
    """
    kind, tool = spans.labels("kind"), spans.labels("tool")
    is_tool = kind.where("tool")
    members = np.flatnonzero(is_tool)
    enclosing = nearest_ancestor(spans.parent, members, kind.where("tool", "agent", "llm"))
    nested = (enclosing >= 0) & is_tool[enclosing] & (tool.codes[enclosing] == tool.codes[members])
    is_call = is_tool.copy()
    is_call[members[nested]] = False
    call_id = spans.labels("tool_call_id")
    copies, originals = find_copies(spans, np.flatnonzero(is_call & tool.present), tool.codes, ids=call_id)
    is_call[copies] = False
    inner, outer = np.append(members[nested], copies), np.append(enclosing[nested], originals)
    order = np.argsort(inner, kind="stable")
    errors = _hand_up(spans.mask("is_error"), inner[order], outer[order])

    keys = (spans.trace * max(len(call_id.values), 1) + call_id.codes) * max(len(tool.values), 1) + tool.codes
    is_call = drop_repeated(is_call, keys, call_id.present, errors)

    # An error on a helper span inside (an execution step, an HTTP request that nothing handled) is the tool's error
    # only when the tool span's own status was left unset: a tool that says ok has dealt with it.
    failed = errors & is_tool
    owners = _owning_tools(spans, is_tool, errors & kind.where("other") & ~spans.labels("name").matching(_HOOK.search))
    failed[owners[~spans.labels("status").where("ok")[owners]]] = True
    refused = spans.labels("signal").where("refused_call")
    refused[_owning_tools(spans, is_tool, refused & kind.where("other"))] = True
    refused[originals[refused[copies]]] = True
    refused &= is_call
    is_call &= ~refused
    return ToolCalls(is_call, failed & is_call, refused)


def _hand_up(errors: Mask, inner: Ints, outer: Ints) -> Mask:
    """Return the errors and those of spans whose last inner span is one; `outer` has the position around each inner one."""
    result, decided = errors.copy(), set()
    # Backwards: what starts last stands last, so a span is decided before the one around it asks.
    for position, around in zip(inner[::-1].tolist(), outer[::-1].tolist(), strict=True):
        if around not in decided:
            decided.add(around)
            result[around] |= result[position]
    return result


def _owning_tools(spans: SpanColumns, is_tool: Mask, helpers: Mask) -> Ints:
    """Return the positions of the tool spans that these helper spans belong to."""
    owners = nearest_ancestor(spans.parent, np.flatnonzero(helpers), ~spans.labels("kind").where("other"))
    owners = owners[owners >= 0]
    return owners[is_tool[owners]]
