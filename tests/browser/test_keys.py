"""Projects and keys as the admin makes and takes them back: in the browser, by keyboard, without a command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser.conftest import TIMEOUT_MS, log_in
from tests.browser.test_accessibility import AXE, BROKEN_WORDS, DESKTOP, PHONE, WIDTHS, find_violations
from tests.ingest.conftest import PROTOBUF
from tests.live import ROOT, LiveServer, start_server
from tests.spans import build_request
from tests.waiting import wait_until

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = start_server(tmp_path_factory.mktemp("keys"), TRACESTORE_ADMIN_PASSWORD=PASSWORD)
    yield live
    live.stop()


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """A page of the admin, who allows the clipboard."""
    with browser.new_context(
        viewport=DESKTOP, reduced_motion="reduce", permissions=["clipboard-read", "clipboard-write"]
    ) as context:
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        log_in(page, server, "/setup/projects", PASSWORD)
        yield page
        assert problems == []


def send(server: LiveServer, key: str) -> int:
    """Send a span and return the status of the answer."""
    body = build_request({"trace_id": "7" * 32, "span_id": "1" * 16, "start_ns": time.time_ns() - 10**9})
    request = urllib.request.Request(f"{server.otlp_url}/p/shop/v1/traces", body, {"content-type": PROTOBUF, "x-api-key": key})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def look_at(page: Page) -> None:
    """As test_accessibility.py does with every page that has an address."""
    page.evaluate(AXE)
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="light")
        assert find_violations(page) == []
        page.emulate_media(color_scheme="dark")
        assert find_violations(page, "color-contrast") == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(BROKEN_WORDS) == []
    page.set_viewport_size(DESKTOP)


def test_project_and_key_are_made_used_and_revoked_in_the_browser(server: LiveServer, page: Page) -> None:
    page.get_by_label("Name").focus()
    page.keyboard.type("Shop")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}/p/shop/setup")
    page.get_by_role("link", name="make one").press("Enter")
    page.wait_for_url(f"{server.url}/p/shop/setup/keys")
    expect(page.get_by_text("No keys yet")).to_be_visible()

    page.get_by_label("Name").focus()
    page.keyboard.type("checkout-agent")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Copy it now: it is not shown again.")).to_be_visible()
    key = page.locator("#key-text").inner_text()
    page.wait_for_load_state()
    page.get_by_role("button", name="Copy the environment variables", exact=True).press("Enter")
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"\nexport OTEL_EXPORTER_OTLP_HEADERS=x-api-key={key}" in copied
    assert key not in page.url
    look_at(page)
    page.get_by_role("link", name="I have copied it").click()

    expect(page.get_by_text("no use known")).to_be_visible()
    assert send(server, key) == 200
    row = page.get_by_role("row", name="checkout-agent")
    wait_until(lambda: page.reload() is not None and bool(re.search("ago|now", row.inner_text())))
    expect(row).to_contain_text("admin")
    look_at(page)

    questions: list[str] = []

    def refuse(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    page.get_by_role("button", name="Revoke the key checkout-agent").press("Enter")
    wait_until(lambda: bool(questions))
    assert "exporters get 401 and drop what they send" in questions[0]
    assert send(server, key) == 200  # nothing was revoked
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke the key checkout-agent").press("Enter")
    expect(page.get_by_text("No keys yet")).to_be_visible()
    assert send(server, key) == 401

    log = server.log.read_text()
    assert f"keys: 'admin' made the key 'checkout-agent' ({key[:8]}...) of the project shop" in log
    assert f"keys: 'admin' revoked the key 'checkout-agent' ({key[:8]}...) of the project shop" in log
    assert key not in log


def test_running_server_refuses_within_a_second_what_a_command_revokes(server: LiveServer) -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments, "--project", "shop"]
        environment = os.environ | {"TRACESTORE_DATA": str(server.data)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout.strip()

    key = run("create_key", "pipeline")
    assert send(server, key) == 200

    run("revoke_key", "pipeline")
    until = time.monotonic() + 15  # a second, and the machine's pauses; without looks it would be thirty
    while send(server, key) == 200:
        assert time.monotonic() < until
        time.sleep(0.05)

    assert send(server, key) == 401


def test_palette_leads_to_the_keys_and_projects(server: LiveServer, page: Page) -> None:
    page.wait_for_load_state()
    page.keyboard.press("Control+k")
    page.keyboard.type("keys")
    page.keyboard.press("Enter")

    page.wait_for_url(f"{server.url}/setup/keys")
    expect(page.locator(".page-tabs [aria-current]")).to_have_text("Keys")
    look_at(page)
    page.goto(f"{server.url}/setup/projects")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Days that Default keeps", exact=True).fill("30")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_label("Days that Default keeps", exact=True)).to_have_value("30")
    page.get_by_label("Slug").fill("a b")
    page.get_by_label("Name").fill("Shop")
    page.keyboard.press("Enter")
    expect(page.get_by_text("A slug is up to 64 letters (a to z), digits, - and _, without spaces.")).to_be_visible()
    look_at(page)
