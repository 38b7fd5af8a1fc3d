"""What breaks on the content of one trace, which no code foresaw: the others go on, and the log says once which trace it was."""

from __future__ import annotations

import logging

from django.db import Error as RelationalError

from tracestore.clickhouse.errors import StoreError

# What says nothing about a trace: the same work may succeed later, or is refused as a whole.
NOT_OF_A_TRACE = (StoreError, RelationalError, OSError, MemoryError)

_MOST_KEPT = 10_000
_told: set[tuple[str, str]] = set()


def tell_once(log: logging.Logger, what: str, trace: str) -> None:
    """Log the error in hand as one of this trace: with its traceback where it is the first of its kind, else in one line.

    `what` says what could not be done, as the end of "trace ... ": "cannot be summarised". Twice says nothing.
    """
    if (what, trace) in _told:
        return
    is_first = all(known != what for known, _ in _told)
    if len(_told) >= _MOST_KEPT:
        _told.clear()
    _told.add((what, trace))
    log.error("trace %s %s; other traces are not affected", trace, what, exc_info=is_first)
