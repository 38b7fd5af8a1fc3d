"""Every value of every field, counted on both sides and tested."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracestore.queries.conditions import Params
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.queries.why.fields import DIMENSIONS, Dimension, Number, Shape
from tracestore.queries.why.sides import SIDES, Sides
from tracestore.statistics.histogram import MOST_BINS, Histogram, bin_sql
from tracestore.statistics.samples import Interval, find_discoveries, share_difference, share_test

# How many values of a field are shown.
_SHOWN = 12
# The bin of traces that do not have a number.
_UNKNOWN = 65_535
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
                FROM (SELECT %(selection)s AS in_selection, %(columns)s {SIDES})
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
        FROM (SELECT %(selection)s AS in_selection, %(values)s AS value {SIDES})
        GROUP BY value
        HAVING selected >= {{min_support:UInt64}} OR others >= {{min_support:UInt64}}
    )
)
ORDER BY abs(selected / {{all_selected:Float64}} - others / {{all_others:Float64}}) DESC, value
LIMIT {MOST_BINS}
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


@dataclass
class Counts:
    """Traces of the selection and others: all, by value of each field (most different first), and by bin of each number."""

    selected: int = 0
    others: int = 0
    tests: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[tuple[str, int, int]]] = field(default_factory=lambda: defaultdict(list))
    bins: dict[str, dict[int, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def histograms(self, number: Number) -> tuple[Histogram, Histogram]:
        bins = self.bins[number.name]
        return Histogram({at: a for at, (a, _) in bins.items()}), Histogram({at: b for at, (_, b) in bins.items()})


def count_values(sides: Sides, dimensions: Sequence[Dimension], numbers: Sequence[Number], min_support: int) -> Counts:
    """Count the traces of both sides, by value of each dimension and by bin of each number.

    Values of fewer than `min_support` traces on both sides are left out, but count as tests: they were looked at. One read for
    all that a trace has one or few of, one more for each other dimension.
    """
    counts = Counts()
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
                # Traces arrive between the reads: no side has a value more often than it has traces.
                counts.values[dimension.field].append((value, min(selected, counts.selected), min(others, counts.others)))
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


def rank(dimensions: Sequence[Dimension], counts: Counts) -> list[Difference]:
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
