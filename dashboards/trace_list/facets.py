"""The filters beside the trace list: which fields, and for each counted value the links that add, drop or exclude it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dashboards.search.query_string import Search
from tracestore.language import Query, add_condition, add_filter, has_filter, remove_filter
from tracestore.language.tree import Pattern
from tracestore.model import FacetValue


@dataclass(frozen=True)
class Facet:
    """One group of the sidebar. An open group is counted when the page loads, a closed one when it is opened."""

    field: str
    label: str
    is_open: bool = False
    rows: int = 0  # how many values its room is for before they are counted, 0 for the style sheet's choice


FACETS = (
    Facet("status", "Status", is_open=True),
    Facet("version", "Version", is_open=True),
    Facet("tool", "Tool", is_open=True),
    Facet("error", "Error type", is_open=True),
    Facet("agent", "Agent"),
    Facet("model", "Model"),
    Facet("service", "Service"),
    Facet("env", "Environment"),
    Facet("workflow", "Workflow"),
    Facet("escalated", "Escalated"),
    Facet("score.review", "Review"),
    Facet("user", "User"),
    Facet("session", "Session"),
)
_LEAST_ROWS, _MOST_ROWS = 2, 6  # as traces.css knows
# (name, query, icon): questions asked often. A chip adds its condition, or drops it when it is there.
PRESETS = (
    ("Failed", "status:error", "error"),
    ("Contains errors", "has_errors:true", "alert"),
    ("Slow", "duration:>10s", "clock"),
    ("Escalated", "escalated:true", "escalated"),
    ("Costly", "cost:>0.1", "coin"),
)


@dataclass(frozen=True)
class FacetRow:
    """One value. `href` toggles it, `exclude_href` toggles its exclusion; `share` its part of the largest count, in percent."""

    value: str
    count: int
    failed: int
    share: int
    is_on: bool
    is_excluded: bool
    href: str
    exclude_href: str


@dataclass(frozen=True)
class Chip:
    """A preset question, or a condition of the query, with the link that toggles it."""

    label: str
    condition: str
    icon: str
    is_on: bool
    href: str


def reserve_rows(cookie: str) -> list[Facet]:
    """Return the facets with room for as many values as this reader's cookie says they had (`status.2-version.4`)."""
    kept = dict(re.findall(r"([\w.]+)\.(\d)\b", cookie[:400]))
    return [
        replace(facet, rows=min(_MOST_ROWS, max(_LEAST_ROWS, int(kept[facet.field])))) if facet.field in kept else facet
        for facet in FACETS
    ]


def find_facet(field: str) -> Facet | None:
    return next((facet for facet in FACETS if facet.field == field), None)


def build_facet_rows(search: Search, field: str, values: list[FacetValue]) -> list[FacetRow]:
    """Keep the order of `values` (most frequent first) and add those that the query names but nothing counted.

    What is excluded, or beyond the limit of the count, can so be undone where it was done.
    """
    most = max((value.count for value in values), default=0) or 1
    counted = {value.value for value in values}
    named = [value for value in _named_values(search, field) if value not in counted]
    return [_build_row(search, field, value, most) for value in values + [FacetValue(value, 0, 0) for value in named]]


def _named_values(search: Search, field: str) -> list[str]:
    """The exact values of `field` that the query demands or excludes at its top level, in its order."""
    terms = [term for condition in search.query.conditions for term in Query("", condition).terms()]
    named = [term.value for term in terms if term.full_name == field and isinstance(term.value, Pattern)]
    exact = [value.text for value in named if value.is_exact]
    return [
        value for value in dict.fromkeys(exact) if any(has_filter(search.text, field, value, negate) for negate in (False, True))
    ]


def _build_row(search: Search, field: str, value: FacetValue, most: int) -> FacetRow:
    is_on = has_filter(search.text, field, value.value)
    is_excluded = has_filter(search.text, field, value.value, negate=True)
    toggled = remove_filter(search.text, field, value.value) if is_on else add_filter(search.text, field, value.value)
    excluded = (
        remove_filter(search.text, field, value.value, negate=True)
        if is_excluded
        else add_filter(search.text, field, value.value, negate=True)
    )
    return FacetRow(
        value=value.value,
        count=value.count,
        failed=value.failed,
        share=round(100 * value.count / most),
        is_on=is_on,
        is_excluded=is_excluded,
        href=search.querystring(q=toggled),
        exclude_href=search.querystring(q=excluded),
    )


def _condition_texts(search: Search) -> list[str]:
    return [search.text[node.start : node.end] for node in search.query.conditions]


def build_preset_chips(search: Search) -> list[Chip]:
    """One chip per preset; on when the query has exactly that condition."""
    conditions = _condition_texts(search)
    chips = []
    for label, condition, icon in PRESETS:
        is_on = condition in conditions
        text = " ".join(kept for kept in conditions if kept != condition) if is_on else add_condition(search.text, condition)
        chips.append(Chip(label, condition, icon, is_on, search.querystring(q=text)))
    return chips


def build_condition_chips(search: Search) -> list[Chip]:
    """One chip per condition of the query, whose link drops it: for the page that found nothing."""
    conditions = _condition_texts(search)
    return [
        Chip(text, text, "close", True, search.querystring(q=" ".join(conditions[:index] + conditions[index + 1 :])))
        for index, text in enumerate(conditions)
    ]
