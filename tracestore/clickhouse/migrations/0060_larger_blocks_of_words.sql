-- A search for parts of words reads the dictionary whole, which takes a fifth less in blocks sixteen times as large whose words
-- are not cut to what differs from the one before. Parts get it anew by the job (0055). docs/performance.md has figures.
ALTER TABLE spans
    DROP INDEX IF EXISTS words,
    ADD INDEX words
        lower(concat(name, '\n', status_message, '\n', error_type, '\n', error_message, '\n', arrayStringConcat(event_names, '\n'), '\n', arrayStringConcat(mapValues(attributes), '\n'), '\n', arrayStringConcat(mapValues(resource_attributes), '\n'), '\n', arrayStringConcat(mapValues(scope_attributes), '\n'), '\n', arrayStringConcat(arrayFlatten(event_attributes.values), '\n')))
        TYPE text(tokenizer = 'splitByNonAlpha', dictionary_block_size = 8192, dictionary_block_frontcoding_compression = 0)
