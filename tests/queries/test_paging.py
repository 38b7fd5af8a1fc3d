"""Cursors and windows."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracestore.queries.paging import CursorError, Position, decode_cursor, read_cursor, read_newest
from tracestore.timerange import MAX_NS

HOUR_NS = 3600 * 10**9


def test_position_survives_its_text() -> None:
    position = Position(1_790_000_000_000_000_001, "ab" * 16)

    assert decode_cursor(position.encode(), id_digits=32) == position
    assert decode_cursor("", id_digits=32) is None


@given(st.text(max_size=60))
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    with contextlib.suppress(CursorError):
        decode_cursor(text, id_digits=32)


def test_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(CursorError):
        decode_cursor(Position(5, "ab" * 24).encode(), id_digits=32)


@pytest.mark.parametrize(
    "position", [Position(MAX_NS + 1, "ab" * 16), Position(5, "ab" * 16, "-cost", 2**64)], ids=["time", "value"]
)
def test_cursor_beyond_what_the_store_can_compare_is_refused(position: Position) -> None:
    with pytest.raises(CursorError):
        decode_cursor(position.encode(), id_digits=32, sort=position.sort)


@given(
    st.lists(st.integers(0, 10_000), unique=True, max_size=60), st.integers(1, 20), st.integers(0, 10_000),
    st.integers(0, 10_000), st.sampled_from([HOUR_NS // 60, HOUR_NS, 200 * HOUR_NS]), st.booleans(),
)  # fmt: skip
@example(
    starts=[99, 97, 96], wanted=2, first=0, last=100, unit_ns=HOUR_NS, at_once=False
)  # the second window has more than is missing
def test_newest_rows_are_found_once_in_windows_that_follow_each_other(
    starts: list[int], wanted: int, first: int, last: int, unit_ns: int, at_once: bool
) -> None:
    held = sorted((start * unit_ns for start in starts), reverse=True)
    pieces: list[tuple[int, int]] = []

    def read(start_ns: int, end_ns: int, most: int) -> list[int]:
        pieces.append((start_ns, end_ns))
        return [at for at in held if start_ns <= at < end_ns][:most]

    found = read_newest(first * unit_ns, last * unit_ns, wanted, read, at_once=at_once)

    assert found == [at for at in held if first * unit_ns <= at < last * unit_ns][:wanted]
    assert all(newer[0] == older[1] for newer, older in itertools.pairwise(pieces))
    assert not pieces or pieces[0][1] == last * unit_ns
    assert all(start_ns < end_ns for start_ns, end_ns in pieces)
    assert len(found) == wanted or not pieces or pieces[-1][0] == first * unit_ns


def _lengths(range_h: int, wanted: int, found: int, *, at_once: bool = False) -> list[int]:
    """Return the hours of each window when each holds `found` rows."""
    hours: list[int] = []

    def read(start_ns: int, end_ns: int, _: int) -> list[int]:
        hours.append((end_ns - start_ns) // HOUR_NS)
        return [0] * found

    read_newest(0, range_h * HOUR_NS, wanted, read, at_once=at_once)
    return hours


def test_windows_grow_fourfold_over_nothing_and_by_what_is_missing_over_something() -> None:
    assert _lengths(240, 51, 0) == [2, 8, 32, 128, 70]
    assert _lengths(240, 51, 50) == [2, 2]
    assert _lengths(240, 51, 1) == [2, 32, 206]
    assert _lengths(2000, 51, 17) == [2, 8, 10]


def test_all_the_rest_is_one_window_when_a_long_range_is_as_cheap_as_a_short_one() -> None:
    assert _lengths(240, 51, 0, at_once=True) == [2, 238]
    assert _lengths(240, 51, 1, at_once=True) == [2, 32, 206]
    assert _lengths(1, 51, 0, at_once=True) == [1]


@pytest.mark.parametrize(
    ("given", "cursor"),
    [
        ("", ""), ("MTc5", "MTc5"), ("http://h/api/v1/traces?q=a%3Ab&cursor=MTc5&start=1", "MTc5"),
        ("https://h/api/v1/traces?q=x", "https://h/api/v1/traces?q=x"), ("http://[::1", "http://[::1"),
    ],
)  # fmt: skip
def test_cursor_is_taken_out_of_a_whole_next_address(given: str, cursor: str) -> None:
    assert read_cursor(given) == cursor
