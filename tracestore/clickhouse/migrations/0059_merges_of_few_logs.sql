-- As 0058, for the bodies of log records.
ALTER TABLE logs MODIFY SETTING max_parts_to_merge_at_once = 12
