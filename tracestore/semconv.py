"""Attribute names of every dialect, by canonical field, in order of precedence; the view's SQL is generated from them.

Dialects: OpenTelemetry GenAI conventions (current and deprecated names), OpenInference, OpenLLMetry (traceloop.*), Vercel AI
SDK (ai.*), Langfuse, LangSmith, MLflow, pydantic-ai and Logfire, Claude Code, Codex CLI, Mastra, LiteLLM, OpenLIT, Laminar, ADK.
For each field the first non-empty value wins.
"""

from __future__ import annotations

from dataclasses import dataclass

# Placeholders that frameworks send instead of leaving an attribute out. Logfire's scrubber writes "[Scrubbed due to '...']".
ABSENT = ("<REDACTED>", "[REDACTED]", "<not specified>", "N/A", "null", "undefined")
SCRUBBED_PREFIX = "[Scrubbed due to "


@dataclass(frozen=True)
class Source:
    """Where a value may stand: a span attribute, a resource attribute, a path in an attribute's JSON, a JSON-encoded scalar."""

    key: str
    # plain, resource, json (text or number at path), quoted (JSON-encoded scalar), pattern (group 1 of path[0])
    form: str = "plain"
    path: tuple[str, ...] = ()


def _resource(*keys: str) -> tuple[Source, ...]:
    return tuple(Source(key, "resource") for key in keys)


def _json(key: str, *path: str) -> Source:
    return Source(key, "json", path)


def _quoted(key: str) -> Source:
    return Source(key, "quoted")


def _pattern(key: str, pattern: str) -> Source:
    return Source(key, "pattern", (pattern,))


def _plain(*keys: str) -> tuple[Source, ...]:
    return tuple(Source(key) for key in keys)


