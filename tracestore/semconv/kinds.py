"""What kind of step a span is, and what its agent or tool is called: by declaration, else by name and attributes."""

from __future__ import annotations

from tracestore.semconv.sources import Source

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
# A turn of a spoken conversation is AUDIO, what the person said in it USER (instrumentation of OpenAI's realtime sessions).
_OPENINFERENCE = _PLAIN_KINDS | {
    "reranker": "retriever", "prompt": "chain", "decision": "llm", "audio": "chain", "user": "other"
}  # fmt: skip
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
        {"interaction": "agent", "llm_request": "llm", "tool": "tool", "tool.execution": "other"}
        | {"tool.blocked_on_user": "other", "hook": "other"}
        # VoltAgent's, whose names of kinds are otherwise ours.
        | {"llm": "llm", "agent": "agent", "memory": "other", "retriever": "retriever", "embedding": "embedding"}
        | {"guardrail": "guardrail", "workflow-step": "chain", "scorer": "evaluator", "vector": "other", "middleware": "other"}
        | {"summary": "other"},
    ),
    # Before the operation: up to Spring AI 1.1 that of a tool's call is "framework" (SpringAiKind, AiOperationType).
    (Source("spring.ai.kind"), {"chat_client": "chain", "advisor": "chain", "tool_call": "tool"}),
    # OpenLIT's nodes of pydantic-ai's graph come beside the calls made in them, and know neither the answer nor a tool's name.
    (Source("gen_ai.agent.lifecycle.phase"), {"model_request": "chain", "tool_execution": "chain"}),
    (Source("gen_ai.operation.name"), _OPERATIONS),
    # Before OpenInference's kind: Guardrails calls its calls of models guardrails, too (guardrails.telemetry).
    (
        Source("type"),
        {"guardrails/guard/step/call": "llm", "guardrails/guard/step": "guardrail", "guardrails/guard": "guardrail"},
    ),
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
    # AgentOps. Beside its tools it has spans of what an answer asked for, whose kind is a Python enum as it is shown.
    (
        Source("agentops.span.kind"),
        _PLAIN_KINDS
        | {"session": "chain", "workflow": "chain", "task": "chain", "operation": "chain", "text": "other", "http": "other"}
        | {"agentopsspankindvalues.tool": "other"},
    ),
    # promptflow's functions, flows and calls (promptflow-tracing, TraceType).
    (
        Source("span_type"),
        {"llm": "llm", "embedding": "embedding", "retrieval": "retriever"}
        | {"function": "chain", "flow": "chain", "langchain": "chain"},
    ),
    # LangWatch (langwatch.domain, SpanTypes). What is missing here says nothing.
    (
        Source("langwatch.span.type"),
        _PLAIN_KINDS | {"rag": "retriever", "evaluation": "evaluator", "workflow": "chain", "task": "chain"},
    ),
    # DeepEval (deepeval.tracing.otel), whose integrations add it to the spans of others, too.
    (Source("confident.span.type"), _PLAIN_KINDS),
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
    (r"^(invoke_agent|agent[_ ]run|Agent run:|haystack\.agent\.run|crewai\.agent)(\b| )|^(agent_turn|claude_code\.interaction)$"
     r"|^session_task\.turn$|\._execute_core$|^haystack:.*Agent$|^langchain4j\.aiservices\.", "agent"),
    (r"^(execute_tool |tool[.: /]|Function: )|^(function_tool|claude_code\.tool|ToolUsage\._use)$|\.tool$"
     r"|^haystack:.*ToolInvoker$|^langchain4j\.tools\.", "tool"),
    (r"^(call_llm|claude_code\.llm_request|try_run_sampling_request)$|^(Responses API|Chat completion|Message) with "
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
    r"|^(invoke_agent|create_agent|agent_step.*|step [0-9]+|haystack[.]agent[.]run|Agent workflow|agent run)$"
)
NOT_TOOL_NAME = r"^(execute_tool |tools/call |tool[.: /]|langchain4j[.]tools[.])|[.](tool|__call__|acall)$"
# What Claude Code and its SDK put before the name of a tool of an MCP server: mcp__github__create_issue. MCP's own spans
# (https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/) and Claude Code's have the name that the server gave.
MCP_PREFIX = "^mcp__.+?__"
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
# Sends the nodes of a graph as `invoke_agent`; of an agent of LangChain this one calls the model (create_agent).
NODES_AS_AGENTS, MODEL_NODE = "openlit.instrumentation.langgraph", "model"
# Send workflows, tasks, nodes and the steps of CrewAI's flow as `invoke_agent`, too.
STEPS_AS_AGENTS = r"^(openlit\.instrumentation\.(crewai|langgraph)|opentelemetry\.instrumentation\.(crewai|openai_agents))"
