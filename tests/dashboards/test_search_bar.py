"""What the server answers while a person types, and the page that explains the language."""

from __future__ import annotations

import html
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.language import parse_log_query, parse_query
from tracestore.language.examples import SECTIONS
from tracestore.language.fields import FIELDS, LOG_FIELDS

pytestmark = pytest.mark.usefixtures("default_project")


def _ask(client: Client, text: str, **more: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/traces/complete", {"q": text, **more}).json()
    return answer


def _labels(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["label"], item["help"]) for item in answer["items"]]


def test_values_of_the_open_range_are_offered_with_their_counts(client: Client, store: Store) -> None:
    day_before_ns = time.time_ns() - 30 * 3600 * 10**9
    insert_traces(
        store, {"agents": ["triage"]}, {"agents": ["triage", "refunds"]}, {"agents": ["old"], "start_ns": day_before_ns}
    )

    assert _labels(_ask(client, "agent(")) == [("triage", "2 traces"), ("refunds", "1 trace")]


def test_counting_is_not_repeated_for_each_key(client: Client, store: Store) -> None:
    insert_traces(store, {"agents": ["triage"]})
    assert _labels(_ask(client, "agent:t")) == [("triage", "1 trace")]
    insert_traces(store, {"agents": ["triage"]})

    assert _labels(_ask(client, "agent:tr")) == [("triage", "1 trace")]


def test_values_that_take_too_long_are_left_out(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise QueryTooExpensive("too long")

    monkeypatch.setattr(Store, "query", refuse)

    assert _ask(client, "tool:")["items"] == []


def test_what_is_wrong_is_said_with_its_place(client: Client, store: Store) -> None:
    problem = _ask(client, "verson:v3 tool(a)")["problem"]

    assert problem == {"message": "There is no field “verson”.", "position": 0, "length": 6, "suggestion": "version"}
    assert _ask(client, "tool(a) then tool(b)")["problem"] is None
    assert client.get("/logs/complete", {"q": "tool(a)"}).json()["problem"]["message"].startswith("A log record has no spans")


def test_page_of_the_language_runs_every_example(client: Client, store: Store) -> None:
    text = client.get("/help/query").content.decode()

    links = [html.unescape(link) for link in re.findall(r'href="(/(?:traces|logs)\?q=[^"]*)"', text)]
    queries = {(urlsplit(link).path, parse_qs(urlsplit(link).query)["q"][0]) for link in links}
    for path, query in queries:
        (parse_query if path == "/traces" else parse_log_query)(query)
    shown = {query for section in SECTIONS for example in section.examples for query in example.queries}
    assert {("/traces", query) for query in shown | {field.example for field in FIELDS}} <= queries
    assert {("/logs", field.example) for field in LOG_FIELDS} <= queries


def test_every_example_finds_its_way_through_the_engine(client: Client, store: Store) -> None:
    for section in SECTIONS:
        for example in section.examples:
            for query in example.queries:
                for path in ("/api/v1/traces", "/api/v1/spans"):
                    answer = client.get(path, {"q": query, "start": "now-1h"})
                    assert (answer.status_code, answer.json()["results"]) == (200, []), query


def test_refused_query_links_to_the_page_of_the_language(client: Client, store: Store) -> None:
    answer = client.get("/traces", {"q": "verson:v3"})

    assert answer.status_code == 422
    assert 'href="/help/query"' in answer.content.decode()
