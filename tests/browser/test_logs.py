"""The list of log records as a person uses it: search, keyboard, more rows, the way to the trace."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, find_too_narrow
from tests.ingest.conftest import PROTOBUF
from tests.live import LiveServer, start_server
from tests.logs import build_logs
from tests.spans import build_request
from tests.waiting import wait_until

TRACE, STEP = "a" * 32, "2" * 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("logs"))
    now_ns = time.time_ns()
    last = {"time_ns": now_ns, "trace_id": TRACE, "span_id": STEP, "event_name": "tool_decision", "body": "long " * 2000}
    records = [last, *({"time_ns": now_ns - n * 10**6, "event_name": f"event-{n}", "severity": 9} for n in range(1, 70))]
    trace = build_request({"trace_id": TRACE, "span_id": STEP, "name": "the step", "start_ns": now_ns - 10**9})
    # The spans first: they are stored when the records are, at the latest, which are waited for.
    for path, body in (("/v1/traces", trace), ("/v1/logs", build_logs(*records))):
        request = urllib.request.Request(server.otlp_url + path, data=body, headers={"content-type": PROTOBUF})
        urllib.request.urlopen(request, timeout=60).close()
    wait_until(lambda: count_logs(server) == len(records), 120)
    yield server
    server.stop()


def count_logs(server: LiveServer) -> int:
    with urllib.request.urlopen(f"{server.url}/api/v1/logs?limit=1000", timeout=60) as answer:
        return len(json.load(answer)["results"])


def open_logs(open_page: OpenPage, server: LiveServer) -> Page:
    return open_page(f"{server.url}/logs")


def test_keys_open_a_record_and_go_to_its_step(server: LiveServer, open_page: OpenPage) -> None:
    page = open_logs(open_page, server)
    newest = page.locator("[data-log]").first

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(newest.locator("[data-trace-link]")).to_be_visible()
    newest.get_by_role("button", name="Show all").click()
    expect(newest.get_by_role("button", name="Show less")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("o")

    expect(page.locator("#span-panel h2")).to_contain_text("the step")


def test_list_goes_on_where_it_ends_and_the_address_holds_the_search(server: LiveServer, open_page: OpenPage) -> None:
    page = open_logs(open_page, server)
    expect(page.locator("[data-log]")).to_have_count(50)

    page.locator(".logs__more").scroll_into_view_if_needed()
    expect(page.locator("[data-log]")).to_have_count(70)
    page.keyboard.press("/")
    page.keyboard.type("event:event-7 ")
    page.keyboard.press("Enter")

    expect(page.locator("[data-log]")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=event%3Aevent-7"))


def test_opened_record_stands_in_the_address(server: LiveServer, open_page: OpenPage) -> None:
    page = open_logs(open_page, server)
    third = page.locator("[data-log]").nth(2)
    key = third.get_attribute("data-log")

    third.locator("summary").click()
    page.wait_for_url(f"**record={key}")
    page.reload()

    expect(page.locator(f'[data-log="{key}"]')).to_have_attribute("open", "")
    page.locator(f'[data-log="{key}"] summary').click()
    page.wait_for_url(lambda url: "record=" not in url)


def test_page_is_not_wider_than_its_window(server: LiveServer, open_page: OpenPage) -> None:
    page = open_logs(open_page, server)
    page.locator("[data-log] summary").first.click()

    assert find_too_narrow(page) == []


def test_records_of_a_trace_say_their_step_and_are_found_within_it(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces/{TRACE}?view=logs")
    record = page.locator("#view-logs .log", has_text="tool_decision")

    expect(record.locator(".log__step")).to_have_text("the step")
    expect(record).to_have_class(re.compile("log--selected"))  # the only step is selected on arrival

    page.get_by_role("searchbox", name="Find in trace").fill("tool_decision")
    expect(page.locator("#trace-hits")).to_have_text("1/1")
