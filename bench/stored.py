"""A store with ten days of an agent's traces, written by SQL and kept between runs.

It lies in $XDG_CACHE_HOME/tracestore-bench, in a folder for each schema and size, and may be deleted at any time. Traces have
8 to 17 spans: the agent's run, its turns of model call, tool call and the HTTP request below that, and the last model call. Their
texts are cut from Zipf's law prose; each model call repeats the conversation so far, and ids are random as real ones are.
One call of a tool in a hundred fails, one in five of tool-7 in version v3: the sentence selects one trace in 500.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bench.bodies import build_text
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.migrate import FOLDER, migrate
from tracestore.clickhouse.part_contents import PartContents
from tracestore.queries.rollups import recompute_hours, recompute_rollups
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

PROJECT_ID = 1
DAYS = 10
END_NS = 1_790_000_000 * NS_PER_S
START_NS = END_NS - DAYS * DAY_NS
RANGES = {"1 day": TimeRange(END_NS - DAY_NS, END_NS), "10 days": TimeRange(START_NS, END_NS)}
SENTENCE = "status:error version:v3 tool:tool-7"
# Traces in one statement, and the time after the start of a trace in which all its spans begin.
_CHUNK, _REACH_NS = 40_000, 300 * NS_PER_S
# The texts of spans are cut from this many words; a compressed block sees too few of them to find its own repetitions.
_WORDS = 600_000

_TEXT = "CREATE TABLE bench_text (text String) ENGINE = MergeTree ORDER BY tuple()"
# What is decided once for a trace. `seq` are the durations of its calls one after the other, `texts` what is said in turn.
_TRACES = """
SELECT number AS n, reinterpretAsFixedString(sipHash128(n)) AS id, toInt64({start_ns:Int64} + n * {step_ns:Int64}) AS began_ns,
    2 + cityHash64(n, 1) % 4 AS turns,
    concat('v', toString(1 + cityHash64(n, 2) % 5)) AS version,
    concat('agent-', toString(cityHash64(n, 3) % 8)) AS agent,
    concat('model-', toString(cityHash64(n, 4) % 6)) AS model,
    concat('service-', toString(n % 5)) AS service,
    if(n % 10 = 0, 'staging', 'production') AS environment,
    concat('user-', toString(cityHash64(n, 5) % 50000)) AS user,
    concat('session-', toString(intDiv(n, 30000) * 5000 + n % 5000)) AS session,
    arrayMap(t -> concat('tool-', toString(cityHash64(n, 6, t) % 40)), range(turns)) AS tools,
    arrayMap((t, tool) -> cityHash64(n, 7, t) % 100 < if(tool = 'tool-7' AND version = 'v3', 20, 1),
        range(turns), tools) AS faults,
    (has(faults, 1) AND cityHash64(n, 8) % 10 < 6) OR cityHash64(n, 8) % 100 = 99 AS failed,
    ['TimeoutError', 'ConnectionError', 'ValueError', 'PermissionError', 'KeyError'][1 + cityHash64(n, 9) % 5] AS fault,
    arrayMap(i -> toUInt64(exp(if(i % 2 = 0, 20., 17.) + if(i % 2 = 0, 2.5, 4.) * (cityHash64(n, 10, i) % 1000) / 1000)),
        range(2 * turns + 1)) AS seq,
    arrayCumSum(seq) AS ends,
    arrayMap(i -> substring((SELECT any(text) FROM bench_text), 1 + cityHash64(n, 11, i) % {text_bytes:UInt64},
        [90, 240][1 + i % 2]), range(2 * turns + 1)) AS texts,
    arrayMap(t -> concat(',{"role":"assistant","content":"', texts[1 + 2 * t], '","tool_calls":["', tools[1 + t],
        '"]},{"role":"tool","content":"', texts[2 + 2 * t], '"}'), range(turns)) AS turn_texts,
    concat('Where is order ', toString(n), '? ', substring((SELECT any(text) FROM bench_text),
        1 + cityHash64(n, 12) % {text_bytes:UInt64}, 150)) AS question,
    concat('You are ', agent, '. ', substring((SELECT any(text) FROM bench_text), 1 + cityHash64(agent) % {text_bytes:UInt64},
        400)) AS system
