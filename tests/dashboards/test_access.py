"""Who may see a page, and what it may load."""

from __future__ import annotations

import base64
import io
import logging
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tracestore.clickhouse.client import Store
from tracestore.keys import forget_keys
from tracestore.process.server import settle_admin
from tracestore.web import guessing
from tracestore.web.middleware import CONTENT_SECURITY_POLICY

pytestmark = pytest.mark.usefixtures("default_project")


@pytest.fixture
def login_required(settings: Settings) -> None:
    settings.LOGIN_REQUIRED = True


@pytest.mark.parametrize("path", ["/traces", "/setup", "/login", "/healthz", "/nothing", "/api/v1/nothing"])
def test_every_answer_carries_the_strict_policy(client: Client, store: Store, path: str) -> None:
    response = client.get(path)

    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("path", ["/traces", "/setup", "/traces?q=verson:v3", "/login", "/nothing"])
def test_no_page_has_inline_script_or_style(client: Client, store: Store, path: str) -> None:
    page = client.get(path).content.decode()

    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert all(part.startswith(" src=") for part in page.split("<script")[1:])


def test_loopback_instance_works_without_login(client: Client, store: Store) -> None:
    assert client.get("/traces").status_code == 200


@pytest.mark.usefixtures("login_required")
def test_anonymous_reader_is_sent_to_login_and_comes_back(client: Client, store: Store) -> None:
    User.objects.create_user("admin", password="correct horse")
    response = client.get("/traces?q=status:error")

    back = client.post(response.headers["Location"], {"username": "admin", "password": "correct horse"})

    assert response.headers["Location"] == "/login?next=/traces%3Fq%3Dstatus%3Aerror"
    assert back.headers["Location"] == "/traces?q=status:error"
    assert client.get("/traces").status_code == 200


@pytest.mark.usefixtures("login_required")
def test_fragment_sends_the_whole_page_to_login(client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/traces?q=status:error"}

    response = client.get("/traces/volume", headers=headers)

    assert response.status_code == 204
    assert response.headers["HX-Redirect"] == "/login?next=/traces%3Fq%3Dstatus%3Aerror"


@pytest.mark.usefixtures("login_required")
def test_form_sent_after_the_session_ended_comes_back_to_the_page_of_the_form(client: Client) -> None:
    response = client.post("/alerts/rules/1/switch", headers={"Referer": "https://evil.example/alerts/rules?page=2"})

    assert response.headers["Location"] == "/login?next=/alerts/rules%3Fpage%3D2"


def test_address_of_a_form_that_is_opened_by_itself_says_so(client: Client, store: Store) -> None:
    response, script = client.get("/alerts/rules/1/switch"), client.get("/api/v1/scores")

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert "This address takes a form" in response.content.decode()
    assert script.headers["Content-Type"] == "application/json"


@pytest.mark.usefixtures("login_required")
def test_login_does_not_lead_to_other_sites(client: Client) -> None:
    User.objects.create_user("admin", password="correct horse")

    response = client.post("/login?next=https://evil.example/", {"username": "admin", "password": "correct horse"})

    assert response.headers["Location"] == "/traces"


@pytest.mark.usefixtures("login_required")
def test_probes_need_no_login(client: Client, store: Store) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/login").status_code == 200


def test_wrong_password_is_refused_without_naming_what_was_wrong(client: Client) -> None:
    User.objects.create_user("admin", password="correct horse")

    page = client.post("/login", {"username": "admin", "password": "battery staple"}).content.decode()

    assert "The user name or the password is wrong." in page


def log_in(client: Client, password: str, address: str = "192.0.2.1") -> int:
    return client.post("/login", {"username": "admin", "password": password}, REMOTE_ADDR=address).status_code


def test_guessing_a_password_is_stopped_for_its_address_only(client: Client) -> None:
    User.objects.create_user("admin", password="correct horse")

    guesses = [log_in(client, f"guess {number}") for number in range(guessing.TRIES + 1)]
    right_too_late = log_in(client, "correct horse")
    page = client.post("/login", {"username": "admin", "password": "correct horse"}, REMOTE_ADDR="192.0.2.1")

    assert guesses == [200] * guessing.TRIES + [429]
    assert right_too_late == 429
    assert b"Wait 5 minutes" in page.content
    assert page.headers["Retry-After"] == "300"
    assert client.get("/login").status_code == 200
    assert log_in(client, "correct horse", address="192.0.2.2") == 302


def test_right_passwords_are_not_counted(client: Client) -> None:
    User.objects.create_user("admin", password="correct horse")

    for _ in range(guessing.TRIES + 1):
        assert log_in(client, "correct horse") == 302
        client.logout()


def test_addresses_of_one_ipv6_network_are_counted_together(client: Client) -> None:
    statuses = [log_in(client, "guess", address=f"2001:db8::{number:x}") for number in range(guessing.TRIES + 1)]

    assert statuses[-1] == 429
    assert log_in(client, "guess", address="2001:db8:0:1::1") == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://testserver.evil.example", "http://localhost:3000", "null"])
def test_page_of_another_site_changes_nothing_over_the_open_api(client: Client, store: Store, origin: str) -> None:
    # A browser sends it without asking: a POST without a body.
    refused = client.post("/api/v1/mapping/reread", content_type="text/plain", headers={"origin": origin})

    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "A page of another site may change nothing here.")
    assert client.get("/api/v1/mapping/reread").status_code == 404
    assert client.get("/api/v1/traces", headers={"origin": origin}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"origin": "http://testserver"}])
