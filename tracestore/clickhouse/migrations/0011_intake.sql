-- What arrived, by minute of arrival, key and SDK: counts that `spans` cannot give later (copies are merged away) or only by
-- reading all of it (dropped, truncated, late, clocks). A `*_trace_id` is an example, zero when there is none.
-- lag_ns is from a span's end to its arrival: below zero when the sender's clock is ahead.
CREATE TABLE intake
(
    project_id UInt32,
    bucket_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    ingest_key LowCardinality(String),
    sdk LowCardinality(String),
    spans SimpleAggregateFunction(sum, UInt64),
    late SimpleAggregateFunction(sum, UInt64),
    ahead SimpleAggregateFunction(sum, UInt64),
    clamped SimpleAggregateFunction(sum, UInt64),
    truncated SimpleAggregateFunction(sum, UInt64),
    dropping SimpleAggregateFunction(sum, UInt64),
    dropped_attributes SimpleAggregateFunction(sum, UInt64),
    dropped_events SimpleAggregateFunction(sum, UInt64),
    dropped_links SimpleAggregateFunction(sum, UInt64),
    min_lag_ns SimpleAggregateFunction(min, Int64),
    max_lag_ns SimpleAggregateFunction(max, Int64),
    late_trace_id SimpleAggregateFunction(max, FixedString(16)),
    clock_trace_id SimpleAggregateFunction(max, FixedString(16)),
    truncated_trace_id SimpleAggregateFunction(max, FixedString(16)),
    dropping_trace_id SimpleAggregateFunction(max, FixedString(16))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket_start)
ORDER BY (project_id, bucket_start, ingest_key, sdk)
SETTINGS non_replicated_deduplication_window = 10000
