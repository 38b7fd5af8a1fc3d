"""What would be stored of a pasted text or span: the tester of the Privacy page. Goes through the same code as a request."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.otlp.json_form import encode_logs, encode_traces
from ingest.privacy import MAX_CLEANING_S, Cleaner
from tracestore.privacy.policy import Policy

MAX_TEXT_CHARACTERS = 100_000
TOO_SLOW = "These rules take too long for this text. Try a shorter one; rules with large repetitions are the slow ones."
_IDS = ("traceId", "spanId", "parentSpanId")


@dataclass(frozen=True)
class Preview:
    """The text as it would be stored. `is_otlp`: it was read as OTLP/JSON, so its attributes' names count."""

    text: str
    is_otlp: bool
    masked: dict[str, int]
    breaks_json: bool

    @property
    def total(self) -> int:
        return sum(self.masked.values())


def preview_text(policy: Policy | None, text: str) -> Preview:
    """Apply the policy to OTLP/JSON (a request, or one span) or to any other text. Raises MaskingTooSlow."""
    document = _decode(text)
    request = _build_request(document)
    if policy is None:
        return Preview(text, request is not None, {}, False)
    cleaner = Cleaner(policy)
    if request is None:
        until_s = time.monotonic() + MAX_CLEANING_S
        stored = policy.masker.mask(text.encode("utf-8", "replace"), cleaner.counts, until_s=until_s).decode("utf-8", "replace")
        breaks_json = document is not None and _decode(stored) is None
        return Preview(stored, False, dict(cleaner.counts), breaks_json)
    cleaner.clean(request)
    return Preview(json.dumps(_to_json(request), indent=2, ensure_ascii=False), True, dict(cleaner.counts), False)


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _build_request(document: Any) -> ExportTraceServiceRequest | ExportLogsServiceRequest | None:
    """Return what an OTLP/JSON document says, None when it is none. A span alone is put into a request."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("attributes"), list):
        document = {"resourceSpans": [{"scopeSpans": [{"spans": [document]}]}]}
    try:
        if "resourceSpans" in document:
            return ExportTraceServiceRequest.FromString(encode_traces(document))
        if "resourceLogs" in document:
            return ExportLogsServiceRequest.FromString(encode_logs(document))
    except (ValueError, RecursionError):
        pass
    return None


def _to_json(request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> Any:
    return _with_hex_ids(MessageToDict(request))


def _with_hex_ids(value: Any) -> Any:
    """OTLP writes ids in hex, where protobuf's own JSON has base64."""
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(item).hex() if name in _IDS and isinstance(item, str) else _with_hex_ids(item)
        for name, item in value.items()
    }
