"""Measure the reads behind the trace list over generated data: `python -m bench.query [--traces 1600000] [--spans-per-trace 4]`.

Prints one line per question: milliseconds of the fastest and the median of five runs, and how many rows came back.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

_DAYS = 10
_END_NS = 1_790_000_000 * 10**9
_RANGE_S = _DAYS * 86_400
_START_NS = _END_NS - _RANGE_S * 10**9
_SENTENCE = "status:error version:v3 tool:tool-7"
_TRACE_QUERIES = ("", _SENTENCE, "status:error version:v3 tool:none", "duration:>100s cost:>0.05", "user:user-77")
_CONTENT_QUERIES = ("order", '"order 1234567?"', "attr.order.id:599990", "kind:retriever", "model:model-1", "span:chat")
_STRUCTURE_QUERIES = (
    "tool(tool-7){status:error}",
    "tool(tool-7){duration:>1ms} attr.order.id:599990",
    'tool(tool-7) inside span("invoke_agent triage")',
    "tool(tool-7) then llm{}",
    "agent{} calls tool(tool-7){status:error}",
    "count(tool:tool-7):>1",
)
_DAY_NS = 86_400 * 10**9

# 5 % of the traces fail, 2 of 10 run v3, and each of 40 tools is used by 1 of 10: the sentence selects about one in 1,000.
_TRACES = """
INSERT INTO traces SELECT
    1 AS project_id,
    reinterpretAsFixedString(sipHash128(number)) AS trace_id,
    fromUnixTimestamp64Nano(toInt64({start_ns:Int64} + number * {step_ns:Int64})) AS start_time,
    toUInt64(exp(20 + (sipHash64(number, 1) % 1000) / 250)) AS duration_ns,
    concat('invoke_agent ', agents[1]) AS name,
    concat('service-', toString(number % 5)) AS service,
    [service] AS services,
    multiIf(sipHash64(number, 2) % 100 < 5, 'error', sipHash64(number, 2) % 100 < 6, 'running', 'ok') AS outcome,
    'root_status' AS outcome_rule,
    sipHash64(number, 2) % 100 < 12 AS has_errors,
    sipHash64(number, 3) % 100 < 2 AS escalated,
    {spans:UInt32} AS span_count,
    toUInt32(has_errors) AS error_count,
    0 AS orphan_count,
    unhex('0000000000000001') AS root_span_id,
    unhex('0000000000000002') AS failing_span_id,
    if(has_errors, [concat('Error', toString(sipHash64(number, 4) % 12))], []) AS error_types,
    if(has_errors, concat('call ', toString(number), ' timed out'), '') AS error_message,
    [] AS workflows,
    [concat('agent-', toString(sipHash64(number, 5) % 8))] AS agents,
    [concat('v', toString(sipHash64(number, 6) % 5 + 1))] AS versions,
    if(number % 10 = 0, 'staging', 'production') AS environment,
    [] AS prompts,
    concat('session-', toString(intDiv(number, 6))) AS session_id,
    concat('user-', toString(sipHash64(number, 7) % 50000)) AS user_id,
    3 AS llm_calls,
    sipHash64(number, 8) % 20000 AS input_tokens,
    sipHash64(number, 9) % 2000 AS output_tokens,
    0 AS cached_input_tokens, 0 AS cache_creation_input_tokens, 0 AS reasoning_tokens,
    input_tokens * 2e-6 + output_tokens * 8e-6 AS cost_usd,
    NULL AS supplied_cost_usd,
    [] AS unpriced_models,
    arrayDistinct(arrayMap(i -> concat('tool-', toString(sipHash64(number, 10 + i) % 40)), range(4))) AS `tools.name`,
    arrayMap(x -> 1, `tools.name`) AS `tools.calls`,
    arrayMap(x -> 0, `tools.name`) AS `tools.errors`,
    [concat('model-', toString(sipHash64(number, 15) % 6))] AS `models.model`,
    ['openai'] AS `models.provider`, [3] AS `models.calls`, [0] AS `models.errors`, [input_tokens] AS `models.input_tokens`,
    [output_tokens] AS `models.output_tokens`, [0] AS `models.cached_input_tokens`, [cost_usd] AS `models.cost_usd`,
    now64(6) AS summarized_at,
    0 AS is_deleted
FROM numbers({first:UInt64}, {count:UInt64})
"""
_SPANS = """
INSERT INTO spans (project_id, trace_id, span_id, parent_span_id, start_time, duration_ns, name, kind, service, environment, tool,
    version, request_model, response_model, is_error, attributes, attribute_types, received_at)
