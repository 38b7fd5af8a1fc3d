-- version:* user:"" agent:"" error:*
-- over traces
--   p0 = ''
(notEmpty(versions) AND (user_id = {p0:String}) AND empty(agents) AND notEmpty(error_types))

-- version:* user:"" agent:"" error:*
-- over spans
--   p0 = ''
--   p1 = ''
((version != '') AND (trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND (user_id = {p0:String}))) AND (agent = {p1:String}) AND (error_type != ''))
