-- escalated:true -has_errors:true
-- over traces
((escalated = true) AND NOT (has_errors = true))

-- escalated:true -has_errors:true
-- over spans
((trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND (escalated = true))) AND NOT (trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND (has_errors = true))))
