"""Everything readable of one step, for its panel. Pure and total: hostile values end as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dashboards.trace.logs import as_span
from tracestore.content.message_parts import Part
from tracestore.content.payload_readers import Payload, unflatten, value_of
from tracestore.content.payloads import ARGUMENTS, INPUTS, OUTPUTS, RESULTS, Table, first_payload, read_instructions
from tracestore.content.values import decode_value, to_text
from tracestore.model import LogRecord, Span, SpanEvent

_ITEM_LIMIT = 200


@dataclass(frozen=True)
class Document:
    """One retrieved document; `score` is text as sent, "" when absent."""

    document_id: str
    score: str
    text: str


@dataclass(frozen=True)
class ToolDefinition:
    """A tool the model could have called; `schema` is JSON text."""

    name: str
    description: str
    schema: str


@dataclass(frozen=True)
class Content:
    """Everything readable of one step. None or empty means that the sender did not record it, which is the common default."""

    instructions: list[Part] = field(default_factory=list)
    input: Payload | None = None
    output: Payload | None = None
    arguments: Payload | None = None
    result: Payload | None = None
    documents: list[Document] = field(default_factory=list)
    tools: list[ToolDefinition] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to show."""
        return not any((self.instructions, self.input, self.output, self.arguments, self.result, self.documents))


def read_content(span: Span, records: Sequence[LogRecord] = ()) -> Content:
    """Return what the span says about its content and, where it says nothing, what its log records say."""
    logged = as_span(span, records)

    def read(table: Table) -> Payload | None:
        own = first_payload(span, table)
        told = first_payload(logged, table) if own is None and records else None
        return replace(told, source=f"{told.source}, logged") if told is not None else own

    is_tool = span.summary.kind == "tool"
    arguments = read(ARGUMENTS) if is_tool else None
    result = read(RESULTS) if is_tool else None
    read_input = read(INPUTS)
    return Content(
        instructions=read_instructions(span, read_input) or read_instructions(logged, read_input),
        input=None if arguments or result else read_input,
        output=None if arguments or result else read(OUTPUTS),
        arguments=arguments,
        result=result,
        documents=read_documents(span),
        tools=_read_tools(span),
    )


def find_image(content: Content, reference: str) -> str:
    """Return the inline image of a part by its reference (`input.2.0`), "" when it has none."""
    name, *steps = reference.split(".")
    payload = getattr(content, name, None) if name in ("input", "output") else None
    if not isinstance(payload, Payload) or len(steps) != 2 or not all(step.isascii() and step.isdigit() for step in steps):
        return ""
    try:
        return payload.messages[int(steps[0][:6])].parts[int(steps[1][:6])].image
    except IndexError:
        return ""


def find_text(content: Content, reference: str) -> str | None:
    """Return one text whole by its reference: `input.2.0` (message, part), `result`, `document.1`, `tool.3`, `instructions.0`."""
    name, *steps = reference.split(".")
    if not all(step.isascii() and step.isdigit() and len(step) < 6 for step in steps):
        return None
    try:
        return _text_at(getattr(content, name, None), [int(step) for step in steps])
    except IndexError:
        return None


def _text_at(value: Any, steps: Sequence[int]) -> str | None:
    if isinstance(value, Payload):
        return value.messages[steps[0]].parts[steps[1]].text if len(steps) == 2 else (None if steps else value.text)
    if isinstance(value, list) and len(steps) == 1:
        item = value[steps[0]]
        return item.schema if isinstance(item, ToolDefinition) else str(item.text)
    return None


_JSON_DOCUMENT_LISTS = ("gen_ai.retrieval.documents", "gen_ai.memory.records")
_DOCUMENT_LISTS = ("retrieval.documents", "reranker.output_documents")


def read_documents(span: Span) -> list[Document]:
    """Return the documents that a step retrieved, or the records of a memory that it read or wrote, at most 200."""
    items: list[Any] = []
    for key in _JSON_DOCUMENT_LISTS:
        value = [] if items else decode_value(value_of(span, key))
        items = items or (value if isinstance(value, list) else [])
    for prefix in _DOCUMENT_LISTS:
        items = items or unflatten(span.attributes, prefix)
    items = items or [_event_document(event) for event in span.events if event.name == "db.query.result"]
    return [_document(item) for item in items[:_ITEM_LIMIT]]


def _event_document(event: SpanEvent) -> dict[str, Any]:
    return {key.rpartition(".")[2]: value for key, value in event.attributes.items()}


def _document(item: Any) -> Document:
    if isinstance(item, dict) and isinstance(item.get("document"), dict):
        item = item["document"]
    if not isinstance(item, dict):
        return Document("", "", to_text(item))
    body = next((item[key] for key in ("content", "text", "document", "page_content") if item.get(key)), None)
    text = to_text({key: value for key, value in item.items() if key not in ("id", "score")} if body is None else body)
    score = item.get("score")
    shown = f"{score:.4g}" if isinstance(score, float) else to_text(score)
    return Document(to_text(item.get("id") or "")[:200], shown[:40], text)


_TOOL_LISTS = (
    "gen_ai.tool.definitions",
    "ai.prompt.tools",
    "mlflow.chat.tools",
    "gen_ai.agent.tools",
    "smolagents.tools_names",
    "agno.tools",
    "tools",
)
_INDEXED_TOOL_LISTS = ("llm.tools", "llm.request.functions")


def _read_tools(span: Span) -> list[ToolDefinition]:
    for key in _TOOL_LISTS:
        value = decode_value(value_of(span, key))
        if isinstance(value, list) and value:
            return [_tool_definition(item) for item in value[:_ITEM_LIMIT]]
    for prefix in _INDEXED_TOOL_LISTS:
        if items := unflatten(span.attributes, prefix):
            return [_tool_definition(item) for item in items[:_ITEM_LIMIT]]
    parameters = decode_value(value_of(span, "model_request_parameters"))
    functions = parameters.get("function_tools") if isinstance(parameters, dict) else None
    return [_tool_definition(item) for item in functions[:_ITEM_LIMIT]] if isinstance(functions, list) else []


def _tool_definition(item: Any) -> ToolDefinition:
    item = decode_value(item)
    for key in ("tool", "json_schema", "function"):
        inner = decode_value(item.get(key)) if isinstance(item, dict) else None
        item = inner if isinstance(inner, dict) else item
    if not isinstance(item, dict):
        return ToolDefinition(to_text(item)[:200], "", "")
    keys = ("parameters", "inputSchema", "input_schema", "parameters_json_schema", "parametersJsonSchema")
    schema = next((item[key] for key in keys if item.get(key)), None)
    return ToolDefinition(to_text(item.get("name"))[:200], to_text(item.get("description"))[:4_000], to_text(schema))
