"""Traces by session and by user: the rows of these two lists, computed from the traces of the range alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.previews import find_previews
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import NS_PER_S, TimeRange

# Both lists, and the column of `traces` that each is about.
SESSION, USER = "session_id", "user_id"
_LAST_NS = "max(toUnixTimestamp64Nano(start_time) + toInt64(duration_ns))"
# Name of an order -> ORDER BY. The first is the default.
SORTS = {
    "last": f"{_LAST_NS} DESC",
    "start": "min(start_time) DESC",
    "traces": "count() DESC",
    "failures": "countIf(outcome = 'error') DESC",
    "escalations": "countIf(escalated) DESC",
    "tokens": "sum(input_tokens) + sum(output_tokens) DESC",
    "cost": "sum(cost_usd) DESC NULLS LAST",
    "duration": f"{_LAST_NS} - toUnixTimestamp64Nano(min(start_time)) DESC",
}

# Two steps: first the order of all groups, of which there may be many, then the rows of one page. An alias must not be the name
# of a column: the condition would mean the alias.
_ORDER = f"""
SELECT %(column)s AS id, count(), %(bound)s
FROM traces FINAL
WHERE {IN_RANGE} AND id != '' AND %(matching)s
GROUP BY id
ORDER BY %(order)s, id
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt32}}
{FINAL_SETTINGS}
"""
# Without FINAL: a summary that was replaced can only make it later.
_LAST_END = f"SELECT {_LAST_NS} FROM traces WHERE {IN_RANGE}"
_RECENT_NS = 2 * 3600 * NS_PER_S
_ROWS = f"""
SELECT %(column)s AS id, count(), countIf(outcome = 'error'), countIf(escalated), toUnixTimestamp64Nano(min(start_time)),
    {_LAST_NS}, sum(input_tokens), sum(output_tokens), sum(cost_usd), countIf(notEmpty(unpriced_models)),
    arraySort(groupUniqArrayIf(3)(%(other)s, %(other)s != '')), uniqExactIf(%(other)s, %(other)s != ''),
    arraySort(groupUniqArrayArray(3)(agents)), arraySort(groupUniqArrayArray(5)(`models.model`)),
    lower(hex(argMin(trace_id, start_time)))
FROM traces FINAL
PREWHERE {IN_RANGE}%(narrowed)s
WHERE id IN {{ids:Array(String)}} AND %(matching)s
GROUP BY id
{FINAL_SETTINGS}
"""
# Fewer traces than there are granules in ten busy days: first which may be theirs, without FINAL and so by the index, then those.
_FEW_TRACES = 500
_NARROWED = f"""
    AND (start_time, trace_id) IN
        (SELECT start_time, trace_id FROM traces WHERE {IN_RANGE} AND %(column)s IN {{ids:Array(String)}})"""
_MODELS = f"""
SELECT used.1 AS model, uniqExact(trace_id) AS traces, sum(used.2) AS calls, sum(used.3) AS errors,
    sum(used.4) AS input_tokens, sum(used.5) AS output_tokens, sum(used.6) AS cost_usd
FROM
(
    SELECT trace_id, arrayJoin(arrayZip(`models.model`, `models.calls`, `models.errors`, `models.input_tokens`,
        `models.output_tokens`, `models.cost_usd`)) AS used
    FROM traces FINAL
    WHERE {IN_RANGE} AND %s
)
GROUP BY model
ORDER BY cost_usd DESC NULLS LAST, calls DESC, model
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class Usage:
    """The traces of one session or user in a range.

    `last_ns` is the end of the one that ended last. `cost_usd` is None when nothing of it has a price, and leaves out the
    `unpriced` traces' calls without one. `others` are some of its users or sessions, of `others_count`. `asked` is what the first
    of a session's traces was asked (TraceSummary), "" for users.
    """

    id: str
    traces: int
    failures: int
    escalations: int
    first_ns: int
    last_ns: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    unpriced: int
    others: list[str]
    others_count: int
    agents: list[str]
    models: list[str]
    first_trace_id: str
    asked: str = ""

    @property
    def duration_ns(self) -> int:
        """From the first start to the last end."""
        return self.last_ns - self.first_ns


@dataclass(frozen=True)
class ModelShare:
    """What a set of traces asked of one model; the cost is None when it has no price."""

    model: str
    traces: int
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


def find_usages(
    store: Store, column: str, *, project_id: int, time_range: TimeRange, query: Query, sort: str = "last", limit: int = 50,
    offset: int = 0,
) -> list[Usage]:  # fmt: skip
    """Group the traces of the range that match by SESSION or USER; `sort` is a key of SORTS.

    Traces without one are left out. Raises QueryTooExpensive or StoreUnavailable.
    """
    params = Params()
    matching = trace_predicate(query, params)
    scope: dict[str, Any] = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    scope |= params.values
    names = {"column": column, "other": USER if column == SESSION else SESSION, "matching": matching, "order": SORTS[sort]}
    order = _find_latest(store, names, scope, limit) if sort == "last" and not offset else []
    order = order or store.query_rows(_ORDER % (names | {"bound": "0"}), **scope, limit=limit, offset=offset)
    if not order:
        return []
    # The traces of a session lie together, those of several users everywhere.
    is_few = sum(traces for _, traces, _ in order) <= _FEW_TRACES and (column == SESSION or len(order) == 1)
    names["narrowed"] = _NARROWED % names if is_few else ""
    rows = {row[0]: row for row in store.query_rows(_ROWS % names, **scope, ids=[name for name, *_ in order])}
    # One whose traces were summarised again since may be gone.
    usages = [Usage(*rows[name]) for name, *_ in order if name in rows]
    if column == USER or not usages:
        return usages
    previews = find_previews(
        store, project_id=project_id, starts_ns=[usage.first_ns for usage in usages],
        trace_ids=[usage.first_trace_id for usage in usages],
    )  # fmt: skip
    return [replace(usage, asked=first.asked) if (first := previews.get(usage.first_trace_id)) else usage for usage in usages]


def _find_latest(store: Store, names: dict[str, str], scope: dict[str, Any], limit: int) -> list[tuple[Any, ...]]:
    """Return what _ORDER does by the last end, from the newest traces alone; nothing where an older one may have ended later."""
    recent_ns = scope["end_ns"] - _RECENT_NS
    if recent_ns <= scope["start_ns"]:
        return []
    recent = scope | {"start_ns": recent_ns}
    order = store.query_rows(_ORDER % (names | {"bound": _LAST_NS}), **recent, limit=limit, offset=0)
    if len(order) < limit:
        return []
    [(older_ns,)] = store.query_rows(_LAST_END, **scope | {"end_ns": recent_ns})
    return order if order[-1][2] > older_ns else []


def count_models(store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 20) -> list[ModelShare]:
    """Add up by model what the traces of the range that match asked, the dearest first."""
    params = Params()
    return store.query(
        _MODELS % trace_predicate(query, params), ModelShare, project_id=project_id, start_ns=time_range.start_ns,
        end_ns=time_range.end_ns, limit=limit, **params.values,
    )  # fmt: skip
