from __future__ import annotations

from dashboards.completion import Completion, complete
from tracestore.model import FacetValue

OBSERVED = {
    "version": [FacetValue("v3", 9, 1), FacetValue("v2", 4, 0)],
    "tool": [FacetValue("refund order", 3, 3)],
    "status": [FacetValue("ok", 9, 0)],
}


def _complete(text: str) -> Completion:
    """Complete at the | in `text`."""
    return complete(text.replace("|", ""), text.index("|"), lambda field: OBSERVED.get(field, []))


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


def test_count_of_one_is_singular() -> None:
    completion = complete("version:", len("version:"), lambda field: [FacetValue("v1", 1, 0)])

    assert completion.items[0].help == "1 trace"


def test_value_that_needs_quotes_gets_them() -> None:
    assert _inserts("tool:ref|") == ['"refund order"']
    assert _inserts('tool:"ref|') == ['"refund order"']


def test_excluded_and_grouped_values_are_offered_too() -> None:
    assert _inserts("-version:v2|") == ["v2"]
    assert _inserts("version:(v3 OR v|") == ["v3", "v2"]


def test_choices_are_offered_even_when_they_do_not_occur() -> None:
    assert _inserts("status:|") == ["ok", "error", "running"]


def test_unknown_field_offers_nothing() -> None:
    assert _inserts("verson:v|") == []
