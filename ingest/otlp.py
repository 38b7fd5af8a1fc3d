"""OTLP bodies -> checked protobuf bytes. Pure: no settings, no I/O.

Parsing with upb is the validation; what passes is stored as it came. Spans are touched one by one only for their ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import eq

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from ingest.otlp_json import decode_json_object, encode_traces
from ingest.otlp_repair import RepairError, repair_traces

_NO_TRACE_ID, _NO_SPAN_ID = bytes(16), bytes(8)
_NEEDED_IDS = "a trace id needs 16 bytes (32 hex digits) and a span id 8 (16), not all zero"
_LOGS_HINT = "this looks like a logs export; send it to /v1/logs"
_NAMED_SPANS, _NAME_CHARACTERS = 10, 80  # a response may not grow with the request


class BadBody(ValueError):
    """The body is not an OTLP request at all; the message is for the sender."""


@dataclass(frozen=True)
class Checked:
    """What to store of one request: `payload` holds the `accepted` spans, `message` says why the others are not in it."""

    payload: bytes
    accepted: int
    rejected: int
    message: str


def check_protobuf(body: bytes) -> Checked:
    """Validate a binary ExportTraceServiceRequest. Raises BadBody when it cannot be decoded.

    Invalid UTF-8 and values nested too deep for the parser cost themselves, not the request: they are replaced.
    """
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        try:
            body = repair_traces(body)
            request = ExportTraceServiceRequest.FromString(body)
        except (RepairError, DecodeError):
            hint = f": {_LOGS_HINT}" if _parses_as_logs(body) else ""
            raise BadBody(f"The body is not a Protobuf ExportTraceServiceRequest{hint}.") from None
    return _check_ids(request, body)


def check_json(body: bytes) -> Checked:
    """Convert an OTLP/JSON ExportTraceServiceRequest. Raises BadBody when it is not a JSON object of that shape."""
    try:
        document = decode_json_object(body)
        if "resourceLogs" in document and "resourceSpans" not in document:
            raise ValueError(_LOGS_HINT)
        payload = encode_traces(document)
    except RecursionError:
        raise BadBody("The body is nested too deep.") from None
    except ValueError as error:
        raise BadBody(f"The body is not an OTLP/JSON ExportTraceServiceRequest: {error}.") from None
    return check_protobuf(payload)


def _parses_as_logs(body: bytes) -> bool:
    try:
        return count_log_records(body, is_json=False) > 0
    except BadBody:
        return False


def _have_valid_ids(spans: list[Span]) -> bool:
    """Whether nothing is wrong with any span's ids. Loops in C where it can: this runs for every span there is."""
    span_ids = [span.span_id for span in spans]
    parent_ids = [span.parent_span_id for span in spans]
    trace_ids = {span.trace_id for span in spans}
    return (
        set(map(len, trace_ids)) <= {16}
        and _NO_TRACE_ID not in trace_ids
        and set(map(len, span_ids)) <= {8}
        and _NO_SPAN_ID not in span_ids
        and set(map(len, parent_ids)) <= {0, 8}
        and _NO_SPAN_ID not in parent_ids
        and not any(map(eq, span_ids, parent_ids))
    )


def _find_bad_ids(spans: list[Span]) -> list[int]:
    """Return the indexes of spans without valid ids of their own; make those with an impossible parent roots."""
    bad = []
    for index, span in enumerate(spans):
        span_id, parent_id = span.span_id, span.parent_span_id
        if len(span.trace_id) != 16 or len(span_id) != 8 or span_id == _NO_SPAN_ID or span.trace_id == _NO_TRACE_ID:
            bad.append(index)
        elif parent_id and (len(parent_id) != 8 or parent_id in (span_id, _NO_SPAN_ID)):
            span.ClearField("parent_span_id")
    return bad


def _check_ids(request: ExportTraceServiceRequest, body: bytes) -> Checked:
    """Take out spans without valid ids; make a span that names itself or nothing as its parent a root."""
    accepted = rejected = 0
    changed = False
    named: list[str] = []
    has_any_id = False
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = list(scope_spans.spans)
            if _have_valid_ids(spans):
                accepted += len(spans)
                continue
            changed = True
            bad = _find_bad_ids(spans)
            accepted += len(spans) - len(bad)
            rejected += len(bad)
            if bad:
                named += [_describe_bad_span(spans[index]) for index in bad[: _NAMED_SPANS - len(named)]]
                has_any_id = has_any_id or any(spans[index].trace_id or spans[index].span_id for index in bad)
                _remove(scope_spans, bad)
    message = ""
    if rejected:
        more = f" and {rejected - len(named)} more" if rejected > len(named) else ""
        problem = f", because {_NEEDED_IDS}: {', '.join(named)}{more}"
        if not accepted and not has_any_id:
            problem = f": none has a trace id or a span id; {_LOGS_HINT}"
        message = f"{rejected} of {accepted + rejected} spans were not stored{problem}."
    return Checked(request.SerializeToString() if changed else body, accepted, rejected, message)


def _remove(scope_spans: ScopeSpans, bad: list[int]) -> None:
    # Rebuilding is linear; deleting one by one from the front of a large list is not.
    unwanted = set(bad)
    kept = [span for index, span in enumerate(scope_spans.spans) if index not in unwanted]
    rest = ScopeSpans(spans=kept)
    scope_spans.ClearField("spans")
    scope_spans.MergeFrom(rest)


def _describe_bad_span(span: Span) -> str:
    ids = (("trace id", span.trace_id, 16), ("span id", span.span_id, 8))
    shown = [f"{field} {_describe_id(value, size)}" for field, value, size in ids]
    return f"{span.name[:_NAME_CHARACTERS]!r} ({', '.join(shown)})"


def _describe_id(value: bytes, size: int) -> str:
    return value.hex() if len(value) == size and value != bytes(size) else "invalid" if value else "missing"


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _find_json(value: object, path: tuple[str, ...]) -> list[dict[str, object]]:
    """Return the objects at the end of a path of arrays."""
    items = value.get(_camel(path[0])) if isinstance(value, dict) else None
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return found if len(path) == 1 else [last for item in found for last in _find_json(item, path[1:])]


def count_log_records(body: bytes, *, is_json: bool) -> int:
    """Count the records of an ExportLogsServiceRequest. Raises BadBody."""
    path = ("resource_logs", "scope_logs", "log_records")
    try:
        if is_json:
            return len(_find_json(decode_json_object(body), path))
        request = ExportLogsServiceRequest.FromString(body)
        return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)
    except (ValueError, DecodeError):
        raise BadBody("The body is not an ExportLogsServiceRequest.") from None


def count_data_points(body: bytes, *, is_json: bool) -> int:
    """Count the data points of an ExportMetricsServiceRequest. Raises BadBody."""
    kinds = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    try:
        if is_json:
            found = _find_json(decode_json_object(body), ("resource_metrics", "scope_metrics", "metrics"))
            return sum(len(_find_json(metric.get(_camel(kind)), ("data_points",))) for metric in found for kind in kinds)
        request = ExportMetricsServiceRequest.FromString(body)
        scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
        return sum(len(getattr(metric, kind).data_points) for scope in scopes for metric in scope.metrics for kind in kinds)
    except (ValueError, DecodeError):
        raise BadBody("The body is not an ExportMetricsServiceRequest.") from None
