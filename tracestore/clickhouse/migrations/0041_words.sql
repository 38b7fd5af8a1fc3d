-- Words of all texts that a search looks into, in lower case: a text with a whole word that few spans have, such as "order 1234?",
-- reads the granules that may hold it. Built by merges alone, like attribute_values. Measured: docs/performance.md.
ALTER TABLE spans
    ADD INDEX IF NOT EXISTS attribute_words lower(arrayStringConcat(mapValues(attributes), '\n'))
        TYPE tokenbf_v1(65536, 2, 0) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS resource_attribute_words lower(arrayStringConcat(mapValues(resource_attributes), '\n'))
        TYPE tokenbf_v1(8192, 2, 0) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS scope_attribute_words lower(arrayStringConcat(mapValues(scope_attributes), '\n'))
        TYPE tokenbf_v1(1024, 2, 0) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS event_words lower(arrayStringConcat(arrayFlatten(event_attributes.values), '\n'))
        TYPE tokenbf_v1(16384, 2, 0) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS error_words
        lower(concat(name, '\n', status_message, '\n', error_type, '\n', error_message, '\n', arrayStringConcat(event_names, '\n')))
        TYPE tokenbf_v1(16384, 2, 0) GRANULARITY 1
