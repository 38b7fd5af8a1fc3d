"""Cursors of lists, and the windows in which a list that is ordered by start is read, newest first."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from tracestore.timerange import MAX_NS, NS_PER_S

Row = TypeVar("Row")
_FIRST_WINDOW_NS = 2 * 3600 * NS_PER_S
_GROWTH, _MOST_GROWTH, _MARGIN = 4, 16, 2
_POSITION = re.compile(r"([0-9]{1,19}) ([0-9a-f]{0,48})(?: (-?[a-z_]{1,16}) ([0-9]{1,20}))?")
_MAX_VALUE = 2**64 - 1


class CursorError(ValueError):
    """A cursor that this list did not hand out."""


@dataclass(frozen=True)
class Position:
    """The last item of a page: what follows starts earlier, or at the same time with a smaller id (lowercase hex).

    In a list with another order, named by `sort`, `value` is compared before these two.
    """

    start_ns: int
    item_id: str
    sort: str = ""
    value: int = 0

    def encode(self) -> str:
        """Return opaque text that fits a URL."""
        text = f"{self.start_ns} {self.item_id}" + (f" {self.sort} {self.value}" if self.sort else "")
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str) -> str:
    """Return the cursor in a request's `cursor`: scripts also send the whole address that `next` gave them."""
    if not text.startswith(("http://", "https://")):
        return text
    try:
        return parse_qs(urlsplit(text).query).get("cursor", [text])[0]
    except ValueError:  # not an address after all
        return text


def decode_cursor(cursor: str, *, id_digits: int, sort: str = "") -> Position | None:
    """Return the position that a cursor names, None for the empty cursor. Raises CursorError, also for one of another order."""
    if not cursor:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        raise CursorError("This cursor is not one that this list gave out.") from None
    match = _POSITION.fullmatch(text)
    if not match or len(match[2]) != id_digits or int(match[1]) > MAX_NS:
        raise CursorError("This cursor is not one that this list gave out.")
    value = int(match[4] or 0)
    if (match[3] or "") != sort or value > _MAX_VALUE:
        raise CursorError("This cursor belongs to a list in another order.")
    return Position(int(match[1]), match[2], sort, value)


def read_newest(
    start_ns: int, end_ns: int, wanted: int, read: Callable[[int, int, int], list[Row]], *, at_once: bool = False
) -> list[Row]:
    """Return `wanted` rows of [start_ns, end_ns), newest first, or all. `read` is given start and end of a window and how many.

    The first page of a long range is then found after a short read, and a search without any hit reads all of it once. A window
    is as long as what is missing should take, going by what was found so far, and four times the last one while there is nothing:
    all that is left with `at_once`, where an index makes a long range as cheap as a short one.
    """
    rows: list[Row] = []
    begun_ns, length_ns = end_ns, _FIRST_WINDOW_NS
    while end_ns > start_ns and len(rows) < wanted:
        window_start_ns = max(start_ns, end_ns - length_ns)
        rows += read(window_start_ns, end_ns, wanted - len(rows))
        end_ns = window_start_ns
        expected_ns = _MARGIN * (begun_ns - end_ns) * (wanted - len(rows)) // len(rows) if rows else _GROWTH * length_ns
        length_ns = min(max(expected_ns, _FIRST_WINDOW_NS), _MOST_GROWTH * length_ns)
        if at_once and not rows:
            length_ns = end_ns - start_ns
    return rows


def threads_for(starts_ns: Sequence[int], spread_ns: int) -> str:
    """Return the settings for reading the rows of a page: up to `spread_ns` apart a second thread costs more than it brings."""
    if max(starts_ns) - min(starts_ns) <= spread_ns:
        return "max_threads = 1"
    # Two granules are enough for a thread; as a rule they are twenty.
    return "max_threads = 2, merge_tree_min_rows_for_concurrent_read = 16384, merge_tree_min_bytes_for_concurrent_read = 1"
