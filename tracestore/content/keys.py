"""What of a span or log record is content, by the name of its attribute, and what of a content's text is kept all the same.

Content is what people, models and tools said to each other: prompts, answers, arguments, results, documents, bodies of logs.
Names, ids, models, counts and the types of errors are not. A project may ask not to store content; its numbers must not change
by that, and some dialects say them nowhere but in a content's text: those members are kept, the rest is gone.
"""

from __future__ import annotations

import json
import re
from enum import Enum

import re2

from tracestore.remember import remember_short
from tracestore.semconv import errors, fields, keys, signals

# Reads as absent everywhere (ABSENT), so nothing takes it for something that was said.
REDACTED = "[REDACTED]"
_USAGE_TEXT_BYTES = 65_536  # what clickhouse/views/lookups.py reads of a text, from either end


class Part(Enum):
    """What an attribute holds."""

    CONTENT = "content"
    ERROR_TEXT = "error text"
    OTHER = "other"


# Texts about a failure. They are content only where the project says so: without them a failing trace hardly says why.
_ERROR_TEXTS = frozenset(
    {"exception.message", "exception.stacktrace", "error.stack", "error.stack_trace"}
    | {source.key for source in fields.FIELDS["error_text_attribute"]}
)  # fmt: skip
_USAGE_ALONE = {
    "gen_ai.usage.raw",
    "usage",
    "metadata.usage_object",
    "braintrust.metrics",
    "langwatch.metrics",
    "langsmith.metadata.usage_metadata",
} | {key for key in fields.USAGE_TEXTS if key.startswith("gen_ai.usage.")}
# Settings of a call as JSON, with the model's name among them, and definitions of tools and answers.
_PARAMETERS = {"llm.invocation_parameters", "langfuse.observation.model.parameters", "model_config", "braintrust.metadata"}
_KEPT_SETTINGS = ("model", "model_name", "provider", "service_tier")
_NAMED = frozenset(
    {source.key for name in ("tool_arguments", "tool_result") for source in fields.FIELDS[name]}
    | set(fields.USAGE_TEXTS)
    | {errors.FAILED_ANSWER_KEY}
    | {
        "all_messages_events", "events", "request_data", "response_data", "new_context", "final_result", "return",
        "model_request_parameters", "logfire.msg", "gen_ai.evaluation.explanation", "tool.parameters", "tool_parameters",
        "ai.value", "ai.values", "ai.response.object", "ai.result.object", "ai.response.files", "ai.prompt.tools",
        "tools", "mlflow.chat.tools", "tool.description", "gen_ai.tool.description", "gen_ai.agent.description", "lk.chat_ctx",
        "full_command", "bash_command", "command", "haystack.pipeline.input_data", "haystack.pipeline.output_data",
        "agent.messages.ui", "agent.stateSnapshot", "gen_ai.memory.records", "gen_ai.main_agent.description",
        "gen_ai.skill.description", "tool.json_schema", "llm.function_call", "gen_ai.response.tool_calls",
    }
 | _PARAMETERS) - _ERROR_TEXTS - _USAGE_ALONE  # fmt: skip
