-- 
-- over traces
true

-- 
-- over spans
true
