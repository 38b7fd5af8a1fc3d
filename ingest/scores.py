"""Scores that arrive by the REST API -> the OTLP log records that evaluations send, so that they share one way through ingest.

The names are those of OpenTelemetry's event gen_ai.evaluation.result; what that lacks stands in tracestore/semconv/scores.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tracestore.model import Score
from tracestore.semconv.scores import EVALUATION_EVENT, SCORE_ANNOTATOR, SCORE_IDS, SCORE_WITHDRAWN

_SCOPE = "tracestore.scores"


def build_export(scores: Iterable[Score]) -> ExportLogsServiceRequest:
    """Return one request with a record for each score."""
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    resource_logs.resource.attributes.add(key="service.name").value.string_value = "tracestore"
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = _SCOPE
    for score in scores:
        record = scope_logs.log_records.add(
            time_unix_nano=score.time_ns,
            event_name=EVALUATION_EVENT,
            trace_id=bytes.fromhex(score.trace_id),
            span_id=bytes.fromhex(score.span_id),
        )
        texts = {
            "gen_ai.evaluation.name": score.name,
            "gen_ai.evaluation.score.label": score.label,
            "gen_ai.evaluation.explanation": score.comment,
            "gen_ai.evaluation.evaluator.source": score.source,
            SCORE_ANNOTATOR: score.annotator,
            SCORE_IDS[0]: score.score_id,
            "session.id": score.session_id,
            SCORE_WITHDRAWN: "true" if score.is_withdrawn else "",
        }
        for key, text in texts.items():
            if text:
                record.attributes.add(key=key).value.string_value = text
        if score.value is not None:
            record.attributes.add(key="gen_ai.evaluation.score.value").value.double_value = score.value
    return request
