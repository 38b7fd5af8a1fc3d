"""Web pages of other origins that send OTLP/HTTP: allowed by origin only, preflight without a key, errors readable."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, sync_playwright
from pytest_django.fixtures import Settings

from tests.browser.conftest import CHROMIUM, TIMEOUT_MS
from tests.ingest.conftest import JSON, Answer, Receiver
from tests.ingest.http_answers import JSON_SPAN, json_body
from tests.waiting import wait_until

APP, OTHER = "https://app.example.com", "https://other.example.com"


@pytest.fixture
def allow_app(settings: Settings) -> None:
    settings.OTLP_CORS_ORIGINS = (APP,)


def ask_leave(receiver: Receiver, origin: str, path: str = "/v1/traces") -> Answer:
    wanted = "content-type,x-api-key"
    return receiver.send(
        b"",
        path,
        "OPTIONS",
        origin=origin,
        content_type="",
        access_control_request_method="POST",
        access_control_request_headers=wanted,
    )


@pytest.mark.usefixtures("allow_app")
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics", "/base/v1/traces/"])
def test_preflight_is_answered_without_a_key(receiver: Receiver, settings: Settings, path: str) -> None:
    settings.KEY_REQUIRED, settings.API_KEY = True, "secret-key"

    answer = ask_leave(receiver, APP, path)

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-methods"] == "POST"
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"content-type", "content-encoding", "authorization", "x-api-key", "traceparent"} <= allowed
    assert int(answer.headers["access-control-max-age"]) > 0
    assert answer.headers["vary"] == "origin"


@pytest.mark.usefixtures("allow_app")
@pytest.mark.parametrize("origin", [OTHER, "null", "", APP + ".evil.com", "http://app.example.com"])
def test_other_origins_get_no_leave(receiver: Receiver, origin: str) -> None:
    for answer in (ask_leave(receiver, origin), receiver.send(b"{}", content_type=JSON, origin=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["vary"] == "origin"


def test_nothing_is_said_unless_origins_are_set(receiver: Receiver) -> None:
    answer = ask_leave(receiver, APP)

    assert answer.status == 405
    assert not {"vary", "access-control-allow-origin"} & set(answer.headers)


def test_star_allows_every_origin(receiver: Receiver, settings: Settings) -> None:
    settings.OTLP_CORS_ORIGINS = ("*",)

    assert ask_leave(receiver, OTHER).headers["access-control-allow-origin"] == OTHER


@pytest.mark.usefixtures("allow_app")
def test_origin_is_compared_without_case(receiver: Receiver) -> None:
    assert ask_leave(receiver, "https://App.Example.com").status == 204


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("allow_app")
def test_answers_and_errors_can_be_read_by_the_page(receiver: Receiver, settings: Settings) -> None:
    answers = [
        receiver.send(b"{}", content_type=JSON, origin=APP),
        receiver.send(b"{", content_type=JSON, origin=APP),
        receiver.send(b"{}", content_type="text/plain", origin=APP),
        receiver.send(method="GET", origin=APP),
        receiver.send(method="OPTIONS", origin=APP),
    ]
    settings.KEY_REQUIRED = True
    answers.append(receiver.send(b"{}", content_type=JSON, origin=APP))
    settings.KEY_REQUIRED = False
    receiver.ingest.spool.max_bytes = 0
    answers.append(receiver.send(b"{}", content_type=JSON, origin=APP))

    assert [answer.status for answer in answers] == [200, 400, 415, 405, 405, 401, 503]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["access-control-expose-headers"] == "retry-after"


# A real browser


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=2 * TIMEOUT_MS)
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


SEND = """async ([url, body]) => {
  const headers = {"content-type": "application/json", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
  const answer = await fetch(url, {method: "POST", body, headers});
  return [answer.status, answer.headers.get("retry-after"), await answer.text()];
}"""
BEACON = "([url, body]) => navigator.sendBeacon(url, new Blob([body], {type: 'application/json'}))"


def test_browser_sends_where_its_origin_is_allowed_and_reads_when_to_retry(
    receiver: Receiver, settings: Settings, page: Page
) -> None:
    url = f"http://127.0.0.1:{receiver.port}/v1/traces"
    origin = page.evaluate("location.origin")
    body = json_body(JSON_SPAN).decode()
    beacon = json_body(JSON_SPAN | {"spanId": "00000000000000bb"}).decode()

    refused = page.evaluate(f"args => ({SEND})(args).catch(error => error.name)", [url, body])
    settings.OTLP_CORS_ORIGINS = (origin,)
    accepted = page.evaluate(SEND, [url, body])
    assert page.evaluate(BEACON, [url, beacon])
    wait_until(lambda: receiver.ingest.status().accepted_spans == 2)
    receiver.ingest.spool.max_bytes = 0
    status, retry_after, text = page.evaluate(SEND, [url, body])

    assert refused == "TypeError"
    assert accepted == [200, None, "{}"]
    assert (status, retry_after in ("1", "2"), json.loads(text)["code"]) == (503, True, 14)
    assert [span_id for _, span_id in receiver.stored_spans()] == ["00000000000000bb", JSON_SPAN["spanId"]]
