-- A look-up of one attribute reads a quarter of the attributes instead of all: 2.3 s became 0.2 s for 400,000 spans. Parts of inserts
-- stay as they are, merges split their maps: 1 us a span and merge more, and 15 % more disk. More buckets make a search in all
-- texts slower, which reads them all. Measured: docs/performance.md.
ALTER TABLE spans MODIFY SETTING
    map_serialization_version = 'with_buckets',
    map_serialization_version_for_zero_level_parts = 'basic',
    map_buckets_strategy = 'constant',
    max_buckets_in_map = 4,
    map_buckets_min_avg_size = 0
