"""The upper layers of the generated view of spans: attributes -> canonical columns, by tracestore/semconv/."""

from __future__ import annotations

import re

from tracestore.clickhouse.views.lookups import (
    at,
    candidates,
    first,
    first_of,
    first_slot,
    has_any,
    json_member,
    literal,
    literals,
    slots,
    tool_signal,
)
from tracestore.clickhouse.views.span_source import carried, carried_at, members_of, tuple_of
from tracestore.semconv import calls, errors, fields, kinds, signals
from tracestore.semconv.sources import ABSENT, SCRUBBED_PREFIX, Source

# More tokens than any call can have; keeps sums of hostile numbers far from overflow.
MAX_TOKENS = 10**12
_MAX_TAGS = 64
_RESULT_CHARS = 1000  # of a tool's result that stands for the message of its error
TOKEN_FIELDS = (
    "input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens", "cache_write_5m_tokens",
)  # fmt: skip


def layers(*, by_rules: bool) -> tuple[str, ...]:
    """Return the SELECTs from attributes to canonical columns without their FROM, outermost first."""
    any_model = "SELECT *, if(raw_request_model != '', raw_request_model, raw_response_model) AS any_raw_model"
    return _columns(), _tools(by_rules=by_rules), _judged(), _counted(), any_model, _looked_up()


def _columns() -> str:
    """Return the layer of the canonical columns."""
    agents_of_scopes = " ".join(
        f"startsWith(scope_name, {literal(scope)}), {literal(agent)}," for scope, agent in kinds.AGENTS_OF_SCOPES.items()
    )
    return f"""SELECT
    {members_of("carried", carried())},
    {members_of("settled", _settled())},
    if(name = '', 'unknown', name) AS name,
    transform(status_code, [1, 2], ['ok', 'error'], 'unset') AS status,
    status_message, scope_name, attributes, kind,
    multiIf(
        agent_attribute NOT IN ('', request_model, response_model), agent_attribute,
        kind != 'agent', '',
        agent_of_agent_span NOT IN ('', request_model, response_model), agent_of_agent_span,
        named_agent != '', if(named_agent IN (request_model, response_model, {literals(ABSENT)}), '', named_agent),
        {agents_of_scopes}
        replaceRegexpOne(name, {literal(kinds.NOT_AGENT_NAME)}, ''))
        AS agent,
    tool,
    -- What an answer echoes as its request's parameters is the answer's model.
    if(if(echoed_model, request_model = response_model, false), '', request_model) AS request_model,
    response_model,
    transform(provider_name, [{literals(calls.PROVIDERS)}], [{literals(calls.PROVIDERS.values())}], provider_name)
        AS provider,
    is_error,
    -- Who sends no type often begins the message with it, or quotes such a message in JSON (OpenAI's Agents SDK).
    multiIf(NOT is_error, '', raw_error_type != '', raw_error_type,
        match(error_text, {literal(errors.TYPE_IN_MESSAGE)}), extract(error_text, {literal(errors.TYPE_IN_MESSAGE)}), 'unknown')
        AS error_type,
    -- A tool that failed without a word about it says in its result why.
    multiIf(NOT is_error, '', error_text != '', error_text, kind = 'tool', leftUTF8(tool_result, {_RESULT_CHARS}), '')
        AS error_message,
    {_signal()} AS signal,
    -- More audio than all tokens: text alone was counted (LiveKit's realtime sessions).
    least(tokens_in + if(exclusive_input, cached + cache_written, 0) + if(tokens[8] > tokens_in, tokens[8], 0), {MAX_TOKENS})
        AS input_tokens,
    tokens_out + if(additive_reasoning, reasoned, 0) + if(tokens[9] > tokens_out, tokens[9], 0) AS output_tokens,
    least(cached, input_tokens) AS cache_read_tokens,
    least(cache_written, input_tokens - cache_read_tokens) AS cache_write_tokens,
    least(reasoned, output_tokens) AS reasoning_tokens,
    least(tokens[7], cache_write_tokens) AS cache_write_1h_tokens,
    least(tokens[8], input_tokens) AS input_audio_tokens,
    least(tokens[9], output_tokens) AS output_audio_tokens,
    if(if(supplied > 0, supplied < 1e9, false), supplied, NULL) AS supplied_cost_usd"""


