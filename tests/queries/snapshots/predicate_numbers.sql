-- duration:>2s cost:0.1..0.5 tokens:<=10k -errors:>=2
-- over traces
--   p0 = 2000000000
--   p1 = 0.1
--   p2 = 0.5
--   p3 = 10000
--   p4 = 2
((duration_ns > {p0:UInt64}) AND ifNull((cost_usd >= {p1:Float64} AND cost_usd <= {p2:Float64}), false) AND (input_tokens + output_tokens <= {p3:UInt64}) AND NOT (error_count >= {p4:UInt64}))

-- duration:>2s cost:0.1..0.5 tokens:<=10k -errors:>=2
-- over spans
--   p0 = 2000000000
--   p1 = 0.1
--   p2 = 0.5
--   p3 = 10000
--   p4 = 2
((duration_ns > {p0:UInt64}) AND (trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND ifNull((cost_usd >= {p1:Float64} AND cost_usd <= {p2:Float64}), false))) AND (input_tokens + output_tokens <= {p3:UInt64}) AND NOT (trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND (error_count >= {p4:UInt64}))))
