-- Traces that failed before fingerprints were known are summarised once more, the newest first. The ~ makes the summary job take
-- them one batch at a time, after what has just arrived.
INSERT INTO trace_touches (writer, batch_seq, project_id, trace_id)
SELECT '~fingerprints', 1 + intDiv(rowNumberInAllBlocks(), 2000), project_id, trace_id
FROM
(
    SELECT project_id, trace_id
    FROM traces
    WHERE outcome = 'error' AND error_fingerprint = ''
    GROUP BY project_id, trace_id
    ORDER BY max(start_time) DESC
)
SETTINGS max_threads = 1
