-- model:gpt-5*
-- over traces
--   p0 = 'gpt-5%'
--   p1 = 'gpt-5%'
(arrayExists(x -> (x LIKE {p0:String}), `models.model`) OR (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (response_model LIKE {p1:String}))))

-- model:gpt-5*
-- over spans
--   p0 = 'gpt-5%'
--   p1 = 'gpt-5%'
((request_model LIKE {p0:String}) OR (response_model LIKE {p1:String}))
