"""What was counted in memory is written while a process runs and when it ends."""

from __future__ import annotations

import threading

import pytest

from tracestore.intake import flusher
from tracestore.intake.flusher import Flusher


@pytest.mark.django_db(transaction=True)
def test_goes_on_when_one_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "_EVERY_S", 0.01)
    again = threading.Semaphore(0)

    def fail() -> None:
        raise RuntimeError("a bug")

    running = Flusher(fail, again.release)
    running.start()
    written = [again.acquire(timeout=120) for _ in range(3)]
    running.stop(120)

    assert written == [True, True, True]


@pytest.mark.django_db(transaction=True)
def test_writes_what_is_left_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "_EVERY_S", 600.0)
    written: list[str] = []
    running = Flusher(lambda: written.append("counts"))
    running.start()
    running.stop(120)

    assert written == ["counts"]
