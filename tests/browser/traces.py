"""A failed run, and what tests look at on the page of its trace."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, expect

# Steps of a failed run, by their ids.
ROOT, CHAT, TOOL, INFRA = "1" * 16, "2" * 16, "3" * 16, "4" * 16


def failed_run() -> list[dict[str, Any]]:
    """Return an agent that failed with its tool, after a model call with an HTTP request below it."""
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


def wait_ready(page: Page) -> None:
    expect(page.locator("#trace[data-ready]")).to_be_attached()


def selected(page: Page) -> Any:
    return page.locator('.trow[aria-selected="true"]')