def test_script_and_own_page_change_things_over_the_open_api(client: Client, store: Store, headers: dict[str, str]) -> None:
    assert client.post("/api/v1/mapping/reread", headers=headers).status_code == 202


def test_wait_ends_with_its_window(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "WINDOW_S", 1)
    statuses = [log_in(client, "guess") for _ in range(guessing.TRIES)]
    time.sleep(1.1)

    assert (set(statuses), log_in(client, "guess")) == ({200}, 200)


def test_guessing_over_the_api_is_stopped_as_well(client: Client, store: Store, settings: Settings) -> None:
    settings.KEY_REQUIRED = settings.LOGIN_REQUIRED = True
    settings.ADMIN_PASSWORD = "correct horse"
    forget_keys()

    def ask(password: str, address: str = "192.0.2.1", user: str = "admin") -> int:
        credentials = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return client.get("/api/v1/traces", headers={"authorization": credentials}, REMOTE_ADDR=address).status_code

    assert ask("correct horse") == 200
    stale = [ask("last year's") for _ in range(guessing.TRIES + 1)]
    guesses = [ask(f"guess {number}") for number in range(guessing.TRIES)]

    assert set(stale) == {401}  # one and the same wrong password is no guessing
    assert guesses == [401] * (guessing.TRIES - 1) + [429]
    assert ask("correct horse") == 429
    assert ask("admin:correct horse", user="x") == 429
    assert log_in(client, "correct horse") == 429
    assert ask("correct horse", address="192.0.2.2") == 200


@pytest.mark.usefixtures("login_required")
def test_password_of_the_settings_is_the_only_one_after_a_start(client: Client, store: Store, settings: Settings) -> None:
    settings.ADMIN_PASSWORD = "correct horse"
    settle_admin()
    assert (log_in(client, "correct horse"), client.get("/traces").status_code) == (302, 200)

    settings.ADMIN_PASSWORD = "battery staple"
    settle_admin()
    assert client.get("/traces").status_code == 302
    assert (log_in(client, "correct horse"), log_in(client, "battery staple")) == (200, 302)

    settings.ADMIN_PASSWORD = ""
    settle_admin()
    assert client.get("/traces").status_code == 302
    assert log_in(client, "battery staple") == 200
    assert log_in(client, "") == 200


def test_logging_out_needs_a_post(client: Client) -> None:
    client.force_login(User.objects.create_user("admin"))

    assert client.get("/logout").status_code == 405
    assert client.post("/logout").headers["Location"] == "/login"


def test_unknown_address_is_a_page_for_people_and_json_for_scripts(client: Client, store: Store) -> None:
    page, answer = client.get("/nothing"), client.get("/api/v1/nothing")

    assert (page.status_code, answer.status_code) == (404, 404)
    assert b"There is nothing at this address" in page.content
    assert answer.headers["Content-Type"] == "application/json"


def test_server_error_page_renders_without_context(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("dashboards.views.traces.find_traces", fail)
    client.raise_request_exception = False

    response = client.get("/traces")

    assert response.status_code == 500
    assert b"Something broke on our side" in response.content
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_theme_is_taken_from_its_cookie_and_nothing_else(client: Client) -> None:
    client.cookies["theme"] = "dark"
    assert b'data-theme="dark"' in client.get("/login").content

    client.cookies["theme"] = '"><script>'
    assert b"data-theme=" not in client.get("/login").content


def test_expired_form_says_what_to_do() -> None:
    response = Client(enforce_csrf_checks=True).post("/login", {"username": "admin", "password": "x"})

    assert response.status_code == 403
    assert b"This form has expired" in response.content


def test_foreign_host_name_is_refused_with_the_setting_that_allows_it(client: Client) -> None:
    response = client.get("/traces", headers={"host": "rebound.example"})

    assert response.status_code == 400
    assert b"TRACESTORE_BASE_URL" in response.content


def test_request_for_another_host_is_one_line_in_the_log(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    handler = next(one for one in logging.getLogger().handlers if one.name == "stderr")
    monkeypatch.setattr(handler, "stream", said)

    assert client.get("/traces", headers={"host": "evil.example"}).status_code == 400

    assert [line.split()[2:4] for line in said.getvalue().splitlines()] == [["ERROR", "django.security.DisallowedHost:"]]
