"""The trace page in a browser: its steps, views and keys, over spans sent to a running instance.

Each page fails its test on a script error or a violation of the Content-Security-Policy.
"""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Held, OpenPage, SendTrace, wait_for_frame
from tests.browser.traces import CHAT, INFRA, ROOT, TOOL, failed_run, selected, wait_ready


def test_failing_step_is_selected_on_arrival(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))

    wait_ready(page)

    expect(selected(page)).to_have_attribute("data-span-id", TOOL)
    expect(page.locator("#why")).to_contain_text("GatewayTimeout")
    expect(page.locator("#span-panel h2")).to_contain_text("execute_tool refund")


def test_keys_and_buttons_lead_through_the_list_that_one_came_from(open_page: OpenPage, send_trace: SendTrace) -> None:
    session, now_ns = f"walked-{time.time_ns()}", time.time_ns()
    spans = [
        {"span_id": ROOT, "name": f"run {n}", "start_ns": now_ns - n * 10**9, "attributes": {"session.id": session}}
        for n in (1, 2, 3)
    ]
    links = [send_trace(span) for span in spans]
    ids = [re.sub(r".*/traces/([0-9a-f]{32}).*", r"\1", link) for link in links]
    page = open_page(f"{links[0].partition('/traces/')[0]}/traces?q=session%3A{session}&start=now-7d&sort=start")

    page.locator(".trace-row").nth(1).locator(".trace-row__link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/traces/{ids[1]}?*")
    wait_ready(page)
    page.keyboard.press("3")
    page.keyboard.press("J")
    page.wait_for_url(f"**/traces/{ids[0]}?*view=timeline*")
    wait_ready(page)
    page.keyboard.press("J")
    expect(page.get_by_text("This is the last trace of the list.")).to_be_visible()
    page.get_by_role("link", name="Previous trace of the list").click()
    page.wait_for_url(f"**/traces/{ids[1]}?*view=timeline*")
    wait_ready(page)
    page.keyboard.press("K")
    page.wait_for_url(f"**/traces/{ids[2]}?*")
    wait_ready(page)

    expect(page.get_by_role("button", name="Previous trace of the list")).to_have_attribute(
        "data-sentence", "This is the first trace of the list."
    )


def test_link_to_one_step_opens_it(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()) + f"&span={CHAT}")

    wait_ready(page)

    expect(selected(page)).to_have_attribute("data-span-id", CHAT)
    expect(page.locator("#span-panel")).to_contain_text("Refund A-1 please")


def test_click_on_a_step_shows_it_and_can_be_shared(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)

    page.locator(f'.trow[data-span-id="{CHAT}"]').click()

    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)
    assert page.url.endswith(f"?view=tree&span={CHAT}")


def test_keyboard_reaches_every_step_and_error(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()) + f"&span={ROOT}")
    wait_ready(page)

    page.keyboard.press("f")
    page.keyboard.press("j")
    expect(selected(page)).to_have_attribute("data-span-id", CHAT)
    page.keyboard.press("ArrowDown")
    expect(selected(page)).to_have_attribute("data-span-id", INFRA)
    page.keyboard.press("ArrowLeft")
    expect(selected(page)).to_have_attribute("data-span-id", CHAT)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f'.trow[data-span-id="{INFRA}"]')).to_have_count(0)
    page.keyboard.press("e")
    expect(selected(page)).to_have_attribute("data-span-id", TOOL)
    page.keyboard.press("e")
    expect(selected(page)).to_have_attribute("data-span-id", ROOT)
    page.keyboard.press("E")
    expect(selected(page)).to_have_attribute("data-span-id", TOOL)

    expect(page.locator("#span-panel")).to_have_attribute("data-span", TOOL)


def test_tab_stops_at_nothing_hidden_from_screen_readers(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)

    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('[aria-hidden=true]')?.className ?? ''"))

    assert set(stops) == {""}


