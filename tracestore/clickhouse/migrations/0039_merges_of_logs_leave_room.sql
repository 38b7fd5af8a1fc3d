-- As for spans.
ALTER TABLE logs MODIFY SETTING number_of_free_entries_in_pool_to_lower_max_size_of_merge = 2
