-- Further sums, and durations as counts by bucket: those of minutes add up to those of hours without loss. `duration_ns`, the
-- t-digest before, is no longer written. Minutes of before the change are computed again by the worker, the newest first.
ALTER TABLE rollups
    ADD COLUMN IF NOT EXISTS successes UInt64 CODEC(T64, ZSTD(1)) AFTER failures,
    ADD COLUMN IF NOT EXISTS handovers UInt64 CODEC(T64, ZSTD(1)) AFTER escalations,
    ADD COLUMN IF NOT EXISTS unpriced_traces UInt64 CODEC(T64, ZSTD(1)) AFTER error_traces,
    ADD COLUMN IF NOT EXISTS unpriced_calls UInt64 CODEC(T64, ZSTD(1)) AFTER unpriced_traces,
    ADD COLUMN IF NOT EXISTS cache_creation_input_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER cached_input_tokens,
    ADD COLUMN IF NOT EXISTS input_audio_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER reasoning_tokens,
    ADD COLUMN IF NOT EXISTS output_audio_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER input_audio_tokens,
    ADD COLUMN IF NOT EXISTS failed_cost_usd Float64 CODEC(ZSTD(1)) AFTER cost_usd,
    ADD COLUMN IF NOT EXISTS durations AggregateFunction(quantilesExactWeighted(0.5, 0.9, 0.95, 0.99), UInt16, UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS call_durations AggregateFunction(quantilesExactWeighted(0.5, 0.9, 0.95, 0.99), UInt16, UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS first_tokens AggregateFunction(quantilesExactWeighted(0.5, 0.9, 0.95, 0.99), UInt16, UInt64) CODEC(ZSTD(1))
