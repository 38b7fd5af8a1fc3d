-- As 0056, with the attributes in which Haystack, LangSmith, VoltAgent, Logfire and Laminar tell a tool's arguments. OpenInference's
-- tool.parameters counts last: to some senders (CrewAI) it is the schema of the arguments, the same for each call, and attributes
-- stand in reverse. What OpenInference hides is none. Spans that are stored keep the number they have.
ALTER TABLE spans MODIFY COLUMN arguments_hash UInt64 MATERIALIZED if(kind != 'tool', 0, arrayMap(
    said -> multiIf(said IN ('', '{', '__REDACTED__') OR startsWith(said, '[REDACTED]'), 0, length(said) > 2000, cityHash64(said), cityHash64(arraySort(if(JSONType(said) = 'Object',
        arrayFilter(pair -> pair.1 IN ('inputs', 'input_str') OR NOT JSONHas(said, 'input_str'), JSONExtractKeysAndValuesRaw(said)), [('', said)])))),
    [arrayFirst((x, key) -> x != '' AND key IN (
            'gen_ai.tool.call.arguments', 'tool_arguments', 'ai.toolCall.args', 'gcp.vertex.agent.tool_call_args',
            'gen_ai.tool.args', 'input.value', 'traceloop.entity.input', 'tool_input', 'gen_ai.tool.input',
            'lk.function_tool.arguments', 'mlflow.spanInputs', 'genkit:input', 'arguments', 'langfuse.observation.input',
            'args', 'spring.ai.tool.call.arguments', 'tool.arguments', 'lk.pii.function_tool.arguments',
            'braintrust.input_json', 'haystack.agent.step.tool.input', 'gen_ai.prompt', 'input', 'lmnr.span.input',
            'event content', 'at last'),
        arrayConcat(mapValues(attributes), [event_attributes[indexOf(event_names, 'gen_ai.tool.message')]['content'], attributes['tool.parameters']]),
        arrayConcat(mapKeys(attributes), ['event content', 'at last']))]
)[1]) CODEC(ZSTD(1))
