"""The generated view raw OTLP -> `logs`."""

from __future__ import annotations

from tracestore.clickhouse.views.anyvalue import MAX_TIME_NS, MIN_TIME_NS, letter_of, map_of, text_of, types_of
from tracestore.clickhouse.views.lookups import first_of, is_present, literal, literals, name_of_event, sdk
from tracestore.semconv.fields import FIELDS


def _is_sane(time_ns: str) -> str:
    return f"{time_ns} >= {MIN_TIME_NS} AND {time_ns} < {MAX_TIME_NS}"


# Columns of logs that attributes give; they join a record to a trace or step that it does not name.
_LOG_FIELDS = ("session_id", "response_id", "tool_call_id")


def _log_keys(field: str) -> list[str]:
    return [source.key for source in FIELDS[field] if source.form == "plain"]


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
    {text_of("record.body")} AS body,
    {letter_of("record.body")} AS body_type,
    service,
    {_log_fields()},
    attributes, attribute_types, resource_attributes, resource_attribute_types,
    scope_name, scope_version, scope_attributes, scope_attribute_types, resource_schema_url, scope_schema_url,
    record.flags AS flags,
    record.dropped_attributes_count AS dropped_attributes_count,
    reported_time_ns, observed_time_ns,
    fromUnixTimestamp64Nano(toInt64(least(received_at_ns, {MAX_TIME_NS})), 'UTC') AS received_at,
    writer, batch_seq, ingest_key, sdk
FROM
(
    SELECT *,
        record.time_unix_nano AS reported_time_ns,
        record.observed_time_unix_nano AS observed_time_ns,
        length(record.trace_id) = 16 AND record.trace_id != repeat(char(0), 16) AS has_trace,
        {map_of("record.attributes")} AS attributes,
        {types_of("record.attributes")} AS attribute_types,
        mapFilter((k, x) -> k IN ({joining_keys}) AND {is_present("x")}, attributes) AS joining,
        {name_of_event("record.event_name", "attributes")} AS sent_name
    FROM
    (
        SELECT *, item.1 AS record, item.2 AS occurrence
        FROM
        (
            SELECT
                project_id, received_at_ns, writer, batch_seq, ingest_key, sdk,
                resource_attributes, resource_attribute_types, resource_schema_url, service,
                scope_logs.scope.name AS scope_name, scope_logs.scope.version AS scope_version,
                {map_of("scope_logs.scope.attributes")} AS scope_attributes,
                {types_of("scope_logs.scope.attributes")} AS scope_attribute_types,
                scope_logs.schema_url AS scope_schema_url,
                -- Equal records of one request are different ones, unlike those of a request that is sent again.
                arrayJoin(arrayZip(scope_logs.log_records, arrayEnumerateUniq(scope_logs.log_records))) AS item
            FROM
            (
                SELECT
                    project_id, received_at_ns, writer, batch_seq, ingest_key,
                    {map_of("resource_log.resource.attributes")} AS resource_attributes,
                    {types_of("resource_log.resource.attributes")} AS resource_attribute_types,
                    {sdk()} AS sdk,
                    if(resource_attributes['service.name'] = '', 'unknown', resource_attributes['service.name']) AS service,
                    resource_log.schema_url AS resource_schema_url,
                    arrayJoin(resource_log.scope_logs) AS scope_logs
                FROM
                (
                    SELECT project_id, received_at_ns, writer, batch_seq, ingest_keys[-1] AS ingest_key,
                        arrayJoin(resource_logs) AS resource_log
                    FROM otlp_logs
                )
            )
        )
    )
)
"""
