"""Raw OTLP bytes into ClickHouse: no Python object per span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import BadInsert, QueryTooExpensive, StoreError, StoreUnavailable
from tracestore.clickhouse.views.materialized import logs_to_log_index
from tracestore.clickhouse.views.score_views import SCORE_COLUMNS, logs_to_scores, spans_to_scores
from tracestore.model import Signal
from tracestore.varint import encode_varint

# One request per row: (project id, receive time in ns since the epoch, serialized Export...ServiceRequest).
Record = tuple[int, int, bytes | memoryview]

# (field number << 3 | wire type) of our fields in otlp.proto, as varints.
_PROJECT_ID = b"\xc0\xa9\x07"
_RECEIVED_AT_NS = b"\xc9\xa9\x07"
_WRITER = b"\xd2\xa9\x07"
_BATCH_SEQ = b"\xd8\xa9\x07"
INGEST_KEY_FIELD = 15010
_INGEST_KEY = b"\x92\xaa\x07"
_MAPPING = b"\xa2\xaa\x07"
_SPAN_COUNT = b"\x9d\xaa\x07"  # fixed32 and always last, so that it is read without parsing

# signal -> (landing table, message of otlp.proto)
_TARGETS = {
    Signal.TRACES: ("otlp_traces", "ExportTraceServiceRequest"),
    Signal.LOGS: ("otlp_logs", "ExportLogsServiceRequest"),
}


# The engine keeps a schema that it is given in a file, and what it has read of that. A disk that is full at that moment leaves an
# empty file, by which every insert is refused, after a restart too.
_SCHEMA_LOST = "in the schema file"
# An insert of so much comes from a load, and gives way to it. A smaller one, of 0.15 s, is what somebody waits for.
_GIVES_WAY_BYTES = 4 * 2**20


@cache
def read_schema() -> str:
    """Return otlp.proto, for ClickHouse settings."""
    return (Path(__file__).parent / "otlp.proto").read_text()


def stamp(payload: bytes, *, ingest_key: str, spans: int) -> bytes:
    """Return a serialized Export...ServiceRequest with the name of the key that it came with ("" for none) and its size.

    `spans` is the number of its spans or log records. Ours come last and so count, whatever the sender wrote into fields of the
    same numbers.
    """
    name = ingest_key.encode()
    return b"".join((payload, _INGEST_KEY, encode_varint(len(name)), name, _SPAN_COUNT, spans.to_bytes(4, "little")))


def read_span_count(payload: bytes | memoryview) -> int:
    """Return how many spans or log records `stamp` noted, 0 for a payload without a stamp."""
    return int.from_bytes(payload[-4:], "little") if payload[-7:-4] == _SPAN_COUNT else 0


def encode_batch(
    records: Sequence[Record], *, writer: str, batch_seq: int, mappings: Mapping[int, str] | None = None
) -> Generator[bytes, None, None]:
    """Yield length-delimited messages piece by piece (ClickHouse format Protobuf): each request's bytes with our fields appended.

    Appending is legal because serialized Protobuf messages concatenate to their merge. `mappings` has the rules of projects
    that have some (tracestore/mapping.py); where it is given, "" is appended for others, so that none of the sender's count.
    """
    name = writer.encode()
    common = _WRITER + encode_varint(len(name)) + name + _BATCH_SEQ + encode_varint(batch_seq)
    for project_id, received_at_ns, payload in records:
        suffix = b"".join((_PROJECT_ID, encode_varint(project_id), _RECEIVED_AT_NS, received_at_ns.to_bytes(8, "little"), common))
        if mappings is not None:
            mapping = mappings.get(project_id, "").encode()
            suffix += b"".join((_MAPPING, encode_varint(len(mapping)), mapping))
        yield b"".join((encode_varint(len(payload) + len(suffix)), payload, suffix))


def insert_batch(
    store: Store,
    records: Sequence[Record],
    *,
    writer: str,
    batch_seq: int,
    part: str = "",
    signal: Signal = Signal.TRACES,
    mappings: Mapping[int, str] | None = None,
) -> None:
    """Insert the spans or log records of these requests exactly once however often it is called with the same arguments.

    `writer` names the spool, `batch_seq` counts its batches; `part` tells the pieces of one batch apart when it had to be cut.
    With `mappings` (see encode_batch) spans are read by the rules of their projects.
    Raises BadInsert when ClickHouse refuses these bytes, StoreUnavailable when the same call may pass later.
    """
    table, message = _TARGETS[signal]
    if mappings is not None:
        table = "otlp_mapped_traces"
    settings: dict[str, Any] = {
        "format_schema_source": "string",
        "format_schema": read_schema(),
        "format_schema_message_name": message,
        "insert_deduplication_token": f"{writer}:{batch_seq}:{part}",
        "insert_deduplicate": 1,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        # The view has some 700 expressions: these passes over them cost three times more than running them on a small batch.
        "optimize_and_compare_chain": 0,
        "optimize_or_like_chain": 0,
        "query_plan_enable_optimizations": 0,
        # Looks for copies of a span within the batch, row by row over all columns. Merges do so anyway, and reads count once.
        "optimize_on_insert": 0,
        "exclude_materialize_skip_indexes_on_insert": "words",  # word_index.py builds it
        # Timestamps come from outside: a batch may hold spans of many months, each a partition of its own.
        "max_partitions_per_insert_block": 0,
        "max_memory_usage": 4 * 2**30,
        "max_threads": 1,
        "max_insert_threads": 1,
    }
    body = encode_batch(records, writer=writer, batch_seq=batch_seq, mappings=mappings)
    gives_way = sum(len(payload) for _, _, payload in records) >= _GIVES_WAY_BYTES
    try:
        store.insert_raw(table, body, "Protobuf", settings, gives_way=gives_way)
    except BadInsert as error:
        if _SCHEMA_LOST not in str(error):
            raise
        with suppress(StoreError):
            store.command("SYSTEM DROP FORMAT SCHEMA CACHE")
        raise StoreUnavailable(f"ClickHouse has lost the schema of OTLP, and is to read it anew. {error}"[:500]) from error


_OF_BATCH = "writer = {writer:String} AND batch_seq = {batch_seq:UInt64}"
_SPANS_OF_BATCH, _LOGS_OF_BATCH = f"(SELECT * FROM spans WHERE {_OF_BATCH})", f"(SELECT * FROM logs WHERE {_OF_BATCH})"
_STORED = "SELECT toUnixTimestamp64Nano(received_at) AS at_ns, count() FROM {table} WHERE {of_batch} GROUP BY at_ns"
# What views derive from the rows of a batch, for those rows that are not in it yet.
_DERIVE = {
    Signal.TRACES: (
        f"""
