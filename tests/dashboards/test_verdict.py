"""The verdict of the REST API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.usefixtures("default_project")


def ask(client: Client, version: str = "v3", status: int = 200, **parameters: str) -> Any:
    response = client.get(f"/api/v1/versions/{quote(version, safe='')}/verdict", {"against": "v2"} | parameters)
    assert response.status_code == status, response.content
    return response.json()


@pytest.fixture
def versions(store: Store) -> Store:
    for version, failed in (("v2", 4), ("v3", 50), ('release/3 "β"', 4)):
        insert_traces(
            store,
            *({"outcome": "error" if n < failed else "ok", "duration_ns": 10**9 + n} for n in range(120)),
            versions=[version],
        )
    return store


def test_answer_holds_decision_and_reasons(client: Client, versions: Store) -> None:
    answer = ask(client)

    assert answer["decision"] == "worse"
    assert (answer["traces"], answer["against_traces"], answer["shared"]) == (120, 120, 0)
    assert [metric["name"] for metric in answer["results"]] == [
        "failure_rate",
        "escalation_rate",
        "cost_per_trace",
        "duration_p95",
    ]
    failures = answer["results"][0]
    assert failures["decision"] == "worse"
    assert failures["difference"]["low"] > 0.2
    assert failures["samples"] == 120
    assert answer["confidence"] == 0.9875


def test_version_may_be_any_text(client: Client, versions: Store) -> None:
    assert ask(client, 'release/3 "β"', metrics="failure_rate, duration_p50")["decision"] == "pass"


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"against": ""}, "against"),
        ({"q": "verison:v2"}, "q"),
        ({"q": "("}, "q"),
        ({"metrics": "failure_rates"}, "metrics"),
        ({"min_samples": "1"}, "min_samples"),
        ({"tolerance": "nan"}, "tolerance"),
        ({"tolerance": "-1"}, "tolerance"),
        ({"start": "yesterday"}, "start"),
        ({"minimum": "3"}, "minimum"),
    ],
)
def test_wrong_parameter_is_named(client: Client, store: Store, parameters: dict[str, str], named: str) -> None:
    assert ask(client, status=400, **parameters)["error"]["parameter"] == named


def test_version_without_traces_is_not_judged(client: Client, versions: Store) -> None:
    assert ask(client, "v9")["decision"] == "not_enough_data"
