-- What senders say that calls cost against what we compute: over calls that have both, `compared_cost_usd` is ours and
-- `cost_difference_usd` what they say more (below zero: less). And sums of the tokens that have a price of their own.
ALTER TABLE traces
    ADD COLUMN IF NOT EXISTS cache_creation_1h_input_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER reasoning_tokens,
    ADD COLUMN IF NOT EXISTS input_audio_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER cache_creation_1h_input_tokens,
    ADD COLUMN IF NOT EXISTS output_audio_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER input_audio_tokens,
    ADD COLUMN IF NOT EXISTS compared_cost_usd Nullable(Float64) CODEC(ZSTD(1)) AFTER supplied_cost_usd,
    ADD COLUMN IF NOT EXISTS cost_difference_usd Nullable(Float64) CODEC(ZSTD(1)) AFTER compared_cost_usd,
    ADD COLUMN IF NOT EXISTS `models.supplied_cost_usd` Array(Nullable(Float64)) AFTER `models.cost_usd`,
    ADD COLUMN IF NOT EXISTS `models.compared_cost_usd` Array(Nullable(Float64)) AFTER `models.supplied_cost_usd`,
    ADD COLUMN IF NOT EXISTS `models.cost_difference_usd` Array(Nullable(Float64)) AFTER `models.compared_cost_usd`
