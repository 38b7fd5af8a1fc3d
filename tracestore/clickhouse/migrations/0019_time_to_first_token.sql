-- How long a model call took to its first token; 0 when the sender did not say.
ALTER TABLE spans ADD COLUMN IF NOT EXISTS time_to_first_token_ns UInt64 CODEC(T64, ZSTD(1)) AFTER finish_reason
