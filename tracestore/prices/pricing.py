"""What a model call costs: at a project's own prices, else at the list prices of the catalogue."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from genai_prices.types import ModelPrice, TieredPrices

from tracestore.prices.catalogue import TOKEN_CLASSES, Sold, TokenUsage, calculate, name_sold, read_usage
from tracestore.prices.custom import CustomPrice, find_custom_price, has_custom_prices
from tracestore.semconv.calls import BEDROCK_ID

_NS_PER_DAY = 86_400 * 10**9
_BEDROCK_ID = re.compile(BEDROCK_ID)
# The classes of TOKEN_CLASSES, from the first one on, whose prices are computed for many calls at once.
_COMMON = 5
# A usage that is valid whatever is added to one class of it: cached tokens are part of the input, reasoning of the output.
_PROBE = (3, 2, 1, 1, 1, 0, 0, 0)

# How many tokens (or requests) a price in the catalogue is for, by the end of its name.
_PER = {"_mtok": 1_000_000, "_kcount": 1_000}

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def _split_tokens(inputs: Ints, outputs: Ints, cache_read: Ints, cache_write: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return tokens that have one price each: plain input, read from and written to a cache, output."""
    return np.maximum(inputs - cache_read - cache_write, 0), cache_read, cache_write, outputs


def price_call(
    provider: str, model: str, usage: TokenUsage, start_ns: int, service_tier: str = "", *, project_id: int = 0
) -> float | None:
    """Return the USD cost of one call at the project's own price, else at the list price of its day; None where neither is known.

    A tier without a price of its own is paid at the standard one; a project's own price holds in every tier. Calls of one day
    share a price, which lets equal calls be computed once.
    """
    if not model or not (usage.input_tokens or usage.output_tokens):
        return None
    if custom := find_custom_price(project_id, provider, model, start_ns // _NS_PER_DAY):
        return float(sum(line.cost_usd for line in _custom_lines(custom, usage)))
    return _price(name_sold(provider, model, service_tier), usage, start_ns // _NS_PER_DAY)


class Call(NamedTuple):
    """One call as its span tells of it. `start_ns` says which day's price it has."""

    provider: str
    request_model: str
    response_model: str
    service_tier: str
    start_ns: int
    usage: TokenUsage


def price_each(calls: Sequence[Call], project_id: int) -> list[float | None]:
    """Return the USD cost of each call under the best of its names that has a price (find_priced_names), None where none has.

    Many at once take a fraction of what price_call takes for each.
    """
    names = [find_priced_names(call.request_model, call.response_model) for call in calls]
    costs: list[float | None] = [None] * len(calls)
    for turn in range(2):
        wanted = [place for place, cost in enumerate(costs) if cost is None and any(names[place][turn : turn + 1])]
        if not wanted:
            continue
        sold: dict[Sold, int] = {}
        named = (Sold(calls[place].provider, names[place][turn], calls[place].service_tier) for place in wanted)
        which = [sold.setdefault(each, len(sold)) for each in named]
        tokens = {
            name: np.array([calls[place].usage[number] for place in wanted], dtype=np.int64)
            for number, name in enumerate(TOKEN_CLASSES)
        }
        start_ns = np.array([calls[place].start_ns for place in wanted], dtype=np.int64)
        found = price_calls(list(sold), np.array(which, dtype=np.int64), tokens, start_ns, project_id)
        for place, cost in zip(wanted, found.tolist(), strict=True):
            # A price for a million tokens has six decimals at most; what is beyond twelve is what adding up floats left.
            costs[place] = None if math.isnan(cost) else round(cost, 12)
    return costs


def names_its_price(request_model: str) -> bool:
    """Tell whether a call costs what the model that was asked for does, whatever the answer is called.

    Bedrock's ids say where a model runs, which has a price of its own: global.anthropic.claude-haiku-4-5-20251001-v1:0.
    """
    return _BEDROCK_ID.match(request_model) is not None


def find_priced_names(request_model: str, response_model: str) -> tuple[str, ...]:
    """Return the names that a call may have a price under, best first.

    The model that answered comes before the one that was asked for, which may be an alias that the catalogue knows better.
    """
    names = (response_model, request_model)
    return tuple(dict.fromkeys(reversed(names) if names_its_price(request_model) else names))


def _custom_lines(price: CustomPrice, tokens: TokenUsage) -> list[PriceLine]:
    counts = _split_tokens(*(np.array(count) for count in tokens[:4]))
    return [
        PriceLine(token_class, int(count), usd, 1_000_000, usd * int(count) / 1_000_000)
        for (token_class, usd), count in zip(price.rates(), counts, strict=True)
        if count
    ]


@dataclass(frozen=True)
class PriceLine:
    """Part of a call's cost: `count` tokens of a class (as in `cache read`) at a price in USD for `per` of them."""

    token_class: str
    count: int
    price_usd: Decimal
    per: int
    cost_usd: Decimal


@dataclass(frozen=True)
class PriceBreakdown:
    """Where the cost of a call comes from; the lines add up to `total_usd` exactly.

    `provider` and `model` name the row of the catalogue, `day` (YYYY-MM-DD, UTC) is the one whose prices hold, `source_url` the
    provider's own price list, "" when the catalogue names none. `service_tier` is that of the prices, "" for the standard one.
    """

    provider: str
    model: str
    catalogue: str
    day: str
    source_url: str
    service_tier: str
    lines: list[PriceLine]
    total_usd: Decimal


def explain_call(
    provider: str, model: str, usage: TokenUsage, start_ns: int, service_tier: str = "", *, project_id: int = 0
) -> PriceBreakdown | None:
    """Return what price_call adds up, by class of token; None where it returns None."""
    if not model or not (usage.input_tokens or usage.output_tokens):
        return None
    day = start_ns // _NS_PER_DAY
    date = datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
    if custom := find_custom_price(project_id, provider, model, day):
        own = _custom_lines(custom, usage)
        total = sum((line.cost_usd for line in own), Decimal(0))
        return PriceBreakdown(provider, custom.model, "this project's prices", date, "", "", own, total)
    sold = name_sold(provider, model, service_tier)
    found = calculate(sold, usage, day)
    if found is None:
        return None
    lines = []
    for name in vars(found.model_price):
        line = _find_line(found.model_price, name, usage)
        if line is not None:
            lines.append(line)
    urls = found.provider.pricing_urls or [""]
    return PriceBreakdown(
        found.provider.name, found.model.id, f"genai-prices {version('genai-prices')}",
        date, urls[0], sold.service_tier, lines, found.total_price,
    )  # fmt: skip


def _find_line(prices: ModelPrice, name: str, tokens: TokenUsage) -> PriceLine | None:
    """Return the part of the cost that one price makes, None when it makes none.

    The catalogue splits the tokens among the classes that have a price, so the others stay, at zero.
    """
    per = next((per for end, per in _PER.items() if name.endswith(end)), 0)
    price = getattr(prices, name)
    if price is None or not per:
        return None
    others: dict[str, Decimal | TieredPrices | None] = dict.fromkeys(
        (key for key, value in vars(prices).items() if value is not None), Decimal(0)
    )
    usage = read_usage(tokens)
    cost = ModelPrice(**others | {name: price}).calc_price(usage)["total_price"]
    count = ModelPrice(**others | {name: Decimal(1)}).calc_price(usage)["total_price"] * per
    if not count:
        return None
    token_class = name.rpartition("_")[0].replace("_", " ")
    return PriceLine(token_class, int(count), cost * per / count, per, cost)


def price_calls(sold: Sequence[Sold], which: Ints, tokens: Mapping[str, Ints], start_ns: Ints, project_id: int = 0) -> Floats:
    """Return what price_call does for each of many calls, NaN for None.

    `which` is the index into `sold` of each call, `tokens` has a column for each of TOKEN_CLASSES. Calls that share what is sold,
    day, step of the price list and the classes they use share the unit prices: there the price is linear.
    """
    sold = [name_sold(*each) for each in sold]
    columns = [tokens[name] for name in TOKEN_CLASSES]
    inputs, outputs, cache_read, cache_write, reasoning = columns[:_COMMON]
    result = np.full(len(which), np.nan)
    # What contradicts itself, or has a class of its own, is asked for by itself.
    is_common = (cache_read + cache_write <= inputs) & (reasoning <= outputs)
    for column in columns[_COMMON:]:
        is_common &= column == 0
    used = np.zeros(len(which), dtype=np.int64)
    for bit, column in enumerate(columns[:_COMMON]):
        used |= (column > 0).astype(np.int64) << bit
    has_model = np.array([bool(each.model) for each in sold], dtype=bool)[which] if len(which) else is_common
    members = np.flatnonzero(is_common & has_model & (inputs + outputs > 0))
    days = start_ns // _NS_PER_DAY
    if has_custom_prices(project_id):
        own = _price_by_own(sold, which, columns, days, project_id)
        result = np.where(np.isnan(own), result, own)
        members = members[np.isnan(own[members])]
    alone = [np.flatnonzero(~is_common & np.isnan(result))]
    for group in _split_equal(members, which, days, used):
        first = group[0]
        list_price = (sold[which[first]], int(used[first]), int(days[first]))
        steps = _steps(*list_price)
        step_of = np.searchsorted(np.array(steps), inputs[group])
        for step, (above, until) in enumerate(zip((0, *steps), (*steps, None), strict=True)):
            here = group[step_of == step]
            rates = _rates(*list_price, above, until) if here.size else None
            if rates is None:
                alone.append(here)
                continue
            result[here] = rates[0] + sum(rate * column[here] for rate, column in zip(rates[1:], columns, strict=False))
    for position in np.concatenate(alone).tolist():
        bought = sold[which[position]]
        amounts = TokenUsage(*(int(column[position]) for column in columns))
        is_paid = bought.model and amounts.input_tokens + amounts.output_tokens > 0
        cost = _price(bought, amounts, int(days[position])) if is_paid else None
        result[position] = np.nan if cost is None else cost
    return result


def _price_by_own(sold: Sequence[Sold], which: Ints, columns: Sequence[Ints], days: Ints, project_id: int) -> Floats:
    """Return the cost of the calls that the project has a price of its own for, NaN for all others."""
    result = np.full(len(which), np.nan)
    has_tokens = columns[0] + columns[1] > 0
    for group in _split_equal(np.flatnonzero(has_tokens), which, days):
        provider, model, _ = sold[which[group[0]]]
        price = find_custom_price(project_id, provider, model, int(days[group[0]]))
        if price is not None:
            counts = _split_tokens(*(column[group] for column in columns[:4]))
            result[group] = sum(float(usd) / 1e6 * count for (_, usd), count in zip(price.rates(), counts, strict=True))
    return result


def _split_equal(members: Ints, *columns: Ints) -> list[Ints]:
    """Return the members in groups that have the same values in these columns."""
    if not members.size:
        return []
    keys = np.stack([column[members] for column in columns])
    order = np.lexsort(keys)
    changes = (np.diff(keys[:, order], axis=1) != 0).any(axis=0)
    return np.split(members[order], np.flatnonzero(changes) + 1)


def _probe(used: int, *, above: int = 0, one_more: int = -1) -> TokenUsage:
    """Return a small usage of these classes (bits in the order of TOKEN_CLASSES) with input above that, and one token more."""
    amounts = [amount if used >> bit & 1 else 0 for bit, amount in enumerate(_PROBE)]
    if amounts[0]:
        amounts[0] += above
    if one_more >= 0:
        amounts[one_more] += 1
    return TokenUsage(*amounts)


@lru_cache(maxsize=4096)
def _steps(sold: Sold, used: int, day: int) -> tuple[int, ...]:
    """Return the numbers of input tokens above which another price holds for all tokens of a call."""
    found = calculate(sold, _probe(used), day)
    if found is None:
        return ()
    prices = vars(found.model_price).values()
    return tuple(sorted({tier.start for price in prices if isinstance(price, TieredPrices) for tier in price.tiers}))


@lru_cache(maxsize=4096)
def _rates(sold: Sold, used: int, day: int, above: int, until: int | None) -> tuple[float, ...] | None:
    """Return the price of a call and of a token of each common class; NaN without a price, None for a step too narrow to tell.

    The catalogue adds up tokens times prices, so each unit price is what one token more costs.
    """
    least = _probe(used, above=above)
    if until is not None and least[0] + 1 > until:
        return None
    base = calculate(sold, least, day)
    if base is None:
        return (float("nan"),) * (1 + _COMMON)
    rates = [Decimal(0)] * _COMMON
    for position in range(_COMMON):
        if used >> position & 1:
            probed = calculate(sold, _probe(used, above=above, one_more=position), day)
            if probed is None:
                return None
            rates[position] = probed.total_price - base.total_price
    fixed = base.total_price - sum((rate * amount for rate, amount in zip(rates, least, strict=False)), Decimal(0))
    return (float(fixed), *(float(rate) for rate in rates))


@lru_cache(maxsize=65_536)
def _price(sold: Sold, tokens: TokenUsage, day: int) -> float | None:
    found = calculate(sold, tokens, day)
    return None if found is None else float(found.total_price)
