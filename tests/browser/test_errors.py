"""Errors, sessions and users as a person uses them: by keyboard, from the list to the failing step, on a desktop and a phone."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.agents import send_run
from tests.browser.conftest import OpenPage, find_too_narrow
from tests.live import LiveServer, start_server
from tests.waiting import wait_until

LONG = "no-gap-" * 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """An instance with a conversation of four turns, two of which fail with one error, and one more error."""
    running = start_server(tmp_path_factory.mktemp("errors"))
    try:
        said = {"session.id": "c-77", "user.id": "u-1042"}
        for number, error in enumerate(("", "no answer for A-1", "", "no answer for A-2")):
            texts = {"input.value": f"question {number}", "output.value": f"answer {number}"}
            send_run(running.url, tool="refund", version="v3", error=error, age_s=400 - 60 * number, attributes=said | texts)
        send_run(
            running.url, tool=LONG, version=LONG, error=LONG, error_type=LONG, attributes={"session.id": LONG, "user.id": LONG}
        )
        wait_until(lambda: count_traces(running) == 5, 120)
        yield running
    finally:
        running.stop()


def count_traces(server: LiveServer) -> int:
    with urllib.request.urlopen(f"{server.url}/api/v1/traces", timeout=60) as answer:
        return len(json.load(answer)["results"])


def test_error_is_found_read_resolved_and_reopened(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces")
    page.evaluate(  # at once: the second counts only soon after the first
        """() => ["g", "e"].forEach((key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })))"""
    )
    page.wait_for_url("**/errors*", wait_until="load")  # keys work when the scripts have run
    expect(page.locator("[data-row]")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("TimeoutError")
    expect(page.locator("#error-traces")).to_contain_text("2 traces")

    page.get_by_label("Fixed in version").fill("v4")
    page.get_by_role("button", name="Resolve").click()
    expect(page.locator("h1")).to_contain_text("Resolved in v4")
    page.get_by_role("link", name="Errors", exact=True).last.click()
    expect(page.locator("[data-row]")).to_have_count(1)
    page.get_by_role("link", name="Resolved").click()
    page.wait_for_url(re.compile("resolved"))
    page.locator(".list-row__link").click()
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="Ignore")).to_be_visible()
    page.wait_for_load_state()

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/traces/[0-9a-f]{32}\?span=[0-9a-f]{16}$"))


def test_conversation_loads_its_turns_and_leads_to_their_traces(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/sessions")
    page.get_by_role("link", name="question 0").click()

    expect(page.locator(".turn")).to_have_count(4)
    expect(page.locator(".turn").first).to_contain_text("question 0")
    page.locator(".turn").last.scroll_into_view_if_needed()
    expect(page.locator(".turn").last).to_contain_text("answer 3")
    expect(page.locator(".turn").last).to_contain_text("no answer for A-2")
    page.get_by_role("link", name="u-1042").click()
    expect(page.locator("#sessions [data-row]")).to_have_count(1)


def test_failed_turns_are_reached_from_the_numbers_by_key_and_from_their_traces(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/sessions/c-77", height=500)
    chosen = page.locator(".turn[aria-selected=true]")
    page.get_by_role("link", name="2 traces").click()
    expect(chosen).to_contain_text("question 1")
    page.keyboard.press("e")
    expect(chosen).to_contain_text("question 3")
    page.keyboard.press("Shift+E")
    expect(chosen).to_contain_text("question 1")

    chosen.locator(".turn__link").click()
    page.get_by_role("link", name="c-77").click()

    expect(page.locator(".turn[aria-selected=true]")).to_contain_text("question 1")
    expect(page.locator(".turn[aria-selected=true]")).to_be_in_viewport()


def test_pages_are_not_wider_than_their_window(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/errors")
    hrefs = [page.locator(".list-row__link").nth(number).get_attribute("href") for number in range(2)]
    paths = ["/errors", *hrefs, "/sessions", "/sessions/c-77", f"/sessions/{LONG}", "/users", f"/users/{LONG}"]

    for path in paths:
        page.goto(f"{server.url}{path}")
        assert find_too_narrow(page) == [], path


@pytest.mark.parametrize("path", ["/sessions", "/users"])
def test_numbers_stay_near_their_name_in_a_wide_window(server: LiveServer, open_page: OpenPage, path: str) -> None:
    page = open_page(f"{server.url}{path}", width=2560)
    name = page.locator("thead th").first.bounding_box()
    table = page.locator("table.list").bounding_box()

    assert name
    assert table
    assert name["width"] < 0.4 * table["width"]
