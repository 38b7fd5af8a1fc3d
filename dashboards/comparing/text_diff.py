"""What differs between two texts, line by line and within lines word by word. Pure, and bounded whatever the texts are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from dashboards.comparing.alignment import align_sequences

# What is compared of each text; a page of both still loads quickly.
MAX_CHARS = 40_000
MAX_LINES = 2_000
# Cells of the tables that compare words, all hunks together: 60 ms.
_MAX_CELLS = 4_000_000
# Equal lines that are shown on each side of a difference.
_CONTEXT = 3
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Piece:
    """Part of a line; `is_changed` when the other side does not have it."""

    text: str
    is_changed: bool


@dataclass(frozen=True)
class Hunk:
    """Lines that belong together: `same` has them in `a` alone, `skipped` is a number of equal lines that are not shown."""

    kind: str  # same, changed, removed (only in A), added (only in B), skipped
    a: list[Piece]
    b: list[Piece]
    skipped: int = 0


@dataclass(frozen=True)
class TextDiff:
    """`hidden_chars` of the longer text were not compared."""

    hunks: list[Hunk]
    is_same: bool
    hidden_chars: int = 0


def diff_texts(a: str, b: str) -> TextDiff:
    """Compare the first MAX_CHARS characters and MAX_LINES lines of two texts."""
    if a == b:
        return TextDiff([], True)
    cut_a, cut_b = _cut(a), _cut(b)
    hidden = max(len(a) - len(cut_a), len(b) - len(cut_b))
    lines_a, lines_b = cut_a.splitlines(keepends=True), cut_b.splitlines(keepends=True)
    cells = [_MAX_CELLS]
    hunks = [hunk for run in _runs(lines_a, lines_b) for hunk in _build(*run, cells)]
    return TextDiff(list(_skip(hunks)), False, hidden)


def _cut(text: str) -> str:
    return "".join(text[:MAX_CHARS].splitlines(keepends=True)[:MAX_LINES])


def _align(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Pair equal texts so that as many characters as possible stand in pairs; blanks hardly count."""
    numbers: dict[str, int] = {}
    codes_a = [numbers.setdefault(text, len(numbers)) for text in a]
    codes_b = np.array([numbers.setdefault(text, len(numbers)) for text in b], dtype=np.int32)
    weights = [1 + 2 * len(text.strip()) for text in a]
    return align_sequences(len(a), len(b), lambda i: (codes_b == codes_a[i]) * weights[i])


def _runs(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[bool, list[str], list[str]]]:
    """Yield stretches of both sides in turn: (True, equal, equal), (False, only in a, only in b)."""
    first = 0
    while first < min(len(a), len(b)) and a[first] == b[first]:
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and a[-1 - last] == b[-1 - last]:
        last += 1
    middle = _align(a[first : len(a) - last], b[first : len(b) - last])
    pairs = [
        *((at, at) for at in range(first)),
        *((i + first, j + first) for i, j in middle),
        *((len(a) - at, len(b) - at) for at in range(last, 0, -1)),
    ]
    next_a = next_b = 0
    equal: list[str] = []
    for i, j in [*pairs, (len(a), len(b))]:
        if i > next_a or j > next_b:
            if equal:
                yield True, equal, equal
            equal = []
            yield False, list(a[next_a:i]), list(b[next_b:j])
        if i < len(a):
            equal.append(a[i])
        next_a, next_b = i + 1, j + 1
    if equal:
        yield True, equal, equal


def _build(is_equal: bool, a: list[str], b: list[str], cells: list[int]) -> list[Hunk]:
    if is_equal:
        return [Hunk("same", [Piece(line, False)], []) for line in a]
    old, new = "".join(a), "".join(b)
    if not old or not new:
        return [Hunk("added" if new else "removed", [Piece(old, True)] if old else [], [Piece(new, True)] if new else [])]
    return [Hunk("changed", *_compare_words(old, new, cells))]


def _compare_words(a: str, b: str, cells: list[int]) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces. `cells` holds what may still be spent; beyond it a text counts as changed throughout."""
    words_a, words_b = _TOKEN.findall(a), _TOKEN.findall(b)
    cells[0] -= len(words_a) * len(words_b)
    if cells[0] < 0:
        return [Piece(a, True)], [Piece(b, True)]
    runs = _drop_chance(list(_runs(words_a, words_b)))
    pieces_a = [Piece("".join(old), not is_equal) for is_equal, old, _ in runs if old]
    pieces_b = [Piece("".join(new), not is_equal) for is_equal, _, new in runs if new]
    return pieces_a, pieces_b


def _drop_chance(runs: list[tuple[bool, list[str], list[str]]]) -> list[tuple[bool, list[str], list[str]]]:
    """Merge what two changes share by chance, a blank, a dash or a short word between longer changes, into one change."""

    def is_chance(at: int) -> bool:
        if not 0 < at < len(runs) - 1 or not runs[at][0]:
            return False
        shared = sum(map(str.isalnum, "".join(runs[at][1])))
        return all(shared <= max(len("".join(side)) for side in runs[beside][1:]) / 3 for beside in (at - 1, at + 1))

    kept = [(runs[at][0] and not is_chance(at), *runs[at][1:]) for at in range(len(runs))]
    return [
        (is_equal, [word for _, old, _ in group for word in old], [word for _, _, new in group for word in new])
        for is_equal, members in groupby(kept, key=lambda run: run[0])
        for group in [list(members)]
    ]


def _skip(hunks: list[Hunk]) -> Iterator[Hunk]:
    """Leave out equal lines that are far from any difference."""
    for kind, members in groupby(list(enumerate(hunks)), key=lambda item: item[1].kind == "same"):
        group = list(members)
        if not kind:
            yield from (hunk for _, hunk in group)
            continue
        before = _CONTEXT if group[0][0] > 0 else 0
        after = _CONTEXT if group[-1][0] < len(hunks) - 1 else 0
        hidden = len(group) - before - after
        if hidden < 2:
            yield from (hunk for _, hunk in group)
            continue
        yield from (hunk for _, hunk in group[:before])
        yield Hunk("skipped", [], [], hidden)
        yield from (hunk for _, hunk in group[len(group) - after :])
