-- status:error version:v3 tool:refund
-- over traces
--   p0 = 'error'
--   p1 = 'v3'
--   p2 = 'refund'
((outcome = {p0:String}) AND has(versions, {p1:String}) AND has(`tools.name`, {p2:String}))

-- status:error version:v3 tool:refund
-- over spans
--   p0 = 'v3'
--   p1 = 'refund'
(is_error AND (version = {p0:String}) AND (tool = {p1:String}))
