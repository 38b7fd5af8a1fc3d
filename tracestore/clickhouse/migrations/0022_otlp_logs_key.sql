-- As ingest_keys of otlp_traces: the name of the key that a request came with is the last element.
ALTER TABLE otlp_logs ADD COLUMN IF NOT EXISTS ingest_keys Array(String)
