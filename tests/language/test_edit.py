"""Filters added to and taken from a query text."""

from __future__ import annotations

import pytest

from tracestore.language import (
    add_condition,
    add_filter,
    format_filter,
    has_filter,
    join_queries,
    parse_query,
    remove_filter,
    without_field,
)


@pytest.mark.parametrize(
    ("text", "field", "value", "negate", "expected"),
    [
        ("", "status", "error", False, "status:error"),
        ("version:v3", "status", "error", False, "version:v3 status:error"),
        ("status:error", "status", "error", False, "status:error"),
        ("outcome:error", "status", "error", False, "outcome:error"),
        ("tool:a", "tool", "b", False, "tool:(a OR b)"),
        ("x tool:(a OR b) y", "tool", "c d", False, 'x tool:(a OR b OR "c d") y'),
        ("tool:a*", "tool", "b", False, "tool:a* tool:b"),
        ("-tool:a", "tool", "a", False, "tool:a"),
        ("tool:a version:v3", "tool", "a", True, "version:v3 -tool:a"),
        ("-tool:a", "tool", "b", True, "-tool:a -tool:b"),
        ("tool:a OR tool:b", "status", "error", False, "(tool:a OR tool:b) status:error"),
        ("(tool:a OR version:b)", "status", "error", False, "(tool:a OR version:b) status:error"),
        ("(tool:a) OR (version:b)", "status", "ok", False, "((tool:a) OR (version:b)) status:ok"),
        ("escalated:true", "escalated", "false", False, "escalated:(true OR false)"),
        ("broken:", "status", "error", False, "broken: status:error"),
        ("", "attr.odd key", "a:b", False, 'attr."odd key":"a:b"'),
        ("attr.k:a", "attr.k", "b", False, "attr.k:(a OR b)"),
        ("attr.j:a", "attr.k", "b", False, "attr.j:a attr.k:b"),
        ("score.review:bad", "score.review", "good", False, "score.review:(bad OR good)"),
        ("", "score.stars", "5", False, 'score.stars:"5"'),
        ("user:a\\ ", "tool", "b", False, "user:a\\  tool:b"),
        ("user:a\\\\ ", "tool", "b", False, "user:a\\\\ tool:b"),
        ("'a", "tool", "b'", False, "'a tool:\"b'\""),
        ("tool:b\\  -tool:a", "tool", "a", False, "tool:(\"b \" OR a)"),
    ],
)  # fmt: skip
def test_filter_is_added(text: str, field: str, value: str, negate: bool, expected: str) -> None:
    assert add_filter(text, field, value, negate) == expected


@pytest.mark.parametrize(
    ("text", "field", "value", "negate", "expected"),
    [
        ("status:error", "status", "error", False, ""),
        ("status:error version:v3", "status", "error", False, "version:v3"),
        ("version:v3 AND status:error", "status", "error", False, "version:v3"),
        ("status:error AND version:v3", "status", "error", False, "version:v3"),
        ("a AND status:error AND b", "status", "error", False, "a AND b"),
        ("(status:error) x", "status", "error", False, "x"),
        ("tool:(a OR b) x", "tool", "a", False, "tool:b x"),
        ("tool:(a OR b OR c)", "tool", "b", False, "tool:(a OR c)"),
        ("-tool:a x", "tool", "a", True, "x"),
        ("-tool:a x", "tool", "a", False, "-tool:a x"),
        ("NOT tool:(a OR b)", "tool", "a", True, "-tool:b"),
        ("tool:a OR version:v3", "tool", "a", False, "tool:a OR version:v3"),
        ("broken:", "tool", "a", False, "broken:"),
        ('attr."odd key":x', "attr.odd key", "x", False, ""),
        ("-tool:a x -tool:a", "tool", "a", True, "x"),
        ("user:a\\  tool:a x", "tool", "a", False, "user:a\\  x"),
        ("x AND tool:a AND user:a\\ ", "tool", "a", False, "x AND user:a\\ "),
    ],
)  # fmt: skip
def test_filter_is_removed(text: str, field: str, value: str, negate: bool, expected: str) -> None:
    assert remove_filter(text, field, value, negate) == expected


def test_filter_inside_an_or_is_not_a_filter_of_the_whole() -> None:
    assert not has_filter("tool:a OR version:v3", "tool", "a")
    assert has_filter("tool:(a OR b) version:v3", "tool", "b")
    assert not has_filter("tool:(a OR b) version:v3", "tool", "b", negate=True)
    assert has_filter("x -env:dev", "environment", "dev", negate=True)


@pytest.mark.parametrize(
    "value", ["plain", "two words", 'say "hi"', "back\\slash", "star*", "", "(x)", ">5", "a..b", "AND", "-x", "é:ü", "a\nb"]
)
def test_any_value_survives_its_quotes(value: str) -> None:
    text = add_filter("status:error", "name", value)

    assert has_filter(text, "name", value)
    assert parse_query(text) == parse_query(f"status:error {format_filter('name', value)}")
    assert remove_filter(text, "name", value) == "status:error"


def test_without_field_drops_demands_and_keeps_exclusions() -> None:
    query = parse_query("tool:a status:error -tool:b tool:(c OR d) (tool:e OR version:v3)")

    assert without_field(query, "tool") == parse_query("status:error -tool:b (tool:e OR version:v3)")
    assert without_field(parse_query("environment:dev"), "environment") == parse_query("")


def test_two_queries_are_one_that_finds_what_both_find() -> None:
    assert join_queries("a OR b", "c OR d") == "(a OR b) (c OR d)"
    assert join_queries('text:"this OR that"', "status:error") == 'text:"this OR that" status:error'
    assert (join_queries("", "c"), join_queries("a", " ")) == ("c", "a")


@pytest.mark.parametrize(("text", "condition", "expected"), [
    ("", "status:error", "status:error"),
    ("status:error", "status:error", "status:error"),
    ("a OR b", "version:v3", "(a OR b) version:v3"),
    ("status:error OR b", "status:error", "(status:error OR b) status:error"),
    ("env:prod", "", "env:prod"),
    ("name:a\\ ", "status:error", "name:a\\  status:error"),
])  # fmt: skip
def test_narrowing_keeps_the_meaning_of_the_query(text: str, condition: str, expected: str) -> None:
    assert add_condition(text, condition) == expected
