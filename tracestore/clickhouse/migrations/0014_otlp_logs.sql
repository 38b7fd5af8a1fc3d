-- Where raw OTLP logs land: one row per request, nothing stored; the generated view otlp_to_logs turns it into `logs`.
-- Columns mirror tracestore/clickhouse/otlp.proto.
CREATE TABLE otlp_logs
(
    resource_logs Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Nullable(String), kvlist_value Nullable(String), bytes_value Nullable(String))))),
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Nullable(String), kvlist_value Nullable(String), bytes_value Nullable(String))))),
            log_records Array(Tuple(
                time_unix_nano UInt64,
                severity_number Int32,
                severity_text String,
                body Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Nullable(String), kvlist_value Nullable(String), bytes_value Nullable(String)),
                attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Nullable(String), kvlist_value Nullable(String), bytes_value Nullable(String)))),
                dropped_attributes_count UInt32,
                flags UInt32,
                trace_id String,
                span_id String,
                observed_time_unix_nano UInt64,
                event_name String)),
            schema_url String)),
        schema_url String)),
    project_id UInt32,
    received_at_ns UInt64,
    writer String,
    batch_seq UInt64
)
ENGINE = Null
