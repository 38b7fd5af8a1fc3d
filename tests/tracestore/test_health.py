"""`/readyz` says why spans cannot be stored, summarised and read."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from ingest.service import Ingest
from tests.factories import default_project
from tests.live import ROOT, copy_template
from tracestore.clickhouse.client import Store
from tracestore.jobs.summarize import summarize_pending
from tracestore.keys import forget_keys
from tracestore.models import IngestKey, Project
from tracestore.process import liveness

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_watched")]


def ask(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/readyz")
    return response.status_code, response.json()["reasons"]


def test_running_instance_is_ready(client: Client, ingest: Ingest) -> None:
    assert ask(client) == (200, {})


def test_ended_drain_is_a_reason(client: Client, ingest: Ingest) -> None:
    ingest._drain.stop(60)

    assert ask(client) == (503, {"ingest": "The thread that empties the spool has ended; restart the process."})


def test_ended_spool_is_a_reason_and_refuses_requests(client: Client, ingest: Ingest) -> None:
    with ingest.spool._arrived:
        ingest.spool._closing = True
        ingest.spool._arrived.notify()
    ingest.spool._thread.join(60)

    assert ask(client) == (503, {"ingest": "The thread that writes the spool has ended; restart the process."})


def test_protected_instance_tells_reasons_to_keys_of_the_default_project(client: Client, store: Store, settings: Any) -> None:
    settings.KEY_REQUIRED, settings.API_KEY = True, "operator"
    default_project()
    tenant = Project.objects.create(slug="tenant", name="Tenant")
    IngestKey.objects.create(project=tenant, name="theirs", sha256=hashlib.sha256(b"tenant").hexdigest())
    forget_keys()
    liveness.watch_thread("jobs", threading.Thread(target=lambda: None))

    told = {key: client.get("/readyz", headers={"x-api-key": key} if key else {}) for key in ("", "tenant", "operator")}

    assert {answer.status_code for answer in told.values()} == {503}
    assert [list(answer.json()["reasons"]) for answer in told.values()] == [["jobs"]] * 3
    assert ["restart" in answer.content.decode() for answer in told.values()] == [False, False, True]


def test_job_without_progress_is_a_reason_until_it_goes_on(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    liveness.watch_job("summaries")
    assert ask(client) == (200, {})

    monkeypatch.setattr(liveness, "_JOB_S", -1.0)
    status, reasons = ask(client)
    assert (status, list(reasons)) == (503, ["summaries"])
    assert "nothing was done for" in reasons["summaries"]

    liveness._jobs["summaries"] -= 1000
    monkeypatch.setattr(liveness, "_JOB_S", 120.0)
    assert ask(client)[0] == 503
    summarize_pending()
    assert ask(client) == (200, {})


def test_ended_thread_is_a_reason(client: Client, store: Store) -> None:
    thread = threading.Thread(target=lambda: None)
    liveness.watch_thread("jobs", thread)
    thread.start()
    thread.join(60)

    assert ask(client) == (503, {"jobs": "its thread has ended; restart the process"})


DEAD_WORKER = """
import os, signal, threading, time, urllib.error, urllib.request, django
django.setup()
from celery.worker import WorkController
from tests.live import free_port
from tracestore.process import server
from django.conf import settings
WorkController.start = lambda self: None
settings.PORT = free_port()
def ask():
    for _ in range(800):
        time.sleep(0.2)
        try:
            print(urllib.request.urlopen(f"http://127.0.0.1:{settings.PORT}/readyz", timeout=30).read().decode(), flush=True)
        except urllib.error.HTTPError as error:
            print(error.code, error.read().decode(), flush=True)
        except OSError:
            continue
        break
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=ask, daemon=True).start()
server.run(("web", "worker"))
"""


def test_server_whose_worker_has_ended_says_so(tmp_path: Path) -> None:
    copy_template(tmp_path)
    environment = os.environ | {"TRACESTORE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}

    result = subprocess.run(
        [sys.executable, "-c", DEAD_WORKER], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False
    )

    ended = "its thread has ended; restart the process"
    reasons = json.dumps({"jobs": ended, "deliveries": ended})
    assert f'503 {{"status": "unavailable", "reasons": {reasons}}}' in result.stdout
