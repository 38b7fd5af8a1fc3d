"""Previews of traces, what they were asked and what they answered: which are missing, the steps that tell, writing, reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracestore.clickhouse.client import PlainText, Store
from tracestore.content.payloads import CONTENT_EVENTS, INPUTS, OUTPUTS
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.contents import StepContent, contents_sql, read_contents

# What one statement reads: traces that run at once share all granules, and a server takes at most 128 KiB for one parameter, 48
# bytes a step. With the ceiling on a step's contents, 64 MB at most.
MAX_STEPS, _MAX_BYTES = 2000, 16_384

# A trace that was summarised again has several rows until a merge: only its newest summary counts as one to preview.
PENDING = """
SELECT project_id, trace_id, start_ns, end_ns, root_span_id, newest_us
FROM
(
    SELECT project_id, trace_id, start_time, toUnixTimestamp64Nano(start_time) AS start_ns,
        start_ns + argMax(duration_ns, summarized_at) AS end_ns, argMax(root_span_id, summarized_at) AS root_span_id,
        max(summarized_at) AS newest, toUnixTimestamp64Micro(newest) AS newest_us
    FROM traces
    WHERE summarized_at >= fromUnixTimestamp64Micro({since_us:Int64})
    GROUP BY project_id, start_time, trace_id
    HAVING NOT argMax(is_deleted, summarized_at)
)
WHERE (project_id, start_time, trace_id, newest) NOT IN (
    SELECT project_id, start_time, trace_id, summarized_at FROM trace_previews
    WHERE previewed_at >= fromUnixTimestamp64Micro({since_us:Int64}))
ORDER BY newest_us LIMIT {limit:UInt32}
"""
NEWEST = "SELECT toUnixTimestamp64Micro(max(summarized_at)) FROM trace_previews"

_RAW_IDS = "unhex({trace_ids:String})"
CALLS_OF_TRACES = f"""
WITH kind = 'llm' AS is_call, toUnixTimestamp64Nano(start_time) + duration_ns AS end_ns
SELECT trace_id, argMinIf(span_id, start_time, is_call), argMaxIf(span_id, start_time, is_call),
    maxIf(end_ns, is_error) <= argMaxIf(end_ns, start_time, is_call)
FROM spans
PREWHERE {IN_RANGE} AND trace_id IN (
    SELECT toFixedString(substring({_RAW_IDS}, 1 + 16 * number, 16), 16) FROM numbers(intDiv(length({_RAW_IDS}), 16)))
