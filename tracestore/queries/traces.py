"""Reads of `traces`: the list, one trace with its spans, and whether there is any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from operator import itemgetter
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.language import Query
from tracestore.model import ModelUsage, Outcome, Page, SpanSummary, ToolUsage, Trace, TraceSummary
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.paging import Position, decode_cursor, read_newest, threads_for
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.previews import find_previews
from tracestore.queries.spans import find_spans_of_trace, find_trace_times
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

# Field of TraceSummary -> expression over `traces`, in the order in which rows are read.
_COLUMNS = {
    "trace_id": "lower(hex(trace_id))",
    "start_ns": "toUnixTimestamp64Nano(start_time)",
    "root_span_id": "if(root_span_id = toFixedString('', 8), '', lower(hex(root_span_id)))",
    "failing_span_id": "if(failing_span_id = toFixedString('', 8), '', lower(hex(failing_span_id)))",
    **{
        name: name
        for name in (
            "duration_ns", "name", "service", "services", "outcome", "outcome_rule", "has_errors", "escalated", "span_count",
            "error_count", "orphan_count", "error_types", "error_message", "workflows", "agents", "versions", "environment",
            "prompts", "session_id", "user_id", "llm_calls", "input_tokens", "output_tokens", "cached_input_tokens",
            "cache_creation_input_tokens", "reasoning_tokens", "cache_creation_1h_input_tokens", "input_audio_tokens",
            "output_audio_tokens", "cost_usd", "supplied_cost_usd", "compared_cost_usd", "cost_difference_usd",
            "unpriced_models", "error_fingerprint", "escalation_reasons", "handed_over", "handoff_reasons", "retried_calls",
            "loops", "looping_calls", "wasted_tokens", "wasted_cost_usd",
        )
    },
    "tools": "arrayZip(`tools.name`, `tools.calls`, `tools.errors`)",
    "models": (
        "arrayZip(`models.model`, `models.provider`, `models.calls`, `models.errors`, `models.input_tokens`,"
        " `models.output_tokens`, `models.cached_input_tokens`, `models.cost_usd`,"
        " `models.supplied_cost_usd`, `models.compared_cost_usd`, `models.cost_difference_usd`)"
    ),
}  # fmt: skip
_START_NS = list(_COLUMNS).index("start_ns")
# A trace and all versions of its row share a month, so months need not be merged with each other.
FINAL_SETTINGS = "SETTINGS do_not_merge_across_partitions_select_final = 1"

# Two steps: which traces (reads the columns of the condition alone), then all columns of one page. Under FINAL a read in order
# merges in one thread without skipping anything: 600 ms instead of 50 for 400,000 traces. The windows make the page fast.
_FIND_KEYS = f"""
SELECT toUnixTimestamp64Nano(start_time), lower(hex(trace_id))
FROM traces FINAL
WHERE {IN_RANGE} AND %s
ORDER BY start_time DESC, trace_id DESC
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}, optimize_read_in_order = 0
"""
# PREWHERE before FINAL is right because it looks at the sort key alone, which all versions of a row share.
_GET_BY_KEYS = f"""
SELECT {", ".join(_COLUMNS.values())}
FROM traces FINAL
PREWHERE {IN_RANGE} AND (start_time, trace_id) IN (
    SELECT fromUnixTimestamp64Nano(key.1), toFixedString(unhex(key.2), 16)
    FROM (SELECT arrayJoin(arrayZip({{starts_ns:Array(Int64)}}, {{trace_ids:Array(String)}})) AS key)
)
ORDER BY start_time DESC, trace_id DESC
{FINAL_SETTINGS}, %s
"""
_AFTER_POSITION = (
    "(start_time, trace_id) < (fromUnixTimestamp64Nano({position_ns:Int64}), toFixedString(unhex({position_id:String}), 16))"
)
# What the list can be sorted by -> a number over `traces` that a cursor can name exactly; NULL where there is nothing to sort by.
SORTS = {
    "start": "toUInt64(toUnixTimestamp64Nano(start_time))",
    "duration": "duration_ns",
    # In millionths of a millionth of a dollar, up to a million dollars: a fraction would not survive the way through a cursor.
    # greatest() takes NULL for the lesser, and what has no price is not free.
    "cost": "if(isNull(cost_usd), NULL, toUInt64(round(least(greatest(assumeNotNull(cost_usd), 0), 1e6) * 1e12)) + 1)",
    "tokens": "input_tokens + output_tokens",
    "spans": "toUInt64(span_count)",
    "errors": "toUInt64(error_count)",
}
_MAX_UINT64 = 2**64 - 1
_FIND_SORTED = f"""
SELECT toUnixTimestamp64Nano(start_time), lower(hex(trace_id)), %(value)s AS sort_value
FROM traces FINAL
WHERE {IN_RANGE} AND %(conditions)s
ORDER BY sort_value %(direction)s, start_time %(direction)s, trace_id %(direction)s
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}, optimize_read_in_order = 0
"""
_BEYOND_POSITION = (
    "(%s, start_time, trace_id) %s ({position_value:UInt64}, fromUnixTimestamp64Nano({position_ns:Int64}),"
    " toFixedString(unhex({position_id:String}), 16))"
)
_GET_SORT_VALUE = f"""
SELECT %s FROM traces FINAL
PREWHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
{FINAL_SETTINGS}
"""
# What stands beside a trace is looked for in its neighbourhood first.
_FIRST_STEP_NS, _STEP_GROWTH = 2 * 3600 * NS_PER_S, 16
# What the jobs of summaries and previews wrote last, whenever it began. First without FINAL, where the indexes on the times of
# writing leave out nearly all: this is asked every few seconds. The newest version of a trace is never left out, for none is
# stamped later.
_FIND_UPDATED = f"""
SELECT toUnixTimestamp64Nano(start_time), lower(hex(trace_id))
FROM traces FINAL
WHERE {IN_RANGE} AND (start_time, trace_id) IN (
    SELECT start_time, trace_id FROM traces
    WHERE {IN_RANGE} AND summarized_at >= fromUnixTimestamp64Micro({{since_us:Int64}})
    UNION ALL
    SELECT start_time, trace_id FROM trace_previews
    WHERE {IN_RANGE} AND previewed_at >= fromUnixTimestamp64Micro({{since_us:Int64}})
) AND %s
ORDER BY start_time DESC, trace_id DESC
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}, optimize_read_in_order = 0
"""
# All versions of one row: to plan FINAL and an order of so many columns takes longer than to choose among them here.
_GET_TRACE = f"""
SELECT is_deleted, summarized_at, {", ".join(_COLUMNS.values())}
FROM traces
PREWHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
SETTINGS max_threads = 1
"""
# By project alone: the question is whether anything ever arrived.
_HAS_ANY_TRACE = "SELECT 1 FROM trace_index WHERE project_id = {project_id:UInt32} LIMIT 1"


def find_traces(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 50, cursor: str = "", sort: str = ""
) -> Page[TraceSummary]:
    """Return up to `limit` traces that started in the range and match, newest start first unless `sort` says otherwise.

    `sort` is a key of SORTS, with a - before it for the largest first; without a value (no price) comes last. `cursor` is the
    `next_cursor` of the page before: a trace whose value changes between two pages may be missed or stand in both. Raises
    CursorError, QueryTooExpensive or StoreUnavailable.
    """
    if sort in ("", "-start"):
        return _find_newest(store, project_id=project_id, time_range=time_range, query=query, limit=limit, cursor=cursor)
    position = decode_cursor(cursor, id_digits=32, sort=sort)
    falls = sort.startswith("-")
    rows = _find_sorted(
        store, project_id=project_id, time_range=time_range, query=query, value=_sort_value(sort), falls=falls,
        position=position, limit=limit + 1,
    )  # fmt: skip
    keys = [(start_ns, trace_id) for start_ns, trace_id, _ in rows[:limit]]
    found = {trace.trace_id: trace for trace in _get_by_keys(store, project_id=project_id, keys=keys)}
    next_cursor = Position(*keys[-1], sort, rows[limit - 1][2]).encode() if len(rows) > limit else ""
    return Page([found[trace_id] for _, trace_id in keys if trace_id in found], next_cursor)


def _sort_value(sort: str) -> str:
    """Return the number over `traces` that an order compares; what has none comes last in that order."""
    return f"ifNull({SORTS[sort.removeprefix('-')]}, toUInt64({0 if sort.startswith('-') else _MAX_UINT64}))"


def _find_sorted(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, value: str, falls: bool, position: Position | None,
    limit: int,
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Return start_ns, trace id and the number `value` of matching traces beyond `position`, largest first when it `falls`."""
    params = Params()
    conditions = [trace_predicate(query, params)]
    if position:
        conditions.append(_BEYOND_POSITION % (value, "<" if falls else ">"))
        params.values |= {"position_value": position.value, "position_ns": position.start_ns, "position_id": position.item_id}
    sql = _FIND_SORTED % {"value": value, "direction": "DESC" if falls else "ASC", "conditions": " AND ".join(conditions)}
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return store.query_rows(sql, **scope, **params.values, limit=limit)