def test_search_finds_names_and_what_messages_say(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()) + f"&span={ROOT}")
    wait_ready(page)

    page.keyboard.press("/")
    page.keyboard.type("refund")
    expect(page.locator("#trace-hits")).to_have_text("2")  # the tool by its name, the call by its message
    page.keyboard.press("Enter")
    expect(selected(page)).to_have_attribute("data-span-id", CHAT)
    page.keyboard.press("Enter")

    expect(selected(page)).to_have_attribute("data-span-id", TOOL)
    expect(page.locator("#trace-hits")).to_have_text("2/2")


def test_infrastructure_is_folded_counted_and_a_click_away(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)
    expect(page.locator(".trow")).to_have_count(3)

    page.get_by_role("button", name="+1 infra").click()
    expect(page.locator(f'.trow[data-span-id="{INFRA}"]')).to_be_visible()
    expect(selected(page)).to_have_attribute("data-span-id", TOOL)
    page.get_by_role("button", name="hide infra").click()
    expect(page.locator(".trow")).to_have_count(3)
    page.keyboard.press("f")
    expect(page.locator(".trow")).to_have_count(4)


def test_views_share_the_selected_step_and_stand_in_the_address(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)
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
    wait_ready(page)

    expect(page.locator("#trace-raw")).to_contain_text('"resourceSpans"')
    assert page.url.endswith(f"?view=raw&span={TOOL}")
    page.get_by_role("tab", name="Tree").click()
    expect(selected(page)).to_have_attribute("data-span-id", TOOL)


def test_steps_are_told_to_who_hears_the_page(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)
    failed = page.get_by_role("treeitem", name=re.compile(r"^tool execute_tool refund, failed with GatewayTimeout, \d"))
    expect(failed).to_have_count(1)

    # A row of the tree is read out as it is; elsewhere a sentence tells which step it is, and not all of its panel.
    page.keyboard.press("2")
    page.locator("#tree-body").focus()
    page.keyboard.press("k")
    expect(page.locator("#span-panel")).to_have_attribute("data-span", CHAT)
    expect(page.locator("#step-said")).to_be_empty()
    page.keyboard.press("4")
    page.keyboard.press("e")
    page.keyboard.press("e")
    expect(page.locator("#step-said")).to_contain_text("failed")
    expect(page.locator("#panel")).not_to_have_attribute("aria-live", re.compile("."))


def test_raw_shows_the_selected_step_also_by_its_link(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()).replace("view=tree", f"view=raw&span={CHAT}"))
    wait_ready(page)
    own = page.locator("#raw-step")
    expect(own).to_contain_text(f'"spanId": "{CHAT}"')

    page.keyboard.press("e")  # the next error

    expect(own).to_contain_text(f'"spanId": "{TOOL}"')
    expect(own).to_be_in_viewport()
    page.keyboard.press("k")
    expect(own).to_contain_text(f'"spanId": "{INFRA}"')
    page.keyboard.press("j")
    expect(own).to_contain_text(f'"spanId": "{TOOL}"')
    page.get_by_role("link", name="Stored rows").click()
    expect(own).to_contain_text(f'"span_id": "{TOOL}"')
    page.reload()
    wait_ready(page)
    expect(own).to_contain_text(f'"span_id": "{TOOL}"')
    expect(own).to_be_in_viewport()
    page.get_by_role("tab", name="Tree").click()
    page.keyboard.press("k")
    page.get_by_role("tab", name="Raw").first.click()
    expect(own).to_contain_text(f'"span_id": "{CHAT}"')


