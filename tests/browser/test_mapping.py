"""Attribute mapping as a person uses it: old spans first, then rules, the tester, new spans, and the old ones read again."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.ingest.conftest import PROTOBUF
from tests.live import LiveServer, start_server
from tests.spans import build_request

RULES = (
    {"source": "attribute", "key": "acme.conv", "target": "session_id"},
    {"source": "attribute", "key": "acme.tool", "target": "tool"},
    {"source": "attribute", "key": "acme.kind", "pattern": "LLMCALL", "target": "kind", "value": "llm"},
    {"source": "attribute", "key": "acme.model", "target": "request_model"},
    {"source": "attribute", "key": "acme.tokens.in", "target": "input_tokens"},
    {"source": "tool", "pattern": "page_oncall", "target": "signal", "value": "human_escalation"},
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("mapping"))
    yield server
    server.stop()


def send(server: LiveServer, trace_id: str) -> None:
    """Send a run with a model call and a call for help, told in the words of ACME alone."""
    trace: dict[str, Any] = {"trace_id": trace_id, "start_ns": time.time_ns() - 2 * 10**9}
    root = "1" * 16
    body = build_request(
        trace | {"span_id": root, "name": "run", "attributes": {"acme.conv": "conv-7"}},
        trace
        | {
            "span_id": "2" * 16, "parent": root, "name": "ask",
            "attributes": {"acme.kind": "LLMCALL", "acme.model": "gpt-4o", "acme.tokens.in": 1200},
        },
        trace | {"span_id": "3" * 16, "parent": root, "name": "act", "attributes": {"acme.tool": "page_oncall"}},
    )  # fmt: skip
    request = urllib.request.Request(server.otlp_url + "/v1/traces", data=body, headers={"content-type": PROTOBUF})
    urllib.request.urlopen(request, timeout=60).close()


def find(server: LiveServer, query: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/api/v1/traces?q={quote(query)}", timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)["results"]
    return found


def wait_for(server: LiveServer, query: str, *trace_ids: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 120
    while True:
        found = find(server, query)
        if {trace["trace_id"] for trace in found} == set(trace_ids):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


def fill(page: Page, rule: dict[str, str]) -> None:
    page.select_option("#id_source", rule["source"])
    page.select_option("#id_target", rule["target"])
    for name in ("key", "pattern", "value"):
        page.fill(f"#id_{name}", rule.get(name, ""))


def test_rules_from_the_form_to_new_and_old_traces(server: LiveServer, open_page: OpenPage) -> None:
    old, new = "a" * 32, "b" * 32
    send(server, old)
    (before,) = wait_for(server, "name:run", old)
    assert (before["session_id"], before["llm_calls"], before["escalated"]) == ("", 0, False)
    page = open_page(f"{server.url}/setup/mapping")
    expect(page.get_by_text("No rules: Tracestore reads the conventions it knows")).to_be_visible()

    page.fill("#id_span", f"{server.url}/traces/{old}?span={'3' * 16}")
    fill(page, RULES[1])
    page.get_by_role("button", name="Try the rules").click()
    expect(page.locator("#mapping-trial")).to_contain_text("rule: acme.tool")
    for rule in RULES:
        fill(page, rule)
        page.get_by_role("button", name="Add rule").click()
        expect(page.locator("#id_key")).to_have_value("")
    expect(page.locator("table tbody tr")).to_have_count(len(RULES))

    send(server, new)
    (mapped,) = wait_for(server, "session:conv-7 tool:page_oncall model:gpt-4o", new)
    assert (mapped["llm_calls"], mapped["input_tokens"], mapped["escalated"]) == (1, 1200, True)

    page.get_by_role("button", name="Read stored spans again").click()
    expect(page.locator("#reread")).to_contain_text("Done")
    expect(page.locator("#reread")).to_contain_text("6 of 6 spans")
    reread = wait_for(server, "session:conv-7 tool:page_oncall model:gpt-4o", old, new)
    same = ("session_id", "llm_calls", "input_tokens", "escalated", "outcome", "span_count", "cost_usd")
    assert len({tuple(trace[name] for name in same) for trace in reread}) == 1

    assert page.evaluate("document.documentElement.scrollWidth") == 1440


def test_page_works_with_the_keyboard_on_a_narrow_screen(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/setup/mapping", width=390, color_scheme="dark")

    page.focus("#id_span")
    page.keyboard.type('{"name": "escalate"}')
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator("#mapping-trial table")).to_contain_text("escalate")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