_PREFIXES = (
    "gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages", "llm.output_messages", "llm.prompts", "llm.choices",
    "llm.tools",
    "llm.request.functions", "llm.openai.", "llm.prompt_template.", "retrieval.documents", "reranker.input_documents",
    "reranker.output_documents", "reranker.query", "embedding.embeddings", "embedding.text", "traceloop.entity.input",
    "traceloop.entity.output", "mlflow.spanInputs", "mlflow.spanOutputs", "ai.prompt", "ai.response.", "ai.result.",
    "gcp.vertex.agent.llm_re", "gcp.vertex.agent.data", "input.value", "output.value", "input.images", "output.images",
    "input.audio.", "output.audio.",
)  # fmt: skip
# What stays under those prefixes, by the last part of the name.
_KEPT_LEAVES = re.compile(
    r"(?i)(?:^|[._])(?:role|name|type|id|ids|index|score|key|version|version_hash|version_name|model|finish_?reasons?|stop_?reason"
    r"|mime_?type|timestamp|ms_?to_?\w+|msto\w+|avgoutput\w+|providermetadata|tokens?)$"
)
# What was said of a span (OpenInference's spec/annotations.md, gen_ai.evaluation.explanation).
_JUDGMENT = re.compile(r"\.(?:annotation|evaluation)\.(?:explanation|metadata)$")
# LiveKit marks what may hold personal data by a part of the name: lk.pii.chat_ctx, lk.pii.sip.phoneNumber
# (livekit/agents/telemetry/trace_types.py).
_PERSONAL = re.compile(r"(?:^|\.)pii\.")
# Tools one by one, gen_ai.tool.0.description (LiteLLM, LITELLM_OTEL_V2) and tool.refund.description (mcp-agent), and arguments
# one by one: of tools, request.params.arguments.reason, and of functions, arg_2 (mcp-agent).
_ONE_BY_ONE = re.compile(r"(?:^|\.)tool\.[^.]+\.description$|(?:^|[._])(?:arguments|tool_args)\.|^arg_[0-9]")
# Dialects that no table knows call it by these words too.
_LEAVES = re.compile(
    r"(?:^|[._:/-]|(?<=[a-z])(?=[A-Z]))(?i:contents?|prompts?|system_prompt|user_prompt|completions?|inputs?|outputs?|messages?"
    r"|arguments|args|kwargs|params|parameters|texts?|quer(?:y|ies)|questions?|answers?|transcripts?|documents?|chunks|context"
    r"|instructions?|results?|responses?|requests?|body|payload|reasoning|thinking|thoughts?|history|conversation|definitions"
    r"|user_input|tool_input|tool_output|tool_response)(?:[_-]json)?$"
)
# Canonical columns are read from these: ids, models, counts, names.
_READ = frozenset(keys.wanted_keys()) | {
    source.key for sources in fields.FIELDS.values() for source in sources if source.form == "resource"
}
# Events that are content as a whole: all their texts but those of _KEPT_LEAVES.
_CONTENT_EVENT = re.compile(
    r"^(gen_ai\.(system|user|assistant|tool)\.message|gen_ai\.choice|gen_ai\.content\.(prompt|completion)|db\.query\.result"
    r"|tool\.output|tool_input|tool_output|(claude_code|codex)\.(user_prompt|assistant_response))$"
)


@remember_short(8192)
def find_part(key: str) -> Part:
    """Return what an attribute of this name holds."""
    if key in _ERROR_TEXTS:
        return Part.ERROR_TEXT
    if key in _NAMED:
        return Part.CONTENT
    if key in _READ:
        return Part.OTHER
    if key.startswith(_PREFIXES):
        return Part.OTHER if _KEPT_LEAVES.search(key) else Part.CONTENT
    told_by_name = (_LEAVES, _JUDGMENT, _PERSONAL, _ONE_BY_ONE)
    return Part.CONTENT if any(pattern.search(key) for pattern in told_by_name) else Part.OTHER


@remember_short(8192)
def find_part_in_event(event_name: str, key: str) -> Part:
    """Return what an attribute of a span event or log record of this name holds."""
    if _CONTENT_EVENT.match(event_name):
        return Part.OTHER if _KEPT_LEAVES.search(key) or key in _READ - _NAMED else Part.CONTENT
    return find_part(key)


_TOLD = re2.compile(
    # As clickhouse/views/lookups.py reads them.
    r"""[{,(\s]["']?("""
    + "|".join(source.key for sources in fields.FIELDS.values() for source in sources if source.form == "told")
    + r""")["']?\s*[:=]\s*([0-9]+)"""
)
_REFUSED_CALL, _APPROVAL = re2.compile(f"{errors.REFUSED_CALL}|{errors.UNFIT_CALL}"), re2.compile(signals.APPROVAL_TEXT)
_RESUMED, _LAST_PART = re2.compile(signals.RESUMED), re2.compile(signals.LAST_PART)
_ASKED_PARTS = {key: re2.compile(part) for key, part in signals.ASKED_PARTS}
_DECISION, _LAST_MESSAGE = re2.compile(signals.DECISION), re2.compile(signals.LAST_MESSAGE)
_HANDED_OFF = re2.compile(signals.HANDOFF_ANSWER)
_RAISED = re.compile(r"(?:[(]Interrupt|[A-Z][A-Za-z0-9]+)[(]|[A-Z][A-Za-z0-9]*(?:Error|Exception|Failure|Timeout):")
_RAISED_IN_STACK = re2.compile(
    errors.SHOWN_BY_JAVASCRIPT.format(names=f"(?P<name>[A-Z][A-Za-z0-9]*(?:Error|Exception)|{errors.STEERING_NAME})")
)
_TOOL_RESULTS = frozenset(source.key for source in fields.FIELDS["tool_result"])
_TOOL_ARGUMENTS = frozenset(source.key for source in fields.FIELDS["tool_arguments"])
_REFUSAL_CHARACTERS = 200
# Names that stand in a text, as clickhouse/views/lookups.py reads them.
_IN_TEXTS = [source for sources in fields.FIELDS.values() for source in sources if source.form == "pattern"]
_PATTERNS = {
    key: [re2.compile(source.path[0]) for source in _IN_TEXTS if source.key == key] for key in {s.key for s in _IN_TEXTS}
}
_SERVED_TIER = re2.compile(fields.SERVED_TIER)
_ERROR_TYPE = re2.compile(r'"errorType": ?"([A-Za-z_]{1,64})"')


