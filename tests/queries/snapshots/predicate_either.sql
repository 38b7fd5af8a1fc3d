-- (tool:a OR tool:b*) -env:dev
-- over traces
--   p0 = 'a'
--   p1 = 'b%'
--   p2 = 'dev'
((has(`tools.name`, {p0:String}) OR arrayExists(x -> (x LIKE {p1:String}), `tools.name`)) AND NOT (environment = {p2:String}))

-- (tool:a OR tool:b*) -env:dev
-- over spans
--   p0 = 'a'
--   p1 = 'b%'
--   p2 = 'dev'
(((tool = {p0:String}) OR (tool LIKE {p1:String})) AND NOT (environment = {p2:String}))
