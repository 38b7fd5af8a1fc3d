from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from alerts.models import Alert, AlertRule
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.test_pages import now
from tests.factories import default_project
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.usefixtures("default_project")
RULES = "/api/v1/alert-rules"


def post(client: Client, **values: Any) -> Any:
    body = {"name": "v3 fails", "metric": "failure_rate", "query": "version:v3", "threshold": 0.05} | values
    return client.post(RULES, body, content_type="application/json")


@pytest.mark.parametrize(
    ("limit", "address", "body"),
    [
        ("alerts.api.rules.MAX_RULES", RULES, {"name": "v3 fails", "metric": "failure_rate", "threshold": 0.05}),
        ("alerts.api.channels.MAX_CHANNELS", "/api/v1/channels", {"name": "Chat", "kind": "slack", "target": "https://hooks.example.com/x"}),
        ("alerts.api.routes.MAX_ROUTES", "/api/v1/alert-routes", {"name": "All", "steps": [{"channels": ["On-call"]}]}),
        ("alerts.api.silences.MAX_SILENCES", "/api/v1/silences", {"ends_at": "2100-01-01T00:00:00Z"}),
        ("alerts.api.digests.MAX_REPORTS", "/api/v1/digests", {"channel": "On-call"}),
        ("alerts.api.backtests.MAX_MARKS", "/api/v1/incident-marks",
         {"name": "Outage", "started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T01:00:00Z"}),
        ("dashboards.api.prices.MAX_PRICES", "/api/v1/prices", {"model": "own-1", "input_usd": "1", "output_usd": "2"}),
    ],
)  # fmt: skip
def test_project_keeps_so_many_of_a_kind(
    client: Client, monkeypatch: pytest.MonkeyPatch, limit: str, address: str, body: dict[str, Any]
) -> None:
    create_channel(name="On-call")

    monkeypatch.setattr(limit, 0)
    refused = client.post(address, body, content_type="application/json")
    monkeypatch.setattr(limit, 100)
    taken = client.post(address, body, content_type="application/json")

    assert (refused.status_code, taken.status_code) == (400, 201)
    assert refused.json()["error"]["message"].startswith("A project has at most 0 ")


def test_rule_is_created_read_changed_and_deleted(client: Client) -> None:
    channel = create_channel(name="On-call")

    created = post(client, channels=["On-call"], hold_s=60, severity="critical")
    assert created.status_code == 201
    rule = created.json()
    assert rule["channels"] == [{"id": channel.pk, "name": "On-call", "kind": "webhook", "enabled": True}]
    assert (rule["state"], rule["window_s"], rule["comparison"], rule["threshold"]) == ("inactive", 300, "above", 0.05)

    address = f"{RULES}/{rule['id']}"
    assert client.get(address).json() == rule
    changed = client.patch(address, {"threshold": 0.1, "channels": [str(channel.pk)]}, content_type="application/json")
    assert (changed.status_code, changed.json()["threshold"], changed.json()["query"]) == (200, 0.1, "version:v3")
    replaced = client.put(address, {"name": "p95", "metric": "duration_p95", "threshold": 3}, content_type="application/json")
    assert (replaced.json()["query"], replaced.json()["metric"], replaced.json()["channels"]) == ("", "duration_p95", [])
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("query", "verison:v3", "version"), ("metric", "luck", "luck"), ("window_s", 5, "60"), ("threshold", "x", "number"),
     ("threshold", -1, "from 0 up"), ("threshold", 5, "0.05 for 5%"), ("query", "x" * 5000, "at most 2000 characters"),
     ("channels", ["Nobody"], "'Nobody'"), ("comparison", "near", "near"), ("name", "", "blank")],
)  # fmt: skip
def test_bad_value_is_refused_naming_the_field(client: Client, field: str, value: Any, sentence: str) -> None:
    answer = post(client, **{field: value})

    assert answer.status_code == 400
    text = answer.content.decode()
    assert field in text
    assert sentence in text
    assert not AlertRule.objects.exists()


def test_error_in_a_query_says_where(client: Client) -> None:
    answer = post(client, query=" tool:a verison:v3")

    assert answer.json()["error"] == {
        "parameter": "query", "message": "There is no field “verison”.", "suggestion": "version", "position": 8, "length": 7,
    }  # fmt: skip


def test_rate_above_one_is_refused_for_a_changed_metric_too(client: Client) -> None:
    rule = create_rule(metric="duration_p95", threshold=3)

    answer = client.patch(f"{RULES}/{rule.pk}", {"metric": "failure_rate"}, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["parameter"]) == (400, "threshold")


