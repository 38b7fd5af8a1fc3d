"""The page of keys: making, showing once, taking back, each within its project."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tracestore.keys import find_key, make_key
from tracestore.models import IngestKey, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(default_project: Project) -> Project:
    return Project.objects.create(slug="shop", name="Shop")


def read(client: Client, path: str = "/setup/keys", root: str = "") -> str:
    return unescape(client.get(path, SCRIPT_NAME=root).content.decode())


def make(client: Client, name: str, root: str = "") -> tuple[int, str]:
    answer = client.post("/setup/keys", {"name": name}, SCRIPT_NAME=root)
    return answer.status_code, unescape(answer.content.decode())


def test_key_is_shown_once_with_lines_to_paste_and_opens_its_project(client: Client, shop: Project, settings: Settings) -> None:
    settings.KEY_REQUIRED = True

    answer = client.post("/setup/keys", {"name": " checkout "}, SCRIPT_NAME="/p/shop")
    page = unescape(answer.content.decode())
    secret = re.findall(r'<pre id="key-text">(.+?)</pre>', page)[0]

    opened = find_key(secret, "")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert opened is not None
    assert (opened.project_slug, opened.name) == ("shop", "checkout")
    assert f"OTEL_EXPORTER_OTLP_HEADERS=x-api-key={secret}" in page
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://testserver:{settings.OTLP_HTTP_PORT}\n" in page
    listed = read(client, root="/p/shop")
    assert secret not in listed
    assert f"{secret[:8]}…" in listed


def test_list_says_who_made_a_key_and_when_it_was_used(client: Client, default_project: Project, ada: Client) -> None:
    make(ada, "agents")
    old = IngestKey.objects.create(project=default_project, name="from before", sha256=hashlib.sha256(b"old").hexdigest())
    IngestKey.objects.filter(name="agents").update(last_used_at=timezone.now() - timedelta(hours=3, minutes=1))

    page = read(ada)

    assert 'class="keys__text"><bdi>ada</bdi>' in page
    assert "3\u00a0h ago" in page
    assert page.count("not kept") == 2  # how the old one begins, and who made it
    assert "no use known" in page
    assert f"/setup/keys/{old.pk}/revoke" in page


def test_revoked_key_opens_nothing_from_now_on(
    client: Client, default_project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    key, secret = make_key(default_project, "ci", by="somebody")
    assert find_key(secret, "") is not None

    answers = [client.post(f"/setup/keys/{key.pk}/revoke") for _ in range(2)]  # the second click finds it gone

    assert [answer.headers["Location"] for answer in answers] == ["/setup/keys", "/setup/keys"]
    assert find_key(secret, "") is None
    assert caplog.messages[-1] == f"keys: 'browser' revoked the key 'ci' ({secret[:8]}...) of the project default"
    assert secret not in caplog.text


def test_key_of_another_project_is_neither_shown_nor_revoked(client: Client, shop: Project) -> None:
    key, secret = make_key(shop, "theirs", by="somebody")

    client.post(f"/setup/keys/{key.pk}/revoke")

    assert "theirs" not in read(client)
    assert find_key(secret, "") is not None


@pytest.mark.parametrize(("key_required", "stops"), [(True, "exporters get 401"), (False, "no key is demanded here")])
def test_question_before_a_key_is_revoked_says_what_stops(
    client: Client, default_project: Project, settings: Settings, key_required: bool, stops: str
) -> None:
    settings.KEY_REQUIRED = key_required
    make_key(default_project, 'ci "<b>"', by="somebody")

    page = client.get("/setup/keys").content.decode()
    question = unescape(re.findall(r'data-confirm="(.+?)"', page)[0])

    assert question.startswith('Revoke the key ci "<b>"? No use of it is known. What still presents it ')
    assert stops in question
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("name", "said"), [("", "Say who uses the key"), ("x" * 129, "at most 128"), ("ci", "A key of this project has that name")]
)
def test_name_that_cannot_be_used_is_refused_with_a_sentence(
    client: Client, default_project: Project, name: str, said: str
) -> None:
    make_key(default_project, "ci", by="somebody")

    status, page = make(client, name)

    assert (status, IngestKey.objects.count()) == (422, 1)
    assert said in page
    assert f'value="{name}"' in page


def test_page_without_keys_says_what_that_means(client: Client, shop: Project, settings: Settings) -> None:
    open_pages = read(client), read(client, root="/p/shop")
    settings.KEY_REQUIRED = True
    demanding = read(client, root="/p/shop")
    settings.API_KEY, settings.ADMIN_PASSWORD = "master-word", "secret-word"
    from_environment = read(client)

    assert "takes what is sent without a key" in open_pages[0]
    assert "takes what is sent to its own address" in open_pages[1]
    assert "Nothing can be sent to this project before it has a key" in demanding
    assert "<code>TRACESTORE_API_KEY</code> and <code>admin</code> with the password" in from_environment
    assert "master-word" not in from_environment
    assert "secret-word" not in from_environment
    assert "TRACESTORE_API_KEY" not in read(client, root="/p/shop")


def test_who_has_not_logged_in_changes_nothing(client: Client, default_project: Project, settings: Settings) -> None:
    settings.LOGIN_REQUIRED = True
    key, _ = make_key(default_project, "ci", by="somebody")

    answers = [
        client.get("/setup/keys"),
        client.post("/setup/keys", {"name": "mine"}),
        client.post(f"/setup/keys/{key.pk}/revoke"),
        client.post("/setup/projects", {"name": "Mine"}),
    ]

    assert [answer.headers["Location"].partition("?")[0] for answer in answers] == ["/login"] * 4
    assert (IngestKey.objects.count(), Project.objects.count()) == (1, 1)


def test_form_of_another_site_makes_and_revokes_nothing(default_project: Project, settings: Settings) -> None:
    settings.LOGIN_REQUIRED = True
    key, _ = make_key(default_project, "ci", by="somebody")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_user("ada"))

    answers = [
        browser.post("/setup/keys", {"name": "mine"}),
        browser.post(f"/setup/keys/{key.pk}/revoke"),
        browser.post("/setup/projects", {"name": "Mine"}),
        browser.get(f"/setup/keys/{key.pk}/revoke"),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 405]
    assert (IngestKey.objects.count(), Project.objects.count()) == (1, 1)


def test_key_makes_no_keys_over_the_api(client: Client, default_project: Project, settings: Settings) -> None:
    settings.KEY_REQUIRED = settings.LOGIN_REQUIRED = True
    _, secret = make_key(default_project, "ci", by="somebody")

    answers = [client.post(path, {"name": "more"}, headers={"x-api-key": secret}) for path in ("/setup/keys", "/api/v1/keys")]

    assert [answer.status_code for answer in answers] == [302, 404]
    assert IngestKey.objects.count() == 1
