"""A folder of the embedded engine that another process has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import FolderInUse
from tracestore.clickhouse.folder import refuse_folder_in_use


def hold(folder: Path, said: str) -> int:
    """Lock the folder as the engine does, and return the open file."""
    (folder / "status").write_text(said)
    descriptor = os.open(folder / "status", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            f"PID: {os.getpid()}\nStarted at: 2026-11-23 05:07:54\n",
            f"by process {os.getpid()}, which started at 2026-11-23 05:07:54.",
        ),
        ("PID: 99999999\nStarted at: 2026-11-23 05:07:54\n", "by another process, which started at 2026-11-23 05:07:54."),
        ("", "by another process."),
    ],
)
def test_folder_in_use_is_refused_with_the_process_and_a_next_step(tmp_path: Path, said: str, expected: str) -> None:
    descriptor = hold(tmp_path, said)

    with pytest.raises(FolderInUse) as refused:
        Store(path=str(tmp_path)).query_rows("SELECT 1")

    os.close(descriptor)
    assert str(refused.value).startswith(f"The database in {tmp_path} is in use {expected} Stop that one first, or set ")


def test_folder_that_a_crash_left_may_be_used(tmp_path: Path) -> None:
    os.close(hold(tmp_path, "PID: 1\n"))

    refuse_folder_in_use(tmp_path)


def test_folder_that_is_not_there_yet_may_be_used(tmp_path: Path) -> None:
    refuse_folder_in_use(tmp_path / "clickhouse")
