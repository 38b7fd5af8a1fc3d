"""Every page as those use it who see little, use no mouse, or get dizzy: WCAG 2.2 AA by axe-core, and what axe cannot see.

One server and one browser context for all; a page is loaded once and looked at in every size and theme.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.agents import send_run
from tests.browser.conftest import TIMEOUT_MS
from tests.ingest.conftest import PROTOBUF
from tests.live import LiveServer, start_server
from tests.logs import build_logs
from tests.waiting import wait_until

DESKTOP, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
# From the smallest that WCAG asks for (1.4.10 Reflow) to a large screen.
WIDTHS = (320, 390, 600, 768, 1024, 1440, 1920, 2560)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Words that begin on one line and end on another. What is longer than any column of a phone may break; code is laid out as it is.
BROKEN_WORDS = """() => {
    const broken = new Set(), range = document.createRange();
    const linesOf = (box) => new Set([...box.getClientRects()].filter((line) => line.width).map((line) => line.top)).size;
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const { currentNode: node } = walker, { parentElement: holder } = node;
        if (!holder.checkVisibility({ visibilityProperty: true }) || holder.closest("pre, svg, select, textarea")) continue;
        range.selectNodeContents(node);
        if (linesOf(range) < 2) continue;  // as most are, and then none of its words is broken
        for (const { 0: word, index } of node.textContent.matchAll(/[\\p{L}\\p{N}]+/gu)) {
            range.setStart(node, index);
            range.setEnd(node, index + word.length);
            if (word.length <= 20 && linesOf(range) > 1) broken.add(word);
        }
    }
    return [...broken];
}"""
# {trace}, {span} and {error} are of a failed run, {rule} is of {alert}, {incident} what became of it.
PAGES = (
    "/traces",
    "/traces?q=status:error",
    "/traces?q=satus:error",
    "/traces?q=user:nobody",
    "/traces/{trace}",
    "/traces/{trace}?span={span}",
    "/traces/{trace}?q=kind:agent&start=now-7d",
    "/traces/00000000000000000000000000000000",
    "/traces/{trace}?view=tree",
    "/traces/{trace}?view=timeline",
    "/traces/{trace}?view=graph",
    "/traces/{trace}?view=raw",
    "/traces/{trace}?view=logs",
    "/traces?peek={trace}",
    "/traces?cols=name,status,agents,models,workflow,environment,user,session,scores,errors,llm_calls",
    "/traces/views",
    "/nowhere",
    "/errors",
    "/errors/{error}",
    "/sessions",
    "/sessions/s-1",
    "/users",
    "/users/u-1",
    "/logs",
    "/agents",
    "/compare",
    "/compare?a=version:v2&b=version:v3",
    "/compare/traces?a={trace}",
    "/compare/traces?a={trace}&b={trace}",
    "/why?q=status:error",
    "/dashboards/overview",
    "/dashboards/cost?compare=previous&group_by=version",
    "/dashboards/users",
    "/dashboards/new?from=versions",
    "/alerts",
    "/alerts/{alert}",
    "/alerts/ack/cut-off",
    "/alerts/rules",
    "/alerts/rules/new",
    "/alerts/rules/{rule}",
    "/alerts/rules/{rule}/backtest",
    "/alerts/rules/pack",
    "/alerts/digests",
    "/alerts/digests/new",
    "/alerts/history",
    "/alerts/incidents",
    "/alerts/incidents/{incident}",
    "/alerts/routes",
    "/alerts/routes/new",
    "/alerts/silences",
    "/alerts/silences/new",
    "/alerts/channels",
    "/alerts/channels/new",
    "/quality",
    "/setup",
    "/setup/keys",
    "/setup/mapping",
    "/setup/prices",
    "/setup/projects",
    "/privacy",
    "/help/design",
    "/help/query",
    "/login",
)
AXE = Axe().axe_script
# Layout that moves under the reader counts from 0.1 on as poor (https://web.dev/articles/cls); here nothing should move at all.
MAX_LAYOUT_SHIFT = 0.01
# What comes slowly is drawn in pieces.
SLOW_NETWORK = {"offline": False, "latency": 20, "downloadThroughput": 40_000, "uploadThroughput": -1}  # ms, bytes/s
WATCH_LAYOUT = """
window.layoutShift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
# What is on its way, in the part of the page that shows.
SETTLED = """() => {
    const waiting = ".htmx-request, .volume__waiting, .skeleton, [data-chart]:not(:has(.main-svg, .chart__note))";
    const inView = (element) => element.checkVisibility() && element.getBoundingClientRect().top < innerHeight;
    return document.readyState === "complete" && ![...document.querySelectorAll(waiting)].some(inView);
}"""
# The focused element: who it is, whether it shows that it has the focus, and whether something lies over it.
FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    const box = element.getBoundingClientRect();
    const ring = (node) => {
        const drawn = getComputedStyle(node);
        return drawn.outlineStyle !== "none" && parseFloat(drawn.outlineWidth) > 0 || drawn.boxShadow !== "none";
    };
    // A row may show the focus of its link, a field that of its input.
    const holder = element.closest("tr, li, label, .query");
    const shows = ring(element) || [...element.children].some(ring) || (holder && ring(holder));
    const x = Math.min(Math.max(box.x + box.width / 2, 0), innerWidth - 1), y = box.y + box.height / 2;
    const top = y >= 0 && y < innerHeight ? document.elementFromPoint(x, y) : null;
    const related = top && (element.contains(top) || top.contains(element) || element.closest("label")?.contains(top));
    const covered = box.width > 0 && !related;
    const label = element.getAttribute("aria-label") || element.textContent || element.id;
    const name = element.tagName.toLowerCase() + "." + element.className + " " + label.trim().slice(0, 40);
    element.dataset.order = element.dataset.order || String(++window.tabbed);
    return { name, order: Number(element.dataset.order), shows: Boolean(shows), covered };
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = start_server(tmp_path_factory.mktemp("accessibility"), TRACESTORE_ALERT_INTERVAL_S="2")
    yield live
    live.stop()


