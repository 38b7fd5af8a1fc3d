"""What the summary job reads and writes: work lists, spans of whole traces, earlier summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tracestore.clickhouse.client import PlainText, Store
from tracestore.clickhouse.views.lookups import literal
from tracestore.fingerprint import STACK_CHARS
from tracestore.semconv.fields import FIELDS
from tracestore.semconv.signals import ESCALATION_EVENT, ESCALATION_REASON, HANDOFF_REASONS, REASON_ARGUMENT

if TYPE_CHECKING:
    import pyarrow

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TouchedTraces:
    """Traces to summarise, each with the time range of the spans it has so far (ns, both ends included) and how many those are.

    `spans` counts copies too, and is 0 for what was stored before it was counted.
    """

    project_id: Ints
    trace_id: npt.NDArray[np.void]
    min_start_ns: Ints
    max_start_ns: Ints
    spans: Ints

    def __len__(self) -> int:
        return len(self.trace_id)

    def take(self, which: Ints | slice) -> TouchedTraces:
        """Return those at these positions, in this order."""
        return TouchedTraces(**{name: column[which] for name, column in vars(self).items()})

    @property
    def trace_ids(self) -> list[str]:
        """The ids in hex."""
        text = self.trace_id.tobytes().hex()
        return [text[at : at + 32] for at in range(0, len(text), 32)]


@dataclass(frozen=True)
class TouchedBatch:
    """An inserted batch: how many traces it brought spans of so far, and seconds since the last of them arrived."""

    seq: int
    traces: int
    age_s: int


# Writers of work that is not new begin so: it waits for what has just arrived.
BACKFILL = "~"

# The next ingest process by name that wrote lately; a batch that is long done is no longer in the table (TTL). The table is
# sorted by writer, so one granule answers: DISTINCT would read a fortnight of rows, every two seconds.
NEXT_WRITER = "SELECT writer FROM trace_touches WHERE writer > {after:String} ORDER BY writer LIMIT 1"

TOUCHED_IN_BATCHES = """
SELECT project_id, trace_id, toUnixTimestamp64Nano(min(min_start_time)) AS min_start_ns,
    toUnixTimestamp64Nano(max(max_start_time)) AS max_start_ns, sum(received_spans) AS spans
FROM trace_index
WHERE (project_id, trace_id) IN (
    SELECT project_id, trace_id FROM trace_touches
    WHERE writer = {writer:String} AND batch_seq > {after:UInt64} AND batch_seq <= {until:UInt64})
GROUP BY project_id, trace_id
"""

TOUCH_COUNTS = """
SELECT batch_seq, count() AS traces, toUInt32(greatest(0, dateDiff('second', max(inserted_at), now()))) AS age_s
FROM trace_touches
WHERE writer = {writer:String} AND batch_seq > {after:UInt64}
GROUP BY batch_seq ORDER BY batch_seq LIMIT 1000
"""

# Running traces whose newest span is old enough for a verdict. Without FINAL, which would merge all summaries of the time range:
# few rows say running, and only the traces of those are looked up.
SILENT_RUNNING = """
SELECT project_id, trace_id, toUnixTimestamp64Nano(min(min_start_time)) AS min_start_ns,
    toUnixTimestamp64Nano(max(max_start_time)) AS max_start_ns, sum(received_spans) AS spans
FROM trace_index
WHERE (project_id, trace_id) IN (
    SELECT project_id, trace_id FROM traces
    WHERE (project_id, start_time, trace_id) IN (
        SELECT project_id, start_time, trace_id FROM traces
        WHERE outcome = 'running' AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})
            AND start_time < fromUnixTimestamp64Nano({silent_since_ns:Int64}))
    GROUP BY project_id, start_time, trace_id
    HAVING argMax(outcome, summarized_at) = 'running'
        AND toUnixTimestamp64Nano(start_time) + argMax(duration_ns, summarized_at) < {silent_since_ns:Int64}
    LIMIT {limit:UInt32})
GROUP BY project_id, trace_id
"""

# Ids in hex, one after the other. A server takes at most 128 KiB for one parameter, and a part of a query's cost is the same for
# one id and for thousands.
_IDS_A_PARAMETER = 4000
MAX_TRACE_IDS = 2 * _IDS_A_PARAMETER
_RAW_IDS = "unhex(concat({trace_ids:String}, {more_trace_ids:String}))"
_TRACE_IDS = f"""(
    SELECT toFixedString(substring({_RAW_IDS}, 1 + 16 * number, 16), 16) FROM numbers(intDiv(length({_RAW_IDS}), 16))
)"""

SPANS_OF_TRACES = f"""
SELECT trace_id, span_id, parent_span_id, toUnixTimestamp64Nano(start_time) AS start_ns, duration_ns, name, span_kind, kind,
    status, flags, is_error, error_type, substringUTF8(error_message, 1, 2000) AS error_message, service, environment, scope_name,
    agent, version, workflow, request_model, response_model, provider, response_id, tool, tool_call_id,
    service_tier, prompt_name, prompt_version, session_id, user_id, signal,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, supplied_cost_usd,
    cache_write_1h_tokens, input_audio_tokens, output_audio_tokens, time_to_first_token_ns, arguments_hash,
    attribute_codes
