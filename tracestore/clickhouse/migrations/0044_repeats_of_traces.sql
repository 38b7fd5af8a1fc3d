-- What a run did again, and what that used (tracestore/repeats.py). Traces that were summarised before have none of it until
-- `manage.py reprice`.
ALTER TABLE traces
    ADD COLUMN IF NOT EXISTS retried_calls UInt32 CODEC(T64, ZSTD(1)) AFTER llm_errors,
    ADD COLUMN IF NOT EXISTS loops UInt32 CODEC(T64, ZSTD(1)) AFTER retried_calls,
    ADD COLUMN IF NOT EXISTS looping_calls UInt32 CODEC(T64, ZSTD(1)) AFTER loops,
    ADD COLUMN IF NOT EXISTS wasted_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER looping_calls,
    ADD COLUMN IF NOT EXISTS wasted_cost_usd Float64 CODEC(ZSTD(1)) AFTER wasted_tokens
