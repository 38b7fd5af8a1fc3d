"""Whatever parses also runs: the engine accepts every predicate, with every value."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import QueryError, format_filter, parse_query
from tracestore.language.fields import FIELDS, FieldType
from tracestore.queries.spans import find_spans
from tracestore.queries.traces import find_traces
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0 - 10**9, T0 + 10**9)
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_VALUES = {
    FieldType.CHOICE: st.sampled_from(["error", "ok", "running", "tool", "llm"]),
    FieldType.FLAG: st.sampled_from(["true", "false"]),
    FieldType.ID: st.sampled_from(["ab*", "f" * 32]),
    FieldType.COUNT: st.sampled_from(["0", ">5k", "1..2M", "<=9223372036854775807"]),
    FieldType.DURATION: st.sampled_from(["1s", ">=0ns", "1ms..2h", "<106751d"]),
    FieldType.COST: st.sampled_from(["0", ">0.5", "..99999999999999999999"]),
}


@st.composite
def _term(draw: st.DrawFn) -> str:
    field = draw(st.sampled_from(FIELDS))
    name = f"{field.name}.{draw(st.sampled_from(['k', 'ké y', '{}', '%s']))}" if field.takes_key else field.name
    sign = draw(st.sampled_from(["", "-"]))
    if field.type in _VALUES:
        return f"{sign}{name}:{draw(_VALUES[field.type])}"
    if draw(st.booleans()):
        return format_filter(name, draw(_TEXTS), negate=bool(sign))
    wild = draw(st.sampled_from(["*", "a*", "*é%_", "a\\\\*'b", ">1e400", "1..2"]))
    return f"{sign}{format_filter(name, '')[:-2]}{wild}"


@settings(max_examples=60, deadline=None)
@given(st.lists(_term(), min_size=1, max_size=4), st.sampled_from([" ", " OR "]))
@example(["attr.k:>1e400"], " ")
@example(['tool:"\t\n\r\\\\\'\x01\x7f\u2028"'], " ")
def test_every_query_that_parses_runs_over_traces_and_spans(store: Store, terms: list[str], operator: str) -> None:
    try:
        query = parse_query(operator.join(terms))
    except QueryError:
        return

    assert find_traces(store, project_id=1, time_range=RANGE, query=query).items == []
    assert find_spans(store, project_id=1, time_range=RANGE, query=query).items == []


@settings(max_examples=40, deadline=None)
@given(_TEXTS.filter(bool))
@example("tab\tnew\nline\\n'quote\"{p0:String}\x01%_*")
def test_any_value_is_found_as_it_is(store: Store, value: str) -> None:
    store.command("TRUNCATE TABLE traces")
    insert_traces(store, {"session_id": value}, {"session_id": value + "x"}, start_ns=T0)

    page = find_traces(store, project_id=1, time_range=RANGE, query=parse_query(format_filter("session", value)))

    assert [trace.session_id for trace in page.items] == [value]


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(["a"] * 25 + ["attr.k:x"] * 25),
        " inside ".join(["span{}"] * 9) + " tool:a" * 41,
        " then ".join(["(span{} calls span{})"] * 4) + " inside tool(a OR b*)" + " tool:a*" * 30,
        " ".join(["tool(a){b c} inside llm{}"] * 8),
        " OR ".join(["score.k:x", "score:<0.5"] * 25),
    ],
)
def test_longest_query_fits_into_one_statement(store: Store, text: str) -> None:
    query = parse_query(text)

    assert find_traces(store, project_id=1, time_range=RANGE, query=query).items == []
    assert find_spans(store, project_id=1, time_range=RANGE, query=query).items == []
