"""A project beside the default one: its pages lie below its own address and lead to each other."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.live import ROOT, LiveServer, start_server
from tests.spans import build_request

_NAMES = ["href", "action", "hx-get", "hx-post", "data-url", "data-chart", "data-traces"]
_LINKS = """(names) => [...document.querySelectorAll(names.map((name) => `[${name}]`))]
    .flatMap((element) => names.map((name) => element.getAttribute(name)))
    .filter((path) => path && path.startsWith("/") && !path.startsWith("/static/"))"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = start_server(tmp_path_factory.mktemp("projects"))
    yield live
    live.stop()


@pytest.fixture(scope="module")
def shop_key(server: LiveServer) -> str:
    """The key of a second project, Shop."""
    command = [sys.executable, str(ROOT / "manage.py"), "create_key", "agent", "--project", "shop"]
    environment = os.environ | {"TRACESTORE_DATA": str(server.data)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
    return str(max(said.split(), key=len))


def _send(server: LiveServer, key: str, **span: str) -> str:
    """Send a trace of one span to the project of the key, and return its id once it is summarised."""
    trace_id, headers = secrets.token_hex(16), {"Content-Type": "application/x-protobuf", "x-api-key": key}
    body = build_request({"trace_id": trace_id, "span_id": "1" * 16, "start_ns": time.time_ns() - 30 * 10**9, **span})
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/traces", body, headers), timeout=60).close()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            asked = urllib.request.Request(f"{server.url}/api/v1/traces/{trace_id}", headers={"x-api-key": key})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                if json.load(answer)["outcome"] != "running":
                    return trace_id
        except urllib.error.HTTPError:
            pass  # not there yet
        time.sleep(0.2)
    raise AssertionError(f"trace {trace_id} was not summarised")


def _leave(page: Page) -> set[str]:
    """Return the addresses on a page that leave the project, besides the menu of projects."""
    return {path for path in page.evaluate(_LINKS, _NAMES) if not path.startswith("/p/shop/")} - {"/traces"}


def test_project_is_chosen_from_the_menu_and_its_pages_stay_in_it(server: LiveServer, shop_key: str, open_page: OpenPage) -> None:
    trace_id = _send(server, shop_key, name="sell", error="sold out")
    page = open_page(f"{server.url}/traces")
    expect(page.locator(".topbar__project")).to_have_text("Default")
    expect(page.get_by_text("sell", exact=True)).to_have_count(0)

    page.locator(".topbar__project").click()
    page.get_by_role("link", name="Shop").click()
    page.wait_for_url(f"{server.url}/p/shop/traces")
    page.get_by_role("link", name="sell").first.click()
    page.locator("#peek-open").click()

    expect(page).to_have_url(re.compile(f"{server.url}/p/shop/traces/{trace_id}"))
    expect(page.locator(".topbar__project")).to_have_text("Shop")
    for path in page.locator(".topbar__nav a").evaluate_all("links => links.map((link) => link.getAttribute('href'))"):
        page.goto(server.url + path)
        expect(page.locator(".topbar__nav [aria-current]")).to_have_count(1)
        assert _leave(page) == set(), path


def test_rows_that_are_picked_are_compared_and_peeked_at_in_their_project(
    server: LiveServer, shop_key: str, open_page: OpenPage
) -> None:
    trace_id = _send(server, shop_key, name="picked")
    page = open_page(f"{server.url}/p/shop/traces?q=name:picked&peek={trace_id}")

    expect(page.locator("#peek")).to_contain_text("picked")
    page.locator("[data-pick]").first.check()
    expect(page.locator("#picked-why")).to_have_attribute("href", re.compile(r"^/p/shop/why\?"))


def test_guide_of_a_project_names_its_address_where_no_key_is_demanded(
    server: LiveServer, shop_key: str, open_page: OpenPage
) -> None:
    page = open_page(f"{server.url}/p/shop/setup")

    expect(page.locator("#setup-env-text")).to_contain_text(re.compile(r"OTLP_ENDPOINT=http://[^/]+/p/shop\s"))
    expect(page.locator("#setup-curl-text")).to_contain_text(f"curl {server.url}/p/shop/v1/traces")


def test_api_below_the_address_of_a_project_answers_for_it(server: LiveServer, shop_key: str) -> None:
    trace_id = _send(server, shop_key, name="counted")

    def find(root: str) -> list[str]:
        with urllib.request.urlopen(f"{server.url}{root}/api/v1/traces?q=name:counted", timeout=60) as answer:
            return [trace["trace_id"] for trace in json.load(answer)["results"]]

    assert (find("/p/shop"), find("")) == ([trace_id], [])


@pytest.mark.parametrize("path", ["/p/shop", "/p/shop/", "/p/shop?q=name:sell"])
def test_address_of_a_project_leads_to_its_traces(server: LiveServer, shop_key: str, path: str) -> None:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:
        assert answer.url == f"{server.url}/p/shop/traces{'?q=name:sell' if '?' in path else ''}"


@pytest.mark.parametrize("path", ["/p/nobody/traces", "/p/nobody", "/p/", "/p/shop/nothing"])
def test_address_of_no_project_is_not_found_and_leads_to_the_traces(server: LiveServer, shop_key: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(server.url + path, timeout=60)

    root = "/p/shop" if "shop" in path else ""
    assert refused.value.code == 404
    assert f'href="{root}/traces">Go to the traces' in refused.value.read().decode()
