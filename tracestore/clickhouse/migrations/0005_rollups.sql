-- One row per minute, service, version, environment and one further dimension: dimension = '' is all traces; 'agent',
-- 'model', 'tool' and 'error' rows count the traces that have that value, so rows of one dimension must not be added to
-- each other for trace counts. The minute is recomputed as a whole from `traces` whenever one of its traces changed; a
-- combination that no longer occurs is written again with zeros, so computing twice gives the same rows. Read with FINAL.
CREATE TABLE rollups
(
    project_id UInt32,
    bucket_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    version LowCardinality(String),
    environment LowCardinality(String),
    dimension LowCardinality(String),
    value LowCardinality(String),
    requests UInt64 CODEC(T64, ZSTD(1)),
    failures UInt64 CODEC(T64, ZSTD(1)),
    escalations UInt64 CODEC(T64, ZSTD(1)),
    error_traces UInt64 CODEC(T64, ZSTD(1)),
    spans UInt64 CODEC(T64, ZSTD(1)),
    input_tokens UInt64 CODEC(T64, ZSTD(1)),
    output_tokens UInt64 CODEC(T64, ZSTD(1)),
    cached_input_tokens UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens UInt64 CODEC(T64, ZSTD(1)),
    cost_usd Float64 CODEC(ZSTD(1)),
    calls UInt64 CODEC(T64, ZSTD(1)),
    call_errors UInt64 CODEC(T64, ZSTD(1)),
    duration_ns AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    computed_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket_start)
ORDER BY (project_id, dimension, bucket_start, service, version, environment, value)
