"""Which spans stand for a call of a model or a tool, and which token counts are nobody else's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tracestore.semconv.calls import LOOP_SCOPE
from tracestore.semconv.kinds import HOOK_NAME
from tracestore.summary.columns import Ints, Labels, Mask, SpanColumns, mark_ancestors, nearest_ancestor

# Parts of a call's tokens that have a price of their own: of two spans about one call the one that knows some of them counts.
_DETAILS = (
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cache_write_1h_tokens", "input_audio_tokens",
    "output_audio_tokens",
)  # fmt: skip
_HOOK = re.compile(HOOK_NAME)
# So many equal calls that go on at a time, and so many spans around a call, are looked at.
_MOST_PARALLEL, _DEEPEST = 64, 256


@dataclass(frozen=True)
class Calls:
    """Which spans stand for a model call, and which carry token counts that are nobody else's.

    `account` is the position of the span whose model a call belongs to: its own, or the enclosing one that has its tokens.
    """

    is_call: Mask
    counts_usage: Mask
    account: Ints


def _drop_repeated(
    keep: Mask, keys: Ints, has_key: Mask, preferred: Ints | Mask, same: Callable[[Ints, Ints], Mask] | None = None
) -> Mask:
    """Among kept spans with equal keys leave one: the most preferred, the last to start (the innermost) of those.

    `same` tells for (left, repeated) positions whether the key is to be believed.
    """
    members = np.flatnonzero(keep & has_key)
    order = members[np.lexsort((-members, -preferred[members].astype(np.int64), keys[members]))]
    repeats = np.zeros(len(order), dtype=bool)
    repeats[1:] = keys[order][1:] == keys[order][:-1]
    if same is not None:
        left = order[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(order))))]
        repeats &= same(left, order)
    result = keep.copy()
    result[order[repeats]] = False
    return result


def find_calls(spans: SpanColumns) -> Calls:
    """Decide which spans are model calls and whose usage counts, so that no token is counted twice.

    An agent or chain span may repeat the sum of the calls below it, a framework's span the numbers of the SDK span inside it:
    the deepest counts. But a call that runs a tool or another agent below itself (streamed calls of the Vercel AI SDK do)
    reports its own tokens, so tools and agents are barriers between calls. Two instrumentations of one call that are siblings
    share the provider's response id, or lie inside each other's time. Of two spans about one call the one that knows most of its
    parts (_DETAILS) or, where they know as many, its model counts: vLLM's own span tells the tokens and no model.
    """
    kind = spans.labels("kind")
    model_call = kind.where("llm", "embedding")
    barrier = kind.where("tool", "agent")
    tokens_in, tokens_out = spans.numbers("input_tokens"), spans.numbers("output_tokens")
    has_usage = (tokens_in + tokens_out) > 0

    response_id = spans.labels("response_id")
    response_keys = spans.trace * max(len(response_id.values), 1) + response_id.codes
    details = np.zeros(spans.count, dtype=np.int64)
    for name in _DETAILS:
        details += spans.numbers(name) > 0

    start, end = spans.numbers("start_ns"), spans.numbers("start_ns") + spans.numbers("duration_ns")

    def same_answer(left: Ints, right: Ints) -> Mask:
        # Some SDKs send one placeholder as the id of every answer: calls apart in time with other tokens are others.
        overlap = (start[left] <= end[right]) & (start[right] <= end[left])
        equal = (tokens_in[left] == tokens_in[right]) & (tokens_out[left] == tokens_out[right])
        return np.asarray(overlap | equal | ~has_usage[left] | ~has_usage[right], dtype=np.bool_)

    usage_calls = model_call & has_usage
    counted = usage_calls & ~mark_ancestors(spans.parent, usage_calls, barrier)
    has_model = spans.labels("request_model").present | spans.labels("response_model").present
    plain = np.flatnonzero(counted)
    outer = nearest_ancestor(spans.parent, plain, usage_calls | barrier)
    equal = (tokens_in[outer] == tokens_in[plain]) & (tokens_out[outer] == tokens_out[plain])
    shared = response_id.present[plain] & (response_keys[outer] == response_keys[plain])
    names_model = (details[outer] == details[plain]) & has_model[outer] & ~has_model[plain]
    knows_more = (outer >= 0) & usage_calls[outer] & ((details[outer] > details[plain]) | names_model) & (shared | equal)
    counted[plain[knows_more]], counted[outer[knows_more]] = False, True
    counted = _drop_repeated(counted, response_keys, response_id.present, details, same_answer)
    named = _drop_unnamed_copies(spans, counted, response_id.present)
    unnamed_copy = counted & ~named
    counted = named
    counted = _drop_enclosed_siblings(spans, counted, same_usage=True)
    aggregate = has_usage & ~model_call
    counted |= aggregate & ~mark_ancestors(spans.parent, has_usage)
    counted = _drop_accounts(spans, counted)
    _take_sums_of_loops(spans, counted, kind.where("agent") & has_usage, model_call, barrier)
    counted = _drop_repeated(counted, response_keys, response_id.present, model_call, same_answer)

    is_call = model_call & ~mark_ancestors(spans.parent, model_call, barrier) & ~unnamed_copy
    is_call = _drop_repeated(is_call, response_keys, response_id.present, counted, same_answer)
    # A call takes time. Zero-length spans are log records of a call that has a span of its own; a refused connection takes less
    # than the millisecond that JavaScript's clock counts.
    model = spans.labels("request_model")
    keys = spans.trace * len(model.values) + model.codes if spans.count else spans.trace
    timed = (spans.numbers("duration_ns") > 0) | spans.mask("is_error")
    is_call &= timed | ~np.isin(keys, keys[is_call & timed])
    _take_failures_from_around(spans, is_call, model_call | barrier, model_call & has_model & ~has_usage, has_model | has_usage)
    account = np.arange(spans.count)
    inner = np.flatnonzero(is_call & ~counted)
    owner = nearest_ancestor(spans.parent, inner, (model_call & counted) | barrier)
    owned = (owner >= 0) & (model_call & counted)[owner]
    account[inner[owned]] = owner[owned]
    unnamed = ~has_model & ((counted & ~model_call) | (is_call & ~counted))
    _name_by_call_around(spans, account, unnamed, model_call & has_model & ~has_usage, barrier)
    _name_by_calls_below(spans, account, counted & ~model_call & ~has_model, is_call & has_model & ~has_usage)
    is_call = _drop_enclosed_siblings(spans, is_call)
    told = np.flatnonzero(model_call & (is_call | counted) & (has_usage | spans.mask("is_error")))
    copies, originals = _find_copies(
        spans, told, model.codes, tokens_in, tokens_out, spans.mask("is_error").astype(np.int64), ids=response_id
    )
    better = details[copies] > details[originals]
    copies, originals = np.where(better, originals, copies), np.where(better, copies, originals)
    for calls in (is_call, counted):
        calls[originals] |= calls[copies]
        calls[copies] = False
    return Calls(is_call, counted, account)


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


def _drop_unnamed_copies(spans: SpanColumns, counted: Mask, has_id: Mask) -> Mask:
    """Drop usage without a response id that equals, to the token, that of a call with one by another instrumentation."""
    scope, model = spans.labels("scope_name").codes, spans.labels("request_model").codes
    members = np.flatnonzero(counted)
    # Only a trace that has both kinds can have such a copy; most have none.
    has_both = spans.traces_with(members[has_id[members]]) & spans.traces_with(members[~has_id[members]])
    members = members[has_both[spans.trace[members]]]
    if not members.size:
        return counted
    tokens = (spans.numbers("input_tokens")[members], spans.numbers("output_tokens")[members])
    usage = np.stack([spans.trace[members], model[members], *tokens], axis=1)
    _, groups = np.unique(usage, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    named = has_id[members]
    result = counted.copy()
    for group in np.intersect1d(groups[named], groups[~named]).tolist():
        twins = members[groups == group]
        named_scopes = set(scope[twins[has_id[twins]]].tolist())
        spare = int(has_id[twins].sum())
        copies = [position for position in twins[~has_id[twins]].tolist() if scope[position] not in named_scopes]
        result[copies[:spare]] = False
    return result


def _drop_accounts(spans: SpanColumns, counted: Mask) -> Mask:
    """Drop usage that a helper span without a requested model repeats, to the token, of a call beside it by the same model.

    AG2 1.x sends a span `record_usage model_call` after each call. Where no call has that usage (live sessions, compaction), it
    counts.
    """
    asked = spans.labels("request_model").present
    helper = spans.labels("kind").where("other") & ~asked
    members = np.flatnonzero(counted & (asked | helper) & (spans.parent >= 0) & spans.labels("response_model").present)
    # Only a trace that has both kinds can have such a span; most have none.
    has_both = spans.traces_with(members[asked[members]]) & spans.traces_with(members[~asked[members]])
    members = members[has_both[spans.trace[members]]]
    if not members.size:
        return counted
    tokens = (spans.numbers("input_tokens")[members], spans.numbers("output_tokens")[members])
    labels = (spans.labels("response_model").codes[members], spans.labels("scope_name").codes[members])
    usage = np.stack([spans.parent[members], *labels, *tokens], axis=1)
    _, groups = np.unique(usage, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    calls = np.bincount(groups[asked[members]], minlength=len(members))
    order = np.argsort(groups, kind="stable")
    accounts, group = (values[order][~asked[members][order]] for values in (members, groups))
    # One for each call: the number of an account among those of its group.
    rank = np.arange(len(group)) - np.searchsorted(group, group)
    result = counted.copy()
    result[accounts[rank < calls[group]]] = False
    return result


def _drop_enclosed_siblings(spans: SpanColumns, is_call: Mask, *, same_usage: bool = False) -> Mask:
    """Drop a call within the time of a sibling call of another instrumentation to the same model: it is the same call.

    Or one that began before the other's first token, when that came after the other span had ended: LlamaIndex ends the span of
    a streamed call once it has the stream. With `same_usage` only one that reports the same tokens, too, as far as either
    reports them, and of the two the one that reports less.
    """
    members = np.flatnonzero(is_call & (spans.parent >= 0))
    if not members.size:
        return is_call
    start, end = spans.numbers("start_ns"), spans.numbers("start_ns") + spans.numbers("duration_ns")
    first_token = start + spans.numbers("time_to_first_token_ns")
    scope, model = spans.labels("scope_name").codes, spans.labels("request_model").codes
    order = members[np.lexsort((-end[members], start[members], model[members], spans.parent[members]))]
    outer, inner = order[:-1], order[1:]
    same = (spans.parent[outer] == spans.parent[inner]) & (model[outer] == model[inner]) & (scope[outer] != scope[inner])
    dropped = inner
    if same_usage:
        told = [(spans.numbers(name)[outer], spans.numbers(name)[inner]) for name in ("input_tokens", "output_tokens")]
        for tokens, other in told:
            same &= (tokens == other) | (tokens == 0) | (other == 0)
        dropped = np.where(sum(other for _, other in told) > sum(tokens for tokens, _ in told), outer, inner)
    enclosed = end[inner] <= end[outer]
    streamed = (first_token[outer] > end[outer]) & (start[inner] < first_token[outer])
    result = is_call.copy()
    result[dropped[same & (enclosed | streamed)]] = False
    return result


def _find_copies(spans: SpanColumns, members: Ints, *same: Ints, ids: Labels) -> tuple[Ints, Ints]:
    """Return the positions of spans that repeat another instrumentation's, and the positions of those: each repeats one.

    Two instrumentations at once, or an MCP server in the process of the agent that calls it: spans of one service by two scopes
    that are the `same` and overlap in time, of which not both have an id and the later is not below the earlier.
    """
    scope, service = spans.labels("scope_name").codes, spans.labels("service").codes
    # Only a trace of two scopes can have copies; most have one.
    trace = spans.trace[members]
    other_scope = scope[members] != scope[members[np.searchsorted(trace, trace)]]
    members = members[spans.traces_with(members[other_scope])[trace]]
    if not members.size:
        return members, members
    columns = [values[members] for values in (spans.trace, service, *same)]
    _, first, group = np.unique(np.stack(columns, axis=1), axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    mixed = np.zeros(len(first), dtype=bool)
    mixed[group[scope[members] != scope[members[first]][group]]] = True
    members, group = members[mixed[group]], group[mixed[group]]
    start, end = spans.numbers("start_ns"), spans.numbers("start_ns") + spans.numbers("duration_ns")
    # Spans by group that may still be going on, with the scopes that have one.
    going_on: dict[int, list[tuple[int, set[int]]]] = {}
    pairs = []
    for position, key in zip(members.tolist(), group.tolist(), strict=True):
        others = [other for other in going_on.get(key, []) if end[other[0]] > start[position]][-_MOST_PARALLEL:]
        going_on[key] = others
        around: set[int] | None = None
        for other, scopes in others:
            if scope[position] in scopes or (ids.present[position] and ids.present[other]):
                continue
            around = _find_ancestors(spans, position) if around is None else around
            if other not in around:
                scopes.add(int(scope[position]))
                pairs.append((position, other))
                break
        else:
            others.append((position, {int(scope[position])}))
    copies, originals = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return copies, originals


def _find_ancestors(spans: SpanColumns, position: int) -> set[int]:
    """Return the positions of the spans around one, the nearest of them: parents may go round in a circle."""
    found: set[int] = set()
    for _ in range(_DEEPEST):
        position = int(spans.parent[position])
        if position == -1:
            break
        found.add(position)
    return found


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
    copies, originals = _find_copies(spans, np.flatnonzero(is_call & tool.present), tool.codes, ids=call_id)
    is_call[copies] = False
    inner, outer = np.append(members[nested], copies), np.append(enclosing[nested], originals)
    order = np.argsort(inner, kind="stable")
    errors = _hand_up(spans.mask("is_error"), inner[order], outer[order])

    keys = (spans.trace * max(len(call_id.values), 1) + call_id.codes) * max(len(tool.values), 1) + tool.codes
    is_call = _drop_repeated(is_call, keys, call_id.present, errors)

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