def _tools(*, by_rules: bool) -> str:
    """Return the layer that names tools, and says what one means by the project's rules."""
    rule_signal = tool_signal(f"carried.{len(carried()) + 1}") if by_rules else "''"
    return f"""SELECT *,
        if(kind = 'tool', true, is_execution) AS runs_tool,
        -- What a framework says when it refuses a call, Logfire in the error's type; arguments cut short are refused
        -- without a word. Those that Python shows are not JSON either.
        multiIf(NOT runs_tool, '',
            multiIf(NOT is_error, false, startsWith(tool_arguments, '{{\\''), false, startsWith(tool_arguments, '{{'),
                NOT isValidJSON(tool_arguments), false),
            'invalid json',
            concat(if(error_text = '', raw_error_type, error_text), ' ', substring(tool_result, 1, 200))) AS tool_text,
        multiIf(
            kind != 'tool', '',
            -- Semantic Kernel names a tool plugin-function.
            startsWith(scope_name, 'semantic_kernel.functions'), replaceRegexpOne(tool_attribute, '^[A-Za-z0-9_]+-', ''),
            tool_attribute != '', replaceRegexpOne(tool_attribute, {literal(kinds.MCP_PREFIX)}, ''),
            -- LangChain.js's class of tools; the answer is a message that names the tool.
            if(other_tool_name IN ({literals(kinds.TOOL_CLASSES)}), JSONHas(tool_result, 'kwargs', 'name'), false),
            JSONExtractString(tool_result, 'kwargs', 'name'),
            other_tool_name != '', other_tool_name,
            replaceRegexpOne(name, {literal(kinds.NOT_TOOL_NAME)}, '')) AS tool,
        {rule_signal} AS rule_signal,
        trim(BOTH '[]' FROM extract(name, '^(?:invoke_agent|create_agent|agent_run) (.*)')) AS named_agent"""


def _judged() -> str:
    """Return the layer that decides what a span is, whether it failed, and what its counts include."""
    control_flow, interrupts = literal(errors.CONTROL_FLOW_TEXT), literal(errors.INTERRUPT_TEXT)
    return f"""SELECT *,
        {_exclusive_input()} AS exclusive_input,
        -- Gemini's candidates leave out thoughts.
        multiIf(reasoned > tokens_out, true, reasoned = 0, false, tokens_total = tokens_in + tokens_out + reasoned, true,
            scope_name = {literal(calls.ADDITIVE_REASONING_SCOPE)}, true,
            langfuse_buckets, tokens_total != tokens_in + tokens_out, false) AS additive_reasoning,
        {_provider()} AS provider_name,
        multiIf(
            NOT multiIf(if(status_code = 2, NOT if(ai_sdk_answered, exception_type = '', false), false), true,
                error_type_attribute != '', true, exception_ended_it, true, failed_by_flag), false,
            raw_error_type IN ({literals(errors.CONTROL_FLOW_ERRORS)}), false,
            NOT match(error_text, {control_flow})) AS is_error,
        if(raw_error_type IN ({literals(errors.INTERRUPTS)}), true, match(error_text, {interrupts})) AS interrupted,
        {_kind()} AS kind"""


