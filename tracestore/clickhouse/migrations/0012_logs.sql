-- One row per accepted log record. trace_id and span_id are zero where the record names none. record_id is a hash of what was
-- sent, so that a record which an exporter sent twice has it twice: merges drop the copy, and readers use LIMIT 1 BY record_id.
-- The body is stored like an attribute: its text, and in body_type its letter (attributes.py). session_id, response_id and
-- tool_call_id are what joins a record to a trace or step that it does not name.
CREATE TABLE logs
(
    project_id UInt32,
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    trace_id FixedString(16),
    span_id FixedString(8),
    record_id UInt64 CODEC(ZSTD(1)),
    severity_number UInt8,
    severity_text LowCardinality(String),
    event_name LowCardinality(String),
    body String CODEC(ZSTD(3)),
    body_type LowCardinality(String),
    service LowCardinality(String),
    session_id String CODEC(ZSTD(1)),
    response_id String CODEC(ZSTD(1)),
    tool_call_id String CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    attribute_types String CODEC(ZSTD(1)),
    resource_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource_attribute_types String CODEC(ZSTD(1)),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_attribute_types String CODEC(ZSTD(1)),
    resource_schema_url LowCardinality(String),
    scope_schema_url LowCardinality(String),
    flags UInt32 CODEC(ZSTD(1)),
    dropped_attributes_count UInt32 CODEC(ZSTD(1)),
    reported_time_ns UInt64 CODEC(Delta, ZSTD(1)),
    observed_time_ns UInt64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    writer LowCardinality(String),
    batch_seq UInt64 CODEC(Delta, ZSTD(1)),

    INDEX trace_id_bloom trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX response_id_bloom response_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(received_at)
PARTITION BY toYYYYMM(time)
ORDER BY (project_id, toStartOfMinute(time), trace_id, span_id, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 268435456
