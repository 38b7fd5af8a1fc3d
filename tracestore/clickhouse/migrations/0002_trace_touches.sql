-- Which traces each inserted batch touched, with the time range of the spans it brought: the summary job's work list,
-- read in (writer, batch_seq) order from its cursor on. Rows are of no use once summarised, hence the TTL.
CREATE TABLE trace_touches
(
    writer LowCardinality(String),
    batch_seq UInt64,
    project_id UInt32,
    trace_id FixedString(16),
    inserted_at DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY (writer, batch_seq, project_id, trace_id)
TTL inserted_at + INTERVAL 14 DAY
SETTINGS non_replicated_deduplication_window = 10000
