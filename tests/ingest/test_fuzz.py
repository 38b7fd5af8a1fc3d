"""A short fuzz run (`make fuzz` is the long one): the same code, some thousand bodies, over every way in."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.fuzz.mutations import Mutator, load_seeds
from tests.fuzz.result import Result
from tests.fuzz.run import Sockets, fuzz_in_process
from tests.ingest.conftest import Receiver
from tracestore.clickhouse.client import Store


@pytest.mark.parametrize("seed", [20261121, secrets.randbits(32)], ids=["fixed", "random"])
def test_hostile_bodies_break_nothing_and_cost_no_neighbour(store: Store, tmp_path: Path, seed: int) -> None:
    result = fuzz_in_process(store, tmp_path, Mutator(load_seeds(), seed, 1), 2000)

    assert result.failures == [], f"seed {seed}\n{result.describe(0)}"
    assert result.bodies == 2000
    assert result.guard_count > 300


def test_hostile_bodies_over_sockets(receiver: Receiver, tmp_path: Path) -> None:
    mutator, result = Mutator(load_seeds(), 7, 2), Result()
    sockets = Sockets(f"http://127.0.0.1:{receiver.port}", f"127.0.0.1:{receiver.grpc_port}")

    for body in (mutator.make() for _ in range(500)):
        result.add(body, *sockets.send(body), tmp_path)
    sockets.close()

    assert result.failures == []
    stored = {bytes.fromhex(trace_id) for trace_id, _ in receiver.stored_spans()}
    stored |= {trace_id for (trace_id,) in receiver.store.query_rows("SELECT trace_id FROM logs")}
    assert set().union(*result.guards.values()) <= stored
