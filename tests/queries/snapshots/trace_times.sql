SELECT toUnixTimestamp64Nano(min(min_start_time)), toUnixTimestamp64Nano(max(max_start_time))
FROM trace_index
WHERE project_id = {project_id:UInt32} AND trace_id = unhex({trace_id:String})
GROUP BY trace_id
