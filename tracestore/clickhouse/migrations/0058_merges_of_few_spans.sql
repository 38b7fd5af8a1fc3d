-- A merge holds a granule of each of its parts, 10 MB and more with content. When the drain lets held merges go on (ingest/drain.py),
-- a hundred parts wait, and ClickHouse would merge all of them at once, in 4 GB.
ALTER TABLE spans MODIFY SETTING max_parts_to_merge_at_once = 12
