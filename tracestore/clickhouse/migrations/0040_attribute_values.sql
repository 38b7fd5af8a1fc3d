-- Words of attribute values: a look-up of a value that few spans have reads the granules whose words may be in it, not all of
-- them. Only merges build it (landing.py excludes it from inserts): parts that are not merged yet are read. A granule's filter
-- has 64 KiB, 5 bytes a span on disk. Measured: docs/performance.md.
ALTER TABLE spans
    ADD INDEX IF NOT EXISTS attribute_values mapValues(attributes) TYPE tokenbf_v1(65536, 2, 0) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS resource_attribute_values mapValues(resource_attributes) TYPE tokenbf_v1(8192, 2, 0) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS scope_attribute_values mapValues(scope_attributes) TYPE tokenbf_v1(1024, 2, 0) GRANULARITY 1
