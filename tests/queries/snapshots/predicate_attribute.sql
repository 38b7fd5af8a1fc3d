-- attr.k:v attr.k:* attr.k:a_%*z attr.k:>=5
-- over traces
--   p0 = 'k'
--   p1 = 'v'
--   p2 = '0a030a0176'
--   p3 = 'k'
--   p4 = 'k'
--   p5 = 'a\\_\\%%z'
--   p6 = 'k'
--   p7 = 5.0
((trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (((attributes[{p0:String}] = {p1:String}) OR position(attributes[{p0:String}], unhex({p2:String})) > 0) OR ((resource_attributes[{p0:String}] = {p1:String}) OR position(resource_attributes[{p0:String}], unhex({p2:String})) > 0) OR ((scope_attributes[{p0:String}] = {p1:String}) OR position(scope_attributes[{p0:String}], unhex({p2:String})) > 0)))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (mapContains(attributes, {p3:String}) OR mapContains(resource_attributes, {p3:String}) OR mapContains(scope_attributes, {p3:String})))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND ((attributes[{p4:String}] LIKE {p5:String}) OR (resource_attributes[{p4:String}] LIKE {p5:String}) OR (scope_attributes[{p4:String}] LIKE {p5:String})))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (ifNull((toFloat64OrNull(attributes[{p6:String}]) >= {p7:Float64}), false) OR ifNull((toFloat64OrNull(resource_attributes[{p6:String}]) >= {p7:Float64}), false) OR ifNull((toFloat64OrNull(scope_attributes[{p6:String}]) >= {p7:Float64}), false)))))

-- attr.k:v attr.k:* attr.k:a_%*z attr.k:>=5
-- over spans
--   p0 = 'k'
--   p1 = 'v'
--   p2 = '0a030a0176'
--   p3 = 'k'
--   p4 = 'k'
--   p5 = 'a\\_\\%%z'
--   p6 = 'k'
--   p7 = 5.0
((((attributes[{p0:String}] = {p1:String}) OR position(attributes[{p0:String}], unhex({p2:String})) > 0) OR ((resource_attributes[{p0:String}] = {p1:String}) OR position(resource_attributes[{p0:String}], unhex({p2:String})) > 0) OR ((scope_attributes[{p0:String}] = {p1:String}) OR position(scope_attributes[{p0:String}], unhex({p2:String})) > 0)) AND (mapContains(attributes, {p3:String}) OR mapContains(resource_attributes, {p3:String}) OR mapContains(scope_attributes, {p3:String})) AND ((attributes[{p4:String}] LIKE {p5:String}) OR (resource_attributes[{p4:String}] LIKE {p5:String}) OR (scope_attributes[{p4:String}] LIKE {p5:String})) AND (ifNull((toFloat64OrNull(attributes[{p6:String}]) >= {p7:Float64}), false) OR ifNull((toFloat64OrNull(resource_attributes[{p6:String}]) >= {p7:Float64}), false) OR ifNull((toFloat64OrNull(scope_attributes[{p6:String}]) >= {p7:Float64}), false)))
