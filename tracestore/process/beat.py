"""Celery's beat, which plans by the wall clock, kept going when that clock is set back."""

from __future__ import annotations

from typing import Any

from celery.beat import Scheduler


class SteadyScheduler(Scheduler):  # type: ignore[misc]  # Celery is not typed
    """Runs a job at once whose last run lies in the future; Celery's own would wait until the clock gets there again."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        entries = list(self.schedule.values())
        now = self.app.now()
        if any(entry.last_run_at > now for entry in entries):
            for entry in entries:
                entry.last_run_at = now - entry.schedule.run_every
            self._heap = None  # its order is by the old clock
        return super().tick(*args, **kwargs)
