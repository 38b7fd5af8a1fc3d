"""Attribute names of every dialect, by canonical field, in order of precedence; the view's SQL is generated from them.

Dialects: OpenTelemetry GenAI conventions (current and deprecated names), OpenInference, OpenLLMetry (traceloop.*), Vercel AI SDK
(ai.*), Langfuse, LangSmith, MLflow, pydantic-ai and Logfire, Claude Code, Codex, Gemini CLI, Qwen Code, gptme, Mastra, LiteLLM,
OpenLIT, Laminar, ADK, Genkit, Haystack, LiveKit, Pipecat, CrewAI, AG2, Microsoft's agent framework, Azure's agent service, Spring
AI, Quarkus, Copilot, Braintrust, OpenRouter, Sentry and vLLM. For each field the first non-empty value wins.
A value that is one JSON string (MLflow quotes scalars, old Langfuse SDKs encode twice) is read as what it quotes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

# Placeholders that frameworks send instead of leaving an attribute out. Logfire's scrubber writes "[Scrubbed due to '...']".
# "OpenAI Agent" is what an instrumentation of the OpenAI Agents SDK calls every agent, "(merged tools)" no tool but several.
# "__fake_id__" is the id that the OpenAI Agents SDK gives to every answer of a chat completion. "none" is Micrometer's
# KeyValue.NONE_VALUE, which Spring AI sends for a model or id that it does not know. "__REDACTED__" stands where OpenInference
# hides content (spec/configuration.md).
ABSENT = (
    "<REDACTED>", "[REDACTED]", "__REDACTED__", "<not specified>", "N/A", "null", "undefined", "None", "OpenAI Agent",
    "(merged tools)", "__fake_id__", "none",
)  # fmt: skip
SCRUBBED_PREFIX = "[Scrubbed due to "


@dataclass(frozen=True)
class Source:
    """Where a value may stand: a span or resource attribute, in an attribute's JSON or text, or told in USAGE_TEXTS."""

    key: str
    # plain, resource, json (text or number at path), pattern (group 1 of path[0]), told (key is a member's name in a usage text)
    form: str = "plain"
    path: tuple[str, ...] = ()


def _resource(*keys: str) -> tuple[Source, ...]:
    return tuple(Source(key, "resource") for key in keys)


def _json(key: str, *path: str) -> Source:
    return Source(key, "json", path)


def _told(*names: str) -> tuple[Source, ...]:
    return tuple(Source(name, "told") for name in names)


def _pattern(key: str, pattern: str) -> Source:
    return Source(key, "pattern", (pattern,))


def _plain(*keys: str) -> tuple[Source, ...]:
    return tuple(Source(key) for key in keys)


_MODEL_MEMBER = '"model": *"([^"]+)"'

