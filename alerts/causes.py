"""Causes in the order in which a person asks, with links to the traces behind each."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.evidence import CAUSE_FIELDS, Cause, Evidence
from alerts.focus import join_queries, traces_path
from tracestore.language import format_filter

# Field of `Causes` -> heading, in the order in which a person asks.
HEADINGS = {
    "error_types": "Error types",
    "versions": "Versions",
    "tools": "Tools",
    "failing_tools": "Failed tools",
    "agents": "Agents",
    "models": "Models",
}


@dataclass(frozen=True)
class CauseRow:
    """One value as the page draws it; widths are shares in percent of each side."""

    value: str
    failing: int
    others: int
    failing_share: float
    failing_width: int
    others_width: int
    href: str


@dataclass(frozen=True)
class CauseGroup:
    """The values of one dimension, best explanation first."""

    heading: str
    causes: list[CauseRow]


def build_cause_groups(evidence: Evidence) -> list[CauseGroup]:
    """Return the dimensions that have values."""
    groups = [
        CauseGroup(heading, [_row(cause, CAUSE_FIELDS[name], evidence) for cause in getattr(evidence.causes, name)])
        for name, heading in HEADINGS.items()
    ]
    return [group for group in groups if group.causes]


def _row(cause: Cause, field: str, evidence: Evidence) -> CauseRow:
    query = join_queries(evidence.query, format_filter(field, cause.value))
    return CauseRow(
        value=cause.value,
        failing=cause.failing,
        others=cause.others,
        failing_share=cause.failing_share,
        failing_width=round(cause.failing_share * 100),
        others_width=round(cause.other_share * 100),
        href=traces_path(query, evidence.time_range),
    )
