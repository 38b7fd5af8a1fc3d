"""Cursors and windows."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracestore.queries.paging import CursorError, Position, decode_cursor, read_cursor, windows
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


@given(st.integers(0, MAX_NS), st.integers(0, MAX_NS))
def test_windows_cover_the_range_once_newest_first(start_ns: int, end_ns: int) -> None:
    pieces = list(windows(start_ns, end_ns))

    if start_ns >= end_ns:
        assert pieces == []
        return
    assert pieces[0][1] == end_ns
    assert pieces[-1][0] == start_ns
    assert all(newer[0] == older[1] for newer, older in itertools.pairwise(pieces))
    assert len(pieces) <= 12


def test_ten_days_take_few_windows() -> None:
    assert len(list(windows(0, 240 * HOUR_NS))) == 5


@pytest.mark.parametrize(
    ("given", "cursor"),
    [
        ("", ""), ("MTc5", "MTc5"), ("http://h/api/v1/traces?q=a%3Ab&cursor=MTc5&start=1", "MTc5"),
        ("https://h/api/v1/traces?q=x", "https://h/api/v1/traces?q=x"), ("http://[::1", "http://[::1"),
    ],
)  # fmt: skip
def test_cursor_is_taken_out_of_a_whole_next_address(given: str, cursor: str) -> None:
    assert read_cursor(given) == cursor
