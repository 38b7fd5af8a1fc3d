-- The results that were stored before the table was, as the views spans_to_scores and logs_to_scores read them then: those that
-- counted already, and feedback. Annotations did not count and are found by reading the names of all attributes, 1.3 us a span: of
-- the last week. A span in two of the parts gives the same rows twice, which merges and readers take for one.
INSERT INTO scores (project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at)
SELECT project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at FROM
(
SELECT project_id, start_time AS time, if(told.10, toFixedString('', 16), trace_id) AS trace_id, span_id,
    if(told.10, session_id, '') AS session_id, toValidUTF8(told.2) AS name, if(isFinite(toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0']))), toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0'])), NULL) AS value, toValidUTF8(told.4) AS label, toValidUTF8(told.5) AS comment, toValidUTF8(told.6) AS source, toValidUTF8(told.7) AS annotator, toValidUTF8(told.8) AS error_type, if(told.1 != '', toValidUTF8(told.1), substring(lower(hex(SHA256(arrayStringConcat(told.9, char(31))))), 1, 32)) AS id, false AS is_withdrawn, received_at
FROM
(
    SELECT project_id, start_time, trace_id, span_id, session_id, received_at,
        arrayJoin(arrayConcat(
        arrayMap((m, n) -> (firstNonDefault(m['tracestore.score.id'], m['openlit.score.idempotency_key'], ''), m['gen_ai.evaluation.name'], m['gen_ai.evaluation.score.value'], m['gen_ai.evaluation.score.label'], m['gen_ai.evaluation.explanation'], m['gen_ai.evaluation.evaluator.source'], m['tracestore.score.annotator'], m['error.type'], ['event', lower(hex(trace_id)), lower(hex(span_id)), toString(n)], false),
            arrayFilter((m, name) -> name = 'gen_ai.evaluation.result', event_attributes, event_names) AS results, arrayEnumerate(results)), 
        arrayMap((p, of_session) -> ('', attributes[concat(p, 'name')], attributes[concat(p, 'score')], attributes[concat(p, 'label')], attributes[concat(p, 'explanation')], attributes[concat(p, 'annotator_kind')], attributes[concat(p, 'identifier')], '',
                ['annotation', multiIf(of_session, session_id, match(p, '^(trace|session)[.]'), lower(hex(trace_id)), concat(lower(hex(trace_id)), lower(hex(span_id)))), p, attributes[concat(p, 'name')], attributes[concat(p, 'identifier')]], of_session),
            arrayDistinct(arrayFilter(p -> p != '', arrayMap(k -> extract(k, '^((?:(?:trace|session)\\.)?(?:annotations\\.[0-9]{1,9}\\.annotation|evaluations\\.[0-9]{1,9}\\.evaluation)\\.)(?:name|score|label|explanation|annotator_kind|identifier)$'),
                CAST(mapKeys(attributes), 'Array(String)')))) AS prefixes,
            arrayMap(p -> startsWith(p, 'session.') AND session_id != '', prefixes)), 
        arrayMap((name, text, letter) -> ('', name, if(letter IN ('i', 'd', 'b'), text, ''), if(letter IN ('i', 'd'), '', text),
                attributes['logfire.feedback.comment'], 'feedback', '', '', ['feedback', lower(hex(trace_id)), lower(hex(span_id)), name], false),
            if(attributes['logfire.feedback.name'] != '' AND endsWith(scope_name, 'feedback'), [attributes['logfire.feedback.name']], []) AS names,
            arrayMap(name -> attributes[name], names), arrayMap(name -> substring(attribute_types, indexOf(mapKeys(attributes), name), 1), names)))) AS told
    FROM (SELECT * FROM spans PREWHERE has(event_names, 'gen_ai.evaluation.result') OR endsWith(scope_name, 'feedback'))
    WHERE has(event_names, 'gen_ai.evaluation.result') OR mapContains(attributes, 'logfire.feedback.name')
        OR multiSearchAny(arrayStringConcat(mapKeys(attributes)), ['.annotation.', '.evaluation.'])
)
)
UNION ALL
SELECT project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at FROM
(
SELECT project_id, start_time AS time, if(told.10, toFixedString('', 16), trace_id) AS trace_id, span_id,
    if(told.10, session_id, '') AS session_id, toValidUTF8(told.2) AS name, if(isFinite(toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0']))), toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0'])), NULL) AS value, toValidUTF8(told.4) AS label, toValidUTF8(told.5) AS comment, toValidUTF8(told.6) AS source, toValidUTF8(told.7) AS annotator, toValidUTF8(told.8) AS error_type, if(told.1 != '', toValidUTF8(told.1), substring(lower(hex(SHA256(arrayStringConcat(told.9, char(31))))), 1, 32)) AS id, false AS is_withdrawn, received_at
