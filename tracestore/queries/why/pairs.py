"""The best values together: which mean the same traces, and which pairs say more than their members."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tracestore.queries.conditions import Params
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.queries.why.fields import Shape
from tracestore.queries.why.sides import MIN_SUPPORT, SIDES, Sides
from tracestore.queries.why.values import Difference
from tracestore.statistics.samples import CONFIDENCE, Interval, combine, share_interval

# How many of the best values are counted together.
_PAIRED = 10
# Two values whose traces are the same but for one in twenty are one difference with two names.
_SAME = 0.95
COUNT_TOGETHER = f"""
SELECT members, countIf(in_selection) AS selected, countIf(NOT in_selection) AS others
FROM (SELECT %(selection)s AS in_selection, %(members)s AS members {SIDES})
GROUP BY members
{FINAL_SETTINGS}
"""


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


def count_together(
    sides: Sides, differences: list[Difference], selected: int, others: int
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
