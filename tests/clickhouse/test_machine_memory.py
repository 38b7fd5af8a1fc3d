"""What reads may take of the memory that there is, in a machine or in a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.clickhouse.test_places import all_taken
from tracestore.clickhouse import client
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.machine_memory import find_memory_bytes, share_memory

MIB, GIB = 2**20, 2**30
MACHINE_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "memory_bytes"),
    [
        ("0::/", {"memory.max": "67108864\n"}, 64 * MIB),  # in a container
        ("0::/", {}, MACHINE_BYTES),
        ("0::/system.slice/tracestore.service", {"system.slice/tracestore.service/memory.max": "max\n"}, MACHINE_BYTES),
        (
            "0::/a.slice/b.service",
            {"a.slice/memory.max": str(64 * MIB), "a.slice/b.service/memory.max": str(128 * MIB)},
            64 * MIB,
        ),
        ("4:memory:/docker/f00\n3:cpu,cpuacct:/x\n0::/", {"memory/docker/f00/memory.limit_in_bytes": str(64 * MIB)}, 64 * MIB),
        ("4:memory:/docker/f00", {"memory/memory.limit_in_bytes": str(64 * MIB)}, 64 * MIB),  # a path of the host
        ("4:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE_BYTES),
        ("4:memory:/..", {"memory/memory.limit_in_bytes": "-1\n"}, MACHINE_BYTES),
    ],
)
def test_limit_of_a_control_group_counts_when_it_is_less_than_the_machine(
    tmp_path: Path, groups: str, files: dict[str, str], memory_bytes: int
) -> None:
    write(tmp_path / "proc/self/cgroup", groups + "\n")
    for name, text in files.items():
        write(tmp_path / "cgroups" / name, text)

    assert find_memory_bytes(tmp_path / "proc", tmp_path / "cgroups") == memory_bytes


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert find_memory_bytes(tmp_path, tmp_path) == MACHINE_BYTES
    assert find_memory_bytes() <= MACHINE_BYTES


@pytest.mark.parametrize(
    ("memory_bytes", "read_bytes", "reads"),
    [(GIB, 128 * MIB, 4), (2 * GIB, 256 * MIB, 4), (4 * GIB, 512 * MIB, 4), (8 * GIB, GIB, 4), (64 * GIB, GIB, 32)],
)
def test_reads_never_take_more_than_half_of_the_memory(memory_bytes: int, read_bytes: int, reads: int) -> None:
    assert share_memory(memory_bytes, GIB) == (read_bytes, reads)
    assert read_bytes * reads <= memory_bytes / 2


def test_store_of_a_small_machine_has_few_places_and_small_reads(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "find_memory_bytes", lambda: 2 * GIB)
    small, server = Store(path=str(tmp_path)), Store(url="http://localhost:1")

    assert small._read_settings["max_memory_usage"] == 256 * MIB
    assert server._read_settings["max_memory_usage"] == GIB
    assert small._places
    with all_taken(small._places, 1), all_taken(small._places, 2), pytest.raises(StoreUnavailable), small._places.take(3, 0):
        pass
    assert small._places._reads == 4
