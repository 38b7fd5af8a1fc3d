"""A whole trace as a download: what comes back through ingest is what was sent."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import Client

from dashboards.views import trace as trace_views
from ingest.otlp import check_json
from tests.queries.conftest import T0, SendSpans, send_spans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.queries.spans import get_span

pytestmark = pytest.mark.usefixtures("default_project")
__all__ = ["send_spans"]  # a fixture

A, ROOT, CHAT = "a" * 32, "1" * 16, "2" * 16
_batches = itertools.count(1)
MANY = {
    "text": "größe \u202e\n", "number": -(2**62), "share": 0.25, "yes": True, "nothing": None, "list": ["a", 1, [True]],
    "map": {"inner": {"deep": 1}}, "": "",
}  # fmt: skip


def _download(client: Client, form: str) -> Any:
    response = client.get(f"/traces/{A}/download", {"format": form})
    assert response.status_code == 200
    assert response["Content-Disposition"] == f'attachment; filename="trace-{A}.{form}.json"'

    async def read() -> bytes:
        return b"".join([part async for part in cast(StreamingHttpResponse, response)])

    return json.loads(async_to_sync(read)())


def _send(send: SendSpans) -> None:
    send(
        {"span_id": ROOT, "name": "root", "attributes": MANY, "links": [("b" * 32, "c" * 16, {"why": "retry"})]},
        {"span_id": CHAT, "parent": ROOT, "name": "chat", "start_ns": T0 + 9, "error": True, "events": [("said", MANY)]},
        resource={"service.name": "shop", "host": {"cores": 2}},
        scope={"scope.key": "v"},
    )


def test_otlp_download_is_ingested_as_it_was_sent(
    client: Client, store: Store, send_spans: SendSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_views, "_DOWNLOAD_BATCH", 1)
    _send(send_spans)

    document = _download(client, "otlp")
    checked = check_json(json.dumps(document).encode())
    insert_batch(store, [(2, T0, checked.payload)], writer="again", batch_seq=next(_batches))

    assert len(document["resourceSpans"]) == 2
    for span_id in (ROOT, CHAT):
        sent, again = (get_span(store, project_id=project, trace_id=A, span_id=span_id) for project in (1, 2))
        assert replace(again, received_ns=0) == replace(sent, received_ns=0)


def test_download_of_rows_holds_every_step(client: Client, store: Store, send_spans: SendSpans) -> None:
    _send(send_spans)

    rows = _download(client, "rows")

    assert [row["summary"]["name"] for row in rows] == ["root", "chat"]
    assert rows[0]["attributes"] == MANY


def test_unknown_form_is_not_found(client: Client, store: Store, send_spans: SendSpans) -> None:
    _send(send_spans)

    assert client.get(f"/traces/{A}/download", {"format": "xml"}).status_code == 404
