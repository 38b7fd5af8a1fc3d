"""What the model calls of traces cost, by trace and by model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracestore.prices.catalogue import TOKEN_CLASSES, Sold
from tracestore.prices.pricing import names_its_price, price_calls
from tracestore.statistics.buckets import bucket_of
from tracestore.summary.calls import Calls
from tracestore.summary.columns import Buckets, Floats, Groups, Ints, Mask, Names, SpanColumns, group_by_trace, nearest_ancestor

if TYPE_CHECKING:
    import pyarrow

# Providers answer with a dated snapshot of the model that was asked for: gpt-4.1-2025-04-14, claude-haiku-4-5-20251001.
# Where a dialect reports only the answer, the name without the date is the one that groups with the other dialects'.
_SNAPSHOT_DATE = re.compile(r"-(20\d{2}-\d{2}-\d{2}|20\d{6})$")
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Priced:
    """The spans that are model calls or whose usage counts, an entry each.

    `members` are their positions, `account` those of the spans that say which model they asked for; `model` numbers in
    `names` the model that each counts under. `usage` has its tokens by class, `cost` is NaN without a price.
    """

    members: Ints
    account: Ints
    is_call: Mask
    counts: Mask
    usage: dict[str, Ints]
    names: Names
    model: Ints
    cost: Floats

    @property
    def unnamed(self) -> int:
        """The number of no name."""
        return self.names.number_of("")


def price_by_trace(spans: SpanColumns, calls: Calls, durations: Buckets, project_id: int, wasted: Mask) -> dict[str, Any]:
    """Return cost and model columns. A cost is null when nothing of it has a price; what was wasted without one adds nothing."""
    priced = _price(spans, calls, project_id)
    # Some calls have a price and no tokens, images for one. What lies below usage that counts is part of that.
    pays = priced.counts | (priced.is_call & (nearest_ancestor(spans.parent, priced.members, calls.counts_usage) < 0))
    supplied = np.where(pays, spans.floats("supplied_cost_usd")[priced.members], np.nan)
    # Of calls that have a supplied and a computed cost: the computed one, and what the supplied one is more.
    compared, difference = np.where(np.isnan(supplied), np.nan, priced.cost), supplied - priced.cost
    shown = {
        "cost_usd": priced.cost,
        "supplied_cost_usd": supplied,
        "compared_cost_usd": compared,
        "cost_difference_usd": difference,
    }
    return _sum_by_trace(spans, priced, shown, wasted) | _sum_by_model(spans, priced, shown, durations)


def _price(spans: SpanColumns, calls: Calls, project_id: int) -> _Priced:
    requested, answered, provider = spans.labels("request_model"), spans.labels("response_model"), spans.labels("provider")
    tier = spans.labels("service_tier")
    members = np.flatnonzero(calls.is_call | calls.counts_usage)
    names = Names()
    unnamed = names.number_of("")
    of_request, of_answer = names.number(requested.values), names.number(answered.values)
    of_snapshot = names.number(_SNAPSHOT_DATE.sub("", value) for value in answered.values)
    account = calls.account[members]
    asked, answer = of_request[requested.codes[account]], of_answer[answered.codes[members]]
    model = np.where(asked == unnamed, of_snapshot[answered.codes[account]], asked)

    counts = calls.counts_usage[members]
    usage = {name: np.where(counts, spans.numbers(name)[members], 0) for name in TOKEN_CLASSES}
    start_ns = spans.numbers("start_ns")[members]

    def price(sold_as: Ints, which: Ints) -> Floats:
        keys = np.stack((provider.codes[account[which]], sold_as[which], tier.codes[members[which]]))
        different, place = np.unique(keys, axis=1, return_inverse=True)
        sold = [Sold(provider.values[seller], names.texts[name], tier.values[of]) for seller, name, of in different.T.tolist()]
        used_tokens = {name: column[which] for name, column in usage.items()}
        return price_calls(sold, place, used_tokens, start_ns[which], project_id)

    cost = np.full(len(members), np.nan)
    used = np.flatnonzero(counts)
    by_request = np.array([names_its_price(text) for text in names.texts], dtype=bool)[asked]
    cost[used] = price(np.where((answer == unnamed) | by_request, model, answer), used)
    again = np.flatnonzero(counts & np.isnan(cost) & (answer != model))
    cost[again] = price(np.where(by_request, answer, model), again)
    return _Priced(members, account, calls.is_call[members], counts, usage, names, model, cost)


def _sum_by_trace(spans: SpanColumns, priced: _Priced, shown: dict[str, Floats], wasted: Mask) -> dict[str, Any]:
    import pyarrow

    trace, trace_count = spans.trace[priced.members], spans.trace_count
    sums = {name: _sum_known(trace, values, trace_count) for name, values in shown.items()}
    wasted_usd, _ = _sum_known(trace, np.where(wasted[priced.members], priced.cost, np.nan), trace_count)

    unpriced = priced.counts & np.isnan(priced.cost)
    named = np.where(priced.model == priced.unnamed, priced.names.number_of(_UNKNOWN), priced.model)
    missing = group_by_trace(spans, priced.members[unpriced], named[unpriced])
    # No tokens, no cost: zero is the truth there, not "unpriced".
    sums["cost_usd"] = (sums["cost_usd"][0], sums["cost_usd"][1] | (np.diff(missing.offsets) == 0))
    return {
        **{name: pyarrow.array(total, mask=~is_known) for name, (total, is_known) in sums.items()},
        "wasted_cost_usd": wasted_usd,
        "unpriced_models": missing.lists(priced.names.take(named[np.searchsorted(priced.members, missing.first)])),
        "unpriced_calls": np.bincount(trace[unpriced], minlength=trace_count),
    }


def _sum_by_model(spans: SpanColumns, priced: _Priced, shown: dict[str, Floats], durations: Buckets) -> dict[str, Any]:
    members, is_call, provider = priced.members, priced.is_call, spans.labels("provider")
    named = np.flatnonzero(priced.model != priced.unnamed)
    codes = priced.model * max(len(provider.values), 1) + provider.codes[priced.account]
    groups = group_by_trace(spans, members[named], codes[named])
    first = np.searchsorted(members, groups.first)
    # Of a call that two instrumentations tell of, either may know when its first token came.
    first_token_ns = spans.numbers("time_to_first_token_ns")
    first_token_ns = np.where(first_token_ns[members] > 0, first_token_ns[members], first_token_ns[priced.account])
    return {
        "models.model": groups.lists(priced.names.take(priced.model[first])),
        "models.provider": groups.lists(provider.take(priced.account[first])),
        "models.calls": groups.lists(groups.sums(is_call[named].astype(np.int64))),
        "models.errors": groups.lists(groups.sums((is_call & spans.mask("is_error")[members])[named].astype(np.int64))),
        "models.durations": groups.lists_of(durations[members][named], is_call[named]),
        "models.first_tokens": groups.lists_of(bucket_of(first_token_ns[named]), (is_call & (first_token_ns > 0))[named]),
        "models.input_tokens": groups.lists(groups.sums(priced.usage["input_tokens"][named])),
        "models.output_tokens": groups.lists(groups.sums(priced.usage["output_tokens"][named])),
        "models.cached_input_tokens": groups.lists(groups.sums(priced.usage["cache_read_tokens"][named])),
        **{f"models.{name}": _sum_groups(groups, values[named]) for name, values in shown.items()},
    }


def _sum_groups(groups: Groups, values: Floats) -> pyarrow.Array:
    import pyarrow

    sums, has_any = _sum_known(groups.of, values, len(groups.first))
    return groups.lists(pyarrow.array(sums, mask=~has_any))


def _sum_known(group: Ints, values: Floats, count: int) -> tuple[Floats, Mask]:
    """Return per group the sum of the values that are not NaN, and whether there are any."""
    known = ~np.isnan(values)
    sums: Floats = np.bincount(group[known], weights=values[known], minlength=count).astype(np.float64)
    return sums, np.bincount(group[known], minlength=count) > 0
