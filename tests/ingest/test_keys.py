"""Which credentials open the receiver when keys are demanded."""

from __future__ import annotations

import base64
import hashlib
import math

import pytest
from pytest_django.fixtures import Settings

from tests.ingest.conftest import JSON, PROTOBUF, Receiver, build_request, build_span, open_connection
from tests.ingest.http_answers import read_status
from tests.logs import build_logs
from tracestore.intake.refusals import refusals
from tracestore.keys import find_key
from tracestore.models import IngestKey, Project
from tracestore.web.guessing import TRIES

KEY = "secret-key"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
def demand_key(settings: Settings) -> None:
    settings.KEY_REQUIRED = True
    settings.API_KEY = KEY


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("demand_key")
def test_key_is_accepted(receiver: Receiver) -> None:
    body = build_request(build_span()).SerializeToString()
    ways = (f"Bearer {KEY}", f"bearer   {KEY} ", f"Bearer%20{KEY}", KEY, basic(f"user:{KEY}"), basic(f"{KEY}:"))

    answers = {way: receiver.send(body, authorization=way).status for way in ways}

    assert answers == dict.fromkeys(ways, 200)
    assert receiver.send(body, x_api_key=KEY).status == 200


@pytest.mark.django_db(transaction=True)
def test_admin_password_opens_as_basic_credentials_only(receiver: Receiver, settings: Settings) -> None:
    settings.KEY_REQUIRED, settings.API_KEY, settings.ADMIN_PASSWORD = True, "", "secret-word"
    body = build_request(build_span()).SerializeToString()

    statuses = [
        receiver.send(body, authorization=credentials).status
        for credentials in (basic("admin:secret-word"), basic("other:secret-word"), "Bearer secret-word")
    ]

    assert statuses == [200, 401, 401]


@pytest.mark.django_db(transaction=True)
def test_wrong_password_is_called_that_and_no_key(receiver: Receiver, settings: Settings) -> None:
    settings.KEY_REQUIRED, settings.API_KEY, settings.ADMIN_PASSWORD = True, "", "secret-word"
    refusals._counts.clear()

    refused = [receiver.send(authorization=basic(f"{user}:guess")) for user in ("admin", "other")]

    said = [read_status(answer.body, PROTOBUF)[1] for answer in refused]
    assert [answer.status for answer in refused] == [401, 401]
    assert said[0].startswith("The password of the user admin is wrong. Send a key as")
    assert said[1].startswith("This key is not known.")
    names = [key_name for _, _, key_name, _ in refusals._counts]
    refusals._counts.clear()
    assert names[0] == "admin, wrong password"
    assert names[1].startswith("unknown, sha256 ")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("demand_key")
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic ???"},
        {"x_api_key": KEY + "x"},
        {"authorization": basic("a:b")},
    ],
)
def test_anything_else_is_answered_401(receiver: Receiver, headers: dict[str, str], content_type: str) -> None:
    answer = receiver.send(b"", content_type=content_type, **headers)

    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    code, message = read_status(answer.body, content_type)
    assert code == 16
    assert KEY not in message


@pytest.mark.usefixtures("demand_key")
def test_refusal_comes_before_the_body(receiver: Receiver) -> None:
    with open_connection(receiver.port) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        )

        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


@pytest.mark.django_db(transaction=True)
def test_guessing_the_admin_password_is_answered_429_and_keys_go_on(receiver: Receiver, settings: Settings) -> None:
    settings.KEY_REQUIRED, settings.API_KEY, settings.ADMIN_PASSWORD = True, KEY, "secret-word"

    statuses = [receiver.send(authorization=basic(f"admin:guess {number}")).status for number in range(TRIES + 1)]
    right_too_late = receiver.send(authorization=basic("admin:secret-word"))

    assert statuses == [401] * TRIES + [429]
    assert right_too_late.status == 429
    assert right_too_late.headers["retry-after"] in ("1", "2")
    assert read_status(right_too_late.body, PROTOBUF)[0] == 8
    assert receiver.send(x_api_key=KEY).status == 200


@pytest.mark.django_db(transaction=True)
def test_key_of_a_project_selects_it(receiver: Receiver) -> None:
    project = Project.objects.create(slug="other", name="Other")
    IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"project-key").hexdigest())

    receiver.send(build_request(build_span()).SerializeToString(), authorization="Bearer project-key")
    receiver.wait_until_drained()

    assert receiver.store.query_rows("SELECT project_id FROM spans WHERE project_id > 0") == [(project.pk,)]


@pytest.mark.django_db(transaction=True)
def test_logs_bear_the_name_of_their_key(receiver: Receiver) -> None:
    project = Project.objects.create(slug="other", name="Other")
    IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"project-key").hexdigest())
    body = build_logs({"body": "one"}, {"body": "two"})

    receiver.send(body, path="/v1/logs", authorization="Bearer project-key")
    receiver.send(body, path="/v1/logs", authorization="Bearer project-key")  # again, as after a lost answer
    receiver.wait_until_drained()

    names = "SELECT ingest_key, count() FROM logs FINAL GROUP BY ingest_key"
    assert receiver.store.query_rows(names) == [("ci", 2)]
    assert receiver.store.query_rows("SELECT ingest_key, sum(records) FROM log_intake GROUP BY ingest_key") == [("ci", 4)]


@pytest.mark.django_db(transaction=True)
def test_unknown_key_is_ignored_where_none_is_demanded(receiver: Receiver) -> None:
    receiver.send(build_request(build_span()).SerializeToString(), authorization="Bearer whatever")
    receiver.wait_until_drained()

    assert receiver.store.query_rows("SELECT project_id FROM spans WHERE project_id > 0") == [(1,)]


@pytest.mark.django_db
def test_unknown_key_is_remembered(monkeypatch: pytest.MonkeyPatch, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tracestore.keys._UNKNOWN_S", 3600.0)
    monkeypatch.setattr("tracestore.keys._looking.next_s", math.inf)
    with django_assert_num_queries(1):
        assert find_key("guess", "192.0.2.1") is None
        assert find_key("guess", "192.0.2.1") is None