FIELDS: dict[str, tuple[Source, ...]] = {
    "agent_attribute": _plain(
        "gen_ai.agent.name", "agent.name", "gen_ai.main_agent.name", "gen_ai.agent.role", "crewai.agent.role"
    ),
    "agent_of_agent_span": (
        *_plain(
            "graph.node.name", "graph.node.id", "traceloop.entity.name", "ai.telemetry.functionId", "resource.name", "agent_name"
        ),
        _json("metadata", "lc_agent_name"),
        *_plain("mastra.agent.name"),
    ),
    "version": (
        *_plain("gen_ai.agent.version", "langfuse.version", "langfuse.release"),
        *_plain("ai.telemetry.metadata.appVersion", "traceloop.association.properties.app_version"),
        *_plain("mastra.metadata.appVersion", "langsmith.metadata.app_version", "traceloop.entity.version", "service.version"),
        *_resource("service.version", "openlit.agent.version_hash", "app.version", "vcs.ref.head.revision"),
        *_resource("vcs.repository.ref.revision", "deployment.id"),
    ),
    "prompt_name": (
        *_plain("gen_ai.prompt.name", "langfuse.observation.prompt.name", "langfuse.prompt.name"),
        _json("ai.telemetry.metadata.langfusePrompt", "name"),
        *_plain("traceloop.prompt.key", "prompt.id"),
    ),
    "prompt_version": (
        *_plain("gen_ai.prompt.version", "langfuse.observation.prompt.version", "langfuse.prompt.version"),
        *_plain("traceloop.prompt.version", "traceloop.prompt.version_name", "llm.prompt_template.version"),
    ),
    "workflow": (
        *_plain("gen_ai.workflow.name", "gen_ai.workflow.type", "traceloop.workflow.name", "workflow.name", "workflow.id"),
        *_plain("langfuse.trace.name", "langsmith.trace.name"),
        _quoted("mlflow.traceName"),
    ),
    "session_id": (
        # The application's own word before the conversation id that some frameworks make up for every run.
        _json("metadata", "session_id"),
        *_plain("gen_ai.conversation.id", "session.id", "langfuse.session.id"),
        *_plain("langfuse.trace.metadata.langfuse_session_id", "langfuse.observation.metadata.langfuse_session_id"),
        *_plain("traceloop.association.properties.session_id", "traceloop.association.properties.thread_id"),
        *_plain("traceloop.association.properties.conversation_id", "traceloop.association.properties.chat_id"),
        *_plain("ai.telemetry.metadata.sessionId", "langsmith.trace.session_id", "langsmith.metadata.session_id"),
        *_plain("langsmith.metadata.thread_id", "langsmith.metadata.conversation_id", "gcp.vertex.agent.session_id"),
        _quoted("mlflow.trace.session"),
        *_plain("mastra.metadata.sessionId", "conversation.id", "thread.id"),
        _json("metadata", "thread_id"),
        *_resource("session.id"),
    ),
    "user_id": (
        *_plain("user.id", "enduser.id", "langfuse.user.id", "langfuse.trace.metadata.langfuse_user_id"),
        *_plain("langfuse.observation.metadata.langfuse_user_id", "traceloop.association.properties.user_id"),
        *_plain("gen_ai.user", "llm.user", "gen_ai.request.user", "ai.telemetry.metadata.userId", "langsmith.metadata.user_id"),
        _quoted("mlflow.trace.user"),
        *_plain("mastra.metadata.userId", "metadata.user_api_key_end_user_id", "user.account_uuid", "user.account_id", "user_id"),
        _json("metadata", "user_id"),
        *_resource("user.id", "enduser.id"),
    ),
    "environment": (
        *_plain("langfuse.environment"),
        *_resource("langfuse.environment", "deployment.environment.name", "deployment.environment"),
        *_plain("deployment.environment.name", "deployment.environment", "gen_ai.environment"),
        *_plain("traceloop.association.properties.environment"),
    ),
    "service": _resource("service.name"),
    "request_model": (
        *_plain("gen_ai.request.model", "llm.request.model_name", "ai.model.id", "aisdk.model.id"),
        _json("llm.invocation_parameters", "model_name"),
        _json("llm.invocation_parameters", "model"),
        _json("langfuse.observation.model.parameters", "model"),
        _quoted("model"),
        *_plain("model_name"),
    ),
    "response_model": (
        *_plain("gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model"),
        *_plain("llm.model_name", "embedding.model_name", "reranker.model_name", "langfuse.observation.model.name"),
        _quoted("mlflow.llm.model"),
    ),
    "provider": (
        *_plain("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"),
        _quoted("mlflow.llm.provider"),
        _json("metadata", "ls_provider"),
        *_plain("langsmith.metadata.ls_provider"),
    ),
    "response_id": _plain("gen_ai.response.id", "llm.response.id", "ai.response.id", "response_id"),
    "finish_reason": _plain(
        "gen_ai.response.finish_reasons",
        "llm.finish_reason",
        "ai.response.finishReason",
        "gen_ai.response.finish_reason",
        "gen_ai.response.stop_reason",
        "llm.response.finish_reason",
        "llm.response.stop_reason",
        "gen_ai.completion.0.finish_reason",
        "stop_reason",
    ),
    "tool_attribute": _plain("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "mcp.tool.name", "tool_name"),
    "tool_arguments": _plain(
        "gen_ai.tool.call.arguments",
        "tool_arguments",
        "ai.toolCall.args",
        "gcp.vertex.agent.tool_call_args",
        "gen_ai.tool.args",
        "input.value",
        "traceloop.entity.input",
        "tool_input",
        "arguments",
    ),
    "tool_result": _plain(
        "gen_ai.tool.call.result",
        "tool_response",
        "ai.toolCall.result",
        "output.value",
        "traceloop.entity.output",
        "error.message",
        "error",
    ),
    "tool_call_id": _plain("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id", "tool_use_id", "call_id"),
    "error_attribute": _plain("error.type", "gen_ai.framework.error.type", "status_code"),
    "input_tokens": (
        _json("langfuse.observation.usage_details", "input"),
        _json("langfuse.observation.usage_details", "prompt_tokens"),
        *_plain("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens"),
        *_plain("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
        _json("mlflow.chat.tokenUsage", "input_tokens"),
        *_plain("input_tokens", "input_token_count"),
    ),
    "output_tokens": (
        _json("langfuse.observation.usage_details", "output"),
        _json("langfuse.observation.usage_details", "completion_tokens"),
        *_plain("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
        *_plain("llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
        _json("mlflow.chat.tokenUsage", "output_tokens"),
        *_plain("output_tokens", "output_token_count"),
    ),
    "total_tokens": (
        _json("langfuse.observation.usage_details", "total"),
        *_plain("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens", "ai.usage.totalTokens"),
        _json("mlflow.chat.tokenUsage", "total_tokens"),
        *_plain("codex.usage.total_tokens"),
    ),
    "cache_read_tokens": (
        *_plain("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        *_plain("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
        *_plain("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens"),
        *_plain("gen_ai.usage.cached_tokens", "gen_ai.usage.input_cached_tokens"),
        *_plain("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
        _json("langfuse.observation.usage_details", "prompt_tokens_details", "cached_tokens"),
        _json("langfuse.observation.usage_details", "input_tokens_details", "cached_tokens"),
        _json("langfuse.observation.usage_details", "input_cached_tokens"),
        _json("langfuse.observation.usage_details", "input_cache_read"),
        _json("langfuse.observation.usage_details", "cache_read_input_tokens"),
        _json("gen_ai.usage.input_token_details", "cache_read"),
        _json("mlflow.chat.tokenUsage", "cache_read_input_tokens"),
        _json("gen_ai.usage.raw", "prompt_tokens_details", "cached_tokens"),
        _json("gen_ai.usage.raw", "input_tokens_details", "cached_tokens"),
        _json("gen_ai.usage.raw", "cache_read_input_tokens"),
        _json("usage", "input_tokens_details", "cached_tokens"),
        _pattern("metadata.usage_object", "'cached_tokens': ([0-9]+)"),
        *_plain("cache_read_tokens", "cached_token_count"),
    ),
    "cache_write_tokens": (
        *_plain("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        *_plain("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens"),
        *_plain("llm.token_count.prompt_details.cache_write", "gen_ai.usage.details.cache_write_tokens"),
        *_plain("gen_ai.usage.details.cache_creation_input_tokens", "ai.usage.inputTokenDetails.cacheWriteTokens"),
        _json("langfuse.observation.usage_details", "cache_creation_input_tokens"),
        _json("langfuse.observation.usage_details", "input_cache_creation"),
        _json("gen_ai.usage.input_token_details", "cache_creation"),
        _json("mlflow.chat.tokenUsage", "cache_creation_input_tokens"),
        _json("gen_ai.usage.raw", "cache_creation_input_tokens"),
        *_plain("cache_creation_tokens"),
    ),
    "reasoning_tokens": (
        *_plain("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
        *_plain("llm.token_count.completion_details.reasoning", "gen_ai.usage.details.reasoning_tokens"),
        *_plain("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
        _json("langfuse.observation.usage_details", "completion_tokens_details", "reasoning_tokens"),
        _json("langfuse.observation.usage_details", "output_tokens_details", "reasoning_tokens"),
        _json("langfuse.observation.usage_details", "output_reasoning_tokens"),
        _json("langfuse.observation.usage_details", "output_reasoning"),
        *_plain("codex.usage.reasoning_output_tokens", "reasoning_token_count"),
        _json("gen_ai.usage.raw", "completion_tokens_details", "reasoning_tokens"),
        _json("usage", "output_tokens_details", "reasoning_tokens"),
        _pattern("metadata.usage_object", "'reasoning_tokens': ([0-9]+)"),
    ),
    "supplied_cost": (
        _json("langfuse.observation.cost_details", "total"),
        *_plain("llm.cost.total", "gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost", "operation.cost"),
        *_plain("cost_usd", "opencode.llm.cost.total"),
    ),
}

_OPERATIONS = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "completion": "llm", "generate": "llm", "llm_call": "llm",
    "model_request": "llm", "response": "llm", "llm_request": "llm", "model_inference": "llm", "speech_generation": "llm",
    "transcription": "llm", "embeddings": "embedding", "embedding": "embedding", "retrieval": "retriever",
    "search_memory": "retriever", "rerank": "retriever", "execute_tool": "tool", "tool_call": "tool", "client_tool_call": "other",
    "invoke_agent": "agent", "create_agent": "other", "agent_call": "agent", "agent_step": "chain", "invoke_workflow": "chain",
    "plan": "chain", "handle_conversation_turn": "chain", "execute_task": "chain", "vector_db_retrieve": "chain",
    "user_prompt": "chain", "system_prompt": "chain", "schedule_tool_calls": "chain", "framework": "chain",
    "execute_event_loop_cycle": "chain", "model_generation": "chain", "model_chunk": "other", "mapping": "other",
    "fetch_response": "other", "handoff": "other", "agent_handoff": "other", "apply_guardrail": "guardrail",
    "run_guardrail": "guardrail", "guardrail_check": "guardrail", "create_memory": "other", "update_memory": "other",
    "upsert_memory": "other", "delete_memory": "other", "create_memory_store": "other", "delete_memory_store": "other",
}  # fmt: skip
_PLAIN_KINDS = {kind: kind for kind in ("agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator")}
_OPENINFERENCE = _PLAIN_KINDS | {"reranker": "retriever", "prompt": "chain"}
_AI_SDK = {
    "ai.generatetext.dogenerate": "llm", "ai.generateobject.dogenerate": "llm", "ai.streamtext.dostream": "llm",
    "ai.streamobject.dostream": "llm", "ai.embed.doembed": "embedding", "ai.embedmany.doembed": "embedding",
    "ai.toolcall": "tool", "ai.rerank": "retriever", "ai.rerank.dorerank": "retriever", "ai.generatetext": "chain",
    "ai.streamtext": "chain", "ai.generateobject": "chain", "ai.streamobject": "chain", "ai.embed": "chain",
    "ai.embedmany": "chain",
}  # fmt: skip

# (source, lower-cased value -> kind), first match wins.
KINDS: tuple[tuple[Source, dict[str, str]], ...] = (
    (Source("langfuse.observation.type"), _PLAIN_KINDS | {"generation": "llm", "span": "chain", "event": "other"}),
    (
        Source("span.type"),
        {
            "interaction": "agent",
            "llm_request": "llm",
            "tool": "tool",
            "tool.execution": "other",
            "tool.blocked_on_user": "other",
            "hook": "other",
        },
    ),
    (Source("gen_ai.operation.name"), _OPERATIONS),
    (Source("openinference.span.kind"), _OPENINFERENCE),
    (Source("traceloop.span.kind"), {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool", "handoff": "other"}),
    (Source("llm.request.type"), {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retriever"}),
    (Source("traceloop.llm.request.type"), {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retriever"}),
    (Source("ai.operationId"), _AI_SDK),
    (Source("langsmith.span.kind"), _PLAIN_KINDS | {"prompt": "chain", "parser": "chain"}),
    (
        _quoted("mlflow.spanType"),
        _PLAIN_KINDS | {"chat_model": "llm", "reranker": "retriever", "parser": "chain", "workflow": "chain", "task": "chain"},
    ),
    (Source("lmnr.span.type"), _PLAIN_KINDS | {"executor": "chain", "default": "other"}),
    (Source("genkit:metadata:subtype"), _PLAIN_KINDS | {"model": "llm", "embedder": "embedding"}),
    (Source("genkit:type"), {"flow": "chain"}),
)

# Framework names that some instrumentations put where the provider belongs: the price list is asked by model alone then.
FRAMEWORKS = (
    "strands-agents",
    "gcp.vertex.agent",
    "langchain",
    "crewai",
    "langgraph",
    "agno",
    "smolagents",
    "haystack",
    "llama_index",
)
PROVIDERS = {
    "vertex_ai": "gcp.vertex_ai", "vertexai": "gcp.vertex_ai", "gemini": "gcp.gemini", "google": "gcp.gen_ai",
    "az.ai.openai": "azure.ai.openai", "azure": "azure.ai.openai", "azureopenai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference", "xai": "x_ai", "mistralai": "mistral_ai", "amazon_bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock", "aws": "aws.bedrock", "bedrock": "aws.bedrock", "moonshot": "moonshot_ai",
}  # fmt: skip

# Raised to steer a graph or to wait for a person, not because something failed. Without their modules.
CONTROL_FLOW_ERRORS = (
    "GraphInterrupt", "NodeInterrupt", "ParentCommand", "Command", "CallDeferred", "ApprovalRequired", "GraphBubbleUp",
)  # fmt: skip
# Operations whose spans repeat the usage of a call that has a span of its own: background responses fetched later, agent loops.
REPEATED_USAGE = ("fetch_response", "agent_step")
# Attributes that only a span which came to a result has.
RESULT_KEY = (
    r"^(gen_ai\.(output\.messages|completion|tool\.call\.result|usage\.output_tokens)|output\.value|llm\.output_messages\."
    r"|ai\.response\.|ai\.toolCall\.result|traceloop\.entity\.output|mlflow\.spanOutputs|langfuse\.observation\.output)"
)
# Claude Code and Codex report the outcome of a call in an attribute, Langfuse in an observation level.
FAILURE_FLAGS = (("success", ("false", "False")), ("langfuse.observation.level", ("ERROR",)), ("gen_ai.tool.status", ("error",)))


# A call that the framework refused before the tool ran: unknown tool, or arguments that do not fit. Not a tool error.
REFUSED_CALL = (
    r"(?i)validation errors? for|validation failed for|input validation (error|failed)|malformed tool arg|invalid json"
    r"|unterminated string|unknown tool|no such tool|tool \S{1,80} not found|not a valid tool|invalid tool (name|argument|input)"
)


# How instrumentations mark a value that they cut: "... [truncated]", "(litellm_truncated 812 chars)", "[TRUNCATED - Content
# exceeds 60KB limit]", "<truncated due to size exceeding limit>". A sentence that ends in the word does not count.
TRUNCATION_MARK = r"(?i)(\.\.\.|…|[\[(<])[^\[\](<>]{0,24}truncated[^\[(<]{0,40}$"


# Read for a decision, not for a column of their own.
OTHER_KEYS = (
    "success", "langfuse.observation.level", "gen_ai.tool.status", "logfire.span_type", "name", "error.message", "error",
)  # fmt: skip


def wanted_keys() -> list[str]:
    """Return every span attribute that some canonical column reads, by name."""
    keys = {source.key for sources in FIELDS.values() for source in sources if source.form != "resource"}
    return sorted(keys | {source.key for source, _ in KINDS} | set(OTHER_KEYS))
