-- trace id -> time range of all its spans, so that reading one trace by its id prunes by time like every other query.
CREATE TABLE trace_index
(
    project_id UInt32,
    trace_id FixedString(16),
    min_start_time SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    max_start_time SimpleAggregateFunction(max, DateTime64(9, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (project_id, trace_id)
SETTINGS non_replicated_deduplication_window = 10000
