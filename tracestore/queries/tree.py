"""The steps of a trace as its page draws them, and which of them hold a text. No payload is read but by the search."""

from __future__ import annotations

from typing import Any, NamedTuple

from tracestore.clickhouse.client import Store
from tracestore.prices.catalogue import TOKEN_CLASSES, TokenUsage
from tracestore.prices.pricing import Call, price_each
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.handoffs import IS_HANDOFF, TARGET_BY_NAME, TOLD_TARGET
from tracestore.queries.spans import PRICED_KINDS, find_trace_times
from tracestore.timerange import TimeRange

_OF_TRACE = f"{IN_RANGE} AND trace_id = unhex({{trace_id:String}})"
_PLAIN = (
    "name", "kind", "duration_ns", "is_error", "error_type", "service", "agent", "tool", "provider", "request_model",
    "response_model", *TOKEN_CLASSES, "service_tier", "signal",
)  # fmt: skip
_KIND, _PROVIDER, _ASKED, _ANSWERED, _INPUT, _OUTPUT, _TIER = (
    3 + _PLAIN.index(name)
    for name in ("kind", "provider", "request_model", "response_model", "input_tokens", "output_tokens", "service_tier")
)
# A span that was sent twice has two rows until a merge: the one received last counts.
_STEPS = f"""
SELECT lower(hex(span_id)), if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))),
    toUnixTimestamp64Nano(start_time), {", ".join(_PLAIN)}
FROM (SELECT * FROM spans WHERE {_OF_TRACE} ORDER BY received_at DESC LIMIT 1 BY span_id)
ORDER BY start_time, span_id
LIMIT {{limit:UInt32}}
"""
_HANDOFFS = f"""
SELECT lower(hex(span_id)), any(arrayFirst(x -> x != '', [{TOLD_TARGET}, {TARGET_BY_NAME}]))
FROM spans WHERE {_OF_TRACE} AND {IS_HANDOFF}
GROUP BY span_id
"""
_PARENTS = f"""
SELECT lower(hex(span_id)), lower(hex(any(parent_span_id))), any(name)
FROM spans WHERE {_OF_TRACE}
GROUP BY span_id
"""
_IDS = f"""
SELECT lower(hex(span_id))
FROM spans WHERE {_OF_TRACE}
GROUP BY span_id
ORDER BY min(start_time), span_id
LIMIT {{limit:UInt64}}
"""
# Whatever the case: what a person would find by reading the step.
_SEARCH = f"""
SELECT DISTINCT lower(hex(span_id))
FROM spans
WHERE {_OF_TRACE} AND arrayExists(
    text -> positionCaseInsensitiveUTF8(text, {{wanted:String}}) > 0,
    arrayConcat([name, status_message, error_type, error_message], mapKeys(attributes), mapValues(attributes), event_names,
        arrayFlatten(arrayMap(m -> mapValues(m), event_attributes)))
)
LIMIT {{limit:UInt32}}
SETTINGS max_execution_time = 5
"""


class Step(NamedTuple):
    """A span without its payload. `parent_span_id` is "" for a root; `model` is the one that answered, else the one asked.

    `handoff_to` is the agent that a hand-off goes to, "" for other steps and where nothing says so.
    """

    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    is_error: bool = False
    error_type: str = ""
    service: str = ""
    agent: str = ""
    tool: str = ""
    request_model: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    handoff_to: str = ""


def find_steps(store: Store, *, project_id: int, trace_id: str, limit: int) -> list[Step]:
    """Return the steps of a trace in start order, at most `limit`. Raises TraceNotFound or StoreError."""
    scope = _scope(store, project_id, trace_id)
    rows = store.query_rows(_STEPS, **scope, limit=limit)
    costs = _price(rows, project_id)
    targets = dict(store.query_rows(_HANDOFFS, **scope)) if any(row[-1] == "agent_handoff" for row in rows) else {}
    return [_read_step(row, costs.get(place), targets.get(row[0], "")) for place, row in enumerate(rows)]


def find_span_ids(store: Store, *, project_id: int, trace_id: str, limit: int = 2**63) -> list[str]:
    """Return the ids of the spans of a trace in start order. Raises TraceNotFound."""
    return [span_id for (span_id,) in store.query_rows(_IDS, **_scope(store, project_id, trace_id), limit=limit)]


def find_ancestors(
    store: Store, *, project_id: int, trace_id: str, span_id: str, limit: int, time_range: TimeRange | None = None
) -> list[tuple[str, str]]:
    """Return (span id, name) of the nearest steps above one, outermost first, at most `limit`. Raises TraceNotFound.

    `time_range` is that of the trace, if known.
    """
    rows = store.query_rows(_PARENTS, **_scope(store, project_id, trace_id, time_range))
    steps = {step: (parent, name) for step, parent, name in rows}
    found: list[tuple[str, str]] = []
    seen = {span_id}
    while len(found) < limit:
        span_id = steps.get(span_id, ("", ""))[0]
        if span_id not in steps or span_id in seen:
            break
        seen.add(span_id)
        found.append((span_id, steps[span_id][1]))
    return found[::-1]


def search_steps(store: Store, *, project_id: int, trace_id: str, text: str, limit: int) -> list[str]:
    """Return ids of spans that hold the text anywhere, in any case, also in their payload; at most `limit`, in no order.

    Raises TraceNotFound, and QueryTooExpensive when the payloads cannot be read in five seconds.
    """
    rows = store.query_rows(_SEARCH, **_scope(store, project_id, trace_id), wanted=text, limit=limit)
    return [span_id for (span_id,) in rows]


def _scope(store: Store, project_id: int, trace_id: str, time_range: TimeRange | None = None) -> dict[str, Any]:
    time_range = time_range or find_trace_times(store, project_id=project_id, trace_id=trace_id)
    return {
        "project_id": project_id,
        "trace_id": trace_id,
        "start_ns": time_range.start_ns,
        "end_ns": time_range.end_ns,
    }


def _price(rows: list[tuple[Any, ...]], project_id: int) -> dict[int, float | None]:
    """Return what calls cost in USD, by place; as SpanSummary has it, of all calls at once."""
    places = [place for place, row in enumerate(rows) if (row[_INPUT] or row[_OUTPUT]) and row[_KIND] in PRICED_KINDS]
    calls = [
        Call(
            row[_PROVIDER], row[_ASKED], row[_ANSWERED], row[_TIER], row[2],
            TokenUsage(*row[_INPUT : _INPUT + len(TOKEN_CLASSES)]),
        )
        for row in map(rows.__getitem__, places)
    ]  # fmt: skip
    return dict(zip(places, price_each(calls, project_id), strict=True))


def _read_step(row: tuple[Any, ...], cost_usd: float | None, handoff_to: str) -> Step:
    span_id, parent_span_id, start_ns, name, kind, duration_ns, is_error, error_type, service, agent, tool = row[:11]
    asked, answered = row[_ASKED], row[_ANSWERED]
    return Step(
        span_id, parent_span_id, name, kind, start_ns, duration_ns, bool(is_error), error_type, service, agent, tool, asked,
        answered or asked, row[_INPUT], row[_OUTPUT], cost_usd, handoff_to,
    )  # fmt: skip
