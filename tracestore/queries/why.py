"""What is different about some traces: a selection against the rest, over all of them, value by value.

One read of `traces` turns each trace into numbers (a value of a field is a hash below the field's number, an amount the bin it
lies in) and counts these on both sides, several times faster than counting texts. A second read finds the texts of the values
that are shown, a third counts the best of them together.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tracestore.clickhouse.client import Store
from tracestore.histogram import MOST_BINS, Bar, Histogram, align, bin_sql, draw_bars
from tracestore.language import Query
from tracestore.language.tree import Node, Or, Term
from tracestore.queries.predicates import IN_RANGE, Params, trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.statistics import (
    CONFIDENCE,
    Interval,
    combine,
    find_discoveries,
    kolmogorov_smirnov,
    share_difference,
    share_interval,
    share_test,
)
from tracestore.timerange import TimeRange

# A value that fewer traces have on either side is not looked at: two traces are no share.
MIN_SUPPORT = 3
# How many values of a field are shown, and how many of the best are counted in pairs.
_SHOWN, _PAIRED = 12, 10
# Two values whose traces are the same but for one in twenty are one difference with two names.
_SAME = 0.95
_HASH_BITS = 56
_HASH_MASK = (1 << _HASH_BITS) - 1


@dataclass(frozen=True)
class Dimension:
    """One field of the language whose values are compared. `values` is SQL over `traces`: an array of texts, "" for none.

    A symptom tells how a trace failed rather than why: failing traces differ from others in error types by their nature.
    """

    field: str
    label: str
    values: str
    is_symptom: bool = False


def _or_none(column: str) -> str:
    """An empty array as one of "", so that traces without any value are counted as such."""
    return f"arrayResize({column}, greatest(length({column}), 1))"


_FAILED_TOOLS = "arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`)"
DIMENSIONS: dict[str, Dimension] = {
    dimension.field: dimension
    for dimension in (
        Dimension("version", "Version", _or_none("versions")),
        Dimension("tool", "Tool", _or_none("`tools.name`")),
        Dimension("model", "Model", _or_none("arrayDistinct(`models.model`)")),
        Dimension("agent", "Agent", _or_none("agents")),
        Dimension("prompt", "Prompt", _or_none("prompts")),
        Dimension("workflow", "Workflow", _or_none("workflows")),
        Dimension("service", "Service", _or_none("services")),
        Dimension("env", "Environment", "[environment]"),
        Dimension("provider", "Provider", _or_none("arrayDistinct(`models.provider`)")),
        Dimension("name", "Name of the trace", "[name]"),
        Dimension("user", "User", "[user_id]"),
        Dimension("session", "Session", "[session_id]"),
        Dimension("status", "Status", "[outcome]", is_symptom=True),
        Dimension("error", "Error type", "error_types", is_symptom=True),
        Dimension("tool_error", "Failed tool", _FAILED_TOOLS, is_symptom=True),
        Dimension("rule", "Rule of the outcome", "[outcome_rule]", is_symptom=True),
        Dimension("escalated", "Escalated", "[if(escalated, 'true', 'false')]", is_symptom=True),
    )
}


@dataclass(frozen=True)
class Number:
    """One amount whose distribution is compared. `amount` is SQL over `traces`: a whole number of 1 / `scale` of `unit`.

    `field` is that of the language, "" when it has none. Traces for which `known` does not hold have no such amount.
    """

    name: str
    label: str
    unit: str
    amount: str
    field: str = ""
    known: str = "true"
    scale: int = 1


NUMBERS: tuple[Number, ...] = (
    Number("duration", "Duration", "ns", "duration_ns", "duration", "outcome != 'running'"),
    Number("cost", "Cost", "USD", "toUInt64(ifNull(cost_usd, 0) * 1e9)", "cost", "isNotNull(cost_usd)", 10**9),
    Number("input_tokens", "Input tokens", "tokens", "input_tokens", "input_tokens"),
    Number("output_tokens", "Output tokens", "tokens", "output_tokens", "output_tokens"),
    Number("spans", "Spans", "spans", "span_count", "spans"),
    Number("llm_calls", "Model calls", "calls", "llm_calls"),
    Number("tool_calls", "Tool calls", "calls", "arraySum(`tools.calls`)"),
)
# Fields that say how a trace went: a condition on one of them is a question, conditions on others say where to look.
OUTCOME_FIELDS = frozenset(
    {dimension.field for dimension in DIMENSIONS.values() if dimension.is_symptom}
    | {number.field for number in NUMBERS if number.field}
    | {"has_errors", "errors", "tokens", "ttft", "cost_difference"}
)

# The upper bits of a code say which field it is of, 0 being every trace; the lower ones are a hash of the value, or a bin.
_NUMBER_OF_FIELD = {field: number for number, field in enumerate(DIMENSIONS, 1)}
_DIMENSION_OF_NUMBER = {number: DIMENSIONS[field] for field, number in _NUMBER_OF_FIELD.items()}
_FIRST_AMOUNT = 128
_AMOUNTS_FROM = f"bitShiftLeft(toUInt64({_FIRST_AMOUNT}), {_HASH_BITS})"

_SIDES = f"""
    FROM traces FINAL
    WHERE {IN_RANGE} AND (in_selection OR %(against)s)
