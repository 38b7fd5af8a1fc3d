-- kind:tool span:execute_tool* trace:4bf9* trace:4bf92f3577b34da6a3ce929d0e0e4736
-- over traces
--   p0 = 'tool'
--   p1 = 'execute\\_tool%'
--   p2 = '4bf9'
--   p3 = '4bf92f3577b34da6a3ce929d0e0e4736'
((trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (kind = {p0:String}))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (name LIKE {p1:String}))) AND startsWith(lower(hex(trace_id)), {p2:String}) AND (trace_id = unhex({p3:String})))

-- kind:tool span:execute_tool* trace:4bf9* trace:4bf92f3577b34da6a3ce929d0e0e4736
-- over spans
--   p0 = 'tool'
--   p1 = 'execute\\_tool%'
--   p2 = '4bf9'
--   p3 = '4bf92f3577b34da6a3ce929d0e0e4736'
((kind = {p0:String}) AND (name LIKE {p1:String}) AND startsWith(lower(hex(trace_id)), {p2:String}) AND (trace_id = unhex({p3:String})))