FROM numbers({first:UInt64}, {count:UInt64})
"""
# Step 0 is the run; then come a model call, a tool call and its request for each turn, and the last model call.
_STEPS = f"""
SELECT *, arrayJoin(range(2 + 3 * turns)) AS step,
    intDiv(step + 2, 3) - 1 AS turn,
    multiIf(step = 0, 'agent', step % 3 = 1, 'llm', step % 3 = 2, 'tool', 'http') AS form,
    2 * turn + (form != 'llm') AS at,
    step > 0 AND form != 'llm' AND faults[1 + turn] AS faulty,
    if(step = 0, failed, faulty) AS bad,
    if(step = 0, ends[-1], seq[1 + at]) AS lasts_ns,
    if(step = 0 OR at = 0, 0, ends[at]) + step * 1000 AS after_ns,
    cityHash64(n, 13, step) AS chance,
    cityHash64(n, 14, step) AS span,
    cityHash64(n, 14, multiIf(step = 0, 0, form = 'http', step - 1, 0)) AS parent
FROM ({_TRACES})
"""
_SPANS = f"""
INSERT INTO spans (project_id, trace_id, span_id, parent_span_id, start_time, duration_ns, name, span_kind, status,
    status_message, service, environment, scope_name, kind, agent, version, request_model, response_model, provider,
    response_id, finish_reason, tool, tool_call_id, session_id, user_id, is_error, error_type, error_message, input_tokens,
    output_tokens, cache_read_tokens, attributes, attribute_types, resource_attributes, resource_attribute_types,
    event_times_ns, event_names, event_attributes, event_attribute_types, event_dropped_attributes_counts, reported_start_ns,
    reported_end_ns, received_at, ingest_key, sdk)
