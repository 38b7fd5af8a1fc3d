-- The same by hour.
ALTER TABLE rollups_hourly
    ADD COLUMN IF NOT EXISTS retried_calls UInt64 CODEC(T64, ZSTD(1)) AFTER unpriced_calls,
    ADD COLUMN IF NOT EXISTS looping_calls UInt64 CODEC(T64, ZSTD(1)) AFTER retried_calls,
    ADD COLUMN IF NOT EXISTS looping_traces UInt64 CODEC(T64, ZSTD(1)) AFTER looping_calls,
    ADD COLUMN IF NOT EXISTS wasted_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER looping_traces,
    ADD COLUMN IF NOT EXISTS wasted_cost_usd Float64 CODEC(ZSTD(1)) AFTER failed_cost_usd
