"""Reviews by somebody who is logged in: one for each run and step, replaced and withdrawn by itself."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import TIMEOUT_MS, log_in
from tests.browser.traces import wait_ready
from tests.ingest.conftest import PROTOBUF
from tests.live import LiveServer, start_server
from tests.spans import build_request
from tests.waiting import wait_until

PASSWORD = "correct horse"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
RUNS = ("a" * 32, "b" * 32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = start_server(tmp_path_factory.mktemp("reviews"), TRACESTORE_ADMIN_PASSWORD=PASSWORD)
    yield live
    live.stop()


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """The page of the first of two runs, as the admin sees it."""
    now_ns = time.time_ns()
    body = build_request(*({"trace_id": run, "span_id": "1" * 16, "start_ns": now_ns - 10**9} for run in RUNS))
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/traces", body, {"content-type": PROTOBUF} | BASIC)).close()
    wait_until(lambda: all(_is_there(server, run) for run in RUNS))
    with browser.new_context(reduced_motion="reduce") as context:
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        log_in(page, server, f"/traces/{RUNS[0]}", PASSWORD)
        yield page


def _is_there(server: LiveServer, run: str) -> bool:
    listed = urllib.request.Request(f"{server.url}/api/v1/traces?q=trace:{run}", headers=BASIC)
    with urllib.request.urlopen(listed, timeout=60) as answer:
        return bool(json.load(answer)["results"])


def _review(page: Page, verdict: str, note: str) -> Locator:
    wait_ready(page)
    page.keyboard.press("n")
    page.get_by_label(verdict, exact=True).check()
    page.get_by_label("Note", exact=True).fill(note)
    page.get_by_role("button", name="Save").click()
    reviews = page.locator("#reviews li")
    expect(reviews.first).to_contain_text(note)
    return reviews


def test_own_review_is_replaced_and_withdrawn_on_its_run_alone(server: LiveServer, page: Page) -> None:
    _review(page, "Good", "answered at once")
    expect(_review(page, "Bad", "answered the wrong question")).to_have_count(1)
    page.goto(f"{server.url}/traces/{RUNS[1]}")
    _review(page, "Good", "as it should be")

    wait_ready(page)
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("#reviews li")).to_have_count(0)
    page.goto(f"{server.url}/traces/{RUNS[0]}")

    expect(page.locator("#reviews li")).to_have_count(1)
    expect(page.locator("#reviews li")).to_contain_text("answered the wrong question")
    page.get_by_role("link", name="Others rated bad").click()
    expect(page.locator(f"[data-trace='{RUNS[0]}']")).to_be_visible()
    expect(page.locator("[data-trace]")).to_have_count(1)
