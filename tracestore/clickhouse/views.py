"""The generated views: raw OTLP -> `spans` (canonical columns from semconv.py) -> the summary job's work list and index; and
raw OTLP -> `logs`.

Every expression is total: no value that passed the Protobuf parser can make the insert fail.

ClickHouse analyses a view anew for every insert, which takes longer the more is written out. So what several expressions
need is a column of the layer below, and a layer hardly uses aliases of its own.
"""

from __future__ import annotations

from tracestore import semconv
from tracestore.clickhouse.lookups import (
    RUN,
    at,
    content,
    declared_kind,
    first,
    first_of,
    is_present,
    json_member,
    literal,
    literals,
    picked,
    resource_fields,
    wanted,
)

# Times outside these bounds are a broken clock; such a span is filed under its receive time. 2000-01-01 and 2100-01-01 in ns.
MIN_TIME_NS = 946_684_800 * 10**9
MAX_TIME_NS = 4_102_444_800 * 10**9
# A span that arrives this long after its end is late: by then a trace without its root has been judged without it (the
# default of TRACESTORE_RUNNING_TIMEOUT_S). One that ends this far after its arrival comes from a clock that is ahead.
LATE_NS, AHEAD_NS = 600 * 10**9, 10**9
# More tokens than any call can have; keeps sums of hostile numbers far from overflow.
MAX_TOKENS = 10**12
TOKEN_FIELDS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def _token_counts() -> str:
    """Return an array of the token fields' numbers, in the order of TOKEN_FIELDS."""
    # As floats, because some languages write "12.0" or "1e3"; exact far beyond MAX_TOKENS. NaN and negatives count as none.
    texts = ", ".join(first(field) for field in TOKEN_FIELDS)
    counted = f"if({at('gen_ai.operation.name')} IN ({literals(semconv.REPEATED_USAGE)}), [], [{texts}])"
    clamped = f"toUInt64(if(number > 0 AND number < 1e18, least(number, toFloat64({MAX_TOKENS})), 0))"
    return f"arrayMap(number -> {clamped}, arrayMap(text -> toFloat64OrZero(text), {counted}))"


def _shape() -> str:
    """Return the kind of a span that declares none: what its name and attributes look like."""
    return (
        f"multiIf(tool_attribute != '' AND {at('gen_ai.operation.name')} = '', 'tool', "
        "match(name, '^(execute_tool |tool[.: /]|Function: )|\\\\.tool$'), 'tool', "
        "startsWith(name, 'invoke_agent '), 'agent', "
        "(request_model != '' OR response_model != '') AND (tokens_in > 0 OR tokens_out > 0), 'llm', "
        "'other')"
    )


def _map(attributes: str) -> str:
    """Return the expression for attributes as a Map, in reverse order.

    A look-up in a Map takes the first of equal keys; of attributes that a span has twice, the last counts (docs/ingest.md).
    """
    pairs = f"arrayMap(kv -> (kv.key, {_text('kv.value')}), {attributes})"
    return f"CAST(arrayReverse({pairs}), 'Map(LowCardinality(String), String)')"


def _types(attributes: str) -> str:
    """Return the expression for the letters of attributes.py, in the order of the map."""
    return f"reverse(arrayStringConcat(arrayMap(kv -> {_letter('kv.value')}, {attributes})))"


def _text(value: str) -> str:
    """Return the expression for an AnyValue as it is stored: see attributes.py."""
    return (
        f"coalesce({value}.string_value, toString({value}.int_value), toString({value}.double_value), "
        f"if(isNull({value}.bool_value), NULL, if({value}.bool_value, 'true', 'false')), "
        f"{value}.array_value, {value}.kvlist_value, {value}.bytes_value, '')"
    )


def _letter(value: str) -> str:
    """Return the expression for the letter that says which kind of AnyValue it is."""
    return (
        f"multiIf(isNotNull({value}.string_value), 's', isNotNull({value}.int_value), 'i', "
        f"isNotNull({value}.double_value), 'd', isNotNull({value}.bool_value), 'b', isNotNull({value}.array_value), 'a', "
        f"isNotNull({value}.kvlist_value), 'k', isNotNull({value}.bytes_value), 'y', 'n')"
    )


def _failed_by_flag() -> str:
    return " OR ".join(f"{at(key)} IN ({literals(values)})" for key, values in semconv.FAILURE_FLAGS)


