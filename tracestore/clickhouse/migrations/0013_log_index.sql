-- trace id -> time range of its log records, which may lie days after its spans (evaluations). Records of no trace that name a
-- response of a model stand under that name.
CREATE TABLE log_index
(
    project_id UInt32,
    trace_id FixedString(16),
    response_id String,
    min_time SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    max_time SimpleAggregateFunction(max, DateTime64(9, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (project_id, trace_id, response_id)
SETTINGS non_replicated_deduplication_window = 10000
