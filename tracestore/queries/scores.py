"""Reads of `scores`: which results count, the list of the API, and what an id stands for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.model import Page, Score, TraceSummary
from tracestore.queries.conditions import Params
from tracestore.queries.paging import Position, decode_cursor, read_newest
from tracestore.queries.predicates import REACH_DAYS
from tracestore.semconv.scores import REVIEW
from tracestore.timerange import MAX_NS, TimeRange

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
# Names a result in a list: 64 bits of what it is about and its id.
_KEY = f"sipHash64({_ABOUT}, id)"
_COUNTING = f"""
({_KEY}, time, received_at) IN (
    SELECT key, newest.1, newest.2 FROM
    (
        SELECT {_KEY} AS key, max((time, received_at)) AS newest, argMax(is_withdrawn, (time, received_at)) AS is_gone
        FROM scores WHERE project_id = {{project_id:UInt32}} AND time >= fromUnixTimestamp64Nano({{window_start_ns:Int64}}) AND %s
        GROUP BY key
    )
    WHERE NOT is_gone
)"""
_ZERO_TRACE, _ZERO_SPAN = "toFixedString('', 16)", "toFixedString('', 8)"
_FIND = f"""
SELECT id, if(trace_id = {_ZERO_TRACE}, '', lower(hex(trace_id))), if(span_id = {_ZERO_SPAN}, '', lower(hex(span_id))),
    session_id, name, value, label, comment, source, annotator, toUnixTimestamp64Nano(time), {_KEY} AS key
FROM scores
WHERE project_id = {{project_id:UInt32}} AND time >= fromUnixTimestamp64Nano({{window_start_ns:Int64}})
    AND time < fromUnixTimestamp64Nano({{window_end_ns:Int64}}) AND %s AND {_COUNTING}
ORDER BY time DESC, key DESC
LIMIT 1 BY key
LIMIT {{limit:UInt32}}
"""
_AFTER_POSITION = f"(time, {_KEY}) < (fromUnixTimestamp64Nano({{position_ns:Int64}}), {{position_key:UInt64}})"
# Of each trace: reviews, then by the time they were told.
_OF_TRACES = f"""
SELECT id, lower(hex(trace_id)) AS about, if(span_id = {_ZERO_SPAN}, '', lower(hex(span_id))), session_id, name, value, label,
    comment, source, annotator, toUnixTimestamp64Nano(time)
FROM
(
    SELECT * FROM scores
    WHERE project_id = {{project_id:UInt32}} AND time >= fromUnixTimestamp64Nano({{start_ns:Int64}}) - toIntervalDay(1)
        AND trace_id IN (SELECT toFixedString(unhex(arrayJoin({{trace_ids:Array(String)}})), 16))
    ORDER BY {_NEWEST}
    LIMIT 1 BY trace_id, id
)
WHERE NOT is_withdrawn
ORDER BY about, name = '{REVIEW}' DESC, time DESC, id
LIMIT {{limit:UInt32}} BY about
"""
# By id, in a trace before its session.
_PLACES = f"""
SELECT id, min(is_gone_there) AS is_gone, argMax((trace_id != {_ZERO_TRACE}, step), (NOT is_gone_there, trace_id)) AS last FROM
(
    SELECT id, trace_id, argMax(is_withdrawn, (time, received_at)) AS is_gone_there,
        if(argMax(span_id, (time, received_at)) AS told_of = {_ZERO_SPAN}, '', lower(hex(told_of))) AS step
    FROM scores
    WHERE project_id = {{project_id:UInt32}} AND id IN {{score_ids:Array(String)}}
        AND (trace_id = unhex({{trace_id:String}}) OR trace_id = {_ZERO_TRACE} AND session_id = {{session_id:String}})
    GROUP BY id, trace_id
)
GROUP BY id
"""
# Of one id no more than these are told apart; it is one of few traces and sessions.
MAX_OF_ID = 1000


def find_scores(
    store: Store, *, project_id: int, time_range: TimeRange, trace_id: str = "", session_id: str = "", name: str = "",
    limit: int = 50, cursor: str = "",
) -> Page[Score]:  # fmt: skip
    """Return the results of the range that count, newest first; `trace_id` is hex. One that was replaced since is not among them.

    `session_id` asks for those about the session as a whole, or whose sender names it. Raises CursorError or StoreError.
    """
    position = decode_cursor(cursor, id_digits=16)
    end_ns = min(time_range.end_ns, position.start_ns + 1) if position else time_range.end_ns
    params = Params()
    wanted = [
        condition % params.bind(text, "String")
        for condition, text in (("trace_id = unhex(%s)", trace_id), ("session_id = %s", session_id), ("name = %s", name))
        if text
    ]
    conditions = list(wanted)
    if position:
        conditions.append(_AFTER_POSITION)
        params.values |= {"position_ns": position.start_ns, "position_key": int(position.item_id, 16)}
    # A result may be given another name, but it is of one trace or session.
    same = [condition for condition in wanted if not condition.startswith("name")]
    sql = _FIND % (_all(conditions), _all(same))

    def read(start_ns: int, window_end_ns: int, most: int) -> list[tuple[Any, ...]]:
        scope = {"project_id": project_id, "window_start_ns": start_ns, "window_end_ns": window_end_ns}
        return store.query_rows(sql, **scope, **params.values, limit=most)

    rows = read_newest(time_range.start_ns, end_ns, limit + 1, read)
    found = [Score(*row[:-1]) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(found, Position(last[-2], f"{last[-1]:016x}").encode() if last else "")


def find_scores_of_traces(store: Store, *, project_id: int, traces: Sequence[TraceSummary], limit: int) -> dict[str, list[Score]]:
    """Return by trace id up to `limit` results that count of each of these traces and their steps: reviews, then the newest.

    A trace without any is absent. Raises StoreError.
    """
    if not traces:
        return {}
    start_ns = min(trace.start_ns for trace in traces)
    trace_ids = [trace.trace_id for trace in traces]
    rows = store.query_rows(_OF_TRACES, project_id=project_id, start_ns=start_ns, trace_ids=trace_ids, limit=limit)
    found: dict[str, list[Score]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Score(*row))
    return found


def find_scores_of_id(store: Store, *, project_id: int, score_id: str) -> list[Score]:
    """Return what counts of an id, whenever it was told: one for each trace or session that has it. Raises StoreError."""
    params = Params()
    condition = f"id = {params.bind(score_id, 'String')}"
    scope = {"project_id": project_id, "window_start_ns": 0, "window_end_ns": MAX_NS}
    rows = store.query_rows(_FIND % (condition, condition), **scope, **params.values, limit=MAX_OF_ID)
    return [Score(*row[:-1]) for row in rows]


def find_places(
    store: Store, *, project_id: int, trace_id: str, session_id: str, score_ids: Collection[str]
) -> dict[str, str | None]:
    """Return of which step each of these ids was told last, "" for none; None for what was withdrawn in trace and session.

    They are looked for in all of the past: that of a session may have been told, and withdrawn, long before the trace. Absent is
    what is unknown or stands without a trace: it may be about a step by the id of a response. Raises StoreError.
    """
    scope = {"project_id": project_id, "trace_id": trace_id, "session_id": session_id, "score_ids": sorted(score_ids)}
    rows = store.query_rows(_PLACES, **scope)
    return {score_id: None if is_gone else step for score_id, is_gone, (of_trace, step) in rows if is_gone or of_trace}


def _all(conditions: list[str]) -> str:
    return " AND ".join(conditions) or "true"
