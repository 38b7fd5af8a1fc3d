"""A real Tracestore in a process of its own, started as `make up` starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 90


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class LiveServer:
    """A running instance. `url` serves UI, API and OTLP; `otlp_url` OTLP on its own port; `log` holds stdout and stderr.

    `grpc_address` is host:port of OTLP/gRPC.
    """

    process: subprocess.Popen[bytes]
    url: str
    otlp_url: str
    grpc_address: str
    data: Path
    log: Path

    def stop(self, timeout_s: float = 20) -> int:
        """SIGTERM, as a supervisor would; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        self.process.kill()
        self.process.wait(10)


def start_server(data: Path, *, wait: bool = True, **environment: str) -> LiveServer:
    """Start `manage.py up` on free loopback ports with its data in `data`; a second start on the same folder continues it."""
    data.mkdir(parents=True, exist_ok=True)
    port, otlp_port, grpc_port = free_port(), free_port(), free_port()
    log = data / "server.log"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TRACESTORE_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up"],
            cwd=ROOT,
            env=clean
            | {
                "TRACESTORE_DATA": str(data),
                "TRACESTORE_PORT": str(port),
                "TRACESTORE_OTLP_HTTP_PORT": str(otlp_port),
                "TRACESTORE_OTLP_GRPC_PORT": str(grpc_port),
                "DJANGO_SETTINGS_MODULE": "tracestore.settings",
            }
            | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = LiveServer(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{otlp_port}", f"127.0.0.1:{grpc_port}", data, log)
    if wait:
        wait_until_ready(server)
    return server


def wait_until_ready(server: LiveServer) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(server.url + "/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    server.process.kill()
    raise AssertionError(f"the server did not start:\n{server.log.read_text()[-4000:]}")
