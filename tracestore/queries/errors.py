"""Failed traces by the error they failed with: the rows of the errors page, and what one error has to do with.

The column `error_fingerprint` of `traces` names the error (tracestore/fingerprint.py); it is "" for what did not fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import DAY_NS, TimeRange

# An error that was not seen for so long before the range is new in it.
LOOKBACK_DAYS = 90
MAX_GROUPS = 500
SORTS = {
    "traces": "traces DESC, last_ns DESC",
    "last": "last_ns DESC, fingerprint",
    "first": "first_ns DESC, fingerprint",
    "users": "users DESC, traces DESC",
}
_FAILED = f"{IN_RANGE} AND error_fingerprint != ''"


def _by_frequency(most: int, values: str) -> str:
    """Return SQL for the most frequent elements of an array column of a group, the most frequent first; of two alike by name."""
    return f"arrayMap(x -> x.1, arraySort(x -> (-toInt64(x.2), x.1), topKArray({most}, 3, 'counts')({values})))"


# An alias must not be the name of a column: the condition would mean the alias.
# The newest trace of a group stands for it: only its key is carried along, texts would fill memory with many groups.
_FIND_ERRORS = f"""
SELECT error_fingerprint AS fingerprint, count() AS traces, uniqExactIf(user_id, user_id != '') AS users,
    toUnixTimestamp64Nano(min(start_time)) AS first_ns, toUnixTimestamp64Nano(max(start_time)) AS last_ns,
    lower(hex(argMax(trace_id, start_time))) AS newest_id,
    {_by_frequency(50, "versions")} AS seen_versions,
    {_by_frequency(20, "arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`)")} AS failed_tools,
    sumMap([toUnixTimestamp(toStartOfInterval(start_time, toIntervalSecond({{step_s:UInt32}})))], [toUInt64(1)]) AS trend
FROM traces FINAL
WHERE {_FAILED} AND %s
GROUP BY fingerprint
ORDER BY %s
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}
"""
_SAMPLES = f"""
SELECT error_fingerprint, if(empty(error_types), '', toString(error_types[1])), error_message, toString(outcome_rule),
    if(failing_span_id = toFixedString('', 8), '', lower(hex(failing_span_id)))
FROM traces FINAL
PREWHERE {IN_RANGE} AND (start_time, trace_id) IN (
    SELECT fromUnixTimestamp64Nano(key.1), toFixedString(unhex(key.2), 16)
    FROM (SELECT arrayJoin(arrayZip({{starts_ns:Array(Int64)}}, {{trace_ids:Array(String)}})) AS key)
)
{FINAL_SETTINGS}, max_threads = 1
"""
# Without FINAL, which would merge months of summaries: a summary that was replaced had the error when it was written.
_FIRST_SEEN = f"""
SELECT error_fingerprint, toUnixTimestamp64Nano(min(start_time))
FROM traces
WHERE {IN_RANGE} AND error_fingerprint IN {{fingerprints:Array(String)}}
GROUP BY error_fingerprint
"""
# A trace that ran without a version says nothing about where the error came in.
_FIRST_VERSIONS = f"""
SELECT error_fingerprint, toString(argMin(versions[1], start_time))
FROM traces
WHERE {IN_RANGE} AND error_fingerprint IN {{fingerprints:Array(String)}} AND notEmpty(versions)
GROUP BY error_fingerprint
"""
# Versions of an error's traces that began after a moment of its own; "" stands for a trace without a version.
_VERSIONS_AFTER = f"""
SELECT error_fingerprint,
    groupUniqArrayArray(200)(if(empty(versions), [''], arrayMap(x -> toString(x), versions)))
FROM traces FINAL
WHERE {IN_RANGE} AND error_fingerprint IN {{fingerprints:Array(String)}}
    AND toUnixTimestamp64Nano(start_time)
        > transform(toString(error_fingerprint), {{fingerprints:Array(String)}}, {{after_ns:Array(Int64)}}, toInt64(0))
GROUP BY error_fingerprint
{FINAL_SETTINGS}
"""
# For a badge of a page that is worth having without it: it may not keep the machine busy.
_COUNT_OTHERS = f"""
SELECT count()
FROM traces FINAL
WHERE {IN_RANGE} AND error_fingerprint = {{fingerprint:String}} AND trace_id != unhex({{trace_id:String}})
{FINAL_SETTINGS}, max_execution_time = 3
"""
_FIND_ONSET = f"""
SELECT toUnixTimestamp64Nano(min(start_time)), toString(argMin(versions[1], start_time)),
    lower(hex(argMin(trace_id, start_time)))
