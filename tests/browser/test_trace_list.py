"""From an empty instance to the failing traces, with a real server, exporter bytes and browser."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.agents import send_run
from tests.browser.conftest import Held, OpenPage, wait_for_frame
from tests.live import LiveServer, start_server
from tests.spans import build_request

TRACE_ADDRESS = re.compile(r"/traces/[0-9a-f]{32}")
RUNS = 7  # of the module's instance
SHOWN_WHOLE = "texts => texts.every((text) => text.scrollWidth <= text.clientWidth)"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def wait_until_listed(server: LiveServer, runs: int) -> None:
    for _ in range(600):
        with urllib.request.urlopen(f"{server.url}/api/v1/traces", timeout=60) as answer:
            if len(json.load(answer)["results"]) == runs:
                return
        time.sleep(0.2)
    raise AssertionError("the runs were not listed in time")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """An instance with a few good runs, one failing run of version v3 with the tool refund, and one hostile run."""
    running = start_server(tmp_path_factory.mktemp("list"))
    try:
        for age_s in (300, 240, 180):
            send_run(running.url, version="v2", tool="search_orders", age_s=age_s)
        send_run(running.url, version="v3", tool="search_orders", age_s=150)
        send_run(running.url, version="v3", tool="refund", error="refund service did not answer", age_s=120)
        send_run(running.url, version="v2", tool="refund", age_s=110)
        send_run(
            running.url,
            name=HOSTILE,
            version=HOSTILE,
            tool=HOSTILE,
            error="\x07\u202e" + "javascript:alert(3) " * 50_000,
            error_type=HOSTILE,
            age_s=90,
        )
        wait_until_listed(running, RUNS)
        yield running
    finally:
        running.stop()


def test_empty_instance_notices_the_first_trace_by_itself(tmp_path_factory: pytest.TempPathFactory, open_page: OpenPage) -> None:
    empty = start_server(tmp_path_factory.mktemp("empty"))
    try:
        page = open_page(empty.url)
        expect(page.get_by_role("heading", name="Send the first trace")).to_be_visible()
        expect(page.locator("#setup-env-text")).to_contain_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={empty.otlp_url}")
        page.keyboard.press("?")  # the keys of every page, and none of the list that is not there
        expect(page.locator("#shortcuts dd:visible")).to_have_count(4)
        page.keyboard.press("Escape")

        send_run(empty.otlp_url, version="v1")

        expect(page.get_by_text("The first trace is here.")).to_be_visible()
        expect(page.locator(".trace-row")).to_have_count(1)
    finally:
        empty.stop()


def test_failing_traces_of_a_version_with_a_tool_by_mouse_alone(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()

    page.locator(".presets").get_by_role("link", name="Failed").click()
    page.locator("[data-facet=version] .facet__value", has_text="v3").click()
    page.locator("[data-facet=tool] .facet__value", has_text="refund").click()

    expect(page.locator("#query")).to_have_value("status:error version:v3 tool:refund")
    expect(page.locator(".trace-row")).to_have_count(1)
    page.wait_for_load_state()  # for its scripts
    page.locator(".trace-row").click()
    expect(page.locator(".peek__failure")).to_contain_text("refund service did not answer")
    page.locator("#peek-open").click()
    expect(page).to_have_url(TRACE_ADDRESS)


def test_preview_follows_the_keys_and_stands_in_the_address(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()
    ids = [row.get_attribute("data-trace") for row in page.locator(".trace-row").all()]

    page.locator(".trace-row").nth(2).click()
    expect(page.locator(f".peek__trace[data-trace='{ids[2]}']")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(f".peek__trace[data-trace='{ids[3]}']")).to_be_visible()
    expect(page).to_have_url(re.compile(f"peek={ids[3]}"))
    page.reload()
    expect(page.locator(f".peek__trace[data-trace='{ids[3]}']")).to_be_visible()
    page.locator("#peek-edge").press("ArrowRight")
    narrow = page.locator("#peek").bounding_box()
    assert narrow
    page.keyboard.press("Escape")
    expect(page.locator("#peek")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("peek="))
    page.locator(".trace-row").nth(3).click()
    expect(page.locator("#peek")).to_be_visible()
    again = page.locator("#peek").bounding_box()
    assert again
    assert (again["width"], again["x"] + again["width"]) == (narrow["width"], 1440)

    page.go_back()
    expect(page.locator("#peek")).to_be_hidden()


def test_traces_selected_stay_so_when_one_comes_back_from_comparing_them(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()
    for key in ("j", "x", "j", "x", "c"):
        page.keyboard.press(key)
    page.wait_for_url("**/compare/traces?**")

    page.go_back()

    expect(page.locator("[data-pick]:checked")).to_have_count(2)
    expect(page.locator(".trace-row--picked")).to_have_count(2)
    expect(page.locator("#picked-count")).to_have_text("2 traces")


def test_time_range_is_dragged_on_any_strip_and_shows_on_all(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-1h&sort=-duration")
    expect(page.locator(".volume__bars")).to_have_count(3)
    strip = page.locator("[data-strip=duration] .volume__bars")
    box = strip.bounding_box()
    assert box

    def hover(share: float) -> None:
        # Forced: the mark of the chosen range lies over the bars.
        strip.hover(position={"x": box["width"] * share, "y": box["height"] / 2}, force=True)

    hover(0.5)
    page.mouse.down()
    hover(0.8)
    expect(page.locator(".volume__selection")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator(".volume__selection")).to_have_count(0)
    page.mouse.up()
    hover(0.4)
    page.mouse.down()
    hover(0.999)
    page.mouse.up()

    expect(page).to_have_url(re.compile(r"sort=-duration.*start=2\d\d\d-|start=2\d\d\d-.*sort=-duration"))
    expect(page.locator(".trace-row")).to_have_count(RUNS)


def test_time_range_is_chosen_on_the_bars_by_keys(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-1h")
    bars = page.locator("[data-keyed]")
    bars.wait_for()
    page.keyboard.press("j")  # a row is selected: Enter on the bars is not for it
    bars.focus()

    page.keyboard.press("End")
    expect(page.locator(".strips__range")).to_contain_text("UTC")
    page.keyboard.press("Escape")
    expect(page.locator(".strips__range")).to_have_count(0)
    page.keyboard.press("ArrowLeft")
    for _ in range(9):
        page.keyboard.press("Shift+ArrowLeft")
    width = page.locator(".volume__selection").first.evaluate("(mark) => Number(mark.getAttribute('width'))")
    assert round(width) == 10
    page.keyboard.press("Enter")

    page.wait_for_url("**start=20*&end=20*")
    page.go_back()
    expect(page).to_have_url(f"{server.url}/traces?start=now-1h")


def test_keys_that_have_nothing_to_do_say_so_and_z_goes_to_the_next_preset(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-7d")
    page.keyboard.press("z")
    page.wait_for_url("**start=now-30d")
    page.wait_for_load_state()
    page.keyboard.press("z")
    expect(page.locator("#toasts")).to_contain_text("the longest range")

    page.goto(f"{server.url}/traces?start=now-2h&end=now-1s")
    page.keyboard.press("l")
    expect(page.locator("#toasts")).to_contain_text("ends now")


def test_help_lists_the_keys_that_the_page_has(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/setup")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts dd", has_text="This list")).to_be_visible()
    expect(page.locator("#shortcuts dd", has_text="Search")).to_be_hidden()

    page.goto(f"{server.url}/errors")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts dd", has_text="Search")).to_be_visible()
    expect(page.locator("#shortcuts dd", has_text="Load the list again")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    ["/traces?q=nosuchfield:x", "/errors?q=nosuchfield:x", "/logs?q=)", "/sessions?start=never", "/dashboards/overview?q=)"],
)
def test_help_of_a_refused_query_lists_no_key_that_does_nothing(server: LiveServer, open_page: OpenPage, path: str) -> None:
    page = open_page(server.url + path)
    page.keyboard.press("?")

    expect(page.locator("#shortcuts dd", has_text="This list")).to_be_visible()
    for nothing in ("Next, previous", "Open it", "Compare", "Follow live", "filters", "From node to node", "In a chart"):
        expect(page.locator("#shortcuts dd", has_text=nothing).locator("visible=true")).to_have_count(0)


def test_link_to_a_moving_range_is_copied_with_the_times_as_they_are(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?q=status:error&live=1", permissions=["clipboard-read", "clipboard-write"])
    page.locator(".search__range summary").click()
    page.get_by_role("button", name="Copy link with the times as they are now").click()
    expect(page.locator("#toasts")).to_contain_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")

    assert re.fullmatch(re.escape(server.url) + r"/traces\?q=status%3Aerror&start=20[^&]+Z&end=20[^&]+Z", link)
    page.goto(link)
    expect(page.locator(".trace-row").first).to_be_visible()
    expect(page.get_by_role("button", name="Copy link with the times")).to_have_count(0)


def test_rows_are_selected_to_compare_them_or_to_ask_why(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-1h&cols=status,cost,user")
    page.locator(".trace-row").nth(6).wait_for()
    ids = [str(row.get_attribute("data-trace")) for row in page.locator(".trace-row").all()]
    expect(page.locator("#trace-table th")).to_have_text(["Selection", "Trace", "Status", "Cost", "User"])

    for key in "jxjjx":
        page.keyboard.press(key)
    expect(page.locator("#picked-count")).to_have_text("2 traces")
    expect(page.locator("#picked-compare")).to_have_attribute("href", f"/compare/traces?a={ids[0]}&b={ids[2]}")
    page.locator(".trace-row").nth(5).click(modifiers=["Shift"])

    expect(page.locator("#picked-count")).to_have_text("5 traces")
    expect(page.locator("#picked-compare")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#picked-why")).to_have_attribute("href", re.compile(r"/why\?q=trace%3A%28\w+\+OR\+.*&start=now-1h"))
    expect(page.locator("#peek")).to_be_hidden()


def test_failing_traces_of_a_version_with_a_tool_by_keyboard_alone(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()

    page.keyboard.press("/")
    page.keyboard.type("stat")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("error ver")
    expect(page.get_by_role("option", name="version:")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option", name="v3")).to_be_visible()
    page.keyboard.type("v3 tool:refund")
    page.keyboard.press("Enter")
    expect(page.locator(".trace-row")).to_have_count(1)
    page.wait_for_load_state()
    page.keyboard.press("j")
    expect(page.locator(".trace-row")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")

    expect(page).to_have_url(TRACE_ADDRESS)


def test_row_selected_by_key_is_never_hidden_by_the_header(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url, height=240)
    page.locator(".trace-row").nth(6).wait_for()
    page.keyboard.press("k")  # the last one
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")

    for _ in range(page.locator(".trace-row").count() - 1):
        page.keyboard.press("k")
        below_header = page.evaluate(
            """() => document.querySelector(".trace-row[aria-selected=true]").getBoundingClientRect().top
                - document.querySelector("#trace-table th").getBoundingClientRect().bottom"""
        )
        assert below_header >= -1


def test_failing_traces_of_a_version_with_a_tool_by_address_alone(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?q=status:error+version:v3+tool:refund&start=now-1h")

    expect(page.locator(".trace-row")).to_have_count(1)
    expect(page.locator(".trace-row__error")).to_contain_text("refund service did not answer")
    expect(page.locator(".volume .volume__head")).to_contain_text("1 trace, 1 failed")


def test_facet_value_is_excluded_and_included_again(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    value = page.locator("[data-facet=version] .facet__value", has_text="v2")

    value.click(modifiers=["Shift"])
    expect(page.locator("#query")).to_have_value("-version:v2")
    expect(page.locator(".trace-row")).to_have_count(3)
    page.get_by_role("link", name="Include again v2").click()

    expect(page.locator("#query")).to_have_value("")


def test_filters_stay_where_they_are_when_their_counts_arrive(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/setup")
    held = Held(page, "**/traces/facets?*")
    page.goto(f"{server.url}/traces?start=now-1h")
    expect(page.locator(".facet__values.htmx-request")).to_have_count(4)
    measure = "[...document.querySelectorAll('.facet')].map((facet) => facet.getBoundingClientRect().top)"
    before = page.evaluate(measure)

    held.release(4)
    expect(page.locator('[data-facet="status"] .facet__row')).to_have_count(2)
    expect(page.locator(".facet[open] .skeleton")).to_have_count(0)

    assert page.evaluate(measure) == before

    page.reload()  # by now it is known that no facet needs all of its room
    expect(page.locator(".facet[open] .skeleton")).to_have_count(0)
    room = page.locator('[data-facet="version"] .facet__values').bounding_box()
    rows = page.locator('[data-facet="version"] .facet__row').count()
    assert room
    assert 1 < rows < 6
    assert 26 * rows <= room["height"] < 26 * (rows + 1)


def test_columns_are_reordered_by_dragging_and_by_keyboard(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-1h&cols=name,version,duration,cost")
    heads = page.locator("#trace-heads [data-column]")

    heads.nth(3).drag_to(heads.nth(1))
    expect(heads).to_have_text(["Trace", "Cost", "Version", "Duration"])
    expect(page).to_have_url(re.compile("cols=name%2Ccost%2Cversion%2Cduration$"))
    page.wait_for_load_state()
    page.locator("#columns-menu summary").click()
    page.get_by_role("button", name="Move Version to the left").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Apply").click()

    expect(heads).to_have_text(["Version", "Trace", "Cost", "Duration"])
    page.goto(f"{server.url}/traces?start=now-1h")
    expect(heads).to_have_text(["Version", "Trace", "Cost", "Duration"])


def test_columns_are_resized_by_mouse_and_by_keys_and_stay_so(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-1h&cols=name,status,tools,error,duration")
    head = page.locator("#trace-heads [data-column=tools]")
    edge = page.get_by_role("separator", name="Width of Tools")

    def width(column: str) -> int:
        box = page.locator(f"#trace-heads [data-column={column}]").bounding_box()
        assert box is not None
        return round(box["width"])

    before = {column: width(column) for column in ("name", "status", "tools", "error", "duration")}
    expect(edge).to_have_attribute("aria-valuenow", str(before["tools"]))
    head.hover()
    box = edge.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 4, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 64, box["y"] + 10)
    page.mouse.up()

    # The name gives what another column takes, and no header was dragged to another place nor sorted by.
    after = before | {"tools": before["tools"] + 60, "name": before["name"] - 60}
    assert {column: width(column) for column in before} == after
    edge.focus()
    page.keyboard.press("ArrowLeft")
    expect(edge).to_have_attribute("aria-valuenow", str(after["tools"] - 8))
    page.keyboard.press("Shift+ArrowRight")
    expect(edge).to_have_attribute("aria-valuetext", f"{after['tools'] + 40} pixels")

    page.add_init_script("""window.moved = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.moved += entry.value; }))
            .observe({ type: "layout-shift", buffered: true })""")
    page.reload()
    page.wait_for_load_state("networkidle")
    assert width("tools") == after["tools"] + 40
    assert page.evaluate("window.moved") == 0

    edge.focus()
    page.keyboard.press("Enter")  # fits it, and opens no trace
    assert width("tools") > after["tools"] + 40
    assert page.locator(".trace-row__tools .truncate").evaluate_all(SHOWN_WHOLE)
    page.locator("#columns-menu summary").click()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_load_state()
    assert page.evaluate("document.cookie").find("widths") == -1


def test_columns_wider_than_the_card_scroll_and_leave_the_name_room(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?start=now-1h")
    edge = page.get_by_role("separator", name="Width of Error")
    head, card = page.locator("#trace-heads [data-column=name]"), page.locator(".traces__card")
    expect(card).not_to_have_class(re.compile("scrolls"))

    edge.focus()
    for _ in range(20):
        page.keyboard.press("Shift+ArrowRight")

    expect(edge).to_have_attribute("aria-valuenow", "960")
    expect(card).to_have_class(re.compile("scrolls"))
    assert round(head.evaluate("head => head.getBoundingClientRect().width")) == 200
    assert page.evaluate("document.documentElement.scrollWidth") == 1440

    page.get_by_role("separator", name="Width of Trace").dblclick()
    assert round(head.evaluate("head => head.getBoundingClientRect().width")) > 200
    assert page.locator(".trace-row__link").evaluate_all(SHOWN_WHOLE)


def test_unknown_field_is_mended_with_one_click(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)

    page.locator("#query").fill("verson:v3")
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_have_text("verson")
    page.get_by_role("link", name="Use version").click()

    expect(page.locator("#query")).to_have_value("version:v3")
    expect(page.locator(".trace-row")).to_have_count(2)


def test_spans_are_written_with_the_help_of_the_bar_alone(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()

    page.keyboard.press("/")
    page.keyboard.type("tool(ref")
    expect(page.get_by_role("option", name="refund")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.get_by_role("option", name="{")).to_be_visible()
    page.keyboard.type("{status:error} inside ag")
    expect(page.get_by_role("option", name="agent(")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("*)")
    page.keyboard.press("Enter")
    expect(page.locator(".trace-row")).to_have_count(1)
    expect(page.locator("#query")).to_have_value("tool(refund){status:error} inside agent(*)")
    page.wait_for_load_state()

    page.goto(f"{server.url}/traces")  # what was asked is offered again
    page.keyboard.press("/")
    expect(page.get_by_role("option").first).to_contain_text("tool(refund){status:error} inside agent(*)")
    expect(page.get_by_role("option").first).to_contain_text("recent")


def test_error_is_underlined_and_mended_while_typing(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)

    page.locator("#query").press_sequentially("🙂 verson:v3 tool(")
    expect(page.locator(".query__mirror mark")).to_have_text("verson")
    expect(page.locator(".query__problem")).to_contain_text("There is no field “verson”.")
    page.get_by_role("button", name="Use version").click()

    expect(page.locator("#query")).to_have_value("🙂 version:v3 tool(")
    expect(page.locator(".query__mirror mark")).to_have_count(0)
    expect(page.locator("#query")).to_be_focused()


def test_hostile_text_is_shown_harmlessly(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    row = page.locator(".trace-row", has_text="<script>")

    expect(row).to_have_count(1)
    expect(row.locator("script, img")).to_have_count(0)
    expect(page.locator("[data-facet=tool]")).to_contain_text("<script>")
    assert "\u202e" not in page.content()
    assert len(page.content()) < 200_000


def test_new_trace_is_offered_without_moving_the_list(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?q=agent:newcomer")
    expect(page.get_by_text("No trace of any time matches")).to_be_visible()

    send_run(server.url, name="newcomer", age_s=3)
    pill = page.get_by_role("link", name="1 new trace")
    expect(pill).to_be_visible()
    expect(page.locator(".trace-row")).to_have_count(0)
    pill.click()

    expect(page.locator(".trace-row")).to_have_count(1)


def test_live_list_shows_a_new_trace_by_itself_and_the_palette_finds_it(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?q=agent:passer-by&live=1")
    expect(page.get_by_text("No trace matches yet.")).to_be_visible()

    trace_id = send_run(server.url, name="passer-by", age_s=3)
    expect(page.locator(f".trace-row[data-trace='{trace_id}']")).to_be_visible()
    expect(page.get_by_text("No trace matches yet.")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option", name="agent:passer-by")).to_be_visible()
    expect(page.get_by_role("option", name="Errors").locator("kbd")).to_have_text(["g", "e"])
    page.keyboard.type(trace_id.upper())
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{server.url}/traces/{trace_id}")


def test_fragment_that_cannot_be_loaded_says_so_in_its_place(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    broken = Held(page, "**/traces/facets?*field=tool*")
    page.route("**/traces/volume*", lambda route: route.abort())
    page.goto(server.url)
    expect(page.locator(".volume")).to_contain_text("Could not be loaded")
    expect(page.locator("[data-facet=version] .facet__value").first).to_be_visible()

    broken.wait()[0].fulfill(status=500, body="broken")

    expect(page.locator("[data-facet=tool]")).to_contain_text("Could not be loaded: the server answered 500.")
    expect(page.locator("#toasts")).not_to_contain_text("Reload the page")  # what failed offers to try again itself

    page.unroute("**/traces/volume*")
    page.locator(".volume").get_by_role("button", name="Try again").click()

    expect(page.locator(".volume .volume__bars")).to_be_visible()
    expect(page.locator(".volume")).not_to_contain_text("Could not be loaded")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_has_no_sideways_scrolling_and_large_targets(server: LiveServer, open_page: OpenPage, scheme: str) -> None:
    page = open_page(server.url, width=390, height=844, has_touch=True, color_scheme=scheme)
    page.locator(".trace-row").first.wait_for()
    page.get_by_role("button", name="Filters").tap()
    page.locator("[data-facet=version] .facet__value").first.wait_for()

    small = page.evaluate(
        """() => [...document.querySelectorAll("a, button, summary, input")]
            .filter((item) => item.checkVisibility() && !item.closest("svg, .skip-link"))
            .map((item) => [item.outerHTML.slice(0, 80), item.getBoundingClientRect().height])
            .filter(([, height]) => height > 0 && height < 39.5)"""
    )

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [item for item in small if "trace-row__link" not in item[0]] == []  # its target is the whole card
    expect(page.get_by_role("button", name="Close the filters")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Filters")).to_be_focused()


def test_theme_choice_outlives_the_page(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url, color_scheme="light")

    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_theme_and_menus_work_before_the_larger_scripts_are_there(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page("about:blank", width=390, height=844, color_scheme="light")
    held = Held(page, "**/htmx-2*.js")
    page.goto(server.url, wait_until="commit")

    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Menu").click()
    expect(page.get_by_role("link", name="Sessions")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Sessions")).to_be_hidden()
    page.locator("#views-menu > summary").click()
    held.release()

    expect(page.locator("#views-menu .skeleton")).to_have_count(0)


def test_filters_open_though_clicked_before_their_script_is_there(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page("about:blank", width=390, height=844)
    held = Held(page, "**/traces*.js")
    page.goto(server.url, wait_until="commit")
    held.wait()

    page.get_by_role("button", name="Filters").click()
    held.release()

    expect(page.locator("#traces")).to_have_class(re.compile("traces--drawer"))
    expect(page.locator("#facets")).to_be_visible()


def test_two_keys_in_a_row_count_though_the_page_was_busy(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)

    page.evaluate(  # the first waits for the page longer than the second may come after it
        """async () => {
            const press = (key) => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
            const first = press("g");
            await new Promise((done) => setTimeout(done, 2000));
            document.body.dispatchEvent(first);
            document.body.dispatchEvent(press("e"));
        }"""
    )

    expect(page).to_have_url(re.compile("/errors"))


def test_offer_chosen_before_the_last_offers_came_stays_chosen(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    held = Held(page, "**/traces/complete?q=stat&*")
    page.keyboard.press("/")
    page.keyboard.type("sta")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.type("t")
    held.wait()

    page.keyboard.press("ArrowDown")
    with page.expect_response("**/traces/complete?q=stat&*"):
        held.release()
    wait_for_frame(page)
    page.keyboard.press("Enter")

    expect(page.locator("#query")).to_have_value("status:")


def test_tab_takes_the_first_offer_for_what_is_typed_and_else_leaves_the_bar(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()
    query = page.locator("#query")
    page.keyboard.press("/")
    page.keyboard.type("vers")
    expect(page.get_by_role("option")).to_have_count(1)

    page.keyboard.press("Tab")

    expect(query).to_have_value("version:")
    expect(query).to_be_focused()
    expect(page.get_by_role("option").filter(has_text="v3")).to_have_count(1)
    # Of a value nothing is typed yet.
    page.keyboard.press("Tab")
    expect(query).to_have_value("version:")
    expect(query).not_to_be_focused()
    # What stands there whole needs no completion, though more begins so.
    query.fill("has:tool")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("Tab")
    expect(query).to_have_value("has:tool")
    expect(query).not_to_be_focused()


def test_offer_for_a_word_that_the_cursor_has_left_is_not_taken(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.keyboard.press("/")
    page.keyboard.type("version:v3 stat")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    held = Held(page, "**/traces/complete?*cursor=0*")

    page.keyboard.press("Home")
    expect(page.get_by_role("option")).to_have_count(0)
    held.release()
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")

    expect(page.locator("#query")).to_have_value(re.compile(r"version:v3 stat$"))


def test_line_of_the_palette_chosen_before_the_views_came_stays_chosen(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    held = Held(page, "**/traces/views.json")
    page.keyboard.press("Control+k")
    page.keyboard.press("ArrowDown")
    second = page.get_by_role("option").nth(1)
    expect(second).to_have_attribute("aria-selected", "true")

    with page.expect_response("**/traces/views.json"):
        held.release()
    wait_for_frame(page)

    expect(second).to_have_attribute("aria-selected", "true")


def test_row_that_changes_while_it_is_pressed_still_gets_the_click(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?q=tool:refund+version:v3&start=now-1h")
    html = page.locator(".trace-rows").evaluate("(rows) => rows.outerHTML").replace(">v3<", ">v3, later<")
    fresh = html.replace('<tbody class="trace-rows"', f'<tbody class="trace-rows" data-until="{time.time_ns()}"')
    page.route("**/traces/tail?*", lambda route: route.fulfill(body=f"<table>{fresh}</table>"))
    page.goto(f"{page.url}&live=1")
    link = page.locator(".trace-row__link")

    link.hover()
    page.mouse.down()
    with page.expect_response("**/traces/tail?*"):
        pass
    wait_for_frame(page)
    page.mouse.up()

    expect(page.locator("#peek")).to_be_visible()
    expect(page.locator(".trace-row")).to_contain_text("v3, later")
    expect(link).to_be_focused()


def test_preview_that_cannot_be_loaded_says_so_instead_of_showing_the_one_before(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()
    second = page.locator(".trace-row").nth(1).get_attribute("data-trace")
    page.route(f"**/traces/{second}/peek", lambda route: route.fulfill(status=500, body="broken"))
    page.locator(".trace-row").first.click()
    expect(page.locator(".peek__trace")).to_be_visible()

    page.keyboard.press("j")

    expect(page.locator("#peek-body")).to_have_text("Could not be loaded: the server answered 500. Try again")
    expect(page.locator("#peek-body")).not_to_have_attribute("aria-busy", "true")


def test_preview_closed_and_opened_at_once_is_open(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.locator(".trace-row").nth(6).wait_for()
    ids = [row.get_attribute("data-trace") for row in page.locator(".trace-row").all()]
    page.locator(".trace-row").nth(2).click()
    expect(page.locator(f".peek__trace[data-trace='{ids[2]}']")).to_be_visible()

    page.evaluate(  # both before the browser has gone back
        """(id) => {
            document.querySelector("[data-peek=close]").click();
            const link = document.querySelector(`[data-trace="${id}"] .trace-row__link`);
            link.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, detail: 1 }));
        }""",
        ids[4],
    )

    expect(page.locator(f".peek__trace[data-trace='{ids[4]}']")).to_be_visible()
    expect(page).to_have_url(re.compile(f"peek={ids[4]}"))
    page.go_back()
    expect(page.locator("#peek")).to_be_hidden()


def test_live_list_takes_in_all_of_a_burst(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces?q=name:burst*&live=1")
    expect(page.get_by_text("No trace matches yet.")).to_be_visible()
    now_ns = time.time_ns()
    burst: list[dict[str, Any]] = [
        {"trace_id": f"{number:032x}", "span_id": "b" * 16, "name": f"burst {number}", "start_ns": now_ns - number * 10**6}
        for number in range(1, 131)
    ]
    headers = {"Content-Type": "application/x-protobuf"}

    urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/traces", build_request(*burst), headers), timeout=60).close()

    expect(page.locator(".trace-row")).to_have_count(130)  # more than one answer holds
    names = page.locator(".trace-row__link").all_inner_texts()
    assert names == [f"burst {number}" for number in range(1, 131)]
    expect(page.locator("#tail-full")).to_be_hidden()