def _counted() -> str:
    """Return the layer of a call's numbers and models, and of its error as it was told."""
    prefix = literal(calls.MODEL_PREFIX)
    return f"""SELECT *,
        tokens[1] AS tokens_in, tokens[3] AS tokens_total,
        -- An output that is the total holds the input, too (ADK up to 1.5).
        multiIf(tokens[2] != tokens_total, tokens[2], tokens_in < tokens_total, toUInt64(tokens_total - tokens_in), tokens[2])
            AS tokens_out,
        tokens[4] AS cached, if(tokens[5] > 0, tokens[5], tokens[7] + tokens[10]) AS cache_written,
        -- Gemini's total has its thoughts, which some senders (OpenLLMetry) tell in no other number.
        multiIf(tokens[6] > 0, tokens[6], tokens_total <= tokens_in + tokens_out, 0, tokens_in = 0, 0,
            match(any_raw_model, {literal(calls.GEMINI)}), toUInt64(tokens_total - tokens_in - tokens_out), 0) AS reasoned,
        if(supplied_total > 0, supplied_total, supplied_parts[1] + supplied_parts[2]) AS supplied,
        extract(any_raw_model, {prefix}) AS model_prefix,
        replaceRegexpOne(raw_request_model, {prefix}, '') AS request_model,
        replaceRegexpOne(raw_response_model, {prefix}, '') AS response_model,
        replaceRegexpOne(any_raw_model, {prefix}, '') AS any_model,
        match(lower(concat(provider_attribute, ' ', any_raw_model)), {literal(calls.ANTHROPIC)}) AS anthropic,
        -- An exception recorded on a span that says OK: dealt with when the span has a result (a retry), else the end of it.
        -- LangSmith sets OK on everything, a result on what failed, too, and records nothing but what ended the run.
        multiIf(exception_type = '', false, status_code != 1, true, is_run_of_langsmith, true,
            NOT arrayExists(k -> match(k, {literal(errors.RESULT_KEY)}), mapKeys(attributes))) AS exception_ended_it,
        -- One name for one error, whether a dialect writes module.path.Name, <class 'module.path.Name'> or Name. What LangSmith
        -- records is always an Exception; its message begins with the repr of the real one.
        {_raw_error_type()} AS raw_error_type,
        multiIf(status_message != '', status_message,
            failed_answer != '', JSONExtractString(failed_answer, 'response', 'resultDisplay'),
            exception_message = '', error_text_attribute,
            -- Its messages are those of Python with the stack behind them.
            is_run_of_langsmith, trimRight(splitByString('Traceback (most recent call last):', exception_message)[1]),
            exception_message) AS error_text"""


def _raw_error_type() -> str:
    """Return the type of a span's error, whether or not the error counts."""
    return f"""replaceRegexpOne(
            replaceRegexpOne(
                multiIf(error_type_attribute NOT IN ('', {literal(errors.NO_ERROR_TYPE)}), error_type_attribute,
                    if(exception_type = 'Exception', match(exception_message, '^[A-Z][A-Za-z0-9]+[(]'), false),
                    substringIndex(exception_message, '(', 1),
                    exception_type != '', exception_type,
                    failed_answer != '', JSONExtractString(failed_answer, 'response', 'errorType'), other_error_attribute),
                '^<class \\'(.*)\\'>$', '\\\\1'),
            '^[A-Za-z_][A-Za-z0-9_.]*[.]([A-Z][A-Za-z0-9_]*)$', '\\\\1')"""


def _token_counts() -> str:
    """Return an array of the token fields' numbers, in the order of TOKEN_FIELDS."""
    # As floats, because some languages write "12.0" or "1e3"; exact far beyond MAX_TOKENS. NaN and negatives count as none.
    texts = ", ".join(first(field) for field in TOKEN_FIELDS)
    counted = f"if({at('gen_ai.operation.name')} IN ({literals(calls.REPEATED_USAGE)}), [], [{texts}])"
    clamped = f"toUInt64(if(if(number > 0, number < 1e18, false), least(number, toFloat64({MAX_TOKENS})), 0))"
    return f"arrayMap(number -> {clamped}, arrayMap(text -> toFloat64OrZero(text), {counted}))"


def _shape() -> str:
    """Return the kind of a span that declares none: what its name and attributes look like."""
    named = ", ".join(f"match(shown_name, {literal(pattern)}), {literal(kind)}" for pattern, kind in kinds.NAME_KINDS)
    keys = "mapKeys(attributes)"
    shaped = ", ".join(
        f"arrayExists(k -> match(k, {literal(pattern)}), {keys}), {literal(kind)}" for pattern, kind in kinds.SHAPE_KEYS
    )
    return (
        f"multiIf({named}, tool_attribute != '', 'tool', startsWith(name, 'tools/call '), 'tool', {shaped}, "
        "concat(request_model, response_model) = '', 'other', tokens_in + tokens_out > 0, 'llm', named_model != '', 'llm', "
        f"arrayExists(k -> match(k, {literal(kinds.MESSAGE_KEY)}), {keys}), 'llm', 'other')"
    )


def _kind() -> str:
    """Return the kind of a span: what it declares, else what it looks like; with the cases where a declaration misleads."""
    misdeclared = ", ".join(f"match(name, {literal(pattern)}), {literal(kind)}" for pattern, kind in kinds.MISDECLARED_KINDS)
    declared = "if(is_langfuse_generation, 'llm', declared_kind)"
    called = "failed_request != '', 'llm', is_unnamed_agent, 'chain', is_tool_as_agent, 'tool'"
    return f"multiIf({misdeclared}, {called}, declared_kind != '', {declared}, {_shape()})"


