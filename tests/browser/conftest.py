"""A real browser. Every page fails its test on a script error or a violation of the Content-Security-Policy."""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Route, expect, sync_playwright

from tests.live import LiveServer, start_server
from tests.spans import build_request

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# The address bar of each window, which nobody sees, loads two pages of its own, for more than the page under test takes. The
# others are what Playwright leaves out itself: of two such arguments the last counts alone.
LEFT_OUT = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades",
    "LensOverlay", "MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)  # fmt: skip
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(LEFT_OUT)}",
)
TIMEOUT_MS = 60_000  # a busy machine is slow, not wrong
expect.set_options(timeout=TIMEOUT_MS)

OpenPage = Callable[..., Page]
SendTrace = Callable[..., str]


class Held:
    """Requests of a page, by a glob of their address, whose answers wait until the test lets them go."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.routes: list[Route] = []
        self._is_released = False
        page.route(url, self._take)

    def _take(self, route: Route) -> None:
        if self._is_released:
            route.continue_()
        else:
            self.routes.append(route)

    def wait(self, count: int = 1) -> list[Route]:
        """Return them, oldest first, once there are so many: the page asks later than its test acts."""
        for _ in range(TIMEOUT_MS // 50):
            if len(self.routes) >= count:
                return self.routes
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.routes)} of {count} requests for {self.url} in {TIMEOUT_MS} ms")

    def release(self, count: int = 1) -> None:
        """Let them go on once there are so many; those that follow are not held any more."""
        routes = self.wait(count)
        self._is_released = True
        for route in routes:
            route.continue_()


def wait_for_frame(page: Page) -> None:
    """Wait until the page has been laid out and drawn, and what that sets off has run."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))")


def find_too_narrow(page: Page) -> list[int]:
    """Return the widths of windows, from large to a phone's, in which the page scrolls sideways. It is loaded once for all."""
    too_narrow = []
    for width in (1440, 1000, 390):
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            too_narrow.append(width)
    return too_narrow


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=2 * TIMEOUT_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """`open_page(url, width=1440, height=900, **context)` opens a page in a context of its own."""
    complaints: list[str] = []

    def note_violation(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    def refuse_dialog(dialog: Dialog) -> None:
        complaints.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()

    with ExitStack() as contexts:

        def open_one(url: str, *, width: int = 1440, height: int = 900, **options: Any) -> Page:
            context = browser.new_context(viewport={"width": width, "height": height}, **options)
            contexts.callback(context.close)
            context.set_default_timeout(TIMEOUT_MS)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", note_violation)
            page.on("dialog", refuse_dialog)
            page.goto(url)
            return page

        yield open_one
    assert complaints == []


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """An instance for the modules that say nothing of their own: each of their tests looks at traces that it sent."""
    running = start_server(tmp_path_factory.mktemp("trace"))
    yield running
    running.stop()


def log_in(page: Page, server: LiveServer, path: str, password: str) -> None:
    """Log in as the admin, and go on to the page at `path`."""
    page.goto(f"{server.url}/login?next={path}")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}{path}")


@pytest.fixture(scope="package")
def send_trace(server: LiveServer) -> SendTrace:
    """Send spans as one trace over OTLP/HTTP, wait until it is summarized, and return the URL of its page.

    The same spans are sent once: tests that look at them share the trace, which nothing changes.
    """
    sent: dict[str, str] = {}

    def send_once(*spans: dict[str, Any]) -> str:
        return sent.get(repr(spans)) or sent.setdefault(repr(spans), send(*spans))

    def send(*spans: dict[str, Any]) -> str:
        trace_id, now_ns = secrets.token_hex(16), time.time_ns()
        body = build_request(*[{"trace_id": trace_id, "start_ns": now_ns - 30 * 10**9} | span for span in spans])
        headers = {"Content-Type": "application/x-protobuf"}
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/traces", body, headers), timeout=60).close()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{server.url}/api/v1/traces/{trace_id}", timeout=60) as answer:
                    trace = json.load(answer)
                if trace["outcome"] != "running" and trace["span_count"] == len(spans):
                    return f"{server.url}/traces/{trace_id}?view=tree"
            except urllib.error.HTTPError:
                pass  # not there yet
            time.sleep(0.2)
        raise AssertionError(f"trace {trace_id} was not summarized")

    return send_once
