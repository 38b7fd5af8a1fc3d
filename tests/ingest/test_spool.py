"""The disk queue: what is durable stays, what is torn goes, nothing else is believed."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.spool.checkpoint import Batch, Checkpoint
from ingest.spool.queue import Spool, SpoolInUse, SpoolUnwritable
from ingest.spool.records import Damage, Position, SpooledRequest
from tests.live import ROOT

MAX_BYTES = 10**9


def open_spool(folder: Path, *, segment_bytes: int = 10**6, max_bytes: int = MAX_BYTES, **options: Any) -> Spool:
    return Spool(folder, max_bytes=max_bytes, segment_bytes=segment_bytes, **options)


def store(spool: Spool, *payloads: bytes) -> None:
    for future in [spool.append(1, number, payload) for number, payload in enumerate(payloads)]:
        future.result(60)


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
    spool.append(7, 99, b"first").result(60)
    spool.append(8, 100, b"").result(60)

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


@pytest.mark.parametrize(("rest", "taken"), [(2, 10), (3, 8)])
def test_small_rest_of_a_segment_goes_with_the_batch_before(tmp_path: Path, rest: int, taken: int) -> None:
    """Eight requests fill the batch; a rest of a quarter comes along, a larger one is a batch of its own."""
    spool = open_spool(tmp_path)
    for future in [spool.append(1, 1, b"x" * 68) for _ in range(8 + rest)]:  # 100 bytes each with the header
        future.result(60)

    requests, _ = spool.read(spool.first, max_bytes=800, max_requests=100)

    assert len(requests) == taken
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


@pytest.mark.parametrize("behind", [True, False])
def test_changed_byte_costs_its_request_and_no_other(tmp_path: Path, behind: bool) -> None:
    spool = open_spool(tmp_path)
    store(spool, b"kept", b"damaged", *[b"behind"] * behind)
    spool.close()
    path = last_segment(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"damaged", b"dAmaged"))
    damages: list[Damage] = []

    reopened = open_spool(tmp_path, on_damage=damages.append)

    assert [request.payload for request in read_all(reopened)] == [b"kept", *[b"behind"] * behind]
    [damage] = damages
    assert damage.request
    assert (damage.request.project_id, damage.request.payload) == (1, b"dAmaged")
    reopened.close()


@given(
    payloads=st.lists(st.binary(max_size=200), min_size=1, max_size=15),
    at=st.integers(0, 4000),
    size=st.integers(1, 300),
    garbage=st.sampled_from([b"\0", b"\xff", b"TSR2", b"TSL2", b"TSR1"]),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_damage_anywhere_costs_what_it_touches_and_keeps_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], at: int, size: int, garbage: bytes
) -> None:
    """As a block of a disk that was overwritten. Nothing is read that was not written, nothing intact is lost."""
    folder = tmp_path_factory.mktemp("spool")
    spool = open_spool(folder)
    store(spool, *payloads)
    spool.close()
    path = last_segment(folder)
    whole = path.read_bytes()
    first, last = at % len(whole), min(len(whole), at % len(whole) + size)
    overwritten = whole[:first] + (garbage * size)[: last - first] + whole[last:]
    path.write_bytes(overwritten)
    starts = [sum(len(payload) + 32 for payload in payloads[:number]) for number in range(len(payloads) + 1)]
    intact = [
        payload
        for payload, start, end in zip(payloads, starts, starts[1:], strict=False)
        if overwritten[start : start + 24] == whole[start : start + 24]  # without the seal: the checksum suffices
        and overwritten[start + 32 : end] == whole[start + 32 : end]
    ]
    damages: list[Damage] = []

    reopened = open_spool(folder, on_damage=damages.append)
    read = [bytes(request.payload) for request in read_all(reopened)]
    reopened.close()

    assert read == intact
    assert all(damage.content in overwritten for damage in damages)


def test_damaged_segment_of_the_first_version_is_kept_from_the_damage_on(tmp_path: Path) -> None:
    record = struct.Struct("<4sIIIQ")
    fields = struct.pack("<IIQ", 4, 1, 7)
    old = record.pack(b"TSR1", 4, zlib.crc32(b"kept", zlib.crc32(fields)), 1, 7) + b"kept"
    (tmp_path / f"{1:016d}.segment").write_bytes(old + old[:-1] + b"X" + old)
    (tmp_path / f"{2:016d}.segment").write_bytes(old)
    damages: list[Damage] = []

    spool = open_spool(tmp_path, on_damage=damages.append)

    assert [request.payload for request in read_all(spool)] == [b"kept", b"kept"]
    assert [damage.content for damage in damages] == [old[:-1] + b"X" + old]
    spool.close()


def test_segment_that_cannot_be_read_is_set_aside_and_the_next_are_read(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, segment_bytes=10)
    store(spool, b"first")
    store(spool, b"second")
    store(spool, b"third")
    damages: list[Damage] = []
    spool.close()
    reopened = open_spool(tmp_path, segment_bytes=10, on_damage=damages.append)
    (tmp_path / f"{2:016d}.segment").unlink()
    (tmp_path / f"{2:016d}.segment").mkdir()  # to read it fails, for root too

    assert [request.payload for request in read_all(reopened)] == [b"first", b"third"]
    assert len(damages) == 1
    assert "0000000000000002.segment of the spool cannot be read from byte 0 on (Is a directory)" in damages[0].reason
    assert (tmp_path / f"{2:016d}.unreadable").is_dir()
    reopened.close()


def test_nothing_more_is_written_to_a_segment_that_cannot_be_read(tmp_path: Path) -> None:
    damages: list[Damage] = []
    spool = open_spool(tmp_path, on_damage=damages.append)
    store(spool, b"lost")
    (tmp_path / f"{1:016d}.segment").unlink()
    (tmp_path / f"{1:016d}.segment").mkdir()
    with pytest.raises(IsADirectoryError):
        read_all(spool)

    store(spool, b"kept")

    assert [request.payload for request in read_all(spool)] == [b"kept"]
    assert [damage.position for damage in damages] == [Position(1, 0)]
    spool.close()


_AS_NOBODY = """
import os, sys
from pathlib import Path
from ingest.spool.queue import Spool, SpoolUnreadable
os.setgid(65534)
os.setuid(65534)
try:
    Spool(Path(sys.argv[1]), max_bytes=10**9)