def _exclusive_input() -> str:
    """Return whether the input count leaves out cached tokens: arithmetic first, then the scope's habit, the total, the names."""
    return f"""multiIf(
            cached + cache_written = 0, false,
            cached + cache_written > tokens_in, true,
            match(scope_name, {literal(calls.EXCLUSIVE_SCOPES)}), true,
            if(anthropic, match(scope_name, {literal(calls.EXCLUSIVE_FOR_ANTHROPIC)}), false), true,
            if(anthropic, only_answer_counts, false), true,
            match(scope_name, {literal(calls.INCLUSIVE_SCOPES)}), false,
            bare_names, true,
            -- What the provider itself said: the AI SDK up to version 5 repeats it, and adds the total up from it.
            said_by_anthropic != 0, said_by_anthropic = tokens_in,
            -- Version 4 tells of the cache alone.
            cached_by_anthropic, true,
            tokens_total = tokens_in + tokens_out, false,
            tokens_total = tokens_in + tokens_out + cached + cache_written, true,
            -- Langfuse's own bucket names are disjoint (OpenAI's names in the same place are not).
            langfuse_buckets, true, if(anthropic, raw_names, false))"""


def _said_signal() -> str:
    """Return what a span says outright about hand-offs and people: the application's own word, then the dialects' conventions."""
    said = at(signals.SIGNAL_KEY)
    target = f"arrayFirst(x -> x != '', [{', '.join(at(key) for key in signals.HANDOFF_TARGETS)}, name])"
    last_part = f"extract(right(x, {signals.LAST_PART_BYTES}), {literal(signals.LAST_PART)})"
    handed_off = f"match(x, {literal(signals.HANDOFF_ANSWER)})"
    answers = f"if(match(x, {literal(signals.RESUMED)}), true, {last_part} IN ({literals(signals.APPROVAL_ANSWERS)}))"
    is_agent, last = (
        "declared_kind = 'agent'",
        f"right(attributes[{literal(signals.ANSWERED_MESSAGES)}], {signals.LAST_MESSAGE_BYTES})",
    )
    parts = "".join(f"match(attributes[{literal(key)}], {literal(part)}), true, " for key, part in signals.ASKED_PARTS)
    asked = f"if({is_agent}, multiIf({parts}false), false)"
    answered = f"""if({is_agent}, multiIf(match(name, {literal(signals.CONTINUED_RUN)}), true,
                match(attributes[{literal(signals.DECISION_INPUT)}], {literal(signals.DECISION)}), true,
                extract({last}, {literal(signals.LAST_MESSAGE)}) = {literal(signals.ANSWERED_PART)}), false)"""
    return f"""multiIf(
            {said} IN ({literals(signals.SIGNALS)}), {said},
            event_signal != '', event_signal,
            multiIf(match(name, {literal(signals.HANDOFF_NAME)}), true,
                {at("gen_ai.operation.name")} IN ('handoff', 'agent_handoff'), true,
                {at("traceloop.span.kind")} = 'handoff', true,
                {has_any(Source(key) for key in (*signals.HANDOFF_TARGETS, *signals.HANDOFF_SOURCES))}),
                if(match({target}, {literal(signals.HUMAN)}), 'human_escalation', 'agent_handoff'),
            if(declared_kind = 'agent', arrayExists((k, x) -> if(k IN ({literals(signals.HANDOFF_OUTPUTS)}), {handed_off}, false),
                mapKeys(attributes), mapValues(attributes)), false), 'agent_handoff',
            if({at("span.type")} = 'tool.blocked_on_user', {at("decision")} = 'reject', false), 'refused_call',
            -- A configuration or a hook that decides is nobody who is asked; nor is there anybody where no terminal is.
            multiIf({at("source")} IN ('config', 'hook', 'unknown'), false, {at("span.type")} = 'tool.blocked_on_user', true,
                {at("gen_ai.operation.name")} IN ({literals(signals.WAITING_OPERATIONS)}), true,
                name = 'claude_code.tool.blocked_on_user'), 'human_wait',
            multiIf({at("pydantic_ai.tool.deferral.name")} != '', true, name = 'Human Feedback', true,
                match(usage_text, {literal(signals.APPROVAL_TEXT)}), true, {asked}), 'human_approval_requested',
            arrayExists((k, x) -> if(k IN ({literals(signals.APPROVAL_INPUTS)}), {answers}, false),
                mapKeys(attributes), mapValues(attributes)), 'human_approval_decided',
            {answered}, 'human_approval_decided',
            '')"""


