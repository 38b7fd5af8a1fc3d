"""What is different about some traces: a selection against the rest, over all of them, value by value.

One read of `traces` groups them by each field and by bins of each number at once (GROUPING SETS); tools, of which there are too
many combinations for that, users and sessions have reads of their own, and a last one counts the best values together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.why.fields import DIMENSIONS, NUMBERS, demanded_fields
from tracestore.queries.why.numbers import Shift, build_shifts, upper_quantiles
from tracestore.queries.why.pairs import Pair, count_together
from tracestore.queries.why.sides import MIN_SUPPORT, Selection, Sides
from tracestore.queries.why.values import Difference, count_values, rank
from tracestore.timerange import TimeRange


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


def find_differences(
    store: Store, *, project_id: int, time_range: TimeRange, selection: Selection, against: Query,
    fields: Iterable[str] | None = None, numbers: bool = True, pairs: bool = True, min_support: int = MIN_SUPPORT,
) -> Comparison:  # fmt: skip
    """Compare the traces of the range that are in `selection` with those that match `against` and are not.

    `fields` are some of DIMENSIONS; without them all are compared that the selection does not itself demand. Up to 12 values of a
    field come back. Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    sides = Sides(store, project_id, time_range, selection, against)
    demanded = demanded_fields(selection.query)
    offered = [field for field in DIMENSIONS if field not in demanded]
    compared = [DIMENSIONS[field] for field in (offered if fields is None else fields)]
    amounts = [number for number in NUMBERS if numbers and number.field not in demanded]
    # Quantiles over everything are offered as thresholds, so demanded numbers are counted too and not compared.
    counts = count_values(sides, compared, NUMBERS if numbers else (), min_support)
    histograms = {number.name: counts.histograms(number) for number in NUMBERS} if numbers else {}
    differences = rank(compared, counts)
    shifts = build_shifts(amounts, histograms)
    found: list[Pair] = []
    if pairs and counts.selected and counts.others:
        differences, found = count_together(sides, differences, counts.selected, counts.others)
    return Comparison(
        selected=counts.selected,
        others=counts.others,
        differences=differences,
        shifts=shifts,
        pairs=found,
        tests=sum(counts.tests.values()),
        all_p95=upper_quantiles(histograms),
    )
