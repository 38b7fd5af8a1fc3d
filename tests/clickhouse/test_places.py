"""Reads wait for places: of all, and of their project."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.places import Places

PROJECT_ID, NEIGHBOUR_ID, THIRD_ID = 1, 2, 3


@contextlib.contextmanager
def all_taken(places: Places, project_id: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(StoreUnavailable):
            while True:
                stack.enter_context(places.take(project_id, 0))
        yield


def _impatient(store: Store) -> Store:
    """Return this store with reads that wait a moment for a place."""
    impatient = copy.copy(store)
    impatient._timeout_s = 0.1
    return impatient


def _ask(store: Store, project_id: int) -> list[tuple[int]]:
    return store.query_rows("SELECT {project_id:UInt64}", project_id=project_id)


def test_a_project_that_reads_much_leaves_places_to_its_neighbours(store: Store) -> None:
    assert store._places
    with all_taken(store._places, PROJECT_ID):
        assert _ask(store, NEIGHBOUR_ID) == [(NEIGHBOUR_ID,)]
        with pytest.raises(StoreUnavailable, match="Try again"):
            _ask(_impatient(store), PROJECT_ID)


def test_what_writes_alerts_and_jobs_of_no_project_wait_behind_no_read(store: Store) -> None:
    assert store._places
    with all_taken(store._places, PROJECT_ID), all_taken(store._places, NEIGHBOUR_ID):
        insert_traces(store, {})
        assert _ask(store.limited(60).unqueued(), PROJECT_ID) == [(PROJECT_ID,)]
        assert store.query_rows("SELECT 1") == [(1,)]
        with pytest.raises(StoreUnavailable):
            _ask(_impatient(store), THIRD_ID)


def test_who_waits_reads_as_soon_as_a_place_is_free() -> None:
    places, waited_s = Places(2), []
    begun_s = time.monotonic()

    def wait() -> None:
        with places.take(PROJECT_ID, 60):
            waited_s.append(time.monotonic() - begun_s)

    with places.take(PROJECT_ID):
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        waiting.join(0.3)
        assert not waited_s
    waiting.join(30)

    assert len(waited_s) == 1
    with (
        places.take(PROJECT_ID, 0),
        places.take(NEIGHBOUR_ID, 0),
        pytest.raises(StoreUnavailable),
        places.take(THIRD_ID, 0),
    ):
        pass


def test_downloads_of_a_project_take_turns_and_leave_its_pages_their_places(store: Store) -> None:
    download, began = store.for_download(), time.monotonic()

    def read(_: int) -> float:
        download.query_rows("SELECT sleep(0.5), {project_id:UInt32}", project_id=PROJECT_ID)
        return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        downloads = [pool.submit(read, number) for number in range(4)]
        time.sleep(0.2)  # all of them ask
        store.query_rows("SELECT {project_id:UInt32}", project_id=PROJECT_ID)
        waited_s = time.monotonic() - began
        ended_s = sorted(one.result(60) for one in downloads)

    assert ended_s[-1] >= 4 * 0.5
    assert waited_s < ended_s[-1]