@pytest.fixture(scope="module")
def places(server: LiveServer) -> dict[str, str]:
    """Runs, log records, a rule and a channel; the ids that PAGES name."""
    for number in range(4):
        send_run(server.url, version="v2", age_s=600 + number, attributes={"user.id": "u-1", "session.id": "s-1"})
    trace_id = send_run(server.url, version="v3", tool="refund", error="limit exceeded", age_s=300)
    now_ns = time.time_ns()
    records = [
        {"time_ns": now_ns - n * 10**9, "event_name": f"event-{n}", "severity": 9 + 4 * (n % 3), "body": f"record {n}"}
        for n in range(5)
    ]
    post(server.otlp_url + "/v1/logs", build_logs(*records), PROTOBUF)
    post_json(server.url + "/api/v1/channels", {"name": "Hook", "kind": "webhook", "target": "https://example.com/hook"})
    rule = post_json(
        server.url + "/api/v1/alert-rules",
        {
            "name": "Failures",
            "metric": "failure_rate",
            "query": "",
            "comparison": "above",
            "threshold": 0.1,
            "window_s": 600,
            "channels": ["Hook"],
        },
    )
    wait_until_summarised(server, "", 5)
    wait_until(lambda: len(get_json(server.url + "/api/v1/logs")["results"]) == len(records))
    review = {"trace_id": trace_id, "name": "review", "value": False, "comment": "the limit is too low", "annotator": "ada"}
    post_json(server.url + "/api/v1/scores", review)
    trace = get_json(f"{server.url}/api/v1/traces/{trace_id}")
    incident = wait_until(lambda: get_json(server.url + "/api/v1/incidents")["results"])[0]
    return {
        "trace": trace_id,
        "span": trace["spans"][-1]["span_id"],
        "rule": str(rule["id"]),
        "incident": str(incident["id"]),
        "alert": str(get_json(server.url + "/api/v1/alerts")["results"][0]["id"]),
        "error": trace["error_fingerprint"],
    }


def get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return dict(json.load(answer))


