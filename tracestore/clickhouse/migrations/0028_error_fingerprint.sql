-- Which error a failed trace failed with (tracestore/fingerprint.py), "" for one that did not fail.
ALTER TABLE traces ADD COLUMN IF NOT EXISTS error_fingerprint LowCardinality(String) AFTER error_message
