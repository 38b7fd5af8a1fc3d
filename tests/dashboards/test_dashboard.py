"""The dashboard's page, its numbers and its chart data."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboards.panels import PANELS
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive

pytestmark = pytest.mark.usefixtures("default_project")


def test_without_any_trace_the_page_shows_the_way_to_the_setup(client: Client, store: Store) -> None:
    body = client.get("/dashboard").content.decode()

    assert "Connect an agent" in body
    assert "data-chart=" not in body


def test_page_has_a_frame_per_chart_with_the_search_in_its_address(client: Client, store: Store) -> None:
    insert_traces(store)

    body = client.get("/dashboard?q=version:v3&start=now-7d&group_by=tool").content.decode()

    assert body.count("data-chart=") == len(PANELS)
    assert 'data-chart="/dashboard/charts/requests?q=version%3Av3&amp;start=now-7d&amp;group_by=tool"' in body


@pytest.mark.parametrize(("group_by", "overlaps"), [("tool", True), ("outcome", False), ("", False)])
def test_page_says_when_one_trace_counts_in_several_groups(client: Client, store: Store, group_by: str, overlaps: bool) -> None:
    insert_traces(store)

    body = client.get("/dashboard", {"group_by": group_by}).content.decode()

    assert (f"A trace with more than one {group_by} counts in each." in body) == overlaps


def test_page_is_free_of_inline_script_and_style(client: Client, store: Store) -> None:
    insert_traces(store)

    response = client.get('/dashboard?q="<script>alert(1)</script>"')

    assert b" style=" not in response.content
    assert b"<script>" not in response.content
    assert "unsafe-inline" not in response["Content-Security-Policy"]


def test_bad_query_is_422_with_the_sentence_and_no_charts(client: Client, store: Store) -> None:
    response = client.get("/dashboard?q=verison:v3")

    assert response.status_code == 422
    assert "There is no field" in response.content.decode()


@pytest.mark.parametrize("name", PANELS)
@pytest.mark.parametrize("group_by", ["", "version"])
def test_every_chart_answers(client: Client, store: Store, name: str, group_by: str) -> None:
    insert_traces(
        store, {"outcome": "error", "error_types": ["TimeoutError"], "tools": [("refund", 1, 1)], "versions": ["v3"]}, {},
        cost_usd=0.5, input_tokens=10,
    )  # fmt: skip

    answer = client.get(f"/dashboard/charts/{name}", {"group_by": group_by, "start": "now-1h"}).json()

    assert not answer["empty"]
    assert len(answer["queries"]) == len(answer["figure"]["data"])


def test_chart_that_fails_says_so_in_a_sentence(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise QueryTooExpensive("Choose a shorter time range.")

    monkeypatch.setattr("dashboards.views.dashboard.metric_series", refuse)
    response = client.get("/dashboard/charts/cost")

    assert response.status_code == 503
    assert response.json() == {"error": {"message": "Choose a shorter time range."}}


def test_unknown_chart_is_404(client: Client, store: Store) -> None:
    assert client.get("/dashboard/charts/moon").status_code == 404


def test_tiles_link_to_the_traces_they_count(client: Client, store: Store) -> None:
    insert_traces(store, {"outcome": "error"}, {})

    body = client.get("/dashboard/tiles?q=env:*").content.decode()

    assert "no earlier data" in body
    assert '/traces?q=env%3A%2A+status%3Aerror"' in body


def test_search_without_a_match_leads_to_the_list_that_explains_it(client: Client, store: Store) -> None:
    insert_traces(store, {})

    assert "No trace matches" not in client.get("/dashboard/tiles?q=-tool:nobody").content.decode()
    body = client.get("/dashboard/tiles?q=tool:nobody").content.decode()
    assert "No trace matches" in body
    assert "/traces?q=tool%3Anobody" in body


def test_models_without_a_price_are_named(client: Client, store: Store) -> None:
    insert_traces(store, {"unpriced_models": ["acme-7b"]}, {"unpriced_models": ["acme-7b", "<b>x"]})

    body = client.get("/dashboard/tiles").content.decode()

    assert "2 models without a known price are missing from the cost" in body
    assert "acme-7b" in body
    assert "<b>x" not in body