def find_neighbours(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, sort: str, start_ns: int, trace_id: str
) -> tuple[TraceSummary | None, TraceSummary | None]:
    """Return the traces before and after one in the list that `find_traces` gives in that order, None at its ends.

    The trace is named by its start and id; it need not be in the list any more: a range that ends now has moved on. Raises
    QueryTooExpensive or StoreUnavailable.
    """
    sort = sort or "-start"
    value, falls, by_start = _sort_value(sort), sort.startswith("-"), sort.endswith("start")
    scope = {"project_id": project_id, "start_ns": start_ns, "end_ns": start_ns + 1}
    rows = [(start_ns,)] if by_start else store.query_rows(_GET_SORT_VALUE % value, **scope, trace_id=trace_id)
    position = Position(start_ns, trace_id, sort, rows[0][0] if rows else 0)

    def find(falling: bool) -> TraceSummary | None:
        for part in _beside(time_range, start_ns, falling) if by_start else [time_range]:
            found = _find_sorted(
                store, project_id=project_id, time_range=part, query=query, value=value, falls=falling, position=position, limit=1
            )
            traces = _get_by_keys(store, project_id=project_id, keys=[row[:2] for row in found])
            if traces:
                return traces[0]
        return None

    return find(not falls), find(falls)


def _beside(time_range: TimeRange, start_ns: int, falls: bool) -> Iterator[TimeRange]:
    """Cut the part of a range before (`falls`) or after a moment into longer and longer ones, the nearest first."""
    length_ns = _FIRST_STEP_NS
    low_ns, high_ns = (
        (time_range.start_ns, min(start_ns + 1, time_range.end_ns))
        if falls
        else (max(start_ns, time_range.start_ns), time_range.end_ns)
    )
    while low_ns < high_ns:
        cut_ns = max(low_ns, high_ns - length_ns) if falls else min(high_ns, low_ns + length_ns)
        yield TimeRange(cut_ns, high_ns) if falls else TimeRange(low_ns, cut_ns)
        low_ns, high_ns = (low_ns, cut_ns) if falls else (cut_ns, high_ns)
        length_ns *= _STEP_GROWTH


