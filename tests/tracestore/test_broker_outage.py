"""A broker that is away holds up neither ingest nor the stop."""

from __future__ import annotations

from pathlib import Path

from tests.live import start_server
from tests.waiting import wait_until
from tracestore.celery import app


def test_instance_without_its_broker_serves_and_stops_in_time(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    wait_until(lambda: "Cannot connect to redis" in server.log.read_text())

    assert server.stop() == 0  # it would wait for the broker for ever


def test_workers_never_give_up_on_the_broker() -> None:
    assert app.conf.broker_connection_max_retries is None