@pytest.mark.parametrize(("body", "status"), [("[" * 200_000, 400), (" " * 3_000_000, 413), ("[1", 400), ("[1]", 400)])
def test_body_that_cannot_be_read_is_refused_as_json(client: Client, body: str, status: int) -> None:
    answer = client.post(RULES, body, content_type="application/json")

    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_absent_rule_is_named(client: Client) -> None:
    answer = client.get(f"{RULES}/77")

    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "There is no alert rule 77.")


def test_misspelt_field_is_refused(client: Client) -> None:
    answer = post(client, treshold=0.1)

    assert (answer.status_code, answer.json()["error"]["parameter"]) == (400, "treshold")


def test_rule_can_be_sent_back_as_it_came(client: Client) -> None:
    create_channel(name="On-call")
    rule = post(client, channels=["On-call"], enabled=False).json()

    answer = client.put(f"{RULES}/{rule['id']}", rule | {"threshold": 0.2}, content_type="application/json")

    assert answer.status_code == 200
    assert answer.json() == rule | {"threshold": 0.2}


def test_missing_field_is_named(client: Client) -> None:
    answer = client.post(RULES, {"name": "x"}, content_type="application/json")

    assert answer.status_code == 400
    assert "metric" in answer.content.decode()


def test_name_of_another_rule_is_refused_but_ones_own_is_not(client: Client) -> None:
    rule = create_rule(name="v3 fails")

    assert post(client).status_code == 400
    answer = client.patch(f"{RULES}/{rule.pk}", {"name": "v3 fails", "hold_s": 5}, content_type="application/json")
    assert answer.status_code == 200


def test_rules_come_in_pages(client: Client) -> None:
    for name in "abc":
        create_rule(name=name)

    first = client.get(RULES, {"limit": 2}).json()
    second = client.get(first["next"]).json()

    assert [rule["name"] for rule in first["results"] + second["results"]] == ["a", "b", "c"]
    assert second["next"] is None
    assert client.get(RULES, {"limit": 2, "cursor": first["next"]}).json() == second


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "many"), ("limit", "9" * 5000), ("cursor", "-1"), ("state", "sad"), ("staet", "firing")],
)
def test_bad_parameter_is_named(client: Client, name: str, value: str) -> None:
    answer = client.get("/api/v1/alerts", {name: value})

    assert answer.status_code == 400
    assert name in answer.content.decode()


def test_alerts_carry_value_reasons_and_the_link_to_their_traces(client: Client, store: Store) -> None:
    insert_traffic(store, now(), failed=3, ok=7)
    evaluate_rule(create_rule(query="service:support-bot").pk, now())

    alert = client.get("/api/v1/alerts?state=firing").json()["results"][0]

    assert (alert["state"], alert["rule_name"], alert["value"]) == ("firing", "Failures", pytest.approx(0.3))
    assert alert["resolved_at"] is None
    assert alert["traces_query"] == "service:support-bot status:error"
    assert alert["traces_url"].endswith("Z")
    assert "/traces?q=service%3Asupport-bot+status%3Aerror&start=" in alert["traces_url"]
    assert (alert["traces_count"], alert["others_count"]) == (3, 7)
    assert (alert["differences"]["compared"], alert["differences"]["top"][0]["value"]) == (7, "v3")
    assert [(error["error_type"], error["traces"], error["is_new"]) for error in alert["errors"]] == [("TimeoutError", 3, True)]
    assert [example["url"].rpartition("?")[2] for example in alert["examples"]] == [f"span={'02' * 8}"] * 3
    incident = client.get(f"/api/v1/incidents/{alert['incident_id']}").json()
    assert (incident["url"], incident["alerts"]) == (alert["incident_url"], [alert["id"]])
    assert client.get("/api/v1/alerts?state=resolved").json() == {"results": [], "next": None}


def test_rule_and_alerts_of_another_project_are_not_seen(client: Client, store: Store) -> None:
    insert_traffic(store, now(), failed=3, ok=7)
    rule = create_rule()
    evaluate_rule(rule.pk, now())
    other = type(default_project()).objects.create(slug="other", name="Other")
    AlertRule.objects.update(project=other)
    Alert.objects.update(project=other)

    assert client.get(RULES).json()["results"] == []
    assert client.get(f"{RULES}/{rule.pk}").status_code == 404
    assert client.get("/api/v1/alerts").json()["results"] == []


def test_schema_describes_the_alert_api(client: Client) -> None:
    schema = client.get("/api/schema/", headers={"Accept": "application/json"}).content.decode()

    for path in (RULES, f"{RULES}/{{rule_id}}", "/api/v1/alerts", "/api/v1/channels", "/api/v1/channels/{channel_id}"):
        assert path in schema
