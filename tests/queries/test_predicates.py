"""The SQL that a query becomes, as snapshots. UPDATE_SNAPSHOTS=1 writes them anew; read the difference before committing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracestore.language import parse_query
from tracestore.language.fields import FIELDS, FieldType
from tracestore.queries import facets, predicates, spans, traces
from tracestore.queries.conditions import Params
from tracestore.queries.predicates import span_predicate, trace_predicate

SNAPSHOTS = Path(__file__).parent / "snapshots"

QUERIES = {
    "everything": "",
    "sentence": "status:error version:v3 tool:refund",
    "either": "(tool:a OR tool:b*) -env:dev",
    "numbers": "duration:>2s cost:0.1..0.5 tokens:<=10k -errors:>=2",
    "flags": "escalated:true -has_errors:true",
    "presence": 'version:* user:"" agent:"" error:*',
    "failed_tool": "tool_error:refund OR tool_error:* OR tool_error:re*",
    "model": "model:gpt-5*",
    "prompt": "prompt:refund-policy prompt:a*b prompt:*",
    "text": '"order 123" größe a*b',
    "attribute": "attr.k:v attr.k:* attr.k:a_%*z attr.k:>=5",
    "presence_of_fields": "has:(user cost ttft tokens) -has:attr.k trace.cost:>1",
    "group": "tool(refund){status:error duration:>2s} llm(gpt-5* OR claude*) span{}",
    "inside": "tool(refund) inside agent(triage)",
    "inside_narrowed": "tool(refund) inside agent(triage) status:error -tool:(a OR b) kind:llm",
    "then": "tool(a) then tool(b)",
    "calls": "agent(triage) calls tool(refund)",
    "count": "count(tool:search_kb):>3 count(tool(a) calls llm{}):0",
    "scores": "score.review:bad score.x:<0.5 -has:score",
    "tags": "tag:vip tag:v* has:tag agent_id:asst_1",
    "steps": "kind:tool span:execute_tool* trace:4bf9* trace:4bf92f3577b34da6a3ce929d0e0e4736",
}


def _compare(name: str, sql: str) -> None:
    path = SNAPSHOTS / f"{name}.sql"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(sql + "\n")
    assert path.read_text() == sql + "\n", f"{path.name} differs"


@pytest.mark.parametrize("name", QUERIES)
def test_predicates_are_as_reviewed(name: str) -> None:
    texts = []
    for title, build in (("traces", trace_predicate), ("spans", span_predicate)):
        params = Params()
        predicate = build(parse_query(QUERIES[name]), params)
        values = "".join(f"\n--   {key} = {value!r}" for key, value in params.values.items())
        texts.append(f"-- {QUERIES[name]}\n-- over {title}{values}\n{predicate}")
    _compare(f"predicate_{name}", "\n\n".join(texts))


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("find_traces_keys", traces._FIND_KEYS),
        ("find_traces_rows", traces._GET_BY_KEYS),
        ("get_trace", traces._GET_TRACE),
        ("has_any_trace", traces._HAS_ANY_TRACE),
        ("trace_times", spans._TRACE_TIMES),
        ("find_spans_keys", spans._FIND_KEYS),
        ("find_spans_rows", spans._GET_BY_KEYS),
        ("spans_of_trace", spans._SPANS_OF_TRACE),
        ("rows_of_trace", spans._ROWS_OF_TRACE),
        ("get_span", spans._GET_SPAN % spans._DETAILS),
        ("count_facet", facets._COUNT_FACET),
    ],
)
def test_statements_are_as_reviewed(name: str, sql: str) -> None:
    assert "project_id = {project_id:UInt32}" in sql
    _compare(name, sql.strip())


def test_fields_that_only_spans_know_are_known() -> None:
    through_spans = set()
    for name, compile_term in predicates._TRACE_TERMS.items():
        (term,) = parse_query(next(field.example for field in FIELDS if field.name == name)).terms()
        if "FROM spans" in compile_term(term, Params()):
            through_spans.add(name)

    assert through_spans == predicates._THROUGH_SPANS


def test_every_field_has_a_meaning_over_traces_and_over_spans() -> None:
    names = {field.name for field in FIELDS if field.type is not FieldType.PRESENCE}

    assert set(predicates._TRACE_TERMS) == names
    assert set(predicates._SPAN_TERMS) == names
