"""`manage.py up`: every role in one process, or one role of it, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import logging
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone
from django.utils.module_loading import import_string

from tracestore.celery import app as celery_app
from tracestore.celery import delivery_app
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import FolderInUse, StoreError
from tracestore.clickhouse.folder import refuse_folder_in_use
from tracestore.clickhouse.migrate import migrate
from tracestore.environment import SETTINGS
from tracestore.intake.flusher import Flusher
from tracestore.intake.key_uses import key_uses
from tracestore.intake.reception import Attendance
from tracestore.jobs.lease import release_leases
from tracestore.language.fields import suggest
from tracestore.mapping import find_mappings_to_insert
from tracestore.models import Project
from tracestore.process.allocator import drop_unused_code, return_freed_memory
from tracestore.process.heartbeat import Heartbeat
from tracestore.process.http_protocol import BoundedHttp, raise_file_limit
from tracestore.process.liveness import watch_job, watch_thread

log = logging.getLogger(__name__)

ROLES = ("web", "ingest", "worker")
# Together below the ten seconds that a supervisor usually grants: requests under way, the drain, the job in hand.
_REQUESTS_STOP_S = 3
_INGEST_STOP_S = 3.0
_WORKER_STOP_S = 3.0
_NOTE_S = 0.5
# The system may hand the signal to any thread. Python then runs the handler once the main thread does something again.
_SIGNAL_S = 0.5
_SIMULTANEOUS_DELIVERIES = 8  # they only wait for their receivers
_WORKER_STOP_THREAD = "celery-stop"


_STEPS_NAMED = 10
_LEAST_FREE_BYTES = 2**20
_PREFIX = "TRACESTORE_"


@dataclass(frozen=True)
class _Address:
    label: str
    port: int


def _bind(address: _Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.HOST, address.port))
    except OSError as error:
        sock.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ImproperlyConfigured(
                f"TRACESTORE_HOST is {settings.HOST!r}, which is no address of this machine ({error.strerror})."
            ) from None
        raise _cannot_listen(address, error.strerror) from None
    sock.set_inheritable(False)
    return sock


def _cannot_listen(address: _Address, reason: str | None) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"cannot listen on {settings.HOST}:{address.port} ({reason}); set {address.label} to a free port."
    )


def prepare() -> None:
    """Bring both databases and the static files up to date. Safe to run at every start and from several processes."""
    # First, because the embedded engine keeps a second process out of the folder: a newer version must not change the relational
    # database under the one that works there.
    if steps := migrate(get_store()):
        # An upgrade has a few; of the many of a first start only the number is of interest.
        log.info("clickhouse: applied %s", ", ".join(steps) if len(steps) <= _STEPS_NAMED else f"{len(steps)} steps")
    call_command("migrate", interactive=False, verbosity=0)
    Project.objects.get_or_create(id=1, defaults={"slug": "default", "name": "Default"})


def settle_admin() -> None:
    """Give the user `admin` the password of the settings. Without one nobody logs in, and the sessions of before end."""
    users = get_user_model().objects
    if settings.ADMIN_PASSWORD:
        user, _ = users.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
        if not user.check_password(settings.ADMIN_PASSWORD):
            user.set_password(settings.ADMIN_PASSWORD)
            user.save()
        return
    for user in users.filter(username="admin"):
        if user.has_usable_password():
            user.set_unusable_password()
            user.save()


def hold_sqlite(path: str) -> sqlite3.Connection:
    """Return an idle connection that keeps the files of SQLite's log, for as long as it is open.

    The last connection that closes deletes them. Where the disk is full by then, the next cannot make them again and reads
    nothing, not even the privacy rules that ingest asks for.
    """
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # until then it has opened none of them
    return connection


def collect_static() -> None:
    """Gather and compress static files into the data folder, unless the ones there were made from the same sources.

    Raises ImproperlyConfigured when they cannot be written.
    """
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = os.stat(storage.path(path))
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    stamp = settings.STATIC_ROOT / ".sources"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    try:
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        stamp.write_text(digest.hexdigest())
    except OSError as error:
        raise ImproperlyConfigured(f"cannot write to {settings.STATIC_ROOT}: {error.strerror}{_say_if_full()}") from None


def _start_worker(stack: ExitStack) -> None:
    """Run two Celery workers and beat on threads of this process. The workers' own signal handlers stay out."""
    from celery.beat import EmbeddedService
    from celery.worker import WorkController

    class DeliveryWorker(WorkController):  # type: ignore[misc]  # Celery is not typed
        def should_use_eventloop(self) -> bool:
            return False  # kombu has one event loop per process; the first worker may be using it

    if settings.CELERY_BROKER_URL.startswith("memory:"):
        release_leases()  # no other process can hold one
        import_string("alerts.delivery.release_claims")(timezone.now())
    quiet = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True, "quiet": True}
    host = socket.gethostname()
    workers = [
        WorkController(app=celery_app, pool_cls="threads", concurrency=2, hostname=f"tracestore@{host}", **quiet),
        DeliveryWorker(
            app=delivery_app, pool_cls="threads", concurrency=_SIMULTANEOUS_DELIVERIES, hostname=f"deliveries@{host}", **quiet
        ),
    ]
    beat = EmbeddedService(celery_app, max_interval=1, thread=True, scheduler_cls="tracestore.process.beat:SteadyScheduler")
    beat.daemon = True
    for worker, name in zip(workers, ("jobs", "deliveries"), strict=True):
        thread = threading.Thread(target=worker.start, name=name, daemon=True)
        thread.start()
        watch_thread(name, thread)
    beat.start()
    watch_thread("schedule", beat)
    watch_job("summaries")

    def stop() -> None:
        # Each waits for the jobs in hand, or for a broker that is away, however long that takes.
        stopping = [threading.Thread(target=part.stop, name=_WORKER_STOP_THREAD, daemon=True) for part in (*workers, beat)]
        for thread in stopping:
            thread.start()
        deadline = time.monotonic() + _WORKER_STOP_S
        for thread in stopping:
            thread.join(max(0.0, deadline - time.monotonic()))

    stack.callback(stop)


