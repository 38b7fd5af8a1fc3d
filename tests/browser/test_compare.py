"""Comparing two traces, and the agent graph, as a person uses them."""

from __future__ import annotations

import json
import secrets
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.agents import send_run
from tests.browser.conftest import Held, OpenPage, find_too_narrow, wait_for_frame
from tests.live import LiveServer, start_server
from tests.spans import build_request
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("compare"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def runs(server: LiveServer) -> tuple[str, str]:
    """A run that went well, and a failing one of the next version."""
    ids = (
        send_run(server.otlp_url, version="v2", age_s=120),
        send_run(server.otlp_url, version="v3", error="no answer", attributes={"gen_ai.system_instructions": "Be brief"}),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if len(_get(server, "/api/v1/traces")["results"]) == 2:
            return ids
        time.sleep(0.1)
    raise AssertionError("the runs did not arrive")


def _get(server: LiveServer, path: str) -> Any:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:
        return json.load(answer)


def test_from_a_failing_trace_to_its_difference_by_keys(server: LiveServer, runs: tuple[str, str], open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/traces/{runs[1]}")
    page.get_by_role("link", name="Compare with…").click()
    page.get_by_role("link", name="Compare with " + runs[0][:8]).click()
    page.wait_for_url(f"**/compare/traces?a={runs[0]}&b={runs[1]}")  # and for its scripts

    page.keyboard.press("n")
    expect(page.locator(".cmp-row--current")).to_have_attribute("id", "row-0")
    page.keyboard.press("n")
    current = page.locator(".cmp-row--current")
    expect(current).to_contain_text("execute_tool search_orders")
    page.keyboard.press("Enter")

    detail = page.locator(".cmp-detail")
    expect(detail.locator("ins").filter(has_text="no answer").first).to_be_visible()
    page.keyboard.press("x")
    expect(page).to_have_url(f"{server.url}/compare/traces?a={runs[1]}&b={runs[0]}")


def _send(server: LiveServer, root: dict[str, Any], calls: list[dict[str, Any]]) -> str:
    """Send a run of three days ago with calls one after the other below its root; return its id once all of it is there."""
    trace_id, start_ns = secrets.token_hex(16), time.time_ns() - 3 * 24 * 3600 * 10**9
    same = {"trace_id": trace_id, "start_ns": start_ns}
    below = [
        same | {"span_id": f"{place:016x}", "parent": "f" * 16, "start_ns": start_ns + place} | call
        for place, call in enumerate(calls, start=1)
    ]
    body = build_request(same | {"span_id": "f" * 16} | root, *below)
    request = urllib.request.Request(f"{server.otlp_url}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    urllib.request.urlopen(request, timeout=60).close()
    wanted = (trace_id, len(calls) + 1)

    def is_summarised() -> bool:
        listed = _get(server, "/api/v1/traces?start=now-7d&limit=1000")["results"]
        return any((trace["trace_id"], trace["span_count"]) == wanted for trace in listed)

    wait_until(is_summarised, 120)
    return trace_id


def test_rows_that_come_late_do_not_take_away_what_was_chosen_meanwhile(server: LiveServer, open_page: OpenPage) -> None:
    calls = [{"name": f"step {place}"} for place in range(1, 261)]
    ids = [_send(server, {"name": "long run"}, [*calls[:-1], calls[-1] | failure]) for failure in ({}, {"error": "no answer"})]
    page = open_page(f"{server.url}/compare/traces?a={ids[0]}&b={ids[1]}&all=1")
    held = Held(page, "**/compare/traces?*from=*")
    current = page.locator(".cmp-row--current")

    page.keyboard.press("n")  # the difference is not among the first rows
    held.wait()
    page.keyboard.press("j")
    held.release()
    expect(page.locator(".cmp-row")).to_have_count(261)
    wait_for_frame(page)
    expect(current).to_have_attribute("id", "row-0")

    page.keyboard.press("n")
    expect(current).to_contain_text("step 260")


def test_pages_are_not_wider_than_their_window(server: LiveServer, runs: tuple[str, str], open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/compare/traces?a={runs[0]}&b={runs[1]}")
    page.locator(".cmp-row__open").last.click()
    expect(page.locator(".cmp-detail h3").first).to_be_visible()
    assert find_too_narrow(page) == []

    page.goto(f"{server.url}/agents?q=version:v3&against=version:v2")
    expect(page.locator(".graph__node")).to_have_count(3)
    assert find_too_narrow(page) == []


def test_phone_shows_what_differs_and_the_rest_on_a_press(server: LiveServer, runs: tuple[str, str], open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/compare/traces?a={runs[0]}&b={runs[1]}", width=390, height=844)
    facts = page.locator(".cmp-facts").bounding_box()
    assert facts
    assert facts["height"] < 500
    # A letter stands above its column, in the facts and in the steps, and stays there.
    heads, row = (page.locator(f".cmp-facts {part}").last.locator("th, td").all() for part in ("thead tr", "tbody tr"))
    for head, cell in zip(heads[1:], row[1:], strict=True):
        above, below = head.bounding_box(), cell.bounding_box()
        assert above
        assert below
        assert abs(above["x"] - below["x"]) < 1
    page.locator("#compare-rows tr").last.scroll_into_view_if_needed()
    expect(page.locator("#cmp-table thead").get_by_text("B − A").first).to_be_in_viewport()

    values = "".join(f'<div class="why__value"><a class="why__name" href="#">v{number}</a></div>' for number in range(1, 6))
    more = '<button class="btn why__more" type="button" data-action="more">3 more</button>'
    answer = f'<div id="why-answer"><div class="why__group" data-more><h3>Version</h3>{values}{more}</div></div>'
    page.route("**/why/answer*", lambda route: route.fulfill(body=answer, content_type="text/html"))
    page.goto(f"{server.url}/why?q=status:error")

    expect(page.locator(".why__value:visible")).to_have_count(2)
    page.get_by_role("button", name="3 more").click()
    expect(page.locator(".why__value:visible")).to_have_count(5)
    expect(page.get_by_role("link", name="v3")).to_be_focused()
    expect(page.locator(".why__more")).to_be_hidden()

    page.reload()
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(page.locator(".why__value:visible")).to_have_count(5)
    expect(page.locator(".why__more")).to_be_hidden()


def test_field_of_why_is_one_stop_of_the_tab_key_and_walked_by_arrow_keys(server: LiveServer, open_page: OpenPage) -> None:
    buttons = '<span><a href="#" aria-label="only {0}">+</a><a href="#" aria-label="not {0}">-</a></span>'
    links = '<a class="why__name" href="#">{0}</a>' + buttons
    values = "".join(f'<div class="why__value">{links.format(f"v{number}")}</div>' for number in range(1, 4))
    groups = "".join(f'<div class="why__group" data-more><h3>{name}</h3>{values}</div>' for name in ("Version", "Tool"))
    page = open_page("about:blank")
    page.route(
        "**/why/answer*", lambda route: route.fulfill(body=f'<div id="why-answer">{groups}</div>', content_type="text/html")
    )
    page.goto(f"{server.url}/why?q=status:error")
    expect(page.locator('.why__value a[tabindex="0"]')).to_have_count(2)

    page.get_by_role("link", name="v1", exact=True).first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_attribute("aria-label", "only v2")
    page.keyboard.press("End")
    expect(page.locator(":focus")).to_have_attribute("aria-label", "only v3")
    page.keyboard.press("ArrowDown")
    expect(page.locator(":focus")).to_have_attribute("aria-label", "only v3")
    page.keyboard.press("Tab")
    expect(page.locator(".why__group").last.locator("a:focus")).to_have_text("v1")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(":focus")).to_have_attribute("aria-label", "only v3")


def test_phone_folds_numbers_that_do_not_differ(server: LiveServer, runs: tuple[str, str], open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/compare?a=version:v2&b=version:v3", width=390, height=844)
    rows = page.locator("section[aria-labelledby=metrics-title] tbody tr")
    expect(rows.first).to_be_visible()
    whole = rows.count()

    assert page.locator("section[aria-labelledby=metrics-title] tbody tr:visible").count() < whole
    page.get_by_role("button", name="All metrics").click()
    expect(page.locator("section[aria-labelledby=metrics-title] tbody tr:visible")).to_have_count(whole)
    expect(page.get_by_role("button", name="All metrics")).to_be_hidden()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.reload()
    expect(page.locator("section[aria-labelledby=metrics-title] tbody tr:visible")).to_have_count(whole)


def test_graph_shows_numbers_sorts_and_leads_to_the_traces(
    server: LiveServer, runs: tuple[str, str], open_page: OpenPage
) -> None:
    page = open_page(f"{server.url}/agents")
    expect(page.locator("#agents")).to_have_attribute("aria-busy", "false")  # scrolled to where the runs begin
    node = page.locator(".graph__node--tool")
    node.hover()
    expect(page.locator("#graph-card")).to_contain_text("search_orders")
    expect(page.locator("#graph-card")).to_contain_text("50%")
    head = page.locator("table").first.get_by_role("columnheader", name="Calls")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")

    node.click()

    expect(page.locator(".trace-row")).to_have_count(2)
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)["q"] == ["tool:search_orders"]


def test_graph_is_one_stop_of_the_tab_key_and_walked_by_arrow_keys(
    server: LiveServer, runs: tuple[str, str], open_page: OpenPage
) -> None:
    page = open_page(f"{server.url}/agents")
    expect(page.locator("#agents")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".graph a[tabindex='0']")).to_have_count(1)
    page.locator("#agents-canvas").focus()

    page.keyboard.press("Tab")
    start = page.locator(":focus").get_attribute("aria-label")
    page.keyboard.press("ArrowRight")
    along = page.locator(":focus").get_attribute("aria-label") or ""
    page.keyboard.press("ArrowRight")
    end = page.locator(":focus").get_attribute("aria-label") or ""

    assert along.startswith(str(start).split(" ", 1)[1])
    assert end.split(" ", 1)[1] in along
    expect(page.locator("#graph-card")).to_contain_text(end.split(" ", 1)[1])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(":focus")).to_have_attribute("aria-label", str(start))
    expect(page.locator(".graph a[tabindex='0']")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator(".graph a:focus")).to_have_count(0)


def test_graph_opens_where_the_runs_begin_though_a_tool_is_called_more_often(server: LiveServer, open_page: OpenPage) -> None:
    root = {"name": "run", "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "opener"}}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "pick_lock"}
    _send(server, root, [{"name": "call", "attributes": tool}] * 9)
    page = open_page(f"{server.url}/agents?q=tool:pick_lock&start=now-7d", width=390, height=844)
    expect(page.locator("#agents")).to_have_attribute("aria-busy", "false")

    first = page.locator(".graph__node").first
    expect(first).to_contain_text("pick_lock")
    canvas = page.locator("#agents-canvas")
    assert canvas.evaluate("(canvas) => [canvas.scrollLeft, canvas.scrollWidth > canvas.clientWidth]") == [0, True]


def test_names_of_any_script_stay_within_their_boxes_of_the_graph(server: LiveServer, open_page: OpenPage) -> None:
    root = {"name": "run", "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "客户服务退款代理" * 4}}
    _send(server, root, [{"name": "call", "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "W" * 40}}])
    page = open_page(f"{server.url}/agents?q=tool:{'W' * 40}&start=now-7d")
    expect(page.locator(".graph__node")).to_have_count(3)

    overflows = page.locator(".graph__node").evaluate_all("""(nodes) => nodes.map((node) => {
        const [name, box] = [".graph__name", ".graph__box"].map((part) => node.querySelector(part).getBoundingClientRect());
        return [name.left - box.left >= 0, box.right - name.right >= 0, name.height > 10];
    })""")

    assert overflows == [[True, True, True]] * 3


def test_graph_of_many_tools_is_short_until_all_are_asked_for_or_one_is_found(server: LiveServer, open_page: OpenPage) -> None:
    root = {"name": "run", "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "handyman"}}
    tools = [{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": f"saw_{place}"} for place in range(60)]
    _send(server, root, [{"name": "call", "attributes": tool} for tool in tools])
    page = open_page(f"{server.url}/agents?q=agent:handyman&start=now-7d", width=390, height=844)
    nodes, edges = (page.locator(f"tr[id^={kind}-]:visible") for kind in ("node", "edge"))
    field = page.get_by_role("searchbox", name="Find agents, models and tools by name")
    expect(nodes).to_have_count(10)
    expect(edges).to_have_count(10)
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    field.fill("SAW_59")
    expect(nodes).to_have_count(1)
    expect(edges).to_have_count(1)
    expect(edges).to_contain_text("handyman")
    expect(page.locator("[data-agents-found]")).to_have_text("1 found")
    field.press("Escape")
    expect(field).to_have_value("")
    expect(nodes).to_have_count(10)
    page.get_by_role("button", name="Show all 62").click()  # the agent and its service beside the tools

    expect(nodes).to_have_count(62)
    expect(edges).to_have_count(10)