def _signal() -> str:
    """Return what a span says about the run: what it says outright, else what its tool and its error mean."""
    return f"""multiIf(
        if(rule_signal != '', NOT is_error, false), rule_signal,
        said_signal != '', said_signal,
        interrupted, 'human_approval_requested',
        NOT runs_tool, '',
        match(tool_text, {literal(errors.REFUSED_CALL)}), 'refused_call',
        if(tool != '', extract(tool_text, {literal(errors.UNFIT_CALL)}) = tool, false), 'refused_call',
        raw_error_type IN ({literals(errors.REFUSED_TYPES)}), 'refused_call',
        kind != 'tool', '',
        tool IN ({literals(signals.APPROVAL_TOOLS)}), 'human_approval_requested',
        if(match(tool, {literal(signals.HANDOFF_TOOL)}), NOT match(tool, {literal(signals.HUMAN)}), false), 'agent_handoff',
        '')"""


def _finish_reason() -> str:
    # Semantic Kernel sends the member of a Python enum as it is shown: FinishReason.TOOL_CALLS.
    return f"extract({first('finish_reason')}, '(?:FinishReason[.])?([A-Za-z_-][A-Za-z_-]+)')"


def _failed_by_flag() -> str:
    flags = "".join(f"{at(key)} IN ({literals(values)}), true, " for key, values in errors.FAILURE_FLAGS)
    told = "failed_by_event, true, failed_request != '', true, failed_answer != '', true"
    told += f", startsWith(tool_result, {literal(errors.FAILED_RESULT)}), true"
    named = f"startsWith(name, {literal(errors.SILENT_NAME)})"
    silent = f"multiIf(notEmpty(attributes), false, scope_name = {literal(errors.SILENT_SCOPE)}, {named}, false), true"
    return f"multiIf({flags}{told}, {silent}, {_finish_reason()} = 'error')"


def _time_to_first_token() -> str:
    """Return the nanoseconds to the first token, 0 when nobody says."""
    units = {slots()[key]: unit_ns for key, unit_ns in fields.FIRST_TOKEN_UNITS_NS.items()}
    units[slots()["mapped:time_to_first_token"]] = 1.0
    said, slot = first("time_to_first_token"), first_slot("time_to_first_token")
    unit_ns = f"transform({slot}, {list(units)}, {list(units.values())}, 0.)"
    moment = f"toUnixTimestamp64Micro(parseDateTime64BestEffortOrZero({said}, 6, 'UTC'))"
    scope_unit = f"transform({slot}, [{slots()['mapped:time_to_first_token']}], [1.], 1e6)"
    return f"""toUInt64(arrayFirst(ns -> if(ns > 0, ns < 1e15, false), [
        toFloat64OrZero({said}) * if(startsWith(scope_name, 'strands'), {scope_unit}, {unit_ns}),
        ({moment} - intDiv(toUnixTimestamp64Nano({carried_at("start_time")}), 1000)) * 1e3, first_token_event_ns]))"""


def _tags() -> str:
    """Return the tags of a span: a list (anyvalue.py: two bytes stand before each text of it), JSON, or texts between commas."""
    said = first("tags")
    return f"""arraySlice(arrayDistinct(arrayFilter(t -> t != '', multiIf({said} = '', [],
        startsWith({said}, '['), JSONExtract({said}, 'Array(String)'),
        startsWith({said}, '\\n'), splitByRegexp('(?s)\\n.\\n.', {said}),
        splitByRegexp(' *, *', {said})))), 1, {_MAX_TAGS})"""


