"""The dashboard in a real browser under the real Content-Security-Policy."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.agents import send_run
from tests.browser.conftest import TIMEOUT_MS, Held, OpenPage, wait_for_frame
from tests.live import LiveServer, start_server
from tracestore.timerange import parse_time_ns

RUNS = 12
URL = "/dashboards/overview?start=now-1h"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """An instance with good runs of v2 and failing ones of v3, half an hour ago."""
    live = start_server(tmp_path_factory.mktemp("dashboard"))
    try:
        for number in range(RUNS):
            send_run(live.url, version="v2", age_s=1800 + number)
            send_run(live.url, version="v3", tool="refund", error="limit exceeded", age_s=1800 + number)
        # Earlier than what the other tests look at.
        model = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "acme-7b", "gen_ai.usage.input_tokens": 9}
        send_run(live.url, version="v1", age_s=5 * 3600, attributes=model)
        wait_until_summarised(live)
        yield live
    finally:
        live.stop()


def wait_until_summarised(server: LiveServer) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server.url}/api/v1/traces?q=status:error&limit=1000", timeout=60) as response:
            if len(json.load(response)["results"]) == RUNS:
                return
        time.sleep(0.3)
    raise AssertionError("the runs were not summarised in time")


def panel_of(page: Page, title: str) -> Locator:
    """Return the panel with that title."""
    return page.locator(".panel").filter(has=page.get_by_role("link", name=title, exact=True))


def chart_of(page: Page, title: str) -> Locator:
    """Return its chart."""
    return panel_of(page, title).locator(".chart")


def plot_of(page: Page, title: str) -> tuple[float, float, float, float]:
    """Return x, y, width and height of a chart's plotting area, drawn and in view."""
    area = chart_of(page, title).locator(".nsewdrag")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def test_every_chart_is_drawn_in_the_frame_that_stood_there(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL + "&compare=previous")
    frames = page.locator(".panel").all()
    before = [frame.bounding_box() for frame in frames]

    for chart in page.locator("[data-chart]").all():
        chart.scroll_into_view_if_needed()
        # Tokens and cost: these runs called no model, and a sentence says so.
        expect(chart.locator(".main-svg, .chart__note").first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")

    assert len(frames) == 8
    assert [frame.bounding_box() for frame in frames] == before
    assert page.locator(".chart__note--error").count() == 0
    name = page.locator(".panel .annotation-text").first
    assert name.text_content() in ("v2", "v3")
    box, plot = name.bounding_box(), page.locator(".panel .nsewdrag").first.bounding_box()
    assert box is not None
    assert plot is not None
    assert box["y"] + box["height"] <= plot["y"], "the name of a version lies over the lines"


@pytest.mark.parametrize("width", [1440, 390])
def test_why_tells_what_failing_traces_have_in_common(server: LiveServer, open_page: OpenPage, width: int) -> None:
    page = open_page(server.url + "/traces?start=now-1h&q=status:error", width=width)

    page.locator(".presets").get_by_role("link", name="Why?").click()

    expect(page.locator(".why__sentence")).to_contain_text(f"{RUNS} of {2 * RUNS} traces failed")
    expect(page.locator(".why__sentence")).to_contain_text("100% of them")
    expect(page.locator("#why-attributes[aria-busy]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Leave out tool refund").click()
    expect(page.get_by_role("heading", name="No trace to explain")).to_be_visible()


def test_versions_are_compared_by_choosing_them(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/compare?start=now-1h", width=390)
    page.get_by_label("Version", exact=True).select_option("version:v2")
    page.get_by_label("with", exact=True).select_option("version:v3")

    page.get_by_role("button", name="Compare versions").click()

    expect(page.get_by_text("B is worse").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Swap A and B").click()
    expect(page.get_by_text("B is better").first).to_be_visible()


def test_click_on_a_bar_opens_the_traces_behind_it(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL)
    expect(chart_of(page, "Error types")).to_have_attribute("tabindex", "0")
    x, y, width, height = plot_of(page, "Error types")
    boxes = [path.bounding_box() for path in chart_of(page, "Error types").locator(".bars .point path").all()]
    bar = next(box for box in boxes if box is not None and box["height"] > 10)

    page.mouse.move(bar["x"] + bar["width"] / 2, y + height - 6)
    page.mouse.click(bar["x"] + bar["width"] / 2, y + height - 6)
    page.wait_for_url("**/traces?**")

    assert parse_qs(urlsplit(page.url).query)["q"] == ["error:TimeoutError"]
    assert x <= bar["x"] <= x + width
    expect(page.locator(".trace-row").first).to_be_visible()
    expect(page.locator("#trace-table")).not_to_contain_text("v2")


def test_drag_sets_the_time_range_of_the_page(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL)
    expect(chart_of(page, "Requests")).to_have_attribute("tabindex", "0")
    x, y, width, height = plot_of(page, "Requests")

    page.mouse.move(x + width * 0.25, y + height / 2)
    page.mouse.down()
    page.mouse.move(x + width * 0.5, y + height / 2, steps=4)
    page.mouse.move(x + width * 0.75, y + height / 2, steps=4)
    page.mouse.up()
    page.wait_for_url("**end=**")

    chosen = parse_qs(urlsplit(page.url).query)
    length_s = (parse_time_ns(chosen["end"][0]) - parse_time_ns(chosen["start"][0])) / 1e9
    assert 1500 < length_s < 2100


def test_grouping_draws_one_line_per_version_and_survives_a_search(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL)

    page.get_by_label("Group by").select_option("version")
    page.wait_for_url("**group_by=version**")

    legend = panel_of(page, "Failure rate").locator("[data-line]")
    expect(legend).to_have_count(2)
    page.locator("[data-search]").fill("version:v3")
    page.locator("[data-search]").press("Enter")
    page.wait_for_url("**q=version**")
    assert parse_qs(urlsplit(page.url).query)["group_by"] == ["version"]


def test_grouping_that_was_chosen_before_the_scripts_were_there_counts(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/setup")
    held = Held(page, "**/charts*.js")
    page.goto(server.url + URL, wait_until="commit")
    page.get_by_label("Group by").select_option("version")

    held.release()

    page.wait_for_url("**group_by=version*")
    page.go_back()
    expect(page.get_by_label("Group by")).to_have_value("")
    expect(page).not_to_have_url(re.compile("group_by"))


def test_a_line_is_switched_off_and_on_by_keyboard(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL + "&group_by=version")
    card = panel_of(page, "Failure rate")
    lines = card.locator(".scatterlayer .trace")
    expect(lines).to_have_count(2)

    card.locator("[data-line]").first.focus()
    page.keyboard.press("Enter")
    expect(lines).to_have_count(1)
    expect(card.locator("[data-line]").first).to_be_focused()
    expect(card.locator("[data-line]").first).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(lines).to_have_count(1)

    card.locator("[data-line]").first.focus()
    page.keyboard.press("Enter")
    expect(lines).to_have_count(2)
    expect(page).not_to_have_url(re.compile("off="))


def test_charts_follow_the_theme(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL, color_scheme="light")
    line = chart_of(page, "Failure rate").locator(".scatterlayer .js-line").first
    expect(line).to_have_css("stroke", "rgb(191, 35, 48)")

    page.locator("[data-action=theme]").click()

    expect(line).to_have_css("stroke", "rgb(255, 125, 132)")


def test_chart_that_cannot_be_loaded_says_so_and_the_others_stay(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL)
    page.route("**/dashboards/overview/panels/5**", lambda route: route.abort())

    page.reload()

    expect(chart_of(page, "Requests")).to_have_text("The server cannot be reached.")
    expect(chart_of(page, "Failure rate").locator(".main-svg").first).to_be_visible()


def test_phone_shows_one_column_without_sideways_scrolling(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL, width=390, height=844, has_touch=True, is_mobile=True)

    cards = page.locator(".panel")
    first, second = cards.nth(0).bounding_box(), cards.nth(1).bounding_box()

    assert first is not None
    assert second is not None
    assert first["x"] == second["x"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_keys_walk_along_a_chart_and_open_the_traces_of_a_point(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/dashboards/versions?start=now-1h&q=env:*%20OR%20tool:*")
    chart = chart_of(page, "Failure rate by version")
    expect(chart).to_have_attribute("tabindex", "0")  # drawn, and bound to its keys

    chart.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-voice]")).to_have_text(re.compile(r"UTC, v[23]: (0|100|1) ?%?|UTC, v[23]: "))
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces?**")

    assert re.search(r"\(env:\* OR tool:\*\) version:v[23] status:error", parse_qs(urlsplit(page.url).query)["q"][0])


def test_dashboard_refreshes_itself_but_not_while_nobody_looks(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + URL)
    page.clock.install()
    page.get_by_label("Refresh").select_option("10s")
    page.wait_for_url("**refresh=10s**")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    expect(chart_of(page, "Requests").locator(".main-svg").first).to_be_visible()
    page.wait_for_load_state("networkidle")  # what is on its way is no refresh
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))

    page.clock.run_for(25_000)
    assert [path for path in asked if "dashboards" in path] == []

    page.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
    page.clock.run_for(1_000)
    expect(page.locator("[data-updated]")).to_contain_text("UTC")
    parts = {"/dashboards/overview/panels/5", "/dashboards/overview/numbers", "/dashboards/versions.json"}
    for _ in range(TIMEOUT_MS // 100):
        if parts <= set(asked):
            break
        page.wait_for_timeout(100)
    assert parts <= set(asked)


def test_chart_is_not_asked_for_again_while_its_answer_is_on_its_way(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.clock.install()
    held = Held(page, "**/dashboards/overview/panels/5**")
    page.goto(server.url + URL + "&refresh=10s")
    held.wait()

    with page.expect_request("**/dashboards/versions.json**"):
        page.clock.run_for(11_000)
    wait_for_frame(page)
    wait_for_frame(page)

    assert len(held.routes) == 1
    held.release()
    expect(chart_of(page, "Requests").locator(".main-svg").first).to_be_visible()


def test_dashboard_is_made_without_a_mouse_on_a_phone(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/dashboards/new", width=390, height=844)
    page.get_by_label("Name of the dashboard").fill("Refunds")
    page.get_by_label("Preview of", exact=True).select_option("now-1h")  # read from the traces: rollups may not be there yet
    preview = page.locator(".draft__preview").first
    preview.scroll_into_view_if_needed()
    expect(preview.locator(".main-svg").first).to_be_visible()
    page.get_by_label("Metric 1").select_option("failure_rate")
    page.get_by_label("Group by").select_option("version")
    expect(preview.locator(".panel__title")).to_contain_text("Failure rate by version")

    page.get_by_role("button", name="Add a panel").press("Enter")
    page.locator(".draft").nth(1).get_by_label("Shown as").select_option("number")
    up = page.get_by_role("button", name="Move panel 2 up")
    up.press("Enter")
    expect(page.locator(".draft").first.get_by_label("Shown as")).to_have_value("number")
    expect(page.get_by_label("Name of the dashboard")).to_have_value("Refunds")
    preview.scroll_into_view_if_needed()
    expect(preview.locator(".stat__label")).to_have_text("Requests")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Create").press("Enter")

    page.wait_for_url("**/dashboards/refunds")
    expect(page.locator(".panel__title")).to_contain_text("Failure rate by version")
    expect(page.locator(".tile .stat__value")).to_be_visible()


def test_what_is_typed_while_a_panel_is_added_stays(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/dashboards/new")
    page.wait_for_load_state()
    held = Held(page, "**/dashboards/new")

    page.get_by_role("button", name="Add a panel").click()
    held.wait()
    page.get_by_label("Name of the dashboard").fill("Refunds")
    first = page.locator(".draft").first
    first.get_by_label("Title").fill("Late refunds")
    first.get_by_label("Metric 1").select_option("failure_rate")
    first.get_by_role("combobox", name="Query").fill("tool:refund")
    held.release()

    expect(page.locator(".draft")).to_have_count(2)
    expect(page.get_by_label("Name of the dashboard")).to_have_value("Refunds")
    expect(first.get_by_label("Title")).to_have_value("Late refunds")
    expect(first.get_by_label("Metric 1")).to_have_value("failure_rate")
    expect(first.get_by_role("combobox", name="Query")).to_have_value("tool:refund")
    expect(page.locator(".draft").nth(1).get_by_label("Title")).to_have_value("")
