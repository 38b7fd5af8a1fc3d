-- The rules that a request is read with are the last element, after any that the sender put there; see landing.py.
ALTER TABLE otlp_mapped_traces ADD COLUMN IF NOT EXISTS mappings Array(String)