def _sdk() -> str:
    """Return the expression for the SDK as its resource names it: "opentelemetry python 1.45.0", "" when it does not."""
    parts = ", ".join(f"substring(r['telemetry.sdk.{part}'], 1, 64)" for part in ("name", "language", "version"))
    return f"arrayStringConcat(arrayFilter(x -> x != '', [{parts}]), ' ')"


def _spans() -> str:
    """Return the SELECT of one row a span: its own fields, and what its resource and scope say."""
    return f"""SELECT
            project_id, received_at_ns, writer, batch_seq, ingest_key, sdk,
            resource_attributes, resource_attribute_types, resource_schema_url,
            scope_name, scope_version, scope_attributes, scope_attribute_types, scope_schema_url,
            {", ".join(f"resource_{field}" for field in resource_fields())},
            toFixedString(substring(span.trace_id, 1, 16), 16) AS trace_id,
            toFixedString(substring(span.span_id, 1, 8), 8) AS span_id,
            toFixedString(if(span.parent_span_id = span.span_id, '', substring(span.parent_span_id, 1, 8)), 8) AS parent_span_id,
            span.name AS name, span.kind AS span_kind_number,
            span.status.code AS status_code, span.status.message AS status_message,
            span.trace_state AS trace_state, span.flags AS flags,
            span.events AS events, span.links AS links,
            span.dropped_attributes_count AS dropped_attributes_count,
            span.dropped_events_count AS dropped_events_count,
            span.dropped_links_count AS dropped_links_count,
            span.start_time_unix_nano AS reported_start_ns,
            span.end_time_unix_nano AS reported_end_ns,
            reported_start_ns >= {MIN_TIME_NS} AND reported_start_ns < {MAX_TIME_NS} AS start_is_sane,
            if(start_is_sane, reported_start_ns, least(greatest(received_at_ns, {MIN_TIME_NS}), {MAX_TIME_NS})) AS start_ns,
            if(start_is_sane AND reported_end_ns > reported_start_ns AND reported_end_ns < {MAX_TIME_NS},
                reported_end_ns - reported_start_ns, 0) AS duration_ns,
            {_map("span.attributes")} AS attributes,
            {_types("span.attributes")} AS attribute_types,
            arrayMap(e -> {_map("e.attributes")}, events) AS event_attributes
        FROM
        (
            SELECT
                project_id, received_at_ns, writer, batch_seq, ingest_key,
                {_sdk()} AS sdk,
                resource_attributes, resource_attribute_types, resource_schema_url,
                {", ".join(f"{value} AS resource_{field}" for field, value in resource_fields().items())},
                scope_spans.scope.name AS scope_name, scope_spans.scope.version AS scope_version,
                {_map("scope_spans.scope.attributes")} AS scope_attributes,
                {_types("scope_spans.scope.attributes")} AS scope_attribute_types,
                scope_spans.schema_url AS scope_schema_url,
                arrayJoin(scope_spans.spans) AS span
            FROM
            (
                SELECT
                    project_id, received_at_ns, writer, batch_seq, ingest_key,
                    {_map("resource_span.resource.attributes")} AS resource_attributes,
                    {_types("resource_span.resource.attributes")} AS resource_attribute_types,
                    mapFilter((k, x) -> {is_present("x")}, resource_attributes) AS r,
                    resource_span.schema_url AS resource_schema_url,
                    arrayJoin(resource_span.scope_spans) AS scope_spans
                FROM
                (
                    SELECT project_id, received_at_ns, writer, batch_seq, ingest_keys[-1] AS ingest_key,
                        arrayJoin(resource_spans) AS resource_span
                    FROM otlp_traces
                )
            )
        )
    )"""