FROM traces
WHERE {IN_RANGE} AND error_fingerprint = {{fingerprint:String}}
HAVING count() > 0
SETTINGS max_execution_time = 3
"""
# A trace counts once for each of its values; ('', '') counts it once.
_BREAKDOWN = f"""
SELECT dimension, value, traces, first_ns, last_ns
FROM
(
    SELECT pair.1 AS dimension, pair.2 AS value, count() AS traces,
        toUnixTimestamp64Nano(min(start_time)) AS first_ns, toUnixTimestamp64Nano(max(start_time)) AS last_ns
    FROM
    (
        SELECT start_time, arrayJoin(arrayConcat(
            arrayMap(x -> ('version', toString(x)), arrayDistinct(versions)),
            arrayMap(x -> ('tool_error', toString(x)),
                     arrayDistinct(arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`))),
            arrayMap(x -> ('agent', toString(x)), arrayDistinct(agents)),
            arrayMap(x -> ('model', toString(x)), arrayDistinct(`models.model`)),
            arrayMap(x -> ('service', toString(x)), arrayDistinct(services)),
            [('env', toString(environment))])) AS pair
        FROM traces FINAL
        WHERE {_FAILED} AND %s
    )
    GROUP BY dimension, value
)
WHERE value != ''
ORDER BY dimension, traces DESC, value
LIMIT {{values:UInt32}} BY dimension
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class ErrorGroup:
    """An error and the failed traces of a range that failed with it.

    `error_type`, `message` and `failing_span_id` are those of the newest trace, `trace_id`; `rule` decided that it failed.
    `first_seen_ns` looks LOOKBACK_DAYS back before the range. `trend` is (bucket start in ns, traces) without empty buckets.
    `tools` are those that failed in one of the traces. Versions and tools: the most frequent first.
    """

    fingerprint: str
    error_type: str
    message: str
    rule: str
    traces: int
    users: int
    first_seen_ns: int
    last_ns: int
    versions: list[str]
    tools: list[str]
    trend: list[tuple[int, int]]
    trace_id: str
    failing_span_id: str
    is_new: bool


@dataclass(frozen=True)
class Share:
    """How many traces with the error have this value, and when they began (ns)."""

    dimension: str
    value: str
    traces: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class _Row:
    fingerprint: str
    traces: int
    users: int
    first_ns: int
    last_ns: int
    newest_id: str
    seen_versions: list[str]
    failed_tools: list[str]
    trend: tuple[list[int], list[int]]


def find_errors(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, sort: str = "traces", limit: int = MAX_GROUPS,
    step_s: int | None = None,
) -> list[ErrorGroup]:  # fmt: skip
    """Group the failed traces of the range that match by their error. `sort` is a key of SORTS, `step_s` the trend's bucket.

    Raises QueryTooExpensive or StoreUnavailable.
    """
    params = Params()
    sql = _FIND_ERRORS % (trace_predicate(query, params), SORTS[sort])
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    step_s = step_s or time_range.step_s(24)
    rows = store.query(sql, _Row, **scope, **params.values, limit=limit, step_s=step_s)
    if not rows:
        return []
    samples = {
        fingerprint: values
        for fingerprint, *values in store.query_rows(
            _SAMPLES, project_id=project_id, start_ns=min(row.last_ns for row in rows),
            end_ns=max(row.last_ns for row in rows) + 1, starts_ns=[row.last_ns for row in rows],
            trace_ids=[row.newest_id for row in rows],
        )
    }  # fmt: skip
    first_seen = _find_first_seen(store, project_id, [row.fingerprint for row in rows], time_range)
    groups = []
    for row in rows:
        # A trace may have been summarised again since the first query: then it has no sample, and is gone a moment later.
        error_type, message, rule, failing_span_id = samples.get(row.fingerprint, ["", "", "", ""])
        earliest_ns = min(first_seen.get(row.fingerprint, row.first_ns), row.first_ns)
        groups.append(
            ErrorGroup(
                fingerprint=row.fingerprint,
                error_type=error_type,
                message=message,
                rule=rule,
                traces=row.traces,
                users=row.users,
                first_seen_ns=earliest_ns,
                last_ns=row.last_ns,
                versions=row.seen_versions,
                tools=row.failed_tools,
                trend=[(start_s * 10**9, count) for start_s, count in zip(*row.trend, strict=True)],
                trace_id=row.newest_id,
                failing_span_id=failing_span_id,
                is_new=earliest_ns >= time_range.start_ns,
            )
        )
    return groups


def _find_first_seen(store: Store, project_id: int, fingerprints: list[str], time_range: TimeRange) -> dict[str, int]:
    """Return when each error was first seen, in ns, over the range and LOOKBACK_DAYS before it."""
    start_ns = max(0, time_range.start_ns - LOOKBACK_DAYS * DAY_NS)
    rows = store.query_rows(
        _FIRST_SEEN, project_id=project_id, start_ns=start_ns, end_ns=time_range.end_ns, fingerprints=fingerprints
    )
    return {str(fingerprint): int(first_ns) for fingerprint, first_ns in rows}


def find_first_versions(store: Store, *, project_id: int, fingerprints: list[str], time_range: TimeRange) -> dict[str, str]:
    """Return, by fingerprint, the version of the first trace that failed with it, over the range and LOOKBACK_DAYS before it.

    Errors that were only seen in traces without a version are absent.
    """
    if not fingerprints:
        return {}
    start_ns = max(0, time_range.start_ns - LOOKBACK_DAYS * DAY_NS)
    rows = store.query_rows(
        _FIRST_VERSIONS, project_id=project_id, start_ns=start_ns, end_ns=time_range.end_ns, fingerprints=fingerprints
    )
    return {str(fingerprint): str(version) for fingerprint, version in rows}


def find_versions_after(store: Store, *, project_id: int, after_ns: dict[str, int], end_ns: int) -> dict[str, set[str]]:
    """Return, by fingerprint, the versions of traces that failed with it after its moment.

    A trace without a version counts as version "". Errors that were not seen after their moment are absent, as is what lies
    more than LOOKBACK_DAYS before `end_ns`.
    """
    if not after_ns:
        return {}
    rows = store.query_rows(
        _VERSIONS_AFTER, project_id=project_id, start_ns=max(0, end_ns - LOOKBACK_DAYS * DAY_NS, min(after_ns.values())),
        end_ns=end_ns, fingerprints=list(after_ns), after_ns=list(after_ns.values()),
    )  # fmt: skip
    return {str(fingerprint): set(versions) for fingerprint, versions in rows}


def count_other_traces(store: Store, *, project_id: int, time_range: TimeRange, fingerprint: str, trace_id: str) -> int:
    """Count the traces of the range that failed with this error, without `trace_id`. Raises QueryTooExpensive after 3 s."""
    rows = store.query_rows(
        _COUNT_OTHERS, project_id=project_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns, fingerprint=fingerprint,
        trace_id=trace_id,
    )  # fmt: skip
    return int(rows[0][0])


@dataclass(frozen=True)
class Onset:
    """The first trace that failed with an error: its start, its version ("" without one), its id."""

    start_ns: int
    version: str
    trace_id: str


def find_onset(store: Store, *, project_id: int, fingerprint: str, end_ns: int) -> Onset | None:
    """Return how an error began, within the LOOKBACK_DAYS before `end_ns`, None when it was not seen in them.

    Raises QueryTooExpensive after 3 s.
    """
    start_ns = max(0, end_ns - LOOKBACK_DAYS * DAY_NS)
    rows = store.query_rows(_FIND_ONSET, project_id=project_id, start_ns=start_ns, end_ns=end_ns, fingerprint=fingerprint)
    return Onset(*rows[0]) if rows else None


def count_shares(store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 8) -> dict[str, list[Share]]:
    """Count the failed traces that match by version, failed tool, agent, model, service and environment.

    Keys are names of fields of the language; each has at most `limit` values, most frequent first.
    """
    params = Params()
    rows = store.query(
        _BREAKDOWN % trace_predicate(query, params), Share, project_id=project_id, start_ns=time_range.start_ns,
        end_ns=time_range.end_ns, values=limit, **params.values,
    )  # fmt: skip
    shares: dict[str, list[Share]] = {}
    for row in rows:
        shares.setdefault(row.dimension, []).append(row)
    return shares
