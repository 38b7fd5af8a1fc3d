"""A project's own rules, applied by the span view to spans as they arrive."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from tests.otlp_messages import sized
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch, stamp
from tracestore.mapping import encode_rules
from tracestore.models import MappingRule
from tracestore.varint import encode_varint

NOW_NS = time.time_ns()


def rule(key: str = "", target: str = "session_id", **values: Any) -> MappingRule:
    source = values.pop("source", "attribute")
    return MappingRule(project_id=1, source=source, key=key, target=target, **values)


# What issue and documentation promise.
ACME = (
    rule("acme.conv", "session_id"),
    rule("acme.tool", "tool"),
    rule("acme.kind", "kind", pattern="LLMCALL", value="llm"),
    rule("acme.model", "request_model"),
    rule("acme.tokens.in", "input_tokens"),
    rule("acme.route", "signal", pattern="human", value="human_escalation"),
    rule(source="name", pattern="escalate*", target="signal", value="human_escalation"),
    rule(source="tool", pattern="page_oncall", target="signal", value="human_escalation"),
)


def insert(
    store: Store, attributes: dict[str, Any], rules: tuple[MappingRule, ...] = ACME, *, tail: bytes = b"", **span: Any
) -> dict[str, Any]:
    """Insert one span under these rules and return its canonical columns."""
    resource, scope = span.pop("resource", None), span.pop("scope", "")
    trace_id = os.urandom(16).hex()
    values = {"trace_id": trace_id, "span_id": os.urandom(8).hex(), "start_ns": NOW_NS, "attributes": attributes}
    payload = stamp(build_request(values | span, resource=resource, scope=scope) + tail, ingest_key="k", spans=1)
    seq = int.from_bytes(os.urandom(6), "big")
    mappings = {1: encode_rules(rules)} if rules else None
    insert_batch(store, [(1, NOW_NS, payload)], writer="w", batch_seq=seq, mappings=mappings)
    return read(store, trace_id)


def insert_each(store: Store, *cases: tuple[dict[str, Any], tuple[MappingRule, ...]]) -> list[dict[str, Any]]:
    """Insert a span for each (values of the span, rules) and return their canonical columns in the same order.

    Each has a project with its rules; all are one insert, because planning the view costs far more than running it.
    """
    ids = [os.urandom(16).hex() for _ in cases]
    records = [
        (project_id, NOW_NS, build_request({"trace_id": trace_id, "span_id": "b" * 16, "start_ns": NOW_NS} | values))
        for project_id, (trace_id, (values, _)) in enumerate(zip(ids, cases, strict=True), start=1)
    ]
    mappings = {project_id: encode_rules(rules) for project_id, (_, rules) in enumerate(cases, start=1)}
    insert_batch(store, records, writer="w", batch_seq=int.from_bytes(os.urandom(6), "big"), mappings=mappings)
    return [read(store, trace_id) for trace_id in ids]


def read(store: Store, trace_id: str) -> dict[str, Any]:
    columns = (
        "name, kind, tool, session_id, request_model, input_tokens, output_tokens, signal, is_error, error_type, service, "
        "environment, version, agent, user_id, supplied_cost_usd, time_to_first_token_ns, ingest_key, writer"
    )
    sql = f"SELECT {columns} FROM spans WHERE trace_id = unhex({{trace_id:String}}) ORDER BY received_at DESC LIMIT 1"
    (row,) = store.query_rows(sql, trace_id=trace_id)
    return dict(zip(columns.split(", "), row, strict=True))


def test_private_attributes_fill_fields(store: Store) -> None:
    span = insert(
        store, {"acme.conv": "c-1", "acme.kind": "LLMCALL", "acme.model": "gpt-4o", "acme.tokens.in": 1200, "output_tokens": 7}
    )

    assert (span["session_id"], span["kind"], span["request_model"]) == ("c-1", "llm", "gpt-4o")
    assert (span["input_tokens"], span["output_tokens"], span["signal"]) == (1200, 7, "")


def test_rule_wins_over_every_dialect(store: Store) -> None:
    span = insert(
        store,
        {
            "acme.conv": "mine", "session.id": "theirs", "metadata": '{"session_id": "theirs"}',
            "acme.tokens.in": "12", "langfuse.observation.usage_details": '{"input": 99, "output": 3}',
            "acme.kind": "LLMCALL", "langfuse.observation.type": "span", "gen_ai.operation.name": "execute_tool",
        },
    )  # fmt: skip

    assert (span["session_id"], span["input_tokens"], span["output_tokens"], span["kind"]) == ("mine", 12, 3, "llm")


def test_resource_attribute_counts_after_the_span_s_own(store: Store) -> None:
    assert insert(store, {}, resource={"acme.conv": "of resource"})["session_id"] == "of resource"
    assert insert(store, {"acme.conv": "of span"}, resource={"acme.conv": "of resource"})["session_id"] == "of span"


def test_first_rule_that_matches_counts(store: Store) -> None:
    rules = (
        rule("tier", "environment", pattern="gold*", value="paying"),
        rule("tier", "environment", pattern="*trial", value="trial"),
        rule("tier", "environment"),
    )

    found = [insert(store, {"tier": tier}, rules)["environment"] for tier in ("gold trial", "free trial", "other", "")]

    assert found == ["paying", "trial", "other", "default"]


@pytest.mark.parametrize("scope", ["", "strands.telemetry.tracer"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (250_000_000, 250_000_000),
        ("1.5e9", 1_500_000_000),
        (datetime.fromtimestamp((NOW_NS + 2 * 10**9) / 1e9, UTC).isoformat(), 2 * 10**9),
        ("soon", 300 * 10**6),
    ],
)
def test_time_to_the_first_token_is_in_nanoseconds(store: Store, value: Any, expected: int, scope: str) -> None:
    attributes = {"x": value, "ttft_ms": 300}
    rules = (rule("x", "time_to_first_token_ns"),) if value != "soon" else ()

    found = insert(store, attributes, rules, scope=scope)["time_to_first_token_ns"]

    assert abs(found - expected) <= 1000  # a time of day has microseconds


def test_other_fields_and_that_a_mapped_error_type_makes_the_span_failed(store: Store) -> None:
    texts = ("service", "environment", "version", "agent", "user_id", "error_type")
    targets = [*((target, "word") for target in texts), ("supplied_cost_usd", 0.25)]

    rows = insert_each(store, *(({"attributes": {"x": value}}, (rule("x", target),)) for target, value in targets))

    assert [(target, row[target]) for (target, _), row in zip(targets, rows, strict=True)] == targets
    assert [target for (target, _), row in zip(targets, rows, strict=True) if row["is_error"]] == ["error_type"]


def test_signals(store: Store) -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"acme.tool": "page_oncall"}, {}, "human_escalation"),
        ({"gen_ai.tool.name": "page_oncall", "gen_ai.operation.name": "execute_tool"}, {}, "human_escalation"),
        ({"gen_ai.operation.name": "execute_tool"}, {"name": "execute_tool page_oncall"}, "human_escalation"),
        ({"acme.tool": "page_oncall_later"}, {}, ""),
        ({"acme.tool": "page_oncall"}, {"error": "no answer"}, ""),
        ({}, {"name": "escalate to tier 2"}, "human_escalation"),
        ({}, {"name": "de-escalate"}, ""),
        ({"acme.route": "human"}, {}, "human_escalation"),
        ({"acme.route": "bot"}, {}, ""),
        ({"acme.route": "human", "tracestore.signal": "agent_handoff"}, {}, "human_escalation"),
    ]

    rows = insert_each(store, *(({"attributes": attributes} | span, ACME) for attributes, span, _ in cases))

    assert [(*case[:2], row["signal"]) for case, row in zip(cases, rows, strict=True)] == cases


def test_without_rules_nothing_changes(store: Store) -> None:
    attributes = {"acme.conv": "c-1", "session.id": "s-1", "gen_ai.tool.name": "page_oncall"}

    plain, empty = insert(store, attributes, ()), insert(store, attributes, (rule("other", "tool"),))

    assert plain == empty
    assert (plain["session_id"], plain["tool"], plain["signal"]) == ("s-1", "page_oncall", "")


@pytest.mark.parametrize("rules", [(), (rule("other", "tool"),)])
def test_sender_cannot_bring_rules(store: Store, rules: tuple[MappingRule, ...]) -> None:
    injected = encode_varint(15012 << 3 | 2) + sized(encode_rules([rule("acme.conv", "session_id")]).encode())

    span = insert(store, {"acme.conv": "c-1"}, rules, tail=injected * 2)

    assert (span["session_id"], span["ingest_key"], span["writer"]) == ("", "k", "w")


def test_batch_sent_again_under_other_rules_adds_nothing(store: Store) -> None:
    payload = stamp(
        build_request({"trace_id": "a" * 32, "span_id": "b" * 16, "start_ns": NOW_NS, "attributes": {"a": "1"}}),
        ingest_key="", spans=1,
    )  # fmt: skip

    for rules in ([rule("a", "session_id")], [rule("b", "session_id")], []):
        insert_batch(store, [(1, NOW_NS, payload)], writer="again", batch_seq=1, mappings={1: encode_rules(rules)})

    assert store.query_rows("SELECT session_id FROM spans") == [("1",)]
    assert store.query_rows("SELECT sum(spans) FROM intake") == [(1,)]


def test_projects_of_one_batch_keep_their_own_rules(store: Store) -> None:
    records = []
    for project_id, trace_id in ((1, "a" * 32), (2, "b" * 32), (3, "c" * 32)):
        span = {"trace_id": trace_id, "span_id": "b" * 16, "start_ns": NOW_NS, "attributes": {"x": "1", "y": "2"}}
        records.append((project_id, NOW_NS, stamp(build_request(span), ingest_key="", spans=1)))
    mappings = {1: encode_rules([rule("x", "session_id")]), 2: encode_rules([rule("y", "session_id")])}

    insert_batch(store, records, writer="w", batch_seq=7, mappings=mappings)

    rows = store.query_rows("SELECT project_id, session_id FROM spans ORDER BY project_id")
    assert rows == [(1, "1"), (2, "2"), (3, "")]


def test_hundred_rules_and_a_huge_value(store: Store) -> None:
    rules = (*(rule(f"k{number}", "session_id") for number in range(99)), rule("big", "user_id", pattern="x*x"))

    span = insert(store, {"big": "x" * 2_000_000, "k98": "found"}, rules)

    assert (span["session_id"], len(span["user_id"])) == ("found", 2_000_000)


def test_only_the_star_is_special_in_a_pattern(store: Store) -> None:
    cases: list[tuple[dict[str, Any], tuple[MappingRule, ...]]] = []
    for pattern in ("(a+)+$", "[", "\\", "a|b", ".*", "?", "é*", "'", "{x:String}"):
        rules = (rule("x", "session_id", pattern=pattern, value="hit"),)
        cases += [({"attributes": {"x": text}}, rules) for text in (pattern.replace("*", "any\ntext"), "ab" + pattern)]

    rows = insert_each(store, *cases)

    found = [(values, row["session_id"]) for (values, _), row in zip(cases, rows, strict=True)]
    assert found == [(values, "" if number % 2 else "hit") for number, (values, _) in enumerate(cases)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"key": "", "target": "session_id"}, "key"),
        ({"key": "x" * 257, "target": "session_id"}, "key"),
        ({"key": "x", "target": "nonsense"}, "target"),
        ({"key": "x", "target": "kind", "value": ""}, "value"),
        ({"key": "x", "target": "kind", "value": "banana"}, "value"),
        ({"key": "x", "target": "signal", "value": "banana"}, "value"),
        ({"key": "x", "target": "input_tokens", "value": "many"}, "value"),
        ({"key": "x\x00", "target": "session_id"}, "key"),
        ({"source": "tool", "pattern": "x", "target": "session_id"}, "target"),
        ({"source": "name", "pattern": "", "target": "session_id"}, "pattern"),
        ({"source": "name", "key": "x", "pattern": "x", "target": "session_id"}, "key"),
    ],
)
def test_nonsense_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        rule(**values).full_clean(exclude=["project"])

    assert field in refused.value.message_dict
