"""The data quality page as a person uses it: choose a range, follow an example, replay what was refused."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from ingest.dead_letters import DeadLetters
from tests.browser.conftest import OpenPage, find_too_narrow
from tests.ingest.conftest import PROTOBUF, build_request, build_span
from tests.live import LiveServer, start_server
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("quality"))
    spans = [build_span(name="kept", dropped_attributes_count=12), build_span(name="without a trace", trace_id=b"")]
    body = build_request(*spans).SerializeToString()
    request = urllib.request.Request(server.otlp_url + "/v1/traces", data=body, headers={"content-type": PROTOBUF})
    urllib.request.urlopen(request, timeout=60).close()
    wait_until(lambda: all(part in read(server, "/quality") for part in ("No valid trace id", "1 span</a>")), 120)
    yield server
    server.stop()


def read(server: LiveServer, path: str) -> str:
    request = urllib.request.Request(server.url + path, headers={"HX-Request": "true"})  # the numbers come after the page
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


def add_dead_letters(server: LiveServer, *names: str) -> None:
    for name in names:
        payload = build_request(build_span(name=name)).SerializeToString()
        now_ns = time.time_ns()
        DeadLetters(server.data / "dead-letters").add(
            name, payload, project_id=1, received_at_ns=now_ns, refused_at_ns=now_ns, reason="Code: 27. Cannot parse"
        )


@pytest.mark.parametrize("width", [1440, 390])
def test_replay_stores_a_dead_letter_and_empties_the_list(server: LiveServer, open_page: OpenPage, width: int) -> None:
    add_dead_letters(server, f"one-{width}", f"two-{width}")
    page = open_page(f"{server.url}/quality", width=width)
    letters = page.locator("#dead-letters")

    letters.get_by_role("button", name="Replay", exact=True).first.click()
    expect(letters.locator("tbody tr")).to_have_count(1)
    letters.get_by_role("button", name="Replay all").click()

    expect(letters).to_contain_text("None: ClickHouse took everything")
    query = f"span:one-{width} OR span:two-{width}"
    wait_until(lambda: json.loads(read(server, f"/api/v1/traces?q={quote(query)}"))["results"], 120)
    page.goto(f"{server.url}/traces?q={quote(query)}")
    expect(page.get_by_text(re.compile(f"(one|two)-{width}")).first).to_be_visible()


def test_range_goes_into_the_address_and_examples_lead_to_traces(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces")
    page.get_by_role("link", name="Data quality").click()
    expect(page.get_by_text("No valid trace id")).to_be_visible()
    expect(page.get_by_text("without a trace")).to_be_visible()

    page.locator(".search__range > summary").click()
    page.get_by_role("link", name="Last 7 days").click()
    page.get_by_role("link", name="1 span").click()

    expect(page.locator("#completeness")).to_contain_text("left out 12 attributes")
    page.go_back()
    expect(page).to_have_url(re.compile("start=now-7d"))


def test_page_is_not_wider_than_its_window(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/quality")
    expect(page.locator("#dead-letters")).to_be_visible()

    assert find_too_narrow(page) == []