"""
# Each trace counts once per code, so the code of all traces has the largest counts.
COUNT_CODES = f"""
SELECT code, selected, others, tests
FROM
(
    SELECT code, selected, others, max(selected) OVER () AS all_selected, max(others) OVER () AS all_others,
        countIf(code > 0 AND code < {_AMOUNTS_FROM}) OVER () AS tests
    FROM
    (
        SELECT code, countIf(in_selection) AS selected, countIf(NOT in_selection) AS others
        FROM (SELECT %(selection)s AS in_selection, arrayJoin(%(codes)s) AS code {_SIDES})
        GROUP BY code
        HAVING selected >= {{min_support:UInt64}} OR others >= {{min_support:UInt64}} OR code = 0 OR code >= {_AMOUNTS_FROM}
    )
)
ORDER BY abs(selected / greatest(all_selected, 1) - others / greatest(all_others, 1)) DESC, code
LIMIT {MOST_BINS} BY bitShiftRight(code, {_HASH_BITS})
{FINAL_SETTINGS}
"""
# Without FINAL: a text that has the hash is the same in whichever version of a row.
FIND_VALUES = f"""
SELECT DISTINCT %(code)s AS code, value
FROM (SELECT arrayJoin(%(values)s) AS value FROM traces WHERE {IN_RANGE})
WHERE code IN %(codes)s
LIMIT %(limit)d
"""
COUNT_TOGETHER = f"""
SELECT members, countIf(in_selection) AS selected, countIf(NOT in_selection) AS others
FROM (SELECT %(selection)s AS in_selection, %(members)s AS members {_SIDES})
GROUP BY members
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class Difference:
    """`selected` of the selection's traces and `others` of the rest have this value; shares are 0 to 1 of each side.

    `value` "" is to have none. `is_significant`: it stands among all that were compared (Benjamini and Hochberg).
    `along_with` is a stronger difference that means the same traces.
    """

    dimension: Dimension
    value: str
    selected: int
    others: int
    selected_share: float
    other_share: float
    difference: Interval
    is_significant: bool
    along_with: Difference | None = None

    @property
    def lift(self) -> float | None:
        """How many times as frequent as in the rest; None when the rest has none."""
        return self.selected_share / self.other_share if self.other_share else None


@dataclass(frozen=True)
class Pair:
    """Two values together. A rate is the share of the selection among the traces of both sides that have both values, only the
    first, only the second, or neither.

    `excess`: by how much the rate of both exceeds what the two would add up to, the interaction contrast (K. J. Rothman,
    S. Greenland, T. L. Lash, 2008, Modern Epidemiology, 3rd ed., chapter 5).
    """

    first: Difference
    second: Difference
    selected: int
    others: int
    selected_share: float
    other_share: float
    both_rate: float
    first_rate: float
    second_rate: float
    neither_rate: float
    excess: Interval