def _fields() -> str:
    """Return the SELECTs from attributes to canonical columns, up to the FROM of the layer that `picked` fills."""
    return f"""SELECT
    project_id, trace_id, span_id, parent_span_id,
    fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC') AS start_time,
    duration_ns,
    if(name = '', 'unknown', name) AS name,
    transform(span_kind_number, [1, 2, 3, 4, 5], ['internal', 'server', 'client', 'producer', 'consumer'], 'internal')
        AS span_kind,
    transform(status_code, [1, 2], ['ok', 'error'], 'unset') AS status,
    status_message, trace_state, flags,
    if(service_name = '', 'unknown', service_name) AS service,
    if(environment_name = '', 'default', environment_name) AS environment,
    scope_name, scope_version,
    kind,
    workflow,
    multiIf(
        agent_attribute != '' AND agent_attribute NOT IN (request_model, response_model), agent_attribute,
        kind != 'agent', '',
        agent_of_agent_span != '' AND agent_of_agent_span NOT IN (request_model, response_model), agent_of_agent_span,
        startsWith(name, 'invoke_agent '), if(substring(name, 14) IN (request_model, response_model), '', substring(name, 14)),
        startsWith(scope_name, 'com.anthropic.claude_code'), 'claude_code',
        replaceRegexpOne(name, '\\\\.(agent|run)$', '')) AS agent,
    version,
    request_model, response_model,
    multiIf(
        raw_provider IN ({literals(semconv.FRAMEWORKS)}), '',
        transform(lower(raw_provider), [{literals(semconv.PROVIDERS)}], [{literals(semconv.PROVIDERS.values())}],
            lower(raw_provider))) AS provider,
    response_id,
    finish_reason,
    multiIf(
        kind != 'tool', '',
        -- Semantic Kernel names a tool plugin-function.
        startsWith(scope_name, 'semantic_kernel.functions'), replaceRegexpOne(tool_attribute, '^[A-Za-z0-9_]+-', ''),
        tool_attribute != '', tool_attribute,
        {at("traceloop.entity.name")} != '', {at("traceloop.entity.name")},
        startsWith(name, 'execute_tool '), substring(name, 14),
        match(name, '^tool[.: /]'), substring(name, 6),
        name LIKE '%.tool', substring(name, 1, length(name) - 5),
        {at("name")} != '' AND startsWith(name, 'Function: '), {at("name")},
        name) AS tool,
    tool_call_id, prompt_name, prompt_version, session_id, user_id,
    is_error,
    if(is_error, if(raw_error_type = '', 'unknown', raw_error_type), '') AS error_type,
    if(is_error, error_text, '') AS error_message,
    multiIf(
        match(name, '^Handoff: ') OR name LIKE 'handoff to %' OR {at("gen_ai.operation.name")} IN ('handoff', 'agent_handoff')
            OR {at("traceloop.span.kind")} = 'handoff', 'agent_handoff',
        {at("span.type")} = 'tool.blocked_on_user', 'human_wait',
        (kind = 'tool' OR {at("span.type")} = 'tool.execution') AND (
            match(concat(error_text, ' ', substring({content("tool_result")}, 1, 200)), {literal(semconv.REFUSED_CALL)})
            OR (is_error AND startsWith({content("tool_arguments")}, '{{') AND NOT isValidJSON({content("tool_arguments")}))),
            'refused_call',
        '') AS signal,
    least(tokens_in + if(exclusive_input, cached + cache_written, 0), {MAX_TOKENS}) AS input_tokens,
    tokens_out + if(additive_reasoning, reasoned, 0) AS output_tokens,
    least(cached, input_tokens) AS cache_read_tokens,
    least(cache_written, input_tokens - cache_read_tokens) AS cache_write_tokens,
    least(reasoned, output_tokens) AS reasoning_tokens,
    if(supplied > 0 AND supplied < 1e9, supplied, NULL) AS supplied_cost_usd,
    attributes, attribute_types, resource_attributes, resource_attribute_types, scope_attributes, scope_attribute_types,
    arrayMap(e -> e.time_unix_nano, events) AS event_times_ns,
    arrayMap(e -> e.name, events) AS event_names,
    event_attributes,
    arrayMap(e -> {_types("e.attributes")}, events) AS event_attribute_types,
    arrayMap(e -> e.dropped_attributes_count, events) AS event_dropped_attributes_counts,
    arrayMap(l -> lower(hex(l.trace_id)), links) AS link_trace_ids,
    arrayMap(l -> lower(hex(l.span_id)), links) AS link_span_ids,
    arrayMap(l -> l.trace_state, links) AS link_trace_states,
    arrayMap(l -> {_map("l.attributes")}, links) AS link_attributes,
    arrayMap(l -> {_types("l.attributes")}, links) AS link_attribute_types,
    resource_schema_url, scope_schema_url,
    dropped_attributes_count, dropped_events_count, dropped_links_count,
    reported_start_ns, reported_end_ns,
    fromUnixTimestamp64Nano(toInt64(least(received_at_ns, {MAX_TIME_NS})), 'UTC') AS received_at,
    writer, batch_seq, ingest_key, sdk
FROM
(
    SELECT *,
        -- Does the input count leave out cached tokens? Claude Code's bare names do; else the arithmetic tells.
        multiIf(
            cached + cache_written = 0, false,
            {at("input_tokens")} != '' AND {at("cache_read_tokens")} != '', true,
            cached + cache_written > tokens_in, true,
            tokens_total > 0 AND tokens_total = tokens_in + tokens_out, false,
            tokens_total > 0 AND tokens_total = tokens_in + tokens_out + cached + cache_written, true,
            -- Langfuse's own bucket names are disjoint (OpenAI's names in the same place are not).
            langfuse_buckets) AS exclusive_input,
        -- Gemini's candidates leave out thoughts.
        reasoned > tokens_out OR (reasoned > 0 AND (tokens_total = tokens_in + tokens_out + reasoned
            OR (langfuse_buckets AND tokens_total != tokens_in + tokens_out))) AS additive_reasoning,
        -- "openai.chat", "anthropic.messages" and "google.generative-ai" are the Vercel AI SDK's names.
        if({at("ai.model.provider")} != '' AND {at("gen_ai.provider.name")} = '', splitByChar('.', provider_attribute)[1],
            provider_attribute) AS raw_provider,
        -- An exception on a span that says ok was dealt with.
        (status_code = 2 OR {at("error.type")} != '' OR exception_ended_it OR {_failed_by_flag()})
            AND raw_error_type NOT IN ({literals(semconv.CONTROL_FLOW_ERRORS)})
            AND NOT match(status_message, '^(GraphInterrupt|ParentCommand|Command)\\\\(') AS is_error,
        if(declared_kind != '', declared_kind, {_shape()}) AS kind
    FROM
    (
    SELECT *,
        {json_member("langfuse.observation.usage_details", "input")} != '' AS langfuse_buckets,
        tokens[1] AS tokens_in, tokens[2] AS tokens_out, tokens[3] AS tokens_total,
        tokens[4] AS cached, tokens[5] AS cache_written, tokens[6] AS reasoned,
        -- An exception recorded on a span that says OK: dealt with when the span has a result (a retry), else the end of it
        -- (LangSmith sets OK on everything).
        exception_type != '' AND (status_code != 1
            OR NOT arrayExists(k -> match(k, {literal(semconv.RESULT_KEY)}), mapKeys(attributes))) AS exception_ended_it,
        -- One name for one error, whether a dialect writes module.path.Name, <class 'module.path.Name'> or Name.
        replaceRegexpOne(
            replaceRegexpOne(if(error_attribute != '', error_attribute, exception_type), '^<class \\'(.*)\\'>$', '\\\\1'),
            '^[A-Za-z_][A-Za-z0-9_.]*\\\\.([A-Z][A-Za-z0-9_]*)$', '\\\\1') AS raw_error_type,
        multiIf(status_message != '', status_message, exception_message != '', exception_message,
            {at("error.message")} != '', {at("error.message")}, {at("error")}) AS error_text
    FROM
    (
    SELECT *,
        {first("agent_attribute")} AS agent_attribute,
        {first("agent_of_agent_span")} AS agent_of_agent_span,
        {first("version")} AS version,
        {first("prompt_name")} AS prompt_name,
        {first("prompt_version")} AS prompt_version,
        {first("workflow")} AS workflow,
        {first("session_id")} AS session_id,
        {first("user_id")} AS user_id,
        {first("environment")} AS environment_name,
        {first("service")} AS service_name,
        {first("request_model")} AS request_model,
        {first("response_model")} AS response_model,
        {first("provider")} AS provider_attribute,
        {first("response_id")} AS response_id,
        extract({first("finish_reason")}, '[A-Za-z_-]{{2,40}}') AS finish_reason,
        {first("tool_attribute")} AS tool_attribute,
        {first("tool_call_id")} AS tool_call_id,
        {_token_counts()} AS tokens,
        toFloat64OrZero({first("supplied_cost")}) AS supplied,
        {first("error_attribute")} AS error_attribute,
        arrayFirst(x -> x != '', arrayMap(m -> m['exception.type'], event_attributes)) AS exception_type,
        arrayFirst(x -> x != '', arrayMap(m -> m['exception.message'], event_attributes)) AS exception_message,
        {declared_kind()} AS declared_kind"""


