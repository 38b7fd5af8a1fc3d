"""The calls of tools that a model asked for, as its answer says: all that is known of them where no span tells of tools.

SDKs that are instrumented alone, and loops written by hand, leave spans of model calls and none of what the application ran.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.content.payload_readers import Telling
from tracestore.content.payloads import OUTPUTS, read_output
from tracestore.content.values import decode_value
from tracestore.jobs.oddities import tell_once
from tracestore.queries.contents import contents_sql, read_contents

log = logging.getLogger(__name__)

# One of these words stands in each answer that asks for a tool: names of parts and members of OpenTelemetry, OpenAI, Anthropic,
# Bedrock, Gemini, the Vercel AI SDK, Genkit and Haystack. Most answers are told by it without reading them.
_WORDS = (
    "tool_call", "tool-call", "toolCall", "tool_use", "toolUse", "function_call", "functionCall", "tool_name", "toolName",
    "toolRequest", "gen_ai.tool.name",
)  # fmt: skip
_PREFIXES = r"^(gen_ai\.completion|llm\.output_messages|ai\.response|ai\.result)\."
_MAX_REQUESTS, _NAME_CHARS, _REASON_CHARS = 100, 200, 200
_EVENTS = ("gen_ai.choice", "gen_ai.client.inference.operation.details", "gen_ai.content.completion")

# OpenLIT names the tools that an answer asks for, also without content: "refund, lookup", and of their arguments as many texts.
_NAMED = ("gen_ai.tool.name", "gen_ai.tool.args")

_REQUESTS_OF_SPANS = contents_sql((*(key for key, _ in OUTPUTS), *_NAMED), _PREFIXES, _EVENTS, max_bytes=65_536, words=_WORDS)


@dataclass(frozen=True)
class ToolRequest:
    """A call of a tool that a model asked for. `reason` is that of its arguments, "" for none."""

    name: str
    reason: str


def read_tool_requests(
    store: Store, *, project_id: int, span_ids: list[bytes], min_start_ns: int, max_start_ns: int, deadline_s: float = math.inf
) -> dict[bytes, list[ToolRequest]]:
    """Return what the answers of these model calls (at most summaries.MAX_ERRORS) ask for, in their order, at most 100 a call.

    By trace id and span id, raw and joined. After the deadline (of time.monotonic) no answer is looked at. Calls that ask for
    nothing are left out, and one that takes too much to read: its trace must not go without a summary for the names of its tools.
    """
    try:
        answers = read_contents(
            store,
            _REQUESTS_OF_SPANS,
            project_id=project_id,
            span_ids=span_ids,
            min_start_ns=min_start_ns,
            max_start_ns=max_start_ns,
        )
    except QueryTooExpensive:
        half = len(span_ids) // 2
        parts = (span_ids[:half], span_ids[half:]) if half else ()
        read = partial(
            read_tool_requests, store, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns,
            deadline_s=deadline_s,
        )  # fmt: skip
        return {span_id: requests for part in parts for span_id, requests in read(span_ids=part).items()}
    timely = takewhile(lambda _: time.monotonic() < deadline_s, answers)
    found = ((span_id, _find_requests_of(span_id, answer)) for span_id, answer in timely)
    return {span_id: requests for span_id, requests in found if requests}


def _find_requests_of(span_id: bytes, answer: Telling) -> list[ToolRequest]:
    """Return the calls, none where the answer breaks its reader: its trace and all others must not go without a summary."""
    try:
        return find_requests(answer)
    except Exception:
        tell_once(log, "has an answer whose calls of tools cannot be read", span_id[:16].hex())
        return []


def find_requests(answer: Telling) -> list[ToolRequest]:
    """Return the calls of tools that the answer of a model asks for."""
    output = read_output(answer)
    parts = [part for message in output.messages for part in message.parts] if output is not None else []
    calls = [part for part in parts if part.kind == "tool_call" and part.name]
    if not calls:
        names, arguments = (str(answer.attributes.get(key, "")) for key in _NAMED)
        named = [name for name in names.split(", ") if name][:_MAX_REQUESTS]
        # Arguments of several calls cannot be told apart.
        reason = _find_reason(arguments) if len(named) == 1 else ""
        return [ToolRequest(_storable(name[:_NAME_CHARS]), reason) for name in named]
    return [ToolRequest(_storable(part.name[:_NAME_CHARS]), _find_reason(part.text)) for part in calls[:_MAX_REQUESTS]]


def _find_reason(arguments: str) -> str:
    decoded = decode_value(arguments)
    reason = decoded.get("reason") if isinstance(decoded, dict) else None
    return _storable(reason[:_REASON_CHARS]) if isinstance(reason, str) else ""


def _storable(text: str) -> str:
    """Return the text without halves of surrogate pairs, which JSON can escape and UTF-8 cannot hold."""
    return text.encode(errors="replace").decode()
