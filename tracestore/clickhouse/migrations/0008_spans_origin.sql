-- Whom a span came from: the name of the key, and the SDK as its resource names it. The data quality page counts by both, and
-- reads spans by the time they arrived: a clock that is wrong puts them anywhere in the order of start times.
ALTER TABLE spans
    ADD COLUMN IF NOT EXISTS ingest_key LowCardinality(String) AFTER batch_seq,
    ADD COLUMN IF NOT EXISTS sdk LowCardinality(String) AFTER ingest_key,
    ADD INDEX IF NOT EXISTS received_at_range received_at TYPE minmax GRANULARITY 1
