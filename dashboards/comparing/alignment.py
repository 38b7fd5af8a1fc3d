"""Which step of one trace answers to which step of another. Pure; takes two waterfalls.

Children are compared below parents that were paired, sibling list by sibling list, by the pairing with the greatest sum of
scores (Needleman and Wunsch, J. Mol. Biol. 48, 1970, with gaps that cost nothing). Where a list has unpaired steps on both
sides, chains, agents and helpers among them give way to their children: one more layer of wrapping does not hide what is the
same inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dashboards.trace.waterfall import Row, Waterfall
from tracestore.model import SpanSummary
from tracestore.queries.digests import Digest

Ints = npt.NDArray[np.int32]
Digests = Mapping[str, Digest]

# Cells of all score tables together: 5,000 siblings against 5,000 fit, at one byte a cell and half a second in all.
MAX_CELLS = 40_000_000
# Steps of all lists that are compared; each costs some 50 us however short the other list is. A step stands in one list, and
# again wherever wrappers beside it give way: with a chain of agents on the other side once for each of them.
MAX_STEPS = 60_000
_UP, _LEFT, _PAIR = 0, 1, 2
# What makes two steps alike. Two likenesses of the second kind never outweigh one of the first.
_SAME, _SAME_SUBJECT, _SAME_NAME, _BOTH_CALL_MODELS = 20, 14, 12, 8
_SAME_STATUS, _SAME_INPUT, _SAME_OUTPUT, _SAME_CHILDREN = 2, 3, 2, 2
_WRAPPERS = ("chain", "other", "agent")


@dataclass(frozen=True)
class Pair:
    """Positions in the rows of both waterfalls; None on the side that has no such step."""

    a: int | None
    b: int | None


@dataclass(frozen=True)
class Alignment:
    """Every row of both waterfalls once, each side in its own order. `is_partial`: some lists were too long to compare."""

    pairs: list[Pair]
    is_partial: bool = False


def align_sequences(count_a: int, count_b: int, score: Callable[[int], npt.NDArray[np.integer]]) -> list[tuple[int, int]]:
    """Return pairs (i, j), both ascending, with the greatest sum of scores; of several such pairings the earliest pairs.

    `score(i)` has a number for each j; 0 says that the two must not be paired. Takes count_a * count_b bytes.
    """
    best = np.zeros(count_b + 1, dtype=np.int32)
    moves = np.empty((count_a, count_b), dtype=np.uint8)
    for i in range(count_a):
        scores = score(i)
        paired = np.where(scores > 0, best[:-1] + scores, 0)
        # Gaps are free, so what a row reaches from its left is the greatest value so far.
        row = np.maximum.accumulate(np.maximum(best[1:], paired))
        from_left = np.empty_like(row)
        from_left[:1], from_left[1:] = 0, row[:-1]
        moves[i] = np.where(row == best[1:], _UP, np.where(row == from_left, _LEFT, _PAIR))
        best[1:] = row
    pairs = []
    i, j = count_a - 1, count_b - 1
    while i >= 0 and j >= 0:
        move = int(moves[i, j])
        if move == _PAIR:
            pairs.append((i, j))
        i, j = i - (move != _LEFT), j - (move != _UP)
    return pairs[::-1]


def find_subject(span: SpanSummary) -> str:
    """Return what a step was about: its tool, model or agent."""
    subjects = {"tool": span.tool, "llm": span.request_model or span.response_model, "agent": span.agent}
    return subjects.get(span.kind, "")


class _Codes:
    """Numbers for keys, the same for the same key."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}

    def number(self, keys: Sequence[object]) -> Ints:
        return np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], dtype=np.int32)


@dataclass
class _Side:
    rows: Sequence[Row[SpanSummary]]
    said: Digests
    columns: dict[str, Ints] = field(default_factory=dict)
    roots: list[int] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.children = [[] for _ in self.rows]
        for position, row in enumerate(self.rows):
            (self.children[row.parent_row] if row.parent_row >= 0 else self.roots).append(position)

    def unwrap(self, positions: Sequence[int]) -> list[int]:
        """Return the positions with each wrapper replaced by its children."""
        return [below for at in positions for below in (self.children[at] if self._is_wrapper(at) else [at])]

    def _is_wrapper(self, position: int) -> bool:
        span = self.rows[position].span
        return bool(self.children[position]) and (span is None or span.kind in _WRAPPERS)


def align_waterfalls(a: Waterfall[SpanSummary], b: Waterfall[SpanSummary], said_a: Digests, said_b: Digests) -> Alignment:
    """Pair the steps of two traces. What they said, by span id, decides between steps of the same name."""
    sides = _Side(a.rows, said_a), _Side(b.rows, said_b)
    _add_columns(sides)
    pairs, is_partial = _pair_steps(*sides)
    return Alignment(_merge(pairs, len(a.rows), len(b.rows)), is_partial)