def _end(error_type: type[BaseException] | None, *_: object) -> None:
    """End the process here, unless an error is still to be told.

    The interpreter would wait for the thread of a job that goes on, and for a broker that is away. And when it has ended, the
    library of the embedded engine takes itself apart, in which its threads can crash: a good stop would look like a bad one.
    Jobs may run twice, so what this one did not finish is done after the next start.
    """
    if any(thread.name == _WORKER_STOP_THREAD for thread in threading.enumerate()):
        log.warning("a job is still under way, or the broker is away; what was not done is done after the next start")
    elif error_type is not None:
        return
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _start_ingest(stack: ExitStack) -> None:
    ingest = import_string("ingest.service.Ingest")(get_store(), find_mappings=find_mappings_to_insert)
    ingest.start(_ask_for_summaries)
    stack.callback(ingest.stop, _INGEST_STOP_S)
    attendance = Flusher(Attendance(ingest.refusal, ingest.find_oldest_waiting).note)
    attendance.start()
    stack.callback(attendance.stop, _NOTE_S)


def _ask_for_summaries(writer: str, batch_seq: int) -> None:
    """Tell the workers at once; should the broker be down, the scheduled job finds the same work within seconds."""
    try:
        celery_app.send_task("tracestore.tasks.summarize_traces", (writer, batch_seq), expires=5, retry=False)
    except Exception as error:  # any broker's own exception: the span is stored, only its summary waits
        log.warning("could not ask for summaries after batch %d of %s: %s", batch_seq, writer, error)


