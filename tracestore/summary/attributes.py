"""The attributes of a trace's spans as "why" counts them: codes of a key and a value (migration 0062)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tracestore.summary.columns import Ints, Mask, SpanColumns

if TYPE_CHECKING:
    import pyarrow

# The lower bits of a code are a hash of the value, the upper ones of the key.
VALUE_BITS = 36
# A key with more values in one trace is an id or a time, which sets no trace apart; so many codes of one trace are kept.
_VALUES_OF_KEY, _CODES = 32, 4096


def codes_by_trace(spans: SpanColumns) -> pyarrow.Array:
    """Return per trace 0, by which "why" sees that they are noted, and the distinct codes of its spans, ascending."""
    import pyarrow

    codes, trace = spans.lists("attribute_codes")
    codes = np.concatenate([np.zeros(spans.trace_count, dtype=np.uint64), codes])
    trace = np.concatenate([np.arange(spans.trace_count), trace])
    order = np.lexsort((codes, trace))
    codes, trace = codes[order], trace[order]
    is_new = _begins(codes, trace)
    codes, trace = codes[is_new], trace[is_new]
    kept = (_rank(_begins(codes >> np.uint64(VALUE_BITS), trace)) < _VALUES_OF_KEY) & (_rank(_begins(trace)) < _CODES)
    codes, trace = codes[kept], trace[kept]
    ends = np.cumsum(np.bincount(trace, minlength=spans.trace_count))
    return pyarrow.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), codes)


def _begins(*columns: npt.NDArray[Any]) -> Mask:
    """Return where any of these columns has another value than before."""
    result = np.ones(len(columns[0]), dtype=bool)
    result[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return result


def _rank(begins: Mask) -> Ints:
    """Return each entry's place in its run, from 0."""
    places = np.arange(len(begins))
    return places - np.maximum.accumulate(np.where(begins, places, 0))