FROM
(
    SELECT * EXCEPT (attributes, resource_attributes, scope_attributes, event_attributes, link_attributes), arguments_hash,
        attribute_codes
    FROM spans
    WHERE project_id = {{project_id:UInt32}}
        AND start_time >= fromUnixTimestamp64Nano({{min_start_ns:Int64}})
        AND start_time <= fromUnixTimestamp64Nano({{max_start_ns:Int64}})
        AND trace_id IN {_TRACE_IDS}
    ORDER BY trace_id, span_id, received_at DESC
    LIMIT 1 BY trace_id, span_id
)
ORDER BY trace_id, start_ns, span_id
"""

# Of spans that are errors: what their summary leaves out because it is long. Few spans are; their ids go as those of traces do.
MAX_ERRORS = 1000
_RAW_ERRORS = "unhex({span_ids:String})"
NEWEST_OF_SPANS = f"""FROM spans
PREWHERE project_id = {{project_id:UInt32}}
    AND start_time >= fromUnixTimestamp64Nano({{min_start_ns:Int64}})
    AND start_time <= fromUnixTimestamp64Nano({{max_start_ns:Int64}})
    AND (trace_id, span_id) IN (
        SELECT toFixedString(substring({_RAW_ERRORS}, 1 + 24 * number, 16), 16),
            toFixedString(substring({_RAW_ERRORS}, 17 + 24 * number, 8), 8)
        FROM numbers(intDiv(length({_RAW_ERRORS}), 24)))
ORDER BY received_at DESC
LIMIT 1 BY trace_id, span_id
"""
ERRORS_OF_SPANS = f"""
WITH arrayFirst(x -> x != '', arrayMap(m -> m['exception.stacktrace'], event_attributes)) AS stack
SELECT trace_id, span_id, substringUTF8(error_message, 1, 2 * {{stack_chars:UInt32}}),
    if(match(stack, '(?m)^  File ".{{1,400}}", line [0-9]+, in '),
        substringUTF8(stack, -toInt32({{stack_chars:UInt32}})), substringUTF8(stack, 1, {{stack_chars:UInt32}}))
{NEWEST_OF_SPANS}"""

# Why a run was handed to a person or another agent: as its sender says outright, else the `reason` among the arguments of the
# tool that did it.
_ARGUMENTS = ", ".join(f"attributes[{literal(source.key)}]" for source in FIELDS["tool_arguments"])
REASONS_OF_SPANS = f"""
WITH arrayFirst(x -> x != '', [{_ARGUMENTS}]) AS arguments
SELECT trace_id, span_id, substringUTF8(arrayFirst(x -> x != '', [
    attributes[{literal(ESCALATION_REASON)}],
    arrayFirst((m, name) -> name = {literal(ESCALATION_EVENT)}, event_attributes, event_names)['reason'],
    {", ".join(f"attributes[{literal(key)}]" for key in HANDOFF_REASONS)},
    JSONExtractString(arguments, 'reason'),
    extract(arguments, {literal(REASON_ARGUMENT)})]), 1, 200)
{NEWEST_OF_SPANS}"""

# Summaries that exist for these traces. Without FINAL, which would merge all summaries of the time range.
EARLIER_STARTS = f"""
SELECT trace_id, toUnixTimestamp64Nano(start_time) AS start_ns, toUnixTimestamp64Micro(max(summarized_at)) AS last_us
FROM traces
WHERE project_id = {{project_id:UInt32}}
    AND start_time >= fromUnixTimestamp64Nano({{min_start_ns:Int64}})
    AND start_time <= fromUnixTimestamp64Nano({{max_start_ns:Int64}})
    AND trace_id IN {_TRACE_IDS}
GROUP BY trace_id, start_time
HAVING NOT argMax(is_deleted, summarized_at)
"""

# Minutes with a summary written (or deleted) since then, and which writes those were. Rows of one write that lie in one minute
# become readable together. What changed first comes first: of more than the limit none is left out for long.
_MAX_MINUTES = 100_000
CHANGED_MINUTES = """
SELECT project_id, toUnixTimestamp(toStartOfMinute(start_time)) AS minute_s,
    groupUniqArray(toUnixTimestamp64Micro(summarized_at) * 2 + is_deleted) AS writes,
    toUnixTimestamp64Micro(max(summarized_at)) AS last_us