class Server(uvicorn.Server):
    """uvicorn that says when it serves, with OTLP/gRPC beside it on the same event loop. `grpc_port` 0 is without gRPC.

    `is_stopped` tells whether the signal to stop came before uvicorn heard signals itself.
    """

    def __init__(
        self, config: uvicorn.Config, on_started: Callable[[], None], grpc_port: int, is_stopped: Callable[[], bool]
    ) -> None:
        super().__init__(config)
        self._on_started, self._is_stopped = on_started, is_stopped
        self._grpc_port = grpc_port
        self._grpc_server: Any = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._grpc_port:
            # Before grpc is imported: its core logs a line for every broken header that somebody sends.
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
            # By name and here only: other roles do not need grpc, and the start does not wait for it.
            try:
                self._grpc_server = await import_string("ingest.receivers.otlp_grpc.start")(settings.HOST, self._grpc_port)
            except OSError:
                raise _cannot_listen(_Address("TRACESTORE_OTLP_GRPC_PORT", self._grpc_port), "Address already in use") from None
        await super().startup(sockets)
        self.should_exit |= self._is_stopped()
        if self.started and not self.should_exit:
            # What is loaded by now stays: looking through it in each full collection would stop all threads for 0.1 s.
            gc.collect()
            gc.freeze()
            drop_unused_code()
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Both stop at once: new requests are refused, those under way get the same time."""
        stops = [super().shutdown(sockets)]
        if self._grpc_server is not None:
            stops.append(self._grpc_server.stop(_REQUESTS_STOP_S))
        await asyncio.gather(*stops)


def _name_unknown_settings() -> None:
    """Log what looks like a setting and is none: a letter too few, and the default would count without a word."""
    known = {setting.name.removeprefix(_PREFIX) for setting in SETTINGS}
    for name in sorted(name.removeprefix(_PREFIX) for name in os.environ if name.startswith(_PREFIX)):
        if name not in known:
            meant = suggest(name, known)
            hint = f"did you mean {_PREFIX}{meant}?" if meant else "docs/settings.md lists them"
            log.warning("there is no setting %s%s: %s", _PREFIX, name, hint)


def _announce(roles: tuple[str, ...], sockets: list[socket.socket], grpc_port: int) -> None:
    host = urlsplit(settings.BASE_URL).hostname if settings.HOST in ("0.0.0.0", "::") else settings.REACHED_AS
    ports = [sock.getsockname()[1] for sock in sockets]
    if "web" in roles:
        print(f"Tracestore is ready: http://{host}:{ports[0]}", flush=True)
    if "ingest" in roles:
        print(f"OTLP/HTTP: http://{host}:{ports[-1]}/v1/traces", flush=True)
        print(f"OTLP/gRPC: http://{host}:{grpc_port}", flush=True)
    if roles == ("worker",):
        print(f"Tracestore worker is ready: http://{host}:{ports[0]}/metrics", flush=True)
    print("Stop with Ctrl-C.", flush=True)


def _serve(
    roles: tuple[str, ...], sockets: list[socket.socket], grpc_socket: socket.socket | None, is_stopped: Callable[[], bool]
) -> None:
    config = uvicorn.Config(
        "tracestore.asgi:application",
        interface="asgi3",
        http=BoundedHttp,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,  # exporters flush every 5 s on one connection; OTLP asks for at least 60 s
        timeout_graceful_shutdown=_REQUESTS_STOP_S,
        backlog=1024,
    )
    grpc_port = 0
    if grpc_socket is not None:
        grpc_port = grpc_socket.getsockname()[1]
        grpc_socket.close()  # it only kept the port: grpc cannot take over a socket
    server = Server(config, lambda: _announce(roles, sockets, grpc_port), grpc_port, is_stopped)
    # Not server.run, which then waits for all that began on the loop: also for the thread of a long page whose reader has gone,
    # and that cannot be ended. The loop is left as it is, and the process ends by `_end`.
    loop = (config.get_loop_factory() or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(server.serve(sockets=sockets))
    if not server.started:
        sys.exit("tracestore: the web server did not start; see the log above.")


def _bind_all(roles: tuple[str, ...]) -> tuple[list[socket.socket], socket.socket | None]:
    """Return the sockets of HTTP, that of the UI first, and that of gRPC."""
    _check_ports(roles)
    sockets, grpc_socket = [], None
    if "web" in roles:
        sockets.append(_bind(_Address("TRACESTORE_PORT", settings.PORT)))
    if "ingest" in roles:
        sockets.append(_bind(_Address("TRACESTORE_OTLP_HTTP_PORT", settings.OTLP_HTTP_PORT)))
        grpc_socket = _bind(_Address("TRACESTORE_OTLP_GRPC_PORT", settings.OTLP_GRPC_PORT))
    if roles == ("worker",) and settings.WORKER_PORT is not None:
        sockets.append(_bind(_Address("TRACESTORE_WORKER_PORT", settings.WORKER_PORT)))
    return sockets, grpc_socket


def _check_ports(roles: tuple[str, ...]) -> None:
    """Raise ImproperlyConfigured when two listeners are to share a port. 0 is any free one."""
    ports = {"TRACESTORE_PORT": settings.PORT} if "web" in roles else {}
    if "ingest" in roles:
        ports |= {"TRACESTORE_OTLP_HTTP_PORT": settings.OTLP_HTTP_PORT, "TRACESTORE_OTLP_GRPC_PORT": settings.OTLP_GRPC_PORT}
    for (first, port), (second, other) in combinations(ports.items(), 2):
        if port == other != 0:
            raise ImproperlyConfigured(f"{first} and {second} are both {port}; each needs a port of its own.")


def _prepare_databases(roles: tuple[str, ...]) -> None:
    """Prepare them, or say which setting keeps them from being used."""
    try:
        prepare()
        if "web" in roles:  # the others may run without the password
            settle_admin()
    except StoreError as error:
        where = "CLICKHOUSE_URL" if settings.CLICKHOUSE_URL else f"the database in {settings.DATA}"
        raise ImproperlyConfigured(f"cannot use {where}: {error}{_say_if_full()}") from None
    except OperationalError as error:
        database, reason = settings.DATABASES["default"], " ".join(str(error).split())
        where = database["NAME"] if database["ENGINE"].endswith("sqlite3") else "the relational database (DATABASE_URL)"
        raise ImproperlyConfigured(f"cannot use {where}: {reason}{_say_if_full()}") from None


def _say_if_full() -> str:
    """Return what is wrong where nothing can be written; SQLite calls it an I/O error."""
    is_full = shutil.disk_usage(settings.DATA).free < _LEAST_FREE_BYTES
    return f". The disk of TRACESTORE_DATA, {settings.DATA}, is full: free some space" if is_full else ""


def run(roles: tuple[str, ...]) -> None:
    """Start these roles and serve until SIGINT or SIGTERM, then stop within ten seconds and end the process.

    Raises ImproperlyConfigured.
    """
    _name_unknown_settings()
    if not settings.CLICKHOUSE_URL:
        try:
            refuse_folder_in_use(settings.DATA / "clickhouse")
        except FolderInUse as error:  # before the ports, which that process most likely has as well
            raise ImproperlyConfigured(str(error)) from None
    sockets, grpc_socket = _bind_all(roles)
    is_stopped = False

    def note_signal(number: int, frame: Any) -> None:
        # uvicorn raises the signal again once it has shut down; what follows it here must still run. A flag and no event: this
        # runs in the middle of whatever the main thread does, which may hold the event's own lock.
        nonlocal is_stopped
        is_stopped = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note_signal)
    return_freed_memory()
    raise_file_limit()
    # The embedded engine writes its copy of the Protobuf schema into the working directory.
    os.chdir(settings.DATA)
    with ExitStack() as stack:
        stack.push(_end)  # last of all
        stack.callback(get_store().close)
        _prepare_databases(roles)
        database = settings.DATABASES["default"]
        if database["ENGINE"].endswith("sqlite3"):
            stack.callback(hold_sqlite(database["NAME"]).close)
        if sockets:
            collect_static()
            import_module(settings.ROOT_URLCONF)  # the code of all pages, which the first answer would wait for
        gc.freeze()
        gc.enable()  # manage.py turned it off
        if is_stopped:  # the signal came before anyone else could act on it
            return
        if "worker" in roles:
            _start_worker(stack)
        if "ingest" in roles:
            _start_ingest(stack)
        if "web" in roles or "ingest" in roles:  # those that are shown keys
            uses = Flusher(key_uses.flush)
            uses.start()
            stack.callback(uses.finish)
        if settings.HEARTBEAT_URL:
            heartbeat = Heartbeat(settings.HEARTBEAT_URL)
            heartbeat.start()
            stack.callback(heartbeat.stop)
        if is_stopped:
            return
        if sockets:
            _serve(roles, sockets, grpc_socket, lambda: is_stopped)
        else:
            print("Tracestore worker is ready. Stop with Ctrl-C.", flush=True)
            while not is_stopped:
                time.sleep(_SIGNAL_S)
        log.info("stopping")
