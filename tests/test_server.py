"""The whole product in a process of its own: how it starts, who may come in, how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.live import ROOT, LiveServer, copy_template, free_ports, start_server, wait_until_ready
from tests.spans import build_request
from tests.waiting import wait_until
from tracestore.process import server as server_module

STOP_S = 10  # what a supervisor usually grants


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Return status and body, redirects not followed. An underscore in a header's name stands for a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    opener = urllib.request.build_opener(_StayHere)
    try:
        with opener.open(urllib.request.Request(url, body, named, method=method), timeout=90) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def a_span() -> bytes:
    return build_request(
        {"trace_id": os.urandom(16).hex(), "span_id": "1" * 16, "start_ns": time.time_ns() - 10**9, "name": "run"}
    )


def send(server: LiveServer, body: bytes, **headers: str) -> int:
    return ask(server.otlp_url + "/v1/traces", "POST", body, content_type="application/x-protobuf", **headers)[0]


def children_of(pid: int) -> list[int]:
    """Return the process's direct children; threads come and go while this looks."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            children += [int(child) for child in (task / "children").read_text().split()]
    return children


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One running instance for the tests that change nothing."""
    server = start_server(tmp_path_factory.mktemp("live"), from_nothing=True)
    yield server
    server.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_second_start_shows_what_was_sent_and_sigterm_ends_it_cleanly(data: Path) -> None:
    first = start_server(data)
    accepted = send(first, a_span())
    assert first.stop() == 0

    second = start_server(data)
    children = children_of(second.process.pid)
    deadline, found = time.monotonic() + 120, 0
    while not found and time.monotonic() < deadline:
        found = len(json.loads(ask(second.url + "/api/v1/traces")[1])["results"])
        time.sleep(0.1)
    status = second.stop()

    assert (accepted, found, status, children) == (200, 1, 0, [])
    assert "applied" not in second.log.read_text()  # neither start had anything to migrate
    assert "Tracestore is ready: http://localhost:" in second.log.read_text()
    assert "Traceback" not in second.log.read_text()


def test_first_start_says_in_one_line_what_it_made(instance: LiveServer) -> None:
    lines = [line for line in instance.log.read_text().splitlines() if "applied" in line]

    assert len(lines) == 1
    assert lines[0].endswith(" steps")


def run_script(script: str, data: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that starts roles by itself, on a data folder that a first start has prepared and on free ports."""
    copy_template(data)
    names = ("TRACESTORE_PORT", "TRACESTORE_OTLP_HTTP_PORT", "TRACESTORE_OTLP_GRPC_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(3), strict=True)}
    environment = os.environ | ports | {"TRACESTORE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "tracestore.settings"}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False
    )


EARLY_SIGNAL = """
import signal, django
django.setup()
from tracestore.process import server
def signal_before(call):
    def signalled(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return call(*arguments)
    return signalled
server.{name} = signal_before(server.{name})
server.run(server.ROLES)
"""


@pytest.mark.parametrize("name", ["prepare", "Server"], ids=["databases", "last moment"])
def test_signal_during_the_start_is_not_lost(data: Path, name: str) -> None:
    result = run_script(EARLY_SIGNAL.format(name=name), data)

    assert result.returncode == 0
    assert "is ready" not in result.stdout


SLOW_JOB = """
import os, signal, threading, time, django
django.setup()
from tracestore.process import server
from tracestore.jobs import summarize
started = threading.Event()
def take_long():
    started.set()
    time.sleep(3600)
summarize.summarize_pending = take_long
def stop():
    started.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # the system, too, may choose another than the main thread
threading.Thread(target=stop, daemon=True).start()
server.run(("worker",))
"""


def test_job_under_way_does_not_hold_up_the_stop(data: Path) -> None:
    result = run_script(SLOW_JOB, data)

    assert result.returncode == 0
    assert "a job is still under way" in result.stderr


SLOW_PAGE = """
import os, signal, threading, time, urllib.request, django
django.setup()
from django.conf import settings
from tracestore.process import server
from dashboards.views import help
started = threading.Event()
def take_long(*_):
    started.set()
    time.sleep(3600)
help.render = take_long
def stop():
    while not started.is_set():
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{settings.PORT}/help/query", timeout=1)
        except OSError:  # not there yet, or the reader's patience is at its end
            time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=stop, daemon=True).start()
server.run(("web",))
"""


def test_page_under_way_that_nobody_waits_for_does_not_hold_up_the_stop(data: Path) -> None:
    result = run_script(SLOW_PAGE, data)

    assert result.returncode == 0
    assert "stopping" in result.stderr


def test_what_a_stop_waits_for_is_less_than_supervisors_grant() -> None:
    parts = ("_REQUESTS_STOP_S", "_NOTE_S", "_INGEST_STOP_S", "_WORKER_STOP_S")
    assert sum(getattr(server_module, part) for part in parts) < STOP_S


@pytest.mark.parametrize("name", ["TRACESTORE_PORT", "TRACESTORE_OTLP_HTTP_PORT", "TRACESTORE_OTLP_GRPC_PORT"])
def test_port_in_use_is_a_sentence(data: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        server = start_server(data, wait=False, from_nothing=True, **{name: str(taken.getsockname()[1])})
        status = server.process.wait(240)

    assert status != 0
    assert f"set {name} to a free port." in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


def test_data_folder_in_use_is_a_sentence(instance: LiveServer) -> None:
    said_before = len(instance.log.read_text())
    second = start_server(instance.data, wait=False, TRACESTORE_PORT=instance.url.rpartition(":")[2])
    status = second.process.wait(240)
    said = second.log.read_text()[said_before:]

    assert status == 2
    assert said.startswith(
        f"tracestore: The database in {instance.data}/clickhouse is in use by process {instance.process.pid}, "
    )
    assert said.endswith("Stop that one first, or set TRACESTORE_DATA to another folder.\n")
    assert said.count("\n") == 1
    assert ask(instance.url + "/readyz")[0] == 200


def test_start_of_another_version_beside_a_running_one_leaves_its_databases_alone(data: Path) -> None:
    running = start_server(data)
    migrations = "DELETE FROM django_migrations WHERE app = 'alerts' AND name LIKE '0001%'"
    with contextlib.closing(sqlite3.connect(data / "tracestore.sqlite3", timeout=60)) as database:
        database.execute(migrations)  # as if the second one knew of more than is applied
        database.commit()
    second = start_server(data, wait=False)
    status = second.process.wait(240)
    said = second.log.read_text()
    running.kill()

    assert status == 2
    assert f"is in use by process {running.process.pid}, which started at " in said
    assert "relational" not in said


def test_running_instance_notes_that_it_receives(instance: LiveServer) -> None:
    def last_note() -> str:
        with contextlib.closing(sqlite3.connect(instance.data / "tracestore.sqlite3", timeout=60)) as database:
            return str(database.execute("SELECT coalesce(max(seen_at), '') FROM tracestore_reception").fetchone()[0])

    first = wait_until(last_note)

    wait_until(lambda: last_note() > first)


def test_probes_answer_without_login(instance: LiveServer) -> None:
    assert ask(instance.url + "/healthz") == (200, b'{"status": "ok"}')
    assert ask(instance.url + "/readyz") == (200, b'{"status": "ok", "reasons": {}}')


def test_loopback_needs_neither_login_nor_key(instance: LiveServer) -> None:
    assert ask(instance.url + "/traces")[0] == 200
    assert ask(instance.url + "/api/v1/traces")[0] == 200
    assert send(instance, a_span()) == 200


def test_other_host_names_are_refused_on_loopback(instance: LiveServer) -> None:
    assert ask(instance.url + "/traces", Host="evil.example.com")[0] == 400


def test_files_that_readers_need_on_a_full_disk_stay_while_the_instance_runs(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite3"

    def write() -> bool:
        """Write as a request does, with a connection of its own; return whether the log is there afterwards."""
        with contextlib.closing(sqlite3.connect(path)) as request:
            request.execute("PRAGMA journal_mode=WAL")
            request.execute("CREATE TABLE IF NOT EXISTS lines (line)")
            ((is_held_up, *_),) = request.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # by an open transaction
        return not is_held_up and all(Path(f"{path}{suffix}").exists() for suffix in ("-wal", "-shm"))

    alone = write()
    with contextlib.closing(server_module.hold_sqlite(str(path))):
        held = write()

    assert (alone, held) == (False, True)


def test_unknown_role_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "up", "--role", "everything"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert result.returncode != 0
    assert "invalid choice" in result.stderr


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """An instance with a password and a key."""
    data = tmp_path_factory.mktemp("locked")
    server = start_server(data, TRACESTORE_ADMIN_PASSWORD="correct horse", TRACESTORE_API_KEY="battery-staple")
    wait_until_ready(server)
    yield server
    server.stop()


def test_pages_demand_a_login(locked: LiveServer) -> None:
    for page in ("/", "/traces", "/dashboard", "/alerts", "/setup"):
        assert ask(locked.url + page)[0] == 302, page
    assert ask(locked.url + "/login")[0] == 200
    assert ask(locked.url + "/readyz")[0] == 200


@pytest.mark.parametrize("path", ["/api/v1/traces", "/api/v1/spans", "/api/v1/alerts"])
def test_api_demands_the_key(locked: LiveServer, path: str) -> None:
    assert ask(locked.url + path)[0] == 401
    assert ask(locked.url + path, Authorization="Bearer wrong")[0] == 401
    assert ask(locked.url + path, Authorization="Bearer battery-staple")[0] == 200
    assert ask(locked.url + path, x_api_key="battery-staple")[0] == 200


def test_otlp_demands_the_key_on_both_ports(locked: LiveServer) -> None:
    for url in (locked.url, locked.otlp_url):
        anonymous = ask(url + "/v1/traces", "POST", a_span(), content_type="application/x-protobuf")[0]
        with_key = ask(url + "/v1/traces", "POST", a_span(), content_type="application/x-protobuf", x_api_key="battery-staple")[0]

        assert (anonymous, with_key) == (401, 200)


def test_removed_password_opens_nothing_after_a_restart(data: Path) -> None:
    first = start_server(data, TRACESTORE_ADMIN_PASSWORD="correct horse")
    first.stop()

    second = start_server(data, TRACESTORE_API_KEY="battery-staple")
    second.stop()

    with sqlite3.connect(data / "tracestore.sqlite3") as database:
        assert database.execute("SELECT substr(password, 1, 1) FROM auth_user WHERE username = 'admin'").fetchall() == [("!",)]


def test_grpc_is_served_with_the_same_key(locked: LiveServer) -> None:
    codes = []
    with grpc.insecure_channel(locked.grpc_address) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        for metadata in ([], [("x-api-key", "battery-staple")]):
            try:
                codes.append(export.with_call(a_span(), metadata=metadata, timeout=90)[1].code())
            except grpc.RpcError as error:
                codes.append(error.code())

    assert codes == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK]
    assert f"OTLP/gRPC: http://localhost:{locked.grpc_address.rpartition(':')[2]}\n" in locked.log.read_text()


def test_secrets_are_not_logged(locked: LiveServer) -> None:
    log = locked.log.read_text()

    assert "battery-staple" not in log
    assert "correct horse" not in log
