SELECT 
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
