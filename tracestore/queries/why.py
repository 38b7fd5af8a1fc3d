"""What is different about some traces: a selection against the rest, over all of them, value by value.

One read of `traces` groups them by each field and by bins of each number at once (GROUPING SETS); tools, of which there are too
many combinations for that, users and sessions have reads of their own, and a last one counts the best values together.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

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


class Shape(Enum):
    """How a field's values stand in `traces`: texts and lists with few combinations are grouped by together, the others apart."""

    TEXT = auto()
    LIST = auto()
    ID = auto()  # a text that hardly repeats
    LONG_LIST = auto()  # a list with about as many combinations as traces


@dataclass(frozen=True)
class Dimension:
    """One field of the language whose values are compared. `values` is SQL over `traces`, a text or a list of texts.

    A symptom tells how a trace failed rather than why: failing traces differ from others in error types by their nature. Of other
    fields to have no value, "", is a value too.
    """

    field: str
    label: str
    values: str
    shape: Shape = Shape.LIST
    is_symptom: bool = False


_FAILED_TOOLS = "arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`)"
DIMENSIONS: dict[str, Dimension] = {
    dimension.field: dimension
    for dimension in (
        Dimension("version", "Version", "versions"),
        Dimension("tool", "Tool", "`tools.name`", Shape.LONG_LIST),
        Dimension("model", "Model", "`models.model`"),
        Dimension("agent", "Agent", "agents"),
        Dimension("prompt", "Prompt", "prompts"),
        Dimension("workflow", "Workflow", "workflows"),
        Dimension("service", "Service", "services"),
        Dimension("env", "Environment", "environment", Shape.TEXT),
        Dimension("provider", "Provider", "`models.provider`"),
        Dimension("name", "Name of the trace", "name", Shape.TEXT),
        Dimension("user", "User", "user_id", Shape.ID),
        Dimension("session", "Session", "session_id", Shape.ID),
        Dimension("status", "Status", "outcome", Shape.TEXT, is_symptom=True),
        Dimension("error", "Error type", "error_types", is_symptom=True),
        Dimension("tool_error", "Failed tool", _FAILED_TOOLS, is_symptom=True),
        Dimension("fingerprint", "Error fingerprint", "error_fingerprint", Shape.TEXT, is_symptom=True),
        Dimension("rule", "Rule of the outcome", "outcome_rule", Shape.TEXT, is_symptom=True),
        Dimension("escalated", "Escalated", "escalated", Shape.TEXT, is_symptom=True),
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

# The bin of traces that do not have a number.
_UNKNOWN = 65_535
_SIDES = f"""
    FROM traces FINAL
    WHERE {IN_RANGE} AND (in_selection OR (%(against)s))
"""
# `place` has the bit of what a row is grouped by, the first name having the highest, and is 0 for all traces together. Texts need
# their support at once, lists after their combinations are taken apart. A trace counts once for a value, so the row of all traces
# has the largest counts.
COUNT_VALUES = f"""
SELECT place, value, selected, others, tests
FROM
(
    SELECT place, value, selected, others, max(selected) OVER () AS all_selected, max(others) OVER () AS all_others,
        count() OVER (PARTITION BY place) AS tests
    FROM
    (
        SELECT place, value, sum(inside) AS selected, sum(traces - inside) AS others
        FROM
        (
            SELECT place, arrayJoin(%(values)s) AS value, inside, traces
            FROM
            (
                SELECT bitXor(grouping(%(names)s), {{every_bit:UInt64}}) AS place, %(names)s,
                    countIf(in_selection) AS inside, count() AS traces
                FROM (SELECT %(selection)s AS in_selection, %(columns)s {_SIDES})
                GROUP BY GROUPING SETS ((), %(sets)s)
                HAVING place < {{first_text:UInt64}} OR inside >= {{min_support:UInt64}}
                    OR traces - inside >= {{min_support:UInt64}}
            )
        )
        GROUP BY place, value
        HAVING place < {{first_number:UInt64}} OR selected >= {{min_support:UInt64}} OR others >= {{min_support:UInt64}}
    )
)
ORDER BY abs(selected / greatest(all_selected, 1) - others / greatest(all_others, 1)) DESC, value
LIMIT {MOST_BINS} BY place
{FINAL_SETTINGS}
"""
COUNT_APART = f"""
SELECT value, selected, others, tests
FROM
(
    SELECT value, selected, others, count() OVER () AS tests
    FROM
    (
        SELECT value, countIf(in_selection) AS selected, countIf(NOT in_selection) AS others
        FROM (SELECT %(selection)s AS in_selection, %(values)s AS value {_SIDES})
        GROUP BY value
        HAVING selected >= {{min_support:UInt64}} OR others >= {{min_support:UInt64}}
    )
)
ORDER BY abs(selected / {{all_selected:Float64}} - others / {{all_others:Float64}}) DESC, value
LIMIT {MOST_BINS}
{FINAL_SETTINGS}
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

    `value` "" is to have none. `is_significant`: it stands among all values of its field (Benjamini and Hochberg).
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
    """Of one side, in the unit of the number and off by 1.6 % at most; None without a trace that has the number."""

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

    def read(self, sql: str, params: Params, parts: Mapping[str, object], **more: int) -> list[tuple[Any, ...]]:
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
    counts = _count_values(sides, compared, NUMBERS if numbers else (), min_support)
    histograms = {number.name: counts.histograms(number) for number in NUMBERS} if numbers else {}
    differences = _rank(compared, counts)
    shifts = build_shifts(amounts, histograms)
    found: list[Pair] = []
    if pairs and counts.selected and counts.others:
        differences, found = _count_together(sides, differences, counts.selected, counts.others)
    return Comparison(
        selected=counts.selected,
        others=counts.others,
        differences=differences,
        shifts=shifts,
        pairs=found,
        tests=sum(counts.tests.values()),
        all_p95=_upper_quantiles(histograms),
    )


def demanded_fields(query: Query) -> set[str]:
    """Return the fields of which every match has a value that the query names: their differences are no news."""
    return {field for node in query.conditions if (field := _demanded_field(node))}


def _demanded_field(node: Node) -> str:
    terms = node.items if isinstance(node, Or) else (node,)
    names = {term.field if isinstance(term, Term) else "" for term in terms}
    return names.pop() if len(names) == 1 else ""


# Counting


@dataclass
class _Counts:
    """Traces of the selection and others: all, by value of each field (most different first), and by bin of each number."""

    selected: int = 0
    others: int = 0
    tests: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[tuple[str, int, int]]] = field(default_factory=lambda: defaultdict(list))
    bins: dict[str, dict[int, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def histograms(self, number: Number) -> tuple[Histogram, Histogram]:
        bins = self.bins[number.name]
        return Histogram({at: a for at, (a, _) in bins.items()}), Histogram({at: b for at, (_, b) in bins.items()})


def _count_values(sides: _Sides, dimensions: Sequence[Dimension], numbers: Sequence[Number], min_support: int) -> _Counts:
    counts = _Counts()
    grouped = [item for shape in (Shape.TEXT, Shape.LIST) for item in dimensions if item.shape is shape]
    names = [item.field for item in grouped] + [number.name for number in numbers]
    bits = {1 << (len(names) - 1 - at): name for at, name in enumerate(names)}
    for place, value, selected, others, tests in sides.read(COUNT_VALUES, Params(), **_grouping(grouped, numbers, min_support)):
        if not place:
            counts.selected, counts.others = selected, others
        elif bits[place] in DIMENSIONS:
            counts.values[bits[place]].append((value, selected, others))
            counts.tests[bits[place]] = tests
        else:
            counts.bins[bits[place]][int(value)] = (selected, others)
    totals = {"all_selected": max(counts.selected, 1), "all_others": max(counts.others, 1), "min_support": min_support}
    for dimension in dimensions:
        if dimension not in grouped:
            items = f"arrayJoin(emptyArrayToSingle({dimension.values}))"
            parts = {"values": items if dimension.shape is Shape.LONG_LIST else dimension.values}
            for value, selected, others, tests in sides.read(COUNT_APART, Params(), parts, **totals):
                counts.values[dimension.field].append((value, selected, others))
                counts.tests[dimension.field] = tests
    return counts


def _grouping(dimensions: Sequence[Dimension], numbers: Sequence[Number], min_support: int) -> dict[str, Any]:
    """Return the parts and parameters of COUNT_VALUES. A set of rows is known by its bit, the first name having the highest."""
    names = [f"d{at}" for at in range(len(dimensions) + len(numbers))]
    columns = [item.values for item in dimensions] + [_bin(number) for number in numbers]
    lists = [_listed(name, item) for name, item in zip(names, dimensions, strict=False)]
    lists += [f"if({name} = {_UNKNOWN}, [], [toString({name})])" for name in names[len(dimensions) :]]
    places = [1 << (len(names) - 1 - at) for at in range(len(names))]
    cases = ", ".join(f"place = {place}, {values}" for place, values in zip(places, lists, strict=True))

    def above(number: int) -> int:
        """The bits from here on belong to the first `number` names."""
        return 1 << (len(names) - number)

    texts = sum(item.shape is Shape.TEXT for item in dimensions)
    return {
        "parts": {
            "values": f"multiIf({cases}, [''])",
            "names": ", ".join(names),
            "columns": ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True)),
            "sets": ", ".join(f"({name})" for name in names),
        },
        "every_bit": above(0) - 1,
        "first_text": above(texts),
        "first_number": above(len(dimensions)),
        "min_support": min_support,
    }


def _listed(name: str, dimension: Dimension) -> str:
    if dimension.shape is not Shape.LIST:
        return f"[toString({name})]"
    # One model may stand twice, once for each provider.
    texts = f"arrayDistinct(arrayMap(x -> toString(x), {name}))"
    return texts if dimension.is_symptom else f"emptyArrayToSingle({texts})"


def _bin(number: Number) -> str:
    binned = bin_sql(number.amount)
    return binned if number.known == "true" else f"if({number.known}, {binned}, {_UNKNOWN})"


def _rank(dimensions: Sequence[Dimension], counts: _Counts) -> list[Difference]:
    """Test every value, and return the most different ones of each field, what differs most for certain first."""
    shown = []
    for dimension in dimensions:
        values = counts.values[dimension.field]
        p_values = [share_test(a, counts.selected, b, counts.others) for _, a, b in values]
        # Each field is a family of its own, or sessions would drown versions: B. Efron (2008), Annals of Applied Statistics 2.
        stands = find_discoveries(p_values, tests=counts.tests.get(dimension.field, 0))
        for (value, selected, others), is_significant in zip(values[:_SHOWN], stands, strict=False):
            shown.append(
                Difference(
                    dimension=dimension,
                    value=value,
                    selected=selected,
                    others=others,
                    selected_share=selected / max(counts.selected, 1),
                    other_share=others / max(counts.others, 1),
                    difference=share_difference(selected, counts.selected, others, counts.others),
                    is_significant=is_significant,
                )
            )
    # Of values that mean the same traces the one that says more to people leads: dimensions stand in that order.
    places = {field: place for place, field in enumerate(DIMENSIONS)}
    return sorted(
        shown,
        key=lambda found: (-found.difference.least, -abs(found.difference.value), places[found.dimension.field], found.value),
    )


# Distributions


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
    has = [f"{_has_value(found, params)} * {1 << at}" for at, found in enumerate(best)]
    rows = sides.read(COUNT_TOGETHER, params, {"members": f"toUInt32({' + '.join(has)})"})
    counts = {members: (a, b) for members, a, b in rows}
    same = _find_same(best, counts)
    named = [replace(found, along_with=best[same[at]]) if at in same else found for at, found in enumerate(best)]
    replaced = {id(old): new for old, new in zip(best, named, strict=True)}
    kept = [at for at in range(len(best)) if at not in same]
    pairs = [_build_pair(best, first, second, counts, selected, others) for first, second in itertools.combinations(kept, 2)]
    found_pairs = _keep_certain([pair for pair in pairs if pair])
    return [replaced.get(id(found), found) for found in differences], found_pairs


def _has_value(found: Difference, params: Params) -> str:
    values = found.dimension.values
    if found.dimension.shape in (Shape.ID, Shape.TEXT):
        return f"(toString({values}) = {params.bind(found.value, 'String')})"
    return f"has({values}, {params.bind(found.value, 'String')})" if found.value else f"empty({values})"


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
    both, first_alone, second_alone, neither = (a / everything for a, everything in cells)
    a, everything = cells[0]
    pair = Pair(
        first=best[first],
        second=best[second],
        selected=a,
        others=everything - a,
        selected_share=a / selected,
        other_share=(everything - a) / others,
        both_rate=both,
        first_rate=first_alone,
        second_rate=second_alone,
        neither_rate=neither,
        excess=_excess(cells, CONFIDENCE),
    )
    return pair, [(inside, traces) for inside, traces in cells]


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
