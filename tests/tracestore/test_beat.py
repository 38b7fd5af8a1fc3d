"""The scheduled jobs go on whatever happens to the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery

from tracestore.process.beat import SteadyScheduler


@pytest.fixture
def scheduler() -> SteadyScheduler:
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {name: {"task": name, "schedule": 60.0} for name in ("one", "two")}
    return SteadyScheduler(app=app)


def run_due(scheduler: SteadyScheduler, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tick until nothing is due any more; return what ran."""
    ran: list[str] = []

    def note(entry: Any, **_: Any) -> None:
        ran.append(entry.name)

    monkeypatch.setattr(scheduler, "apply_entry", note)
    for _ in range(20):
        scheduler.tick()
    return ran


def test_jobs_go_on_after_the_clock_was_set_back(scheduler: SteadyScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    run_due(scheduler, monkeypatch)
    for entry in scheduler.schedule.values():
        entry.last_run_at += timedelta(hours=5)  # a clock set back by five hours leaves them in the future

    assert sorted(run_due(scheduler, monkeypatch)) == ["one", "two"]


def test_jobs_wait_for_their_interval(scheduler: SteadyScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    run_due(scheduler, monkeypatch)

    assert run_due(scheduler, monkeypatch) == []
