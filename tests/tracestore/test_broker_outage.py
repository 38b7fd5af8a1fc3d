"""A broker that is away holds up neither ingest nor the stop."""

from __future__ import annotations

import time
from pathlib import Path

from tests.live import start_server
from tracestore.celery import app

STOP_S = 10


def test_instance_without_its_broker_serves_and_stops_in_time(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    deadline = time.monotonic() + 30
    while "Cannot connect to redis" not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)

    started = time.monotonic()
    status = server.stop(timeout_s=3 * STOP_S)

    assert status == 0
    assert time.monotonic() - started < STOP_S


def test_workers_never_give_up_on_the_broker() -> None:
    assert app.conf.broker_connection_max_retries is None
