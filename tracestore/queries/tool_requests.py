"""The calls of tools that a model asked for, as its answer says: all that is known of them where no span tells of tools.

SDKs that are instrumented alone, and loops written by hand, leave spans of model calls and none of what the application ran.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import PlainText, Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.clickhouse.lookups import literal, literals
from tracestore.content.payloads import OUTPUTS, read_output
from tracestore.content.values import decode_value
from tracestore.model import SpanEvent
from tracestore.queries.spans import value_of
from tracestore.queries.summaries import NEWEST_OF_SPANS

# One of these words stands in each answer that asks for a tool: names of parts and members of OpenTelemetry, OpenAI, Anthropic,
# Bedrock, Gemini, the Vercel AI SDK, Genkit and Haystack. Most answers are told by it without reading them.
_WORDS = (
    "tool_call", "tool-call", "toolCall", "tool_use", "toolUse", "function_call", "functionCall", "tool_name", "toolName",
    "toolRequest",
)  # fmt: skip
_PREFIXES = r"^(gen_ai\.completion|llm\.output_messages|ai\.response|ai\.result)\."
# Longer answers are left alone: their names are not worth the memory of a thousand of them. Of one attribute or event, and
# of all of a span.
_MAX_BYTES, _MAX_SPAN_BYTES = 65_536, 131_072
# Python's own parser takes a quarter of a second for 60 KB.
_MAX_REPR_BYTES, _REPR = 8192, r"^\s*(\{|\[\{?)'"
_MAX_REQUESTS, _NAME_CHARS, _REASON_CHARS = 100, 200, 200
_EVENTS = ("gen_ai.choice", "gen_ai.client.inference.operation.details", "gen_ai.content.completion")

_is_short = f"length(t.2) <= {_MAX_BYTES}"
_is_answer = (
    f"multiIf(length(t.2) > {_MAX_BYTES}, false, "
    f"if(length(t.2) > {_MAX_REPR_BYTES}, match(t.2, {literal(_REPR)}), false), false, "
    f"t.1 IN ({literals(key for key, _ in OUTPUTS)}), true, "
    f"match(t.1, {literal(_PREFIXES)}))"
)
_asks = f"multiSearchAny(concat(t.1, t.2), [{literals(_WORDS)}])"


def _entries(column: str, types: str, condition: str) -> str:
    """Return those entries of a map that meet the condition on `t`, as (key, value, letter of its type)."""
    letters = f"arrayMap(i -> substring({types}, i, 1), arrayEnumerate(mapKeys({column})))"
    return f"arrayFilter(t -> {condition}, arrayZip(mapKeys({column}), mapValues({column}), {letters}))"


_REQUESTS_OF_SPANS = f"""
SELECT trace_id, span_id, scope_name, arrayMap(t -> t.1, answers), arrayMap(t -> {value_of("t.2", "t.3")}, answers),
    arrayStringConcat(arrayMap(t -> t.3, answers)),
    arrayMap(e -> e.1, events), arrayMap(e -> arrayMap(t -> t.1, e.2), events),
    arrayMap(e -> arrayMap(t -> {value_of("t.2", "t.3")}, e.2), events),
    arrayMap(e -> arrayStringConcat(arrayMap(t -> t.3, e.2)), events)
FROM
(
    SELECT trace_id, span_id, scope_name, {_entries("attributes", "attribute_types", _is_answer)} AS found,
        arrayFilter(e -> e.1 IN ({literals(_EVENTS)}), arrayMap((n, m, letters) -> (n, {_entries("m", "letters", _is_short)}),
            event_names, event_attributes, event_attribute_types)) AS recorded,
        if(arraySum(t -> length(t.2), found) > {_MAX_SPAN_BYTES}, [], found) AS answers,
        if(arraySum(e -> arraySum(t -> length(t.2), e.2), recorded) > {_MAX_SPAN_BYTES}, [], recorded) AS events
    {NEWEST_OF_SPANS}
)
WHERE arrayExists(t -> {_asks}, arrayConcat(answers, arrayFlatten(arrayMap(e -> e.2, events))))
"""


@dataclass(frozen=True)
class ToolRequest:
    """A call of a tool that a model asked for. `reason` is that of its arguments, "" for none."""

    name: str
    reason: str


@dataclass(frozen=True)
class _Answer:
    """What the readers of content look at (content.payloads.Telling)."""

    attributes: dict[str, Any]
    events: list[SpanEvent]
    scope_name: str


def read_tool_requests(
    store: Store, *, project_id: int, span_ids: list[bytes], min_start_ns: int, max_start_ns: int, deadline_s: float = math.inf
) -> dict[bytes, list[ToolRequest]]:
    """Return what the answers of these model calls (at most summaries.MAX_ERRORS) ask for, in their order, at most 100 a call.

    By trace id and span id, raw and joined. After the deadline (of time.monotonic) no answer is looked at. Calls that ask for
    nothing are left out, and one that takes too much to read: its trace must not go without a summary for the names of its tools.
    """
    try:
        rows = store.query_rows(
            _REQUESTS_OF_SPANS, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns,
            span_ids=PlainText(b"".join(span_ids).hex()),
        )  # fmt: skip
    except QueryTooExpensive:
        half = len(span_ids) // 2
        parts = (span_ids[:half], span_ids[half:]) if half else ()
        read = partial(
            read_tool_requests, store, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns,
            deadline_s=deadline_s,
        )  # fmt: skip
        return {span_id: requests for part in parts for span_id, requests in read(span_ids=part).items()}
    timely = takewhile(lambda _: time.monotonic() < deadline_s, rows)
    found = ((bytes(trace_id) + bytes(span_id), find_requests(_read_answer(*said))) for trace_id, span_id, *said in timely)
    return {span_id: requests for span_id, requests in found if requests}


def _read_answer(
    scope_name: str, keys: list[str], values: list[str], types: str,
    event_names: list[str], event_keys: list[list[str]], event_values: list[list[str]], event_types: list[str],
) -> _Answer:  # fmt: skip
    recorded = zip(event_names, event_keys, event_values, event_types, strict=True)
    events = [SpanEvent(0, name, decode_attributes(*attributes), 0) for name, *attributes in recorded]  # type: ignore[arg-type]
    return _Answer(decode_attributes(keys, values, types), events, scope_name)


def find_requests(answer: _Answer) -> list[ToolRequest]:
    """Return the calls of tools that the answer of a model asks for."""
    output = read_output(answer)
    parts = [part for message in output.messages for part in message.parts] if output is not None else []
    calls = [part for part in parts if part.kind == "tool_call" and part.name]
    return [ToolRequest(_storable(part.name[:_NAME_CHARS]), _find_reason(part.text)) for part in calls[:_MAX_REQUESTS]]


def _find_reason(arguments: str) -> str:
    decoded = decode_value(arguments)
    reason = decoded.get("reason") if isinstance(decoded, dict) else None
    return _storable(reason[:_REASON_CHARS]) if isinstance(reason, str) else ""


def _storable(text: str) -> str:
    """Return the text without halves of surrogate pairs, which JSON can escape and UTF-8 cannot hold."""
    return text.encode(errors="replace").decode()
