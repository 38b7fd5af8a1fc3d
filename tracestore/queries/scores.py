"""Reads of `scores`: which results count."""

from __future__ import annotations

from tracestore.queries.predicates import REACH_DAYS

# Results with the same id replace each other within the trace or session that they are about.
_ABOUT = "trace_id, if(trace_id = toFixedString('', 16), session_id, '')"
_NEWEST = "time DESC, received_at DESC"
# Of each id the last result, told up to REACH_DAYS after the range; nothing where that one was withdrawn.
EFFECTIVE_SCORES = f"""
SELECT * FROM
(
    SELECT trace_id, session_id, id, time, name, value, is_withdrawn FROM scores
    WHERE project_id = {{project_id:UInt32}} AND time >= fromUnixTimestamp64Nano({{start_ns:Int64}})
        AND time < fromUnixTimestamp64Nano({{end_ns:Int64}}) + toIntervalDay({REACH_DAYS})
    ORDER BY {_NEWEST}
    LIMIT 1 BY {_ABOUT}, id
)
WHERE NOT is_withdrawn
"""
