-- A look-up of one attribute reads an eighth of the attributes instead of all: 2.3 s became 0.09 s for 400,000 spans. Parts of inserts
-- stay as they are, merges split their maps: 2.3 us a span and merge more, and 14 % more disk. Measured: docs/performance.md.
ALTER TABLE spans MODIFY SETTING
    map_serialization_version = 'with_buckets',
    map_serialization_version_for_zero_level_parts = 'basic',
    map_buckets_strategy = 'constant',
    max_buckets_in_map = 8,
    map_buckets_min_avg_size = 0