WHERE is_call OR is_error
GROUP BY trace_id
HAVING countIf(is_call) > 0
"""
_PREFIXES = r"^(gen_ai\.(prompt|completion)|llm\.(input_messages|output_messages|prompts|choices)|ai\.(response|result))\."
CONTENTS = contents_sql((key for key, _ in (*INPUTS, *OUTPUTS)), _PREFIXES, CONTENT_EVENTS, max_bytes=_MAX_BYTES)

# By the sort key, which all versions of a row share.
BY_KEYS = f"""
SELECT lower(hex(trace_id)), argMax(asked, previewed_at), argMax(answered, previewed_at)
FROM trace_previews
PREWHERE {IN_RANGE} AND (start_time, trace_id) IN (
    SELECT fromUnixTimestamp64Nano(key.1), toFixedString(unhex(key.2), 16)
    FROM (SELECT arrayJoin(arrayZip({{starts_ns:Array(Int64)}}, {{trace_ids:Array(String)}})) AS key)
)
GROUP BY trace_id
SETTINGS max_threads = 1
"""


@dataclass(frozen=True)
class Unpreviewed:
    """A trace whose newest summary (written at `summarized_us`, Unix microseconds) has no preview.

    Ids are raw bytes, none for no root.
    """

    project_id: int
    trace_id: bytes
    start_ns: int
    end_ns: int
    root_span_id: bytes
    summarized_us: int


@dataclass(frozen=True)
class Preview:
    """The beginnings of what a trace was asked and of what it answered, each one line; "" where nobody says."""

    asked: str
    answered: str


def find_newest_previewed(store: Store) -> int:
    """Return when the newest summary with a preview was written, Unix microseconds; 0 for none."""
    return int(store.query_rows(NEWEST)[0][0])


def find_unpreviewed(store: Store, *, since_us: int, limit: int) -> list[Unpreviewed]:
    """Return traces whose newest summary was written since then and has no preview, that of the oldest summary first."""
    return [
        Unpreviewed(int(project), bytes(trace), int(start), int(end), bytes(root).strip(b"\0") and bytes(root), int(summarized))
        for project, trace, start, end, root, summarized in store.query_rows(PENDING, since_us=since_us, limit=limit)
    ]


def find_calls(store: Store, traces: Sequence[Unpreviewed]) -> dict[bytes, tuple[bytes, bytes, bool]]:
    """Return by trace id the first and the last model call of these traces (of one project), raw ids.

    And whether no step failed after the last one had ended (content.turns.find_answered).
    """
    rows = store.query_rows(
        CALLS_OF_TRACES, project_id=traces[0].project_id, start_ns=min(trace.start_ns for trace in traces),
        end_ns=max(trace.end_ns for trace in traces) + 1, trace_ids=PlainText(b"".join(trace.trace_id for trace in traces).hex()),
    )  # fmt: skip
    return {bytes(trace_id): (bytes(first), bytes(last), bool(answers)) for trace_id, first, last, answers in rows}


def read_step_contents(store: Store, traces: Sequence[Unpreviewed], span_ids: list[bytes]) -> dict[bytes, StepContent]:
    """Return what these steps (trace id and span id, joined) of these traces (of one project) say; ids as they were given."""
    found: dict[bytes, StepContent] = {}
    for first in range(0, len(span_ids), MAX_STEPS):
        found |= read_contents(
            store, CONTENTS, project_id=traces[0].project_id, span_ids=span_ids[first : first + MAX_STEPS],
            min_start_ns=min(trace.start_ns for trace in traces), max_start_ns=max(trace.end_ns for trace in traces),
        )  # fmt: skip
    return found


def write_previews(store: Store, previews: Sequence[tuple[Unpreviewed, Preview]], *, now_us: int) -> None:
    """Store previews, as written at `now_us`, Unix microseconds.

    Not before the summary, though: where the clock was set back, the preview of the newer summary is the newer one all the same.
    """
    import pyarrow

    def times(values: list[int], unit: str) -> Any:
        return pyarrow.array(np.array(values, dtype=np.int64), type=pyarrow.timestamp(unit, tz="UTC"))

    traces = [trace for trace, _ in previews]
    columns = {
        "project_id": np.array([trace.project_id for trace in traces], dtype=np.uint32),
        "start_time": times([trace.start_ns for trace in traces], "ns"),
        "trace_id": pyarrow.array([trace.trace_id for trace in traces], type=pyarrow.binary(16)),
        "asked": [preview.asked for _, preview in previews],
        "answered": [preview.answered for _, preview in previews],
        "summarized_at": times([trace.summarized_us for trace in traces], "us"),
        "previewed_at": times([max(now_us, trace.summarized_us) for trace in traces], "us"),
    }
    store.insert_arrow("trace_previews", pyarrow.table(columns))


def find_previews(store: Store, *, project_id: int, starts_ns: list[int], trace_ids: list[str]) -> dict[str, Preview]:
    """Return the previews of these traces by trace id in hex; those that have none are left out."""
    rows = store.query_rows(
        BY_KEYS,
        project_id=project_id,
        start_ns=min(starts_ns),
        end_ns=max(starts_ns) + 1,
        starts_ns=starts_ns,
        trace_ids=trace_ids,
    )
    return {trace_id: Preview(asked, answered) for trace_id, asked, answered in rows}