def _find_newest(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int, cursor: str
) -> Page[TraceSummary]:
    position = decode_cursor(cursor, id_digits=32)
    end_ns = min(time_range.end_ns, position.start_ns + 1) if position else time_range.end_ns
    params = Params()
    conditions = [trace_predicate(query, params)]
    if position:
        conditions.append(_AFTER_POSITION)
        params.values |= {"position_ns": position.start_ns, "position_id": position.item_id}
    sql = _FIND_KEYS % " AND ".join(conditions)

    def read(start_ns: int, end_ns: int, most: int) -> list[tuple[Any, ...]]:
        return store.query_rows(sql, project_id=project_id, start_ns=start_ns, end_ns=end_ns, limit=most, **params.values)

    keys = read_newest(time_range.start_ns, end_ns, limit + 1, read, at_once=params.are_looked_up)
    traces = _get_by_keys(store, project_id=project_id, keys=keys[:limit])
    return Page(traces, Position(*keys[limit - 1]).encode() if len(keys) > limit else "")


def find_updated_traces(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, since_ns: int, limit: int = 50, cursor: str = ""
) -> Page[TraceSummary]:
    """Return up to `limit` matching traces of the range, newest start first, that were written at or after `since_ns`: their
    summary or their preview. `cursor` is the `next_cursor` of the page before, for the same `since_ns`.

    Raises CursorError, QueryTooExpensive or StoreUnavailable.
    """
    position = decode_cursor(cursor, id_digits=32)
    params = Params()
    conditions = [trace_predicate(query, params)]
    if position:
        conditions.append(_AFTER_POSITION)
        params.values |= {"position_ns": position.start_ns, "position_id": position.item_id}
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    sql = _FIND_UPDATED % " AND ".join(conditions)
    keys = store.query_rows(sql, **scope, **params.values, since_us=since_ns // 1_000, limit=limit + 1)
    next_cursor = Position(*keys[limit - 1]).encode() if len(keys) > limit else ""
    return Page(_get_by_keys(store, project_id=project_id, keys=keys[:limit]), next_cursor)


def _get_by_keys(store: Store, *, project_id: int, keys: Sequence[tuple[Any, ...]]) -> list[TraceSummary]:
    """Return the traces of these (start_ns, trace id) keys, newest first; one that was rewritten meanwhile is as it is now."""
    if not keys:
        return []
    starts_ns, trace_ids = [list(column) for column in zip(*keys, strict=True)]
    with ThreadPoolExecutor(max_workers=1) as beside:
        asked = beside.submit(find_previews, store, project_id=project_id, starts_ns=starts_ns, trace_ids=trace_ids)
        rows = store.query_rows(
            _GET_BY_KEYS % threads_for(starts_ns, DAY_NS), project_id=project_id, start_ns=min(starts_ns),
            end_ns=max(starts_ns) + 1, starts_ns=starts_ns, trace_ids=trace_ids,
        )  # fmt: skip
        previews = asked.result()
    traces = [_read_trace(row) for row in rows]
    return [
        replace(trace, asked=preview.asked, answered=preview.answered) if (preview := previews.get(trace.trace_id)) else trace
        for trace in traces
    ]


def get_trace(store: Store, *, project_id: int, trace_id: str, span_limit: int = 20_000) -> Trace:
    """Return one trace with its spans in start order, the first `span_limit` of them.

    A trace whose summary is not computed yet is a running one that is described by its spans. Raises TraceNotFound.
    """
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    # Side by side: either takes one core 20 ms, most of it to plan so many columns.
    with ThreadPoolExecutor(max_workers=1) as beside:
        asked = beside.submit(_find_summary, store, project_id=project_id, trace_id=trace_id, time_range=time_range)
        spans = find_spans_of_trace(store, project_id=project_id, trace_id=trace_id, time_range=time_range, limit=span_limit + 1)
        summary = asked.result()
    if not spans:
        raise TraceNotFound(f"There is no trace {trace_id}.")
    return Trace(summary or _summarize_running(trace_id, spans), spans[:span_limit], truncated=len(spans) > span_limit)


def get_trace_summary(store: Store, *, project_id: int, trace_id: str, time_range: TimeRange | None = None) -> TraceSummary:
    """Return a trace without its spans, as `get_trace` does otherwise. `time_range` is that of the trace, if known.

    Raises TraceNotFound.
    """
    time_range = time_range or find_trace_times(store, project_id=project_id, trace_id=trace_id)
    summary = _find_summary(store, project_id=project_id, trace_id=trace_id, time_range=time_range)
    return summary or get_trace(store, project_id=project_id, trace_id=trace_id).summary


def _find_summary(store: Store, *, project_id: int, trace_id: str, time_range: TimeRange) -> TraceSummary | None:
    rows = store.query_rows(
        _GET_TRACE, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns
    )
    # As FINAL does: of those with one start the newest, if that is not deleted; of several starts the last.
    newest = {row[2 + _START_NS]: row for row in sorted(rows, key=itemgetter(1))}
    kept = [row for row in newest.values() if not row[0]]
    return _read_trace(max(kept, key=itemgetter(2 + _START_NS))[2:]) if kept else None


def has_any_trace(store: Store, *, project_id: int) -> bool:
    """Tell whether the project ever received a span that is still kept."""
    return bool(store.query_rows(_HAS_ANY_TRACE, project_id=project_id))


def _read_trace(row: tuple[Any, ...]) -> TraceSummary:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["tools"] = [ToolUsage(*tool) for tool in values["tools"]]
    values["models"] = [ModelUsage(*model) for model in values["models"]]
    return TraceSummary(**values)


def _summarize_running(trace_id: str, spans: list[SpanSummary]) -> TraceSummary:
    """Describe a trace by what its spans say at a glance; the summary job weighs them properly a moment later."""
    root = next((span for span in spans if not span.parent_span_id), spans[0])
    start_ns = spans[0].start_ns
    errors = [span for span in spans if span.is_error]
    present = {span.span_id for span in spans}

    def values(field: str) -> list[str]:
        return sorted({getattr(span, field) for span in spans} - {""})

    return TraceSummary(
        trace_id=trace_id, name=root.name, service=root.service, services=values("service"), outcome=Outcome.RUNNING,
        outcome_rule="not_summarized", has_errors=bool(errors), escalated=False, start_ns=start_ns,
        duration_ns=max(span.start_ns + span.duration_ns for span in spans) - start_ns, span_count=len(spans),
        error_count=len(errors),
        orphan_count=sum(bool(span.parent_span_id) and span.parent_span_id not in present for span in spans),
        root_span_id="" if root.parent_span_id else root.span_id, failing_span_id="",
        error_types=values("error_type"), error_message=errors[0].error_message if errors else "", workflows=values("workflow"),
        agents=values("agent"), versions=values("version"), environment=root.environment, prompts=values("prompt_name"),
        session_id=next(iter(values("session_id")), ""), user_id=next(iter(values("user_id")), ""), llm_calls=0,
        input_tokens=0, output_tokens=0, cached_input_tokens=0, cache_creation_input_tokens=0, reasoning_tokens=0,
        cache_creation_1h_input_tokens=0, input_audio_tokens=0, output_audio_tokens=0, cost_usd=None, supplied_cost_usd=None,
        compared_cost_usd=None, cost_difference_usd=None, unpriced_models=[], tools=[], models=[], error_fingerprint="",
        escalation_reasons=[], handed_over=False, handoff_reasons=[], retried_calls=0, loops=0, looping_calls=0, wasted_tokens=0,
        wasted_cost_usd=0.0,
    )  # fmt: skip
