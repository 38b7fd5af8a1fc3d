SELECT lower(hex(trace_id)), lower(hex(span_id)), if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))), toUnixTimestamp64Nano(start_time), cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, nullIf(time_to_first_token_ns, 0), name, kind, span_kind, duration_ns, status, status_message, is_error, error_type, error_message, service, environment, scope_name, agent, version, workflow, tool, tool_call_id, request_model, response_model, provider, finish_reason, service_tier, prompt_name, prompt_version, session_id, user_id, signal, agent_id, tags, input_tokens, output_tokens, reasoning_tokens, input_audio_tokens, output_audio_tokens, supplied_cost_usd,
    mapKeys(attributes), arrayMap((x, i) -> if(substring(attribute_types, i, 1) IN ('a', 'k', 'y'), base64Encode(x), x), mapValues(attributes), arrayEnumerate(mapValues(attributes))), attribute_types,
    mapKeys(resource_attributes), arrayMap((x, i) -> if(substring(resource_attribute_types, i, 1) IN ('a', 'k', 'y'), base64Encode(x), x), mapValues(resource_attributes), arrayEnumerate(mapValues(resource_attributes))), resource_attribute_types,
    mapKeys(scope_attributes), arrayMap((x, i) -> if(substring(scope_attribute_types, i, 1) IN ('a', 'k', 'y'), base64Encode(x), x), mapValues(scope_attributes), arrayEnumerate(mapValues(scope_attributes))), scope_attribute_types,
    event_times_ns, event_names, arrayMap(m -> mapKeys(m), event_attributes),
    arrayMap((m, t) -> arrayMap((x, i) -> if(substring(t, i, 1) IN ('a', 'k', 'y'), base64Encode(x), x), mapValues(m), arrayEnumerate(mapValues(m))), event_attributes, event_attribute_types), event_attribute_types, event_dropped_attributes_counts,
    link_trace_ids, link_span_ids, link_trace_states, arrayMap(m -> mapKeys(m), link_attributes),
    arrayMap((m, t) -> arrayMap((x, i) -> if(substring(t, i, 1) IN ('a', 'k', 'y'), base64Encode(x), x), mapValues(m), arrayEnumerate(mapValues(m))), link_attributes, link_attribute_types), link_attribute_types,
    scope_version, trace_state, flags, resource_schema_url, scope_schema_url, dropped_attributes_count, dropped_events_count,
    dropped_links_count, reported_start_ns, reported_end_ns, toUnixTimestamp64Nano(received_at)
FROM spans
WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64}) AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND trace_id = unhex({trace_id:String}) AND span_id = unhex({span_id:String})
ORDER BY received_at DESC
LIMIT 1
SETTINGS max_threads = 1
