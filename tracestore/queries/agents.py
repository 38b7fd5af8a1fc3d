"""Who calls whom in a selection of traces: counts, failures, times and tokens of each pair of agent, model and tool.

Computed from `spans`. A step belongs to the agent that it names itself, else to the nearest step above it that names one, at most
MAX_STEPS_ABOVE up: that many joins of the selection with itself, each on one number a span. What has no agent above it belongs
to its service. Model calls inside model calls, tools inside the same tool, agents inside the same agent and copies of a span
count once, as in the summary of a trace (tracestore/summary/calls.py).

A selection of more than MAX_SPANS spans is sampled by whole traces, by a hash of their ids: shares stay what they are, and the
same question has the same answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from tracestore.agent_graph import AGENT, HANDOFF, MODEL, PERSON, SERVICE, TOOL, AgentGraph, Pair, build_graph, slug_of
from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.handoffs import IS_HANDOFF, TARGET_BY_NAME, TARGET_OF_TOOL, TOLD_TARGET
from tracestore.queries.predicates import REACH_DAYS, trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.summary.requests import ReadSignal, find_signal
from tracestore.timerange import DAY_NS, TimeRange

MAX_SPANS = 2_000_000
# Most steps stand close to their agent; only where some do not is the way up followed further.
STEPS_ABOVE = (3, 8)
MAX_STEPS_ABOVE = STEPS_ABOVE[-1]
# The most frequent ones: names that a run makes up are not worth a graph.
MAX_PAIRS = 2_000

# {matching} is the condition of the query; what is sampled is the same on every run.
_SAMPLED = "cityHash64(trace_id) % {sampled_one_in:UInt64} = 0"
_MATCHING = f"{IN_RANGE} AND {{matching}} AND {_SAMPLED}"
_TOTALS = f"""
SELECT count(), countIf(outcome = 'error'), countIf(escalated), sum(span_count), countIf(handed_over)
FROM traces FINAL
WHERE {_MATCHING}
{FINAL_SETTINGS}
"""
_MODEL_COSTS = f"""
SELECT cost.1 AS model, sum(assumeNotNull(cost.2))
FROM (
    SELECT arrayJoin(arrayFilter(x -> isNotNull(x.2), arrayZip(`models.model`, `models.cost_usd`))) AS cost
    FROM traces FINAL
    WHERE {_MATCHING}
)
GROUP BY model
{FINAL_SETTINGS}
"""
# The last moment at which a trace of the range still ran.
_LAST_END_NS = f"max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, {REACH_DAYS * DAY_NS})))"
_KEY = "cityHash64(trace_id, span_id)"
_PARENT_KEY = "if(parent_span_id = toFixedString('', 8), 0, cityHash64(trace_id, parent_span_id))"
_IS_MODEL_CALL = "kind IN ('llm', 'embedding')"
# A model that is known by its answer alone, without the date of its snapshot, as summaries call it.
_MODEL = r"if(request_model != '', request_model, replaceRegexpOne(response_model, '-(20\\d{2}-\\d{2}-\\d{2}|20\\d{6})$', ''))"
_IN_REACH = f"""project_id = {{project_id:UInt32}} AND start_time >= fromUnixTimestamp64Nano({{start_ns:Int64}})
      AND start_time <= (SELECT fromUnixTimestamp64Nano({_LAST_END_NS}) FROM traces WHERE {IN_RANGE})"""
# Read once for all joins: reading the selection anew for each took three quarters of the time.
_SELECTED = f"""
    SELECT {_KEY} AS key, {_PARENT_KEY} AS up, cityHash64(trace_id) AS trace, kind, tool, {_MODEL} AS model,
        {TARGET_BY_NAME} AS target, agent AS own_label, if(agent = '' AND kind = 'agent', name, agent) AS label, service, signal,
        tool_call_id, status, is_error, duration_ns, input_tokens, output_tokens, cache_read_tokens, provider
    FROM spans
    WHERE {_IN_REACH}
      AND trace_id IN (SELECT trace_id FROM traces FINAL WHERE {_MATCHING} {FINAL_SETTINGS})"""

# Whom a hand-off goes to where the name of its tool or span does not tell; attributes are read for hand-offs alone.
_TOLD = f"""
    SELECT {_KEY} AS key, any({TOLD_TARGET}) AS told
    FROM spans
    WHERE {_IN_REACH} AND {IS_HANDOFF} AND {_KEY} IN (SELECT key FROM selected WHERE {IS_HANDOFF})
    GROUP BY key"""

# Two spans of one call, the client's and the server's: it failed when either did.
_CALL = "cityHash64(trace, tool, tool_call_id)"
_STEPS = f"""
    SELECT key, up, trace, if(told != '', told, target) AS passed_to,
        multiIf(passed_to != '', '{HANDOFF}', {_IS_MODEL_CALL}, '{MODEL}', kind = 'agent', '{AGENT}', kind = 'tool', '{TOOL}',
            '{PERSON}') AS callee_kind,
        toLowCardinality(multiIf(passed_to != '', passed_to, {_IS_MODEL_CALL}, model, kind = 'agent', label, kind = 'tool', tool,
            '')) AS callee,
        if(callee_kind = '{AGENT}', callee, '') AS own_agent, if(callee_kind = '{AGENT}', '', own_label) AS caller,
        false AS is_repeated, service, signal = 'human_escalation' AS is_escalation, duration_ns,
        if(kind = 'tool' AND tool_call_id != '', {_CALL}, key) AS call,
        multiIf(is_error, true, kind != 'tool', false, status != 'ok' AND key IN (
            SELECT up FROM selected WHERE kind = 'other' AND is_error), true, call IN (
            SELECT {_CALL} FROM selected WHERE kind = 'tool' AND is_error)) AS failed,
        input_tokens, output_tokens, cache_read_tokens, provider
    FROM selected ANY LEFT JOIN ({_TOLD}) AS named USING (key)
    WHERE (kind IN ('agent', 'llm', 'embedding', 'tool') OR passed_to != '' OR signal = 'human_escalation')
      AND signal != 'refused_call'
      AND NOT ({_IS_MODEL_CALL} AND key IN (SELECT up FROM selected WHERE {_IS_MODEL_CALL} AND up != 0))
      AND NOT (kind = 'tool' AND key IN (SELECT up FROM selected WHERE kind = 'other' AND signal = 'refused_call'))"""
# What no span tells, and summaries took from the answers of models (summary/requests.py). Of several agents those that ran side
# by side, one after the other, handed over; one agent or none handed over to whom the names of tools say that it was asked for.
_UNTOLD = f"""
SELECT before, label, count() AS calls, uniq(trace_id)
FROM (
    SELECT trace_id, label, lagInFrame(label) OVER (PARTITION BY trace_id, parent_span_id ORDER BY start_time, span_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM (
        SELECT trace_id, span_id, parent_span_id, start_time, toString(if(agent = '', name, agent)) AS label
        FROM spans
        WHERE {_IN_REACH} AND kind = 'agent'
          AND trace_id IN (SELECT trace_id FROM traces FINAL WHERE {_MATCHING} AND handed_over {FINAL_SETTINGS})
          AND trace_id NOT IN (SELECT trace_id FROM spans WHERE {_IN_REACH} AND {_SAMPLED} AND signal = 'agent_handoff')
        LIMIT 1 BY trace_id, span_id
    )
)
WHERE before NOT IN ('', label)
GROUP BY before, label
ORDER BY calls DESC, before, label
LIMIT {{max_pairs:UInt32}}
"""
_ASKED = f"""
SELECT empty(agents), toString(if(empty(agents), service, agents[1])) AS caller, toString(tool.1) AS asked, count() AS calls
FROM (
    SELECT agents, service, arrayJoin(arrayFilter(t -> t.2 = 0, arrayZip(`tools.name`, `tools.calls`))) AS tool
    FROM traces FINAL
    WHERE {_MATCHING} AND (handed_over OR escalated) AND length(agents) < 2
)
GROUP BY 1, caller, asked
ORDER BY calls DESC, caller, asked
LIMIT {{max_pairs:UInt32}}
{FINAL_SETTINGS}
"""
_CARRIED = (
    "key", "trace", "callee_kind", "callee", "own_agent", "service", "is_escalation", "call", "duration_ns", "failed",
    "input_tokens", "output_tokens", "cache_read_tokens", "provider",
)  # fmt: skip


def _climb(steps: str, *, is_first: bool) -> str:
    """Return the steps with what the span above the one looked at last says about their agent."""
    carried = ", ".join(f"s.{name} AS {name}" for name in _CARRIED)
    in_same_tool = f"s.callee_kind = '{TOOL}' AND p.kind = 'tool' AND p.tool = s.callee" if is_first else "false"
    in_same_agent = "s.caller = '' AND s.own_agent != '' AND p.kind = 'agent' AND p.label = s.own_agent"
    found = "if(s.caller != '' OR p.label = s.own_agent, s.caller, p.label)"
    return f"""
    SELECT {carried}, {found} AS caller, s.is_repeated OR {in_same_tool} OR {in_same_agent} AS is_repeated,
        if({found} != '' OR {in_same_agent}, 0, p.up) AS up
    FROM ({steps}) AS s ANY LEFT JOIN (SELECT key, up, label, kind, tool FROM selected) AS p ON s.up = p.key"""


def build_pairs_sql(steps_above: int) -> str:
    """Return SQL for all pairs and, with an empty caller_kind, for what each callee has from all its callers.

    The last column counts steps whose agent may stand further up.
    """
    steps = _STEPS
    for step in range(steps_above):
        steps = _climb(steps, is_first=step == 0)
    return f"""
WITH selected AS MATERIALIZED ({_SELECTED})
SELECT caller_kind, toString(caller_name), callee_kind, toString(callee) AS callee_name, sum(pair_calls) AS calls, sum(errors),
    sum(escalations), uniqMerge(traces), uniqMerge(succeeded), toFloat64(quantileTDigestMerge(0.95)(durations)), sum(tokens_in),
    sum(tokens_out), sum(tokens_cached), toString(any(one_provider)), sum(unresolved)
FROM (
    SELECT if(caller != '', '{AGENT}', '{SERVICE}') AS caller_kind, if(caller != '', caller, service) AS caller_name, callee_kind,
        callee, count() AS pair_calls, countIf(failed) AS errors, countIf(is_escalation) AS escalations,
        uniqState(trace) AS traces, uniqStateIf(trace, NOT failed) AS succeeded,
        quantileTDigestState(0.95)(duration_ns) AS durations,
        sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out, sum(cache_read_tokens) AS tokens_cached,
        any(provider) AS one_provider, countIf(up != 0) AS unresolved
    FROM (SELECT * FROM ({steps}) WHERE NOT is_repeated LIMIT 1 BY call)
    GROUP BY caller_kind, caller_name, callee_kind, callee
)
GROUP BY GROUPING SETS ((caller_kind, caller_name, callee_kind, callee), (callee_kind, callee))
ORDER BY calls DESC, caller_kind, caller_name, callee_kind, callee
LIMIT {{max_pairs:UInt32}}
SETTINGS enable_materialized_cte = 1
"""


def find_agent_graph(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    query: Query,
    max_spans: int = MAX_SPANS,
    read_signal: ReadSignal = find_signal,
) -> AgentGraph:
    """Count who calls whom in the traces of the range that match. An empty graph when there are none.

    `read_signal` tells what a tool that no span tells of does (mapping.build_tool_signals).
    Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    params = Params()
    matching = trace_predicate(query, params)
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns, **params.values}

    def run(sql: str, **more: int) -> list[tuple[Any, ...]]:
        return store.query_rows(sql.replace("{matching}", matching), **scope, **more)

    one_in = 1
    [totals] = run(_TOTALS, sampled_one_in=one_in)
    if int(totals[3]) > max_spans:
        one_in = math.ceil(int(totals[3]) / max_spans)
        [totals] = run(_TOTALS, sampled_one_in=one_in)
    trace_count, failed_count, escalated_count, span_count, handed_over_count = map(int, totals)
    if not trace_count:
        return AgentGraph(sampled_one_in=one_in)
    rows: list[tuple[Any, ...]] = []
    for steps_above in STEPS_ABOVE:
        rows = run(build_pairs_sql(steps_above), sampled_one_in=one_in, max_pairs=MAX_PAIRS)
        if not any(row[-1] for row in rows):
            break
    pairs = [Pair(*row[:-1]) for row in rows]
    if handed_over_count:
        pairs += [
            Pair(AGENT, before, HANDOFF, after, calls, 0, 0, traces, traces, None)
            for before, after, calls, traces in run(_UNTOLD, sampled_one_in=one_in, max_pairs=MAX_PAIRS)
        ]
    if handed_over_count or escalated_count:
        pairs += _read_asked(run(_ASKED, sampled_one_in=one_in, max_pairs=MAX_PAIRS), read_signal)
    costs = {str(model): float(cost_usd) for model, cost_usd in run(_MODEL_COSTS, sampled_one_in=one_in)}
    nodes, edges = build_graph(pairs, costs, time_range.end_ns)
    return AgentGraph(nodes, edges, trace_count, failed_count, escalated_count, span_count, one_in, is_cut=len(rows) == MAX_PAIRS)


def _read_asked(rows: list[tuple[Any, ...]], read_signal: ReadSignal) -> Iterator[Pair]:
    """Return who handed over to whom, from rows of whether the caller is a service, its name, a tool's name, and traces."""
    for is_service, caller, tool, traces in rows:
        signal, target = read_signal(tool), re.search(TARGET_OF_TOOL, tool)
        found = (SERVICE if is_service else AGENT, caller)
        if signal == "human_escalation":
            yield Pair(*found, PERSON, "", traces, 0, 0, traces, traces, None)
        elif signal == "agent_handoff" and target and target[1] != "agent" and slug_of(target[1]) != slug_of(caller):
            yield Pair(*found, HANDOFF, target[1], traces, 0, 0, traces, traces, None)
