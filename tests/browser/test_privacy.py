"""The Privacy page as a person uses it: switch a preset on, try a text, save, and see it masked in the next trace."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Held, OpenPage, find_too_narrow
from tests.ingest.conftest import PROTOBUF, build_request, build_span
from tests.live import LiveServer, start_server
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("privacy"))
    yield server
    server.stop()


def count_traces(server: LiveServer, query: str) -> int:
    with urllib.request.urlopen(f"{server.url}/api/v1/traces?q={query}", timeout=60) as answer:
        return len(json.load(answer)["results"])


def test_settings_are_tried_saved_and_applied_to_the_next_span(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/setup")
    page.get_by_role("link", name="Privacy").click()
    expect(page.get_by_text("Everything is stored as it comes.")).to_be_visible()

    page.get_by_label("A text, or a span in OTLP/JSON").fill("Write to jane@example.com about C-123456")
    expect(page.get_by_text("Nothing is replaced")).to_be_visible()
    page.get_by_label("E-mail addresses").check()
    page.get_by_label("Name of rule 1").fill("customer")
    page.get_by_label("Pattern of rule 1").fill("C-[0-9")
    expect(page.locator("#privacy-preview")).to_contain_text("no pattern that RE2 understands: missing ]")
    page.get_by_label("Pattern of rule 1").fill("C-[0-9]{6}")
    expect(page.locator("#privacy-preview")).to_contain_text("Write to [email] about [customer]")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()

    body = build_request(build_span(name="mail jane@example.com about C-123456")).SerializeToString()
    request = urllib.request.Request(server.otlp_url + "/v1/traces", data=body, headers={"content-type": PROTOBUF})
    urllib.request.urlopen(request, timeout=60).close()
    wait_until(lambda: count_traces(server, "service:shop"), 120)
    page.goto(f"{server.url}/traces?q=service:shop")
    expect(page.get_by_text("mail [email] about [customer]").first).to_be_visible()


def test_text_that_stands_there_before_the_scripts_do_is_tried_too(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/setup")
    held = Held(page, "**/htmx-2*.js")
    page.goto(f"{server.url}/privacy", wait_until="commit")
    page.get_by_label("A text, or a span in OTLP/JSON").fill("C-123456")

    held.release()

    expect(page.locator(".privacy__stored")).to_be_visible()


def test_rule_that_cannot_be_used_is_not_saved(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/privacy")
    free = page.locator("input[name=rule_name]").count()
    page.get_by_label(f"Name of rule {free}").fill("greedy")
    page.get_by_label(f"Pattern of rule {free}").fill(".*")

    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("alert").first).to_contain_text("Not saved.")
    expect(page.locator("[name=rule_pattern][aria-invalid]")).to_have_accessible_description(re.compile("empty text"))
    expect(page.locator("form .field__error")).to_contain_text("matches the empty text")
    page.goto(f"{server.url}/privacy")
    expect(page.locator("input[value=greedy]")).to_have_count(0)


def test_page_is_not_wider_than_its_window(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/privacy")

    page.get_by_label("A text, or a span in OTLP/JSON").fill("x" * 500)

    expect(page.locator(".privacy__stored")).to_be_visible()
    assert find_too_narrow(page) == []
