-- What a run was asked and what it answered, for lists: the beginnings of two texts that `spans` holds whole. Written after the
-- summary of a trace and again after each newer one; `summarized_at` is that of the summary. A row with two empty texts says that
-- the trace was looked at. Traces that were summarised more than a day before have none until `manage.py reprice`.
-- No partitions: starts come from outside, and an insert would make a part for each month. Short granules: a page of the list asks
-- for fifty traces that may lie anywhere, and of each a whole granule of texts is read.
CREATE TABLE trace_previews
(
    project_id UInt32,
    start_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    trace_id FixedString(16),
    asked String CODEC(ZSTD(3)),
    answered String CODEC(ZSTD(3)),
    summarized_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    previewed_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),

    INDEX previewed_at_range previewed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(previewed_at)
ORDER BY (project_id, start_time, trace_id)
SETTINGS index_granularity = 64, min_compress_block_size = 8192
