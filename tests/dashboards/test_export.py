from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator

import pytest
from django.test import Client

from dashboards.trace_list import export
from dashboards.trace_list.export import CSV_COLUMNS, defuse, stream_csv
from tests.dashboards.answers import body_of
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.model import Page, TraceSummary
from tracestore.timerange import NS_PER_S

pytestmark = pytest.mark.usefixtures("default_project")


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_holds_what_the_list_shows_in_its_order(client: Client, store: Store) -> None:
    cheap, dear, _ = insert_traces(
        store,
        {"cost_usd": 0.5, "versions": ["v3"], "error_message": 'said "no",\nthen left'},
        {"cost_usd": 2.0, "versions": ["v3", "v4"], "tools": [("refund", 2, 1), ("lookup", 1, 0)]},
        {"cost_usd": 9.0, "versions": ["v2"]},
    )

    response = client.get("/traces/export.csv", {"q": "version:v3", "sort": "-cost"})

    rows = _rows(body_of(response))
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="traces-2.csv"'
    assert [row["trace_id"] for row in rows] == [dear, cheap]
    assert (rows[0]["versions"], rows[0]["tools"], rows[0]["cost_usd"]) == ("v3 v4", "refund lookup", "2.0")
    assert rows[1]["error_message"] == 'said "no",\nthen left'
    assert tuple(rows[0]) == CSV_COLUMNS


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r=1", "\uff1dcmd", '=HYPERLINK("x")'])
def test_text_of_a_trace_never_becomes_a_formula(client: Client, store: Store, text: str) -> None:
    insert_traces(store, name=text, user_id=text, error_types=[text, "b"])

    (row,) = _rows(body_of(client.get("/traces/export.csv")))

    assert row["name"] == row["user_id"] == "'" + text
    assert row["error_types"] == f"'{text} b"


def test_plain_text_and_numbers_are_left_alone() -> None:
    assert [defuse(text) for text in ("", "refund", "a=1", "3-4")] == ["", "refund", "a=1", "3-4"]


def test_export_is_whole_for_who_reads_compressed_answers(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is a piece of the answer, and most clients read one gzip file of an answer, not one for each piece."""
    monkeypatch.setattr("dashboards.views.export.PAGE_SIZE", 2)
    ids = insert_traces(store, *({"name": f"run {number}"} for number in range(5)))

    response = client.get("/traces/export.csv", headers={"accept-encoding": "gzip, br"})

    assert "content-encoding" not in response.headers
    assert {row["trace_id"] for row in _rows(body_of(response))} == set(ids)


def test_json_is_that_of_the_api(client: Client, store: Store) -> None:
    insert_traces(store, {"name": "größe \u2028"}, {"cost_usd": None})

    body = json.loads(body_of(client.get("/traces/export.json")))

    assert body == {"traces": client.get("/api/v1/traces").json()["results"], "truncated": False}


def test_export_of_nothing_is_empty_and_well_formed(client: Client, store: Store) -> None:
    assert json.loads(body_of(client.get("/traces/export.json"))) == {"traces": [], "truncated": False}
    assert _rows(body_of(client.get("/traces/export.csv"))) == []


def test_export_ends_at_its_cap_and_says_so(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.views.export.MAX_TRACES", 5)
    monkeypatch.setattr("dashboards.views.export.PAGE_SIZE", 2)
    start_ns = time.time_ns() - 60 * NS_PER_S
    ids = insert_traces(store, *({"start_ns": start_ns - at * NS_PER_S} for at in range(8)))

    response = client.get("/traces/export.json")
    body = json.loads(body_of(response))

    assert [trace["trace_id"] for trace in body["traces"]] == ids[:5]
    assert body["truncated"] is True
    assert 'filename="traces-first-5-of-8.json"' in response.headers["Content-Disposition"]


def test_one_page_is_in_memory_at_a_time() -> None:
    given: list[int] = []

    def pages() -> Iterator[Page[TraceSummary]]:
        for number in range(100):
            given.append(number)
            yield Page([])

    stream = stream_csv(pages())
    next(stream)

    assert given == [0]


def test_export_that_cannot_be_made_says_why(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("The store does not answer.")

    bad = client.get("/traces/export.csv", {"q": "verson:v3"})
    unknown = client.get("/traces/export.xlsx")
    monkeypatch.setattr("dashboards.views.export.find_traces", fail)
    down = client.get("/traces/export.csv")

    assert (bad.status_code, unknown.status_code, down.status_code) == (422, 404, 503)
    assert b"There is no field" in bad.content
    assert b"The store does not answer." in down.content
    assert export.MAX_TRACES == 10_000
