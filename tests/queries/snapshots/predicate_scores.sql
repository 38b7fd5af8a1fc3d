-- score.review:bad score.x:<0.5 -has:score
-- over traces
--   p0 = 'review'
--   p1 = 'bad'
--   p2 = 'bad'
--   p3 = 'x'
--   p4 = 0.5
((trace_id IN (
SELECT about FROM
(
    SELECT any(trace_id) AS about, argMax(((NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND trace_id IN (SELECT trace_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND (NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))))
    GROUP BY sipHash64(trace_id, id)
)
WHERE last.1
 UNION ALL 
SELECT run_id FROM (
SELECT about AS session_id, last.3 AS told_at FROM
(
    SELECT any(session_id) AS about, argMax(((NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND session_id IN (SELECT session_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND (NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))))
    GROUP BY sipHash64(session_id, id)
)
WHERE last.1
) AS told
ASOF INNER JOIN
(
    SELECT session_id, start_time, trace_id AS run_id FROM traces
    WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})
        AND session_id IN (SELECT session_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND (NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))))
) AS run
ON told.session_id = run.session_id AND told.told_at >= run.start_time
)) AND (trace_id IN (
SELECT about FROM
(
    SELECT any(trace_id) AS about, argMax(((NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND trace_id IN (SELECT trace_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND (NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)))
    GROUP BY sipHash64(trace_id, id)
)
WHERE last.1
 UNION ALL 
SELECT run_id FROM (
SELECT about AS session_id, last.3 AS told_at FROM
(
    SELECT any(session_id) AS about, argMax(((NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND session_id IN (SELECT session_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND (NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)))
    GROUP BY sipHash64(session_id, id)
)
WHERE last.1
) AS told
ASOF INNER JOIN
(
    SELECT session_id, start_time, trace_id AS run_id FROM traces
    WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})
        AND session_id IN (SELECT session_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND (NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)))
) AS run
ON told.session_id = run.session_id AND told.told_at >= run.start_time
)) AND NOT (trace_id IN (
SELECT about FROM
(
    SELECT any(trace_id) AS about, argMax(((NOT is_withdrawn), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND trace_id IN (SELECT trace_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND (NOT is_withdrawn))
    GROUP BY sipHash64(trace_id, id)
)
WHERE last.1
 UNION ALL 
SELECT run_id FROM (
SELECT about AS session_id, last.3 AS told_at FROM
(
    SELECT any(session_id) AS about, argMax(((NOT is_withdrawn), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND session_id IN (SELECT session_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND (NOT is_withdrawn))
    GROUP BY sipHash64(session_id, id)
)
WHERE last.1
) AS told
ASOF INNER JOIN
(
    SELECT session_id, start_time, trace_id AS run_id FROM traces
    WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})
        AND session_id IN (SELECT session_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id = toFixedString('', 16) AND session_id != '' AND (NOT is_withdrawn))
) AS run
ON told.session_id = run.session_id AND told.told_at >= run.start_time
)))

-- score.review:bad score.x:<0.5 -has:score
-- over spans
--   p0 = 'review'
--   p1 = 'bad'
--   p2 = 'bad'
--   p3 = 'x'
--   p4 = 0.5
(((trace_id, span_id) IN (
SELECT about, last.2 FROM
(
    SELECT any(trace_id) AS about, argMax(((NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND trace_id IN (SELECT trace_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND (NOT is_withdrawn AND name = {p0:String} AND ((label = {p1:String}) OR (if(name = 'review' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '') = {p2:String}))))
    GROUP BY sipHash64(trace_id, id)
)
WHERE last.1
)) AND ((trace_id, span_id) IN (
SELECT about, last.2 FROM
(
    SELECT any(trace_id) AS about, argMax(((NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND trace_id IN (SELECT trace_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND (NOT is_withdrawn AND name = {p3:String} AND ifNull((value < {p4:Float64}), false)))
    GROUP BY sipHash64(trace_id, id)
)
WHERE last.1
)) AND NOT ((trace_id, span_id) IN (
SELECT about, last.2 FROM
(
    SELECT any(trace_id) AS about, argMax(((NOT is_withdrawn), span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND trace_id IN (SELECT trace_id FROM scores WHERE project_id = {project_id:UInt32} AND time >= fromUnixTimestamp64Nano({start_ns:Int64}) - toIntervalDay(1) AND trace_id != toFixedString('', 16) AND (NOT is_withdrawn))
    GROUP BY sipHash64(trace_id, id)
)
WHERE last.1
)))
