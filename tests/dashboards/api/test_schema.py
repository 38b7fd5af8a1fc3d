"""The OpenAPI description is valid and agrees with what the API answers."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from dashboards.api.serializers import TraceSerializer
from tests.dashboards.api.test_traces import TRACE_FIELDS


@pytest.fixture(scope="module")
def schema() -> Any:
    output = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=output)
    return yaml.safe_load(output.getvalue())


def test_schema_is_valid_and_lists_every_endpoint(schema: Any) -> None:
    assert {
        "/api/v1/traces", "/api/v1/traces/{trace_id}", "/api/v1/traces/{trace_id}/spans/{span_id}", "/api/v1/spans",
        "/api/v1/metrics", "/api/v1/facets", "/api/v1/agents", "/api/v1/dashboards", "/api/v1/dashboards/{slug}",
    } <= set(schema["paths"])  # fmt: skip


def test_schema_names_every_field_of_a_trace(schema: Any) -> None:
    assert set(schema["components"]["schemas"]["Trace"]["properties"]) == set(TraceSerializer().fields)
    assert set(TraceSerializer().fields) >= TRACE_FIELDS


def test_any_one_credential_is_enough(schema: Any) -> None:
    security = schema["paths"]["/api/v1/traces"]["get"]["security"]

    assert {"bearer": []} in security
    assert {"apiKey": []} in security
    assert {"basic": []} in security


def test_every_operation_says_what_it_does_takes_and_answers(schema: Any) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            named = f"{method} {path}"
            error = {code for code, answer in operation["responses"].items() if "Error" in str(answer.get("content"))}
            assert operation["summary"], named
            assert operation["description"], named
            assert operation["tags"] != ["api"], named
            assert all(parameter.get("description") for parameter in operation.get("parameters", [])), named
            assert {"400", "401", "429", "503"} <= error, named
            assert ("404" in error) or "{" not in path, named


def test_every_list_answers_results_and_the_next_page(schema: Any) -> None:
    for path, operations in schema["paths"].items():
        get = operations.get("get", {})
        if get.get("operationId", "").startswith("list_"):
            reference = get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            properties = schema["components"]["schemas"][reference.rsplit("/", 1)[1]]["properties"]
            assert {"results", "next"} <= set(properties), path