SELECT
    1, reinterpretAsFixedString(sipHash128(number)), unhex(leftPad(hex(toUInt8(step + 1)), 16, '0')),
    if(step = 0, toFixedString('', 8), unhex('0000000000000001')),
    fromUnixTimestamp64Nano(toInt64({start_ns:Int64} + number * {step_ns:Int64} + step * 1000000)), 5000000,
    if(step = 0, 'invoke_agent triage', if(step % 2 = 1, 'chat', 'execute_tool')),
    if(step = 0, 'agent', if(step % 2 = 1, 'llm', 'tool')), concat('service-', toString(number % 5)), 'production',
    if(step > 0 AND step % 2 = 0, concat('tool-', toString(sipHash64(number, 9 + step) % 40)), ''),
    concat('v', toString(sipHash64(number, 6) % 5 + 1)), if(step % 2 = 1, 'model-1', ''), if(step % 2 = 1, 'model-1-2026', ''),
    step = 2 AND sipHash64(number, 2) % 100 < 12,
    map('gen_ai.input.messages', concat('[{"role":"user","content":"Where is order ', toString(number), '? ',
        arrayStringConcat(arrayMap(i -> hex(sipHash64(number, step, i)), range(20)), ' '), '"}]'), 'order.id', toString(number)),
    'ss', now64(9)
FROM (SELECT number, arrayJoin(range({spans:UInt32})) AS step FROM numbers({first:UInt64}, {count:UInt64}))
"""


def _measure(label: str, read: Callable[[], Any]) -> None:
    times_ms, result = [], None
    for _ in range(5):
        started = time.perf_counter()
        result = read()
        times_ms.append((time.perf_counter() - started) * 1000)
    items = getattr(result, "items", result)
    rows = len(items) if isinstance(items, list) else 1
    print(f"{min(times_ms):8.1f} ms min {statistics.median(times_ms):8.1f} ms median {rows:6d} rows  {label}", flush=True)


def _fill(store: Any, traces: int, spans: int) -> None:
    step_ns = _RANGE_S * 10**9 // traces
    for first in range(0, traces, 100_000):
        count = min(100_000, traces - first)
        values = {"start_ns": _START_NS, "step_ns": step_ns, "first": first, "count": count, "spans": spans}
        store.command(_TRACES, **values)
        if spans:
            store.command(_SPANS, **values)


def main() -> None:
    """Fill a temporary embedded store and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=1_600_000)
    parser.add_argument("--spans-per-trace", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRACESTORE_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "tracestore.settings"
        _run(folder, arguments.traces, arguments.spans_per_trace)


def _run(folder: str, traces: int, spans: int) -> None:
    # Imported here because settings read the environment when they are first used.
    from tracestore.clickhouse.client import Store
    from tracestore.clickhouse.migrate import migrate
    from tracestore.language import parse_query
    from tracestore.queries.cohorts import compare_cohorts
    from tracestore.queries.facets import count_facet
    from tracestore.queries.spans import find_spans
    from tracestore.queries.traces import find_traces, get_trace
    from tracestore.queries.why import Selection, find_differences
    from tracestore.queries.why_attributes import compare_attributes
    from tracestore.timerange import TimeRange

    store = Store(path=folder + "/clickhouse")
    migrate(store)
    started = time.perf_counter()
    _fill(store, traces, spans)
    print(f"{traces:,} traces, {traces * spans:,} spans, {_DAYS} days, written in {time.perf_counter() - started:.0f} s")
    ranges = {"1 day": TimeRange(_END_NS - _DAY_NS, _END_NS), "10 days": TimeRange(_START_NS, _END_NS)}
    for label, time_range in ranges.items():
        for text in _TRACE_QUERIES + (_CONTENT_QUERIES + _STRUCTURE_QUERIES if spans else ()):
            read = partial(find_traces, store, project_id=1, time_range=time_range, query=parse_query(text))
            _measure(f"traces, first page of {label}: {text or 'everything'}", read)
        for field in ("status", "tool", "user"):
            count = partial(count_facet, store, project_id=1, time_range=time_range, query=parse_query(_SENTENCE), field=field)
            _measure(f"facet {field} of {label}", count)
        for text in ("status:error", _SENTENCE, "duration:>100s", *(("order",) if spans else ())):
            explain = partial(find_differences, store, project_id=1, time_range=time_range, against=parse_query(""))
            _measure(f"why, {label}: {text}", partial(explain, selection=Selection(parse_query(text))))
            if spans:
                read_attributes = partial(compare_attributes, store, project_id=1, time_range=time_range, against=parse_query(""))
                _measure(f"why, attributes of {label}: {text}", partial(read_attributes, selection=Selection(parse_query(text))))
        cohorts = partial(compare_cohorts, store, project_id=1, time_range=time_range)
        _measure(f"two versions, {label}", partial(cohorts, a=parse_query("version:v2"), b=parse_query("version:v3")))
        for text in ("", _SENTENCE, "order") if spans else ():
            read_spans = partial(find_spans, store, project_id=1, time_range=time_range, query=parse_query(text))
            _measure(f"spans, first page of {label}: {text or 'everything'}", read_spans)
    if spans:
        page = find_traces(store, project_id=1, time_range=ranges["10 days"], query=parse_query(""))
        _measure("one trace by its id", lambda: get_trace(store, project_id=1, trace_id=page.items[0].trace_id).spans)


if __name__ == "__main__":
    main()