def otlp_to_spans() -> str:
    """Return the SELECT of the view that turns a row of otlp_traces (one request) into rows of spans."""
    fields, ended = _fields(), f"{at('logfire.span_type')} != 'pending_span'"
    return f"""
{fields}
    FROM
    (
        SELECT *, {picked(f"{fields} {ended}")}
        FROM
        (
            SELECT *, wanted.1 AS slots, wanted.2 AS vs, arrayMap(slot -> intDiv(slot, {RUN}), wanted.1) AS runs
            FROM
            (
                SELECT *, {wanted()} AS wanted
                FROM
                (
                {_spans()}
                )
            )
        )
        -- Logfire sends a span once when it starts (pending) and once when it ends; only the second counts.
        WHERE {ended}
    )
    )
)
"""


def is_truncated(attributes: str) -> str:
    """Return the condition that some value of a map of attributes ends in a mark of having been cut."""
    # One pass over the text decides nearly always; the expression alone costs five times as much.
    mentioned = "multiSearchAny(x, ['truncated', 'TRUNCATED'])"
    marked = f"match(substring(x, -64), {literal(semconv.TRUNCATION_MARK)})"
    return f"arrayExists(x -> {mentioned} AND {marked}, mapValues({attributes}))"


def spans_to_intake() -> str:
    """Return the SELECT of the view that counts what arrives (migrations/0011_intake.sql says what each column means)."""
    return f"""
SELECT project_id, toStartOfMinute(received_at) AS bucket_start, ingest_key, sdk,
    count() AS spans,
    countIf(is_late) AS late, countIf(is_ahead) AS ahead, countIf(is_clamped) AS clamped,
    countIf(is_truncated) AS truncated, countIf(is_dropping) AS dropping,
    sum(dropped) AS dropped_attributes,
    sum(dropped_events_count) AS dropped_events, sum(dropped_links_count) AS dropped_links,
    min(lag_ns) AS min_lag_ns, max(lag_ns) AS max_lag_ns,
    maxIf(trace_id, is_late) AS late_trace_id, maxIf(trace_id, is_ahead OR is_clamped) AS clock_trace_id,
    maxIf(trace_id, is_truncated) AS truncated_trace_id, maxIf(trace_id, is_dropping) AS dropping_trace_id
FROM
(
    SELECT project_id, received_at, ingest_key, sdk, trace_id, dropped_events_count, dropped_links_count,
        reported_start_ns != toUInt64(toUnixTimestamp64Nano(start_time)) OR reported_end_ns < reported_start_ns
            OR reported_end_ns >= {MAX_TIME_NS} AS is_clamped,
        toUnixTimestamp64Nano(received_at) - toUnixTimestamp64Nano(start_time) - toInt64(duration_ns) AS lag_ns,
        NOT is_clamped AND lag_ns > {LATE_NS} AS is_late,
        NOT is_clamped AND lag_ns < -{AHEAD_NS} AS is_ahead,
        dropped_attributes_count + arraySum(event_dropped_attributes_counts) AS dropped,
        dropped + dropped_events_count + dropped_links_count > 0 AS is_dropping,
        {is_truncated("attributes")} AS is_truncated
    FROM spans
)
GROUP BY project_id, bucket_start, ingest_key, sdk
"""


