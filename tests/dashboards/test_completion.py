from __future__ import annotations

import pytest

from dashboards.search.completion import Completion, complete
from tracestore.language import QueryError, parse_query
from tracestore.language.fields import FIELDS, LOG_NAMES, SPAN_GROUPS
from tracestore.model import FacetValue
from tracestore.queries.offers import Wanted

OBSERVED = {
    Wanted("version"): [FacetValue("v3", 9, 1), FacetValue("v2", 4, 0)],
    Wanted("tool"): [FacetValue("refund order", 3, 3), FacetValue("lookup", 2, 0)],
    Wanted("status"): [FacetValue("ok", 9, 0)],
    Wanted("tag"): [FacetValue("vip", 8, 0)],
    Wanted("agent_id"): [FacetValue("asst_1", 1, 0)],
    Wanted("span", kind="retriever"): [FacetValue("vector search", 5, 0)],
    Wanted("attr"): [FacetValue("customer.tier", 7, 0), FacetValue("odd key", 1, 0)],
    Wanted("attr", "customer.tier"): [FacetValue("gold", 3, 0)],
    Wanted("score"): [FacetValue("review", 6, 0), FacetValue("answer relevance", 2, 0)],
    Wanted("score", "review", labels=True): [FacetValue("bad", 4, 0), FacetValue("good", 2, 0)],
}


def _complete(text: str) -> Completion:
    """Complete at the | in `text`."""
    return complete(text.replace("|", ""), text.index("|"), lambda wanted: OBSERVED.get(wanted, []))


def _inserts(text: str) -> list[str]:
    return [item.insert for item in _complete(text).items]


def test_empty_text_offers_every_field() -> None:
    assert "status:" in _inserts("|")
    assert "attr." in _inserts("|")


def test_beginning_of_a_name_offers_fields_and_replaces_the_word() -> None:
    completion = _complete("status:error vers|")

    assert [item.insert for item in completion.items] == ["version:"]
    assert completion.start == len("status:error ")


def test_alias_leads_to_its_field() -> None:
    assert _inserts("rele|") == ["version:"]


def test_value_offers_what_occurs_with_its_count() -> None:
    completion = _complete("version:|")

    assert [(item.insert, item.help) for item in completion.items] == [("v3", "9 traces"), ("v2", "4 traces")]


def test_values_that_stand_on_spans_are_counted_in_spans() -> None:
    assert [(item.insert, item.help) for item in _complete("tag:|").items] == [("vip", "8 spans")]
    assert [(item.insert, item.help) for item in _complete("agent_id:|").items] == [("asst_1", "1 span")]


def test_count_of_one_is_singular() -> None:
    completion = complete("version:", len("version:"), lambda wanted: [FacetValue("v1", 1, 0)])

    assert completion.items[0].help == "1 trace"


def test_value_that_needs_quotes_gets_them() -> None:
    assert _inserts("tool:ref|") == ['"refund order"']
    assert _inserts('tool:"ref|') == ['"refund order"']
    assert _inserts("trace.tool:ref|") == ['"refund order"']


def test_excluded_and_grouped_values_are_offered_too() -> None:
    assert _inserts("-version:v2|") == ["v2"]
    assert _inserts("version:(v3 OR v|") == ["v3", "v2"]


def test_choices_are_offered_even_when_they_do_not_occur() -> None:
    assert _inserts("status:|") == ["ok", "error", "running"]


def test_unknown_field_offers_nothing() -> None:
    assert _inserts("verson:v|") == []


def test_names_of_a_group_of_spans_close_its_parenthesis() -> None:
    assert _inserts("tool(|") == ['"refund order")', "lookup)"]
    assert _inserts("x -tool(refund OR lo|") == ["lookup)"]
    assert _inserts("tool(lo|)") == ["lookup"]
    assert _complete("retriever(|").items[0].help == "5 spans"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("tool(a)|", ["{", " inside ", " then ", " calls "]),
        ("tool{status:error}|", [" inside ", " then ", " calls "]),
        ("tool(a) |", ["inside ", "then ", "calls ", "status:"]),
        ("tool(a){x} th|", ["then "]),
        ("tool(a) inside ag|", ["agent("]),
        ("tool(a) then |", ["tool(", "agent(", "llm("]),
        ("tool(a){|", ["status:"]),
        ("count(tool(a)):|", [">0", ">1"]),
        ("cou|", ["count("]),
        ("mode|", ["model:", "llm("]),
        ("has:us|", ["user"]),
        ("has:(user OR at|", ["attr."]),
        ("trace.cos|", ["trace.cost:"]),
        ("trace.cost:|", [">0.01"]),
        ("attr.|", ["customer.tier:", '"odd key":']),
        ("attr.customer.tier:|", ["gold"]),
        ("attr.customer.tier:(silver OR g|", ["gold"]),
    ],
)
def test_structure_is_offered_where_it_may_stand(text: str, first: list[str]) -> None:
    assert _inserts(text)[: len(first)] == first


def test_names_and_labels_of_scores_are_offered_with_their_counts() -> None:
    assert _inserts("sco|") == ["score."]
    assert _inserts("score.|") == ["review:", '"answer relevance":']
    assert _inserts("score.review:|") == ["bad", "good", "<0.5", ">=0.5", "0..1"]
    assert _complete("score.review:b|").items[0].help == "4 scores"
    assert _inserts("has:score.|") == ["score.review", '"score.answer relevance"']
    assert _inserts('has:"score.an|') == ['"score.answer relevance"']
    assert complete("score.", 6, lambda wanted: [FacetValue("x", 1, 0)], LOG_NAMES, "record").items == []


def test_fields_of_the_whole_trace_are_not_offered_between_braces() -> None:
    offered = _inserts("tool(a){|")

    assert "duration:" in offered
    assert "cost:" not in offered
    assert "tool(" not in offered


def test_has_offers_the_fields_that_it_takes() -> None:
    offered = {name for field in FIELDS for name in _inserts(f"has:{field.name}|") if name == field.name}

    for field in FIELDS:
        try:
            parse_query(f"has:{field.name}")
        except QueryError:
            assert field.name not in offered
        else:
            assert field.name in offered


def test_log_records_are_offered_no_spans() -> None:
    items = complete("", 0, lambda wanted: [], LOG_NAMES, "record").items

    assert not {f"{group.name}(" for group in SPAN_GROUPS} & {item.insert for item in items}
    assert complete("tool(a) ", 8, lambda wanted: [], LOG_NAMES, "record").items[0].insert == "severity:"


@pytest.mark.parametrize(
    "text", ["(" * 2000, "tool(" * 400, 'tool("' * 300, "tool{" * 400, "a:(" * 600, "tool() " * 280, '"' * 2000]
)
def test_hostile_texts_are_answered_at_once(text: str) -> None:
    for cursor in range(0, len(text), 100):
        complete(text, cursor, lambda wanted: [])