@dataclass(frozen=True)
class Quantiles:
    """Of one side, in the unit of the number and off by 2.2 % at most; None without a trace that has the number."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Shift:
    """How a number is distributed on both sides. `distance` (0 to 1) is that of Kolmogorov and Smirnov."""

    number: Number
    selected: Quantiles
    others: Quantiles
    distance: float
    is_significant: bool
    bars: list[Bar]


@dataclass(frozen=True)
class Comparison:
    """A selection of `selected` traces against `others`. `differences` come with what differs most for certain first.

    `tests` values were compared; `all_p95` are quantiles over both sides together, by name of the number.
    """

    selected: int
    others: int
    differences: list[Difference]
    shifts: list[Shift]
    pairs: list[Pair]
    tests: int
    all_p95: dict[str, float]


@dataclass(frozen=True)
class Selection:
    """The traces that match a query and, with a window, start in it: a brushed area of time."""

    query: Query
    window: TimeRange | None = None

    def predicate(self, params: Params) -> str:
        """Return the condition over `traces`."""
        condition = trace_predicate(self.query, params)
        return f"({condition} AND {started_within([self.window], params)})" if self.window else condition


def started_within(ranges: Sequence[TimeRange], params: Params) -> str:
    """Return the condition that a span or trace starts in one of these ranges."""

    def moment(time_ns: int) -> str:
        return f"fromUnixTimestamp64Nano({params.bind(time_ns, 'Int64')})"

    conditions = (f"start_time >= {moment(part.start_ns)} AND start_time < {moment(part.end_ns)}" for part in ranges)
    return f"({' OR '.join(conditions)})"


@dataclass(frozen=True)
class _Sides:
    """What every statement of one comparison is bound to."""

    store: Store
    project_id: int
    time_range: TimeRange
    selection: Selection
    against: Query

    def read(self, sql: str, params: Params, parts: Mapping[str, object], **more: int) -> list[tuple[int, ...]]:
        """Run a template, filled with the predicates of both sides and with `parts`."""
        predicates = {"selection": self.selection.predicate(params), "against": trace_predicate(self.against, params)}
        scope = {"project_id": self.project_id, "start_ns": self.time_range.start_ns, "end_ns": self.time_range.end_ns}
        return self.store.query_rows(sql % {**predicates, **parts}, **scope, **more, **params.values)


def find_differences(
    store: Store, *, project_id: int, time_range: TimeRange, selection: Selection, against: Query,
    fields: Iterable[str] | None = None, numbers: bool = True, pairs: bool = True, min_support: int = MIN_SUPPORT,
) -> Comparison:  # fmt: skip
    """Compare the traces of the range that are in `selection` with those that match `against` and are not.

    `fields` are some of DIMENSIONS; without them all are compared that the selection does not itself demand. Up to 12 values of a
    field come back. Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    sides = _Sides(store, project_id, time_range, selection, against)
    demanded = demanded_fields(selection.query)
    offered = [field for field in DIMENSIONS if field not in demanded]
    compared = [DIMENSIONS[field] for field in (offered if fields is None else fields)]
    amounts = [number for number in NUMBERS if numbers and number.field not in demanded]
    # Quantiles over everything are offered as thresholds, so demanded numbers are counted too and not compared.
    rows = sides.read(COUNT_CODES, Params(), {"codes": _codes(compared, NUMBERS if numbers else ())}, min_support=min_support)
    counts = {code: (selected, others) for code, selected, others, _ in rows}
    selected, others = counts.pop(0, (0, 0))
    tests = rows[0][3] if rows else 0
    histograms = {number.name: _read_histograms(index, counts) for index, number in enumerate(NUMBERS)} if numbers else {}
    differences = _find_values(sides, _rank(compared, counts, selected, others, tests), selected, others)
    shifts = build_shifts(amounts, histograms)
    found: list[Pair] = []
    if pairs and selected and others:
        differences, found = _count_together(sides, differences, selected, others)
    return Comparison(selected, others, differences, shifts, found, tests, _upper_quantiles(histograms))


def demanded_fields(query: Query) -> set[str]:
    """Return the fields of which every match has a value that the query names: their differences are no news."""
    return {field for node in query.conditions if (field := _demanded_field(node))}


def _demanded_field(node: Node) -> str:
    terms = node.items if isinstance(node, Or) else (node,)
    names = {term.field if isinstance(term, Term) else "" for term in terms}
    return names.pop() if len(names) == 1 else ""


# Counting


def _code(number: int, value: str) -> str:
    return f"bitOr(toUInt64({number << _HASH_BITS}), bitAnd(sipHash64({value}), {_HASH_MASK}))"


def _codes(dimensions: Iterable[Dimension], numbers: Sequence[Number]) -> str:
    """Return SQL for the codes of one trace: 0, one per value of a field, and one per amount that it has."""
    parts = ["[toUInt64(0)]"]
    parts += [f"arrayMap(v -> {_code(_NUMBER_OF_FIELD[dimension.field], 'v')}, {dimension.values})" for dimension in dimensions]
    for index, number in enumerate(numbers, _FIRST_AMOUNT):
        code = f"[bitOr(toUInt64({index << _HASH_BITS}), {bin_sql(number.amount)})]"
        parts.append(code if number.known == "true" else f"if({number.known}, {code}, emptyArrayUInt64())")
    return f"arrayConcat({', '.join(parts)})"


