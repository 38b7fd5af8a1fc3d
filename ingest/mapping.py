"""Trying a project's mapping rules on one span, pasted or stored: what pages and API of the rules share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.otlp.json_form import decode_json_object, encode_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.mapping import encode_rules
from tracestore.models import MappingRule
from tracestore.queries.mapping import MAX_BODY_BYTES, Reading, read_request, read_stored
from tracestore.semconv.fields import MAPPED_FIELDS

MAX_PASTED_CHARACTERS = 65_536
_IDS = re.compile(r"(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f]).*?(?<![0-9a-f])([0-9a-f]{16})(?![0-9a-f])", re.S)
TARGETS = (*MAPPED_FIELDS, "kind", "error_type", "signal")


class BadSpan(ValueError):
    """There is no span to try rules on; the message says what to do."""


@dataclass(frozen=True)
class Field:
    """One canonical field of the span: without and with the rules, and where the value with them is from, "" when derived."""

    name: str
    without_rules: Any
    value: Any
    origin: str

    @property
    def changed(self) -> bool:
        return bool(self.value != self.without_rules)

    @property
    def is_empty(self) -> bool:
        return not self.value and not self.without_rules


@dataclass(frozen=True)
class Outcome:
    """What one rule says of the span: "" when it does not match. `counts` is whether its word is the one that is taken."""

    rule: MappingRule
    value: str
    counts: bool


@dataclass(frozen=True)
class Trial:
    """What rules make of a span."""

    fields: list[Field]
    outcomes: list[Outcome]


def try_rules(store: Store, rules: Sequence[MappingRule], *, project_id: int, span: str) -> Trial:
    """Read one span without and with these rules, storing nothing.

    `span` is OTLP/JSON (a request or a lone span), or the address or the ids of a stored span. Raises BadSpan or StoreError.
    """
    mapping = encode_rules(rules)
    plain, mapped = (_read(store, project_id, span.strip(), text) for text in ("", mapping))
    outcomes = _find_outcomes(rules, mapped)
    deciding = {outcome.rule.target: outcome.rule for outcome in outcomes if outcome.counts}
    fields = [
        Field(name, plain.values[name], value, _describe(deciding[name]) if name in deciding else mapped.origins.get(name, ""))
        for name, value in mapped.values.items()
    ]
    return Trial(fields, outcomes)


def _read(store: Store, project_id: int, span: str, mapping: str) -> Reading:
    try:
        if span.startswith(("{", "[")):
            reading = read_request(store, _encode_first_span(span), mapping=mapping)
        elif ids := _IDS.search(span.lower()):
            reading = read_stored(store, project_id=project_id, trace_id=ids[1], span_id=ids[2], mapping=mapping)
        else:
            raise BadSpan("Paste a span as OTLP/JSON, or the address of a span on a trace page, or its trace id and span id.")
    except TraceNotFound as error:
        raise BadSpan(str(error)) from None
    if reading is None:
        raise BadSpan("There is no such span, or it is one that Tracestore leaves out (Logfire's pending copies).")
    return reading


def _encode_first_span(text: str) -> bytes:
    """Return an ExportTraceServiceRequest with the first span of this OTLP/JSON alone, under its resource and scope."""
    if len(text) > MAX_PASTED_CHARACTERS:
        raise BadSpan(f"This is longer than {MAX_PASTED_CHARACTERS:,} characters. Paste one span, and shorten its texts.")
    try:
        document = decode_json_object(text.encode())
        if not document.keys() & {"resourceSpans", "resource_spans"}:
            document = {"resourceSpans": [{"scopeSpans": [{"spans": [document]}]}]}
        sent = ExportTraceServiceRequest.FromString(encode_traces(document))
    except RecursionError:
        raise BadSpan("This JSON is nested too deep.") from None
    except ValueError as error:
        raise BadSpan(f"This is not a span as OTLP/JSON: {error}.") from None
    for resource_spans in sent.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            if scope_spans.spans:
                request = ExportTraceServiceRequest()
                resource = request.resource_spans.add(resource=resource_spans.resource)
                resource.scope_spans.add(scope=scope_spans.scope).spans.append(scope_spans.spans[0])
                body: bytes = request.SerializeToString()
                if len(body) > MAX_BODY_BYTES:
                    raise BadSpan(f"This span is larger than {MAX_BODY_BYTES:,} bytes. Shorten its texts.")
                return body
    raise BadSpan("There is no span in this JSON.")


def _find_outcomes(rules: Sequence[MappingRule], reading: Reading) -> list[Outcome]:
    """Return what each rule says, in order; for a target the first that matches counts, for a signal a tool's before others."""
    said, tools = iter(reading.rule_values), iter(reading.tool_matches)
    outcomes: list[Outcome] = []
    taken: set[str] = set()
    by_tool = {id(rule): next(tools) for rule in rules if rule.source == MappingRule.Source.TOOL}
    failed = bool(reading.values["is_error"])
    if any(by_tool.values()) and not failed:
        taken.add("signal")
    first_tool = next((rule for rule in rules if by_tool.get(id(rule)) and not failed), None)
    for rule in rules:
        if rule.source == MappingRule.Source.TOOL:
            outcomes.append(Outcome(rule, rule.value if by_tool[id(rule)] else "", rule is first_tool))
            continue
        value = next(said)
        counts = bool(value) and rule.target not in taken
        if counts:
            taken.add(rule.target)
        outcomes.append(Outcome(rule, value, counts))
    return outcomes


def _describe(rule: MappingRule) -> str:
    match rule.source:
        case MappingRule.Source.TOOL:
            return f"rule: tool is {rule.pattern}"
        case MappingRule.Source.NAME:
            return f"rule: name is {rule.pattern}"
    return f"rule: {rule.key}"