def _is_sane(time_ns: str) -> str:
    return f"{time_ns} >= {MIN_TIME_NS} AND {time_ns} < {MAX_TIME_NS}"


# Columns of logs that attributes give; they join a record to a trace or step that it does not name.
_LOG_FIELDS = ("session_id", "response_id", "tool_call_id")


def _log_keys(field: str) -> list[str]:
    return [source.key for source in semconv.FIELDS[field] if source.form == "plain"]


def _log_fields() -> str:
    """Return the columns for _LOG_FIELDS, read from `joining`: a few short attributes, since each look-up passes all texts."""
    values = {field: first_of([f"joining[{literal(key)}]" for key in _log_keys(field)]) for field in _LOG_FIELDS}
    return ", ".join(f"{value} AS {field}" for field, value in values.items())


def otlp_to_logs() -> str:
    """Return the SELECT of the view that turns a row of otlp_logs (one request) into rows of logs."""
    joining_keys = literals(key for field in _LOG_FIELDS for key in _log_keys(field))
    return f"""
SELECT
    project_id,
    fromUnixTimestamp64Nano(toInt64(multiIf(
        {_is_sane("reported_time_ns")}, reported_time_ns,
        {_is_sane("observed_time_ns")}, observed_time_ns,
        least(greatest(received_at_ns, {MIN_TIME_NS}), {MAX_TIME_NS}))), 'UTC') AS time,
    toFixedString(if(has_trace, record.trace_id, ''), 16) AS trace_id,
    toFixedString(if(has_trace AND length(record.span_id) = 8, record.span_id, ''), 8) AS span_id,
    sipHash64(
        reported_time_ns, observed_time_ns, trace_id, span_id, severity_number, severity_text, event_name, body, body_type,
        mapKeys(attributes), mapValues(attributes), attribute_types, mapKeys(resource_attributes),
        mapValues(resource_attributes), scope_name, occurrence) AS record_id,
    toUInt8(least(greatest(record.severity_number, 0), 255)) AS severity_number,
    record.severity_text AS severity_text,
    -- Claude Code names its events without the prefix that its manual gives them.
    if(startsWith(scope_name, 'com.anthropic.claude_code') AND sent_name != '' AND NOT startsWith(sent_name, 'claude_code.'),
        concat('claude_code.', sent_name), sent_name) AS event_name,
    {_text("record.body")} AS body,
    {_letter("record.body")} AS body_type,
    service,
    {_log_fields()},
    attributes, attribute_types, resource_attributes, resource_attribute_types,
    scope_name, scope_version, scope_attributes, scope_attribute_types, resource_schema_url, scope_schema_url,
    record.flags AS flags,
    record.dropped_attributes_count AS dropped_attributes_count,
    reported_time_ns, observed_time_ns,
    fromUnixTimestamp64Nano(toInt64(least(received_at_ns, {MAX_TIME_NS})), 'UTC') AS received_at,
    writer, batch_seq
FROM
(
    SELECT *,
        record.time_unix_nano AS reported_time_ns,
        record.observed_time_unix_nano AS observed_time_ns,
        length(record.trace_id) = 16 AND record.trace_id != repeat(char(0), 16) AS has_trace,
        {_map("record.attributes")} AS attributes,
        {_types("record.attributes")} AS attribute_types,
        mapFilter((k, x) -> k IN ({joining_keys}) AND {is_present("x")}, attributes) AS joining,
        if(record.event_name != '', record.event_name, attributes['event.name']) AS sent_name
    FROM
    (
        SELECT *, item.1 AS record, item.2 AS occurrence
        FROM
        (
            SELECT
                project_id, received_at_ns, writer, batch_seq,
                resource_attributes, resource_attribute_types, resource_schema_url, service,
                scope_logs.scope.name AS scope_name, scope_logs.scope.version AS scope_version,
                {_map("scope_logs.scope.attributes")} AS scope_attributes,
                {_types("scope_logs.scope.attributes")} AS scope_attribute_types,
                scope_logs.schema_url AS scope_schema_url,
                -- Equal records of one request are different ones, unlike those of a request that is sent again.
                arrayJoin(arrayZip(scope_logs.log_records, arrayEnumerateUniq(scope_logs.log_records))) AS item
            FROM
            (
                SELECT
                    project_id, received_at_ns, writer, batch_seq,
                    {_map("resource_log.resource.attributes")} AS resource_attributes,
                    {_types("resource_log.resource.attributes")} AS resource_attribute_types,
                    if(resource_attributes['service.name'] = '', 'unknown', resource_attributes['service.name']) AS service,
                    resource_log.schema_url AS resource_schema_url,
                    arrayJoin(resource_log.scope_logs) AS scope_logs
                FROM
                (
                    SELECT project_id, received_at_ns, writer, batch_seq, arrayJoin(resource_logs) AS resource_log
                    FROM otlp_logs
                )
            )
        )
    )
)
"""


# name -> (target table, SELECT). Created after the migrations, and again whenever their text changes.
def views() -> dict[str, tuple[str, str]]:
    """Return every materialized view: name -> (target table, SELECT statement)."""
    return {
        "otlp_to_spans": ("spans", otlp_to_spans()),
        "spans_to_trace_touches": (
            "trace_touches",
            "SELECT DISTINCT writer, batch_seq, project_id, trace_id FROM spans",
        ),
        "spans_to_trace_index": (
            "trace_index",
            "SELECT project_id, trace_id, min(start_time) AS min_start_time, max(start_time) AS max_start_time, "
            "count() AS received_spans FROM spans GROUP BY project_id, trace_id",
        ),
        "spans_to_intake": ("intake", spans_to_intake()),
        "otlp_to_logs": ("logs", otlp_to_logs()),
        "logs_to_log_index": (
            "log_index",
            "SELECT project_id, trace_id, if(trace_id = toFixedString('', 16), response_id, '') AS response_id, "
            "min(time) AS min_time, max(time) AS max_time FROM logs "
            "WHERE trace_id != toFixedString('', 16) OR response_id != '' GROUP BY project_id, trace_id, response_id",
        ),
    }