@dataclass(frozen=True)
class _Counted:
    """A value before its text is known."""

    dimension: Dimension
    code: int
    selected: int
    others: int
    is_significant: bool


def _rank(
    dimensions: Sequence[Dimension], counts: Mapping[int, tuple[int, int]], selected: int, others: int, tests: int
) -> list[_Counted]:
    """Test every value, and return the most different ones of each dimension. `counts` come most different first."""
    values = [
        (_DIMENSION_OF_NUMBER[code >> _HASH_BITS], code, *count)
        for code, count in counts.items()
        if code >> _HASH_BITS in _DIMENSION_OF_NUMBER
    ]
    stands = find_discoveries([share_test(a, selected, b, others) for _, _, a, b in values], tests=tests)
    counted = [_Counted(*value, is_significant) for value, is_significant in zip(values, stands, strict=True)]
    by_dimension: dict[str, list[_Counted]] = defaultdict(list)
    for item in counted:
        if len(by_dimension[item.dimension.field]) < _SHOWN:
            by_dimension[item.dimension.field].append(item)
    return [item for dimension in dimensions for item in by_dimension[dimension.field]]


def _find_values(sides: _Sides, counted: Sequence[_Counted], selected: int, others: int) -> list[Difference]:
    """Look up the texts, and return the differences, what differs most for certain first."""
    texts = _read_texts(sides, counted)
    differences = [
        Difference(
            dimension=item.dimension,
            value=texts[item.code],
            selected=item.selected,
            others=item.others,
            selected_share=item.selected / max(selected, 1),
            other_share=item.others / max(others, 1),
            difference=share_difference(item.selected, selected, item.others, others),
            is_significant=item.is_significant,
        )
        for item in counted
        if item.code in texts
    ]
    # Of values that mean the same traces the one that says more to people leads: dimensions stand in that order.
    places = {field: place for place, field in enumerate(DIMENSIONS)}
    return sorted(
        differences,
        key=lambda found: (-found.difference.least, -abs(found.difference.value), places[found.dimension.field], found.value),
    )


def _read_texts(sides: _Sides, counted: Sequence[_Counted]) -> dict[int, str]:
    by_dimension: dict[str, list[int]] = defaultdict(list)
    for item in counted:
        by_dimension[item.dimension.field].append(item.code)
    if not by_dimension:
        return {}
    params = Params()
    reads = [
        FIND_VALUES
        % {
            "code": _code(_NUMBER_OF_FIELD[field], "value"),
            "values": DIMENSIONS[field].values,
            "codes": params.bind(codes, "Array(UInt64)"),
            "limit": len(codes),
        }
        for field, codes in by_dimension.items()
    ]
    scope = {"project_id": sides.project_id, "start_ns": sides.time_range.start_ns, "end_ns": sides.time_range.end_ns}
    return dict(sides.store.query_rows(" UNION ALL ".join(reads), **scope, **params.values))


# Distributions


def _read_histograms(index: int, counts: Mapping[int, tuple[int, int]]) -> tuple[Histogram, Histogram]:
    bins = {code & _HASH_MASK: count for code, count in counts.items() if code >> _HASH_BITS == _FIRST_AMOUNT + index}
    return Histogram({number: a for number, (a, _) in bins.items()}), Histogram({number: b for number, (_, b) in bins.items()})


def build_shifts(numbers: Sequence[Number], histograms: Mapping[str, tuple[Histogram, Histogram]]) -> list[Shift]:
    """Return the distributions of the numbers that both sides have, the most different first."""
    measured = [
        (number, *histograms[number.name], *kolmogorov_smirnov(*align(*histograms[number.name])))
        for number in numbers
        if histograms[number.name][0].total and histograms[number.name][1].total
    ]
    stands = find_discoveries([p_value for *_, p_value in measured])
    shifts = [
        Shift(
            number, _quantiles(number, one), _quantiles(number, other), distance, is_significant, _scale_bars(number, one, other)
        )
        for (number, one, other, distance, _), is_significant in zip(measured, stands, strict=True)
    ]
    return sorted(shifts, key=lambda shift: -shift.distance)


def _quantiles(number: Number, histogram: Histogram) -> Quantiles:
    return Quantiles(histogram.total, *(_amount(number, histogram.quantile(part)) for part in (0.5, 0.95)))


