"""Queries as long as one can be, which a page narrows by a condition of its own."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.usefixtures("default_project")

LONGEST = ["version:" + "x" * 1990, "(" * 19 + "version:a" + ")" * 19, " ".join(f"version:v{number}" for number in range(50))]
IDS = ["characters", "depth", "conditions"]


@pytest.mark.parametrize("query", LONGEST, ids=IDS)
@pytest.mark.parametrize("path", ["/traces", "/why/answer", "/compare/answer", "/dashboards/overview/numbers"])
def test_longest_query_is_answered_where_nothing_is_added(client: Client, store: Store, path: str, query: str) -> None:
    insert_traces(store, {"versions": ["v1"], "outcome": "error"}, {"versions": ["v2"]})

    assert client.get(path, {"q": query, "a": query, "b": "version:v2"}).status_code == 200


@pytest.mark.parametrize("query", [LONGEST[0], LONGEST[2]], ids=[IDS[0], IDS[2]])
@pytest.mark.parametrize("path", ["/sessions/s-1", "/users/u-1"])
def test_query_that_a_page_cannot_narrow_is_refused_with_a_sentence(client: Client, store: Store, path: str, query: str) -> None:
    insert_traces(store, {"versions": ["v1"]})

    page = client.get(path, {"q": query})
    fragment = client.get(path, {"q": query}, headers={"HX-Request": "true"})

    assert (page.status_code, fragment.status_code) == (400, 400)
    assert "Open the page without it" in page.content.decode()
    assert fragment.content.decode().startswith("This page adds a condition to the query")
