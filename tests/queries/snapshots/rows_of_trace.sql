SELECT toUnixTimestamp64Nano(received_at), lower(hex(trace_id)), lower(hex(span_id)), if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))), toUnixTimestamp64Nano(start_time), cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, nullIf(time_to_first_token_ns, 0), name, kind, span_kind, duration_ns, status, status_message, is_error, error_type, error_message, service, environment, scope_name, agent, version, workflow, tool, tool_call_id, request_model, response_model, provider, finish_reason, service_tier, prompt_name, prompt_version, session_id, user_id, signal, agent_id, tags, input_tokens, output_tokens, reasoning_tokens, input_audio_tokens, output_audio_tokens, supplied_cost_usd
FROM spans
WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND trace_id = unhex({trace_id:String})
LIMIT {limit:UInt32}
SETTINGS max_threads = 1
