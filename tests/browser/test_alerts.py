"""From a rule in the editor to the message that arrives, and back through its link to exactly the failing traces."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.alerts.receivers import MailServer, WebhookReceiver, receive_mail, receive_webhooks
from tests.alerts.traffic import send_runs
from tests.browser.conftest import Held, OpenPage, wait_for_frame
from tests.live import LiveServer, start_server
from tests.waiting import wait_until
from tracestore.timerange import NS_PER_S, parse_time_ns


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with receive_mail() as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[LiveServer]:
    """An instance of its own: it evaluates every second, and its traces are this test's alone."""
    live = start_server(tmp_path_factory.mktemp("alerts"), TRACESTORE_ALERT_INTERVAL_S="1", TRACESTORE_SMTP_URL=mail.url)
    yield live
    live.stop()


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with receive_webhooks(500) as receiver:
        yield receiver


def add_channel(page: Page, server: LiveServer, name: str, kind: str, target: str) -> None:
    page.goto(server.url + "/alerts/channels")
    page.get_by_role("link", name="New channel").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Kind").select_option(label=kind)
    page.get_by_label("Target").fill(target)
    page.get_by_role("button", name="Create channel").click()
    if kind == "Webhook":
        expect(page.get_by_label("Signing secret")).to_have_value(re.compile("^whsec_"))
        page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_role("link", name=name)).to_be_visible()