def _amount(number: Number, value: float | None) -> float | None:
    """What was counted in whole pieces stays whole."""
    return value if value is None else value / number.scale if number.scale > 1 else float(round(value))


def _scale_bars(number: Number, one: Histogram, other: Histogram) -> list[Bar]:
    return [replace(bar, low=bar.low / number.scale, high=bar.high / number.scale) for bar in draw_bars(one, other)]


def _upper_quantiles(histograms: Mapping[str, tuple[Histogram, Histogram]]) -> dict[str, float]:
    found = {}
    for number in NUMBERS:
        if number.name in histograms:
            one, other = align(*histograms[number.name])
            keys = sorted(histograms[number.name][0].counts.keys() | histograms[number.name][1].counts.keys())
            both = Histogram({key: a + b for key, a, b in zip(keys, one, other, strict=True)})
            value = _amount(number, both.quantile(0.95))
            if value:
                found[number.name] = value
    return found


# Values together


def _count_together(
    sides: _Sides, differences: list[Difference], selected: int, others: int
) -> tuple[list[Difference], list[Pair]]:
    """Count the best values in every combination: which mean the same traces, and which pairs say more than their members."""
    best = [
        found for found in differences if found.is_significant and found.difference.value > 0 and not found.dimension.is_symptom
    ][:_PAIRED]
    if len(best) < 2:
        return differences, []
    params = Params()
    has = [f"has({found.dimension.values}, {params.bind(found.value, 'String')}) * {1 << at}" for at, found in enumerate(best)]
    rows = sides.read(COUNT_TOGETHER, params, {"members": f"toUInt32({' + '.join(has)})"})
    counts = {members: (a, b) for members, a, b in rows}
    same = _find_same(best, counts)
    named = [replace(found, along_with=best[same[at]]) if at in same else found for at, found in enumerate(best)]
    replaced = {id(old): new for old, new in zip(best, named, strict=True)}
    kept = [at for at in range(len(best)) if at not in same]
    pairs = [_build_pair(best, first, second, counts, selected, others) for first, second in itertools.combinations(kept, 2)]
    found_pairs = _keep_certain([pair for pair in pairs if pair])
    return [replaced.get(id(found), found) for found in differences], found_pairs


def _find_same(best: Sequence[Difference], counts: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """Return for the position of a value that of a better one with the same traces."""
    same: dict[int, int] = {}
    for first, second in itertools.combinations(range(len(best)), 2):
        both = sum(a + b for members, (a, b) in counts.items() if members >> first & 1 and members >> second & 1)
        either = sum(a + b for members, (a, b) in counts.items() if members >> first & 1 or members >> second & 1)
        if first not in same and second not in same and both >= _SAME * either:
            same[second] = first
    return same


def _build_pair(
    best: Sequence[Difference], first: int, second: int, counts: Mapping[int, tuple[int, int]], selected: int, others: int
) -> tuple[Pair, list[tuple[int, int]]] | None:
    """Return the pair and its four cells (selected, all), None where a cell is too small to tell the two values apart."""
    cells = [[0, 0] for _ in range(4)]  # both, first alone, second alone, neither
    for members, (a, b) in counts.items():
        cell = cells[(0 if members >> second & 1 else 1) if members >> first & 1 else (2 if members >> second & 1 else 3)]
        cell[0] += a
        cell[1] += a + b
    if cells[0][0] < MIN_SUPPORT or min(everything for _, everything in cells) < MIN_SUPPORT:
        return None
    rates = [a / everything for a, everything in cells]
    (a, everything), *_ = cells
    pair = Pair(
        best[first], best[second], a, everything - a, a / selected, (everything - a) / others, *rates, _excess(cells, CONFIDENCE)
    )
    return pair, [(a, everything) for a, everything in cells]


def _excess(cells: Sequence[Sequence[int]], confidence: float) -> Interval:
    weights = (1.0, -1.0, -1.0, 1.0)
    return combine(
        [(weight, share_interval(a, everything, confidence)) for weight, (a, everything) in zip(weights, cells, strict=True)]
    )


def _keep_certain(pairs: Sequence[tuple[Pair, list[tuple[int, int]]]]) -> list[Pair]:
    """Keep the pairs whose excess holds at a level divided by their number (Bonferroni's inequality), the largest first."""
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(pairs))
    certain = [pair for pair, cells in pairs if (_excess(cells, confidence).low or 0.0) > 0]
    return sorted(certain, key=lambda pair: -pair.excess.value)
