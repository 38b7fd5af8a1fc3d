"""Spans of some traces as columns, and what is computed from columns: ancestors, groups and sums by trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Buckets = npt.NDArray[np.uint16]


class Labels:
    """A text column as codes into its distinct values; code of the empty text is `empty`, -1 when it does not occur."""

    def __init__(self, codes: Ints, distinct: pyarrow.Array) -> None:
        import pyarrow

        self.codes = codes
        self._distinct = distinct
        self.empty: int = distinct.index(pyarrow.scalar(b"", type=distinct.type)).as_py()

    @cached_property
    def texts(self) -> pyarrow.Array:
        """The distinct values as text; what is not UTF-8 is replaced."""
        import pyarrow

        try:
            return self._distinct.cast(pyarrow.string())
        except pyarrow.ArrowInvalid:
            return pyarrow.array([value.decode(errors="replace") for value in self._distinct.to_pylist()], type=pyarrow.string())

    @cached_property
    def values(self) -> list[str]:
        return list(self.texts.to_pylist())

    @cached_property
    def present(self) -> Mask:
        return np.asarray(self.codes != self.empty, dtype=np.bool_)

    def where(self, *wanted: str) -> Mask:
        return self.matching(lambda value: value in wanted)

    def matching(self, test: Callable[[str], Any]) -> Mask:
        passes = np.fromiter((bool(test(value)) for value in self.values), dtype=np.bool_, count=len(self.values))
        return np.asarray(passes[self.codes], dtype=np.bool_)

    def take(self, positions: Ints) -> pyarrow.Array:
        """Return the text at each position, the empty text for -1."""
        import pyarrow

        codes = pyarrow.array(self.codes[positions], mask=positions < 0) if len(self.codes) else pyarrow.nulls(0, pyarrow.int64())
        return self.texts.take(codes).fill_null("")


class Names:
    """Numbers for texts, the same for the same text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number_of(self, value: str) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def number(self, values: Iterable[str]) -> Ints:
        return np.array([self.number_of(value) for value in values], dtype=np.int64)

    @property
    def texts(self) -> list[str]:
        return list(self._numbers)

    def take(self, numbers: Ints) -> pyarrow.Array:
        import pyarrow

        return pyarrow.array(self.texts, type=pyarrow.string()).take(pyarrow.array(numbers))


