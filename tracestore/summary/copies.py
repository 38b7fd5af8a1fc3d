"""Spans by which a call is told of more than once: by two instrumentations, by a helper beside it, or by its parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracestore.summary.columns import Ints, Labels, Mask, SpanColumns

# So many equal calls that go on at a time, and so many spans around a call, are looked at.
_MOST_PARALLEL, _DEEPEST = 64, 256


def drop_repeated(
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


def drop_unnamed_copies(spans: SpanColumns, counted: Mask, has_id: Mask) -> Mask:
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


def drop_accounts(spans: SpanColumns, counted: Mask) -> Mask:
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


def drop_enclosed_siblings(spans: SpanColumns, is_call: Mask, *, same_usage: bool = False) -> Mask:
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


def find_copies(spans: SpanColumns, members: Ints, *same: Ints, ids: Labels) -> tuple[Ints, Ints]:
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