def test_buttons_pressed_before_the_steps_are_here_count_and_keys_do_nothing(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page("about:blank")
    held = Held(page, "**/tree")
    page.goto(send_trace(*failed_run()))

    for key in "fxer[]opzj":
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Next error").click()
    page.locator("#trace-search").fill("refund")
    held.release()
    wait_ready(page)

    expect(page.locator(".trow--hit")).to_have_count(2)
    expect(selected(page)).to_have_attribute("data-span-id", ROOT)  # after the last of them comes the first


def test_tabs_and_buttons_clicked_before_the_scripts_are_there_count(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page("about:blank")
    held = Held(page, "**/htmx-2*.js")
    page.goto(send_trace(*failed_run()), wait_until="commit")
    held.wait()

    page.get_by_role("tab", name="Timeline").click()
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_role("button", name="Go to").click()
    held.release()

    expect(page.get_by_role("dialog", name="Go to")).to_be_visible()
    expect(page.locator("#view-tab-timeline")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#pane-attributes")).to_be_visible()


def test_click_counts_though_the_steps_are_drawn_again_before_it_ends(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)
    expect(selected(page)).to_have_attribute("data-span-id", TOOL)

    page.locator(f'.trow[data-span-id="{CHAT}"] .trow__label').hover()
    page.mouse.down()
    page.set_viewport_size({"width": 1440, "height": 860})
    wait_for_frame(page)
    page.mouse.up()

    expect(selected(page)).to_have_attribute("data-span-id", CHAT)


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
    wait_ready(page)
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
    wait_ready(page)
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
    wait_ready(page)
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
    wait_ready(page)

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
    wait_ready(page)
    last = page.locator(f'.trow[data-span-id="{TOOL}"] .bar')
    before = last.bounding_box()

    page.get_by_role("button", name="38 s, 95.0% idle: compress").click()

    expect(page.locator(".grid__gap")).to_have_text(["38 s"])
    after = last.bounding_box()
    assert before
    assert after
    assert after["width"] > before["width"] * 10


def test_timeline_zooms_to_a_step_and_a_drag_moves_it_without_selecting(open_page: OpenPage, send_trace: SendTrace) -> None:
    now_ns = time.time_ns() - 120 * 10**9
    url = send_trace(
        {"span_id": ROOT, "name": "all", "start_ns": now_ns, "duration_ns": 10**10},
        {"span_id": CHAT, "parent": ROOT, "name": "ask", "start_ns": now_ns + 4 * 10**9, "duration_ns": 10**9},
    )
    page = open_page(url.replace("view=tree", "view=timeline") + f"&span={CHAT}")
    wait_ready(page)
    bar = page.locator(f'.trow[data-span-id="{CHAT}"] .bar')

    def place() -> tuple[float, float]:
        """The bar's left side and width, as shares of the room for bars."""
        left, width = bar.evaluate("bar => [bar.offsetLeft, bar.offsetWidth].map((px) => px / bar.parentElement.clientWidth)")
        return float(left), float(width)

    whole = place()
    page.keyboard.press("z")

    reset = page.locator('[data-tree="reset-zoom"]')
    expect(reset).to_be_visible()
    zoomed = place()
    room = page.locator(f'.trow[data-span-id="{ROOT}"] .trow__bars').bounding_box()
    assert room
    page.mouse.move(room["x"] + room["width"] / 2, room["y"] + 10)
    page.mouse.down()
    page.mouse.move(room["x"] + room["width"] / 4, room["y"] + 10, steps=4)
    page.mouse.up()
    dragged = place()
    expect(selected(page)).to_have_attribute("data-span-id", CHAT)
    reset.click()
    expect(reset).to_be_hidden()
    assert whole == pytest.approx((0.4, 0.1), abs=0.02)
    assert zoomed == pytest.approx((0.05, 0.9), abs=0.02)
    assert dragged == pytest.approx((0, 0.7), abs=0.02)
    assert place() == pytest.approx(whole, abs=0.001)


def test_five_thousand_steps_scroll_and_can_be_selected(open_page: OpenPage, send_trace: SendTrace) -> None:
    spans: list[dict[str, Any]] = [{"span_id": ROOT, "name": "root", "duration_ns": 20 * 10**9}]
    spans += [
        {"span_id": f"{index + 16:016x}", "parent": ROOT, "name": f"step {index}", "duration_ns": 10**6} for index in range(4_999)
    ]
    spans[-1] |= {"error": "the last one", "name": "needle"}
    page = open_page(send_trace(*spans) + f"&span={ROOT}")
    wait_ready(page)

    expect(page.locator(".trow").first).to_contain_text("root")
    assert page.locator(".trow").count() < 100
    page.locator("#tree-body").evaluate("body => { body.scrollTop = body.scrollHeight; }")
    expect(page.locator(".trow").last).to_be_visible()
    page.keyboard.press("e")
    expect(selected(page)).to_contain_text("needle")
    expect(page.locator("#span-panel")).to_contain_text("the last one")
    assert page.locator(".trow").count() < 100


def test_phone_shows_steps_above_the_panel_without_sideways_scrolling(open_page: OpenPage, send_trace: SendTrace) -> None:
    root, *steps = failed_run()
    root |= {"name": "GET /organizations/{organization_id}/projects/{project_id}/messages"}
    page = open_page(send_trace(root, *steps), width=390, height=844)
    wait_ready(page)
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


def test_phone_keeps_what_leads_elsewhere_on_one_line_that_scrolls(open_page: OpenPage, send_trace: SendTrace) -> None:
    root, *steps = failed_run()
    said = {"user.id": "u-1042", "session.id": "a-session-with-a-long-name", "deployment.environment.name": "production"}
    page = open_page(send_trace(root | {"attributes": root["attributes"] | said}, *steps), width=390, height=844)
    wait_ready(page)
    about = page.locator(".facts__group--about")
    last = about.get_by_role("link").last

    assert about.evaluate("(node) => node.clientHeight") < 40
    expect(last).not_to_be_in_viewport()
    last.focus()
    expect(last).to_be_in_viewport(ratio=0.5)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_tree_and_timeline_mark_what_was_done_again(open_page: OpenPage, send_trace: SendTrace) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.arguments": '{"q": "tent"}'}
    start_ns = time.time_ns() - 30 * 10**9
    calls = [
        {"span_id": f"{place:016x}", "parent": ROOT, "name": "execute_tool search", "start_ns": start_ns + place * 10**8}
        | {"duration_ns": 10**7, "attributes": tool}
        for place in (1, 2, 3)
    ]
    root = {
        "span_id": ROOT,
        "name": "invoke_agent",
        "duration_ns": 10**9,
        "attributes": {"gen_ai.operation.name": "invoke_agent"},
    }
    page = open_page(send_trace(root | {"start_ns": start_ns}, *calls))
    wait_ready(page)

    for key in ("2", "3"):
        page.keyboard.press(key)
        expect(page.locator(".trow__again")).to_have_text(["repeat 2 of 3", "repeat 3 of 3"])


def test_deep_steps_keep_room_for_their_names(open_page: OpenPage, send_trace: SendTrace) -> None:
    attributes = {"gen_ai.operation.name": "invoke_agent"}
    kinds = [
        {"name": "GET", "attributes": {"http.request.method": "GET"}},
        {"name": "invoke_agent researcher", "attributes": attributes},
    ]
    chain = [
        {"span_id": f"{place:016x}", "parent": f"{place - 1:016x}" if place > 1 else ""} | kinds[place % 2]
        for place in range(1, 42)
    ]
    page = open_page(send_trace(*chain))
    wait_ready(page)
    rows = page.locator(".trow:has(.trow__fold)")
    expect(rows.nth(15)).to_be_visible()

    reach = rows.evaluate_all(
        """(rows) => rows.map((row) => {
            const boxOf = (at) => row.querySelector(at).getBoundingClientRect();
            const [name, label, fold] = [".trow__name", ".trow__label", ".trow__fold"].map(boxOf);
            return [label.width >= 60, fold.right <= name.right, label.left];
        })"""
    )

    assert all(is_wide and is_inside for is_wide, is_inside, _ in reach), reach
    lefts = [left for _, _, left in reach]
    assert lefts[:16] == sorted(set(lefts[:16]))  # each level stands further in
