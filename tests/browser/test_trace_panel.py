"""The panel beside the steps of a trace in a browser, over spans sent to a running instance.

Each page fails its test on a script error or a violation of the Content-Security-Policy.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Held, OpenPage, SendTrace
from tests.browser.traces import CHAT, ROOT, TOOL, failed_run, wait_ready
from tests.live import LiveServer
from tests.logs import build_logs


def test_late_panel_of_a_step_left_again_is_not_shown(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)
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


def test_focus_stays_on_the_tab_of_the_panel_when_another_step_comes(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)
    page.locator("#tab-attributes").click()

    page.keyboard.press("e")
    expect(page.locator("#span-panel")).to_have_attribute("data-span", ROOT)

    expect(page.locator("#tab-attributes")).to_be_focused()


def test_of_two_forms_of_the_raw_trace_the_one_chosen_last_is_shown(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()).replace("view=tree", "view=raw"))
    wait_ready(page)
    forms = page.locator("#trace-raw .raw__tools [hx-get]")
    expect(forms.first).to_have_attribute("aria-current", "page")
    last = forms.count() - 1
    held = Held(page, "**/raw?format=*")

    forms.first.click()
    held.wait()
    forms.nth(last).click()
    held.release(2)

    expect(forms.nth(last)).to_have_attribute("aria-current", "page")


def test_run_and_step_are_reviewed_and_a_review_is_withdrawn(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()).replace("view=tree", f"span={TOOL}"))
    wait_ready(page)
    page.keyboard.press("n")
    expect(page.get_by_label("Note", exact=True)).to_be_focused()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toasts")).to_contain_text("Write the note first.")

    page.get_by_label("Bad").check()
    page.get_by_label("Note", exact=True).fill("the gateway was down")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#reviews")).to_contain_text("the gateway was down")
    wait_ready(page)
    page.locator("#review-menu summary").click()
    page.get_by_role("radio", name="The selected step").check()
    page.get_by_label("Note", exact=True).fill("no answer for 8 s")
    page.get_by_role("button", name="Save").click()

    reviews = page.locator("#reviews li")
    expect(reviews).to_have_count(2)
    expect(reviews.nth(0).locator(".badge")).to_have_text("Bad")
    expect(reviews.nth(1)).to_contain_text("about a step")
    wait_ready(page)
    expect(page.locator('[data-io="scores"]')).to_contain_text("no answer for 8 s")  # also with the step
    reviews.nth(0).get_by_role("button", name="Withdraw").click()
    expect(reviews).to_have_count(1)
    expect(reviews).to_contain_text("no answer for 8 s")


def test_text_stays_plain_when_its_markdown_comes_too_late(open_page: OpenPage, send_trace: SendTrace) -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": "**Refund**:\n\n- A-1\n- A-2"}]}]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(said)}
    page = open_page(send_trace({"span_id": ROOT, "name": "chat", "attributes": attributes}))
    wait_ready(page)
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


def test_tabs_show_attributes_events_and_raw(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()))
    wait_ready(page)

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
    wait_ready(page)

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
    page.locator("#trace-logs [data-action=unfold]").click()
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

    wait_ready(page)
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
    wait_ready(page)

    with page.expect_popup() as popup:
        page.locator("#span-panel").get_by_role("link", name="Show all").first.click()

    popup.value.wait_for_load_state()
    assert popup.value.evaluate("document.contentType") == "text/plain"
    assert popup.value.evaluate("document.body.textContent.length") == 1_000_003


def test_link_to_the_failing_step_leads_a_phone_to_its_panel(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()), width=390, height=480, has_touch=True, is_mobile=True)
    wait_ready(page)

    failure = page.locator("#span-panel .fail__type")
    expect(failure).not_to_be_in_viewport()

    page.locator("#why a:not(.muted)").tap()

    expect(failure).to_be_in_viewport()


def test_tap_on_a_step_brings_its_panel_to_the_top_of_a_phone(open_page: OpenPage, send_trace: SendTrace) -> None:
    page = open_page(send_trace(*failed_run()), width=390, height=700, has_touch=True, is_mobile=True, reduced_motion="reduce")
    wait_ready(page)

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
    page = open_page(send_trace(*failed_run()), color_scheme=theme)
    wait_ready(page)
    before = page.locator("#panel").bounding_box()

    page.locator("#pane-splitter").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.reload()
    wait_ready(page)

    after = page.locator("#panel").bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(before["width"] + 48, abs=2)
