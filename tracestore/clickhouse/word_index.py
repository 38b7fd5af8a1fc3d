"""The job that builds the index of words of `spans` (migration 0055).

Neither inserts nor merges build it: a merge loses it, and building it takes longer than the merge and hundreds of MB beside
it. So it is built for parts that merges have left alone for a while, by a mutation, which has the priority and the places of
merges: it gives way to requests, and is broken off when the drain holds merges. Parts without it are read.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from tracestore.clickhouse.client import Store

log = logging.getLogger(__name__)

# A part that was not merged for so long tends to stay for longer: one that is merged was indexed for nothing.
_SETTLED_S = 20 * 60
# What is smaller is read in a moment, also a month of such days.
_LEAST_SPANS = 10_000
# After it has taken so long it rests for nine times that: a tenth of a core over the hours, less while there is nothing to build.
_REST = 9
# The embedded engine has two places for merges and mutations. Two large parts take both, and parts of inserts add up meanwhile in
# the partition of the day.
_MOST_PARTS = 300
_LONGEST_S = 12 * 3600
_GIVEN_UP_S = 3600

_STATE = """
SELECT mutation_id, is_done, now() - create_time AS age_s,
    finish_time > create_time AND finish_time + {rest:UInt32} * (finish_time - create_time) > now() AS is_resting
FROM system.mutations
WHERE database = currentDatabase() AND table = 'spans' AND command LIKE '%MATERIALIZE INDEX words%'
ORDER BY is_done, finish_time DESC LIMIT 1
"""
_PARTS = """
SELECT name, partition_id, rows, modification_time <= now() - {settled_s:UInt32} AS is_settled
FROM system.parts WHERE active AND database = currentDatabase() AND table = 'spans' ORDER BY rows DESC
"""
_HAS_INDEX = """
SELECT 1 FROM mergeTreeTextIndex(currentDatabase(), 'spans', 'words') WHERE part_name = {part:String} LIMIT 1
"""
_BUILD = "ALTER TABLE spans MATERIALIZE INDEX words IN PARTITION ID {partition:String} SETTINGS mutations_sync = 0"
_GIVE_UP = "KILL MUTATION WHERE database = currentDatabase() AND table = 'spans' AND mutation_id = {mutation:String}"


def has_words(store: Store, part: str) -> bool:
    """Tell whether a part of `spans` has the index."""
    return bool(store.query_rows(_HAS_INDEX, part=part))


class WordIndex:
    """Begins, watches and gives up the building of the index; one call of `tend` is one look."""

    def __init__(
        self, *, settled_s: int = _SETTLED_S, least_spans: int = _LEAST_SPANS, rest: int = _REST, most_parts: int = _MOST_PARTS
    ) -> None:
        """Of parts with so many spans that are so old; `rest` is a multiple of the time that the last one took."""
        self._settled_s, self._least_spans, self._rest, self._most_parts = settled_s, least_spans, rest, most_parts
        self._built: set[str] = set()  # names of active parts that have it; a part never changes under its name
        self._rests_until_s = 0.0

    def tend(self, store: Store) -> str:
        """Begin to build the index for the partition of the largest part that needs it, unless that goes on already or rests.

        Returns the id of that partition, or "". Raises StoreError.
        """
        parts = store.query_rows(_PARTS, settled_s=self._settled_s)
        too_many = max(Counter(partition for _, partition, *_ in parts).values(), default=0) > self._most_parts
        for mutation, is_done, age_s, is_resting in store.query_rows(_STATE, rest=self._rest):
            if not is_done and (too_many or age_s > _LONGEST_S):
                self._give_up(store, mutation)
            if not is_done or is_resting:
                return ""
        self._built &= {name for name, *_ in parts}
        if time.monotonic() < self._rests_until_s or too_many:
            return ""
        for name, partition, spans, is_settled in parts:
            if is_settled and spans >= self._least_spans and not self._has_index(store, name):
                store.command(_BUILD, partition=partition)
                return str(partition)
        return ""

    def _has_index(self, store: Store, part: str) -> bool:
        if part not in self._built and has_words(store, part):
            self._built.add(part)
        return part in self._built

    def _give_up(self, store: Store, mutation: str) -> None:
        log.warning("clickhouse: the index of words is left for an hour: merges wait for it")
        store.command(_GIVE_UP, mutation=mutation)
        # What runs would go on to its end all the same.
        store.hold_merges(["spans"], True)
        store.hold_merges(["spans"], False)
        self._rests_until_s = time.monotonic() + _GIVEN_UP_S