def _settled() -> dict[str, str]:
    """Return the columns that are found by looking at attributes and not looked at again, by name, as `carried` does."""
    asked_tier = json_member("llm.invocation_parameters", "service_tier")
    served_tier = f"if({asked_tier} != '', extract({at('output.value')}, {literal(fields.SERVED_TIER)}), '')"
    tier = first_of([served_tier, first("service_tier")])
    session, prompt = first("session_id"), first("prompt_name")
    is_root = f"if({at('langsmith.span.parent_id')} = '', {carried_at('parent_span_id')} = toFixedString('', 8), false)"
    return {
        "service": f"if({first('service')} = '', 'unknown', {first('service')})",
        "environment": f"if({first('environment')} = '', 'default', {first('environment')})",
        "version": first("version"),
        "response_id": first("response_id"),
        "finish_reason": _finish_reason(),
        "service_tier": f"if({at('gen_ai.request.batch')} = 'true', 'batch', substring(lower({tier}), 1, 32))",
        "tool_call_id": first("tool_call_id"),
        # Gemini CLI names the turn of a session so.
        "prompt_name": f"if(if({session} = '', false, startsWith({prompt}, {session})), '', {prompt})",
        "prompt_version": first("prompt_version"),
        # An answer's id: Microsoft's agent framework continues from the answer before, which is another in every call.
        # Nor is what Logfire's scrubber left of it in an attribute's JSON one.
        "session_id": f"arrayFirst(x -> multiIf(x = '', false, startsWith(x, {literal(fields.RESPONSE_ID_PREFIX)}), false,"
        f" NOT startsWith(x, {literal(SCRUBBED_PREFIX)})), [{', '.join(candidates('session_id'))}, {at('session.id')}])",
        "user_id": first("user_id"),
        "agent_id": first("agent_id"),
        "tags": _tags(),
        "time_to_first_token_ns": _time_to_first_token(),
        # LangSmith names every span's run; the root's is the workflow.
        "workflow": first_of([first("workflow"), f"if({is_root}, {at('langsmith.trace.name')}, '')"]),
    }


def _provider() -> str:
    """Return the provider of a model call as it is named: by an attribute, the model's prefix, the host or the model's maker."""
    hosts = [name for name in calls.PROVIDERS if "." in name]
    makers, providers = "|".join(map(re.escape, calls.MAKERS)), literals(calls.MAKERS.values())
    return f"""lower(multiIf(
            model_prefix IN ({literals(calls.SELLERS)}), model_prefix,
            if(provider_attribute = 'anthropic', match(any_model, {literal(calls.BEDROCK_ID)}), false), 'aws.bedrock',
            -- Many speak OpenAI's protocol, and instrumentations of its client know no other name.
            if(provider_attribute = 'openai', server_address IN ({literals(hosts)}), false), server_address,
            provider_attribute NOT IN ('', {literals(calls.FRAMEWORKS)}), provider_attribute,
            any_model = '', '',
            model_prefix != '', model_prefix,
            server_address IN ({literals(hosts)}), server_address,
            transform(extract(any_model, {literal(f"^({makers})")}), [{literals(calls.MAKERS)}], [{providers}], '')))"""


