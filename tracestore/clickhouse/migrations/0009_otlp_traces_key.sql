-- The name of the key that a request came with ("" for none) is the last element; see tracestore/clickhouse/landing.py.
-- An array, because ClickHouse reads a text that occurs twice as empty: so a sender could have hidden its key.
ALTER TABLE otlp_traces ADD COLUMN IF NOT EXISTS ingest_keys Array(String)
