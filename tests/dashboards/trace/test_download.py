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

from ingest.otlp.check import check_json
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.queries import spans
from tracestore.queries.spans import get_span, stream_spans

pytestmark = pytest.mark.usefixtures("default_project")

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
        scope_attributes={"scope.key": "v"},
    )


def test_otlp_download_is_ingested_as_it_was_sent(
    client: Client, store: Store, send_spans: SendSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_PART_SPANS", 1)
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


MINUTE_NS = 60 * 10**9


def test_time_of_a_download_does_not_grow_with_the_square_of_its_steps(
    client: Client, store: Store, send_spans: SendSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_spans(*({"span_id": f"{number:016x}", "start_ns": T0 + number * MINUTE_NS // 1000} for number in range(1, 2501)))
    asked: list[dict[str, Any]] = []
    ask = Store.query_rows

    def note(store: Store, sql: str, **params: Any) -> Any:
        asked.append(params)
        return ask(store, sql, **params)

    monkeypatch.setattr(Store, "query_rows", note)
    rows = _download(client, "rows")

    assert [int(row["summary"]["span_id"], 16) for row in rows] == list(range(1, 2501))
    parts = [params for params in asked if "span_ids" in params]
    assert [len(params["span_ids"]) for params in parts] == [1000, 1000, 500]
    assert sum(params["end_ns"] - params["start_ns"] for params in parts) <= 2500 * MINUTE_NS // 1000


def test_part_of_a_download_holds_few_large_steps(store: Store, send_spans: SendSpans) -> None:
    text = "x" * (3 * 2**20)
    send_spans(*({"span_id": f"{number:016x}", "attributes": {"text": text}} for number in range(1, 6)))

    parts = stream_spans(store, project_id=1, trace_id=A)

    assert [len(part) for part in parts] == [2, 2, 1]


def test_step_that_was_sent_again_with_another_start_is_downloaded_as_it_came_last(store: Store, send_spans: SendSpans) -> None:
    for received, start_ns in enumerate((T0 + 9 * MINUTE_NS, T0, T0 + 5 * MINUTE_NS)):
        send_spans({"span_id": ROOT, "name": f"try {received}", "start_ns": start_ns}, received_ns=T0 + received)

    assert [[span.summary.name for span in part] for part in stream_spans(store, project_id=1, trace_id=A)] == [["try 2"]]
