SELECT %s AS value, count() AS count, countIf(outcome = 'error') AS failed
FROM traces FINAL
WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND %s
GROUP BY value
HAVING value != ''
ORDER BY count DESC, value
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
