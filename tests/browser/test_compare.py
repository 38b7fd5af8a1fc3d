"""Comparing two traces, and the agent graph, as a person uses them."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.agents import send_run
from tests.browser.conftest import OpenPage, find_too_narrow
from tests.live import LiveServer, start_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("compare"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def runs(server: LiveServer) -> tuple[str, str]:
    """A run that went well, and a failing one of the next version."""
    ids = (
        send_run(server.otlp_url, version="v2", age_s=120),
        send_run(server.otlp_url, version="v3", error="no answer", attributes={"gen_ai.system_instructions": "Be brief"}),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if len(_get(server, "/api/v1/traces")["results"]) == 2:
            return ids
        time.sleep(0.1)
    raise AssertionError("the runs did not arrive")


def _get(server: LiveServer, path: str) -> Any:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:
        return json.load(answer)


def test_from_a_failing_trace_to_its_difference_by_keys(server: LiveServer, runs: tuple[str, str], open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces/{runs[1]}")
    page.get_by_role("link", name="Compare with…").click()
    page.get_by_role("link", name="Compare with " + runs[0][:8]).click()
    page.wait_for_url(f"**/compare/traces?a={runs[1]}&b={runs[0]}")  # and for its scripts

    page.keyboard.press("n")
    expect(page.locator(".cmp-row--current")).to_have_attribute("id", "row-0")
    page.keyboard.press("n")
    current = page.locator(".cmp-row--current")
    expect(current).to_contain_text("execute_tool search_orders")
    page.keyboard.press("Enter")

    detail = page.locator(".cmp-detail")
    expect(detail.locator("del")).to_contain_text("no answer")
    page.keyboard.press("x")
    expect(page).to_have_url(f"{server.url}/compare/traces?a={runs[0]}&b={runs[1]}")


def test_pages_are_not_wider_than_their_window(server: LiveServer, runs: tuple[str, str], open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/compare/traces?a={runs[0]}&b={runs[1]}")
    page.locator(".cmp-row__open").last.click()
    expect(page.locator(".cmp-detail h3").first).to_be_visible()
    assert find_too_narrow(page) == []

    page.goto(f"{server.url}/agents?q=version:v3&against=version:v2")
    expect(page.locator(".graph__node")).to_have_count(3)
    assert find_too_narrow(page) == []


def test_graph_shows_numbers_sorts_and_leads_to_the_traces(
    server: LiveServer, runs: tuple[str, str], open_page: OpenPage
) -> None:
    page = open_page(f"{server.url}/agents")
    expect(page.locator("#agents")).to_have_attribute("aria-busy", "false")  # scrolled to where the runs begin
    node = page.locator(".graph__node--tool")
    node.hover()
    expect(page.locator("#graph-card")).to_contain_text("search_orders")
    expect(page.locator("#graph-card")).to_contain_text("50%")
    head = page.locator("table").first.get_by_role("columnheader", name="Calls")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")

    node.click()

    expect(page.locator(".trace-row")).to_have_count(2)
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)["q"] == ["tool:search_orders"]
