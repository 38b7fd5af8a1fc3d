"""Prices of a project's own: page and API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.models import ModelPrice, Project, Recomputation
from tracestore.prices.custom import find_custom_price

pytestmark = pytest.mark.django_db

PRICE = {"model": "house-7b", "provider": "", "input_usd": "0.20", "output_usd": "0.8"}


@pytest.fixture(autouse=True)
def _projects(default_project: Project) -> None:
    Project.objects.get_or_create(pk=2, defaults={"slug": "other", "name": "Other"})


def post(client: Client, values: dict[str, Any]) -> tuple[int, Any]:
    answer = client.post("/api/v1/prices", json.dumps(values), content_type="application/json")
    return answer.status_code, answer.json()


def test_page_lists_models_without_a_price_and_adds_one(client: Client, store: Store) -> None:
    insert_traces(store, {"unpriced_models": ["house-<7b>"]})

    page = client.get("/setup/prices?model=house-<7b>").content.decode()
    added = client.post("/setup/prices", PRICE | {"output_usd": "10", "from_day": ""})
    listed = client.get("/setup/prices").content.decode()

    assert "No prices of your own" in page
    assert "house-&lt;7b&gt;" in page
    assert "house-<7b>" not in page
    assert added.status_code == 302
    assert 'name="from_day" value=""' in page
    assert "0.2 USD" in listed
    assert ">10 USD<" in listed
    assert "the beginning" in listed
    assert find_custom_price(1, "acme", "house-7b", 20_000) is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input_usd": "-1"}, "not below zero"),
        ({"model": ""}, "required"),
        ({"output_usd": "NaN"}, "number"),
        ({}, "delete it first"),
    ],
)
def test_wrong_price_is_refused_and_keeps_what_was_typed(client: Client, store: Store, change: dict[str, str], said: str) -> None:
    if not change:
        client.post("/setup/prices", PRICE)

    answer = client.post("/setup/prices", PRICE | change)

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert 'value="0.8"' in answer.content.decode() or "output_usd" in change


def test_history_is_computed_again_once_at_a_time(client: Client, store: Store) -> None:
    for _ in range(2):
        client.post("/setup/prices/history")
    running = client.get("/setup/prices").content.decode()
    client.post("/setup/prices/history", {"cancel": "1"})

    assert "Running: 0 of 0 traces" in running
    assert [job.status for job in Recomputation.objects.all()] == ["cancelled"]


def test_api_adds_lists_and_deletes(client: Client) -> None:
    status, price = post(client, PRICE | {"from_day": "2026-01-01"})
    second, error = post(client, PRICE | {"from_day": "2026-01-01"})
    negative, _ = post(client, PRICE | {"output_usd": -1})
    answer = client.get("/api/v1/prices").json()
    listed = answer["results"]
    assert answer["next"] is None
    foreign = ModelPrice.objects.create(project_id=2, model="x", input_usd=1, output_usd=1)
    missing = client.delete(f"/api/v1/prices/{foreign.pk}").status_code
    deleted = client.delete(f"/api/v1/prices/{price['id']}").status_code

    assert (status, second, negative, missing, deleted) == (201, 400, 400, 404, 204)
    assert "delete it first" in json.dumps(error)
    assert listed == [price]
    assert (price["model"], price["input_usd"], price["cache_read_usd"]) == ("house-7b", "0.200000", None)
    assert find_custom_price(1, "acme", "house-7b", 30_000) is None
