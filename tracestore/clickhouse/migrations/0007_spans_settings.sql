-- What inserts and merges of so wide a table cost. An insert's part is one file instead of two for each column, up to 256 MiB
-- (a third less processor time for a batch), and merges copy column by column instead of row by row (half the time).
-- Measured: docs/performance.md.
ALTER TABLE spans MODIFY SETTING
    min_bytes_for_wide_part = 268435456,
    vertical_merge_algorithm_min_rows_to_activate = 1
