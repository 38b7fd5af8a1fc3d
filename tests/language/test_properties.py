"""What holds for every text."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tracestore.language import Query, QueryError, add_filter, has_filter, parse_query, remove_filter
from tracestore.language.fields import FIELDS, FieldType
from tracestore.language.parser import MAX_TERMS
from tracestore.queries.conditions import Params
from tracestore.queries.predicates import span_predicate, trace_predicate

_NAMES = [field.name for field in FIELDS] + ["trace.cost", "attr.k", 'attr."k k"', "score.k", "nope"]
_PIECES = st.sampled_from(
    [*(name + ":" for name in _NAMES), "(", ")", "-", "AND", "OR", "NOT", " ", " ", '"', "\\", "*", ">", "<=", "..", "1s", "5",
     "1k", "error", "true", "é", ":", "x", "{p0:String}", "'; DROP TABLE traces --", "%s", "{}"]
)  # fmt: skip
_SPANS = st.sampled_from(["agent(a) ", "tool(é OR x){status:error} ", "count(span{é} calls llm{}):>1 ", "tool(a) inside span{} "])
_QUERY_LIKE = st.one_of(
    st.lists(_PIECES, max_size=60).map("".join), st.lists(st.one_of(_SPANS, _SPANS, _PIECES), max_size=8).map("".join)
)
_BROKEN_SPANS = st.sampled_from(["tool(", "span{", "count(", "{", "}", "):", " inside ", " then ", "agent(a)", "tool{x}"])
_SPANS_LIKE = st.lists(st.one_of(_BROKEN_SPANS, _BROKEN_SPANS, _PIECES), max_size=40).map("".join)
_VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_TEXT_FIELDS = st.sampled_from([field.name for field in FIELDS if field.type is FieldType.TEXT] + ["attr.k", "attr.k:k"])


def _parse(text: str) -> tuple[Query | None, QueryError | None]:
    try:
        return parse_query(text), None
    except QueryError as error:
        return None, error


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=300), _QUERY_LIKE, _SPANS_LIKE, st.text(alphabet='()-" \\:*a', max_size=2100)))
def test_any_text_is_a_query_or_a_query_error_within_it(text: str) -> None:
    query, error = _parse(text)

    if error:
        assert 0 <= error.position <= error.position + error.length <= len(text)
        assert error.message
    if query:
        assert sum(1 for _ in query.terms()) <= MAX_TERMS
        assert all(0 <= term.start < term.end <= len(text) for term in query.terms())


@settings(max_examples=300, deadline=None)
@given(_QUERY_LIKE)
def test_predicates_hold_no_text_of_the_user(text: str) -> None:
    query, _ = _parse(text)
    assume(query)

    for build in (trace_predicate, span_predicate):
        params = Params()
        predicate = build(query or parse_query(""), params)
        assert "DROP" not in predicate
        assert "é" not in predicate
        assert predicate.count("(") == predicate.count(")")
        assert all(f"{{{name}:" in predicate for name in params.values)


@settings(max_examples=300, deadline=None)
@given(_QUERY_LIKE, _TEXT_FIELDS, _VALUES, st.booleans())
def test_added_filter_is_there_and_can_be_removed(text: str, field: str, value: str, negate: bool) -> None:
    assume(_parse(text)[0])

    narrowed = add_filter(text, field, value, negate)

    _, error = _parse(narrowed)
    if error:  # one condition or character too many is the only way to spoil a good text
        assert "at most" in error.message
        return
    assert has_filter(narrowed, field, value, negate)
    assert not has_filter(narrowed, field, value, not negate)
    assert not has_filter(remove_filter(narrowed, field, value, negate), field, value, negate)