def wait_until_summarised(server: LiveServer, query: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(get_json(f"{server.url}/api/v1/traces?q={query}")["results"]) < count:
        assert time.monotonic() < deadline, "the runs were not summarised in time"
        time.sleep(0.2)


def post(url: str, body: bytes, content_type: str) -> bytes:
    request = urllib.request.Request(url, data=body, headers={"content-type": content_type})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def post_json(url: str, values: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(post(url, json.dumps(values).encode(), "application/json")))


@pytest.fixture(scope="module")
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:
        context.set_default_timeout(TIMEOUT_MS)
        context.add_init_script(WATCH_LAYOUT)
        yield context.new_page()


def open_settled(page: Page, url: str) -> None:
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    page.goto(url)
    page.wait_for_function(SETTLED)


def find_violations(page: Page, *rules: str) -> list[str]:
    """Return what axe, which the page has, finds; a line for each element: rule, element, what is wrong."""
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": TAGS}
    options = {"resultTypes": ["violations"], "runOnly": only}
    return [
        f"{violation['id']}: {node['target']}: {' '.join(node['failureSummary'].split())[:300]}"
        for violation in page.evaluate("async (options) => (await axe.run(options)).violations", options)
        for node in violation["nodes"][:5]
    ]


@pytest.mark.parametrize("path", PAGES)
def test_page_is_usable_by_everyone(server: LiveServer, places: dict[str, str], page: Page, path: str) -> None:
    open_settled(page, server.url + path.format(**places))
    page.evaluate(AXE)

    found: dict[str, list[str]] = {}
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme="light")
        found[f"{size}, light"] = find_violations(page)
        page.emulate_media(color_scheme="dark")
        found[f"{size}, dark"] = find_violations(page, "color-contrast")
    too_wide, broken = [], {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            too_wide.append(width)
        broken[width] = page.evaluate(BROKEN_WORDS)

    assert {where: problems for where, problems in found.items() if problems} == {}
    assert too_wide == []
    assert {width: words for width, words in broken.items() if words} == {}


def test_every_page_of_the_navigation_is_looked_at(server: LiveServer, page: Page) -> None:
    page.goto(server.url + "/traces")

    paths = page.eval_on_selector_all(".topbar__nav a", "links => links.map((link) => link.pathname)")

    assert set(paths) <= set(PAGES)


@pytest.mark.parametrize("width", [390, 768, 960, 961, 1280])
def test_every_section_is_in_the_window_or_in_its_menu(server: LiveServer, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(server.url + "/traces")
    menu, sections = page.get_by_role("button", name="Menu"), page.locator(".topbar__nav a")

    if menu.is_visible():
        expect(page.locator(".topbar__bell")).to_be_visible()  # what fires is seen without the menu
        menu.click()

    expect(sections.first).to_be_visible()
    room = page.locator(".topbar__nav").bounding_box()
    boxes = [section.bounding_box() for section in sections.all()]
    assert room is not None
    assert all(
        box is not None and room["x"] <= box["x"] and box["x"] + box["width"] <= room["x"] + room["width"] for box in boxes
    )


@pytest.mark.parametrize(
    "path",
    [
        "/traces",
        "/traces/{trace}",
        "/dashboards/overview",
        "/dashboards/users",
        "/why?q=status:error",
        "/compare?a=version:v2&b=version:v3",
        "/quality",
    ],
)
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_moves_while_a_page_loads(
    server: LiveServer, places: dict[str, str], page: Page, path: str, size: ViewportSize
) -> None:
    page.set_viewport_size(size)
    page.goto(server.url + path.format(**places))
    page.wait_for_function(SETTLED)
    page.wait_for_timeout(200)

    assert page.evaluate("window.layoutShift") <= MAX_LAYOUT_SHIFT


def test_nothing_moves_while_a_trace_comes_in_pieces(server: LiveServer, places: dict[str, str], browser: Browser) -> None:
    with browser.new_context(viewport=PHONE) as context:
        context.add_init_script(WATCH_LAYOUT)
        page = context.new_page()
        page.goto(server.url + "/traces/" + places["trace"])
        page.wait_for_function(SETTLED)
        context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW_NETWORK)
        page.reload()
        page.wait_for_function(SETTLED)
        page.wait_for_timeout(200)

        assert page.evaluate("window.layoutShift") <= MAX_LAYOUT_SHIFT


@pytest.mark.parametrize("path", ["/traces", "/traces/{trace}", "/dashboards/overview", "/dashboards/new", "/alerts/rules/new"])
def test_keyboard_reaches_everything_and_shows_where_it_is(
    server: LiveServer, places: dict[str, str], page: Page, path: str
) -> None:
    open_settled(page, server.url + path.format(**places))
    page.evaluate("window.tabbed = 0")

    stops: list[dict[str, Any]] = []
    for _ in range(400):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop is None or (stops and stop["order"] < stops[-1]["order"]):
            break
        stops.append(stop)

    assert stops[0]["name"].endswith("Skip to content")
    assert len(stops) < 400, "the focus never left the page"
    assert len({stop["order"] for stop in stops}) == len(stops), "the focus went in circles"
    assert [stop["name"] for stop in stops if not stop["shows"]] == []
    assert [stop["name"] for stop in stops if stop["covered"]] == []


def test_skip_link_leads_past_the_navigation(server: LiveServer, page: Page) -> None:
    open_settled(page, server.url + "/traces")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator("#main")).to_be_focused()


def test_nothing_moves_for_those_who_asked_for_that(server: LiveServer, places: dict[str, str], page: Page) -> None:
    open_settled(page, server.url + "/traces/" + places["trace"])

    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()

    assert page.evaluate("document.getAnimations().filter((animation) => animation.playState === 'running').length") == 0
