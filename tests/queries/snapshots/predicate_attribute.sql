-- attr.k:v attr.k:* attr.k:a_%*z attr.k:>=5
-- over traces
--   p0 = 'k'
--   p1 = 'v'
--   p2 = '0a030a0176'
--   p3 = 'v'
--   p4 = 'k'
--   p5 = 'k'
--   p6 = 'a\\_\\%%z'
--   p7 = 'k'
--   p8 = 5.0
((trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (((attributes[{p0:String}] = {p1:String}) OR hasToken(attributes[{p0:String}], {p3:String}) AND position(attributes[{p0:String}], unhex({p2:String})) > 0) OR ((resource_attributes[{p0:String}] = {p1:String}) OR hasToken(resource_attributes[{p0:String}], {p3:String}) AND position(resource_attributes[{p0:String}], unhex({p2:String})) > 0) OR ((scope_attributes[{p0:String}] = {p1:String}) OR hasToken(scope_attributes[{p0:String}], {p3:String}) AND position(scope_attributes[{p0:String}], unhex({p2:String})) > 0)))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (mapContains(attributes, {p4:String}) OR mapContains(resource_attributes, {p4:String}) OR mapContains(scope_attributes, {p4:String})))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND ((attributes[{p5:String}] LIKE {p6:String}) OR (resource_attributes[{p5:String}] LIKE {p6:String}) OR (scope_attributes[{p5:String}] LIKE {p6:String})))) AND (trace_id IN (SELECT trace_id FROM spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time <= (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, 604800000000000)))) FROM traces WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})) AND (ifNull((toFloat64OrNull(attributes[{p7:String}]) >= {p8:Float64}), false) OR ifNull((toFloat64OrNull(resource_attributes[{p7:String}]) >= {p8:Float64}), false) OR ifNull((toFloat64OrNull(scope_attributes[{p7:String}]) >= {p8:Float64}), false)))))

-- attr.k:v attr.k:* attr.k:a_%*z attr.k:>=5
-- over spans
--   p0 = 'k'
--   p1 = 'v'
--   p2 = '0a030a0176'
--   p3 = 'v'
--   p4 = 'k'
--   p5 = 'k'
--   p6 = 'a\\_\\%%z'
--   p7 = 'k'
--   p8 = 5.0
((((attributes[{p0:String}] = {p1:String}) OR hasToken(attributes[{p0:String}], {p3:String}) AND position(attributes[{p0:String}], unhex({p2:String})) > 0) OR ((resource_attributes[{p0:String}] = {p1:String}) OR hasToken(resource_attributes[{p0:String}], {p3:String}) AND position(resource_attributes[{p0:String}], unhex({p2:String})) > 0) OR ((scope_attributes[{p0:String}] = {p1:String}) OR hasToken(scope_attributes[{p0:String}], {p3:String}) AND position(scope_attributes[{p0:String}], unhex({p2:String})) > 0)) AND (mapContains(attributes, {p4:String}) OR mapContains(resource_attributes, {p4:String}) OR mapContains(scope_attributes, {p4:String})) AND ((attributes[{p5:String}] LIKE {p6:String}) OR (resource_attributes[{p5:String}] LIKE {p6:String}) OR (scope_attributes[{p5:String}] LIKE {p6:String})) AND (ifNull((toFloat64OrNull(attributes[{p7:String}]) >= {p8:Float64}), false) OR ifNull((toFloat64OrNull(resource_attributes[{p7:String}]) >= {p8:Float64}), false) OR ifNull((toFloat64OrNull(scope_attributes[{p7:String}]) >= {p8:Float64}), false)))
