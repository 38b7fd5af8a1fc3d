"""The list of log records over records that came through the real tables: page, pages, empty states, links, API."""

from __future__ import annotations

import re
import time
from html import unescape
from urllib.parse import urlsplit

import pytest
from django.test import Client

from dashboards.views import logs as log_views
from tests.factories import new_trace_id
from tests.logs import insert_logs
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable

pytestmark = pytest.mark.usefixtures("default_project")

STEP = "2" * 16
ROWS = {"HX-Request": "true"}


def page(client: Client, path: str = "/logs", status: int = 200, **parameters: str) -> str:
    response = client.get(path, parameters)
    assert response.status_code == status
    return unescape(response.content.decode())


def test_records_stand_newest_first_with_links_to_trace_and_step(client: Client, store: Store) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    insert_logs(
        store,
        {"time_ns": now_ns - 20, "trace_id": trace_id, "span_id": STEP, "severity": 17, "event_name": "refund.failed"},
        {"time_ns": now_ns - 10, "body": "of no trace", "attributes": {"session.id": "s-1"}},
    )

    text = page(client)

    assert text.index("of no trace") < text.index("refund.failed")
    assert f"/traces/{trace_id}?span={STEP}" in text
    assert "Names no trace" in text
    assert "log--error" in text
    assert "/logs?q=session:s-1" in text.replace("%3A", ":")
    assert 'aria-current="page"' in text


def test_query_and_range_are_in_the_address_and_narrow_the_list(client: Client, store: Store) -> None:
    insert_logs(store, {"event_name": "kept"}, {"event_name": "dropped"}, time_ns=time.time_ns() - 10)

    text = page(client, q="event:kept")

    assert "dropped" not in text
    assert 'value="event:kept"' in text


def test_next_page_is_loaded_when_the_end_shows(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_views, "PAGE_SIZE", 2)
    now_ns = time.time_ns()
    insert_logs(store, *({"time_ns": now_ns - number * 1000, "body": f"record {number}"} for number in range(1, 4)))

    first = page(client)
    address = first.split('hx-get="/logs?')[1].split('"')[0]
    more = client.get(f"/logs?{address}", headers=ROWS).content.decode()

    assert "record 3" not in first
    assert "record 3" in more
    assert "<html" not in more
    assert "hx-get" not in more
    assert client.get("/logs?cursor=nonsense", headers=ROWS).status_code == 400


def test_query_that_makes_no_sense_is_explained(client: Client) -> None:
    text = page(client, q="tool:refund", status=422)

    assert "There is no field “tool”" in text
    assert "severity:error" in text  # the fields that there are


def test_project_without_records_is_told_how_to_send_them(client: Client, store: Store) -> None:
    text = page(client)

    assert 'id="no-logs"' in text
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in text
    assert "CLAUDE_CODE_ENABLE_TELEMETRY=1" in text
    assert 'data-copy-from="#logs-how"' in text


def test_search_without_hit_says_where_there_is_one(client: Client, store: Store) -> None:
    insert_logs(store, {"time_ns": time.time_ns() - 3 * 86_400 * 10**9, "event_name": "old"})

    text = page(client, q="event:old")
    nowhere = page(client, q="event:never")

    assert "The newest match is from" in text
    assert "start=now-7d" in text
    assert "No record of any time matches" in nowhere
    assert "Drop the query" in nowhere


def test_text_of_strangers_is_shown_and_not_run_and_whole_on_request(client: Client, store: Store) -> None:
    body = "<script>alert(1)</script>" + "x" * 30_000
    insert_logs(store, {"time_ns": time.time_ns() - 10, "body": body})

    response = client.get("/logs")
    address = unescape(response.content.decode()).split('<a href="/logs/')[1].split('"')[0]
    whole = client.get(f"/logs/{address}")

    assert b"<script>alert" not in response.content
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert whole.content.decode() == body
    assert client.get("/logs/1/ffffffffffffffff/text?ref=body").status_code == 404


def test_page_says_when_the_store_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("ClickHouse does not answer.")

    monkeypatch.setattr(log_views, "find_logs", fail)

    assert "ClickHouse does not answer." in page(client, status=503)


def test_search_bar_offers_fields_and_values_of_log_records(client: Client, store: Store) -> None:
    insert_logs(store, {"time_ns": time.time_ns() - 10, "event_name": "tool_decision"})

    names = [item["label"] for item in client.get("/logs/complete", {"q": "", "cursor": "0"}).json()["items"]]
    events = client.get("/logs/complete", {"q": "event:", "cursor": "6"}).json()["items"]
    levels = [item["label"] for item in client.get("/logs/complete", {"q": "severity:e", "cursor": "10"}).json()["items"]]

    assert "severity:" in names
    assert "tool:" not in names
    assert [(item["label"], item["help"]) for item in events] == [("tool_decision", "1 record")]
    assert "error" in levels


def test_api_lists_the_records_of_a_range_page_by_page(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    insert_logs(store, *({"time_ns": now_ns - number * 1000, "severity": 17, "body": f"b{number}"} for number in (1, 2, 3)))
    insert_logs(store, {"time_ns": now_ns - 10, "severity": 9, "body": "fine"})

    first = client.get("/api/v1/logs", {"q": "severity:error", "limit": "2"}).json()
    parts = urlsplit(first["next"])
    second = client.get(f"{parts.path}?{parts.query}").json()

    assert [record["body"] for record in first["results"] + second["results"]] == ["b1", "b2", "b3"]
    assert second["next"] is None
    error = client.get("/api/v1/logs", {"q": "tool:x"})
    assert (error.status_code, error.json()["error"]["parameter"]) == (400, "q")
    assert client.get("/api/v1/logs", {"query": "x"}).status_code == 400


def test_opened_record_of_the_address_is_shown_also_beyond_the_list(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    insert_logs(store, {"time_ns": now_ns - 10, "body": "first"}, {"time_ns": now_ns - 5, "body": "second"})
    keys = re.findall(r'data-log="([0-9]+-[0-9a-f]{16})"', page(client))

    listed, beyond = page(client, record=keys[1]), page(client, q="second", record=keys[1])

    assert f'data-log="{keys[1]}" open' in listed
    assert "opened-log" not in listed
    assert f'data-log="{keys[1]}" open' in beyond.split('id="opened-log"')[1].split("</section>")[0]
    assert f'data-log="{keys[0]}" open' not in beyond


def test_address_that_names_no_record_shows_the_list(client: Client, store: Store) -> None:
    insert_logs(store, {"body": "kept"}, time_ns=time.time_ns() - 10)

    for record in ("x", "1-2", "9" * 40 + "-" + "0" * 16, "5-" + "f" * 16, "²-" + "f" * 16):
        text = page(client, record=record)
        assert "kept" in text, record
        assert "opened-log" not in text, record


def test_attribute_leads_to_the_records_of_the_same_time_with_its_value(client: Client, store: Store) -> None:
    insert_logs(store, {"attributes": {"decision": "reject", "n": 7}}, time_ns=time.time_ns() - 10)

    text = page(client, start="now-7d")

    assert 'href="/logs?q=attr.decision%3Areject&start=now-7d"' in text
    assert text.count('data-action="copy-value"') == 2
