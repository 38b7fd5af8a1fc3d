"""What has the lowest priority of the system: inserts that come from a load, and no others."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.ingest.conftest import build_request, build_span
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch

LOWEST = 19


def _find_priorities() -> set[int]:
    """Return the nice values of all threads of this process (proc(5), field 19 of stat)."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.add(int((task / "stat").read_text().rpartition(")")[2].split()[16]))
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    return found


@pytest.mark.parametrize(("requests", "gives_way"), [(1, False), (90, True)], ids=["small", "large"])
def test_inserts_of_a_load_have_the_lowest_priority_and_small_ones_that_of_the_process(
    store: Store, requests: int, gives_way: bool
) -> None:
    body = build_request(*(build_span(name=os.urandom(250).hex()) for _ in range(100))).SerializeToString()
    store.command("SYSTEM STOP MERGES")
    deadline = time.monotonic() + 60
    while LOWEST in _find_priorities() and time.monotonic() < deadline:
        time.sleep(0.01)  # merges that are broken off
    seen: set[int] = set()
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.is_set():
            seen.update(_find_priorities())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        records = [(1, time.time_ns(), body)] * requests
        insert_batch(store, records, writer="priority", batch_seq=requests)
    finally:
        is_done.set()
        watcher.join()
        store.command("SYSTEM START MERGES")

    assert (LOWEST in seen) == gives_way