SELECT {PROJECT_ID}, id, reinterpretAsFixedString(span), if(step = 0, toFixedString('', 8), reinterpretAsFixedString(parent)),
    fromUnixTimestamp64Nano(toInt64(began_ns + after_ns)), lasts_ns,
    multiIf(step = 0, concat('invoke_agent ', agent), form = 'llm', concat('chat ', model),
        form = 'tool', concat('execute_tool ', tools[1 + turn]), 'POST'),
    multiIf(form IN ('llm', 'http'), 'client', 'internal'), if(bad, 'error', 'unset'), if(bad, error_message, ''),
    service, environment, if(form = 'http', 'opentelemetry.instrumentation.httpx', 'support.agent'),
    if(form = 'http', 'other', form), if(form = 'http', '', agent), version, if(form = 'llm', model, ''),
    if(form = 'llm', concat(model, '-2026-06-01'), ''), if(form = 'llm', 'openai', ''), if(form = 'llm', response, ''),
    multiIf(form != 'llm', '', turn = turns, 'stop', 'tool_calls'), if(form = 'tool', tools[1 + turn], ''),
    if(form = 'tool', call, ''), session, user, bad, if(bad, fault, ''), error_message, if(form = 'llm', input_tokens, 0),
    if(form = 'llm', output_tokens, 0), if(form = 'llm' AND turn > 0, intDiv(input_tokens, 2), 0),
    multiIf(
        step = 0, map('gen_ai.operation.name', 'invoke_agent', 'gen_ai.agent.name', agent, 'gen_ai.conversation.id', session,
            'user.id', user, 'customer.tier', ['gold', 'silver', 'bronze'][1 + chance % 3], 'order.id', toString(n),
            'gen_ai.input.messages', concat('[{{"role":"user","content":"', question, '"}}]'),
            'gen_ai.output.messages', concat('[{{"role":"assistant","content":"', texts[-1], '"}}]')),
        form = 'llm', map('gen_ai.operation.name', 'chat', 'gen_ai.provider.name', 'openai', 'gen_ai.request.model', model,
            'gen_ai.response.model', concat(model, '-2026-06-01'), 'gen_ai.response.id', response,
            'gen_ai.usage.input_tokens', toString(input_tokens), 'gen_ai.usage.output_tokens', toString(output_tokens),
            'gen_ai.input.messages', concat('[{{"role":"system","content":"', system, '"}},{{"role":"user","content":"', question,
                '"}}', arrayStringConcat(arraySlice(turn_texts, 1, turn)), ']'),
            'gen_ai.output.messages', concat('[{{"role":"assistant","content":"', texts[1 + 2 * turn], '"}}]')),
        form = 'tool', map('gen_ai.operation.name', 'execute_tool', 'gen_ai.tool.name', tools[1 + turn],
            'gen_ai.tool.call.id', call,
            'gen_ai.tool.call.arguments', concat('{{"order":', toString(n), ',"limit":', toString(chance % 50), '}}'),
            'gen_ai.tool.call.result', if(bad, '', texts[2 + 2 * turn])),
        map('http.request.method', 'POST', 'server.address', concat('api-', toString(chance % 12), '.example.com'),
            'url.full', concat('https://api-', toString(chance % 12), '.example.com/v2/', tools[1 + turn], '?order=',
                toString(n)),
            'http.response.status_code', if(bad, '503', '200'))) AS attributes,
    multiIf(step = 0, 'ssssssss', form = 'llm', 'sssssiiss', form = 'tool', 'sssss', 'sssi'),
    map('service.name', service, 'service.version', version, 'deployment.environment.name', environment,
        'host.name', concat('host-', toString(cityHash64(n, 15) % 20)), 'telemetry.sdk.name', 'opentelemetry',
        'telemetry.sdk.language', 'python', 'telemetry.sdk.version', '1.40.0'), 'sssssss',
    if(bad, [toUInt64(began_ns + after_ns + lasts_ns)], []), if(bad, ['exception'], []),
    if(bad, [map('exception.type', fault, 'exception.message', error_message, 'exception.stacktrace',
        concat('Traceback (most recent call last):\\n  File "/app/tools.py", line ', toString(chance % 900), ', in call\\n',
            fault))], []),
    if(bad, ['sss'], []), if(bad, [0], []), began_ns + after_ns, began_ns + after_ns + lasts_ns,
    fromUnixTimestamp64Nano(toInt64(began_ns + after_ns + lasts_ns + 1000000000)), 'default', 'opentelemetry python 1.40.0'
FROM (
    SELECT *, concat('chatcmpl-', lower(hex(chance)), lower(hex(span))) AS response,
        concat('call_', lower(hex(chance))) AS call,
        if(bad, concat(fault, ': ', tools[1 + greatest(turn, 0)], ' gave up after ', toString(chance % 60), ' s'), '')
            AS error_message,
        300 + 150 * (1 + greatest(turn, 0)) + chance % 200 AS input_tokens, 40 + chance % 300 AS output_tokens
    FROM ({_STEPS})
)
SETTINGS max_block_size = 1024, max_threads = 2, max_insert_threads = 2
"""
_SUMMARIES = f"""
INSERT INTO traces (project_id, trace_id, start_time, duration_ns, name, service, services, outcome, outcome_rule, has_errors,
    escalated, span_count, error_count, orphan_count, root_span_id, failing_span_id, error_types, error_message, agents,
    versions, environment, session_id, user_id, llm_calls, input_tokens, output_tokens, cached_input_tokens, cost_usd,
    tools.name, tools.calls, tools.errors, models.model, models.provider, models.calls, models.errors, models.input_tokens,
    models.output_tokens, models.cached_input_tokens, models.cost_usd, models.supplied_cost_usd, models.compared_cost_usd,
    models.cost_difference_usd, attribute_codes, summarized_at, is_deleted)