def _add_columns(sides: tuple[_Side, _Side]) -> None:
    codes = {name: _Codes() for name in ("same", "subject", "name", "children", "input", "output")}
    for number, side in enumerate(sides):
        spans = [row.span for row in side.rows]
        keys = [(span.kind, span.name, find_subject(span)) if span else ("", "", "") for span in spans]
        side.columns["same"] = codes["same"].number(keys)
        # A step about nothing has a number that no other has.
        about = [(kind, subject) if subject else (number, at) for at, (kind, _, subject) in enumerate(keys)]
        side.columns["subject"] = codes["subject"].number(about)
        side.columns["name"] = codes["name"].number([(kind, name) for kind, name, _ in keys])
        side.columns["model"] = np.array([kind == "llm" for kind, _, _ in keys], dtype=np.int32)
        side.columns["error"] = np.array([span is not None and span.is_error for span in spans], dtype=np.int32)
        same = side.columns["same"].tolist()
        side.columns["children"] = codes["children"].number([tuple(same[child] for child in of) for of in side.children])
        for part in ("input", "output"):
            said = [side.said.get(row.span_id) for row in side.rows]
            texts = [getattr(digest, part) if digest else (number, at) for at, digest in enumerate(said)]
            side.columns[part] = codes[part].number(texts)


def _pair_steps(a: _Side, b: _Side) -> tuple[list[tuple[int, int]], bool]:
    """Return pairs of positions, ascending on both sides, and whether anything was left out for its length."""
    pairs: list[tuple[int, int]] = []
    cells = steps = 0
    is_partial = False
    todo: list[tuple[list[int], list[int]]] = [(a.roots, b.roots)]
    while todo:
        these, those = todo.pop()
        if not these or not those:
            continue
        if these is a.roots and len(these) == len(those) == 1:
            found = [(0, 0)]  # what the traces are, whatever they are called
        elif _are_equal(a, b, these, those):
            found = [(at, at) for at in range(len(these))]
        elif cells + len(these) * len(those) > MAX_CELLS or steps + len(these) + len(those) > MAX_STEPS:
            is_partial, found = True, []
        else:
            cells += len(these) * len(those)
            steps += len(these) + len(those)
            found = align_sequences(len(these), len(those), _scorer(a, b, these, those))
        pairs += [(these[i], those[j]) for i, j in found]
        todo += [(a.children[these[i]], b.children[those[j]]) for i, j in found]
        if is_partial:
            continue
        for gap_a, gap_b in _gaps(found, these, those):
            inner_a, inner_b = a.unwrap(gap_a), b.unwrap(gap_b)
            if inner_a != gap_a or inner_b != gap_b:
                todo.append((inner_a, inner_b))
    return sorted(pairs), is_partial


def _are_equal(a: _Side, b: _Side, these: list[int], those: list[int]) -> bool:
    if len(these) != len(those):
        return False
    return all(np.array_equal(a.columns[name][these], b.columns[name][those]) for name in ("same", "error"))


def _scorer(a: _Side, b: _Side, these: list[int], those: list[int]) -> Callable[[int], npt.NDArray[np.integer]]:
    theirs = {name: column[those] for name, column in b.columns.items()}
    mine = {name: column[these].tolist() for name, column in a.columns.items()}

    def score(i: int) -> npt.NDArray[np.integer]:
        alike = np.maximum(
            (theirs["subject"] == mine["subject"][i]) * _SAME_SUBJECT, (theirs["name"] == mine["name"][i]) * _SAME_NAME
        )
        alike = np.maximum(alike, (theirs["same"] == mine["same"][i]) * _SAME)
        if mine["model"][i]:
            alike = np.maximum(alike, theirs["model"] * _BOTH_CALL_MODELS)
        more = (theirs["error"] == mine["error"][i]) * _SAME_STATUS + (theirs["children"] == mine["children"][i]) * _SAME_CHILDREN
        more += (theirs["input"] == mine["input"][i]) * _SAME_INPUT + (theirs["output"] == mine["output"][i]) * _SAME_OUTPUT
        return np.where(alike > 0, alike + more, 0)

    return score


def _gaps(found: list[tuple[int, int]], these: list[int], those: list[int]) -> list[tuple[list[int], list[int]]]:
    """Return the stretches between pairs in which both sides have steps left."""
    borders = [(-1, -1), *found, (len(these), len(those))]
    between = [(these[first + 1 : last], those[first_b + 1 : last_b]) for (first, first_b), (last, last_b) in pairwise(borders)]
    return [(gap_a, gap_b) for gap_a, gap_b in between if gap_a and gap_b]


def _merge(pairs: list[tuple[int, int]], count_a: int, count_b: int) -> list[Pair]:
    """Return both sides' rows in one list: what only A has before what only B has, each stretch before the next pair."""
    merged: list[Pair] = []
    next_a = next_b = 0
    for a, b in [*pairs, (count_a, count_b)]:
        merged += [Pair(at, None) for at in range(next_a, a)]
        merged += [Pair(None, at) for at in range(next_b, b)]
        if a < count_a:
            merged.append(Pair(a, b))
        next_a, next_b = a + 1, b + 1
    return merged
