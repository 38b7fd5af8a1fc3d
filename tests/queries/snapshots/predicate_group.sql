-- tool(refund){status:error duration:>2s} llm(gpt-5* OR claude*) span{}
-- over traces
--   p0 = 'tool'
--   p1 = 'refund'
--   p2 = 2000000000
--   p3 = 'llm'
--   p4 = 'gpt-5%'
--   p5 = 'gpt-5%'
--   p6 = 'claude%'
--   p7 = 'claude%'
((trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND ((kind = {p0:String}) AND (tool = {p1:String}) AND (is_error AND (duration_ns > {p2:UInt64}))))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND ((kind = {p3:String}) AND (((request_model LIKE {p4:String}) OR (response_model LIKE {p5:String})) OR ((request_model LIKE {p6:String}) OR (response_model LIKE {p7:String})))))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND true)))

-- tool(refund){status:error duration:>2s} llm(gpt-5* OR claude*) span{}
-- over spans
--   p0 = 'tool'
--   p1 = 'refund'
--   p2 = 2000000000
--   p3 = 'llm'
--   p4 = 'gpt-5%'
--   p5 = 'gpt-5%'
--   p6 = 'claude%'
--   p7 = 'claude%'
(((kind = {p0:String}) AND (tool = {p1:String}) AND (is_error AND (duration_ns > {p2:UInt64}))) AND ((kind = {p3:String}) AND (((request_model LIKE {p4:String}) OR (response_model LIKE {p5:String})) OR ((request_model LIKE {p6:String}) OR (response_model LIKE {p7:String})))) AND true)