WITH parent_span_id = toFixedString('', 8) AS is_root
SELECT project_id, trace_id, min(start_time) AS began, anyIf(duration_ns, is_root), anyIf(name, is_root), any(service),
    [any(service)],     if(maxIf(is_error, is_root), 'error', 'ok'), 'root_status', max(is_error), max(tool = 'tool-39'), count(),
    countIf(is_error), 0, anyIf(span_id, is_root), anyIf(span_id, is_error AND kind = 'tool'),
    arrayFilter(x -> x != '', groupUniqArray(error_type)), anyIf(error_message, is_error), [anyIf(agent, is_root)],
    [any(version)], any(environment), any(session_id), any(user_id), countIf(kind = 'llm'), sum(input_tokens), sum(output_tokens),
    sum(cache_read_tokens), sum(input_tokens) * 2e-6 + sum(output_tokens) * 8e-6 AS cost,
    (sumMap(if(tool = '', [], [toString(tool)]), if(tool = '', [], [1]), if(tool = '', [], [toUInt32(is_error)])) AS used).1,
    used.2, used.3, [maxIf(request_model, kind = 'llm')], ['openai'], [countIf(kind = 'llm')], [0], [sum(input_tokens)],
    [sum(output_tokens)], [sum(cache_read_tokens)], [cost], [NULL], [NULL], [NULL],
    arrayConcat([0], arraySort(groupUniqArrayArray(attribute_codes))), max(received_at), 0
FROM spans
WHERE project_id = {PROJECT_ID} AND start_time >= fromUnixTimestamp64Nano({{first_ns:Int64}})
    AND start_time < fromUnixTimestamp64Nano({{last_ns:Int64}} + {_REACH_NS})
GROUP BY project_id, trace_id
HAVING max(is_root) AND began < fromUnixTimestamp64Nano({{last_ns:Int64}})
"""
_PREVIEWS = f"""
INSERT INTO trace_previews (project_id, start_time, trace_id, asked, answered, summarized_at, previewed_at)
SELECT {PROJECT_ID}, fromUnixTimestamp64Nano(toInt64(began_ns)) AS began, id, question, texts[-1], began, began
FROM ({_TRACES})
"""
_LOGS = f"""
INSERT INTO logs (project_id, time, trace_id, span_id, record_id, severity_number, severity_text, event_name, body, body_type,
    service, session_id, attributes, attribute_types, resource_attributes, resource_attribute_types, scope_name,
    reported_time_ns, received_at, ingest_key, sdk)
SELECT {PROJECT_ID}, fromUnixTimestamp64Nano(toInt64(began_ns + 1000000)), id, reinterpretAsFixedString(cityHash64(n, 14, 0)),
    cityHash64(n, 16), if(failed, 17, 9), if(failed, 'ERROR', 'INFO'), '', question, 's', service, session,
    map('order.id', toString(n), 'logger.level', if(failed, '40', '20')), 'ss', map('service.name', service), 's',
    'support.agent', began_ns, fromUnixTimestamp64Nano(began_ns + 1000000000), 'default', 'opentelemetry python 1.40.0'
