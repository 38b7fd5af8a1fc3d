"""Dashboards over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from dashboards.panels.builtin import BUILT_IN
from tracestore.models import Dashboard

pytestmark = pytest.mark.usefixtures("default_project")

DASHBOARDS = "/api/v1/dashboards"
PANEL = {"title": "Bad", "metrics": ["failure_rate"], "kind": "line", "group_by": "version", "query": "tool:refund"}


def post(client: Client, **values: Any) -> Any:
    body = {"name": "Refunds", "panels": [PANEL]} | values
    return client.post(DASHBOARDS, body, content_type="application/json")


def test_dashboard_is_created_read_changed_and_deleted(client: Client) -> None:
    created = post(client, slug="refunds-of-shop", shared=True)

    assert created.status_code == 201
    board = created.json()
    assert (board["slug"], board["url"]) == ("refunds-of-shop", "/dashboards/refunds-of-shop")
    assert (board["panels"], board["shared"], board["built_in"], board["owner"]) == ([PANEL], True, False, "")

    address = f"{DASHBOARDS}/refunds-of-shop"
    assert client.get(address).json() == board
    changed = client.patch(address, {"name": "Returns"}, content_type="application/json").json()
    assert (changed["name"], changed["slug"], changed["panels"]) == ("Returns", "refunds-of-shop", [PANEL])
    replaced = client.put(address, board | {"panels": [{"metrics": ["cost"]}]}, content_type="application/json").json()
    assert replaced["name"] == "Refunds"
    assert replaced["panels"] == [{"title": "Cost", "metrics": ["cost"], "kind": "line", "group_by": "", "query": ""}]
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_list_has_ours_first_and_ours_cannot_be_changed(client: Client) -> None:
    post(client, name="A")

    results = client.get(DASHBOARDS).json()["results"]
    refused = client.delete(f"{DASHBOARDS}/overview")

    assert [board["slug"] for board in results] == [*BUILT_IN, "a"]
    assert [board["built_in"] for board in results] == [True] * len(BUILT_IN) + [False]
    assert client.get(f"{DASHBOARDS}/cost").json() == results[1]
    assert refused.status_code == 400
    assert "cannot be changed" in refused.json()["error"]["message"]


def test_one_of_ours_is_duplicated_by_sending_its_panels(client: Client) -> None:
    ours = client.get(f"{DASHBOARDS}/latency").json()

    answer = post(client, name="My latency", panels=ours["panels"])

    assert answer.status_code == 201
    assert len(answer.json()["panels"]) == len(ours["panels"])


@pytest.mark.parametrize(("values", "parameter", "said"), [
    ({"name": " "}, "name", "blank"),
    ({"slug": "Not a slug"}, "slug", "small letters"),
    ({"slug": "overview"}, "slug", "taken"),
    ({"panels": []}, "panels", "Add a panel"),
    ({"panels": [PANEL, PANEL | {"query": "verison:v3"}]}, "panels.1.query", "There is no field"),
    ({"panels": [PANEL | {"metrics": ["cots"]}]}, "panels.0.metrics", "cost"),
    ({"panels": [PANEL | {"metrics": "cost"}]}, "panels.0.metrics", "list"),
    ({"panels": [{"title": "x"}]}, "panels.0.metrics", "required"),
    ({"panels": [PANEL | {"kind": "pie"}]}, "panels.0.kind", "pie"),
    ({"panels": 3}, "panels", "list"),
    ({"colour": "red"}, "colour", "There is no 'colour' here; there are name"),
])  # fmt: skip
def test_bad_value_is_refused_naming_the_field(client: Client, values: dict[str, Any], parameter: str, said: str) -> None:
    answer = post(client, **values)

    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == parameter
    assert said in answer.json()["error"]["message"]
    assert not Dashboard.objects.exists()


def test_misspelt_query_has_a_suggestion(client: Client) -> None:
    assert post(client, panels=[PANEL | {"query": "verison:v3"}]).json()["error"]["suggestion"] == "version"


def test_taken_slug_is_refused_and_ones_own_is_not(client: Client) -> None:
    post(client, slug="one")
    post(client, slug="two")

    taken = client.patch(f"{DASHBOARDS}/two", {"slug": "one"}, content_type="application/json")
    own = client.patch(f"{DASHBOARDS}/two", {"slug": "two", "shared": True}, content_type="application/json")

    assert (taken.status_code, own.status_code) == (400, 200)


def test_dashboard_of_a_session_is_its_users(settings: Settings) -> None:
    settings.LOGIN_REQUIRED = True
    clients = {}
    for name in ("ada", "bob"):
        clients[name] = Client()
        clients[name].force_login(User.objects.create_user(name))
    post(clients["ada"], slug="private")
    post(clients["ada"], slug="common", shared=True)

    seen = [board["slug"] for board in clients["bob"].get(DASHBOARDS).json()["results"] if not board["built_in"]]

    assert seen == ["common"]
    assert clients["bob"].get(f"{DASHBOARDS}/common").json()["owner"] == "ada"
    assert clients["bob"].get(f"{DASHBOARDS}/private").status_code == 404
    assert clients["bob"].delete(f"{DASHBOARDS}/common").status_code == 404
    assert clients["ada"].delete(f"{DASHBOARDS}/common").status_code == 204
