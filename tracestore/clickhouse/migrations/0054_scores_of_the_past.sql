-- The results that were stored before the table was. As the views spans_to_scores and logs_to_scores read them then.
INSERT INTO scores (project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at)
SELECT project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at FROM
(
SELECT project_id, start_time AS time, if(told.1, toFixedString('', 16), trace_id) AS trace_id, span_id,
    if(told.1, session_id, '') AS session_id, toValidUTF8(told.2) AS id, toValidUTF8(told.3) AS name, told.4 AS value, toValidUTF8(told.5) AS label, toValidUTF8(told.6) AS comment, toValidUTF8(told.7) AS source, toValidUTF8(told.8) AS annotator, toValidUTF8(told.9) AS error_type, false AS is_withdrawn, received_at
FROM
(
    SELECT project_id, start_time, trace_id, span_id, session_id, received_at,
        arrayJoin(arrayConcat(
        arrayMap((m, n) -> (false, if(firstNonDefault(m['tracestore.score.id'], m['openlit.score.idempotency_key'], '') != '', firstNonDefault(m['tracestore.score.id'], m['openlit.score.idempotency_key'], ''), substring(lower(hex(SHA256(arrayStringConcat(['event', lower(hex(trace_id)), lower(hex(span_id)), toString(n)], char(31))))), 1, 32)), m['gen_ai.evaluation.name'], multiIf(m['gen_ai.evaluation.score.value'] = 'true', 1., m['gen_ai.evaluation.score.value'] = 'false', 0., isFinite(toFloat64OrNull(m['gen_ai.evaluation.score.value'])), toFloat64OrNull(m['gen_ai.evaluation.score.value']), NULL), m['gen_ai.evaluation.score.label'], m['gen_ai.evaluation.explanation'], m['gen_ai.evaluation.evaluator.source'], m['tracestore.score.annotator'], m['error.type']),
            arrayFilter((m, name) -> name = 'gen_ai.evaluation.result', event_attributes, event_names) AS results, arrayEnumerate(results)), 
        arrayMap(p -> (startsWith(p, 'session.') AND session_id != '', substring(lower(hex(SHA256(arrayStringConcat(['annotation', multiIf(startsWith(p, 'session.') AND session_id != '', session_id, match(p, '^(trace|session)[.]'), lower(hex(trace_id)), concat(lower(hex(trace_id)), lower(hex(span_id)))), p, attributes[concat(p, 'name')], attributes[concat(p, 'identifier')]], char(31))))), 1, 32), attributes[concat(p, 'name')], multiIf(attributes[concat(p, 'score')] = 'true', 1., attributes[concat(p, 'score')] = 'false', 0., isFinite(toFloat64OrNull(attributes[concat(p, 'score')])), toFloat64OrNull(attributes[concat(p, 'score')]), NULL), attributes[concat(p, 'label')], attributes[concat(p, 'explanation')],
                attributes[concat(p, 'annotator_kind')], attributes[concat(p, 'identifier')], ''),
            arrayDistinct(arrayFilter(p -> p != '', arrayMap(k -> toString(extract(k, '^((?:(?:trace|session)\\.)?(?:annotations\\.[0-9]{1,9}\\.annotation|evaluations\\.[0-9]{1,9}\\.evaluation)\\.)(?:name|score|label|explanation|annotator_kind|identifier)$')), mapKeys(attributes))))), 
        arrayFilter(result -> result.3 != '' AND endsWith(scope_name, 'feedback'),
            [(false, substring(lower(hex(SHA256(arrayStringConcat(['feedback', lower(hex(trace_id)), lower(hex(span_id)), attributes['logfire.feedback.name']], char(31))))), 1, 32), attributes['logfire.feedback.name'],
                if(substring(attribute_types, indexOf(mapKeys(attributes), attributes['logfire.feedback.name']), 1) IN ('i', 'd', 'b'), multiIf(attributes[attributes['logfire.feedback.name']] = 'true', 1., attributes[attributes['logfire.feedback.name']] = 'false', 0., isFinite(toFloat64OrNull(attributes[attributes['logfire.feedback.name']])), toFloat64OrNull(attributes[attributes['logfire.feedback.name']]), NULL), NULL), if(substring(attribute_types, indexOf(mapKeys(attributes), attributes['logfire.feedback.name']), 1) IN ('i', 'd'), '', attributes[attributes['logfire.feedback.name']]), attributes['logfire.feedback.comment'],
                'feedback', '', '')]))) AS told
    FROM spans
    WHERE has(event_names, 'gen_ai.evaluation.result')
        OR arrayExists(k -> k = 'logfire.feedback.name' OR extract(k, '^((?:(?:trace|session)\\.)?(?:annotations\\.[0-9]{1,9}\\.annotation|evaluations\\.[0-9]{1,9}\\.evaluation)\\.)(?:name|score|label|explanation|annotator_kind|identifier)$') != '', mapKeys(attributes))
)
)
UNION ALL
SELECT project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at FROM
(
SELECT project_id, time, trace_id, span_id, session_id,
    if(given_id != '', toValidUTF8(given_id), leftPad(lower(hex(record_id)), 16, '0')) AS id,
    toValidUTF8(told.1) AS name, told.2 AS value, toValidUTF8(told.3) AS label, toValidUTF8(told.4) AS comment, toValidUTF8(told.5) AS source, toValidUTF8(told.6) AS annotator, toValidUTF8(told.7) AS error_type, attributes['tracestore.score.withdrawn'] = 'true' AS is_withdrawn, received_at
FROM
(
    SELECT *, firstNonDefault(attributes['tracestore.score.id'], attributes['openlit.score.idempotency_key'], '') AS given_id, (attributes['gen_ai.evaluation.name'], multiIf(attributes['gen_ai.evaluation.score.value'] = 'true', 1., attributes['gen_ai.evaluation.score.value'] = 'false', 0., isFinite(toFloat64OrNull(attributes['gen_ai.evaluation.score.value'])), toFloat64OrNull(attributes['gen_ai.evaluation.score.value']), NULL), attributes['gen_ai.evaluation.score.label'], attributes['gen_ai.evaluation.explanation'], attributes['gen_ai.evaluation.evaluator.source'], attributes['tracestore.score.annotator'], attributes['error.type']) AS told
    FROM logs
    WHERE event_name = 'gen_ai.evaluation.result'
)
)
SETTINGS max_threads = 1, max_block_size = 8192, max_partitions_per_insert_block = 0
