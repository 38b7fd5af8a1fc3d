-- When all places but one are taken by merges, another takes at most 411 MB, about half a minute's work: new parts never wait for a
-- large merge. The embedded engine has two places (client.py) and keeps none free by itself; a server has 32.
ALTER TABLE spans MODIFY SETTING number_of_free_entries_in_pool_to_lower_max_size_of_merge = 2
