-- One row per trace, written by the summary job from all its spans, again whenever spans arrive late. A newer
-- summarized_at replaces an older row; when a late span moves the start of a trace (and so the sort key), the job writes
-- an is_deleted row under the old key. Read with FINAL.
-- Token columns follow genai-prices' meaning: input includes cached and cache-creation tokens, output includes reasoning.
CREATE TABLE traces
(
    project_id UInt32,
    trace_id FixedString(16),
    start_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    duration_ns UInt64 CODEC(T64, ZSTD(1)),
    name LowCardinality(String),
    service LowCardinality(String),
    services Array(LowCardinality(String)),
    outcome LowCardinality(String),
    outcome_rule LowCardinality(String),
    has_errors Bool,
    escalated Bool,
    span_count UInt32 CODEC(T64, ZSTD(1)),
    error_count UInt32 CODEC(T64, ZSTD(1)),
    orphan_count UInt32 CODEC(T64, ZSTD(1)),
    root_span_id FixedString(8),
    failing_span_id FixedString(8),
    error_types Array(LowCardinality(String)),
    error_message String CODEC(ZSTD(3)),
    workflows Array(LowCardinality(String)),
    agents Array(LowCardinality(String)),
    versions Array(LowCardinality(String)),
    environment LowCardinality(String),
    prompts Array(LowCardinality(String)),
    session_id String CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    llm_calls UInt32 CODEC(T64, ZSTD(1)),
    input_tokens UInt64 CODEC(T64, ZSTD(1)),
    output_tokens UInt64 CODEC(T64, ZSTD(1)),
    cached_input_tokens UInt64 CODEC(T64, ZSTD(1)),
    cache_creation_input_tokens UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens UInt64 CODEC(T64, ZSTD(1)),
    cost_usd Nullable(Float64) CODEC(ZSTD(1)),
    supplied_cost_usd Nullable(Float64) CODEC(ZSTD(1)),
    unpriced_models Array(LowCardinality(String)),
    `tools.name` Array(LowCardinality(String)),
    `tools.calls` Array(UInt32),
    `tools.errors` Array(UInt32),
    `models.model` Array(LowCardinality(String)),
    `models.provider` Array(LowCardinality(String)),
    `models.calls` Array(UInt32),
    `models.errors` Array(UInt32),
    `models.input_tokens` Array(UInt64),
    `models.output_tokens` Array(UInt64),
    `models.cached_input_tokens` Array(UInt64),
    `models.cost_usd` Array(Nullable(Float64)),
    summarized_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    is_deleted UInt8,

    INDEX trace_id_bloom trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX summarized_at_range summarized_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(summarized_at, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (project_id, start_time, trace_id)
