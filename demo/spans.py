"""Spans of one trace, recorded on a clock that moves only when told, as protobuf messages ready to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]
NewId = Callable[[int], bytes]  # byte count -> that many random bytes

INTERNAL, SERVER, CLIENT = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
NS_PER_S = 10**9
# Bits of Span.flags (opentelemetry/proto/trace/v1/trace.proto): sampled; is it known whether the parent is remote; is it.
_SAMPLED, _PARENT_KNOWN, _PARENT_REMOTE = 0x001, 0x100, 0x200


class Failure(Exception):
    """An error inside the invented agent. Leaves an exception event and an error status on every span it passes."""

    def __init__(self, type_name: str, message: str, stacktrace: str) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.message = message
        self.stacktrace = stacktrace


class Killed(Exception):
    """The process ends at once: spans still open are never exported."""


@dataclass(frozen=True)
class Service:
    """One deployed process; becomes a resource."""

    name: str
    version: str
    environment: str
    instance: str

    def build_resource(self) -> Resource:
        return Resource(
            attributes=build_attributes(
                {
                    "service.name": self.name,
                    "service.version": self.version,
                    "service.instance.id": self.instance,
                    "deployment.environment.name": self.environment,
                    "telemetry.sdk.name": "opentelemetry",
                    "telemetry.sdk.language": "python",
                    "telemetry.sdk.version": "1.38.0",
                    "process.runtime.version": "3.12.11",
                }
            )
        )


def build_attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_build_value(value)) for key, value in attributes.items()]


def _build_value(value: Value) -> AnyValue:
    match value:
        case str():
            return AnyValue(string_value=value)
        case bool():  # before int, which bool is too
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case _:
            return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=item) for item in value]))


class Recorder:
    """Records the spans of one trace. `now_ns` is the trace's own clock."""

    def __init__(self, start_ns: int, new_id: NewId) -> None:
        self.now_ns = start_ns
        self.trace_id = new_id(16)
        self._new_id = new_id
        self._open: list[tuple[Service, Span]] = []
        self._ended: dict[Service, dict[str, list[Span]]] = {}

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * NS_PER_S)

    @contextmanager
    def span(
        self, service: Service, scope: str, name: str, attributes: Attributes, *, kind: Span.SpanKind.ValueType = INTERNAL
    ) -> Iterator[Span]:
        """Open a span below the innermost open one for the time of the block. A Failure marks it, Killed loses it."""
        span = Span(trace_id=self.trace_id, span_id=self._new_id(8), name=name, kind=kind, start_time_unix_nano=self.now_ns)
        span.flags = _SAMPLED
        if self._open:
            parent_service, parent = self._open[-1]
            span.parent_span_id = parent.span_id
            span.flags |= _PARENT_KNOWN | (_PARENT_REMOTE if parent_service != service else 0)
        span.attributes.extend(build_attributes(attributes))
        self._open.append((service, span))
        lost = False
        try:
            yield span
        except Failure as failure:
            self.fail(span, failure)
            raise
        except Killed:
            lost = True
            raise
        finally:
            self._open.pop()
            span.end_time_unix_nano = self.now_ns
            if not lost:
                self._ended.setdefault(service, {}).setdefault(scope, []).append(span)

    def fail(self, span: Span, failure: Failure) -> None:
        """Record a failure on a span as an SDK does for an exception that leaves it."""
        set_attributes(span, {"error.type": failure.type_name})
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=failure.message))
        event = span.events.add(time_unix_nano=self.now_ns, name="exception")
        event.attributes.extend(
            build_attributes(
                {
                    "exception.type": failure.type_name,
                    "exception.message": failure.message,
                    "exception.stacktrace": failure.stacktrace,
                }
            )
        )

    def build(self) -> list[ResourceSpans]:
        """Return the ended spans, one message per service."""
        return [
            ResourceSpans(
                resource=service.build_resource(),
                scope_spans=[ScopeSpans(scope=InstrumentationScope(name=scope), spans=spans) for scope, spans in scopes.items()],
            )
            for service, scopes in self._ended.items()
        ]


def set_attributes(span: Span, attributes: Attributes) -> None:
    span.attributes.extend(build_attributes(attributes))
