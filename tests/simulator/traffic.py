"""Weeks of an invented agent's traffic, with incidents whose cause is known.

Written as rows of `traces`, as the summary job leaves them, by one INSERT SELECT; `rollups` are then computed from them by the
product's own statement. Spans are not written: a week of them would take longer than everything that is tested with it.
Everything is random and repeats with its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tracestore.clickhouse.client import Store
from tracestore.queries.rollups import recompute_rollups
from tracestore.timerange import NS_PER_S, TimeRange

PROJECT_ID = 1
PEAK_PER_MINUTE = 30
PAST_VERSION, VERSION, BAD_VERSION = "v6", "v7", "v8"


class Kind(StrEnum):
    """What goes wrong, and to what: the values below are true causes of their incidents."""

    TOOL_OUTAGE = "tool outage"  # calls of the tool refund fail
    MODEL_OUTAGE = "model outage"  # calls of claude-haiku-4-5 fail
    SLOW_MODEL = "slow model"  # claude-haiku-4-5 takes eight times as long
    COST_LEAK = "cost leak"  # runs of the agent summariser cost thirty times as much
    BAD_VERSION = "bad version"  # v8 gets one request in twenty and fails one in four
    LOOP = "loop"  # the agent planner asks for search over and over
    TRAFFIC_DROP = "traffic drop"  # hardly anything arrives
    GREEDY_USER = "greedy user"  # user-13 sends one request in five


# Field of the query language and value that an alert about the incident should name; a drop has no traces to name one.
CAUSES: dict[Kind, tuple[str, str]] = {
    Kind.TOOL_OUTAGE: ("tool", "refund"),
    Kind.MODEL_OUTAGE: ("model", "claude-haiku-4-5"),
    Kind.SLOW_MODEL: ("model", "claude-haiku-4-5"),
    Kind.COST_LEAK: ("agent", "summariser"),
    Kind.BAD_VERSION: ("version", BAD_VERSION),
    Kind.LOOP: ("loops", ">0"),
    Kind.GREEDY_USER: ("user", "user-13"),
}


@dataclass(frozen=True)
class Incident:
    """[start, end) of something that goes wrong."""

    kind: Kind
    start: datetime
    end: datetime

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(to_ns(self.start), to_ns(self.end))


@dataclass(frozen=True)
class Traffic:
    """[start, end) with these incidents, at most one of each kind. The peak is at 15:00 UTC on weekdays, the low at 3:00.

    All of it ran v7, or v6 before `released`; nothing else changed with that.
    """

    start: datetime
    end: datetime
    incidents: tuple[Incident, ...] = ()
    seed: int = 1
    released: datetime | None = None
    peak_per_minute: int = PEAK_PER_MINUTE
    project_id: int = PROJECT_ID

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(to_ns(self.start), to_ns(self.end))


def to_ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S


def _during(kind: Kind) -> str:
    name = kind.name.lower()
    return f"(at_ns >= {{{name}_start:Int64}} AND at_ns < {{{name}_end:Int64}})"


def _chance(purpose: int) -> str:
    """A number from 0 to 1 that is another for each purpose."""
    return f"(cityHash64({{seed:UInt64}}, n, {purpose}) % 1000003 / 1000003)"


def _normal(purpose: int) -> str:
    """A standard normal number (Box and Muller 1958)."""
    return f"(sqrt(-2 * log(greatest({_chance(purpose)}, 1e-9))) * cos(6.283185 * {_chance(purpose + 1)}))"


_WRITE = f"""
INSERT INTO traces (project_id, trace_id, start_time, duration_ns, name, service, services, outcome, outcome_rule, has_errors,
    escalated, span_count, error_count, root_span_id, error_types, error_message, workflows, agents, versions, environment,
    session_id, user_id, llm_calls, llm_errors, retried_calls, loops, looping_calls, wasted_tokens,
    wasted_cost_usd, input_tokens, output_tokens, cost_usd, tools.name, tools.calls, tools.errors,
    models.model, models.provider, models.calls, models.errors, models.input_tokens, models.output_tokens,
    models.cached_input_tokens, models.cost_usd, models.supplied_cost_usd, models.compared_cost_usd,
    models.cost_difference_usd, summarized_at, is_deleted)
SELECT {{project_id:UInt32}}, reinterpretAsFixedString(sipHash128({{seed:UInt64}}, n)), fromUnixTimestamp64Nano(at_ns),
    toUInt64(seconds * 1e9), concat('invoke_agent ', agent), 'support-bot', ['support-bot'], if(failed, 'error', 'ok'),
    if(failed, 'root_status', 'root_ok'), failed OR has(tool_faults, 1), {_chance(20)} < 0.03,
    1 + calls + arraySum(tool_calls), failed + arraySum(tool_faults), toFixedString('root', 8), if(error = '', [], [error]),
    if(error = '', '', concat(error, ': gave up')), [concat(agent, '-flow')], [agent], [version], 'production',
    concat('session-', toString(cityHash64({{seed:UInt64}}, n, 21) % 100000)), user, calls,
    if(model_down, calls, 0), retries, circles, if(loops, 49, 2 * circles), toUInt64(wasted * calls * 1020), wasted * usd,
    calls * 900, calls * 120, usd, tools, tool_calls, tool_faults,
    [model], [if(model = 'gpt-5-mini', 'openai', 'anthropic')], [calls],
    [if(model_down, calls, 0)], [calls * 900], [calls * 120], [0], [usd], [NULL], [NULL], [NULL],
    fromUnixTimestamp64Nano(at_ns + 60000000000), 0
