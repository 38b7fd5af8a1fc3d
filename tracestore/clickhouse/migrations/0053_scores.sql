-- One row per evaluation result, whatever told it: a log record (scores of the REST API are such), an event of a span, annotations
-- in attributes, or a feedback span. trace_id is zero for one about a session as a whole; `value` is NULL for a label alone. Of
-- rows about the same trace or session with the same id the last by `time`, then by arrival, counts: one that is_withdrawn has the
-- time of what it withdraws and so takes its place.
CREATE TABLE scores
(
    project_id UInt32,
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    trace_id FixedString(16),
    span_id FixedString(8),
    session_id String CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    value Nullable(Float64) CODEC(ZSTD(1)),
    label String CODEC(ZSTD(1)),
    comment String CODEC(ZSTD(3)),
    source String CODEC(ZSTD(1)),
    annotator String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    is_withdrawn Bool,
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),

    INDEX id_bloom id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX trace_id_bloom trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX session_bloom session_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(received_at)
PARTITION BY toYYYYMM(time)
ORDER BY (project_id, toStartOfHour(time), trace_id, session_id, id, time)
SETTINGS non_replicated_deduplication_window = 10000
