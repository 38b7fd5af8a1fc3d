"""A full disk under each part of an instance: answered as documented, nothing acknowledged lost, well again without a restart.

Each part has a small file system of its own (tmpfs). Where nobody may mount one those tests are left out, and the one that needs
no right remains: all parts at once, under a limit on the size of files that is set and lifted while the instance runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ingest.dead_letters import DeadLetters
from ingest.drain import Drain
from ingest.spool.checkpoint import Batch, Checkpoint, is_drained
from ingest.spool.queue import Spool, SpoolUnwritable
from ingest.spool.records import Position
from tests.ingest.conftest import PROTOBUF, build_request, build_span
from tests.live import ROOT, LiveServer, start_server
from tracestore.clickhouse.errors import BadInsert, StoreUnavailable
from tracestore.clickhouse.landing import Record
from tracestore.model import Signal

SIZES_MIB = {"": 24, "spool": 8, "clickhouse": 96}
RECOVERY_S = 300  # a busy machine is slow, not wrong
Mount = Callable[[Path, int], Path]


@pytest.fixture(scope="module")
def mount() -> Iterator[Mount]:
    """`mount(folder, MiB)` puts a file system of that size there."""
    mounted: list[Path] = []

    def mount_one(folder: Path, size_mib: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount_one
    for folder in reversed(mounted):
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mount: Mount) -> Iterator[LiveServer]:
    data = tmp_path_factory.mktemp("full")
    for name, size_mib in SIZES_MIB.items():
        mount(data / name, size_mib)
    running = start_server(data, TRACESTORE_SPOOL_MAX_BYTES=str(2**30))
    yield running
    running.stop()


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no byte free on the file system of a folder."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        filler.unlink()


def send(server: LiveServer, size: int = 8000) -> tuple[int, str, str]:
    """Send a trace of one span of that many bytes, more than a block; return the status, Retry-After and the trace id."""
    span = build_span(name=os.urandom(size // 2).hex())
    body = build_request(span).SerializeToString()
    request = urllib.request.Request(f"{server.otlp_url}/v1/traces", body, {"content-type": PROTOBUF})
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, "", span.trace_id.hex()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["retry-after"] or "", span.trace_id.hex()


def wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until a condition holds; `what` says at the end of patience what is wrong."""
    deadline = time.monotonic() + RECOVERY_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


def is_summarised(server: LiveServer, trace_id: str) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/api/v1/traces/{trace_id}", timeout=90) as answer:
            return bool(json.load(answer)["outcome"] != "running")
    except urllib.error.HTTPError as error:
        error.close()
        return False


def assert_well(server: LiveServer, acknowledged: list[str]) -> None:
    """All that was acknowledged shows, and what comes now does too."""
    missing = {*acknowledged[:3], *acknowledged[-3:]}

    def is_accepting() -> bool:
        status, _, trace_id = send(server)
        missing.update([trace_id] if status == 200 else [])
        return status == 200

    wait_for(is_accepting, lambda: "nothing is accepted any more")

    def is_complete() -> bool:
        missing.difference_update([trace_id for trace_id in missing if is_summarised(server, trace_id)])
        return not missing

    wait_for(is_complete, lambda: f"lost: {missing}, {server.log.read_text()[-4000:]}")
    assert server.process.poll() is None


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", ["spool", "clickhouse", ""], ids=["spool", "ClickHouse", "relational database"])
def test_full_disk_under_one_part_loses_nothing_and_passes(server: LiveServer, part: str) -> None:
    status, _, before = send(server)
    assert status == 200
    # Or the spool would let go of it meanwhile, and have room for what comes.
    wait_for(lambda: is_drained(server.data / "spool"), lambda: "the first trace is not stored")
    with full(server.data / part):
        answers = [send(server) for _ in range(4)]
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=90) as answer:
            assert answer.status == 200
        time.sleep(6)  # longer than rules of the database are remembered
        answers += [send(server) for _ in range(2)]

    # Only the spool stands between a request and its acknowledgement.
    assert {status for status, _, _ in answers} == ({503} if part == "spool" else {200})
    assert all(retry_after in ("1", "2") for status, retry_after, _ in answers if status == 503)
    assert_well(server, [before, *(trace_id for status, _, trace_id in answers if status == 200)])


