"""Calls of OTLP/gRPC, as tests make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tests.ingest.conftest import Receiver

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
CODE = grpc.StatusCode


@dataclass
class GrpcAnswer:
    """What came back of one call; `body` is b"" where the code is not OK."""

    code: grpc.StatusCode
    body: bytes
    details: str
    trailers: dict[str, Any]

    def read_detail(self, message: Any) -> Any:
        """Unpack the one detail of this type from `grpc-status-details-bin`; None when there is none."""
        status = Status.FromString(self.trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (self.code.value[0], self.details)
        found = [detail for detail in status.details if detail.Is(message.DESCRIPTOR)]
        assert len(found) < 2
        return message if found and found[0].Unpack(message) else None


def open_channel(receiver: Receiver) -> grpc.Channel:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}", options=options)


def call(receiver: Receiver, body: bytes, method: str = TRACES, **options: Any) -> GrpcAnswer:
    with open_channel(receiver) as channel:
        return call_on(channel, body, method, **options)


def call_on(channel: grpc.Channel, body: bytes, method: str = TRACES, **options: Any) -> GrpcAnswer:
    try:
        answer, done = channel.unary_unary(method).with_call(body, timeout=90, **options)
    except grpc.RpcError as error:
        return GrpcAnswer(error.code(), b"", error.details(), dict(error.trailing_metadata() or ()))
    return GrpcAnswer(done.code(), answer, done.details(), dict(done.trailing_metadata()))


def check_retry_is_asked_for(answer: GrpcAnswer) -> None:
    """UNAVAILABLE, with the same delay of a second or two in both places where exporters look."""
    assert answer.code is CODE.UNAVAILABLE, answer
    delay_s = answer.read_detail(RetryInfo()).retry_delay.seconds
    assert delay_s in (1, 2)
    assert RetryInfo.FromString(answer.trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == delay_s