FROM
(
    SELECT *, has(tool_faults, 1) AND {_chance(10)} < 0.8 AS tool_failed,
        model_down OR tool_failed OR {_chance(11)} < if(version = '{BAD_VERSION}', 0.25, 0.003) AS failed,
        multiIf(model_down, 'APIConnectionError', tool_failed, 'TimeoutError', failed, 'ValueError', '') AS error,
        if(loops, 60, 1 + cityHash64({{seed:UInt64}}, n, 12) % 4) AS calls,
        if(loops, 20, 1) * if(slow, 8, 1) * 4 * exp(0.5 * {_normal(30)}) AS seconds,
        -- Some runs try a call again, a few ask the same three times: part of their cost.
        {_chance(40)} < 0.03 AS retries, loops OR {_chance(41)} < 0.002 AS circles,
        multiIf(loops, 0.95, circles, 0.5, retries, 0.3, 0.) AS wasted,
        calls * 0.003 * exp(0.4 * {_normal(32)}) * if(leaks, 30, 1) * if(loops, 10, 1) AS usd,
        arrayMap(tool -> toUInt32(if(loops AND tool = 'search', 50, 1)), tools) AS tool_calls
    FROM
    (
        SELECT n, at_ns,
            {_during(Kind.BAD_VERSION)} AND {_chance(2)} < 0.05 AS is_new,
            if(is_new, '{BAD_VERSION}', if(at_ns < {{released_ns:Int64}}, '{PAST_VERSION}', '{VERSION}')) AS version,
            if({_chance(3)} < 0.25, 'claude-haiku-4-5', 'gpt-5-mini') AS model,
            multiIf({_chance(4)} < 0.1, 'planner', {_chance(4)} < 0.3, 'summariser', 'support') AS agent,
            if({_during(Kind.GREEDY_USER)} AND {_chance(5)} < 0.2, 'user-13',
                concat('user-', toString(cityHash64({{seed:UInt64}}, n, 6) % 400))) AS user,
            {_during(Kind.MODEL_OUTAGE)} AND model = 'claude-haiku-4-5' AS model_down,
            {_during(Kind.SLOW_MODEL)} AND model = 'claude-haiku-4-5' AS slow,
            {_during(Kind.COST_LEAK)} AND agent = 'summariser' AS leaks,
            {_during(Kind.LOOP)} AND agent = 'planner' AND {_chance(7)} < 0.5 AS loops,
            arrayFilter(tool -> cityHash64({{seed:UInt64}}, n, tool) % 100 < if(loops AND tool = 'search', 100,
                transform(tool, ['lookup', 'search', 'refund'], [80, 50, 25], 0)), ['lookup', 'search', 'refund']) AS tools,
            arrayMap(tool -> toUInt32(cityHash64({{seed:UInt64}}, n, tool, 8) % 1000
                < if(tool = 'refund' AND {_during(Kind.TOOL_OUTAGE)}, 950, 3)), tools) AS tool_faults
        FROM
        (
            SELECT number AS n, toInt64({{start_ns:Int64}} + cityHash64({{seed:UInt64}}, n, 0) % {{range_ns:UInt64}}) AS at_ns,
                fromUnixTimestamp64Nano(at_ns, 'UTC') AS at,
                0.15 + 0.85 * (0.5 - 0.5 * cos(6.283185 * (toHour(at) + toMinute(at) / 60 - 3) / 24)) AS daily,
                if(toDayOfWeek(at) > 5, 0.45, 1.) AS weekly,
                0.85 + 0.15 * (cityHash64({{seed:UInt64}}, toStartOfHour(at)) % 1000 / 1000) AS noise
            FROM numbers({{candidates:UInt64}})
            WHERE {_chance(1)} < daily * weekly * noise * if({_during(Kind.TRAFFIC_DROP)}, 0.02, 1.)
        )
    )
)
"""


def write_traffic(store: Store, traffic: Traffic) -> None:
    """Write the traces of the range and their rollups."""
    time_range = traffic.time_range
    times: dict[str, int] = {}
    for kind in Kind:
        found = [incident for incident in traffic.incidents if incident.kind is kind]
        assert len(found) <= 1, f"two incidents are a {kind}"
        start_ns, end_ns = (found[0].time_range.start_ns, found[0].time_range.end_ns) if found else (0, 0)
        times |= {f"{kind.name.lower()}_start": start_ns, f"{kind.name.lower()}_end": end_ns}
    store.command(
        _WRITE,
        project_id=traffic.project_id,
        seed=traffic.seed,
        start_ns=time_range.start_ns,
        range_ns=time_range.end_ns - time_range.start_ns,
        candidates=int(time_range.duration_s / 60 * traffic.peak_per_minute),
        released_ns=to_ns(traffic.released or traffic.start),
        **times,
    )
    minutes = range(time_range.start_ns // NS_PER_S, time_range.end_ns // NS_PER_S, 60)
    recompute_rollups(store, project_id=traffic.project_id, bucket_starts_s=minutes)
