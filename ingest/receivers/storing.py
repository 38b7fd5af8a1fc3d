"""One admitted body checked and stored durably, whatever protocol brought it, and the answer of the OTLP specification to it."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ingest.otlp.check import CHECKS, BadBody, Checked, count_data_points
from ingest.privacy import Cleaner
from ingest.receivers.admission import Admitted
from ingest.receivers.body import Allowance, Corrupt, NoMemory, TooLarge
from ingest.receivers.parsing import parse_body
from ingest.receivers.refusing import Refused, no_memory, too_large
from ingest.spool.queue import SpoolUnwritable
from tracestore.intake.refusals import refusals
from tracestore.model import Signal
from tracestore.privacy.counts import masked_counts
from tracestore.privacy.masking import MaskingTooSlow
from tracestore.process import telemetry

log = logging.getLogger(__name__)

SIGNALS = ("traces", "logs", "metrics")
# signal -> response, its field with the number of what was rejected, the same in JSON
_RESPONSES: dict[str, tuple[type[Message], str, str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


async def store_signal(
    admitted: Admitted, signal: str, body: bytes, encoding: str, allowance: Allowance, *, is_json: bool
) -> bytes:
    """Check one request's body and store what is good of it; return the response message once that is durable. Raises Refused.

    `signal` is one of SIGNALS, `encoding` one of ENCODINGS; the response is serialized as the body was, Protobuf or JSON.
    """
    telemetry.BODY_BYTES.labels(signal).inc(len(body))
    try:
        if signal == "metrics":
            return await _decline_metrics(body, encoding, is_json, allowance)
        return await _store(admitted, Signal(signal), body, encoding, is_json, allowance)
    except (BadBody, Corrupt) as error:
        reason = f"The body is not valid {encoding}: {error}." if isinstance(error, Corrupt) else str(error)
        raise Refused(400, reason) from None
    except MaskingTooSlow:
        raise Refused(413, "The project's privacy rules take too long for this body. Send smaller batches.") from None
    except TooLarge:
        raise too_large() from None
    except (NoMemory, MemoryError):
        raise no_memory() from None
    except SpoolUnwritable as error:
        raise Refused(503, str(error)) from None


async def _store(admitted: Admitted, signal: Signal, body: bytes, encoding: str, is_json: bool, allowance: Allowance) -> bytes:
    ingest, project_id = admitted.ingest, admitted.project_id
    cleaner = Cleaner(admitted.policy) if admitted.policy is not None else None
    check = partial(CHECKS[signal, is_json], clean=cleaner.clean) if cleaner else CHECKS[signal, is_json]
    checked: Checked = await parse_body(check, body, encoding, is_json, allowance, cleans=cleaner is not None)
    if checked.accepted:
        await asyncio.wrap_future(
            ingest.accept(project_id, checked.payload, signal, ingest_key=admitted.ingest_key, spans=checked.accepted)
        )
    if cleaner:
        masked_counts.note(project_id, cleaner.counts)
    ingest.count(signal, accepted=checked.accepted, rejected=checked.rejected, message=checked.message)
    if checked.rejected:
        log.warning("otlp: project %d: %s", project_id, checked.message)
    if checked.rejection:
        refusals.note(
            checked.rejection.reason, project_id=project_id, ingest_key=admitted.ingest_key, sdk=checked.rejection.sdk,
            spans=checked.rejected, sample=checked.rejection.sample,
        )  # fmt: skip
    return _encode_success(signal, checked.rejected, checked.message, is_json)


async def _decline_metrics(body: bytes, encoding: str, is_json: bool, allowance: Allowance) -> bytes:
    """Answer metrics: an exporter with a base endpoint sends them too, and a 404 would fill its own log with errors."""
    rejected: int = await parse_body(partial(count_data_points, is_json=is_json), body, encoding, is_json, allowance)
    return _encode_success("metrics", rejected, "Tracestore does not store metrics; only traces and logs are kept.", is_json)


def _encode_success(signal: str, rejected: int, message: str, is_json: bool) -> bytes:
    """Return the body of a 200: empty when nothing was rejected, as the specification asks."""
    if not rejected:
        return b"{}" if is_json else b""
    response_type, field, json_field = _RESPONSES[signal]
    if is_json:
        return json.dumps({"partialSuccess": {json_field: str(rejected), "errorMessage": message}}).encode()
    partial_success = {field: rejected, "error_message": message}
    return response_type(partial_success=partial_success).SerializeToString()
