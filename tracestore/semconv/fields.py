"""Attribute names of every dialect, by canonical field, in order of precedence.

Dialects: OpenTelemetry GenAI conventions (current and deprecated names), OpenInference, OpenLLMetry (traceloop.*), Vercel AI
SDK (ai.*), Langfuse, LangSmith, MLflow, pydantic-ai and Logfire, Claude Code, Codex, Gemini CLI, Qwen Code, gptme, Mastra,
LiteLLM, OpenLIT, Laminar, ADK, Genkit, Haystack, LiveKit, Pipecat, CrewAI, AG2, Microsoft's agent framework, Azure's agent
service, Spring AI, Quarkus, Copilot, Braintrust, AgentOps, promptflow, DeepEval, LangWatch, OpenRouter, Sentry and vLLM. The
first non-empty value of each field wins.
A value that is one JSON string (MLflow quotes scalars, old Langfuse SDKs encode twice) is read as what it quotes.
"""

from __future__ import annotations

from tracestore.semconv.sources import Source, json_at, pattern, plain, resource, told

_MODEL_MEMBER = '"model": *"([^"]+)"'

FIELDS: dict[str, tuple[Source, ...]] = {
    "agent_attribute": (
        *plain("gen_ai.agent.name", "gen_ai.main_agent.name", "agent.name", "ai.telemetry.functionId", "gen_ai.agent.role"),
        *plain("crewai.agent.role", "langsmith.metadata.lc_agent_name", "lk.agent_name"),
        json_at("metadata", "lc_agent_name"),
        *resource("gen_ai.main_agent.name"),
    ),
    "agent_of_agent_span": (
        *plain("graph.node.name", "graph.node.id", "traceloop.entity.name", "resource.name", "agent_name", "lk.agent_label"),
        *plain("mastra.agent.name", "agent_role", "haystack.component.name", "entity.name", "confident.agent.name"),
    ),
    "version": (
        *plain("gen_ai.agent.version", "langfuse.version", "langfuse.release"),
        *plain("ai.telemetry.metadata.appVersion", "traceloop.association.properties.app_version"),
        # Laminar's own version is the resource's service.version.
        *plain("lmnr.association.properties.metadata.app_version", "lmnr.association.properties.metadata.version"),
        *plain("mastra.metadata.appVersion", "langsmith.metadata.app_version", "traceloop.entity.version", "service.version"),
        *resource("service.version", "openlit.agent.version_hash", "app.version", "vcs.ref.head.revision"),
        *resource("vcs.repository.ref.revision", "deployment.id"),
        *plain("openlit.agent.version_hash", "app.version", "vcs.ref.head.revision", "langsmith.metadata.revision_id"),
        *plain("appVersion"),
    ),
    "prompt_name": (
        *plain("gen_ai.prompt.name", "langfuse.observation.prompt.name", "langfuse.prompt.name"),
        json_at("ai.telemetry.metadata.langfusePrompt", "name"),
        *plain("traceloop.prompt.key", "prompt.id", "confident.span.prompt_alias"),
        *plain("langwatch.prompt.handle"),
        pattern("mlflow.linkedPrompts", '"name": *"([^"]+)"'),
    ),
    "prompt_version": (
        *plain("gen_ai.prompt.version", "langfuse.observation.prompt.version", "langfuse.prompt.version"),
        *plain("traceloop.prompt.version", "traceloop.prompt.version_name", "traceloop.prompt.version_hash"),
        *plain("llm.prompt_template.version", "confident.span.prompt_version"),
        *plain("langwatch.prompt.version.number"),
        json_at("ai.telemetry.metadata.langfusePrompt", "version"),
        pattern("mlflow.linkedPrompts", '"version": *"?([^",} ]+)'),
    ),
    "workflow": (
        *plain("gen_ai.workflow.name", "gen_ai.workflow.type", "traceloop.workflow.name", "workflow.name"),
        *plain("workflow_builder.name", "workflow.id"),
        *plain("langfuse.trace.name", "mlflow.traceName", "crewai.crew.name", "crew_name", "haystack.pipeline.name"),
        *plain("genkit:metadata:flow:name", "workflow.run_id", "confident.trace.name"),
    ),
    "session_id": (
        # The application's own word before the conversation id that some frameworks make up for every run.
        json_at("metadata", "session_id"),
        *plain("gen_ai.conversation.id", "session.id", "langfuse.session.id"),
        *plain("langfuse.trace.metadata.langfuse_session_id", "langfuse.observation.metadata.langfuse_session_id"),
        *plain("traceloop.association.properties.session_id", "traceloop.association.properties.thread_id"),
        *plain("traceloop.association.properties.conversation_id", "traceloop.association.properties.chat_id"),
        *plain("ai.telemetry.metadata.sessionId", "ai.settings.context.sessionId", "ai.telemetry.metadata.threadId"),
        *plain("langsmith.metadata.session_id", "langsmith.metadata.thread_id", "langsmith.metadata.conversation_id"),
        # LangSmith calls a project a session too; this name has been used for both.
        *plain("langsmith.trace.session_id", "gcp.vertex.agent.session_id", "mlflow.trace.session"),
        *plain("mastra.metadata.sessionId", "mastra.metadata.threadId", "lmnr.association.properties.session_id"),
        *plain("genkit:sessionId", "lk.room_name", "conversation.id"),
        # A number is the thread of the operating system (https://opentelemetry.io/docs/specs/semconv/registry/attributes/thread/).
        pattern("thread.id", "^([0-9]*[^0-9].*)$"),
        *plain("session_id", "conversation_id", "thread_id", "sessionId", "threadId"),
        *plain("spring.ai.chat.client.conversation.id", "gen_ai.thread.id", "lk.pii.room_name", "wandb.thread_id"),
        *plain("confident.trace.thread_id", "langwatch.thread.id"),
        json_at("metadata", "thread_id"),
        json_at("metadata", "conversation_id"),
        json_at("metadata", "sessionId"),
        # LiteLLM's proxy: the caller's own metadata as Python shows them.
        pattern("metadata.requester_metadata", r"""["']session_id["']: *["']([^"']+)"""),
        # The OpenAI Agents SDK's name for a conversation, as Logfire sends it.
        *plain("group_id"),
        *resource("session.id"),
    ),
    "user_id": (
        *plain("user.id", "enduser.id", "langfuse.user.id", "langfuse.trace.metadata.langfuse_user_id"),
        *plain("langfuse.observation.metadata.langfuse_user_id", "traceloop.association.properties.user_id"),
        *plain("gen_ai.user", "llm.user", "gen_ai.request.user", "ai.telemetry.metadata.userId", "ai.settings.context.userId"),
        *plain("langsmith.metadata.user_id", "mlflow.trace.user", "mastra.metadata.userId", "mastra.metadata.resourceId"),
        *plain("lmnr.association.properties.user_id", "metadata.user_api_key_end_user_id", "user.account_uuid"),
        *plain("user.account_id", "user.email", "user_id", "userId", "confident.trace.user_id"),
        *plain("langwatch.user.id"),
        json_at("metadata", "user_id"),
        json_at("metadata", "userId"),
        *resource("user.id", "enduser.id"),
    ),
    "environment": (
        *plain("langfuse.environment"),
        *resource("langfuse.environment", "deployment.environment.name", "deployment.environment"),
        *plain("deployment.environment.name", "deployment.environment", "gen_ai.environment"),
        *plain("traceloop.association.properties.environment", "confident.trace.environment"),
    ),
    "service": (
        *resource("service.name"),
        *plain("gen_ai.application_name", "langsmith.trace.session_name"),
        *resource("openinference.project.name"),
    ),
    "request_model": (
        # LangSmith's own name first: Logfire puts the model that answered where LangSmith sends the requested one again.
        # OpenInference, too, puts the model that answered into OpenTelemetry's name, where it is told to send that
        # (OPENINFERENCE_ENABLE_GENAI_SEMCONV). So does Pipecat from a session's second call on.
        *plain("langsmith.metadata.ls_model_name", "llm.request.model_name", "param.model"),
        json_at("llm.invocation_parameters", "model_name"),
        json_at("llm.invocation_parameters", "model"),
        *plain("gen_ai.request.model", "ai.model.id", "aisdk.model.id", "llm.request.model"),
        json_at("langfuse.observation.model.parameters", "model"),
        *plain("model", "model_name", "llm.model", "ai.model.name", "decision.request.model_name"),
        *plain("confident.llm.model"),
        json_at("braintrust.metadata", "model"),
        # Logfire's calls of Anthropic, up to version 3.
        pattern("request_data", _MODEL_MEMBER),
    ),
    "response_model": (
        *plain("gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model"),
        *plain("llm.model_name", "embedding.model_name", "reranker.model_name", "langfuse.observation.model.name"),
        *plain("mlflow.llm.model", "decision.response.model_name", "decision.model_name"),
        pattern("haystack.agent.step.llm.output", _MODEL_MEMBER),
        pattern("haystack.component.output", _MODEL_MEMBER),
    ),
    "provider": (
        *plain("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider", "llm.vendor"),
        *plain("mlflow.llm.provider", "langsmith.metadata.ls_provider", "decision.provider", "decision.system"),
        *plain("confident.span.provider"),
        json_at("metadata", "ls_provider"),
        json_at("braintrust.metadata", "provider"),
    ),
    # Azure's agent service tells a run's usage again whenever it is asked for; vLLM's request has the id of its answer.
    "response_id": (
        *plain("gen_ai.response.id", "llm.response.id", "ai.response.id", "response_id", "gen_ai.request.id"),
        *plain("gen_ai.thread.run.id"),
    ),
    "finish_reason": (
        *plain("gen_ai.response.finish_reasons", "llm.finish_reason", "ai.response.finishReason"),
        *plain("gen_ai.response.finish_reason", "gen_ai.response.stop_reason", "llm.response.finish_reason"),
        *plain("llm.response.stop_reason", "gen_ai.completion.0.finish_reason", "anthropic.message.stop_reason", "stop_reason"),
    ),
    "agent_id": plain("gen_ai.agent.id", "gen_ai.main_agent.id", "agent_id"),
    "tags": (
        *plain("langfuse.trace.tags", "langfuse.tags", "tag.tags", "ai.telemetry.metadata.tags", "langsmith.span.tags"),
        *plain("logfire.tags", "traceloop.association.properties.tags", "agentops.tags", "confident.trace.tags"),
        *plain("langwatch.labels"),
    ),
    # What was served before what was asked for: a provider may answer in another tier.
    "service_tier": (
        *plain("openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier"),
        *plain("anthropic.response.service_tier"),
        *plain("openai.request.service_tier", "gen_ai.openai.request.service_tier", "gen_ai.request.service_tier"),
        *plain("anthropic.request.service_tier"),
        json_at("llm.invocation_parameters", "service_tier"),
        json_at("langfuse.observation.model.parameters", "service_tier"),
    ),
    "tool_attribute": (
        *plain("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "mcp.tool.name", "tool_name", "lk.function_tool.name"),
        *plain("crewai.tool.name", "spring.ai.tool.definition.name", "tool.function_name", "haystack.tool.name"),
        *plain("confident.tool.name", "request.params.name"),
        # What a tool of LlamaIndex returns, as OpenLLMetry sends it.
        pattern("traceloop.entity.output", '"tool_name": *"([^"]+)", *"raw_input"'),
    ),
    "tool_arguments": (
        *plain("gen_ai.tool.call.arguments", "tool_arguments", "ai.toolCall.args", "gcp.vertex.agent.tool_call_args"),
        *plain("gen_ai.tool.args", "input.value", "traceloop.entity.input", "tool_input", "gen_ai.tool.input"),
        *plain("lk.function_tool.arguments", "mlflow.spanInputs", "genkit:input", "arguments", "spring.ai.tool.call.arguments"),
        *plain("tool.arguments", "lk.pii.function_tool.arguments", "braintrust.input_json", "haystack.agent.step.tool.input"),
        *plain("gen_ai.prompt", "input"),
    ),
    "tool_result": (
        *plain("gen_ai.tool.call.result", "tool_response", "ai.toolCall.result", "output.value", "traceloop.entity.output"),
        *plain("gcp.vertex.agent.tool_response", "gen_ai.tool.output", "lk.function_tool.output", "spring.ai.tool.call.result"),
        *plain("tool.result", "lk.pii.function_tool.output", "braintrust.output_json", "haystack.agent.step.tool.output"),
        *plain("agentops.tool.output", "gen_ai.completion", "confident.span.output", "langwatch.output"),
        *plain("error.message", "error"),
    ),
    "tool_call_id": (
        *plain("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id", "tool_use_id", "call_id"),
        *plain("lk.function_tool.id", "tool.call_id", "gen_ai.tool.call_id"),
    ),
    "error_attribute": plain("gen_ai.framework.error.type", "status_code"),
    "error_text_attribute": plain("error.message", "error", "langfuse.observation.status_message"),
    "input_tokens": (
        json_at("langfuse.observation.usage_details", "input"),
        json_at("langfuse.observation.usage_details", "prompt_tokens"),
        json_at("langfuse.observation.usage_details", "input_tokens"),
        *plain("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens"),
        *plain("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
        json_at("mlflow.chat.tokenUsage", "input_tokens"),
        json_at("ai.response.providerMetadata", "anthropic", "usage", "input_tokens"),
        *plain("input_tokens", "input_token_count", "usage.prompt_tokens", "decision.token_count.input"),
        *plain("confident.llm.input_token_count"),
        *told("prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "prompt_token_count", "promptTokenCount"),
    ),
    "output_tokens": (
        json_at("langfuse.observation.usage_details", "output"),
        json_at("langfuse.observation.usage_details", "completion_tokens"),
        json_at("langfuse.observation.usage_details", "output_tokens"),
        *plain("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
        *plain("llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
        json_at("mlflow.chat.tokenUsage", "output_tokens"),
        *plain("output_tokens", "output_token_count", "usage.completion_tokens", "decision.token_count.output"),
        *plain("confident.llm.output_token_count"),
        *told("completion_tokens", "output_tokens", "completionTokens", "outputTokens", "candidates_token_count"),
        *told("candidatesTokenCount"),
    ),
    "total_tokens": (
        json_at("langfuse.observation.usage_details", "total"),
        json_at("langfuse.observation.usage_details", "total_tokens"),
        *plain("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens", "ai.usage.totalTokens"),
        json_at("mlflow.chat.tokenUsage", "total_tokens"),
        *plain("codex.usage.total_tokens"),
        json_at("ai.response.providerMetadata", "google", "usageMetadata", "totalTokenCount"),
        *told("total_tokens", "totalTokens", "total_token_count", "totalTokenCount"),
    ),
    "cache_read_tokens": (
        *plain("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        *plain("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
        *plain("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens"),
        *plain("gen_ai.usage.details.cached_tokens"),
        *plain("gen_ai.usage.cached_tokens", "gen_ai.usage.input_cached_tokens", "gen_ai.usage.input_tokens.cached"),
        *plain("gen_ai.usage.cached_input_tokens", "llm.usage.cached_tokens"),
        *plain("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
        json_at("langfuse.observation.usage_details", "prompt_tokens_details", "cached_tokens"),
        json_at("langfuse.observation.usage_details", "input_tokens_details", "cached_tokens"),
        json_at("langfuse.observation.usage_details", "input_cached_tokens"),
        json_at("langfuse.observation.usage_details", "input_cache_read"),
        json_at("langfuse.observation.usage_details", "cache_read_input_tokens"),
        json_at("mlflow.chat.tokenUsage", "cache_read_input_tokens"),
        json_at("ai.response.providerMetadata", "openai", "cachedPromptTokens"),
        json_at("ai.response.providerMetadata", "anthropic", "cacheReadInputTokens"),
        json_at("ai.response.providerMetadata", "anthropic", "usage", "cache_read_input_tokens"),
        json_at("ai.response.providerMetadata", "google", "usageMetadata", "cachedContentTokenCount"),
        *plain("cache_read_tokens", "cached_token_count", "metadata.usage.cached_prompt_tokens", "usage.cached_tokens"),
        *told("cached_tokens", "cache_read_input_tokens", "cacheReadInputTokens", "cache_read", "cached_content_token_count"),
        *told("cachedContentTokenCount", "cachedContentTokens", "prompt_cached_tokens"),
    ),
    "cache_write_tokens": (
        *plain("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        *plain("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens"),
        *plain("gen_ai.usage.input_tokens.cache_write"),
        *plain("llm.token_count.prompt_details.cache_write", "gen_ai.usage.details.cache_write_tokens"),
        *plain("gen_ai.usage.details.cache_creation_input_tokens", "ai.usage.inputTokenDetails.cacheWriteTokens"),
        json_at("langfuse.observation.usage_details", "cache_creation_input_tokens"),
        json_at("langfuse.observation.usage_details", "input_cache_creation"),
        json_at("mlflow.chat.tokenUsage", "cache_creation_input_tokens"),
        json_at("ai.response.providerMetadata", "anthropic", "cacheCreationInputTokens"),
        json_at("ai.response.providerMetadata", "bedrock", "usage", "cacheWriteInputTokens"),
        *plain("cache_creation_tokens", "metadata.usage.cached_creation_tokens"),
        *told("cache_creation_input_tokens", "cacheWriteInputTokens", "cache_creation"),
        *told("prompt_cache_creation_tokens"),
    ),
    # Part of cache_write_tokens: kept for an hour instead of five minutes, at another price.
    "cache_write_1h_tokens": (
        *plain("gen_ai.usage.cache_creation.input_tokens.ephemeral_1h", "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens"),
        *plain("anthropic.usage.cache_creation.ephemeral_1h_input_tokens"),
        *told("ephemeral_1h_input_tokens", "ephemeral_1hr_input_tokens"),
    ),
    # The rest of cache_write_tokens; where nobody tells the sum, or LangChain 0 for it, it is that of these two.
    "cache_write_5m_tokens": told("ephemeral_5m_input_tokens"),
    "reasoning_tokens": (
        *plain("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning"),
        *plain("llm.token_count.completion_details.reasoning", "gen_ai.usage.details.reasoning_tokens"),
        *plain("gen_ai.usage.thinking_tokens"),
        *plain("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
        json_at("langfuse.observation.usage_details", "completion_tokens_details", "reasoning_tokens"),
        json_at("langfuse.observation.usage_details", "output_tokens_details", "reasoning_tokens"),
        json_at("langfuse.observation.usage_details", "output_reasoning_tokens"),
        json_at("langfuse.observation.usage_details", "output_reasoning"),
        json_at("ai.response.providerMetadata", "openai", "reasoningTokens"),
        json_at("ai.response.providerMetadata", "google", "usageMetadata", "thoughtsTokenCount"),
        *plain("codex.usage.reasoning_output_tokens", "reasoning_token_count", "gen_ai.usage.experimental.reasoning_tokens"),
        *plain("llm.usage.reasoning_tokens", "usage.reasoning_tokens", "thoughts_token_count"),
        *told("reasoning_tokens", "reasoningTokens", "reasoning", "thoughts_token_count", "thoughtsTokenCount"),
        *told("thoughtsTokens", "completion_reasoning_tokens"),
    ),
    "input_audio_tokens": (
        *plain("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
        *plain("gen_ai.usage.details.input_audio_tokens", "gen_ai.usage.audio_input_tokens"),
        *plain("gen_ai.usage.input_audio_tokens", "gen_ai.usage.input_tokens.audio"),
        json_at("langfuse.observation.usage_details", "prompt_tokens_details", "audio_tokens"),
        json_at("langfuse.observation.usage_details", "input_audio_tokens"),
    ),
    "output_audio_tokens": (
        *plain("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"),
        *plain("gen_ai.usage.details.output_audio_tokens", "gen_ai.usage.audio_output_tokens"),
        *plain("gen_ai.usage.output_audio_tokens"),
        json_at("langfuse.observation.usage_details", "completion_tokens_details", "audio_tokens"),
        json_at("langfuse.observation.usage_details", "output_audio_tokens"),
    ),
    # How long the first token took: FIRST_TOKEN_UNITS_NS says in what. Events that mark it are in FIRST_TOKEN_EVENTS.
    "time_to_first_token": (
        *plain("gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk"),
        *plain("gen_ai.server.time_to_first_token", "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"),
        *plain("langfuse.observation.completion_start_time", "mastra.completion_start_time", "lk.response.ttft", "ttft_ms"),
        *plain("gen_ai.latency.time_to_first_token", "copilot_chat.time_to_first_token", "metrics.ttfb"),
        *plain("time_to_first_token_ms"),
    ),
    "supplied_cost": (
        json_at("langfuse.observation.cost_details", "total"),
        *plain("llm.cost.total", "gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost", "operation.cost"),
        *plain("cost_usd", "opencode.llm.cost.total", "gen_ai.usage.cost_usd", "gen_ai.usage.total_cost_usd", "gen_ai.cost.usd"),
        *plain("gen_ai.cost.total_usd", "llm.usage.cost", "litellm.cost.total"),
        json_at("mlflow.llm.cost", "total_cost"),
    ),
    # Added up where a dialect gives no total.
    "supplied_input_cost": (
        *plain("llm.cost.prompt", "gen_ai.usage.input_cost"),
        json_at("langfuse.observation.cost_details", "input"),
        json_at("mlflow.llm.cost", "input_cost"),
    ),
    "supplied_output_cost": (
        *plain("llm.cost.completion", "gen_ai.usage.output_cost"),
        json_at("langfuse.observation.cost_details", "output"),
        json_at("mlflow.llm.cost", "output_cost"),
    ),
}

# No session: frameworks that let OpenAI keep the conversation name it by the id of the last response, another one each time.
RESPONSE_ID_PREFIX = "resp_"

# What a project's own rules may fill (mapping.py), beside kind, error_type and signal: target -> field above.
MAPPED_FIELDS = {
    "session_id": "session_id", "user_id": "user_id", "version": "version", "environment": "environment", "service": "service",
    "workflow": "workflow", "agent": "agent_attribute", "tool": "tool_attribute", "tool_call_id": "tool_call_id",
    "request_model": "request_model", "response_model": "response_model", "provider": "provider", "response_id": "response_id",
    "finish_reason": "finish_reason", "prompt_name": "prompt_name", "prompt_version": "prompt_version",
    "input_tokens": "input_tokens", "output_tokens": "output_tokens", "total_tokens": "total_tokens",
    "cache_read_tokens": "cache_read_tokens", "cache_write_tokens": "cache_write_tokens", "reasoning_tokens": "reasoning_tokens",
    "supplied_cost_usd": "supplied_cost", "time_to_first_token_ns": "time_to_first_token",
}  # fmt: skip

# Texts that hold a call's usage at a depth and in a notation of their own (JSON, Python's repr): the provider's answer, mostly.
# Read in spans of model calls, or of no declared kind; the first member of each name counts.
USAGE_TEXTS = (
    "gen_ai.usage.raw", "usage", "metadata.usage_object", "langsmith.metadata.usage_metadata",
    "gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details",
    "haystack.component.output", "haystack.agent.step.llm.output", "gcp.vertex.agent.llm_response", "genkit:output",
    "mlflow.spanOutputs", "output.value",
    "gen_ai.completion", "lmnr.span.output", "langfuse.observation.output", "braintrust.metrics", "final_result",
    "response_data", "langwatch.metrics",
)  # fmt: skip

# The tier that was served, in an answer as the provider gave it (OpenInference), which is read only where one was asked for:
# in every answer it took 3 us a span.
SERVED_TIER = r'"service_tier": ?"([A-Za-z_-]+)"'

# Span events that mark the first token of a streamed answer; of events for every chunk the first one does.
FIRST_TOKEN_EVENTS = (
    "ai.stream.firstChunk", "gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event",
    "new_token",
)  # fmt: skip
# How many nanoseconds one is; what is missing here is a time of day. Strands means milliseconds.
FIRST_TOKEN_UNITS_NS = {
    "gen_ai.response.time_to_first_chunk": 1e9, "gen_ai.client.operation.time_to_first_chunk": 1e9,
    "gen_ai.server.time_to_first_token": 1e9, "lk.response.ttft": 1e9, "ai.response.msToFirstChunk": 1e6,
    "ai.stream.msToFirstChunk": 1e6, "ttft_ms": 1e6, "gen_ai.latency.time_to_first_token": 1e9,
    "copilot_chat.time_to_first_token": 1e6, "metrics.ttfb": 1e9, "time_to_first_token_ms": 1e6,
}  # fmt: skip
