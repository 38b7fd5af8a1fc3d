"""The lower layers of the generated view of spans: raw OTLP -> one row a span, with what its resource and scope say."""

from __future__ import annotations

from tracestore.clickhouse.views.anyvalue import MAX_TIME_NS, MIN_TIME_NS, map_of, types_of
from tracestore.clickhouse.views.lookups import (
    MAPPING_TYPE,
    literal,
    literals,
    mapping_texts,
    name_of_event,
    resource_wanted,
    sdk,
)
from tracestore.semconv import errors, fields, signals


def carried() -> dict[str, str]:
    """Return the columns that no layer above `spans_of` reads, by name: they go up in one tuple, `carried`.

    Each layer costs analysis for each column that it passes on.
    """
    return {
        "project_id": "project_id",
        "trace_id": "trace_id",
        "span_id": "span_id",
        "parent_span_id": "parent_span_id",
        "start_time": "fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC')",
        "duration_ns": "duration_ns",
        "span_kind": "transform(span_kind_number, [1, 2, 3, 4, 5], ['internal', 'server', 'client', 'producer', 'consumer'], "
        "'internal')",
        "trace_state": "trace_state",
        "flags": "flags",
        "scope_version": "scope_version",
        "attribute_types": "attribute_types",
        "resource_attributes": "resource_attributes",
        "resource_attribute_types": "resource_attribute_types",
        "scope_attributes": "scope_attributes",
        "scope_attribute_types": "scope_attribute_types",
        "event_times_ns": "event_times_ns",
        "event_names": "event_names",
        "event_attributes": "event_attributes",
        "event_attribute_types": f"arrayMap(e -> {types_of('e.attributes')}, events)",
        "event_dropped_attributes_counts": "arrayMap(e -> e.dropped_attributes_count, events)",
        "link_trace_ids": "arrayMap(l -> lower(hex(l.trace_id)), links)",
        "link_span_ids": "arrayMap(l -> lower(hex(l.span_id)), links)",
        "link_trace_states": "arrayMap(l -> l.trace_state, links)",
        "link_attributes": f"arrayMap(l -> {map_of('l.attributes')}, links)",
        "link_attribute_types": f"arrayMap(l -> {types_of('l.attributes')}, links)",
        "resource_schema_url": "resource_schema_url",
        "scope_schema_url": "scope_schema_url",
        "dropped_attributes_count": "dropped_attributes_count",
        "dropped_events_count": "dropped_events_count",
        "dropped_links_count": "dropped_links_count",
        "reported_start_ns": "reported_start_ns",
        "reported_end_ns": "reported_end_ns",
        "received_at": f"fromUnixTimestamp64Nano(toInt64(least(received_at_ns, {MAX_TIME_NS})), 'UTC')",
        "writer": "writer",
        "batch_seq": "batch_seq",
        "ingest_key": "ingest_key",
        "sdk": "sdk",
    }


def carried_at(name: str) -> str:
    """Return how the layers above `spans_of` read one of the columns that they carry."""
    return f"carried.{list(carried()).index(name) + 1}"


def tuple_of(columns: dict[str, str]) -> str:
    return f"tuple({', '.join(columns.values())})"


def members_of(tuple_name: str, columns: dict[str, str]) -> str:
    return ", ".join(f"{tuple_name}.{number} AS {name}" for number, name in enumerate(columns, start=1))


def given(columns: dict[str, str], *, by_rules: bool) -> str:
    """Return the SELECT, up to its FROM, that all layers above begin with; `columns` are those of `carried`."""
    events, model_endpoint = signals.APPROVAL_EVENTS, literal(errors.MODEL_ENDPOINT)
    rules = f"mapping.1 AS rules, {mapping_texts()} AS texts, arrayIntersect(mapping.1.1, texts.1) AS mapping_keys,"
    return f"""SELECT
        attributes, name, scope_name, status_code, status_message, resource_wanted, {rules if by_rules else ""}
        transform(arrayFirst(n -> n IN ({literals(events)}), event_names),
            [{literals(events)}], [{literals(events.values())}], '') AS event_signal,
        arrayFirst(x -> x != '', arrayMap(m -> m['exception.type'], event_attributes)) AS exception_type,
        arrayFirst(x -> x != '', arrayMap(m -> m['exception.message'], event_attributes)) AS exception_message,
        arrayExists((n, a) -> if(n IN ({literals(errors.FAILURE_EVENTS)}), a['success'] = 'false', false),
            event_names, event_attributes) AS failed_by_event,
        arrayLast((a, n) -> if(n IN ({literals(errors.REQUEST_EVENTS)}), a['endpoint'] = {model_endpoint}, false),
            event_attributes, event_names)[{literal(errors.REQUEST_ERROR)}] AS failed_request,
        toFloat64(arrayFirst((t, n) -> n IN ({literals(fields.FIRST_TOKEN_EVENTS)}), event_times_ns, event_names) - start_ns)
            AS first_token_event_ns,
        {tuple_of(columns | ({"tool_rules": "mapping.2"} if by_rules else {}))} AS carried"""