FROM traces
WHERE summarized_at >= fromUnixTimestamp64Nano({since_ns:Int64})
GROUP BY project_id, minute_s
ORDER BY last_us, project_id, minute_s
LIMIT {limit:UInt32}
"""


def find_writers(store: Store) -> list[str]:
    """Return the name of every ingest process that inserted batches, by name."""
    writers: list[str] = []
    while rows := store.query_rows(NEXT_WRITER, after=writers[-1] if writers else ""):
        writers.append(str(rows[0][0]))
    return writers


def find_batches(store: Store, *, writer: str, after: int) -> list[TouchedBatch]:
    """Return the writer's batches after that one, oldest first, at most 1000."""
    return [
        TouchedBatch(int(seq), int(traces), int(age_s))
        for seq, traces, age_s in store.query_rows(TOUCH_COUNTS, writer=writer, after=after)
    ]


def find_touched(store: Store, *, writer: str, after: int, until: int) -> TouchedTraces:
    """Return the traces that batches in (after, until] brought spans of."""
    return touched_traces(store.query_arrow(TOUCHED_IN_BATCHES, writer=writer, after=after, until=until))


def find_silent_running(store: Store, *, start_ns: int, silent_since_ns: int, limit: int) -> TouchedTraces:
    """Return running traces that started since `start_ns` and whose last span ended before `silent_since_ns`."""
    return touched_traces(store.query_arrow(SILENT_RUNNING, start_ns=start_ns, silent_since_ns=silent_since_ns, limit=limit))


def touched_traces(rows: pyarrow.Table) -> TouchedTraces:
    """Return the columns of TOUCHED_IN_BATCHES as arrays."""
    trace_id = rows.column("trace_id").combine_chunks()
    raw = np.frombuffer(trace_id.buffers()[1], dtype="V16") if rows.num_rows else np.empty(0, dtype="V16")
    numbers = {
        name: rows.column(name).to_numpy().astype(np.int64) for name in ("project_id", "min_start_ns", "max_start_ns", "spans")
    }
    return TouchedTraces(trace_id=raw[trace_id.offset :][: rows.num_rows], **numbers)


def read_spans(store: Store, *, project_id: int, trace_ids: list[str], min_start_ns: int, max_start_ns: int) -> pyarrow.Table:
    """Return the narrow columns of all spans of these traces (at most MAX_TRACE_IDS), each span once, by trace and start."""
    return store.query_arrow(
        SPANS_OF_TRACES, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns, **_as_text(trace_ids)
    )


def read_errors(
    store: Store, *, project_id: int, span_ids: list[bytes], min_start_ns: int, max_start_ns: int
) -> dict[bytes, tuple[str, str]]:
    """Return message and stack trace ("" for none) of at most MAX_ERRORS spans, by trace id and span id, raw and joined."""
    rows = store.query_rows(
        ERRORS_OF_SPANS, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns,
        span_ids=PlainText(b"".join(span_ids).hex()), stack_chars=STACK_CHARS,
    )  # fmt: skip
    return {bytes(trace_id) + bytes(span_id): (message, stack) for trace_id, span_id, message, stack in rows}


def read_reasons(
    store: Store, *, project_id: int, span_ids: list[bytes], min_start_ns: int, max_start_ns: int
) -> dict[bytes, str]:
    """Return why these spans (at most MAX_ERRORS) hand over, "" for no reason; ids as those of read_errors."""
    rows = store.query_rows(
        REASONS_OF_SPANS, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns,
        span_ids=PlainText(b"".join(span_ids).hex()),
    )  # fmt: skip
    return {bytes(trace_id) + bytes(span_id): reason for trace_id, span_id, reason in rows}


def find_earlier_starts(
    store: Store, *, project_id: int, trace_ids: list[str], min_start_ns: int, max_start_ns: int
) -> list[tuple[bytes, int, int]]:
    """Return (trace id, start in ns, when summarised in us) of the summaries of these traces (at most MAX_TRACE_IDS)."""
    rows = store.query_rows(
        EARLIER_STARTS, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns, **_as_text(trace_ids)
    )
    return [(bytes(trace_id), int(start_ns), int(last_us)) for trace_id, start_ns, last_us in rows]


def _as_text(trace_ids: list[str]) -> dict[str, PlainText]:
    return {
        "trace_ids": PlainText("".join(trace_ids[:_IDS_A_PARAMETER])),
        "more_trace_ids": PlainText("".join(trace_ids[_IDS_A_PARAMETER:])),
    }


def find_changed_minutes(store: Store, *, since_ns: int) -> tuple[dict[tuple[int, int], frozenset[int]], int | None]:
    """Return (project id, minute in Unix seconds) -> the writes since then that changed traces of it, as opaque numbers.

    Beside it the time (ns) from which on there are more than those, None when these are all.
    """
    rows = store.query_rows(CHANGED_MINUTES, since_ns=since_ns, limit=_MAX_MINUTES)
    writes = {(int(project_id), int(minute_s)): frozenset(writes) for project_id, minute_s, writes, _ in rows}
    return writes, int(rows[-1][-1]) * 1000 if len(rows) == _MAX_MINUTES else None
