"""Every attribute name of every dialect lands in its column, by precedence, and a placeholder in none."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.tracestore.semconv.conftest import Row, RowsOf, build_span, first_token_value
from tracestore.semconv.fields import FIELDS
from tracestore.semconv.sources import ABSENT, Source

TOKENS = (
    "input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens", "cache_write_5m_tokens",
)  # fmt: skip
# canonical field -> (column that shows it, attributes that the column needs besides)
SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "agent_attribute": ("agent", {}),
    "agent_of_agent_span": ("agent", {"gen_ai.operation.name": "invoke_agent"}),
    "environment": ("environment", {}),
    "tool_attribute": ("tool", {"gen_ai.operation.name": "execute_tool"}),
    "error_attribute": ("error_type", {}),
    "error_text_attribute": ("error_message", {}),
    "cache_write_1h_tokens": (
        "cache_write_1h_tokens",
        {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.cache_write.input_tokens": 500},
    ),
    "cache_write_5m_tokens": ("cache_write_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "input_audio_tokens": ("input_audio_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "output_audio_tokens": ("output_audio_tokens", {"gen_ai.usage.output_tokens": 1000}),
    "time_to_first_token": ("time_to_first_token_ns", {}),
    # Added up when there is no total.
    "supplied_input_cost": ("supplied_cost_usd", {}),
    "supplied_output_cost": ("supplied_cost_usd", {}),
    "supplied_cost": ("supplied_cost_usd", {}),
    "cache_read_tokens": ("cache_read_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "cache_write_tokens": ("cache_write_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "reasoning_tokens": ("reasoning_tokens", {"gen_ai.usage.output_tokens": 1000}),
    # The total has no column: it tells that the input count leaves out the cached tokens.
    "total_tokens": ("input_tokens", {"gen_ai.usage.input_tokens": 1000, "output_tokens": 0, "gen_ai.usage.cached_tokens": 7}),
    # Arguments and results have no column either: refused calls are recognised in them.
    "tool_arguments": ("signal", {"gen_ai.operation.name": "execute_tool"}),
    "tool_result": ("signal", {"gen_ai.operation.name": "execute_tool"}),
}


def value_of(field: str) -> Any:
    match field:
        case "total_tokens":
            return 1007
        case "supplied_cost" | "supplied_input_cost" | "supplied_output_cost":
            return 0.25
        case "tool_arguments":
            return '{"half": '
        case "tool_result":
            return "unknown tool"
        case "finish_reason":
            return "stop"
        case "time_to_first_token":
            return 250_000_000
        case "provider":
            return "some-provider"
        case name if name in TOKENS:
            return 42
    return "the-value"


def place(source: Source, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return span attributes and resource attributes that hold the value where this source looks for it."""
    match source.form:
        case "resource":
            return {}, {source.key: value}
        case "json":
            for step in reversed(source.path):
                value = {step: value}
            return {source.key: json.dumps(value)}, {}
        case "told":
            return {"gen_ai.usage.raw": f"{{'usage': {{'{source.key}': {value}, 'unit': 'tokens'}}}}"}, {}
        case "pattern" if '"' in source.path[0]:
            told = dict.fromkeys(("name", "version", "model", "session_id", "tool_name"), value)
            return {source.key: json.dumps([told | {"raw_input": {}}])}, {}
    return {source.key: value}, {}


def single_source_span(field: str, source: Source) -> Row:
    value = first_token_value(source.key) if field == "time_to_first_token" else value_of(field)
    attributes, resource = place(source, value)
    needed = dict(SHOWN.get(field, ("", {}))[1])
    fails = ("error_attribute", "error_text_attribute", "tool_arguments", "tool_result")
    overrides: dict[str, Any] = {"status": 2} if field in fails else {}
    if source.key == "langfuse.observation.usage_details":
        needed.pop("gen_ai.usage.cached_tokens", None)  # a Langfuse total goes with Langfuse's other buckets
        if field == "total_tokens":
            attributes = {source.key: json.dumps({"input": 1000, "output": 0, "cache_read_input_tokens": 7, "total": 1007})}
    return build_span(needed | attributes, resource, **overrides)


FIELD_CASES = {
    (field, number): single_source_span(field, source)
    for field, sources in FIELDS.items()
    for number, source in enumerate(sources)
}


@pytest.mark.parametrize(("field", "number"), FIELD_CASES, ids=lambda value: str(value))
def test_every_attribute_name_reaches_its_column(rows_of: RowsOf, field: str, number: int) -> None:
    row = rows_of(FIELD_CASES)[field, number]

    column = SHOWN.get(field, (field, {}))[0]
    expected = {"tool_arguments": "refused_call", "tool_result": "refused_call"}.get(field, value_of(field))
    assert row[column] == expected, FIELDS[field][number]


def two_source_span(field: str, first: Source, second: Source) -> Row:
    values = ("first", "second") if field not in TOKENS else (11, 22)
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    for source, value in ((second, values[1]), (first, values[0])):
        more, of_resource = place(source, value)
        attributes |= more
        resource |= of_resource
    return build_span(dict(SHOWN.get(field, ("", {}))[1]) | attributes, resource)


# Neighbours in the order of precedence that can stand beside each other on one span.
PRECEDENCE_CASES = {
    (field, number): two_source_span(field, *pair)
    for field, sources in FIELDS.items()
    if field not in ("total_tokens", "tool_arguments", "tool_result", "finish_reason", "error_text_attribute", "service")
    and field != "time_to_first_token"  # its names differ in unit
    and not field.startswith("supplied_")
    for number, pair in enumerate(itertools.pairwise(sources))
    if (pair[0].key, pair[0].form) != (pair[1].key, pair[1].form)
    # Two names in one JSON text have no order of their own: the first that stands there counts.
    and (pair[0].form, pair[1].form) != ("told", "told")
}


@pytest.mark.parametrize(("field", "number"), PRECEDENCE_CASES, ids=lambda value: str(value))
def test_of_two_names_the_one_listed_first_wins(rows_of: RowsOf, field: str, number: int) -> None:
    row = rows_of(PRECEDENCE_CASES)[field, number]

    expected = 11 if field in TOKENS else "first"
    if field == "error_attribute":  # a type alone makes no error
        expected = ""
    assert row[SHOWN.get(field, (field, {}))[0]] == expected


PLACEHOLDERS = ("", *ABSENT, "[Scrubbed due to 'session']")
ABSENT_CASES = {
    (form, text): build_span({"gen_ai.conversation.id": text, "session.id": "kept"})
    if form == "attribute"
    else build_span({}, {"service.version": text, "app.version": "kept"})
    for form in ("attribute", "resource")
    for text in PLACEHOLDERS
}


@pytest.mark.parametrize(("form", "text"), ABSENT_CASES)
def test_placeholder_counts_as_absent(rows_of: RowsOf, form: str, text: str) -> None:
    row = rows_of(ABSENT_CASES)[form, text]

    assert row["session_id" if form == "attribute" else "version"] == "kept"


def test_every_wanted_key_is_named_once_per_field() -> None:
    for field, sources in FIELDS.items():
        assert len(set(sources)) == len(sources), field