def spans_of(table: str, *, by_rules: bool) -> str:
    """Return the SELECT of one row a span: its own fields, and what its resource and scope say."""
    mapping = "mapping, " if by_rules else ""
    read_mapping = f"JSONExtract(mappings[-1], {literal(MAPPING_TYPE)}) AS mapping, " if by_rules else ""
    return f"""{given(carried(), by_rules=by_rules)}
        FROM
        (
        SELECT
            project_id, received_at_ns, writer, batch_seq, ingest_key, sdk,
            resource_attributes, resource_attribute_types, resource_schema_url,
            scope_name, scope_version, scope_attributes, scope_attribute_types, scope_schema_url,
            resource_wanted, {mapping}
            toFixedString(substring(span.trace_id, 1, 16), 16) AS trace_id,
            toFixedString(substring(span.span_id, 1, 8), 8) AS span_id,
            toFixedString(if(span.parent_span_id = span.span_id, '', substring(span.parent_span_id, 1, 8)), 8) AS parent_span_id,
            span.name AS name, span.kind AS span_kind_number,
            span.status.code AS status_code, span.status.message AS status_message,
            span.trace_state AS trace_state, span.flags AS flags,
            span.events AS events, span.links AS links,
            arrayMap(e -> e.time_unix_nano, span.events) AS event_times_ns,
            span.dropped_attributes_count AS dropped_attributes_count,
            span.dropped_events_count AS dropped_events_count,
            span.dropped_links_count AS dropped_links_count,
            span.start_time_unix_nano AS reported_start_ns,
            span.end_time_unix_nano AS reported_end_ns,
            if(reported_start_ns >= {MIN_TIME_NS}, reported_start_ns < {MAX_TIME_NS}, false) AS start_is_sane,
            if(start_is_sane, reported_start_ns, least(greatest(received_at_ns, {MIN_TIME_NS}), {MAX_TIME_NS})) AS start_ns,
            multiIf(NOT start_is_sane, 0, reported_end_ns <= reported_start_ns, 0, reported_end_ns >= {MAX_TIME_NS}, 0,
                reported_end_ns - reported_start_ns) AS duration_ns,
            {map_of("span.attributes")} AS attributes,
            {types_of("span.attributes")} AS attribute_types,
            arrayMap(e -> {map_of("e.attributes")}, events) AS event_attributes,
            arrayMap((e, a) -> {name_of_event("e.name", "a")}, events, event_attributes) AS event_names
        FROM
        (
            SELECT
                project_id, received_at_ns, writer, batch_seq, ingest_key,
                {sdk()} AS sdk,
                resource_attributes, resource_attribute_types, resource_schema_url,
                resource_wanted, {mapping}
                scope_spans.scope.name AS scope_name, scope_spans.scope.version AS scope_version,
                {map_of("scope_spans.scope.attributes")} AS scope_attributes,
                {types_of("scope_spans.scope.attributes")} AS scope_attribute_types,
                scope_spans.schema_url AS scope_schema_url,
                arrayJoin(scope_spans.spans) AS span
            FROM
            (
                SELECT
                    project_id, received_at_ns, writer, batch_seq, ingest_key,
                    {map_of("resource_span.resource.attributes")} AS resource_attributes,
                    {types_of("resource_span.resource.attributes")} AS resource_attribute_types,
                    {resource_wanted()} AS resource_wanted, {mapping}
                    resource_span.schema_url AS resource_schema_url,
                    arrayJoin(resource_span.scope_spans) AS scope_spans
                FROM
                (
                    SELECT project_id, received_at_ns, writer, batch_seq, ingest_keys[-1] AS ingest_key,
                        {read_mapping}arrayJoin(resource_spans) AS resource_span
                    FROM {table}
                )
            )
        )
        )"""