def _looked_up() -> str:
    """Return the layer that looks attributes up; those above read its columns only."""
    component, named = at("haystack.component.type"), at("name")
    provider = first("provider")
    agent_of_step = (
        f"if(endsWith(name, {literal(kinds.AGENT_STEP)}), extract({at('input.value')}, {literal(kinds.AGENT_OF_STEP)}), '')"
    )
    named_model_node = f"{at('gen_ai.agent.name')} = {literal(kinds.MODEL_NODE)}"
    is_model_node = f"if(scope_name = {literal(kinds.NODES_AS_AGENTS)}, {named_model_node}, false)"
    http_error = f"extract({first_of([at(key) for key in errors.HTTP_STATUS_KEYS])}, {literal(errors.HTTP_ERROR)})"
    request_error = f"extract(failed_request, {literal(errors.REQUEST_ERROR_TYPE)})"
    genkit_model = f"if({at('genkit:metadata:subtype')} IN ({literals(kinds.GENKIT_MODELS)}), {at('genkit:name')}, '')"
    return f"""SELECT
        carried, {tuple_of(_settled())} AS settled,
        attributes, name, scope_name, status_code, status_message, exception_type, exception_message, failed_request,
        if({at(kinds.EVENT_SPAN_KEY)} != '', 'other', declared_kind) AS declared_kind,
        {_said_signal()} AS said_signal,
        if({is_model_node}, '', {first_of([first("agent_attribute"), agent_of_step])}) AS agent_attribute,
        {first_of([first("agent_of_agent_span"), f"if(startsWith(name, 'Agent run: '), {named}, '')"])} AS agent_of_agent_span,
        if(startsWith(scope_name, {literal(calls.BARE_CALL_SCOPE)}), extract(name, {literal(calls.BARE_CALL_NAME)}), '')
            AS named_model,
        {first_of([first("request_model"), genkit_model, "named_model"])} AS raw_request_model,
        {first("response_model")} AS raw_response_model,
        if({json_member("llm.invocation_parameters", "model")} != '', true,
            startsWith(scope_name, {literal(calls.ECHOING_SCOPE)})) AS echoed_model,
        -- "openai.chat", "anthropic.messages" and "google.generative-ai" are the Vercel AI SDK's names.
        multiIf({at("ai.model.provider")} = '', {provider}, {at("gen_ai.provider.name")} != '', {provider},
            substringIndex({provider}, '.', 1))
            AS provider_attribute,
        {at("server.address")} AS server_address,
        {first("tool_attribute")} AS tool_attribute,
        -- Haystack's invoker runs the tools that the model asked for: the first is named in its answer.
        multiIf({at("genkit:name")} != '', {at("genkit:name")},
            {at("traceloop.entity.name")} != '', {at("traceloop.entity.name")},
            startsWith(name, 'Function: '), {named},
            {component} != '', extract(usage_text, '"tool_name": *"([^"]+)"'), '') AS other_tool_name,
        if({component} != '', concat('haystack:', {component}), name) AS shown_name,
        {at("span.type")} = 'tool.execution' AS is_execution,
        -- Workflows, tasks and steps that are sent as invocations of an agent that has no name.
        multiIf(declared_kind != 'agent', false, agent_attribute != '', false, agent_of_agent_span != '', false,
            match(scope_name, {literal(kinds.STEPS_AS_AGENTS)})) AS is_unnamed_agent,
        -- A tool with "agent" in its name, such as a hand-off, is an agent to OpenInference's instrumentation of LangChain.
        if({at("openinference.span.kind")} = 'AGENT', {at("tool.name")} != '', false) AS is_tool_as_agent,
        -- Langfuse's older SDKs call everything a span, generations too.
        multiIf({at("langfuse.observation.type")} != 'span', false, declared_kind != 'chain', false,
            {at("langfuse.observation.model.name")} != '') AS is_langfuse_generation,
        {first("tool_result")} AS tool_result,
        {first("tool_arguments")} AS tool_arguments,
        {_token_counts()} AS tokens,
        multiIf({json_member("langfuse.observation.usage_details", "input")} != '', true,
            {json_member("langfuse.observation.usage_details", "cache_read_input_tokens")} != '') AS langfuse_buckets,
        toFloat64OrZero({json_member("ai.response.providerMetadata", "anthropic", "usage", "input_tokens")}) AS said_by_anthropic,
        {json_member("ai.response.providerMetadata", "anthropic", "cacheReadInputTokens")} != '' AS cached_by_anthropic,
        {at("ai.response.finishReason")} NOT IN ('', 'error') AS ai_sdk_answered,
        if({at("input_tokens")} != '', {at("cache_read_tokens")} != '', false) AS bare_names,
        -- Logfire up to version 3 hands on what Anthropic said, and says nothing itself.
        if({at("response_data")} != '', {at("gen_ai.usage.input_tokens")} = '', false) AS only_answer_counts,
        if({has_any(calls.RAW_CACHE_NAMES)}, NOT {has_any(calls.AGREED_CACHE_NAMES)}, false) AS raw_names,
        toFloat64OrZero({first("supplied_cost")}) AS supplied_total,
        arrayMap(x -> greatest(toFloat64OrZero(x), 0), [{first("supplied_input_cost")}, {first("supplied_output_cost")}])
            AS supplied_parts,
        {at("error.type")} AS error_type_attribute,
        {first_of([first("error_attribute"), http_error, request_error])} AS other_error_attribute,
        {first_of([first("error_text_attribute"), "failed_request"])} AS error_text_attribute,
        {_failed_by_flag()} AS failed_by_flag,
        {at("langsmith.span.kind")} != '' AS is_run_of_langsmith,
        if(startsWith({at(errors.FAILED_ANSWER_KEY)}, {literal(errors.FAILED_ANSWER)}), {at(errors.FAILED_ANSWER_KEY)}, '')
            AS failed_answer"""
