-- tag:vip tag:v* has:tag agent_id:asst_1
-- over traces
--   p0 = 'vip'
--   p1 = 'v%'
--   p2 = 'asst_1'
((trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND has(tags, {p0:String}))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND arrayExists(x -> (x LIKE {p1:String}), tags))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND notEmpty(tags))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (agent_id = {p2:String}))))

-- tag:vip tag:v* has:tag agent_id:asst_1
-- over spans
--   p0 = 'vip'
--   p1 = 'v%'
--   p2 = 'asst_1'
(has(tags, {p0:String}) AND arrayExists(x -> (x LIKE {p1:String}), tags) AND notEmpty(tags) AND (agent_id = {p2:String}))
