-- Whom a record came from, as for spans: the name of the key, and the SDK as its resource names it.
ALTER TABLE logs
    ADD COLUMN IF NOT EXISTS ingest_key LowCardinality(String) AFTER batch_seq,
    ADD COLUMN IF NOT EXISTS sdk LowCardinality(String) AFTER ingest_key,
    ADD INDEX IF NOT EXISTS received_at_range received_at TYPE minmax GRANULARITY 1
