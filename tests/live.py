"""A real Tracestore in a process of its own, started as `make up` starts it."""

from __future__ import annotations

import atexit
import fcntl
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 150  # a busy machine is slow, not wrong


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports that differ and that nobody else gets before a server of this process's tests binds them."""
    ports: list[int] = []
    for port in itertools.islice(_claim_ports(), 2 * _BLOCK):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a connection of before is no obstacle
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError(f"{count} of {_BLOCK} ports are not free")


_PORTS, _BLOCK = range(20_000, 32_000), 100
_claims: list[socket.socket] = []  # held until the process ends


@cache
def _claim_ports() -> Iterator[int]:
    """Claim a block of ports for this process and return them, round and round.

    A port that the kernel has found free goes to the next who asks, while a server takes seconds to bind it. These lie below
    those that the kernel gives out, and an abstract socket with the block's name keeps the processes of other tests out.
    """
    blocks = list(_PORTS[::_BLOCK])
    for first in random.SystemRandom().sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tracestore-tests-{first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return itertools.cycle(range(first, first + _BLOCK))
    raise AssertionError("other processes have claimed all ports")


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

    def stop(self, timeout_s: float = START_TIMEOUT_S) -> int:
        """SIGTERM, as a supervisor would; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        self.process.kill()
        self.process.wait(60)


@cache
def find_template() -> Path:
    """Return the data folder of an instance that was started once and stopped: a start on a copy has nothing to migrate.

    `.ci/tests` names one folder for all its processes; the first that needs the template makes it.
    """
    shared = os.environ.get("TEMPLATE_DATA")
    folder = Path(shared or tempfile.mkdtemp(prefix="tracestore-template-"))
    if not shared:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    template, made = folder / "data", folder / "made"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(template, ignore_errors=True)
            first = start_server(template, from_nothing=True)
            assert first.stop() == 0, first.log.read_text()
            # What an instance keeps to itself: each copy makes its own.
            (template / "secret_key").unlink()
            (template / "server.log").unlink()
            shutil.rmtree(template / "spool")
            made.touch()
    return template


def copy_template(data: Path) -> None:
    """Prepare an empty data folder as a first start does, for what starts by itself."""
    shutil.copytree(find_template(), data, symlinks=True, dirs_exist_ok=True)


def start_server(data: Path, *, wait: bool = True, from_nothing: bool = False, **environment: str) -> LiveServer:
    """Start `manage.py up` on free loopback ports with its data in `data`; a second start on the same folder continues it.

    An empty folder is prepared as by a first start, which tests of that start itself turn off by `from_nothing`.
    """
    data.mkdir(parents=True, exist_ok=True)
    if not from_nothing and not (data / "tracestore.sqlite3").exists():
        copy_template(data)
    port, otlp_port, grpc_port = free_ports(3)
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
    _wait_for_answer(server, server.url + "/readyz", 200)


def wait_until_accepting(server: LiveServer) -> None:
    """Wait for OTLP alone: /readyz also asks the store and the jobs."""
    _wait_for_answer(server, server.otlp_url + "/v1/traces", 405)


def _wait_for_answer(server: LiveServer, url: str, expected_status: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        except OSError:
            status = 0
        if status == expected_status:
            return
        time.sleep(0.1)
    server.process.kill()
    raise AssertionError(f"the server did not start:\n{server.log.read_text()[-4000:]}")


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=90) as answer:
        return json.load(answer)


# In a process of its own: the embedded engine takes one folder per process.
_COUNT = """
import json, sys
from tracestore.clickhouse.client import Store
store = Store(path=sys.argv[1])
rows = store.query_rows(f"SELECT lower(hex(trace_id)), count(), uniqExact({sys.argv[3]}) FROM {sys.argv[2]} GROUP BY trace_id")
print(json.dumps([list(row) for row in rows]))
store.close()
"""


def count_stored(data: Path, table: str = "spans", item: str = "span_id") -> dict[str, tuple[int, int]]:
    """Return (rows, distinct items) of every trace id."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(data / "clickhouse"), table, item],
        cwd=ROOT, env=os.environ | {"TRACESTORE_DATA": str(data)}, capture_output=True,
        text=True, timeout=START_TIMEOUT_S, check=True,
    )  # fmt: skip
    return {trace_id: (rows, distinct) for trace_id, rows, distinct in json.loads(done.stdout)}
