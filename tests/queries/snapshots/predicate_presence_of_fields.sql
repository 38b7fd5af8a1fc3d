-- has:(user cost ttft tokens) -has:attr.k trace.cost:>1
-- over traces
--   p0 = 0.0
--   p1 = 0
--   p2 = 1
--   p3 = 'k'
--   p4 = ['k']
--   p5 = 1.0
(((user_id != '') AND ifNull((cost_usd >= {p0:Float64}), false) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND ifNull((nullIf(time_to_first_token_ns, 0) >= {p1:UInt64}), false))) AND (input_tokens + output_tokens >= {p2:UInt64})) AND NOT (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND ((mapContains(attributes, {p3:String}) OR mapContains(resource_attributes, {p3:String}) OR mapContains(scope_attributes, {p3:String})) AND _part NOT IN (SELECT name FROM system.parts WHERE active AND database = currentDatabase() AND table = 'spans' AND (name, hash_of_all_files) IN (SELECT part, files FROM part_contents WHERE knows_keys AND NOT (hasAny(attributes, {p4:Array(String)}) OR hasAny(resource_attributes, {p4:Array(String)}) OR hasAny(scope_attributes, {p4:Array(String)}))))))) AND ifNull((cost_usd > {p5:Float64}), false))

-- has:(user cost ttft tokens) -has:attr.k trace.cost:>1
-- over spans
--   p0 = 0.0
--   p1 = 0
--   p2 = 1
--   p3 = 'k'
--   p4 = ['k']
--   p5 = 1.0
(((trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND (user_id != ''))) AND (trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND ifNull((cost_usd >= {p0:Float64}), false))) AND ifNull((nullIf(time_to_first_token_ns, 0) >= {p1:UInt64}), false) AND (input_tokens + output_tokens >= {p2:UInt64})) AND NOT ((mapContains(attributes, {p3:String}) OR mapContains(resource_attributes, {p3:String}) OR mapContains(scope_attributes, {p3:String})) AND _part NOT IN (SELECT name FROM system.parts WHERE active AND database = currentDatabase() AND table = 'spans' AND (name, hash_of_all_files) IN (SELECT part, files FROM part_contents WHERE knows_keys AND NOT (hasAny(attributes, {p4:Array(String)}) OR hasAny(resource_attributes, {p4:Array(String)}) OR hasAny(scope_attributes, {p4:Array(String)}))))) AND (trace_id IN (SELECT trace_id FROM traces FINAL WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(7) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND ifNull((cost_usd > {p5:Float64}), false))))