def test_rule_made_in_the_editor_ends_in_messages_that_lead_back_to_the_failing_traces(
    server: LiveServer, mail: MailServer, hook: WebhookReceiver, open_page: OpenPage
) -> None:
    # Arrange: v3's refund tool fails, v2 is fine; nothing else matches the rule.
    start_ns = time.time_ns() - 40 * NS_PER_S
    send_runs(server.otlp_url, start_ns=start_ns, count=10, version="v2", tool="search")
    failing = send_runs(server.otlp_url, start_ns=start_ns, count=5, version="v3", tool="refund", error_type="TimeoutError")
    # A rule that is evaluated between the two would see a part of them.
    wait_until(lambda: len(get_json(server.url + "/api/v1/traces?q=service:support-bot")["results"]) == 15)
    page = open_page(server.url + "/alerts")
    expect(page.get_by_text("No alert rules yet")).to_be_visible()
    add_channel(page, server, "Hook", "Webhook", hook.url)
    add_channel(page, server, "Mail", "E-mail", "ann@example.com")

    # Act: the rule, by mouse and keyboard, with its preview drawn.
    page.goto(server.url + "/alerts/rules/new")
    page.get_by_label("Name").fill("Support fails")
    page.get_by_role("combobox", name="Query").fill("service:support-bot")
    page.get_by_label("Over the last").fill("10m")
    page.get_by_label("Held for").fill("2s")
    page.get_by_role("textbox", name="Is", exact=True).fill("20")
    expect(page.locator("#rule-preview")).to_contain_text("Click a point to see its traces")
    expect(page.locator(".rule-chart .main-svg").first).to_be_visible()
    page.get_by_label("Hook").check()
    page.get_by_label("Mail").check()
    page.get_by_role("button", name="Create rule").click()
    page.wait_for_url("**/alerts/rules")

    # Assert: both are told once, after the webhook's first answer of 500; the reasons are in the message.
    wait_until(lambda: len(hook.bodies) >= 2 and mail.messages, 120)
    body = hook.bodies[-1]
    assert body["event"] == "firing"
    assert body["delivery_id"] == hook.bodies[0]["delivery_id"]
    text = mail.messages[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    for reason in ("Support fails is firing", "5 of 15 traces", "Version v3: 5 (100%)", "TimeoutError", "Failed tools: refund 5"):
        assert reason in text, reason

    # The link opens exactly the failing traces.
    link = urlsplit(body["traces"]["url"])
    page.goto(f"{server.url}{link.path}?{link.query}")
    expect(page.locator("tr.trace-row")).to_have_count(5)
    shown = {row.get_attribute("data-trace") for row in page.locator("tr.trace-row").all()}
    assert shown == set(failing)

    # The badge, the list and the alert page say the same.
    page.goto(server.url + "/alerts")
    expect(page.locator(".topbar .badge--error").first).to_contain_text("1")
    page.get_by_role("link", name="Support fails").click()
    expect(page.get_by_text("5 failing traces").first).to_be_visible()
    expect(page.locator(".rule-chart .main-svg").first).to_be_visible()
    expect(page.locator("#alert-status")).to_contain_text("delivered")
    assert page.locator("[aria-labelledby=traces-title] a.trace-line").count() == 5
    expect(page.locator("[aria-labelledby=errors-title]")).to_contain_text("TimeoutError")

    # Good traffic resolves it, and the channels hear of it.
    send_runs(server.otlp_url, start_ns=time.time_ns() - 5 * NS_PER_S, count=60, version="v2", tool="search")
    wait_until(lambda: hook.bodies[-1]["event"] == "resolved" and len(mail.messages) == 2, 120)
    # The page that stayed open says so too, in its head as in its timeline.
    expect(page.locator("#alert-head")).to_contain_text("Resolved")
    expect(page.locator("#alert-head")).not_to_contain_text("Those of the last")
    expect(page.locator("#alert-status")).to_contain_text("Resolved")
    assert [message["Subject"].split(":")[0] for message in mail.messages] == [
        "[warning] Support fails",
        "[resolved] Support fails",
    ]
    assert len(hook.bodies) == 3


def test_incident_is_understood_on_the_first_screen_of_a_phone_and_acknowledged_from_the_message(
    server: LiveServer, hook: WebhookReceiver, open_page: OpenPage
) -> None:
    hook.statuses.clear()
    # Alerts of the tests before began within minutes, and would be the same outage.
    post_json(server.url + "/api/v1/alert-grouping", {"names": ["rule"], "window_s": 600}, "PUT")
    start_ns = time.time_ns() - 30 * NS_PER_S
    send_runs(server.otlp_url, start_ns=start_ns, count=6, version="v7", tool="lookup", error_type="QuotaError")
    send_runs(server.otlp_url, start_ns=start_ns, count=20, version="v6", tool="lookup")
    # A rule that is evaluated between the two would see failing runs alone.
    wait_until(lambda: len(get_json(server.url + "/api/v1/traces?q=tool:lookup")["results"]) == 26)
    post_json(server.url + "/api/v1/channels", {"name": "Phone", "kind": "webhook", "target": hook.url})
    rule = {"name": "Lookups fail", "metric": "failure_rate", "query": "tool:lookup", "threshold": 0.1, "severity": "critical"}
    post_json(server.url + "/api/v1/alert-rules", rule | {"channels": ["Phone"]})
    alert = wait_until(lambda: hook.bodies)[0]["alert"]
    address = re.sub(r"^https?://[^/]+", server.url, alert["ack_url"])

    # What, since when, how bad, the likely cause and the button stand on the first screen.
    page = open_page(server.url + "/alerts/incidents?state=open", width=390, height=844, color_scheme="dark")
    line = page.locator(".watch", has=page.get_by_role("link", name="Lookups fail")).locator(".watch__what").bounding_box()
    assert line is not None
    page.mouse.click(line["x"] + 5, line["y"] + 5)  # a finger does not hit the name alone
    head = page.locator("#incident-what")
    expect(head).to_contain_text("Critical")
    expect(head).to_contain_text("23.08%")
    expect(head).to_contain_text("Likely cause Version v7")
    box = page.get_by_role("button", name="Acknowledge").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 844
    assert box["height"] >= 44
    expect(page.locator("#why-answer")).to_contain_text("QuotaError")

    # The link in the message asks first; one tap acknowledges.
    incident = page.url
    page.goto(address)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Acknowledged at")).to_be_visible()
    page.goto(incident)
    expect(head).to_contain_text("Acknowledged by the link in a message")
    page.get_by_label("Comment").fill("Rolling v7 back.")
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator("#incident-timeline")).to_contain_text("Rolling v7 back.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_alert_about_failed_calls_fits_a_phone_with_its_long_button(server: LiveServer, open_page: OpenPage) -> None:
    send_runs(server.otlp_url, start_ns=time.time_ns() - 30 * NS_PER_S, count=3, version="v9", tool="ship", error_type="Lost")
    rule = {"name": "Shipping fails", "metric": "tool_errors", "query": "tool:ship", "threshold": 0, "hold_s": 0}
    post_json(server.url + "/api/v1/alert-rules", rule)

    def find_alert() -> list[Any]:
        firing = get_json(server.url + "/api/v1/alerts?state=firing")["results"]
        return [alert["id"] for alert in firing if alert["rule_name"] == "Shipping fails"]

    page = open_page(f"{server.url}/alerts/{wait_until(find_alert, 60)[0]}", width=390, height=844)

    button = page.get_by_role("link", name="Open exactly these traces with a failed tool call")
    expect(button).to_be_visible()
    box = button.bounding_box()
    assert box
    assert box["x"] + box["width"] <= 390 - 16


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


def post_json(url: str, body: dict[str, Any], method: str = "POST") -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_focus_stays_where_it_is_when_a_polled_list_is_replaced(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/alerts/rules/new?q=service:nobody")
    page.get_by_label("Name").fill("Kept in focus")
    page.get_by_role("button", name="Create rule").click()
    switch = page.get_by_role("button", name="Switch Kept in focus off")
    switch.focus()
    page.evaluate("() => document.activeElement.dataset.old = 'yes'")

    expect(page.locator("[data-old]")).to_have_count(0)

    expect(switch).to_be_focused()


def test_button_that_is_pressed_while_its_list_is_polled_gets_its_click(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/alerts/rules/new?q=service:nobody")
    page.get_by_label("Name").fill("Pressed")
    page.get_by_role("button", name="Create rule").click()
    page.wait_for_url("**/alerts/rules")

    page.get_by_role("button", name="Switch Pressed off").hover()
    page.mouse.down()
    with page.expect_response("**/alerts/rules"):
        pass
    wait_for_frame(page)
    page.mouse.up()

    expect(page.get_by_role("button", name="Switch Pressed on")).to_be_visible()


def test_click_on_a_point_opens_the_traces_of_its_window(server: LiveServer, open_page: OpenPage) -> None:
    # The last whole window of ten minutes, and a run in its first half.
    end_s = int(time.time()) // 600 * 600
    send_runs(
        server.otlp_url, start_ns=(end_s - 500) * NS_PER_S, count=1, version="v10", tool="clicked", error_type="TimeoutError"
    )
    page = open_page(server.url + "/alerts/rules/new?q=version:v10&window_s=600")
    chart = page.locator(".rule-chart")
    find_point = """(chart) => {
        const at = (chart.data?.[0].y ?? []).findLastIndex((value) => value > 0);
        if (at < 0) return null;
        const plot = chart.querySelector(".nsewdrag").getBoundingClientRect();
        const point = chart.calcdata[0][at];
        return {x: plot.left + chart._fullLayout.xaxis.c2p(point.x), y: plot.top + chart._fullLayout.yaxis.c2p(point.y)};
    }"""
    point = None
    for _ in range(120):
        expect(page.locator("#rule-preview")).to_contain_text("Click a point")
        point = chart.evaluate(find_point)
        if point:
            break
        page.wait_for_timeout(500)
        page.reload()
    assert point is not None
    expect(chart).to_have_attribute("tabindex", "0")  # bound to clicks

    page.mouse.move(point["x"], point["y"])
    page.mouse.click(point["x"], point["y"])
    page.wait_for_url("**/traces?**")

    chosen = parse_qs(urlsplit(page.url).query)
    assert [parse_time_ns(chosen[name][0]) // NS_PER_S for name in ("start", "end")] == [end_s - 600, end_s]
    expect(page.locator("tr.trace-row")).to_have_count(1)


def test_preview_is_of_the_range_chosen_last(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    held = Held(page, "**/alerts/rules/preview")
    page.goto(server.url + "/alerts/rules/new")
    held.wait()

    page.locator("#preview-range label").last.click()
    of_the_first_range, of_the_last_range = held.wait(2)
    of_the_first_range.fulfill(body='<div id="rule-preview">before</div>')
    of_the_last_range.fulfill(body='<div id="rule-preview">after</div>')

    expect(page.locator("#rule-preview")).to_have_text("after")


def test_editor_refuses_a_bad_query_with_its_sentence(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/alerts/rules/new")
    page.get_by_role("combobox", name="Query").fill("verison:v3")

    expect(page.locator("#rule-preview")).to_contain_text("version")

    page.get_by_label("Name").fill("Bad")
    page.get_by_role("button", name="Create rule").click()
    expect(page.locator("#query-problem").first).to_contain_text("version")


def test_editor_follows_the_kind_by_keyboard_on_a_phone(server: LiveServer, open_page: OpenPage) -> None:
    page = open_page(server.url + "/alerts/rules/new", width=390, height=844)
    page.get_by_label("Name").fill("Daily budget")
    expect(page.get_by_label("For the", exact=True)).to_be_hidden()

    kind = page.get_by_label("Kind")
    kind.focus()
    for _ in range(kind.locator("option").count()):
        if kind.input_value() == "budget":
            break
        page.keyboard.press("ArrowDown")

    expect(page.get_by_label("For the", exact=True)).to_be_visible()
    expect(page.get_by_label("Over the last")).to_be_hidden()
    expect(page.get_by_label("Metric")).to_have_value("requests")  # a rate cannot be spent
    page.get_by_text("Noise, missing and late data").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Wait for late data")).to_be_visible()
    page.get_by_role("textbox", name="Is", exact=True).fill("100")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/rules")
    expect(page.get_by_text("Requests of the day above 100 traces")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
