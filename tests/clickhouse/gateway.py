"""ClickHouse's HTTP interface in front of the embedded engine, with faults: what server mode talks to, on loopback.

Queries, inserts of every format, parameters, settings and errors are the engine's own; only the transport is ours.
"""

from __future__ import annotations

import gzip
import http.server
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import lz4.frame
from clickhouse_connect.driver.exceptions import DatabaseError

from tracestore.clickhouse.client import Store

# Parameters of a request that are no settings of the engine.
_TRANSPORT = {
    "query", "query_id", "database", "default_format", "session_id", "session_timeout", "compress", "decompress",
    "client_protocol_version", "enable_http_compression", "http_zlib_compression_level", "wait_end_of_query",
    "http_headers_progress_interval_ms", "send_progress_in_http_headers", "cancel_http_readonly_queries_on_client_close",
    "user", "password", "role", "http_write_exception_in_output_format", "date_time_input_format",
}  # fmt: skip
_DECODERS = {"gzip": gzip.decompress, "deflate": zlib.decompress, "lz4": lz4.frame.decompress}


@dataclass
class Gateway:
    """A running gateway. `fault` is done to each insert while it is set, and then noted in `seen`.

    refuse: 503 as a proxy gives it. hang: no answer until `release` is set. lose: the engine takes it, the connection ends
    without an answer. slow: `delay_s` before the work.
    """

    url: str
    fault: str = ""
    delay_s: float = 0.5
    seen: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(store: Store) -> Iterator[Gateway]:
    """Serve the engine of `store` on a free port of the loopback interface."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(200, b"Ok.\n", {})

        def do_POST(self) -> None:
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            sql, data = _split(parameters.get("query", ""), self._read_body())
            if sql.startswith("INSERT") and gateway.fault:
                gateway.seen.append(gateway.fault)
                if self._suffer(gateway.fault):
                    return
            content = _run(store, sql, data, parameters)
            if isinstance(content, DatabaseError):
                self._answer(500, str(content).encode(), {"X-ClickHouse-Exception-Code": str(content.code or 1000)})
                return
            if sql.startswith("INSERT") and gateway.fault == "lose":
                self.close_connection = True
                return
            headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": "{}"}
            if content:
                headers["X-ClickHouse-Format"] = "Native" if "FORMAT Native" in sql else "TabSeparated"
            self._answer(200, content, headers)

        def _suffer(self, fault: str) -> bool:
            """Do a fault; returns whether the request ends with it."""
            if fault == "refuse":
                self._answer(503, b"no upstream", {})
            elif fault == "hang":
                gateway.release.wait(200)
                self.close_connection = True
            elif fault == "slow":
                threading.Event().wait(gateway.delay_s)
            return fault in ("refuse", "hang")

        def _read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") == "chunked":
                pieces = []
                while size := int(self.rfile.readline(), 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                body = b"".join(pieces)
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            encoding = self.headers.get("Content-Encoding", "")
            return bytes(_DECODERS[encoding](body)) if encoding else body

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gateway = Gateway(f"http://default@127.0.0.1:{server.server_address[1]}/default")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield gateway
    finally:
        gateway.release.set()
        server.shutdown()
        server.server_close()


def _split(query: str, body: bytes) -> tuple[str, bytes]:
    """Return the statement and the rows: in the query and the body, or both in the body."""
    if query:
        return query.strip(), body
    head, _, rows = body.partition(b"\n")
    if head.startswith(b"INSERT INTO") and head.rstrip().endswith(b"FORMAT Native"):
        return head.decode().strip(), rows
    return body.decode().strip(), b""


def _run(store: Store, sql: str, data: bytes, parameters: dict[str, str]) -> bytes | DatabaseError:
    bound = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
    settings = {name: value for name, value in parameters.items() if name not in _TRANSPORT and not name.startswith("param_")}
    with store._client("command") as client, tempfile.NamedTemporaryFile() as rows:
        backend: Any = client
        if data:
            rows.write(data)
            rows.flush()
            head, _, fmt = sql.rpartition(" FORMAT ")
            values = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
            sql, settings = f"{head} FROM INFILE {_quoted(rows.name)} SETTINGS {values or 'max_threads = 1'} FORMAT {fmt}", {}
        try:
            result = backend._backend._run_with_settings(sql, parameters.get("default_format", "TabSeparated"), settings, bound)
        except DatabaseError as error:
            return error
        return bytes(result.bytes() or b"")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
