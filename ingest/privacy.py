"""A project's policy applied to a parsed request, before anything of it is written: to every text but attributes' keys and ids.

Most spans hold nothing to mask, so a span's texts are joined and searched once for all rules together; only what is suspected
is walked field by field. What the fields of later OTLP versions hold is not known here, so they are left out.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracestore.content.keys import REDACTED, Part, find_part, find_part_in_event, reduce_content, reduce_error
from tracestore.privacy.counts import CONTENT, ERROR_TEXT
from tracestore.privacy.masking import MaskingTooSlow
from tracestore.privacy.policy import Policy
from tracestore.remember import remember_short
from tracestore.semconv.fields import FIELDS

# Exporters give a whole export 10 s.
MAX_CLEANING_S = 20.0
_USER_IDS = frozenset(source.key for source in FIELDS["user_id"])
_ID = re.compile(r"(?i:(?:^|[._-])(?:u?uid|guid|ids?|hash|fingerprint|checksum|digest|version|timestamp|seed))$|[a-z]Ids?$")
_STRUCTURES = ("array_value", "kvlist_value", "bytes_value")
_KEY = KeyValue.DESCRIPTOR.fields_by_name["key"].full_name


class Cleaner:
    """Applies one policy to one request. `counts` says afterwards how many values went, by rule."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._masker = policy, policy.masker
        self._withholds = not (policy.stores_content and policy.stores_error_texts)
        self._until_s = 0.0
        self.counts: Counter[str] = Counter()

    def clean(self, request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> None:
        """Change the request in place. Raises MaskingTooSlow."""
        # From here on: what waited behind another project's slow rules is not slow itself.
        self._until_s = time.monotonic() + MAX_CLEANING_S
        request.DiscardUnknownFields()
        if isinstance(request, ExportTraceServiceRequest):
            for resource_spans in request.resource_spans:
                self._clean_envelope(resource_spans)
                for scope_spans in resource_spans.scope_spans:
                    self._clean_envelope(scope_spans)
                    for span in scope_spans.spans:
                        self._clean_span(span)
        else:
            for resource_logs in request.resource_logs:
                self._clean_envelope(resource_logs)
                for scope_logs in resource_logs.scope_logs:
                    self._clean_envelope(scope_logs)
                    for record in scope_logs.log_records:
                        self._clean_record(record)

    def _clean_envelope(self, envelope: Any) -> None:
        """Resource or scope, and the address of its schema."""
        inner = envelope.resource if hasattr(envelope, "resource") else envelope.scope
        if self._withholds:
            self._withhold(inner.attributes)
        if self._masker.rules:
            self._mask(inner, spares_ids=False)
            envelope.schema_url = self._mask_text(envelope.schema_url, spares_ids=False)

    def _clean_span(self, span: Span) -> None:
        if time.monotonic() > self._until_s:
            raise MaskingTooSlow
        if self._withholds:
            self._withhold(span.attributes)
            for event in span.events:
                self._withhold(event.attributes, event.name)
            for link in span.links:
                self._withhold(link.attributes)
            if span.status.message and not self._policy.stores_error_texts:
                span.status.message = reduce_error(span.status.message)
                self.counts[ERROR_TEXT] += 1
        if self._masker.rules and self._suspects(_span_texts(span)):
            self._mask(span, spares_ids=False)

    def _clean_record(self, record: LogRecord) -> None:
        if time.monotonic() > self._until_s:
            raise MaskingTooSlow
        if self._withholds:
            name = record.event_name or next((kv.value.string_value for kv in record.attributes if kv.key == "event.name"), "")
            self._withhold(record.attributes, name)
            if not self._policy.stores_content and _holds_text(record.body):
                record.body.string_value = REDACTED
                self.counts[CONTENT] += 1
        if self._masker.rules and self._suspects(_record_texts(record)):
            self._mask(record, spares_ids=False)

    def _withhold(self, attributes: Iterable[KeyValue], event_name: str = "") -> None:
        """Replace what is content, or an error's text, by what is kept of it. Numbers and truth values stay."""
        for attribute in attributes:
            part = find_part_in_event(event_name, attribute.key) if event_name else find_part(attribute.key)
            value = attribute.value
            if part is Part.OTHER:
                self._withhold_nested(value)
            elif _holds_text(value):
                self._replace(part, attribute.key, value)

    def _withhold_nested(self, value: AnyValue) -> None:
        match value.WhichOneof("value"):
            case "kvlist_value":
                self._withhold(value.kvlist_value.values)
            case "array_value":
                for item in value.array_value.values:
                    self._withhold_nested(item)

    def _replace(self, part: Part, key: str, value: AnyValue) -> None:
        if self._policy.stores_content if part is Part.CONTENT else self._policy.stores_error_texts:
            return
        text = value.string_value or json.dumps(_plain(value))
        value.string_value = reduce_content(key, text) if part is Part.CONTENT else reduce_error(text)
        self.counts[CONTENT if part is Part.CONTENT else ERROR_TEXT] += 1

    def _suspects(self, texts: list[str] | None) -> bool:
        return texts is None or bool(self._masker.find_suspects("\n".join(texts).encode()))

    def _mask(self, message: Message, *, spares_ids: bool) -> None:
        """Mask every text in a message, at any depth; keys of attributes and ids of spans stay."""
        if isinstance(message, KeyValue):
            spares_ids = _is_id(message.key)
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for item in value if field.is_repeated else (value,):
                    self._mask(item, spares_ids=spares_ids)
            elif field.type == FieldDescriptor.TYPE_STRING and field.full_name != _KEY:
                if field.is_repeated:
                    value[:] = [self._mask_text(text, spares_ids=spares_ids) for text in value]
                else:
                    setattr(message, field.name, self._mask_text(value, spares_ids=spares_ids))
            elif field.name == "bytes_value":
                setattr(message, field.name, self._masker.mask(value, self.counts, spares_ids=spares_ids, until_s=self._until_s))

    def _mask_text(self, text: str, *, spares_ids: bool) -> str:
        # An own rule may cut through a character (\\C).
        return self._masker.mask(text.encode(), self.counts, spares_ids=spares_ids, until_s=self._until_s).decode(
            "utf-8", "replace"
        )


@remember_short(8192)
def _is_id(key: str) -> bool:
    """Whether the values of an attribute are ids: long numbers, and no payment cards. Users' ids may be anything."""
    return key not in _USER_IDS and _ID.search(key) is not None


def _is_structured(value: AnyValue) -> bool:
    return value.WhichOneof("value") in _STRUCTURES


def _holds_text(value: AnyValue) -> bool:
    return bool(value.string_value) or _is_structured(value)


def _plain(value: AnyValue) -> Any:
    """Return an AnyValue as JSON has it; bytes are nothing that could be read."""
    match value.WhichOneof("value"):
        case "kvlist_value":
            return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case None | "bytes_value":
            return None
        case name:
            return getattr(value, name)


def _add_texts(attributes: Iterable[KeyValue], texts: list[str]) -> bool:
    """Collect the texts of attributes; False when one of them holds bytes, which only a walk can look at."""
    for attribute in attributes:
        value = attribute.value
        text = value.string_value
        if text:
            texts.append(text)
        elif not _add_structure(value, texts):
            return False
    return True


def _add_structure(value: AnyValue, texts: list[str]) -> bool:
    match value.WhichOneof("value"):
        case "string_value":
            texts.append(value.string_value)
        case "array_value":
            return all(_add_structure(item, texts) for item in value.array_value.values)
        case "kvlist_value":
            return _add_texts(value.kvlist_value.values, texts)
        case "bytes_value":
            return False
    return True


def _span_texts(span: Span) -> list[str] | None:
    """Return every text that may be masked, None when only a walk can find them all."""
    texts = [span.name, span.trace_state, span.status.message]
    if not _add_texts(span.attributes, texts):
        return None
    for event in span.events:
        texts.append(event.name)
        if not _add_texts(event.attributes, texts):
            return None
    for link in span.links:
        texts.append(link.trace_state)
        if not _add_texts(link.attributes, texts):
            return None
    return texts


def _record_texts(record: LogRecord) -> list[str] | None:
    """As _span_texts."""
    texts = [record.severity_text, record.event_name]
    if not (_add_structure(record.body, texts) and _add_texts(record.attributes, texts)):
        return None
    return texts
