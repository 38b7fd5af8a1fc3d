"""What the evidence of an alert says differs, as rows that the page draws, with links to the traces behind each."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.evidence.focus import traces_path
from alerts.evidence.model import Distinction, Evidence
from tracestore.language import format_filter, join_queries
from tracestore.projects import in_this_project


@dataclass(frozen=True)
class Reason:
    """One difference; widths are shares in percent of each side."""

    found: Distinction
    failing_width: int
    others_width: int
    href: str


def build_reasons(evidence: Evidence) -> list[Reason]:
    """Return the differences, best first."""
    return [_build_reason(found, evidence) for found in evidence.distinctions]


def _build_reason(found: Distinction, evidence: Evidence) -> Reason:
    query = join_queries(evidence.query, format_filter(found.field, found.value))
    return Reason(
        found,
        failing_width=round(found.failing_share * 100),
        others_width=round(found.other_share * 100),
        href=in_this_project(traces_path(query, evidence.time_range)),
    )
