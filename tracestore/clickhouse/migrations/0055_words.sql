-- One index of words for all texts of a span, in lower case: which spans hold a word, not just which granules may. Its dictionary
-- is looked through for parts of words. It takes the place of the Bloom filters of values (0040) and of words (0041). Neither
-- inserts nor merges build it, for which it would be half their work, but a job (word_index.py), when merges have left a part alone
-- for a while. In pieces, because up to 1 GiB of it would be kept in memory. docs/performance.md has figures.
ALTER TABLE spans
    DROP INDEX IF EXISTS attribute_values,
    DROP INDEX IF EXISTS resource_attribute_values,
    DROP INDEX IF EXISTS scope_attribute_values,
    DROP INDEX IF EXISTS attribute_words,
    DROP INDEX IF EXISTS resource_attribute_words,
    DROP INDEX IF EXISTS scope_attribute_words,
    DROP INDEX IF EXISTS event_words,
    DROP INDEX IF EXISTS error_words,
    ADD INDEX IF NOT EXISTS words
        lower(concat(name, '\n', status_message, '\n', error_type, '\n', error_message, '\n', arrayStringConcat(event_names, '\n'), '\n', arrayStringConcat(mapValues(attributes), '\n'), '\n', arrayStringConcat(mapValues(resource_attributes), '\n'), '\n', arrayStringConcat(mapValues(scope_attributes), '\n'), '\n', arrayStringConcat(arrayFlatten(event_attributes.values), '\n')))
        TYPE text(tokenizer = 'splitByNonAlpha'),
    MODIFY SETTING text_index_max_memory_usage_before_flush = 67108864,
    exclude_materialize_skip_indexes_on_merge = 'words'
