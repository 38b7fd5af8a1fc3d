-- tool_error:refund OR tool_error:* OR tool_error:re*
-- over traces
--   p0 = 'refund'
--   p1 = 're%'
(arrayExists((x, y) -> y > 0 AND (x = {p0:String}), `tools.name`, `tools.errors`) OR arrayExists((x, y) -> y > 0, `tools.name`, `tools.errors`) OR arrayExists((x, y) -> y > 0 AND (x LIKE {p1:String}), `tools.name`, `tools.errors`))

-- tool_error:refund OR tool_error:* OR tool_error:re*
-- over spans
--   p0 = 'refund'
--   p1 = 're%'
((is_error AND (tool = {p0:String})) OR (is_error AND (tool != '')) OR (is_error AND (tool LIKE {p1:String})))