class SpanColumns:
    """The spans of some traces as columns, spans of one trace together and in start order."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table.combine_chunks()
        self._labels: dict[str, Labels] = {}
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self.count = table.num_rows
        self.trace_ids = self._fixed("trace_id", 16)
        starts = np.ones(self.count, dtype=bool)
        starts[1:] = self.trace_ids[1:] != self.trace_ids[:-1]
        self.first = np.flatnonzero(starts)  # position of each trace's first span
        self.trace = np.cumsum(starts) - 1  # trace number of each span
        self.trace_count = len(self.first)
        self.parent, self.is_orphan = self._link_parents()

    def _fixed(self, name: str, width: int) -> npt.NDArray[np.void]:
        column = self._table.column(name)
        chunk = column.chunk(0) if column.num_chunks else column.combine_chunks()
        raw = np.frombuffer(chunk.buffers()[1], dtype=f"V{width}") if self.count else np.empty(0, dtype=f"V{width}")
        return raw[chunk.offset : chunk.offset + self.count]

    def numbers(self, name: str) -> Ints:
        return self._array(name, np.int64)

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """Return a nullable number column, NaN for null."""
        return self._array(name, np.float64)

    def mask(self, name: str) -> Mask:
        return self._array(name, np.bool_)

    def lists(self, name: str) -> tuple[npt.NDArray[np.uint64], Ints]:
        """Return the entries of a column of lists, one after the other, and the trace number of each."""
        column = self._table.column(name)
        chunk = column.chunk(0) if column.num_chunks else column.combine_chunks()
        entries = np.asarray(chunk.flatten().to_numpy(zero_copy_only=False), dtype=np.uint64)
        return entries, np.repeat(self.trace, chunk.value_lengths().to_numpy(zero_copy_only=False))

    def _array(self, name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = np.asarray(self._table.column(name).to_numpy(zero_copy_only=False), dtype=dtype)
        return self._arrays[name]

    def labels(self, name: str) -> Labels:
        if name not in self._labels:
            self._labels[name] = self._read_labels(name)
        return self._labels[name]

    def _read_labels(self, name: str) -> Labels:
        import pyarrow

        column = self._table.column(name)
        if not pyarrow.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pyarrow.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pyarrow.array([], type=column.type)
        return Labels(column.indices.to_numpy(zero_copy_only=False).astype(np.int64), column.dictionary)

    def first_trace_ids(self) -> pyarrow.Array:
        """Return each trace's id."""
        import pyarrow

        ids = self.trace_ids[self.first]
        return pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(16), len(ids), [None, pyarrow.py_buffer(ids.tobytes())])

    def raw_ids(self, name: str) -> npt.NDArray[np.uint64]:
        """Return a column of 8-byte ids as the numbers that these bytes are here."""
        return self._fixed(name, 8).view("u8")

    def traces_with(self, which: Mask | Ints) -> Mask:
        """Return for each trace whether it has any of these spans, a mask or positions."""
        result = np.zeros(self.trace_count, dtype=bool)
        result[self.trace[which]] = True
        return result

    def span_ids_at(self, positions: Ints) -> pyarrow.Array:
        """Return the id of the span at each position, zeros for -1."""
        import pyarrow

        ids = self.raw_ids("span_id")[positions] if self.count else np.empty(0, dtype="u8")
        return pyarrow.FixedSizeBinaryArray.from_buffers(
            pyarrow.binary(8), len(positions), [None, pyarrow.py_buffer(np.where(positions >= 0, ids, 0).astype("u8"))]
        )

    def _link_parents(self) -> tuple[Ints, Mask]:
        """Return each span's parent as a position (-1: none here) and which spans name a parent that is not here."""
        ids, parents = self.raw_ids("span_id"), self.raw_ids("parent_span_id")
        names_parent = parents != 0
        # Ranks instead of the 64-bit ids leave room for the trace number in one sortable key.
        values, ranks = np.unique(np.concatenate([ids, parents]), return_inverse=True)
        keys = self.trace * len(values) + ranks[: self.count]
        wanted = self.trace * len(values) + ranks[self.count :]
        order = np.argsort(keys, kind="stable")
        places = np.minimum(np.searchsorted(keys[order], wanted), max(self.count - 1, 0))
        found = names_parent & (keys[order][places] == wanted) if self.count else names_parent
        return np.where(found, order[places] if self.count else -1, -1), names_parent & ~found


def mark_ancestors(parent: Ints, seeds: Mask, barrier: Mask | None = None) -> Mask:
    """Return which spans have a seed below them; a barrier is marked itself but passes nothing on to its own ancestors.

    Each span is visited once, so a cycle of parents ends too.
    """
    marked = np.zeros(len(parent), dtype=bool)
    frontier = np.unique(parent[seeds])
    frontier = frontier[frontier >= 0]
    while frontier.size:
        fresh = frontier[~marked[frontier]]
        marked[fresh] = True
        passing = fresh if barrier is None else fresh[~barrier[fresh]]
        frontier = np.unique(parent[passing])
        frontier = frontier[frontier >= 0]
    return marked


# An ancestor farther up is not looked for; where parents form a loop, this ends it.
_MOST_STEPS = 64


def nearest_ancestor(parent: Ints, start: Ints, target: Mask) -> Ints:
    """Return for each span of `start` the position of its nearest ancestor in `target`, -1 when there is none within reach."""
    current = parent[start]
    for _ in range(_MOST_STEPS):
        climbing = (current >= 0) & ~target[np.maximum(current, 0)]
        if not climbing.any():
            break
        current[climbing] = parent[current[climbing]]
    return np.where((current >= 0) & target[np.maximum(current, 0)], current, -1)


