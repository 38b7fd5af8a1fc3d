"""The REST API against the real engine: pages, shapes, errors, and who is let in."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from tests.factories import insert_traces, new_trace_id
from tests.logs import insert_logs
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreUnavailable
from tracestore.keys import forget_keys
from tracestore.models import IngestKey, Project
from tracestore.timerange import NS_PER_S, format_time_ns

pytestmark = pytest.mark.usefixtures("default_project")

TRACE_FIELDS = {
    "trace_id", "name", "service", "outcome", "has_errors", "escalated", "start_time", "duration_ns", "span_count",
    "error_count", "failing_span_id", "error_types", "agents", "versions", "environment", "session_id", "user_id",
    "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_usd", "tools", "models",
}  # fmt: skip


def get(client: Client, path: str, **parameters: Any) -> Any:
    response = client.get(f"/api/v1/{path}", parameters)
    assert response.status_code == 200, response.content
    return response.json()


def get_error(client: Client, path: str, status: int = 400, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/api/v1/{path}", parameters)
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert {"parameter", "message", "suggestion"} <= set(error)
    return error


def test_trace_has_every_promised_field(client: Client, store: Store) -> None:
    start_ns = (time.time_ns() // NS_PER_S - 60) * NS_PER_S + 1
    insert_traces(
        store, start_ns=start_ns, versions=["v3"], tools=[("refund", 2, 1)], outcome="error", cost_usd=0.25,
        **{
            "models.model": ["gpt-5"], "models.provider": ["openai"], "models.calls": [1], "models.errors": [0],
            "models.input_tokens": [10], "models.output_tokens": [2], "models.cached_input_tokens": [4],
            "models.cost_usd": [None],
        },
    )  # fmt: skip

    [trace] = get(client, "traces")["results"]

    assert set(trace) >= TRACE_FIELDS
    assert trace["start_time"] == format_time_ns(start_ns)
    assert trace["tools"] == [{"name": "refund", "calls": 2, "errors": 1}]
    assert trace["models"] == [
        {
            "model": "gpt-5", "provider": "openai", "calls": 1, "errors": 0, "input_tokens": 10, "output_tokens": 2,
            "cached_input_tokens": 4, "cost_usd": None, "supplied_cost_usd": None, "compared_cost_usd": None,
            "cost_difference_usd": None,
        }
    ]  # fmt: skip
    assert trace["cost_usd"] == 0.25


def test_trace_tells_what_it_did_again_and_why_it_was_handed_over(client: Client, store: Store) -> None:
    told = {
        "escalated": True, "escalation_reasons": ["refund_limit"], "handed_over": True, "handoff_reasons": ["billing"],
        "retried_calls": 1, "loops": 2, "looping_calls": 7, "wasted_tokens": 900, "wasted_cost_usd": 0.125,
    }  # fmt: skip
    (trace_id,) = insert_traces(store, told)

    (listed,) = get(client, "traces", q="wasted_cost:>0.1")["results"]

    assert listed["trace_id"] == trace_id
    assert {name: listed[name] for name in told} == told


def test_unpriced_trace_costs_null_not_zero(client: Client, store: Store) -> None:
    insert_traces(store, cost_usd=None)

    assert get(client, "traces")["results"][0]["cost_usd"] is None


def test_query_selects_traces(client: Client, store: Store) -> None:
    wanted, *_ = insert_traces(
        store,
        {"outcome": "error", "versions": ["v3"], "tools": [("refund", 1, 1)]},
        {"outcome": "ok", "versions": ["v3"], "tools": [("refund", 1, 0)]},
        {"outcome": "error", "versions": ["v2"], "tools": [("refund", 1, 1)]},
    )

    found = get(client, "traces", q="status:error version:v3 tool:refund")["results"]

    assert [trace["trace_id"] for trace in found] == [wanted]


def test_pages_have_no_gap_and_no_duplicate_even_when_starts_are_equal(client: Client, store: Store) -> None:
    start_ns = time.time_ns() - 60 * NS_PER_S
    ids = insert_traces(store, *({"start_ns": start_ns + number // 10 * NS_PER_S} for number in range(105)))
    seen: list[str] = []

    body = get(client, "traces", limit=20)
    for _ in range(10):
        seen += [trace["trace_id"] for trace in body["results"]]
        if body["next"] is None:
            break
        address = urlsplit(body["next"])
        assert address.netloc == "testserver"
        body = client.get(f"{address.path}?{address.query}").json()

    assert len(seen) == 105
    assert set(seen) == set(ids)


def test_next_keeps_the_range_of_the_first_page(client: Client, store: Store) -> None:
    insert_traces(store, {}, {})
    first = get(client, "traces", limit=1, start="now-1h")

    insert_traces(store, {"start_ns": time.time_ns() + NS_PER_S})
    address = urlsplit(first["next"])

    assert "now-1h" not in address.query
    assert len(client.get(f"{address.path}?{address.query}").json()["results"]) == 1


def test_times_may_be_rfc3339_or_nanoseconds_and_the_end_is_not_included(client: Client, store: Store) -> None:
    start_ns = time.time_ns() - 3600 * NS_PER_S
    insert_traces(store, {"start_ns": start_ns}, {"start_ns": start_ns + 1})

    assert len(get(client, "traces", start=format_time_ns(start_ns), end=format_time_ns(start_ns + 1))["results"]) == 1
    assert len(get(client, "traces", start=start_ns, end=start_ns + 2)["results"]) == 2


def test_without_times_the_last_24_hours_are_searched(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    insert_traces(store, {"start_ns": now_ns - 23 * 3600 * NS_PER_S}, {"start_ns": now_ns - 25 * 3600 * NS_PER_S})

    assert len(get(client, "traces")["results"]) == 1


def test_metric_is_a_list_of_series(client: Client, store: Store) -> None:
    start_ns = time.time_ns() - 60 * NS_PER_S  # of all: no step begins between two of them
    insert_traces(store, {"outcome": "error", "versions": ["v3"]}, {"versions": ["v2"]}, {"versions": ["v2"]}, start_ns=start_ns)

    body = get(client, "metrics", metric="failure_rate", group_by="version", start="now-1h", step="5m")

    assert (body["metric"], body["unit"], body["step_s"], body["next"]) == ("failure_rate", "ratio", 300, None)
    assert [series["group"] for series in body["results"]] == ["v2", "v3"]
    values = [[value for _, value in series["points"] if value is not None] for series in body["results"]]
    assert values == [[0.0], [1.0]]
    assert body["results"][0]["points"][0][0].endswith(":00.000000000Z")


def test_logs_of_a_trace_are_read_page_by_page(client: Client, store: Store) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    records = [{"body": number, "time_ns": now_ns + number, "attributes": {"score": float("nan")}} for number in range(7)]
    insert_logs(store, *records, trace_id=trace_id, span_id="1" * 16, severity=17, event_name="exception")
    insert_logs(store, {"trace_id": trace_id, "body": "of another project"}, project_id=2)
    seen: list[dict[str, Any]] = []

    body = get(client, f"traces/{trace_id.upper()}/logs", limit=3)
    for _ in range(5):
        seen += body["results"]
        if body["next"] is None:
            break
        address = urlsplit(body["next"])
        body = client.get(f"{address.path}?{address.query}").json()

    assert [record["body"] for record in seen] == [0, 1, 2, 3, 4, 5, 6]
    assert {(record["trace_id"], record["span_id"], record["joined_by"]) for record in seen} == {(trace_id, "1" * 16, "trace_id")}
    assert seen[0]["time"] == format_time_ns(now_ns)
    assert (seen[0]["attributes"], seen[0]["severity_number"], seen[0]["event_name"]) == ({"score": "NaN"}, 17, "exception")
    assert get_error(client, f"traces/{trace_id}/logs", cursor="x")["parameter"] == "cursor"
    assert get_error(client, f"traces/{trace_id}/logs", q="x")["parameter"] == "q"


def test_facet_counts_values(client: Client, store: Store) -> None:
    insert_traces(store, {"tools": [("refund", 1, 0)], "outcome": "error"}, {"tools": [("refund", 1, 0), ("search", 1, 0)]})

    assert get(client, "facets", field="tool")["results"] == [
        {"value": "refund", "count": 2, "failed": 1},
        {"value": "search", "count": 1, "failed": 0},
    ]


@pytest.mark.parametrize(
    ("path", "parameters", "parameter"),
    [
        ("traces", {"q": "verison:v3"}, "q"),
        ("traces", {"q": "duration:>fast"}, "q"),
        ("traces", {"start": "yesterday"}, "start"),
        ("traces", {"end": "2026-13-01T00:00:00Z"}, "end"),
        ("traces", {"start": "now", "end": "now-1h"}, "start"),
        ("traces", {"limit": 0}, "limit"),
        ("traces", {"limit": 1001}, "limit"),
        ("traces", {"limit": "many"}, "limit"),
        ("traces", {"cursor": "nonsense"}, "cursor"),
        ("traces", {"lmit": 5}, "lmit"),
        ("spans", {"q": "tool:"}, "q"),
        ("spans", {"cursor": "nonsense"}, "cursor"),
        ("metrics", {}, "metric"),
        ("metrics", {"metric": "failure_rat"}, "metric"),
        ("metrics", {"metric": "cost", "group_by": "moon"}, "group_by"),
        ("metrics", {"metric": "cost", "step": "soon"}, "step"),
        ("metrics", {"metric": "cost", "step": "0"}, "step"),
        ("metrics", {"metric": "cost", "step": "1s"}, "step"),
        ("facets", {"field": "duration"}, "field"),
        ("traces/" + "0" * 32, {"q": "x"}, "q"),
    ],
)
def test_bad_request_names_the_parameter(
    client: Client, store: Store, path: str, parameters: dict[str, Any], parameter: str
) -> None:
    error = get_error(client, path, **parameters)

    assert error["parameter"] == parameter
    assert error["message"].endswith(".")


def test_misspelt_field_comes_with_a_suggestion(client: Client, store: Store) -> None:
    error = get_error(client, "traces", q="verison:v3")

    assert error["suggestion"] == "version"
    assert (error["position"], error["length"]) == (0, 7)
    assert get_error(client, "traces", q="  verison:v3")["position"] == 2


def test_query_of_any_length_is_refused_by_the_language(client: Client, store: Store) -> None:
    assert "at most 2000 characters; this one has 5000" in get_error(client, "traces", q="x" * 5000)["message"]


@pytest.mark.parametrize(("name", "suggestion"), [("env", "environment"), ("status", "outcome"), ("versin", "version")])
def test_group_is_suggested_for_a_field_of_the_language(client: Client, store: Store, name: str, suggestion: str) -> None:
    assert get_error(client, "metrics", metric="requests", group_by=name)["suggestion"] == suggestion


@pytest.mark.parametrize(
    "path",
    [
        "traces/" + "ab" * 16,
        "traces/nonsense",
        "traces/nonsense/logs",
        "traces/" + "ab" * 16 + "/logs",
        "traces/" + "ab" * 16 + "/spans/" + "cd" * 8,
        "nothing",
    ],
)
def test_what_does_not_exist_is_404_as_json(client: Client, store: Store, path: str) -> None:
    get_error(client, path, status=404)


def test_wrong_method_is_405_as_json(client: Client, store: Store) -> None:
    response = client.post("/api/v1/traces", {}, content_type="application/json")

    assert response.status_code == 405
    assert "error" in response.json()


def test_store_that_is_away_is_503_with_retry_after(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr("dashboards.api.traces.find_traces", refuse)
    response = client.get("/api/v1/traces")

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert "connection refused" in response.json()["error"]["message"]


def test_query_that_is_too_expensive_is_400_and_says_what_to_narrow(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise QueryTooExpensive("Choose a shorter time range.")

    monkeypatch.setattr("dashboards.api.traces.find_traces", refuse)

    assert get_error(client, "traces")["message"] == "Choose a shorter time range."


def test_unexpected_error_is_500_without_its_details(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("dashboards.api.traces.find_traces", fail)

    assert "secret" not in get_error(client, "traces", status=500)["message"]


def test_hostile_query_text_stays_data(client: Client, store: Store) -> None:
    insert_traces(store, {"versions": ["v1"]})

    assert get(client, "traces", q="""version:"v1') OR 1=1 -- " """)["results"] == []
    assert len(get(client, "traces", q="version:v1")["results"]) == 1


@pytest.fixture
def _key_required(settings: Settings) -> None:
    settings.KEY_REQUIRED = True
    settings.API_KEY = "sesame"
    forget_keys()


@pytest.mark.usefixtures("_key_required")
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer sesame"},
        {"x-api-key": "sesame"},
        {"Authorization": "Basic " + base64.b64encode(b"any:sesame").decode()},
    ],
)
def test_key_opens_the_api_in_each_of_its_forms(client: Client, store: Store, headers: dict[str, str]) -> None:
    assert client.get("/api/v1/traces", headers=headers).status_code == 200


@pytest.mark.usefixtures("_key_required")
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"Authorization": "Bearer"}])
def test_without_a_valid_key_the_api_answers_401_with_a_challenge(client: Client, headers: dict[str, str]) -> None:
    response = client.get("/api/v1/traces", headers=headers)

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["error"]["message"]


@pytest.mark.usefixtures("_key_required")
def test_logged_in_session_opens_the_api(client: Client, store: Store) -> None:
    client.force_login(User.objects.create_user("admin"))

    assert client.get("/api/v1/traces").status_code == 200


@pytest.mark.usefixtures("_key_required")
def test_key_sees_its_own_project_alone(client: Client, store: Store) -> None:
    other = Project.objects.create(slug="other", name="Other")
    IngestKey.objects.create(project=other, name="theirs", sha256=hashlib.sha256(b"other-key").hexdigest())
    mine, theirs = insert_traces(store, {"project_id": 1}, {"project_id": other.pk})

    body = client.get("/api/v1/traces", headers={"x-api-key": "other-key"}).json()

    assert [trace["trace_id"] for trace in body["results"]] == [theirs]
    assert client.get(f"/api/v1/traces/{mine}", headers={"x-api-key": "other-key"}).status_code == 404


def test_key_is_refused_at_the_address_of_another_project(client: Client, store: Store) -> None:
    other = Project.objects.create(slug="other", name="Other")
    IngestKey.objects.create(project=other, name="theirs", sha256=hashlib.sha256(b"other-key").hexdigest())
    forget_keys()

    def ask(root: str) -> HttpResponse:
        return client.get("/api/v1/traces", headers={"x-api-key": "other-key"}, SCRIPT_NAME=root)  # type: ignore[return-value]

    assert [ask(root).status_code for root in ("", "/p/other", "/p/default")] == [200, 200, 403]
    said = json.loads(ask("/p/default").content)["error"]["message"]
    assert said.startswith("The key 'theirs' is of the project other, the address is that of default.")


def test_wrong_password_is_called_that_and_no_key(client: Client, store: Store, settings: Settings) -> None:
    settings.KEY_REQUIRED, settings.ADMIN_PASSWORD = True, "secret-word"

    def ask(credentials: str) -> str:
        headers = {"authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}
        return str(client.get("/api/v1/traces", headers=headers).json()["error"]["message"])

    assert ask("admin:guess") == "The password of the user admin is wrong."
    assert ask("any:guess") == "This key is not known."
