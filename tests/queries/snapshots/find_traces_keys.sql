SELECT toUnixTimestamp64Nano(start_time), lower(hex(trace_id))
FROM traces FINAL
WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND %s
ORDER BY start_time DESC, trace_id DESC
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_read_in_order = 0
