"""The disk queue: what is durable stays, what is torn goes, nothing else is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.checkpoint import Batch, Checkpoint
from ingest.spool import Position, Spool, SpooledRequest, SpoolInUse, SpoolUnwritable

MAX_BYTES = 10**9


def open_spool(folder: Path, *, segment_bytes: int = 10**6, max_bytes: int = MAX_BYTES) -> Spool:
    return Spool(folder, max_bytes=max_bytes, segment_bytes=segment_bytes)


def store(spool: Spool, *payloads: bytes) -> None:
    for future in [spool.append(1, number, payload) for number, payload in enumerate(payloads)]:
        future.result(10)


def read_all(spool: Spool, start: Position | None = None) -> list[SpooledRequest]:
    position = start or spool.first
    requests: list[SpooledRequest] = []
    for _ in range(1000):
        part, position = spool.read(position, max_bytes=1000, max_requests=3)
        if not part and position >= spool.end:
            return requests
        requests += part
    raise AssertionError("reading does not end")


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append(7, 99, b"first").result(10)
    spool.append(8, 100, b"").result(10)

    requests = read_all(spool)

    assert [(request.project_id, request.received_at_ns, request.payload) for request in requests] == [
        (7, 99, b"first"),
        (8, 100, b""),
    ]
    spool.close()


def test_request_larger_than_a_batch_is_read_alone(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool, b"x" * 5000, b"y")

    requests, _ = spool.read(spool.first, max_bytes=1000, max_requests=10)

    assert [len(request.payload) for request in requests] == [5000]
    spool.close()


def test_many_segments_are_read_as_one_queue_and_deleted_behind_the_reader(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, segment_bytes=100)
    payloads = [bytes([number]) * 60 for number in range(20)]
    for payload in payloads:
        store(spool, payload)

    requests = read_all(spool)
    spool.release(requests[-1].position)

    assert [request.payload for request in requests] == payloads
    assert len(list(tmp_path.glob("*.segment"))) <= 2
    spool.close()


def test_waiting_bytes_shrink_when_released(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=500)
    store(spool, b"x" * 600)
    assert spool.is_full

    _, after = spool.read(spool.first, max_bytes=1000, max_requests=10)
    spool.release(after)

    assert spool.waiting_bytes == 0
    assert not spool.is_full
    spool.close()


def test_second_process_is_refused(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)

    with pytest.raises(SpoolInUse, match="Another process"):
        open_spool(tmp_path)

    spool.close()
    open_spool(tmp_path).close()


def last_segment(folder: Path) -> Path:
    return max(path for path in folder.glob("*.segment") if path.stat().st_size)


@pytest.mark.parametrize("cut", [1, 5, 20, 27])
def test_torn_tail_is_cut_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    spool = open_spool(tmp_path)
    store(spool, b"kept", b"torn")
    spool.close()
    path = last_segment(tmp_path)
    os.truncate(path, path.stat().st_size - cut)

    reopened = open_spool(tmp_path)

    assert [request.payload for request in read_all(reopened)] == [b"kept"]
    store(reopened, b"new")
    assert [request.payload for request in read_all(reopened)] == [b"kept", b"new"]
    reopened.close()


def test_zeros_that_a_power_cut_left_are_cut(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool, b"kept")
    spool.close()
    with last_segment(tmp_path).open("ab") as file:
        file.write(bytes(4096))

    reopened = open_spool(tmp_path)

    assert [request.payload for request in read_all(reopened)] == [b"kept"]
    reopened.close()


def test_changed_byte_ends_the_segment_there(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool, b"kept", b"damaged", b"behind")
    spool.close()
    path = last_segment(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"damaged", b"dAmaged"))

    reopened = open_spool(tmp_path)

    assert [request.payload for request in read_all(reopened)] == [b"kept"]
    reopened.close()


def test_record_inside_a_torn_record_is_not_believed(tmp_path: Path) -> None:
    """A sender must not be able to plant a record for another project."""
    (tmp_path / "other").mkdir()
    planted = open_spool(tmp_path / "other")
    planted.append(2, 1, b"planted").result(10)
    planted.close()
    spool = open_spool(tmp_path / "spool")
    spool.append(1, 1, last_segment(tmp_path / "other").read_bytes() + b"end").result(10)
    spool.close()
    path = last_segment(tmp_path / "spool")
    os.truncate(path, path.stat().st_size - 1)

    reopened = open_spool(tmp_path / "spool")

    assert read_all(reopened) == []
    reopened.close()


@given(payloads=st.lists(st.binary(max_size=300), max_size=12), cut=st.integers(0, 2000), segment_bytes=st.integers(1, 700))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_power_cut_keeps_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], cut: int, segment_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = open_spool(folder, segment_bytes=segment_bytes)
    store(spool, *payloads)
    spool.close()
    last = sorted(folder.glob("*.segment"))[-1]
    in_last = last.stat().st_size
    os.truncate(last, max(0, in_last - cut))

    reopened = open_spool(folder)
    read = [request.payload for request in read_all(reopened)]
    reopened.close()

    assert read == payloads[: len(read)]
    if cut == 0:
        assert read == payloads


_FULL_DISK = """
import resource, sys
from pathlib import Path
from ingest.spool import Spool, SpoolUnwritable
spool = Spool(Path(sys.argv[1]), max_bytes=10**9)
spool.append(1, 1, b"kept").result(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    spool.append(1, 2, b"x" * 5000).result(10)
    sys.exit("the write passed")
except SpoolUnwritable as error:
    assert "disk is full" in str(error), error
assert spool.last_error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append(1, 3, b"after").result(10)
assert not spool.last_error
requests, position = spool.read(spool.first, max_bytes=10**6, max_requests=100)
requests += spool.read(position, max_bytes=10**6, max_requests=100)[0]
assert [request.payload for request in requests] == [b"kept", b"after"], requests
spool.close()
"""


def test_full_disk_fails_the_request_and_keeps_the_rest(tmp_path: Path) -> None:
    """In a process of its own, because the limit that stands for a full disk holds for a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    reopened = open_spool(tmp_path)
    assert [request.payload for request in read_all(reopened)] == [b"kept", b"after"]
    reopened.close()


def test_cancelled_wait_does_not_end_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=10**9)
    waits = [spool.append(1, number, b"x") for number in range(50)]
    for wait in waits:
        wait.cancel()  # what asyncio does when a client hangs up

    spool.append(1, 99, b"next").result(10)

    assert spool.bytes_after(Position(1, 0)) > 0
    spool.close()


def test_appending_after_close_fails(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.close()

    with pytest.raises(SpoolUnwritable, match="stopping"):
        spool.append(1, 1, b"late").result(1)


def test_checkpoint_survives_and_a_damaged_one_changes_the_writer(tmp_path: Path) -> None:
    start, end = Position(1, 0), Position(9, 0)
    first = Checkpoint(tmp_path, first=start, end=end)
    first.save(Batch(3, Position(1, 5), Position(2, 7)))

    again = Checkpoint(tmp_path, first=start, end=end)
    (tmp_path / "checkpoint.json").write_text("{")
    damaged = Checkpoint(tmp_path, first=start, end=end)

    assert (again.writer, again.batch) == (first.writer, Batch(3, Position(1, 5), Position(2, 7)))
    assert damaged.writer != first.writer
    assert damaged.batch == Batch(0, start, start)


def test_checkpoint_behind_the_end_of_the_spool_is_not_used(tmp_path: Path) -> None:
    first = Checkpoint(tmp_path, first=Position(1, 0), end=Position(9, 0))
    first.save(Batch(3, Position(5, 0), Position(5, 9)))

    fresh = Checkpoint(tmp_path, first=Position(1, 0), end=Position(1, 0))

    assert fresh.writer != first.writer