FIELDS: dict[str, tuple[Source, ...]] = {
    "agent_attribute": (
        *_plain("gen_ai.agent.name", "gen_ai.main_agent.name", "agent.name", "ai.telemetry.functionId", "gen_ai.agent.role"),
        *_plain("crewai.agent.role", "langsmith.metadata.lc_agent_name", "lk.agent_name"),
        _json("metadata", "lc_agent_name"),
        *_resource("gen_ai.main_agent.name"),
    ),
    "agent_of_agent_span": (
        *_plain("graph.node.name", "graph.node.id", "traceloop.entity.name", "resource.name", "agent_name", "lk.agent_label"),
        *_plain("mastra.agent.name", "agent_role", "haystack.component.name", "entity.name"),
    ),
    "version": (
        *_plain("gen_ai.agent.version", "langfuse.version", "langfuse.release"),
        *_plain("ai.telemetry.metadata.appVersion", "traceloop.association.properties.app_version"),
        # Laminar's own version is the resource's service.version.
        *_plain("lmnr.association.properties.metadata.app_version", "lmnr.association.properties.metadata.version"),
        *_plain("mastra.metadata.appVersion", "langsmith.metadata.app_version", "traceloop.entity.version", "service.version"),
        *_resource("service.version", "openlit.agent.version_hash", "app.version", "vcs.ref.head.revision"),
        *_resource("vcs.repository.ref.revision", "deployment.id"),
        *_plain("openlit.agent.version_hash", "app.version", "vcs.ref.head.revision", "langsmith.metadata.revision_id"),
        *_plain("appVersion"),
    ),
    "prompt_name": (
        *_plain("gen_ai.prompt.name", "langfuse.observation.prompt.name", "langfuse.prompt.name"),
        _json("ai.telemetry.metadata.langfusePrompt", "name"),
        *_plain("traceloop.prompt.key", "prompt.id"),
        _pattern("mlflow.linkedPrompts", '"name": *"([^"]+)"'),
    ),
    "prompt_version": (
        *_plain("gen_ai.prompt.version", "langfuse.observation.prompt.version", "langfuse.prompt.version"),
        *_plain("traceloop.prompt.version", "traceloop.prompt.version_name", "traceloop.prompt.version_hash"),
        *_plain("llm.prompt_template.version"),
        _json("ai.telemetry.metadata.langfusePrompt", "version"),
        _pattern("mlflow.linkedPrompts", '"version": *"?([^",} ]+)'),
    ),
    "workflow": (
        *_plain("gen_ai.workflow.name", "gen_ai.workflow.type", "traceloop.workflow.name", "workflow.name"),
        *_plain("workflow_builder.name", "workflow.id"),
        *_plain("langfuse.trace.name", "mlflow.traceName", "crewai.crew.name", "crew_name", "haystack.pipeline.name"),
        *_plain("genkit:metadata:flow:name", "workflow.run_id"),
    ),
    "session_id": (
        # The application's own word before the conversation id that some frameworks make up for every run.
        _json("metadata", "session_id"),
        *_plain("gen_ai.conversation.id", "session.id", "langfuse.session.id"),
        *_plain("langfuse.trace.metadata.langfuse_session_id", "langfuse.observation.metadata.langfuse_session_id"),
        *_plain("traceloop.association.properties.session_id", "traceloop.association.properties.thread_id"),
        *_plain("traceloop.association.properties.conversation_id", "traceloop.association.properties.chat_id"),
        *_plain("ai.telemetry.metadata.sessionId", "ai.settings.context.sessionId", "ai.telemetry.metadata.threadId"),
        *_plain("langsmith.metadata.session_id", "langsmith.metadata.thread_id", "langsmith.metadata.conversation_id"),
        # LangSmith calls a project a session too; this name has been used for both.
        *_plain("langsmith.trace.session_id", "gcp.vertex.agent.session_id", "mlflow.trace.session"),
        *_plain("mastra.metadata.sessionId", "mastra.metadata.threadId", "lmnr.association.properties.session_id"),
        *_plain("genkit:sessionId", "lk.room_name", "conversation.id"),
        # A number is the thread of the operating system (https://opentelemetry.io/docs/specs/semconv/registry/attributes/thread/).
        _pattern("thread.id", "^([0-9]*[^0-9].*)$"),
        *_plain("session_id", "conversation_id", "thread_id", "sessionId", "threadId"),
        *_plain("spring.ai.chat.client.conversation.id", "gen_ai.thread.id", "lk.pii.room_name", "wandb.thread_id"),
        _json("metadata", "thread_id"),
        _json("metadata", "conversation_id"),
        _json("metadata", "sessionId"),
        # The OpenAI Agents SDK's name for a conversation, as Logfire sends it.
        *_plain("group_id"),
        *_resource("session.id"),
    ),
    "user_id": (
        *_plain("user.id", "enduser.id", "langfuse.user.id", "langfuse.trace.metadata.langfuse_user_id"),
        *_plain("langfuse.observation.metadata.langfuse_user_id", "traceloop.association.properties.user_id"),
        *_plain("gen_ai.user", "llm.user", "gen_ai.request.user", "ai.telemetry.metadata.userId", "ai.settings.context.userId"),
        *_plain("langsmith.metadata.user_id", "mlflow.trace.user", "mastra.metadata.userId", "mastra.metadata.resourceId"),
        *_plain("lmnr.association.properties.user_id", "metadata.user_api_key_end_user_id", "user.account_uuid"),
        *_plain("user.account_id", "user.email", "user_id", "userId"),
        _json("metadata", "user_id"),
        _json("metadata", "userId"),
        *_resource("user.id", "enduser.id"),
    ),
    "environment": (
        *_plain("langfuse.environment"),
        *_resource("langfuse.environment", "deployment.environment.name", "deployment.environment"),
        *_plain("deployment.environment.name", "deployment.environment", "gen_ai.environment"),
        *_plain("traceloop.association.properties.environment"),
    ),
    "service": (
        *_resource("service.name"),
        *_plain("gen_ai.application_name", "langsmith.trace.session_name"),
        *_resource("openinference.project.name"),
    ),
    "request_model": (
        # LangSmith's own name first: Logfire puts the model that answered where LangSmith sends the requested one again.
        *_plain("langsmith.metadata.ls_model_name"),
        *_plain("gen_ai.request.model", "llm.request.model_name", "ai.model.id", "aisdk.model.id", "llm.request.model"),
        _json("llm.invocation_parameters", "model_name"),
        _json("llm.invocation_parameters", "model"),
        _json("langfuse.observation.model.parameters", "model"),
        *_plain("model", "model_name", "llm.model", "ai.model.name", "decision.request.model_name"),
        _json("braintrust.metadata", "model"),
    ),
    "response_model": (
        *_plain("gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model"),
        *_plain("llm.model_name", "embedding.model_name", "reranker.model_name", "langfuse.observation.model.name"),
        *_plain("mlflow.llm.model", "decision.response.model_name", "decision.model_name"),
        _pattern("haystack.agent.step.llm.output", _MODEL_MEMBER),
        _pattern("haystack.component.output", _MODEL_MEMBER),
    ),
    "provider": (
        *_plain("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider", "llm.vendor"),
        *_plain("mlflow.llm.provider", "langsmith.metadata.ls_provider", "decision.provider", "decision.system"),
        _json("metadata", "ls_provider"),
        _json("braintrust.metadata", "provider"),
    ),
    # Azure's agent service tells a run's usage again whenever it is asked for; vLLM's request has the id of its answer.
    "response_id": _plain(
        "gen_ai.response.id", "llm.response.id", "ai.response.id", "response_id", "gen_ai.request.id", "gen_ai.thread.run.id"
    ),
    "finish_reason": _plain(
        "gen_ai.response.finish_reasons",
        "llm.finish_reason",
        "ai.response.finishReason",
        "gen_ai.response.finish_reason",
        "gen_ai.response.stop_reason",
        "llm.response.finish_reason",
        "llm.response.stop_reason",
        "gen_ai.completion.0.finish_reason",
        "anthropic.message.stop_reason",
        "stop_reason",
    ),
    "agent_id": _plain("gen_ai.agent.id", "gen_ai.main_agent.id", "agent_id"),
    "tags": _plain(
        "langfuse.trace.tags",
        "langfuse.tags",
        "tag.tags",
        "ai.telemetry.metadata.tags",
        "langsmith.span.tags",
        "logfire.tags",
        "traceloop.association.properties.tags",
    ),
    # What was served before what was asked for: a provider may answer in another tier.
    "service_tier": (
        *_plain("openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier"),
        *_plain("anthropic.response.service_tier"),
        *_plain("openai.request.service_tier", "gen_ai.openai.request.service_tier", "gen_ai.request.service_tier"),
        *_plain("anthropic.request.service_tier"),
        _json("llm.invocation_parameters", "service_tier"),
        _json("langfuse.observation.model.parameters", "service_tier"),
    ),
    "tool_attribute": (
        *_plain("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "mcp.tool.name", "tool_name", "lk.function_tool.name"),
        *_plain("crewai.tool.name", "spring.ai.tool.definition.name", "tool.function_name", "haystack.tool.name"),
        # What a tool of LlamaIndex returns, as OpenLLMetry sends it.
        _pattern("traceloop.entity.output", '"tool_name": *"([^"]+)", *"raw_input"'),
    ),
    "tool_arguments": _plain(
        "gen_ai.tool.call.arguments",
        "tool_arguments",
        "ai.toolCall.args",
        "gcp.vertex.agent.tool_call_args",
        "gen_ai.tool.args",
        "input.value",
        "traceloop.entity.input",
        "tool_input",
        "gen_ai.tool.input",
        "lk.function_tool.arguments",
        "mlflow.spanInputs",
        "genkit:input",
        "arguments",
        "spring.ai.tool.call.arguments",
        "tool.arguments",
        "lk.pii.function_tool.arguments",
        "braintrust.input_json",
        "haystack.agent.step.tool.input",
        "gen_ai.prompt",
        "input",
    ),
    "tool_result": _plain(
        "gen_ai.tool.call.result",
        "tool_response",
        "ai.toolCall.result",
        "output.value",
        "traceloop.entity.output",
        "gcp.vertex.agent.tool_response",
        "gen_ai.tool.output",
        "lk.function_tool.output",
        "spring.ai.tool.call.result",
        "tool.result",
        "lk.pii.function_tool.output",
        "braintrust.output_json",
        "haystack.agent.step.tool.output",
        "gen_ai.completion",
        "error.message",
        "error",
    ),
    "tool_call_id": (
        *_plain("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id", "tool_use_id", "call_id"),
        *_plain("lk.function_tool.id", "tool.call_id", "gen_ai.tool.call_id"),
    ),
    "error_attribute": _plain("gen_ai.framework.error.type", "status_code"),
    "error_text_attribute": _plain("error.message", "error", "langfuse.observation.status_message"),
    "input_tokens": (
        _json("langfuse.observation.usage_details", "input"),
        _json("langfuse.observation.usage_details", "prompt_tokens"),
        _json("langfuse.observation.usage_details", "input_tokens"),
        *_plain("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens"),
        *_plain("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
        _json("mlflow.chat.tokenUsage", "input_tokens"),
        _json("ai.response.providerMetadata", "anthropic", "usage", "input_tokens"),
        *_plain("input_tokens", "input_token_count", "usage.prompt_tokens", "decision.token_count.input"),
        *_told("prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "prompt_token_count", "promptTokenCount"),
    ),
    "output_tokens": (
        _json("langfuse.observation.usage_details", "output"),
        _json("langfuse.observation.usage_details", "completion_tokens"),
        _json("langfuse.observation.usage_details", "output_tokens"),
        *_plain("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
        *_plain("llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
        _json("mlflow.chat.tokenUsage", "output_tokens"),
        *_plain("output_tokens", "output_token_count", "usage.completion_tokens", "decision.token_count.output"),
        *_told("completion_tokens", "output_tokens", "completionTokens", "outputTokens", "candidates_token_count"),
        *_told("candidatesTokenCount"),
    ),
    "total_tokens": (
        _json("langfuse.observation.usage_details", "total"),
        _json("langfuse.observation.usage_details", "total_tokens"),
        *_plain("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens", "ai.usage.totalTokens"),
        _json("mlflow.chat.tokenUsage", "total_tokens"),
        *_plain("codex.usage.total_tokens"),
        _json("ai.response.providerMetadata", "google", "usageMetadata", "totalTokenCount"),
        *_told("total_tokens", "totalTokens", "total_token_count", "totalTokenCount"),
    ),
    "cache_read_tokens": (
        *_plain("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        *_plain("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
        *_plain("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens"),
        *_plain("gen_ai.usage.cached_tokens", "gen_ai.usage.input_cached_tokens", "gen_ai.usage.input_tokens.cached"),
        *_plain("gen_ai.usage.cached_input_tokens", "llm.usage.cached_tokens"),
        *_plain("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
        _json("langfuse.observation.usage_details", "prompt_tokens_details", "cached_tokens"),
        _json("langfuse.observation.usage_details", "input_tokens_details", "cached_tokens"),
        _json("langfuse.observation.usage_details", "input_cached_tokens"),
        _json("langfuse.observation.usage_details", "input_cache_read"),
        _json("langfuse.observation.usage_details", "cache_read_input_tokens"),
        _json("mlflow.chat.tokenUsage", "cache_read_input_tokens"),
        _json("ai.response.providerMetadata", "openai", "cachedPromptTokens"),
        _json("ai.response.providerMetadata", "anthropic", "cacheReadInputTokens"),
        _json("ai.response.providerMetadata", "anthropic", "usage", "cache_read_input_tokens"),
        _json("ai.response.providerMetadata", "google", "usageMetadata", "cachedContentTokenCount"),
        *_plain("cache_read_tokens", "cached_token_count", "metadata.usage.cached_prompt_tokens", "usage.cached_tokens"),
        *_told("cached_tokens", "cache_read_input_tokens", "cacheReadInputTokens", "cache_read", "cached_content_token_count"),
        *_told("cachedContentTokenCount", "cachedContentTokens", "prompt_cached_tokens"),
    ),
    "cache_write_tokens": (
        *_plain("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        *_plain("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens"),
        *_plain("gen_ai.usage.input_tokens.cache_write"),
        *_plain("llm.token_count.prompt_details.cache_write", "gen_ai.usage.details.cache_write_tokens"),
        *_plain("gen_ai.usage.details.cache_creation_input_tokens", "ai.usage.inputTokenDetails.cacheWriteTokens"),
        _json("langfuse.observation.usage_details", "cache_creation_input_tokens"),
        _json("langfuse.observation.usage_details", "input_cache_creation"),
        _json("mlflow.chat.tokenUsage", "cache_creation_input_tokens"),
        _json("ai.response.providerMetadata", "anthropic", "cacheCreationInputTokens"),
        _json("ai.response.providerMetadata", "bedrock", "usage", "cacheWriteInputTokens"),
        *_plain("cache_creation_tokens", "metadata.usage.cached_creation_tokens"),
        *_told("cache_creation_input_tokens", "cacheWriteInputTokens", "cache_creation"),
        *_told("prompt_cache_creation_tokens"),
    ),
    # Part of cache_write_tokens: kept for an hour instead of five minutes, at another price.
    "cache_write_1h_tokens": (
        *_plain("gen_ai.usage.cache_creation.input_tokens.ephemeral_1h", "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens"),
        *_plain("anthropic.usage.cache_creation.ephemeral_1h_input_tokens"),
        *_told("ephemeral_1h_input_tokens"),
    ),
    "reasoning_tokens": (
        *_plain("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning"),
        *_plain("llm.token_count.completion_details.reasoning", "gen_ai.usage.details.reasoning_tokens"),
        *_plain("gen_ai.usage.thinking_tokens"),
        *_plain("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
        _json("langfuse.observation.usage_details", "completion_tokens_details", "reasoning_tokens"),
        _json("langfuse.observation.usage_details", "output_tokens_details", "reasoning_tokens"),
        _json("langfuse.observation.usage_details", "output_reasoning_tokens"),
        _json("langfuse.observation.usage_details", "output_reasoning"),
        _json("ai.response.providerMetadata", "openai", "reasoningTokens"),
        _json("ai.response.providerMetadata", "google", "usageMetadata", "thoughtsTokenCount"),
        *_plain("codex.usage.reasoning_output_tokens", "reasoning_token_count", "gen_ai.usage.experimental.reasoning_tokens"),
        *_plain("llm.usage.reasoning_tokens", "usage.reasoning_tokens", "thoughts_token_count"),
        *_told("reasoning_tokens", "reasoningTokens", "reasoning", "thoughts_token_count", "thoughtsTokenCount"),
        *_told("thoughtsTokens", "completion_reasoning_tokens"),
    ),
    "input_audio_tokens": (
        *_plain("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
        *_plain("gen_ai.usage.details.input_audio_tokens", "gen_ai.usage.audio_input_tokens"),
        *_plain("gen_ai.usage.input_audio_tokens", "gen_ai.usage.input_tokens.audio"),
        _json("langfuse.observation.usage_details", "prompt_tokens_details", "audio_tokens"),
        _json("langfuse.observation.usage_details", "input_audio_tokens"),
    ),
    "output_audio_tokens": (
        *_plain("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"),
        *_plain("gen_ai.usage.details.output_audio_tokens", "gen_ai.usage.audio_output_tokens"),
        *_plain("gen_ai.usage.output_audio_tokens"),
        _json("langfuse.observation.usage_details", "completion_tokens_details", "audio_tokens"),
        _json("langfuse.observation.usage_details", "output_audio_tokens"),
    ),
    # How long the first token took: FIRST_TOKEN_UNITS_NS says in what. Events that mark it are in FIRST_TOKEN_EVENTS.
    "time_to_first_token": (
        *_plain("gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk"),
        *_plain("gen_ai.server.time_to_first_token", "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"),
        *_plain("langfuse.observation.completion_start_time", "mastra.completion_start_time", "lk.response.ttft", "ttft_ms"),
        *_plain("gen_ai.latency.time_to_first_token", "copilot_chat.time_to_first_token", "metrics.ttfb"),
    ),
    "supplied_cost": (
        _json("langfuse.observation.cost_details", "total"),
        *_plain("llm.cost.total", "gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost", "operation.cost"),
        *_plain("cost_usd", "opencode.llm.cost.total", "gen_ai.usage.cost_usd", "gen_ai.usage.total_cost_usd", "gen_ai.cost.usd"),
        *_plain("gen_ai.cost.total_usd", "llm.usage.cost", "litellm.cost.total"),
        _json("mlflow.llm.cost", "total_cost"),
    ),
    # Added up where a dialect gives no total.
    "supplied_input_cost": (
        *_plain("llm.cost.prompt", "gen_ai.usage.input_cost"),
        _json("langfuse.observation.cost_details", "input"),
        _json("mlflow.llm.cost", "input_cost"),
    ),
    "supplied_output_cost": (
        *_plain("llm.cost.completion", "gen_ai.usage.output_cost"),
        _json("langfuse.observation.cost_details", "output"),
        _json("mlflow.llm.cost", "output_cost"),
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
    "gen_ai.usage.raw", "usage", "metadata.usage_object", "gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details",
    "haystack.component.output", "haystack.agent.step.llm.output", "gcp.vertex.agent.llm_response", "genkit:output",
    "mlflow.spanOutputs", "output.value",
    "gen_ai.completion", "lmnr.span.output", "langfuse.observation.output", "braintrust.metrics", "final_result",
)  # fmt: skip

_OPERATIONS = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "completion": "llm", "generate": "llm", "llm_call": "llm",
    "model_request": "llm", "response": "llm", "llm_request": "llm", "model_inference": "llm", "speech_generation": "llm",
    "transcription": "llm", "realtime_inference": "llm",
    "embeddings": "embedding", "embedding": "embedding", "retrieval": "retriever",
    "search_memory": "retriever", "rerank": "retriever", "execute_tool": "tool", "tool_call": "tool", "client_tool_call": "other",
    "invoke_agent": "agent", "create_agent": "agent", "agent_call": "agent", "agent_step": "agent", "invoke_workflow": "chain",
    "plan": "chain", "handle_conversation_turn": "chain", "execute_task": "chain", "vector_db_retrieve": "chain",
    "user_prompt": "chain", "system_prompt": "chain", "schedule_tool_calls": "chain", "framework": "chain",
    "execute_event_loop_cycle": "chain", "model_generation": "chain", "model_chunk": "other", "mapping": "other",
    "fetch_response": "other", "handoff": "other", "agent_handoff": "other", "apply_guardrail": "guardrail",
    "run_guardrail": "guardrail", "guardrail_check": "guardrail", "create_memory": "other", "update_memory": "other",
    "upsert_memory": "other", "delete_memory": "other", "create_memory_store": "other", "delete_memory_store": "other",
    # Words of single frameworks. What stands for calls below it must not be taken for one because it has a model and tokens.
    # AG2 (autogen/opentelemetry): conversations repeat the usage of their calls, also across the agents below them.
    "conversation": "chain", "initiate_chats": "chain", "speaker_selection": "chain", "execute_code": "chain",
    "await_human_input": "other",
    # Azure's agent service (azure-ai-agents, telemetry/_utils.py): a run is told again by whoever asks how far it is.
    "start_thread_run": "agent", "process_thread_run": "agent", "get_thread_run": "other", "submit_tool_outputs": "other",
    "create_thread": "other", "create_message": "other", "list_messages": "other", "list_run_steps": "other",
    # Mastra's exporter up to 0.24. The span "chat" has the usage of all its steps, each of which is a call.
    "agent.run": "agent", "model.step": "llm", "model.chunk": "other", "tool.execute": "tool", "workflow.run": "chain",
    # Microsoft.Extensions.AI, Spring AI (AiOperationType), Pipecat.
    "orchestrate_tools": "chain", "image": "llm", "text_to_speech": "llm", "llm_response": "llm",
    # MLflow's types of spans that the conventions have no operation for (MLFLOW_ENABLE_OTEL_GENAI_SEMCONV).
    "retriever": "retriever", "reranker": "retriever", "chain": "chain", "parser": "chain", "workflow": "chain", "task": "chain",
    "guardrail": "guardrail", "evaluator": "evaluator",
}  # fmt: skip
SPAN_KINDS = ("agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other")
_PLAIN_KINDS = {kind: kind for kind in SPAN_KINDS if kind != "other"}
_SPANS_OF_BRAINTRUST = {"llm": "llm", "tool": "tool", "task": "chain", "function": "chain", "eval": "chain", "score": "evaluator"}
# A decision is that of a model among given options (spec/decision_spans.md): it has no messages, but a model and tokens.
_OPENINFERENCE = _PLAIN_KINDS | {"reranker": "retriever", "prompt": "chain", "decision": "llm"}
_AI_SDK = {
    "ai.generatetext.dogenerate": "llm", "ai.generateobject.dogenerate": "llm", "ai.streamtext.dostream": "llm",
    "ai.streamobject.dostream": "llm", "ai.embed.doembed": "embedding", "ai.embedmany.doembed": "embedding",
    "ai.toolcall": "tool", "ai.generateimage": "llm", "ai.generatespeech": "llm", "ai.transcribe": "llm",
    "ai.rerank": "retriever", "ai.rerank.dorerank": "retriever", "ai.generatetext": "chain",
    "ai.streamtext": "chain", "ai.generateobject": "chain", "ai.streamobject": "chain", "ai.embed": "chain",
    "ai.embedmany": "chain",
}  # fmt: skip

# (source, lower-cased first word of the value -> kind), first match wins.
KINDS: tuple[tuple[Source, dict[str, str]], ...] = (
    (Source("langfuse.observation.type"), _PLAIN_KINDS | {"generation": "llm", "span": "chain", "event": "other"}),
    # Before the operation: LangSmith's exporter calls a prompt template's operation "chat", a retriever's "embeddings".
    (Source("langsmith.span.kind"), _PLAIN_KINDS | {"prompt": "chain", "parser": "chain"}),
    (
        Source("span.type"),
        {
            "interaction": "agent",
            "llm_request": "llm",
            "tool": "tool",
            "tool.execution": "other",
            "tool.blocked_on_user": "other",
            "hook": "other",
            # VoltAgent's, whose names of kinds are otherwise ours.
            "llm": "llm",
            "agent": "agent",
            "memory": "other",
            "retriever": "retriever",
            "embedding": "embedding",
            "guardrail": "guardrail",
            "workflow-step": "chain",
            "scorer": "evaluator",
            "vector": "other",
            "middleware": "other",
            "summary": "other",
        },
    ),
    # Before the operation: up to Spring AI 1.1 that of a tool's call is "framework" (SpringAiKind, AiOperationType).
    (Source("spring.ai.kind"), {"chat_client": "chain", "advisor": "chain", "tool_call": "tool"}),
    # OpenLIT's nodes of pydantic-ai's graph come beside the calls made in them, and know neither the answer nor a tool's name.
    (Source("gen_ai.agent.lifecycle.phase"), {"model_request": "chain", "tool_execution": "chain"}),
    (Source("gen_ai.operation.name"), _OPERATIONS),
    # Before OpenInference's kind: Mastra's exporter for Arize calls each chunk of an answer LLM, and the call itself CHAIN.
    (Source("mastra.span.type"), {"model_inference": "llm", "model_chunk": "other"}),
    (Source("openinference.span.kind"), _OPENINFERENCE),
    (Source("traceloop.span.kind"), {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool", "handoff": "other"}),
    (Source("llm.request.type"), {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retriever"}),
    (Source("traceloop.llm.request.type"), {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retriever"}),
    (Source("ai.operationId"), _AI_SDK),
    (Source("operation.name"), _AI_SDK),
    (
        Source("mlflow.spanType"),
        _PLAIN_KINDS | {"chat_model": "llm", "reranker": "retriever", "parser": "chain", "workflow": "chain", "task": "chain"},
    ),
    (Source("lmnr.span.type"), _PLAIN_KINDS | {"executor": "chain", "default": "other"}),
    (
        Source("genkit:metadata:subtype"),
        _PLAIN_KINDS
        | {"model": "llm", "background-model": "llm", "embedder": "embedding", "flow": "chain", "tool.v2": "tool"}
        | {"reranker": "retriever", "prompt": "chain", "executable-prompt": "chain", "util": "chain"},
    ),
    (Source("genkit:type"), {"flow": "chain", "flowstep": "chain", "util": "chain"}),
    # Braintrust's SDKs write {"type": "llm"}, applications the member's own name.
    (Source("braintrust.span_attributes"), _SPANS_OF_BRAINTRUST),
    (Source("braintrust.span_attributes.type"), _SPANS_OF_BRAINTRUST),
    (Source("weave.span.kind"), _OPENINFERENCE),
    # What AG2 says besides its operations: an account of a call.
    (Source("ag2.span.type"), {"usage": "other"}),
    # gptme's function that starts a tool; the call itself has a span of the same name beside it.
    (Source("function.module"), {"gptme.tools.base": "other"}),
    # The OpenAI Agents SDK tells the usage of its calls again in tasks and turns (Logfire).
    (Source("sdk_span_type"), {"task": "chain", "turn": "chain"}),
    # VoltAgent's root; what is below it names the same entity and has a span.type.
    (Source("entity.type"), {"agent": "agent", "workflow": "chain"}),
)
# Genkit names the span of a model's call after the model.
GENKIT_MODELS = ("model", "background-model", "embedder")
# Spans that declare no kind, by name (Haystack's by "haystack:" and the type of the component); first match wins.
NAME_KINDS = (
    (r"^(invoke_agent|agent_run|Agent run:|haystack\.agent\.run|crewai\.agent)(\b| )|^(agent_turn|claude_code\.interaction)$"
     r"|^session_task\.turn$|\._execute_core$|^haystack:.*Agent$|^langchain4j\.aiservices\.", "agent"),
    (r"^(execute_tool |tool[.: /]|Function: )|^(function_tool|claude_code\.tool|ToolUsage\._use)$|\.tool$"
     r"|^haystack:.*ToolInvoker$|^langchain4j\.tools\.", "tool"),
    (r"^(call_llm|claude_code\.llm_request|try_run_sampling_request)$|^(Responses API|Chat completion) with "
     r"|\.do(Generate|Stream)$|^haystack:.*Generator$|\.llm$", "llm"),
    (r"\.doEmbed$|^haystack:.*Embedder$", "embedding"),
    (r"^haystack:.*(Retriever|Ranker)$", "retriever"),
    (r"^(invocation|agent_session|llm_node|haystack\.(pipeline\.run|agent\.step))$"
     r"|^OpenAI Agents trace: |^(workflow\.(run|build)|executor\.process|edge_group\.process)\b"
     r"|^crewai\.(crew|task|workflow)\b|\.kickoff$|^haystack:", "chain"),
)  # fmt: skip
# What coding agents run before and after a tool by configuration; that it fails tells nothing of the tool.
HOOK_NAME = r"^(qwen-code|claude_code)\.hook$"
# Spans that declare a kind which they are not, by name: ADK's summary of parallel tool calls, a hand-off that OpenInference
# calls a tool, steps around a tool which name it, too (Codex's, hooks of coding agents), and LlamaIndex's preparation of a
# request, which happens in the class of the model.
MISDECLARED_KINDS = (
    (r"^execute_tool \(merged|^handoff to |^(handle_responses|guardian_scoring_observation)$" f"|{HOOK_NAME}", "other"),
    (r"\._prepare_chat_with_tools$", "chain"),
    (r"^FunctionTool\.(task|workflow)$", "tool"),
)
# BeeAI's instrumentation makes an event within a step (a final answer, an error) a span of the step's kind and of no length.
EVENT_SPAN_KEY = "metadata.trace.run_id"
# What of an agent's or a tool's span name is not the name of the agent or tool. "Agent workflow" is what the OpenAI Agents SDK
# calls each run, whose span is an agent's to OpenInference.
NOT_AGENT_NAME = (
    r"[.](agent|run|on_messages(_stream)?|_execute_core)$|^(langchain4j[.]aiservices|agent)[.]"
    r"|^(invoke_agent|create_agent|agent_step.*|step [0-9]+|haystack[.]agent[.]run|Agent workflow)$"
)
NOT_TOOL_NAME = r"^(execute_tool |tools/call |tool[.: /]|langchain4j[.]tools[.])|[.](tool|__call__|acall)$"
# Classes of tools that some instrumentations send in place of a tool's name.
TOOL_CLASSES = ("DynamicStructuredTool", "DynamicTool")
# Coding agents whose spans give an agent no name, by how their scope begins.
AGENTS_OF_SCOPES = {"com.anthropic.claude_code": "claude_code", "codex": "codex", "github.copilot": "copilot"}
# LlamaIndex tells an agent's name in the event that its step is given, as Python shows it, and nowhere else.
AGENT_STEP, AGENT_OF_STEP = ".run_agent_step", r"current_agent_name='([^']+)'"
# Attributes whose presence tells the kind of a span that neither declares one nor has a telling name.
SHAPE_KEYS = (
    (r"^(gen_ai\.tool\.(name|call\.id)|tool\.name|ai\.toolCall\.name)$", "tool"),
    # A search in a vector database: OpenTelemetry's older names, Spring AI's and OpenLLMetry's.
    (r"^(gen_ai\.retrieval\.|retrieval\.documents\b|db\.vector\.query\.)", "retriever"),
    (r"^gen_ai\.embeddings\.dimension\.count$", "embedding"),
)
# What a model call holds beside its model.
MESSAGE_KEY = (
    r"^(gen_ai\.(input\.messages|output\.messages|prompt|completion)|llm\.(input_messages|output_messages|prompts|completions)\.)"
)

# Framework names that some instrumentations put where the provider belongs: the price list is asked by model alone then.
FRAMEWORKS = (
    "strands-agents",
    "gcp.vertex.agent",
    "litellm",
    "langchain",
    "crewai",
    "langgraph",
    "agno",
    "smolagents",
    "haystack",
    "llama_index",
    "llamaindex",
    "autogen",
    "microsoft.agent_framework",
    "dspy",
    "openai_agents",
    "pydantic_ai",
    "vercel",
    "spring_ai",
)
PROVIDERS = {
    "vertex_ai": "gcp.vertex_ai", "vertexai": "gcp.vertex_ai", "gemini": "gcp.gemini", "google": "gcp.gen_ai",
    "az.ai.openai": "azure.ai.openai", "azure": "azure.ai.openai", "azureopenai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference", "xai": "x_ai", "mistralai": "mistral_ai", "amazon_bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock", "aws": "aws.bedrock", "bedrock": "aws.bedrock", "moonshot": "moonshot_ai",
    "mistral": "mistral_ai", "googleai": "gcp.gen_ai", "google_genai": "gcp.gen_ai", "google_vertexai": "gcp.vertex_ai",
    "azure_openai": "azure.ai.openai", "azure_ai": "azure.ai.inference", "bedrock_converse": "aws.bedrock",
    "azure-openai": "azure.ai.openai", "azure_open_ai": "azure.ai.openai", "azure openai": "azure.ai.openai",
    "az.ai.agents": "azure.ai.inference", "aws bedrock": "aws.bedrock", "open_ai": "openai", "x-ai": "x_ai",
    "google-gla": "gcp.gemini", "google_ai_gemini": "gcp.gemini", "google-vertex": "gcp.vertex_ai",
    "openai.chat": "openai", "openai.responses": "openai", "anthropic.messages": "anthropic",
    "google.generative-ai": "gcp.gen_ai", "moonshotai": "moonshot_ai", "watsonx": "ibm.watsonx.ai",
    "api.openai.com": "openai", "api.anthropic.com": "anthropic", "generativelanguage.googleapis.com": "gcp.gemini",
    "api.mistral.ai": "mistral_ai", "api.groq.com": "groq", "api.deepseek.com": "deepseek", "api.x.ai": "x_ai",
    "api.cohere.com": "cohere", "openrouter.ai": "openrouter", "togetherai": "together",
}  # fmt: skip
# Who makes a model, by how its name starts: the provider of a call that names none.
MAKERS = {
    "gpt-": "openai", "chatgpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "text-embedding-": "openai",
    "claude-": "anthropic", "gemini-": "gcp.gemini", "mistral-": "mistral_ai", "grok-": "x_ai", "deepseek-": "deepseek",
    "command-": "cohere",
    # Bedrock's ids of models and of inference profiles.
    **dict.fromkeys(("anthropic.", "amazon.", "meta.", "us.", "eu.", "apac.", "global."), "aws.bedrock"),
}  # fmt: skip
# A router's word before the model's own name: openai/gpt-4o, bedrock/converse/us.anthropic.claude-..., .../models/gemini-2.5-pro.
MODEL_PREFIX = (
    r"^(?:(openai|anthropic|azure|azure_ai|bedrock|gemini|google|googleai|google_genai|vertex_ai|vertexai|groq|mistral|cohere|cohere_chat"
    r"|deepseek|xai|x-ai|ollama|ollama_chat|openrouter|litellm_proxy|moonshot|perplexity|together_ai|fireworks_ai|watsonx)[/:](?:converse/)?|(?:\S*/)?models/)"
)

# The tier that was served, in an answer as the provider gave it (OpenInference), which is read only where one was asked for:
# in every answer it took 3 us a span.
SERVED_TIER = r'"service_tier": ?"([A-Za-z_-]+)"'
# Routers' words for who sells a model whoever made it: they say more than a provider that an instrumentation takes from the
# client library or from the model's maker. So do the ids of Bedrock's models, which Anthropic's own client asks for, too.
SELLERS = ("groq", "openrouter", "together_ai", "fireworks_ai")
BEDROCK_ID = r"^((us|eu|apac|global)\.)?(anthropic|amazon|meta)\."

# Does an instrumentation's input count leave out cached tokens (docs/outcome.md)? By scope; some only for Anthropic's models.
EXCLUSIVE_SCOPES = (
    r"^((openinference|opentelemetry)\.instrumentation\.bedrock|@arizeai/openinference-instrumentation-bedrock"
    r"|openlit\.instrumentation\.(anthropic|bedrock)|com\.anthropic\.claude_code|@traceloop/instrumentation-anthropic)"
)
EXCLUSIVE_FOR_ANTHROPIC = r"^(strands|agent_framework)"
INCLUSIVE_SCOPES = (
    r"^(opentelemetry\.(instrumentation\.anthropic|util\.genai)|openinference\.instrumentation\.(anthropic|openai)"
    r"|pydantic-ai|logfire|com\.anthropic\.sdk|gcp\.vertex\.agent|gen_ai$)"
)
ANTHROPIC = "anthropic|claude|bedrock"
GEMINI = r"^(.*/)?gemini-"
# Tells Gemini's thoughts beside an output and a total that leave them out.
ADDITIVE_REASONING_SCOPE = "openlit.instrumentation.google_ai_studio"
# A call that failed has its name and no attribute (OpenLIT); the names are those of OpenTelemetry's GenAI conventions.
BARE_CALL_SCOPE = "openlit.instrumentation."
BARE_CALL_NAME = r"^(?:chat|text_completion|generate_content) (\S+)$"
# Says the model that answered also where the requested one belongs (Responses API).
ECHOING_SCOPE = "opentelemetry.instrumentation.openai_agents"
# Sends the nodes of a graph as `invoke_agent`; of an agent of LangChain this one calls the model (create_agent).
NODES_AS_AGENTS, MODEL_NODE = "openlit.instrumentation.langgraph", "model"
# Send workflows, tasks, nodes and the steps of CrewAI's flow as `invoke_agent`, too.
STEPS_AS_AGENTS = r"^(openlit\.instrumentation\.(crewai|langgraph)|opentelemetry\.instrumentation\.(crewai|openai_agents))"
# Names that hand on the provider's own numbers; beside a name of the conventions they say nothing.
RAW_CACHE_NAMES = (
    *_plain("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_creation_input_tokens", "ai.usage.cachedInputTokens"),
    *_plain("gen_ai.usage.cache_write_input_tokens", "ai.response.providerMetadata"),
    *_told("cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
)
AGREED_CACHE_NAMES = _plain(
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_write",
    "ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.inputTokenDetails.cacheWriteTokens",
    "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_write_tokens",
)  # fmt: skip

# A span of a model call stands for a loop of calls and tells the tokens of the last; the agent around it tells those of all.
LOOP_SCOPE = "@voltagent/core"

# Raised to steer a graph, to wait for a person or because the user gave up, not because something failed. Without their modules.
INTERRUPTS = ("GraphInterrupt", "NodeInterrupt", "CallDeferred", "ApprovalRequired")
CONTROL_FLOW_ERRORS = (
    *INTERRUPTS, "ParentCommand", "Command", "GraphBubbleUp", "CancelledError", "AbortError", "KeyboardInterrupt",
    "GeneratorExit",
)  # fmt: skip
# How a text about an error shows that it is one of them: as Python shows an exception, and JavaScript one, whose stack LangChain
# puts behind the message. Anything may be written behind "Command: ". Langfuse for Python sends what LangGraph interrupts with.
STEERING_NAME = "|".join(name for name in CONTROL_FLOW_ERRORS if name != "Command")
SHOWN_BY_JAVASCRIPT = r"(?:^|\n\n)(?:{names})(?:: |\n    at |$)"
CONTROL_FLOW_TEXT = rf"^(?:{'|'.join(CONTROL_FLOW_ERRORS)})[(]|{SHOWN_BY_JAVASCRIPT.format(names=STEERING_NAME)}"
INTERRUPT_TEXT = rf"^(?:[(]Interrupt|{'|'.join(INTERRUPTS)})[(]|{SHOWN_BY_JAVASCRIPT.format(names='|'.join(INTERRUPTS))}"
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
    "copilot_chat.time_to_first_token": 1e6, "metrics.ttfb": 1e9,
}  # fmt: skip
# Operations whose spans repeat the usage of a call that has a span of its own: background responses fetched later, agent loops.
REPEATED_USAGE = ("fetch_response", "agent_step")
# The type of an error in a text about it: "RangeError: too much", '... {"tool_name": "t", "error": "RangeError: too much"}', the
# stack that LangChain.js puts behind the message.
TYPE_IN_MESSAGE = r"""(?:^|\n\n|["']error["']: ?["'])([A-Z][A-Za-z0-9]*(?:Error|Exception)):"""
# Attributes that only a span which came to a result has.
RESULT_KEY = (
    r"^(gen_ai\.(output\.messages|completion|tool\.call\.result|usage\.output_tokens)|output\.value|llm\.output_messages\."
    r"|ai\.response\.|ai\.toolCall\.result|traceloop\.entity\.output|mlflow\.spanOutputs|langfuse\.observation\.output"
    r"|braintrust\.output|spring\.ai\.tool\.call\.result|tool\.result)"
)
# Claude Code and Codex report the outcome of a call in an attribute, Langfuse in an observation level.
FAILURE_FLAGS = (
    ("success", ("false", "False")), ("langfuse.observation.level", ("ERROR",)), ("gen_ai.tool.status", ("error",)),
    ("lk.function_tool.is_error", ("true",)), ("genkit:state", ("error",)), ("tool.result_status", ("error",)),
    ("haystack.tool.error", ("true",)), ("tool.status", ("error",)), ("tool.success", ("false",)),
)  # fmt: skip
# How the answer of a tool of Gemini CLI's begins that failed. The answer's `response` says why.
FAILED_ANSWER, FAILED_ANSWER_KEY = '{"status":"error"', "gen_ai.output.messages"
# Events in which a step around the tool's own tells by `success` how it went (Codex).
FAILURE_EVENTS = ("codex.tool_result",)


# A call that the framework refused before the tool ran: unknown tool, or arguments that do not fit. Not a tool error.
REFUSED_CALL = (
    r"(?i)validation errors? for|validation failed for|input validation (error|failed)|malformed tool arg|invalid json"
    r"|unterminated string|unknown tool|no such tool|tool \S+ not found|no tool with that name|not a valid tool"
    r"|invalid tool (name|argument|input)|^tool ['\"`]\S+['\"`] does not exist"
    # ADK asks a person first (tools/function_tool.py).
    r"|this tool call (requires confirmation, please approve|is rejected)"
)
# The type of the error of a call that a rule or a person refused (Copilot, opencode).
REFUSED_TYPES = ("denied", "PermissionRejectedError")


# How instrumentations mark a value that they cut: "... [truncated]", "(litellm_truncated 812 chars)", "[TRUNCATED - Content
# exceeds 60KB limit]", "<truncated due to size exceeding limit>". A sentence that ends in the word does not count.
TRUNCATION_MARK = r"(?i)(\.\.\.|…|[\[(<])[^\[\](<>]{0,24}truncated[^\[(<]{0,40}$"

# An application says outright what a span means for people: one of SIGNALS in this attribute, or an event of that name.
SIGNAL_KEY = "tracestore.signal"
ESCALATION_EVENT = "tracestore.human_escalation"
ESCALATION_REASON = "tracestore.escalation.reason"
# The same of a hand-off to another agent, as senders write it.
HANDOFF_REASONS = ("tracestore.handoff.reason", "gen_ai.handoff.reason", "agent.handoff.reason", "handoff.reason")
# The `reason` of arguments that are not plain JSON: within an envelope, or as Python writes a dict.
REASON_ARGUMENT = r"""reason\\*["']\s*:\s*\\*["']([^"'\\]{1,200})"""
SIGNALS = ("agent_handoff", "human_approval_requested", "human_approval_decided", "human_escalation", "human_wait")
# Tools that pass the conversation to another agent, and names of spans that stand for having done so.
HANDOFF_TOOL = (
    r"^(transfer_(back_)?to_|handoff_to_|hand_off_to_|handoff$|(Delegate work|Ask question) to coworker$|(Task|Agent)$"
    r"|delegate_task_to_members?$)"
)
HANDOFF_NAME = r"^(Handoff: |handoff to |agent_handoff\b)| → .*\.handoff$"
# Microsoft's agent framework hands off without running the tool, and answers the call itself: {"handoff_to": "billing"}.
HANDOFF_ANSWER, HANDOFF_OUTPUTS = r"""\{\\*"handoff_to\\*": *\\*\"""", ("gen_ai.output.messages", "output.value")
HANDOFF_TARGETS = (
    "gen_ai.handoff.to_agent", "gen_ai.handoff.to_agent.name", "langgraph.command.goto_node", "langgraph.command.goto_nodes",
)  # fmt: skip
HANDOFF_SOURCES = ("gen_ai.agent.source",)  # OpenLIT: the agent named by the span was handed the run by this one
# A hand-off to one of these is to a person.
HUMAN = r"(?i)(^|[^a-z])(human|live[_-]?agent|operator|agent_desk|support_desk|representative)([^a-z]|$)"
# Operations in which an agent waits for a person (AG2).
WAITING_OPERATIONS = ("await_human_input",)
# Tools that ask the person at the keyboard (Claude Code).
APPROVAL_TOOLS = ("AskUserQuestion", "ExitPlanMode")
APPROVAL_EVENTS = {
    "human_feedback_requested": "human_approval_requested", "request_info": "human_approval_requested",
    "human_feedback_received": "human_approval_decided", ESCALATION_EVENT: "human_escalation",
}  # fmt: skip
# The last are pydantic-ai's DeferredToolRequests, with which a run ends that needs an approval, and what Agno's says then.
APPROVAL_TEXT = (
    r'"__interrupt__"|mcp_approval_request|tool-approval-request|FunctionApprovalRequestContent|"approvals": ?\[\{"tool_name"'
    r"|I have tools to execute, but I need (?:confirmation|user input)"
)
# A call whose input ends in such a part goes on after a person's answer: the AI SDK's, OpenAI's and Strands' names. Later calls
# repeat the part with more behind it, hence the last type or role that an input names.
APPROVAL_ANSWERS = ("tool-approval-response", "mcp_approval_response", "interrupt_response")
APPROVAL_INPUTS = (
    "ai.prompt", "ai.prompt.messages", "gen_ai.input.messages", "input.value", "mlflow.spanInputs", "langfuse.observation.input",
    "traceloop.entity.input", "gen_ai.prompt", "lmnr.span.input",
)  # fmt: skip
# LangGraph goes on after a person's answer where a run's whole input is `Command(resume=...)`, as senders of Python and of
# JavaScript write it; of one that only goes elsewhere `resume` is null or left out. Kept so where content is not stored.
RESUMED = (
    r'(?s)^(?:\[REDACTED\] )?(?:\{"inputs?": ?)?\{(?:"graph": ?[^,]*|"lg_name": ?"Command"), ?'
    r'(?:"update": ?.*, ?)?"resume": ?[^n ]'
)
LAST_PART_BYTES = 512  # as much of an input's end as is looked at
LAST_PART = r"""(?s).*\b(?:type|role)\\*["']\s*:\s*\\*["']([A-Za-z_-]+)"""
# With what the run of an agent ends that asks (Microsoft's agent framework, Mastra).
ASKED_PARTS = (
    ("gen_ai.output.messages", '"type": ?"function_approval_request"'),
    ("mastra.agent_run.output", '"reason": ?"tool-call-approval"'),
)
# How one that goes on then is called (Agno), what it is given (Mastra), and what the last message given to it begins with
# (Microsoft): the part holds the call that it is about, which has a type of its own.
CONTINUED_RUN = r"\.a?continue_run(?:_stream)?$"
DECISION_INPUT, DECISION = "mastra.agent_run.input", r'^(?:\[REDACTED\] )?\{"approved": ?(?:true|false)'
ANSWERED_MESSAGES, ANSWERED_PART = "gen_ai.input.messages", "function_approval_response"
LAST_MESSAGE_BYTES = 8192
LAST_MESSAGE = r'(?s).*"role": ?"[a-z]+", ?"parts": ?\[\{"type": ?"([a-z_]+)"'

# Events of coding agents' logs (Claude Code's and Codex's manuals): somebody decided about a tool call, a request failed.
DECISION_EVENTS = ("claude_code.tool_decision", "codex.tool_decision")
REQUEST_ERROR_EVENTS = ("claude_code.api_error",)
# Told of every request, again when it is repeated: of one that failed with this attribute ("http 429"). A step whose last
# request to the model failed is that call.
REQUEST_EVENTS, REQUEST_ERROR, REQUEST_ERROR_TYPE = ("codex.api_request",), "error.message", r"\b[45][0-9]{2}\b"
MODEL_ENDPOINT = "/responses"
# `decision` and `source` of such an event: yes or no, and by a person or by configuration and hooks.
ACCEPTED = ("accept", "accepted", "approved", "approvedforsession", "approved_for_session")
BY_PERSON = "^user"

# The result of an evaluation: a log record or an event of a span, with gen_ai.evaluation.name, .score.value, .score.label and
# .explanation (OpenTelemetry's GenAI events). A later result with the same id takes the place of an earlier one.
EVALUATION_EVENT = "gen_ai.evaluation.result"
SCORE_IDS = ("tracestore.score.id", "openlit.score.idempotency_key")
SCORE_ANNOTATOR = "tracestore.score.annotator"
# "true" on a result that takes the one with its id away.
SCORE_WITHDRAWN = "tracestore.score.withdrawn"
# What names a result without an id has so many hex digits.
SCORE_ID_DIGITS = 32
# OpenInference: annotations.0.annotation.score, trace.evaluations.2.evaluation.label. Nine digits bound what a sender may write.
ANNOTATION_FIELD = (
    r"^((?:(?:trace|session)\.)?(?:annotations\.[0-9]{1,9}\.annotation|evaluations\.[0-9]{1,9}\.evaluation)\.)"
    r"(?:name|score|label|explanation|annotator_kind|identifier)$"
)
# Each such name holds one of these.
ANNOTATION_MARKS = (".annotation.", ".evaluation.")
# Logfire: a span below the one that it judges, of a scope whose name ends so; the attribute of that name holds the value.
FEEDBACK_SCOPE, FEEDBACK_NAME, FEEDBACK_COMMENT = "feedback", "logfire.feedback.name", "logfire.feedback.comment"

# An answer's code, the name of today and the older one: what is the type of an error that nothing else names
# (https://opentelemetry.io/docs/specs/semconv/http/http-spans/, error.type).
HTTP_STATUS_KEYS, HTTP_ERROR = ("http.response.status_code", "http.status_code"), "^[45][0-9]{2}$"

# What error.type says where the instrumentation knows no type (https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).
NO_ERROR_TYPE = "_OTHER"

# What Rust's `tracing` calls an event that was given no name: where it stands in the source.
UNNAMED_EVENT = "^event .+:[0-9]+$"
EVENT_NAME = "event.name"

# Read for a decision, not for a column of their own.
OTHER_KEYS = (
    "success", "langfuse.observation.level", "gen_ai.tool.status", "logfire.span_type", "name", "error.type",
    "lk.function_tool.is_error", "genkit:state", "tool.result_status", "genkit:name", "haystack.component.type",
    "haystack.tool.error", "tool.status", "tool.success",
    "mcp.method.name", "server.address", "langsmith.trace.name", "langsmith.span.parent_id", "gen_ai.request.batch",
    "pydantic_ai.tool.deferral.name", "source", "decision", EVENT_SPAN_KEY, SIGNAL_KEY, *HANDOFF_TARGETS,
    *HANDOFF_SOURCES, *HTTP_STATUS_KEYS, FAILED_ANSWER_KEY,
)  # fmt: skip


def derive_score_id(*parts: str) -> str:
    """Return what names an evaluation result that has no id of its own, from what it is about and where it stands."""
    return hashlib.sha256("\x1f".join(parts).encode(errors="surrogatepass")).hexdigest()[:SCORE_ID_DIGITS]


def wanted_keys() -> list[str]:
    """Return every span attribute that some canonical column reads, by name."""
    keys = {source.key for sources in FIELDS.values() for source in sources if source.form not in ("resource", "told")}
    return sorted(keys | {source.key for source, _ in KINDS} | set(USAGE_TEXTS) | set(OTHER_KEYS))
