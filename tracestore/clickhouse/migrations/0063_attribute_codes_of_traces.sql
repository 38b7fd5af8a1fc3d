-- Of all spans of a trace, as summary/attributes.py keeps them: 0 comes first. An empty list is that of a trace that was summarised
-- before this, of which nobody noted any.
ALTER TABLE traces ADD COLUMN IF NOT EXISTS attribute_codes Array(UInt64) CODEC(ZSTD(1))
