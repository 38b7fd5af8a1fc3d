"""Digests of what the steps of a trace say, to tell whether two steps say the same without reading either to the end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.content.keys import Part, find_part
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.spans import find_trace_times

# Names of attributes and events that hold what came out of a step; other content went in.
_OUTPUT = r"(?i)output|completion|response|result|answer|choice|reply|return"
# Ids that every run makes anew: of calls, messages and answers. Two runs that differ in those alone say the same.
_FRESH_IDS = (
    r"\b(?:call|toolu|tooluse|chatcmpl|msg|resp|fc|rs|run|req)[-_][A-Za-z0-9_-]{6,}"
    r"|\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
)
_IN_TRACE = f"{IN_RANGE} AND trace_id = unhex({{trace_id:String}})"
_KEYS = f"SELECT DISTINCT arrayJoin(mapKeys(attributes)) FROM spans WHERE {_IN_TRACE} LIMIT 20000"
_EVENTS_OF_SIDE = (
    "arrayMap((n, m) -> if(match(n, {output:String}) = %d, cityHash64(n, said(toString(m))), 0), event_names, event_attributes)"
)


def _digest(keys: str, is_output: int) -> str:
    """Return SQL for one number over the attributes of these names and the events of that side, in any order."""
    attributes = (
        f"arrayMap((k, v) -> if(has({{{keys}:Array(String)}}, k), cityHash64(k, said(v)), 0),"
        " mapKeys(attributes), mapValues(attributes))"
    )
    return f"arraySum(x -> toUInt64(x), arrayConcat({attributes}, {_EVENTS_OF_SIDE % is_output}))"


_DIGESTS = f"""
WITH v -> replaceRegexpAll(v, {{fresh_ids:String}}, '') AS said
SELECT lower(hex(span_id)), {_digest("input_keys", 0)}, {_digest("output_keys", 1)}
FROM spans
WHERE {_IN_TRACE}
ORDER BY start_time, span_id, received_at DESC
LIMIT 1 BY span_id
LIMIT {{limit:UInt32}}
"""


@dataclass(frozen=True)
class Digest:
    """Two numbers that are equal when what went in and what came out are, ids of calls aside; 0 where nothing was recorded."""

    input: int
    output: int


def find_digests(store: Store, *, project_id: int, trace_id: str, limit: int) -> dict[str, Digest]:
    """Return the digest of each step by span id, of the first `limit` steps by start. Raises TraceNotFound."""
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    scope = {
        "project_id": project_id,
        "trace_id": trace_id,
        "start_ns": time_range.start_ns,
        "end_ns": time_range.end_ns,
    }
    keys = [key for (key,) in store.query_rows(_KEYS, **scope) if find_part(key) is Part.CONTENT]
    outputs = [key for key in keys if re.search(_OUTPUT, key)]
    rows = store.query_rows(
        _DIGESTS, **scope, limit=limit, output=_OUTPUT, fresh_ids=_FRESH_IDS, output_keys=outputs,
        input_keys=[key for key in keys if key not in outputs],
    )  # fmt: skip
    return {span_id: Digest(int(said), int(answered)) for span_id, said, answered in rows}
