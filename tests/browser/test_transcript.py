"""The transcript and the panel's texts in a browser. Each page fails its test on a script error or a violation of the policy."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import TIMEOUT_MS, Held, OpenPage, SendTrace

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


def _id(number: int) -> str:
    return f"{number:016x}"


def _story() -> list[dict[str, Any]]:
    """An agent with sixty calls, one sub-agent in between, and an answer in Markdown with a result in JSON."""
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "**Done**:\n\n- sent\n- paid"}]}]
    asked = {"gen_ai.input.messages": [{"role": "user", "content": "Where is A-1?"}]}
    called = {"gen_ai.tool.call.result": '{"found": {"id": 12345678901234567890}}'}
    calls = [
        {"span_id": _id(number), "parent": _id(1), "attributes": TOOL | called | {"gen_ai.tool.call.arguments": f"[{number}]"}}
        for number in range(10, 70)
    ]
    inner = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "refunds"}
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10}
    spans = [
        {"span_id": _id(1), "name": "invoke_agent", "attributes": AGENT | asked},
        {"span_id": _id(2), "parent": _id(1), "name": "invoke_agent", "attributes": inner},
        {"span_id": _id(3), "parent": _id(2), "name": "chat", "attributes": chat | {"gen_ai.output.messages": answer}},
        *calls,
    ]
    return [span | {"start_ns": 1_790_000_000 * 10**9 + place * 10**6} for place, span in enumerate(spans)]


def _transcript_of(url: str) -> str:
    return url.replace("view=tree", "view=transcript") + "&span=" + _id(1)


@pytest.mark.parametrize("width", [1440, 390])
def test_story_is_read_opened_and_followed(open_page: OpenPage, send_trace: SendTrace, width: int) -> None:
    page: Page = open_page(_transcript_of(send_trace(*_story())), width=width)

    story = page.locator("#transcript")
    expect(story.locator(".frame--user")).to_contain_text("Where is A-1?")
    cards = story.locator(".say")
    assert cards.count() < 61

    story.locator(".group__inside > summary").first.click()
    expect(story.locator(f'.say[data-span-id="{_id(3)}"]')).to_be_visible()

    story.locator(f'.say[data-span-id="{_id(3)}"]').click()
    panel = page.locator(f'#span-panel[data-span="{_id(3)}"]')
    expect(panel.locator(".md strong")).to_have_text("Done")
    expect(story.locator(f'[data-span-id="{_id(3)}"]')).to_have_attribute("aria-current", "step")
    panel.get_by_role("button", name="Plain").click()
    expect(panel.locator(".md")).to_be_hidden()

    for _ in range(TIMEOUT_MS // 200):
        if story.locator(f'[data-span-id="{_id(69)}"]').count():
            break
        story.evaluate("story => story.lastElementChild.scrollIntoView()")
        page.wait_for_timeout(200)
    last = story.locator(f'.say[data-span-id="{_id(69)}"]')
    last.click()
    panel = page.locator(f'#span-panel[data-span="{_id(69)}"]')
    panel.get_by_role("button", name="Tree").last.click()
    panel.locator(".json__branch .json__branch > summary").click()
    expect(panel.locator(".json__number")).to_have_text("12345678901234567890")


def test_of_two_steps_that_are_not_in_the_story_the_one_selected_last_is_brought_in(
    open_page: OpenPage, send_trace: SendTrace
) -> None:
    page = open_page(_transcript_of(send_trace(*_story())))
    expect(page.locator("#trace[data-ready]")).to_be_attached()
    expect(page.locator("#transcript .frame--user")).to_be_visible()
    held = Held(page, "**/transcript?span=*")

    page.evaluate("(id) => window.tracestore.trace.selectId(id)", _id(69))
    held.wait()
    page.evaluate("(id) => window.tracestore.trace.selectId(id)", _id(45))
    held.release()

    expect(page.locator(f'#transcript [data-span-id="{_id(45)}"]')).to_have_attribute("aria-current", "step")
