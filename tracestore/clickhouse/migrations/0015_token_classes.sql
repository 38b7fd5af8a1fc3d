-- Tokens with a price of their own: the part of cache writes that is kept for an hour, and audio.
ALTER TABLE spans
    ADD COLUMN IF NOT EXISTS cache_write_1h_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER reasoning_tokens,
    ADD COLUMN IF NOT EXISTS input_audio_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER cache_write_1h_tokens,
    ADD COLUMN IF NOT EXISTS output_audio_tokens UInt64 CODEC(T64, ZSTD(1)) AFTER input_audio_tokens
