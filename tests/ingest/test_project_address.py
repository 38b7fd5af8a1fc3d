"""What is sent to the address of a project belongs to it, and a key of another project is refused there."""

from __future__ import annotations

import hashlib
import json

import pytest
from pytest_django.fixtures import Settings

from tests.ingest.conftest import JSON, PROTOBUF, Receiver, build_request, build_span
from tests.ingest.http_answers import read_status
from tests.logs import build_logs
from tracestore.intake.refusals import refusals
from tracestore.models import IngestKey, Project
from tracestore.projects import forget_projects

pytestmark = pytest.mark.django_db(transaction=True)
SIGNALS = ("traces", "logs", "metrics")


@pytest.fixture
def shop() -> Project:
    Project.objects.get_or_create(pk=1, defaults={"slug": "default", "name": "Default"})
    forget_projects()
    project = Project.objects.create(slug="shop", name="Shop")
    IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"shop-key").hexdigest())
    IngestKey.objects.create(project_id=1, name="main", sha256=hashlib.sha256(b"main-key").hexdigest())
    return project


def projects_of(receiver: Receiver, table: str) -> list[int]:
    receiver.wait_until_drained()
    return [
        int(str(row[0])) for row in receiver.store.query_rows(f"SELECT project_id FROM {table} WHERE project_id > 0 ORDER BY 1")
    ]


@pytest.mark.parametrize("key", ["", "unknown"])
def test_without_a_key_the_address_tells_the_project(receiver: Receiver, shop: Project, key: str) -> None:
    expected = {"/p/shop": shop.pk, "/p/shop/api/public/otel": shop.pk, "/p/default": 1, "": 1}

    for root in expected:  # which the rows are named after
        spans = build_request(build_span(name=root or "none")).SerializeToString()
        logs = build_logs({"body": root or "none"})
        assert receiver.send(spans, path=f"{root}/v1/traces", x_api_key=key).status == 200
        assert receiver.send(logs, path=f"{root}/v1/logs", x_api_key=key).status == 200
    receiver.wait_until_drained()

    wanted = sorted((root or "none", project_id) for root, project_id in expected.items())
    assert receiver.store.query_rows("SELECT name, project_id FROM spans WHERE project_id > 0 ORDER BY name") == wanted
    assert receiver.store.query_rows("SELECT body, project_id FROM logs WHERE project_id > 0 ORDER BY body") == wanted


@pytest.mark.parametrize("root", ["/p/shop", ""])
def test_key_opens_the_address_of_its_project_and_one_that_names_none(receiver: Receiver, shop: Project, root: str) -> None:
    for signal in SIGNALS:
        body = build_request(build_span()).SerializeToString() if signal == "traces" else b""
        assert receiver.send(body, path=f"{root}/v1/{signal}", x_api_key="shop-key").status == 200

    assert projects_of(receiver, "spans") == [shop.pk]


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("signal", SIGNALS)
def test_key_of_another_project_is_refused_with_both_named(
    receiver: Receiver, shop: Project, signal: str, content_type: str
) -> None:
    answer = receiver.send(b"{}", path=f"/p/shop/v1/{signal}", content_type=content_type, x_api_key="main-key")
    unknown = receiver.send(b"{}", path=f"/p/nobody/v1/{signal}", content_type=content_type, x_api_key="main-key")

    assert (answer.status, unknown.status) == (403, 403)
    assert read_status(answer.body, content_type) == (
        7,
        "The key 'main' is of the project default, the address is that of shop. "
        "Use a key of shop, or an address without /p/shop.",
    )
    assert projects_of(receiver, "spans") == []


def test_key_of_the_environment_is_one_of_the_default_project(receiver: Receiver, shop: Project, settings: Settings) -> None:
    settings.KEY_REQUIRED, settings.API_KEY = True, "master"

    statuses = [receiver.send(path=f"{root}/v1/traces", x_api_key="master").status for root in ("", "/p/default", "/p/shop")]

    assert statuses == [200, 200, 403]


@pytest.mark.parametrize("signal", SIGNALS)
def test_address_of_no_project_is_answered_404_until_there_is_one(receiver: Receiver, shop: Project, signal: str) -> None:
    refused = receiver.send(b"{}", path=f"/p/nobody/v1/{signal}", content_type=JSON)
    Project.objects.create(slug="nobody", name="Nobody")

    assert refused.status == 404
    assert "There is no project nobody." in json.loads(refused.body)["message"]
    assert receiver.send(b"{}", path=f"/p/nobody/v1/{signal}", content_type=JSON).status == 200


def test_where_a_key_is_demanded_strangers_do_not_learn_which_projects_there_are(
    receiver: Receiver, shop: Project, settings: Settings
) -> None:
    settings.KEY_REQUIRED = True

    answers = [receiver.send(path=f"/p/{slug}/v1/traces", content_type=JSON) for slug in ("shop", "nobody")]

    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].body == answers[1].body


def test_refusals_count_for_the_project_of_the_address(receiver: Receiver, shop: Project) -> None:
    refusals._counts.clear()
    receiver.send(b"{}", path="/p/shop/v1/traces", content_type=JSON)

    receiver.send(b"{", path="/p/shop/v1/traces", content_type=JSON)
    receiver.send(b"{", path="/v1/traces", content_type=JSON)

    assert [key[:2] for key in refusals._counts] == [(shop.pk, "http_400"), (1, "http_400")]
    refusals._counts.clear()
