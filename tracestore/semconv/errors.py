"""What failed, what only looks like it, and how dialects say which error it was."""

from __future__ import annotations

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
    # How a conversation of the Claude Agent SDK ended, as LangSmith's integration says it.
    ("langsmith.metadata.is_error", ("True", "true")),
    # AgentOps ends a run so that raised; a run that nobody ended is shut down.
    ("agentops.session.end_state", ("Indeterminate", "Error", "Fail")),
)  # fmt: skip
# How the answer of a tool of Gemini CLI's begins that failed. The answer's `response` says why.
FAILED_ANSWER, FAILED_ANSWER_KEY = '{"status":"error"', "gen_ai.output.messages"
# What OpenAI's Agents SDK has a tool that raised answer (tool.py, tool.ts: default_tool_error_function). In realtime sessions
# nothing else tells of it.
FAILED_RESULT = "An error occurred while running the tool. Please try again."
# ADK for JavaScript writes a tool's attributes when it has returned, and ends the span of one that raised without any: by how
# the names of its spans begin (dist/esm/agents/functions.js, callToolAsync).
SILENT_SCOPE, SILENT_NAME = "gcp.vertex.agent", "execute_tool "
# Events in which a step around the tool's own tells by `success` how it went (Codex).
FAILURE_EVENTS = ("codex.tool_result",)

# A call that the framework refused before the tool ran: unknown tool, or arguments that do not fit. Not a tool error.
REFUSED_CALL = (
    r"(?i)validation errors? for|validation failed for|input validation (error|failed)|malformed tool arg|invalid json"
    r"|unterminated string|unknown tool|no such tool|tool \S+ not found|no tool with that name|not a valid tool"
    r"|invalid tool (name|argument|input)|^tool ['\"`]\S+['\"`] does not exist"
    # ADK asks a person first (tools/function_tool.py).
    r"|this tool call (requires confirmation, please approve|is rejected)|mandatory input parameters are not present"
    # OpenAI's Agents SDK, which names no error (tool.ts, tool.py: default_tool_error_function).
    r"|error occurred while parsing tool arguments"
)
# What Python says of a call whose arguments do not fit the function that it names: refused, if that is the tool itself.
UNFIT_CALL = r"\b([A-Za-z0-9_]+)\(\) (?:missing [0-9]+ required|got an unexpected keyword) "
# The type of the error of a call that a rule or a person refused (Copilot, opencode).
REFUSED_TYPES = ("denied", "PermissionRejectedError")

# Events of Claude Code's log (its manual): a request failed.
REQUEST_ERROR_EVENTS = ("claude_code.api_error",)
# Told of every request, again when it is repeated: of one that failed with this attribute ("http 429"). A step whose last
# request to the model failed is that call.
REQUEST_EVENTS, REQUEST_ERROR, REQUEST_ERROR_TYPE = ("codex.api_request",), "error.message", r"\b[45][0-9]{2}\b"
MODEL_ENDPOINT = "/responses"

# An answer's code, the name of today and the older one: what is the type of an error that nothing else names
# (https://opentelemetry.io/docs/specs/semconv/http/http-spans/, error.type).
HTTP_STATUS_KEYS, HTTP_ERROR = ("http.response.status_code", "http.status_code"), "^[45][0-9]{2}$"
# What error.type says where the instrumentation knows no type (https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).
NO_ERROR_TYPE = "_OTHER"
