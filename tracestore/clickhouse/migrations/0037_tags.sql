-- The agent's id where its platform gives it one (frameworks may make up one for each run: nothing is grouped by it), and the
-- tags of a span, at most 64.
ALTER TABLE spans
    ADD COLUMN IF NOT EXISTS agent_id String CODEC(ZSTD(1)) AFTER agent,
    ADD COLUMN IF NOT EXISTS tags Array(LowCardinality(String)) CODEC(ZSTD(1)) AFTER user_id