FROM
(
    SELECT project_id, start_time, trace_id, span_id, session_id, received_at,
        arrayJoin(arrayConcat(
        arrayMap((m, n) -> (firstNonDefault(m['tracestore.score.id'], m['openlit.score.idempotency_key'], ''), m['gen_ai.evaluation.name'], m['gen_ai.evaluation.score.value'], m['gen_ai.evaluation.score.label'], m['gen_ai.evaluation.explanation'], m['gen_ai.evaluation.evaluator.source'], m['tracestore.score.annotator'], m['error.type'], ['event', lower(hex(trace_id)), lower(hex(span_id)), toString(n)], false),
            arrayFilter((m, name) -> name = 'gen_ai.evaluation.result', event_attributes, event_names) AS results, arrayEnumerate(results)), 
        arrayMap((p, of_session) -> ('', attributes[concat(p, 'name')], attributes[concat(p, 'score')], attributes[concat(p, 'label')], attributes[concat(p, 'explanation')], attributes[concat(p, 'annotator_kind')], attributes[concat(p, 'identifier')], '',
                ['annotation', multiIf(of_session, session_id, match(p, '^(trace|session)[.]'), lower(hex(trace_id)), concat(lower(hex(trace_id)), lower(hex(span_id)))), p, attributes[concat(p, 'name')], attributes[concat(p, 'identifier')]], of_session),
            arrayDistinct(arrayFilter(p -> p != '', arrayMap(k -> extract(k, '^((?:(?:trace|session)\\.)?(?:annotations\\.[0-9]{1,9}\\.annotation|evaluations\\.[0-9]{1,9}\\.evaluation)\\.)(?:name|score|label|explanation|annotator_kind|identifier)$'),
                CAST(mapKeys(attributes), 'Array(String)')))) AS prefixes,
            arrayMap(p -> startsWith(p, 'session.') AND session_id != '', prefixes)), 
        arrayMap((name, text, letter) -> ('', name, if(letter IN ('i', 'd', 'b'), text, ''), if(letter IN ('i', 'd'), '', text),
                attributes['logfire.feedback.comment'], 'feedback', '', '', ['feedback', lower(hex(trace_id)), lower(hex(span_id)), name], false),
            if(attributes['logfire.feedback.name'] != '' AND endsWith(scope_name, 'feedback'), [attributes['logfire.feedback.name']], []) AS names,
            arrayMap(name -> attributes[name], names), arrayMap(name -> substring(attribute_types, indexOf(mapKeys(attributes), name), 1), names)))) AS told
    FROM (SELECT * FROM spans WHERE start_time >= now() - INTERVAL 7 DAY)
    WHERE has(event_names, 'gen_ai.evaluation.result') OR mapContains(attributes, 'logfire.feedback.name')
        OR multiSearchAny(arrayStringConcat(mapKeys(attributes)), ['.annotation.', '.evaluation.'])
)
)
UNION ALL
SELECT project_id, time, trace_id, span_id, session_id, id, name, value, label, comment, source, annotator, error_type, is_withdrawn, received_at FROM
(
SELECT project_id, time, trace_id, span_id, session_id, toValidUTF8(told.2) AS name, if(isFinite(toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0']))), toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0'])), NULL) AS value, toValidUTF8(told.4) AS label, toValidUTF8(told.5) AS comment, toValidUTF8(told.6) AS source, toValidUTF8(told.7) AS annotator, toValidUTF8(told.8) AS error_type, if(told.1 != '', toValidUTF8(told.1), leftPad(lower(hex(record_id)), 16, '0')) AS id,
    attributes['tracestore.score.withdrawn'] = 'true' AS is_withdrawn, received_at
FROM
(
    SELECT *, (firstNonDefault(attributes['tracestore.score.id'], attributes['openlit.score.idempotency_key'], ''), attributes['gen_ai.evaluation.name'], attributes['gen_ai.evaluation.score.value'], attributes['gen_ai.evaluation.score.label'], attributes['gen_ai.evaluation.explanation'], attributes['gen_ai.evaluation.evaluator.source'], attributes['tracestore.score.annotator'], attributes['error.type']) AS told
    FROM logs
    WHERE event_name = 'gen_ai.evaluation.result'
)
)
SETTINGS max_threads = 2, max_block_size = 8192, max_partitions_per_insert_block = 0