@dataclass(frozen=True)
class Groups:
    """Members (positions of spans) with equal codes in one trace, groups in the order of their first member.

    `first` are the positions of the first members, `of` is the group of each member, and the groups of trace number i are
    offsets[i] to offsets[i + 1].
    """

    first: Ints
    of: Ints
    offsets: Ints

    def lists(self, values: pyarrow.Array | npt.NDArray[Any]) -> pyarrow.Array:
        """Return per trace the list of its groups' values; `values` has one for each group."""
        import pyarrow

        return pyarrow.ListArray.from_arrays(self.offsets.astype(np.int32), values)

    def lists_of(self, values: npt.NDArray[Any], which: Mask) -> pyarrow.Array:
        """Return per trace, for each group, the list of its members' values; only members in the mask count."""
        import pyarrow

        members = np.flatnonzero(which)
        order = members[np.argsort(self.of[members], kind="stable")]
        sizes = np.bincount(self.of[order], minlength=len(self.first))
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        return self.lists(pyarrow.ListArray.from_arrays(ends, pyarrow.array(values[order])))

    def sums(self, values: Ints) -> Ints:
        """Return the sum of each group; `values` has one for each member."""
        result = np.zeros(len(self.first), dtype=np.int64)
        np.add.at(result, self.of, values)
        return result


def group_by_trace(spans: SpanColumns, members: Ints, codes: Ints) -> Groups:
    """Group these spans by trace and code. `members` ascend, `codes` has a number from 0 for each of them."""
    keys = spans.trace[members] * (int(codes.max(initial=0)) + 1) + codes
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    first = members[first[order]]
    sizes = np.bincount(spans.trace[first], minlength=spans.trace_count)
    return Groups(first, rank[group], np.concatenate([[0], np.cumsum(sizes)]))


def distinct_by_trace(spans: SpanColumns, labels: Labels, leading: Ints | None = None) -> pyarrow.Array:
    """Return per trace the distinct non-empty values, in the order of their first appearance.

    The value at the trace's position in `leading` comes first, where it has one (-1 has none).
    """
    # A value that the span before has as well has appeared already: most columns are the same all over a trace.
    fresh = labels.present.copy()
    fresh[1:] &= (labels.codes[1:] != labels.codes[:-1]) | (spans.trace[1:] != spans.trace[:-1])
    members = np.flatnonzero(fresh)
    groups = group_by_trace(spans, members, labels.codes[members])
    first = groups.first
    if leading is not None:
        trace = spans.trace[first]
        leads = (leading[trace] >= 0) & (labels.codes[first] == labels.codes[leading[trace]])
        first = first[np.lexsort((first, ~leads, trace))]
    return groups.lists(labels.take(first))


def first_by_trace(spans: SpanColumns, labels: Labels, root: Ints) -> pyarrow.Array:
    """Return per trace the root's value, else the first non-empty one."""
    members = np.flatnonzero(labels.present)[::-1]
    chosen = np.full(spans.trace_count, -1, dtype=np.int64)
    chosen[spans.trace[members]] = members
    return labels.take(np.where(labels.present[root], root, chosen))


def sum_by_trace(spans: SpanColumns, values: Ints, mask: Mask) -> Ints:
    """Return per trace the sum over the masked spans."""
    result = np.zeros(spans.trace_count, dtype=np.int64)
    np.add.at(result, spans.trace[mask], values[mask])
    return result


def ids_of(spans: SpanColumns, at: Ints) -> list[bytes]:
    """Return the ids of trace and span in one, raw: the arrays hold sixteen and eight bytes for each."""
    trace_ids, span_ids = spans.trace_ids[at].tobytes(), spans.raw_ids("span_id")[at].tobytes()
    return [trace_ids[16 * n : 16 * n + 16] + span_ids[8 * n : 8 * n + 8] for n in range(len(at))]