except SpoolUnreadable as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file that another user may not read")
def test_segment_of_another_user_is_a_sentence_at_the_start(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool, b"kept")
    spool.close()
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chmod(path, 0o777)
    for path in [*tmp_path.parents][:3]:
        path.chmod(0o755)
    segment = last_segment(tmp_path)
    segment.chmod(0o600)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(tmp_path)],
        capture_output=True, text=True, timeout=150, check=False, env=environment,
    )  # fmt: skip

    assert f"{segment} cannot be read (Permission denied)" in done.stdout, done.stderr


def test_segment_that_is_gone_is_told(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, segment_bytes=10)
    for payload in (b"one", b"two", b"three"):
        store(spool, payload)
    first = spool.first
    spool.close()
    (tmp_path / f"{2:016d}.segment").unlink()

    reopened = open_spool(tmp_path, segment_bytes=10)

    assert reopened.find_missing(first, first) == [2]
    assert [request.payload for request in read_all(reopened)] == [b"one", b"three"]
    reopened.release(Position(3, 5))
    assert reopened.find_missing(Position(3, 5), Position(3, 5)) == []
    # The first segment is gone: what is before it was stored, but for a batch that was in work.
    assert reopened.find_missing(Position(1, 0), Position(1, 0)) == []
    assert reopened.find_missing(Position(1, 0), Position(1, 5)) == [1]
    reopened.close()


def test_record_inside_a_torn_record_is_not_believed(tmp_path: Path) -> None:
    """A sender must not be able to plant a record for another project."""
    (tmp_path / "other").mkdir()
    planted = open_spool(tmp_path / "other")
    planted.append(2, 1, b"planted").result(60)
    planted.close()
    spool = open_spool(tmp_path / "spool")
    spool.append(1, 1, last_segment(tmp_path / "other").read_bytes() + b"end").result(60)
    spool.close()
    path = last_segment(tmp_path / "spool")
    os.truncate(path, path.stat().st_size - 1)

    reopened = open_spool(tmp_path / "spool")

    assert read_all(reopened) == []
    reopened.close()


@given(payloads=st.lists(st.binary(max_size=300), max_size=12), cut=st.integers(0, 2000), segment_bytes=st.integers(1, 700))
@hypothesis_settings(max_examples=40, deadline=None)
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
from ingest.spool.queue import Spool, SpoolUnwritable
spool = Spool(Path(sys.argv[1]), max_bytes=10**9)
spool.append(1, 1, b"kept").result(60)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    spool.append(1, 2, b"x" * 5000).result(60)
    sys.exit("the write passed")
except SpoolUnwritable as error:
    assert "disk is full" in str(error), error
assert spool.last_error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append(1, 3, b"after").result(60)
assert not spool.last_error
requests, position = spool.read(spool.first, max_bytes=10**6, max_requests=100)
requests += spool.read(position, max_bytes=10**6, max_requests=100)[0]
assert [request.payload for request in requests] == [b"kept", b"after"], requests
spool.close()
"""


def test_full_disk_fails_the_request_and_keeps_the_rest(tmp_path: Path) -> None:
    """In a process of its own, because the limit that stands for a full disk holds for a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=150, check=False
    )

    assert done.returncode == 0, done.stderr
    reopened = open_spool(tmp_path)
    assert [request.payload for request in read_all(reopened)] == [b"kept", b"after"]
    reopened.close()


def test_request_that_is_given_up_holds_up_nobody(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)

    spool.append(1, 0, b"given up").cancel()
    store(spool, b"next")

    assert [request.payload for request in read_all(spool)] == [b"given up", b"next"]
    spool.close()


def test_failure_without_an_error_of_the_disk_costs_its_requests_only(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)

    with pytest.raises(SpoolUnwritable):
        spool.append(2**32, 0, b"no such project").result(60)
    store(spool, b"next")

    assert [request.payload for request in read_all(spool)] == [b"next"]
    spool.close()


class _SlowlyMeasured(bytes):
    """A payload during whose measuring another one becomes durable."""

    before: Callable[[], None]

    def __len__(self) -> int:
        self.before()
        return super().__len__()


def test_waiting_bytes_stay_right_when_appending_and_syncing_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update lost between the two would stay for ever: a spool that says that it is full, with nothing in it."""
    spool = open_spool(tmp_path)
    is_syncing, may_end = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        is_syncing.set()
        may_end.wait(60)

    def finish_first() -> None:
        may_end.set()
        with contextlib.suppress(TimeoutError):
            first.result(1)

    monkeypatch.setattr("os.fdatasync", sync)
    first = spool.append(1, 1, b"first")
    assert is_syncing.wait(60)
    payload = _SlowlyMeasured(b"second")
    payload.before = finish_first
    spool.append(1, 1, payload).result(60)

    spool.release(spool.end)

    assert spool.waiting_bytes == 0
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