INSERT INTO trace_touches (writer, batch_seq, project_id, trace_id)
SELECT DISTINCT writer, batch_seq, project_id, trace_id FROM spans
WHERE {_OF_BATCH} AND (project_id, trace_id) NOT IN (SELECT project_id, trace_id FROM trace_touches WHERE {_OF_BATCH})
""",
        f"""
INSERT INTO trace_index (project_id, trace_id, min_start_time, max_start_time, received_spans)
SELECT project_id, trace_id, first, last, found
FROM
(
    SELECT project_id, trace_id, min(start_time) AS first, max(start_time) AS last, count() AS found
    FROM spans WHERE {_OF_BATCH} GROUP BY project_id, trace_id
) AS stored
LEFT JOIN
(
    SELECT project_id, trace_id, min(min_start_time) AS known_first, max(max_start_time) AS known_last
    FROM trace_index WHERE (project_id, trace_id) IN (SELECT project_id, trace_id FROM spans WHERE {_OF_BATCH})
    GROUP BY project_id, trace_id
) AS known USING (project_id, trace_id)
WHERE known_first > first OR known_last < last
""",
        # A row that is there already is the same one: merges and readers keep one of them.
        f"INSERT INTO scores ({SCORE_COLUMNS}) SELECT {SCORE_COLUMNS} FROM ({spans_to_scores(_SPANS_OF_BATCH)})",
    ),
    Signal.LOGS: (
        f"""
INSERT INTO log_index (project_id, trace_id, response_id, min_time, max_time)
SELECT project_id, trace_id, response_id, min_time, max_time
FROM ({logs_to_log_index(_LOGS_OF_BATCH)})
""",
        f"INSERT INTO scores ({SCORE_COLUMNS}) SELECT {SCORE_COLUMNS} FROM ({logs_to_scores(_LOGS_OF_BATCH)})",
    ),
}


def recover_batch(store: Store, records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int) -> set[int]:
    """Return the receive times of those of these records that are not stored whole, and mend what is derived from the others.

    For a batch that was inserted before by somebody who never heard how it ended. ClickHouse notes the token of a part before
    it puts the part in its place (MergeTreeSink::finishDelayedChunk): killed in between, or without space for the second, it
    drops the same part for ever after, as one that it has. `intake` counts may then lack the batch. Raises StoreUnavailable.
    """
    batch = {"writer": writer, "batch_seq": batch_seq}
    expected: Counter[int] = Counter()
    for _, received_at_ns, payload in records:
        expected[received_at_ns] += max(1, read_span_count(payload))
    table = "spans" if signal is Signal.TRACES else "logs"
    try:
        stored = dict(store.query_rows(_STORED.format(table=table, of_batch=_OF_BATCH), **batch))
    except QueryTooExpensive:  # rows that are there twice are read once
        return set(expected)
    missing = {received_at_ns for received_at_ns, count in expected.items() if stored.get(received_at_ns, 0) < count}
    for statement in _DERIVE[signal]:
        store.command(statement, **batch)
    return missing