@contextlib.contextmanager
def refused_writes(pid: int) -> Iterator[None]:
    """Let each write of a process to a file fail, with EFBIG instead of ENOSPC."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.timeout(1200)
def test_refused_writes_under_all_parts_lose_nothing_and_pass(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    # The last of these wait in the spool for the insert after the next: it is refused, as are its summaries.
    sent = [send(server) for _ in range(5)]
    assert {status for status, _, _ in sent} == {200}
    with refused_writes(server.process.pid):
        answers = [send(server) for _ in range(4)]
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=90) as answer:
            assert answer.status == 200
        time.sleep(3)
        answers += [send(server) for _ in range(2)]

    assert {(status, retry_after) for status, retry_after, _ in answers} <= {(503, "1"), (503, "2")}
    assert_well(server, [trace_id for _, _, trace_id in sent])
    assert server.stop() == 0


def recover(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int) -> set[int]:
    return set()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("size_mib", "cannot"), [(2, "cannot use"), (8, "cannot write to")])
def test_start_on_a_full_disk_says_so(tmp_path: Path, mount: Mount, size_mib: int, cannot: str) -> None:
    folder = mount(tmp_path / "data", size_mib)
    ports = {"TRACESTORE_PORT": "0", "TRACESTORE_OTLP_HTTP_PORT": "0", "TRACESTORE_OTLP_GRPC_PORT": "0"}

    result = subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=os.environ | ports | {"TRACESTORE_DATA": str(folder)},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip

    assert result.returncode == 2, result.stderr
    assert f"tracestore: {cannot}" in result.stderr
    assert f"The disk of TRACESTORE_DATA, {folder}, is full: free some space" in result.stderr
    assert "Traceback" not in result.stderr


def test_folder_on_a_read_only_file_system_is_told_as_such(tmp_path: Path, mount: Mount) -> None:
    folder = mount(tmp_path / "data", 1)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

    result = subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=os.environ | {"TRACESTORE_DATA": str(folder)}, capture_output=True,
        text=True, timeout=250, check=False,
    )  # fmt: skip

    assert f"TRACESTORE_DATA: cannot write to the folder {folder}: Read-only file system." in result.stderr


def test_spool_that_fills_its_own_disk_is_emptied_all_the_same(tmp_path: Path, mount: Mount) -> None:
    spool = Spool(mount(tmp_path / "spool", 4), max_bytes=2**30)
    checkpoint = Checkpoint(spool.folder, first=spool.first, end=spool.end)
    stored: set[bytes] = set()
    is_away = True

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if is_away:
            raise StoreUnavailable("away")
        stored.update(bytes(payload) for _, _, payload in records)

    drain = Drain(spool, checkpoint, DeadLetters(tmp_path / "dead-letters"), insert, recover, lambda *_: None)
    drain.start()
    acknowledged: set[bytes] = set()
    for size in (100_000, 4_000, 500):  # to the last block
        refusal = ""
        while not refusal and len(acknowledged) < 1000:
            payload = os.urandom(size)
            try:
                spool.append(1, 1, payload).result(60)
                acknowledged.add(payload)
            except SpoolUnwritable as error:
                refusal = str(error)
        assert "the disk is full" in refusal
    is_away = False
    wait_for(lambda: acknowledged <= stored, lambda: f"stuck: {drain.last_error}")
    spool.append(1, 1, b"later").result(60)
    wait_for(lambda: b"later" in stored, lambda: "what follows is not stored")

    assert drain.stop(60)
    spool.close()


def test_checkpoint_moves_on_although_its_disk_is_full(tmp_path: Path, mount: Mount) -> None:
    folder = mount(tmp_path / "spool", 1)
    first = Position(1, 0)
    for start in (0, 50):  # and again after a restart
        checkpoint = Checkpoint(folder, first=first, end=Position(100, 0))
        assert checkpoint.batch.batch_seq == start
        with full(folder):
            for number in range(start + 1, start + 51):
                checkpoint.save(Batch(number, first, Position(1, 10**number % 997)))
                assert Checkpoint(folder, first=first, end=Position(100, 0)).batch == checkpoint.batch


@pytest.mark.timeout(900)
def test_dead_letter_that_finds_no_room_waits_for_it(tmp_path: Path, mount: Mount) -> None:
    letters = DeadLetters(mount(tmp_path / "dead-letters", 1))
    spool = Spool(tmp_path / "spool", max_bytes=2**30)
    checkpoint = Checkpoint(spool.folder, first=spool.first, end=spool.end)
    stored: list[bytes] = []

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if any(bytes(payload) == b"bad" for _, _, payload in records):
            raise BadInsert("refused")
        stored.extend(bytes(payload) for _, _, payload in records if payload)

    drain = Drain(spool, checkpoint, letters, insert, recover, lambda *_: None)
    with full(tmp_path / "dead-letters"):
        for payload in (b"good", b"bad"):
            spool.append(1, 1, payload).result(60)
        drain.start()
        wait_for(lambda: "space" in drain.last_error, lambda: "a full disk goes unnoticed")
        assert letters.count() == 0
        assert drain.is_alive
    wait_for(lambda: letters.count() == 1, lambda: "the refused request is lost")
    spool.append(1, 2, b"later").result(60)
    wait_for(lambda: b"later" in stored, lambda: "what follows is not stored")

    assert drain.stop(60)
    spool.close()
    assert letters.read_payload(letters.find()[0].name) == b"bad"
    assert {b"good", b"later"} <= set(stored)
