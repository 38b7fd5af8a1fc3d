"""OTLP over HTTP the plain way: batches of protobuf, gzip, one connection, patience when the receiver asks for it."""

from __future__ import annotations

import base64
import gzip
import http.client
import time
from collections.abc import Iterable
from types import TracebackType

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

_TIMEOUT_S = 30
_PATIENCE_S = 120.0  # how long one batch may be refused with 429 or 503 in a row
_LONGEST_PAUSE_S = 10.0


class SendError(Exception):
    """The spans could not be delivered; the text says why and what to do, for the person at the terminal."""


class Sender:
    """A connection to an OTLP/HTTP receiver. Use as a context manager. Without a key the password of `admin` is sent, if any."""

    def __init__(self, host: str, port: int, key: str, password: str = "") -> None:
        self.address = f"http://{host}:{port}/v1/traces"
        self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        self._headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip", "user-agent": "tracestore-demo"}
        if key:
            self._headers["x-api-key"] = key
        elif password:
            self._headers["authorization"] = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def send(self, resource_spans: Iterable[ResourceSpans]) -> None:
        """Deliver one batch; returns when the receiver has acknowledged all of it. Raises SendError."""
        body = ExportTraceServiceRequest(resource_spans=resource_spans).SerializeToString()
        compressed = gzip.compress(body, compresslevel=3)
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            status, retry_after, answer = self._post(compressed)
            if status == 200:
                return _check_rejected(answer)
            if status not in (429, 503):
                raise SendError(self._explain(status, answer))
            if time.monotonic() > deadline:
                raise SendError(f"{self.address} has refused spans for {_PATIENCE_S:.0f} s: {_read_message(answer)}")
            time.sleep(min(_read_seconds(retry_after), _LONGEST_PAUSE_S))

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            self._connection.request("POST", "/v1/traces", body=body, headers=self._headers)
            response = self._connection.getresponse()
            return response.status, response.getheader("retry-after", ""), response.read()
        except ConnectionRefusedError:
            raise SendError(
                f"Nothing listens at {self.address}. Start Tracestore with `make up` first; if it runs elsewhere, set "
                "TRACESTORE_HOST and TRACESTORE_OTLP_HTTP_PORT as it was started with."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise SendError(f"The connection to {self.address} broke: {error or type(error).__name__}.") from error

    def _explain(self, status: int, answer: bytes) -> str:
        if status == 401:
            return f"{self.address} asks for a key: set TRACESTORE_API_KEY or TRACESTORE_ADMIN_PASSWORD as it was started with."
        return f"{self.address} answered {status}: {_read_message(answer) or 'no reason given'}"


def _check_rejected(answer: bytes) -> None:
    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError as error:
        raise SendError("What answered is not an OTLP receiver: its answer is not protobuf.") from error
    if partial.rejected_spans:
        raise SendError(f"The receiver rejected {partial.rejected_spans} spans: {partial.error_message}")


def _read_message(answer: bytes) -> str:
    try:
        return str(Status.FromString(answer).message)
    except DecodeError:
        return answer[:200].decode(errors="replace").strip()


def _read_seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdigit() else 1.0
