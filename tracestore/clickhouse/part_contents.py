"""What the parts of `spans` hold as a whole: which of them a search need not read.

A word's piece is looked for in the dictionary of each part, which takes as long as that has words, most of them ids; an attribute
in the maps of each span. The n-grams of all words of a part and the keys of its attributes are few, and tell most parts that
cannot have what is looked for. They are noted for parts that have the index of words (word_index.py); others are read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.clickhouse.word_index import has_words

log = logging.getLogger(__name__)

ATTRIBUTE_MAPS = ("attributes", "resource_attributes", "scope_attributes")
_NGRAM_CHARACTERS = 4
# What is smaller is read in a moment. More keys than these are ids, of which any may come.
_LEAST_SPANS, _MOST_KEYS = 10_000, 10_000
_MOST_GONE = 100

_OF_SPANS = "active AND database = currentDatabase() AND table = 'spans'"
# Only mutations build the index of words: what none has changed does not have it.
_PARTS = f"""
SELECT name, rows, hash_of_all_files, data_version != min_block_number AS is_mutated
FROM system.parts WHERE {_OF_SPANS} ORDER BY rows DESC
"""
_NOTED = "SELECT part, files FROM part_contents"
_FORGET = "DELETE FROM part_contents WHERE part IN {parts:Array(String)}"
_KEYS = ", ".join(
    f"groupUniqArrayArray({_MOST_KEYS + 1})(arrayMap(key -> toString(key), mapKeys({column})))" for column in ATTRIBUTE_MAPS
)
# Bytes that are no UTF-8, such as lengths before the items of a list, would take the characters after them along. HAVING: a part
# that was merged meanwhile shows nothing, and may come back when a disk lost what it was merged into.
_NOTE = f"""
INSERT INTO part_contents
WITH (SELECT (count(), {_KEYS}) FROM spans WHERE _part = {{part:String}}) AS held
SELECT {{part:String}}, {{files:String}}, groupBitmapState(reinterpretAsUInt32(ngram)),
    greatest(length(held.2), length(held.3), length(held.4)) <= {_MOST_KEYS}, held.2, held.3, held.4
FROM
(
    SELECT arrayJoin(ngrams(toValidUTF8(token), {_NGRAM_CHARACTERS})) AS ngram
    FROM mergeTreeTextIndex(currentDatabase(), 'spans', 'words') WHERE part_name = {{part:String}}
)
WHERE length(ngram) = {_NGRAM_CHARACTERS}
HAVING groupBitmap(reinterpretAsUInt32(ngram)) > 0 AND held.1 = {{spans:UInt64}}
SETTINGS max_threads = 1
"""


def parts_where(condition: str) -> str:
    """Return a subquery: the names of the parts of `spans` whose row of part_contents meets a condition."""
    return (
        f"(SELECT name FROM system.parts WHERE {_OF_SPANS} AND (name, hash_of_all_files) IN"
        f" (SELECT part, files FROM part_contents WHERE {condition}))"
    )


def lacks_ngrams(ngrams: str) -> str:
    """Return the condition for parts_where that some of these are in no word; an SQL expression of what find_ngrams returns."""
    return f"NOT bitmapHasAll(ngrams, bitmapBuild({ngrams}))"


def lacks_keys(keys: str, columns: Sequence[str] = ATTRIBUTE_MAPS) -> str:
    """Return the condition for parts_where that these attribute maps have none of some keys; an SQL expression, Array(String)."""
    return f"knows_keys AND NOT ({' OR '.join(f'hasAny({column}, {keys})' for column in columns)})"


def find_ngrams(run: str) -> list[int]:
    """Return the n-grams of ASCII letters and digits as part_contents has them: four bytes in lower case, the first one lowest.

    Fewer than four characters have none.
    """
    run_bytes = run.lower().encode("ascii")
    starts = range(len(run_bytes) - _NGRAM_CHARACTERS + 1)
    return sorted({int.from_bytes(run_bytes[start : start + _NGRAM_CHARACTERS], "little") for start in starts})


class PartContents:
    """Notes what parts hold; one call of `tend` is one look."""

    def __init__(self, *, least_spans: int = _LEAST_SPANS) -> None:
        """Of parts with so many spans."""
        self._least_spans = least_spans
        self._too_large: set[str] = set()

    def tend(self, store: Store) -> str:
        """Note what the largest part holds that has the index of words and is not noted yet; forget parts that are gone.

        Takes three microseconds of processor time a span. Returns the name of the part, or "". Raises StoreError.
        """
        if store.holds_merges:
            return ""
        parts = store.query_rows(_PARTS)
        noted = set(store.query_rows(_NOTED))
        gone = {part for part, _ in noted} - {name for name, *_ in parts}
        if len(gone) > _MOST_GONE:
            store.command(_FORGET, parts=sorted(gone))
        for name, spans, files, is_mutated in parts:
            is_known = (name, files) in noted or name in self._too_large
            if is_mutated and spans >= self._least_spans and not is_known and has_words(store, name):
                try:
                    store.compute(_NOTE, part=name, files=files, spans=spans)
                except QueryTooExpensive:
                    self._too_large.add(name)
                    log.warning("clickhouse: part %s of spans has too many words to be noted: searches read it", name)
                return str(name)
        return ""
