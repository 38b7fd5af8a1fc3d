"""What the traces behind a breach have more often than others: compared within the window, or with the time before it."""

from __future__ import annotations

import re
from dataclasses import replace

from alerts.evidence.focus import ESCALATED
from alerts.evidence.model import MOST, Cause, Causes, Distinction, Evidence
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.why.attributes import compare_attributes
from tracestore.queries.why.comparison import Comparison, find_differences
from tracestore.queries.why.fields import DIMENSIONS, demanded_fields
from tracestore.queries.why.sides import Selection
from tracestore.queries.why.values import Difference
from tracestore.semconv.signals import HUMAN
from tracestore.statistics.samples import share_test
from tracestore.timerange import NS_PER_S, TimeRange

_DISTINCTIONS = 3
# A window whose traces are all behind the breach is compared with what came before it: four windows, an hour to a week.
_EARLIER_WINDOWS, _EARLIER_LEAST_S, _EARLIER_MOST_S = 4, 3600, 7 * 86_400
# Of fewer traces the differences may be said that may be chance, when the shares are at least so far apart.
_FEW, _CONSPICUOUS = 10, 0.5
# An alert looks at a hundred values or so, and who is woken by it acts on the first: of a hundred p-values one below this is
# chance in one alert of ten. The why page, which is read at leisure, is content with less.
_CERTAIN_P = 0.001
# What fewer of the traces behind a breach failed with does not tell how they failed, unless it is new.
TELLING_SHARE = 0.1
_FAILED_TOOL = "tool_error"
_TOOLS = 5


def earlier_start_ns_of(outline: Evidence) -> int:
    """Return where the time before the window begins, with which it is compared."""
    earlier_s = min(max(_EARLIER_WINDOWS * int(outline.time_range.duration_s), _EARLIER_LEAST_S), _EARLIER_MOST_S)
    return max(0, outline.start_ns - earlier_s * NS_PER_S)


def add_differences(store: Store, project_id: int, outline: Evidence) -> Evidence:
    """Return the evidence with its causes and distinctions. Nothing is too rare here: an alert may be about two traces.

    Raises StoreError.
    """
    selected, among = parse_query(outline.query), parse_query(outline.among)
    selection, time_range = Selection(selected), outline.time_range
    fields = [name for name in DIMENSIONS if name not in demanded_fields(selected) or name == _FAILED_TOOL]

    def compare(fields: list[str]) -> Comparison:
        return find_differences(
            store, project_id=project_id, time_range=time_range, selection=selection, against=among, fields=fields,
            numbers=False, min_support=1,
        )  # fmt: skip

    comparison = compare(fields)
    causes = _list_causes(comparison)
    earlier_start_ns = None
    if comparison.selected and not comparison.others:
        earlier_start_ns = earlier_start_ns_of(outline)
        selection = Selection(selected, outline.time_range)
        time_range = TimeRange(earlier_start_ns, outline.end_ns)
        comparison = compare([name for name in fields if name not in demanded_fields(among)])
    if outline.noun == ESCALATED.noun:
        comparison = replace(comparison, differences=_without_the_escalation(comparison.differences))
    differences = _explain(comparison)
    if len(differences) < _DISTINCTIONS and comparison.others:
        attributes = compare_attributes(
            store, project_id=project_id, time_range=time_range, selection=selection, against=among,
        )  # fmt: skip
        differences += [
            found
            for found in attributes.differences
            if found.difference.value > 0 and _is_certain(found, attributes.selected, attributes.others)
        ]
    if not differences:
        differences = _suspect(comparison)
    # What most of the traces have comes before what sets some of them apart, also where it is an attribute.
    differences.sort(key=lambda found: found.selected_share < MOST)
    return replace(
        outline,
        causes=causes,
        distinctions=[_distinction(found) for found in differences[:_DISTINCTIONS]],
        compared=comparison.others,
        earlier_start_ns=earlier_start_ns if comparison.others else None,
    )


def _without_the_escalation(differences: list[Difference]) -> list[Difference]:
    """Leave out what hands over; what means the same traces as that speaks for itself then."""
    return [
        replace(found, along_with=None) if found.along_with and _is_the_escalation(found.along_with) else found
        for found in differences
        if not _is_the_escalation(found)
    ]


def _is_the_escalation(found: Difference) -> bool:
    """Whether it is the very tool or agent that hands over to a person: that escalated traces have it says nothing."""
    return found.dimension.field in ("tool", "agent") and not found.others and bool(re.search(HUMAN, found.value))


def _explain(comparison: Comparison) -> list[Difference]:
    """Return what is certain to be more frequent among the selected traces and says why they failed, not how. Best first."""
    return [
        found
        for found in comparison.differences
        if _is_explanation(found) and _is_certain(found, comparison.selected, comparison.others)
    ]


def _is_certain(found: Difference, selected: int, others: int) -> bool:
    """Whether a value stands out also when all fields are looked at; `is_significant` speaks of the values of its own field.

    Of few traces (`_suspect`) that has to do: there are few values, and only what differs conspicuously is said at all.
    """
    return found.is_significant and share_test(found.selected, selected, found.others, others) < _CERTAIN_P


def _suspect(comparison: Comparison) -> list[Difference]:
    """Return what may be chance, to be said as such, where there are too few traces to be sure of anything.

    Among many traces what is not certain to differ sets nothing apart; among few only what differs conspicuously is worth a word.
    """
    if comparison.others >= _FEW and comparison.selected >= _FEW:
        return []
    least = min(2, comparison.selected)  # each of several failing traces has a user and a session of its own
    conspicuous = _CONSPICUOUS if comparison.others else 0.0
    return [
        found
        for found in comparison.differences
        if _is_explanation(found) and found.selected >= least and found.difference.value >= conspicuous
    ]


def _is_explanation(found: Difference) -> bool:
    # A loop says what happened also where it has come with a version.
    speaks = found.along_with is None or found.dimension.field == "loops"
    return bool(found.selected) and found.difference.value > 0 and not found.dimension.is_symptom and speaks


def _distinction(found: Difference) -> Distinction:
    return Distinction(
        field=found.dimension.field,
        label=found.dimension.label,
        value=found.value,
        failing=found.selected,
        others=found.others,
        failing_share=found.selected_share,
        other_share=found.other_share,
        least=found.difference.least if found.is_significant else 0.0,
    )


def _list_causes(comparison: Comparison) -> Causes:
    tools = [
        found
        for found in comparison.differences
        if found.dimension.field == _FAILED_TOOL and found.difference.value and found.selected
        and found.selected_share >= TELLING_SHARE
    ]  # fmt: skip
    tools.sort(key=lambda tool: (-tool.difference.value, -tool.selected, tool.value))
    causes = [Cause(tool.value, tool.selected, tool.others, tool.selected_share, tool.other_share) for tool in tools[:_TOOLS]]
    return Causes(comparison.selected, comparison.others, causes)
