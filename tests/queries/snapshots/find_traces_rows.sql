SELECT lower(hex(trace_id)), toUnixTimestamp64Nano(start_time), if(root_span_id = toFixedString('', 8), '', lower(hex(root_span_id))), if(failing_span_id = toFixedString('', 8), '', lower(hex(failing_span_id))), duration_ns, name, service, services, outcome, outcome_rule, has_errors, escalated, span_count, error_count, orphan_count, error_types, error_message, workflows, agents, versions, environment, prompts, session_id, user_id, llm_calls, input_tokens, output_tokens, cached_input_tokens, cache_creation_input_tokens, reasoning_tokens, cache_creation_1h_input_tokens, input_audio_tokens, output_audio_tokens, cost_usd, supplied_cost_usd, compared_cost_usd, cost_difference_usd, unpriced_models, error_fingerprint, arrayZip(`tools.name`, `tools.calls`, `tools.errors`), arrayZip(`models.model`, `models.provider`, `models.calls`, `models.errors`, `models.input_tokens`, `models.output_tokens`, `models.cached_input_tokens`, `models.cost_usd`, `models.supplied_cost_usd`, `models.compared_cost_usd`, `models.cost_difference_usd`)
FROM traces FINAL
PREWHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND (start_time, trace_id) IN (
    SELECT fromUnixTimestamp64Nano(key.1), toFixedString(unhex(key.2), 16)
    FROM (SELECT arrayJoin(arrayZip({starts_ns:Array(Int64)}, {trace_ids:Array(String)})) AS key)
)
ORDER BY start_time DESC, trace_id DESC
SETTINGS do_not_merge_across_partitions_select_final = 1, %s