FROM ({_TRACES})
"""


@dataclass(frozen=True)
class Example:
    """Values of one failing trace in the middle of the last day, for questions that name one."""

    trace_id: str
    span_id: str
    session_id: str
    user_id: str
    order_id: str


@dataclass(frozen=True)
class Stored:
    """An open store and what is in it. `folder` is the data folder (TRACESTORE_DATA) of an instance that shows it."""

    store: Store
    folder: Path
    traces: int
    example: Example

    @property
    def project_id(self) -> int:
        return PROJECT_ID


def cache_folder(traces: int) -> Path:
    """Return the folder that holds so many traces as this schema and this module write them."""
    texts = b"".join(path.read_bytes() for path in [*sorted(FOLDER.glob("[0-9]*.sql")), Path(__file__)])
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "tracestore-bench" / f"{hashlib.sha256(texts).hexdigest()[:12]}-{traces}"


def open_stored(traces: int, *, folder: Path | None = None, timeout_s: int = 15, memory_bytes: int = 2**30) -> Stored:
    """Open the store with so many traces, and fill it first when there is none. Reads have these ceilings."""
    folder = folder or cache_folder(traces)
    complete = folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"writing {traces:,} traces to {folder}, which may be deleted afterwards", flush=True)
        started = time.monotonic()
        store = Store(path=str(folder / "clickhouse"), timeout_s=600, memory_bytes=memory_bytes)
        migrate(store)
        _fill(store, traces)
        _wait_for_merges(store)
        store.close()
        complete.touch()
        print(f"written in {time.monotonic() - started:.0f} s", flush=True)
    store = Store(path=str(folder / "clickhouse"), timeout_s=timeout_s, memory_bytes=memory_bytes)
    migrate(store)
    _wait_for_merges(store)
    return Stored(store, folder, traces, _find_example(store))


def _fill(store: Store, traces: int) -> None:
    text = build_text(random.Random(1), _WORDS)
    store.command(_TEXT)
    store.insert_columns("bench_text", {"text": [text]})
    step_ns = (END_NS - START_NS) // traces
    chunks = [(first, min(_CHUNK, traces - first)) for first in range(0, traces, _CHUNK)]
    values = {"start_ns": START_NS, "step_ns": step_ns, "text_bytes": len(text) - 500}
    for first, count in chunks:
        store.command(_SPANS, **values, first=first, count=count)
        store.command(_LOGS, **values, first=first, count=count)
        store.command(_PREVIEWS, **values, first=first, count=count)
    for first, count in chunks:
        store.command(_SUMMARIES, first_ns=START_NS + first * step_ns, last_ns=START_NS + (first + count) * step_ns)
    # As days of inserts and merges leave them: attributes in buckets (migration 0031), which parts of inserts have not.
    store.command("OPTIMIZE TABLE spans FINAL")
    store.command("ALTER TABLE spans MATERIALIZE INDEX words SETTINGS mutations_sync = 1")
    contents = PartContents()
    while contents.tend(store):
        pass
    recompute_rollups(store, project_id=PROJECT_ID, bucket_starts_s=range(START_NS // NS_PER_S, END_NS // NS_PER_S, 60))
    recompute_hours(store, project_id=PROJECT_ID, hour_starts_s=range(START_NS // NS_PER_S, END_NS // NS_PER_S, 3600))


def _wait_for_merges(store: Store) -> None:
    quiet = 0
    while quiet < 3:
        time.sleep(0.5)
        ((merges,),) = store.query_rows("SELECT count() FROM system.merges")
        quiet = 0 if merges else quiet + 1


def _find_example(store: Store) -> Example:
    middle_ns = END_NS - DAY_NS // 2
    ((trace_id, span_id, session_id, user_id),) = store.query_rows(
        "SELECT lower(hex(trace_id)), lower(hex(failing_span_id)), session_id, user_id FROM traces"
        " WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})"
        " AND outcome = 'error' AND failing_span_id != toFixedString('', 8) ORDER BY start_time LIMIT 1",
        project_id=PROJECT_ID,
        start_ns=middle_ns,
    )
    ((order_id,),) = store.query_rows(
        "SELECT attributes['order.id'] FROM spans WHERE project_id = {project_id:UInt32} AND start_time >="
        " fromUnixTimestamp64Nano({start_ns:Int64}) AND trace_id = unhex({trace_id:String}) AND kind = 'agent'",
        project_id=PROJECT_ID,
        start_ns=middle_ns,
        trace_id=trace_id,
    )
    return Example(trace_id, span_id, session_id, user_id, order_id)
