-- What arrived of log records, by minute of arrival, key and SDK. `dropping` counts records of which the SDK left out attributes.
CREATE TABLE log_intake
(
    project_id UInt32,
    bucket_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    ingest_key LowCardinality(String),
    sdk LowCardinality(String),
    records SimpleAggregateFunction(sum, UInt64),
    dropping SimpleAggregateFunction(sum, UInt64),
    dropped_attributes SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket_start)
ORDER BY (project_id, bucket_start, ingest_key, sdk)
SETTINGS non_replicated_deduplication_window = 10000
