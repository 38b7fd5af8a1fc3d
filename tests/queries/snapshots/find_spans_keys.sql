SELECT toUnixTimestamp64Nano(start_time), lower(hex(trace_id)), lower(hex(span_id)), toUnixTimestamp64Nano(received_at)
FROM spans
WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND %s
ORDER BY start_time DESC, trace_id DESC, span_id DESC, received_at DESC
LIMIT 1 BY start_time, trace_id, span_id
LIMIT {limit:UInt32}