def reduce_content(key: str, text: str) -> str:
    """Return what is stored in place of a content's text: usage, and words that say what became of a call, else REDACTED."""
    if key in _PARAMETERS:
        return _reduce_parameters(text)
    if key == errors.FAILED_ANSWER_KEY and text.startswith(errors.FAILED_ANSWER):
        return _reduce_failed_answer(text)
    kept = []
    if key in fields.USAGE_TEXTS:
        kept += _find_usage(text)
        kept += _APPROVAL.findall(text[:_USAGE_TEXT_BYTES])[:1]
    kept += [found[0] for pattern in _PATTERNS.get(key, ()) if (found := pattern.search(text[:_USAGE_TEXT_BYTES]))]
    if key == "output.value" and (tier := _SERVED_TIER.search(text)):
        kept.append(tier[0])
    if key in _ASKED_PARTS and (asked := _ASKED_PARTS[key].search(text)):
        kept.append(f"{{{asked[0]}}}")
    if key == signals.DECISION_INPUT and (decision := _DECISION.match(text)):
        kept.append(f"{decision[0]}}}")
    if key in signals.APPROVAL_INPUTS:
        if key == signals.ANSWERED_MESSAGES and _find_last_message(text) == signals.ANSWERED_PART:
            kept.append(json.dumps([{"role": "user", "parts": [{"type": signals.ANSWERED_PART}]}]))
        elif _RESUMED.match(text):
            kept.append('{"graph": null, "resume": true}')
        elif answer := _find_answer(text):
            kept.append(json.dumps({"type": answer}))
    if key in signals.HANDOFF_OUTPUTS and (answer := _HANDED_OFF.search(text)):
        kept.append(f'{answer[0]}"}}')
    if key in _TOOL_RESULTS and (refusal := _find_refusal(text[:_REFUSAL_CHARACTERS])):
        kept.append(refusal)
    if kept:
        return f"{REDACTED} {' '.join(kept)}"
    # Arguments that were cut short are how a refused call shows.
    return "{" if key in _TOOL_ARGUMENTS and text.startswith("{") and not (text.startswith("{'") or _is_json(text)) else REDACTED


def reduce_error(text: str) -> str:
    """Return what is stored in place of an error's text: the exception that it names, and the words of a refusal."""
    kept = []
    if raised := _RAISED.match(text):
        kept.append(raised[0].removesuffix("(") + "(...)" * raised[0].endswith("("))
    elif raised := _RAISED_IN_STACK.search(text):
        kept.append(f"{raised['name']}:")
    if refusal := _find_refusal(text):
        kept.append(refusal)
    return " ".join((*kept, REDACTED))


def _reduce_parameters(text: str) -> str:
    """Return the settings that are numbers, the model, its provider and the tier of service."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        return REDACTED
    if not isinstance(settings, dict):
        return REDACTED
    return json.dumps(
        {name: value for name, value in settings.items() if isinstance(value, int | float) or name in _KEPT_SETTINGS}
    )


def _reduce_failed_answer(text: str) -> str:
    """Return that a tool failed, and the type of its error."""
    found = _ERROR_TYPE.search(text)
    return f"{errors.FAILED_ANSWER}, {json.dumps({'response': {'errorType': found[1] if found else ''}})[1:]}"


def _find_usage(text: str) -> list[str]:
    raw = text.encode()
    if len(raw) > 2 * _USAGE_TEXT_BYTES:
        raw = raw[:_USAGE_TEXT_BYTES] + b" " + raw[-_USAGE_TEXT_BYTES:]
    read = raw.decode(errors="ignore")
    if "oken" not in read:
        return []
    told: dict[str, int] = {}
    for match in _TOLD.finditer(read):
        told.setdefault(match[1], int(match[2]))  # the first member of each name counts
    return [json.dumps({"tokens": told})] if told else []


def _find_answer(text: str) -> str:
    """Return the word for a person's answer that an input ends in, "" where it ends in anything else."""
    tail = text.encode()[-signals.LAST_PART_BYTES :].decode(errors="ignore")
    found = _LAST_PART.search(tail)
    return found[1] if found and found[1] in signals.APPROVAL_ANSWERS else ""


def _find_last_message(text: str) -> str:
    """Return the type of the first part of the last of some messages, "" where they are none."""
    tail = text.encode()[-signals.LAST_MESSAGE_BYTES :].decode(errors="ignore")
    found = _LAST_MESSAGE.search(tail)
    return str(found[1]) if found else ""


def _find_refusal(text: str) -> str:
    found = _REFUSED_CALL.search(text)
    return found[0] if found else ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
