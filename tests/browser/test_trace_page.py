"""The trace page in a browser, over spans sent to a running instance.

Each page fails its test on a script error or a violation of the Content-Security-Policy.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Held, OpenPage, wait_for_frame
from tests.live import LiveServer, start_server
from tests.logs import build_logs
from tests.spans import build_request

SendTrace = Callable[..., str]
ROOT, CHAT, TOOL, INFRA = "1" * 16, "2" * 16, "3" * 16, "4" * 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    running = start_server(tmp_path_factory.mktemp("trace"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def send_trace(server: LiveServer) -> SendTrace:
    """Send spans as one trace over OTLP/HTTP, wait until it is summarized, and return the URL of its page."""

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

    return send


def _failed_run() -> list[dict[str, Any]]:
    question = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Refund A-1 please"}]}])
    return [
        {
            "span_id": ROOT,
            "name": "invoke_agent triage",
            "error": "no answer",
            "attributes": {"gen_ai.operation.name": "invoke_agent"},
        },
        {
            "span_id": CHAT,
            "parent": ROOT,
            "name": "chat gpt-5",
            "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.input.messages": question},
        },
        {"span_id": INFRA, "parent": CHAT, "name": "POST /v1/chat"},
        {
            "span_id": TOOL,
            "parent": ROOT,
            "name": "execute_tool refund",
            "error": "no answer",
            "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "GatewayTimeout"},
            "events": [("exception", {"exception.type": "GatewayTimeout", "exception.stacktrace": "File pay.py, line 7"})],
        },
    ]


def _wait_ready(page: Page) -> None:
    expect(page.locator("#trace[data-ready]")).to_be_attached()


def _selected(page: Page) -> Any:
    return page.locator('.trow[aria-selected="true"]')


def test_failing_step_is_selected_on_arrival(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))

    _wait_ready(page)

    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)
    expect(page.locator("#why")).to_contain_text("GatewayTimeout")
    expect(page.locator("#span-panel h2")).to_contain_text("execute_tool refund")


def test_link_to_one_step_opens_it(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()) + f"&span={CHAT}")

    _wait_ready(page)

    expect(_selected(page)).to_have_attribute("data-span-id", CHAT)
    expect(page.locator("#span-panel")).to_contain_text("Refund A-1 please")


def test_click_on_a_step_shows_it_and_can_be_shared(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)

    page.locator(f'.trow[data-span-id="{CHAT}"]').click()

    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)
    assert page.url.endswith(f"?view=tree&span={CHAT}")


def test_keyboard_reaches_every_step_and_error(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()) + f"&span={ROOT}")
    _wait_ready(page)

    page.keyboard.press("f")
    page.keyboard.press("j")
    expect(_selected(page)).to_have_attribute("data-span-id", CHAT)
    page.keyboard.press("ArrowDown")
    expect(_selected(page)).to_have_attribute("data-span-id", INFRA)
    page.keyboard.press("ArrowLeft")
    expect(_selected(page)).to_have_attribute("data-span-id", CHAT)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f'.trow[data-span-id="{INFRA}"]')).to_have_count(0)
    page.keyboard.press("e")
    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)
    page.keyboard.press("e")
    expect(_selected(page)).to_have_attribute("data-span-id", ROOT)
    page.keyboard.press("E")
    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)

    expect(page.locator("#span-panel")).to_have_attribute("data-span", TOOL)


def test_tab_stops_at_nothing_hidden_from_screen_readers(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)

    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('[aria-hidden=true]')?.className ?? ''"))

    assert set(stops) == {""}


def test_search_finds_names_and_what_messages_say(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()) + f"&span={ROOT}")
    _wait_ready(page)

    page.keyboard.press("/")
    page.keyboard.type("refund")
    expect(page.locator("#trace-hits")).to_have_text("2")  # the tool by its name, the call by its message
    page.keyboard.press("Enter")
    expect(_selected(page)).to_have_attribute("data-span-id", CHAT)
    page.keyboard.press("Enter")

    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)
    expect(page.locator("#trace-hits")).to_have_text("2/2")


def test_infrastructure_is_folded_counted_and_a_click_away(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)
    expect(page.locator(".trow")).to_have_count(3)

    page.get_by_role("button", name="+1 infra").click()
    expect(page.locator(f'.trow[data-span-id="{INFRA}"]')).to_be_visible()
    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)
    page.get_by_role("button", name="hide infra").click()
    expect(page.locator(".trow")).to_have_count(3)
    page.keyboard.press("f")
    expect(page.locator(".trow")).to_have_count(4)


def test_views_share_the_selected_step_and_stand_in_the_address(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)
    page.evaluate("document.addEventListener('trace:selected', (event) => { document.body.dataset.told = event.detail.spanId; })")

    page.keyboard.press("3")
    expect(page.locator(".trow .bar")).to_have_count(3)
    page.keyboard.press("k")
    expect(page.locator("body")).to_have_attribute("data-told", CHAT)
    page.get_by_role("tab", name="Graph").click()
    expect(page.locator(".gnode--selected .gnode__label")).to_have_text("gpt-5")
    page.locator(".gnode", has_text="refund").click()
    expect(page.locator("#span-panel")).to_have_attribute("data-span", TOOL)
    page.get_by_role("tab", name="Raw").first.click()
    expect(page.locator("#trace-raw")).to_contain_text('"resourceSpans"')
    page.reload()
    _wait_ready(page)

    expect(page.locator("#trace-raw")).to_contain_text('"resourceSpans"')
    assert page.url.endswith(f"?view=raw&span={TOOL}")
    page.get_by_role("tab", name="Tree").click()
    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)


def test_late_panel_of_a_step_left_again_is_not_shown(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)
    expect(page.locator("#span-panel")).to_have_attribute("data-span", TOOL)
    held = Held(page, f"**/spans/{CHAT}")
    page.keyboard.press("k")
    (late,) = held.wait()
    expect(page.locator("#panel")).to_have_attribute("aria-busy", "true")

    page.locator(f'.trow[data-span-id="{TOOL}"]').click()
    expect(page.locator("#panel")).not_to_have_attribute("aria-busy", "true")
    late.fulfill(body=f'<div id="span-panel" data-span="{CHAT}"></div>')
    page.evaluate("new Promise((done) => setTimeout(done, 200))")

    expect(page.locator("#span-panel")).to_have_attribute("data-span", TOOL)


def test_buttons_pressed_before_the_steps_are_here_count_and_keys_do_nothing(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page("about:blank")
    held = Held(page, "**/tree")
    page.goto(send_trace(*_failed_run()))

    for key in "fxer[]opzj":
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Next error").click()
    page.locator("#trace-search").fill("refund")
    held.release()
    _wait_ready(page)

    expect(page.locator(".trow--hit")).to_have_count(2)
    expect(_selected(page)).to_have_attribute("data-span-id", ROOT)  # after the last of them comes the first


def test_tabs_and_buttons_clicked_before_the_scripts_are_there_count(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page("about:blank")
    held = Held(page, "**/htmx-2*.js")
    page.goto(send_trace(*_failed_run()), wait_until="commit")
    held.wait()

    page.get_by_role("tab", name="Timeline").click()
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_role("button", name="Go to").click()
    held.release()

    expect(page.get_by_role("dialog", name="Go to")).to_be_visible()
    expect(page.locator("#view-tab-timeline")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#pane-attributes")).to_be_visible()


def test_click_counts_though_the_steps_are_drawn_again_before_it_ends(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)
    expect(_selected(page)).to_have_attribute("data-span-id", TOOL)

    page.locator(f'.trow[data-span-id="{CHAT}"] .trow__label').hover()
    page.mouse.down()
    page.set_viewport_size({"width": 1440, "height": 860})
    wait_for_frame(page)
    page.mouse.up()

    expect(_selected(page)).to_have_attribute("data-span-id", CHAT)


def test_focus_stays_on_the_tab_of_the_panel_when_another_step_comes(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)
    page.locator("#tab-attributes").click()

    page.keyboard.press("e")
    expect(page.locator("#span-panel")).to_have_attribute("data-span", ROOT)

    expect(page.locator("#tab-attributes")).to_be_focused()


def test_of_two_forms_of_the_raw_trace_the_one_chosen_last_is_shown(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()).replace("view=tree", "view=raw"))
    _wait_ready(page)
    forms = page.locator("#trace-raw .raw__tools [hx-get]")
    expect(forms.first).to_have_attribute("aria-current", "page")
    last = forms.count() - 1
    held = Held(page, "**/raw?format=*")

    forms.first.click()
    held.wait()
    forms.nth(last).click()
    held.release(2)

    expect(forms.nth(last)).to_have_attribute("aria-current", "page")


def test_text_stays_plain_when_its_markdown_comes_too_late(open_page: OpenPage, send_trace: SendTrace) -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": "**Refund**:\n\n- A-1\n- A-2"}]}]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(said)}
    page = open_page(send_trace({"span_id": ROOT, "name": "chat", "attributes": attributes}))
    _wait_ready(page)
    text = page.locator("#span-panel [data-text]", has_text="A-2").first
    text.get_by_role("button", name="Plain").click()
    text.locator(".md").evaluate_all("views => views.forEach((view) => view.remove())")  # as if it had not come yet
    held = Held(page, "**/markdown?*")

    text.get_by_role("button", name="Markdown").click()
    held.wait()
    text.get_by_role("button", name="Plain").click()
    held.release()

    expect(text.locator(".md")).to_have_count(1)
    expect(text.locator(".md")).to_be_hidden()
    expect(text.get_by_role("button", name="Plain")).to_have_attribute("aria-pressed", "true")


def test_handoff_is_a_dashed_line_to_the_agent_it_names_and_keys_follow_the_run(
    open_page: OpenPage, send_trace: SendTrace
) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent"}
    url = send_trace(
        {"span_id": "1" * 16, "attributes": agent | {"gen_ai.agent.name": "Triage"}},
        {
            "span_id": "2" * 16, "parent": "1" * 16, "name": "execute_tool transfer_to_agent",
            "attributes": {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "transfer_to_agent",
                "gen_ai.tool.call.arguments": '{"agent_name": "billing"}',
            },
        },
        {"span_id": "3" * 16, "attributes": agent | {"gen_ai.agent.name": "Billing agent"}},
        {"span_id": "4" * 16, "parent": "3" * 16, "name": "route", "attributes": {"langgraph.command.goto_node": "refunds"}},
    )  # fmt: skip

    page = open_page(url.replace("view=tree", "view=graph"))

    expect(page.locator(".gedge--handoff")).to_have_count(2)
    expect(page.locator(".gedge:not(.gedge--handoff)")).to_have_count(0)
    expect(page.locator(".gnode__label")).to_have_text(["Triage", "Billing agent", "refunds"])
    expect(page.locator("[data-place]")).to_have_text("1 of 3")
    page.keyboard.press("j")
    expect(page.locator(".gnode--selected .gnode__label")).to_have_text("Billing agent")
    expect(page.locator(".gedge--taken")).to_have_count(1)
    expect(page.locator("[data-place]")).to_have_text("2 of 3")
    page.get_by_role("button", name="Call before").click()
    expect(page.locator(".gnode--selected .gnode__label")).to_have_text("Triage")
    page.get_by_role("button", name="refunds").click()
    expect(page.locator("#span-panel")).to_contain_text("route")


def test_lines_of_the_graph_cross_no_node(open_page: OpenPage, send_trace: SendTrace) -> None:
    """Behind a node, a line to what is below it would seem to begin there."""
    tools = [
        {
            "span_id": f"{place:016x}", "parent": ROOT if place < 9 else f"{place - 7:016x}",
            "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": f"tool_{place}"},
        }
        for place in range(2, 14)
    ]  # fmt: skip
    root = {"span_id": ROOT, "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage"}}
    page = open_page(send_trace(root, *tools).replace("view=tree", "view=graph"))
    _wait_ready(page)
    expect(page.locator(".gnode")).to_have_count(13)
    expect(page.locator(".gedge")).to_have_count(12)

    crossed = page.evaluate(
        """() => {
            const nodes = [...document.querySelectorAll(".gnode")];
            const isIn = ({ x, y }, { style, offsetWidth, offsetHeight }) => {
                const [left, top] = [x - parseFloat(style.left), y - parseFloat(style.top)];
                return left > 1 && left < offsetWidth - 1 && top > 1 && top < offsetHeight - 1;
            };
            return [...document.querySelectorAll(".gedge")].flatMap((line) => {
                const points = [...Array(201).keys()].map((at) => line.getPointAtLength((line.getTotalLength() * at) / 200));
                return nodes.filter((node) => points.some((point) => isIn(point, node))).map((node) => node.textContent);
            });
        }"""
    )

    assert crossed == []


def test_drag_over_the_overview_leaves_what_ran_then(open_page: OpenPage, send_trace: SendTrace) -> None:
    now_ns = time.time_ns() - 60 * 10**9
    steps = [
        {"span_id": f"{number + 2:016x}", "parent": ROOT, "name": f"step {number}", "start_ns": now_ns + number * 10**9}
        for number in range(10)
    ]
    url = send_trace({"span_id": ROOT, "name": "all", "start_ns": now_ns, "duration_ns": 10**10}, *steps)
    page = open_page(url)
    _wait_ready(page)
    expect(page.locator(".trow")).to_have_count(11)

    strip = page.locator("#overview")
    box = strip.bounding_box()
    assert box
    strip.hover(position={"x": box["width"] * 0.42, "y": 20})
    page.mouse.down()
    strip.hover(position={"x": box["width"] * 0.58, "y": 20})
    page.mouse.up()

    expect(page.locator(".trow")).to_have_count(3)
    expect(page.locator(".trow__label")).to_have_text(["all", "step 4", "step 5"])
    expect(page.locator("#range-note")).to_contain_text("4.2 s – 5.8 s")
    page.reload()
    _wait_ready(page)
    expect(page.locator(".trow")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator(".trow")).to_have_count(11)
    assert "range=" not in page.url


def test_tree_shows_when_a_step_ran_and_which_took_the_time(open_page: OpenPage, send_trace: SendTrace) -> None:
    now_ns, second_ns = time.time_ns() - 60 * 10**9, 10**9
    wrapper, inner, long = "0000000000000002", "0000000000000003", "0000000000000004"
    url = send_trace(
        {"span_id": ROOT, "name": "all", "start_ns": now_ns, "duration_ns": 10 * second_ns},
        {"span_id": wrapper, "parent": ROOT, "name": "wrapper", "start_ns": now_ns, "duration_ns": 2 * second_ns},
        {"span_id": inner, "parent": wrapper, "name": "inner", "start_ns": now_ns, "duration_ns": 2 * second_ns},
        {"span_id": long, "parent": ROOT, "name": "long", "start_ns": now_ns + 2 * second_ns, "duration_ns": 8 * second_ns},
    )
    page = open_page(url)
    _wait_ready(page)

    # All of its parent, of which it is the only step: held against the whole trace it is a fifth.
    expect(page.locator(".trow:has(.trow--hot) .trow__label")).to_have_text(["long"])
    start, length = page.locator(f'[data-span-id="{long}"]').evaluate(
        """(row) => {
            const [lane, bar] = [".trow__lane", ".lane__bar"].map((name) => row.querySelector(name).getBoundingClientRect());
            return [(bar.x - lane.x) / lane.width, bar.width / lane.width];
        }"""
    )
    assert start == pytest.approx(0.2, abs=0.02)
    assert length == pytest.approx(0.8, abs=0.02)


def test_idle_time_is_offered_and_cut_out(open_page: OpenPage, send_trace: SendTrace) -> None:
    now_ns = time.time_ns() - 120 * 10**9
    url = send_trace(
        {"span_id": ROOT, "name": "all", "start_ns": now_ns, "duration_ns": 40 * 10**9},
        {"span_id": CHAT, "parent": ROOT, "name": "before", "start_ns": now_ns, "duration_ns": 10**9},
        {"span_id": TOOL, "parent": ROOT, "name": "after", "start_ns": now_ns + 39 * 10**9, "duration_ns": 10**9},
    )
    page = open_page(url.replace("view=tree", "view=timeline"))
    _wait_ready(page)
    last = page.locator(f'.trow[data-span-id="{TOOL}"] .bar')
    before = last.bounding_box()

    page.get_by_role("button", name="38 s, 95.0 % idle: compress").click()

    expect(page.locator(".grid__gap")).to_have_text(["38 s"])
    after = last.bounding_box()
    assert before
    assert after
    assert after["width"] > before["width"] * 10


def test_tabs_show_attributes_events_and_raw(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()))
    _wait_ready(page)

    page.get_by_role("tab", name="Attributes").click()
    page.get_by_placeholder("Filter attributes").fill("tool.name")
    expect(page.locator('[data-pane="attributes"] [data-attribute]:visible')).to_have_count(1)
    page.get_by_role("tab", name="Events").click()
    expect(page.locator('[data-pane="events"]')).to_contain_text("File pay.py, line 7")
    page.locator("#panel").get_by_role("tab", name="Raw").click()
    expect(page.locator('[data-pane="raw"]')).to_contain_text('"gen_ai.tool.name": "refund"')

    page.keyboard.press("k")
    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)
    expect(page.locator('[data-pane="raw"]')).to_be_visible()


def test_logs_stand_with_their_step_and_with_the_trace(open_page: OpenPage, server: LiveServer, send_trace: SendTrace) -> None:
    url = send_trace({"span_id": ROOT, "name": "invoke_agent triage"}, {"span_id": CHAT, "parent": ROOT, "name": "chat gpt-5"})
    long_text = "\n".join(f"line {number}" for number in range(100))
    nasty = "<img src=x onerror=alert(1)>"
    common: dict[str, Any] = {"trace_id": url.rpartition("/")[2].partition("?")[0], "time_ns": time.time_ns() - 30 * 10**9}
    body = build_logs(
        common | {"span_id": CHAT, "body": "cache was cold", "severity": 13, "attributes": {nasty: nasty}},
        common | {"span_id": ROOT, "body": "run started"},
        common | {"body": long_text},
    )
    headers = {"Content-Type": "application/x-protobuf"}
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/logs", body, headers), timeout=60).close()
    _wait_for_logs(server, common["trace_id"], 3)
    page = open_page(f"{url}&span={CHAT}")
    _wait_ready(page)

    page.get_by_role("tab", name="Logs 1").click()
    row = page.locator("#pane-logs .log")
    row.locator("summary").click()

    expect(row).to_contain_text("cache was cold")
    expect(row.locator(".attr__value")).to_have_text(nasty)
    page.keyboard.press("Escape")
    page.locator("#tree-body").focus()
    page.keyboard.press("k")
    expect(page.locator("#pane-logs .log")).to_contain_text("run started")
    page.locator("#trace-logs > summary").click()
    page.locator("#trace-logs .log > summary").click()
    expect(page.locator("#trace-logs [data-text]")).to_have_class(re.compile("text--folded"))
    page.locator("#trace-logs [data-unfold]").click()
    expect(page.locator("#trace-logs [data-text]")).not_to_have_class(re.compile("text--folded"))
    page.get_by_role("tab", name="Logs", exact=True).click()
    named = page.locator("#view-logs .log", has_text="cache was cold")
    named.locator("summary").click()
    page.wait_for_url("**record=*")
    page.reload()
    expect(named).to_have_attribute("open", "")
    named.locator("summary").click()
    page.wait_for_url(lambda url: "record=" not in url)


def _wait_for_logs(server: LiveServer, trace_id: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server.url}/api/v1/traces/{trace_id}/logs", timeout=60) as answer:
            if len(json.load(answer)["results"]) == count:
                return
        time.sleep(0.2)
    raise AssertionError("the logs did not arrive")


def test_hostile_attributes_are_harmless(open_page: OpenPage, send_trace: SendTrace) -> None:
    run = "document.body.dataset.owned = 1"
    evil = f"<script>{run}</script><img src=x onerror='{run}'><svg onload='{run}'>"
    controls = "nul \x00 bell \x07 escape \x1b reorder \u202egnp"
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": evil,
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": evil}, {"role": "user", "content": "x" * 1_000_000}]),
        "gen_ai.output.messages": "javascript:alert(1)",
        "link": "javascript:alert(1)",
        "controls": controls,
        evil: evil,
        "big": "y" * 1_000_000,
    }
    url = send_trace(
        {"span_id": ROOT, "name": evil, "error": evil, "attributes": attributes, "events": [(evil, {evil: evil})]},
        {"span_id": CHAT, "parent": ROOT, "name": "next", "attributes": {"gen_ai.operation.name": "chat"}},
    )

    page = open_page(url)

    _wait_ready(page)
    expect(page.locator(".trow__label").first).to_contain_text("<script>")
    page.get_by_role("tab", name="Attributes").click()
    expect(page.locator('[data-pane="attributes"]')).to_contain_text("nul \u2400 bell \u2407 escape \u241b reorder \\u202egnp")
    page.get_by_role("tab", name="Events").click()
    page.locator("#panel").get_by_role("tab", name="Raw").click()
    page.keyboard.press("j")
    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)
    page.keyboard.press("k")
    expect(page.locator("#span-panel")).to_have_attribute("data-span", ROOT)
    assert page.evaluate("document.body.dataset.owned") is None
    assert page.locator("#main img, #main script:not([type='application/json'])").count() == 0
    assert page.evaluate("[...document.querySelectorAll('a')].filter((link) => link.href.startsWith('javascript:')).length") == 0


def test_megabyte_of_text_opens_as_plain_text(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace({"span_id": ROOT, "attributes": {"input.value": "<b>" + "x" * 1_000_000}}))
    _wait_ready(page)

    with page.expect_popup() as popup:
        page.locator("#span-panel").get_by_role("link", name="Show all").first.click()

    popup.value.wait_for_load_state()
    assert popup.value.evaluate("document.contentType") == "text/plain"
    assert popup.value.evaluate("document.body.textContent.length") == 1_000_003


def test_five_thousand_steps_scroll_and_can_be_selected(open_page: OpenPage, send_trace: SendTrace) -> None:
    spans: list[dict[str, Any]] = [{"span_id": ROOT, "name": "root", "duration_ns": 20 * 10**9}]
    spans += [
        {"span_id": f"{index + 16:016x}", "parent": ROOT, "name": f"step {index}", "duration_ns": 10**6} for index in range(4_999)
    ]
    spans[-1] |= {"error": "the last one", "name": "needle"}
    page = open_page(send_trace(*spans) + f"&span={ROOT}")
    _wait_ready(page)

    expect(page.locator(".trow").first).to_contain_text("root")
    assert page.locator(".trow").count() < 100
    page.locator("#tree-body").evaluate("body => { body.scrollTop = body.scrollHeight; }")
    expect(page.locator(".trow").last).to_be_visible()
    page.keyboard.press("e")
    expect(_selected(page)).to_contain_text("needle")
    expect(page.locator("#span-panel")).to_contain_text("the last one")
    assert page.locator(".trow").count() < 100


def test_phone_shows_steps_above_the_panel_without_sideways_scrolling(open_page: OpenPage, send_trace: SendTrace) -> None:
    root, *steps = _failed_run()
    root |= {"name": "GET /organizations/{organization_id}/projects/{project_id}/messages"}
    page = open_page(send_trace(root, *steps), width=390, height=844)
    _wait_ready(page)
    is_cut_off = "(title) => title.scrollWidth > title.clientWidth || title.scrollHeight > title.clientHeight"
    assert not page.locator("h1").evaluate(is_cut_off)

    page.locator(f'.trow[data-span-id="{CHAT}"]').click()

    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # All at once: the page still scrolls to the panel.
    tops = page.evaluate(
        "['#why', '.thead .facts', '#views', '#panel'].map(name => document.querySelector(name).getBoundingClientRect().top)"
    )
    assert tops == sorted(set(tops))


def test_link_to_the_failing_step_leads_a_phone_to_its_panel(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()), width=390, height=480, has_touch=True, is_mobile=True)
    _wait_ready(page)

    failure = page.locator("#span-panel .fail__type")
    expect(failure).not_to_be_in_viewport()

    page.locator("#why a:not(.muted)").tap()

    expect(failure).to_be_in_viewport()


def test_tap_on_a_step_brings_its_panel_to_the_top_of_a_phone(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*_failed_run()), width=390, height=700, has_touch=True, is_mobile=True, reduced_motion="reduce")
    _wait_ready(page)

    page.locator(f'.trow[data-span-id="{CHAT}"]').tap()
    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)

    # Scrolling is smooth: wait until it has come there.
    page.wait_for_function(
        """() => {
            const [panel, bar] = ["#panel", ".topbar"].map((name) => document.querySelector(name).getBoundingClientRect());
            return Math.abs(panel.top - bar.bottom) <= 2;
        }"""
    )
    expect(page.locator("#span-panel h2")).to_be_in_viewport()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_panes_can_be_resized_with_the_keyboard_and_stay_so(open_page: OpenPage, send_trace: SendTrace, theme: str) -> None:
    page = open_page(send_trace(*_failed_run()), color_scheme=theme)
    _wait_ready(page)
    before = page.locator("#panel").bounding_box()

    page.locator("#pane-splitter").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.reload()
    _wait_ready(page)

    after = page.locator("#panel").bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(before["width"] + 48, abs=2)
