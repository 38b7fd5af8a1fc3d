"""What a worker does before its first job."""

from __future__ import annotations

import pytest
from celery import signals

from tracestore.celery import app, delivery_app


def test_worker_starts_without_checks_that_load_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[None] = []
    monkeypatch.setattr("django.core.checks.run_checks", lambda: checks.append(None))

    for worker_app in (app, delivery_app):
        answers = signals.import_modules.send(sender=worker_app)  # as a worker does

        assert answers  # of the part of Celery that knows Django, among others
    assert checks == []
