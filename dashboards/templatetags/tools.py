"""Tools and scores for the narrow columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django import template

from dashboards.reviews import find_verdict
from tracestore.language import Query
from tracestore.language.tree import Pattern
from tracestore.model import Score, ToolUsage

register = template.Library()


@register.filter
def most_wanted(tools: list[ToolUsage], query: Query) -> list[ToolUsage]:
    """Put the tools that the query names first, then those that failed, then the others, each part in its own order."""
    named = {
        term.value.text
        for term in query.terms()
        if term.field in ("tool", "tool_error") and isinstance(term.value, Pattern) and term.value.is_exact
    }
    return sorted(tools, key=lambda tool: (tool.name not in named, not tool.errors))


@dataclass(frozen=True)
class ScoreChip:
    """A score as a word or a number under its name; `verdict` is that of a review, "good" or "bad", else ""."""

    name: str
    text: str
    verdict: str
    comment: str


@register.filter
def score_chips(scores: Sequence[Score]) -> list[ScoreChip]:
    """Return what a row shows of its scores, in their order."""
    return [_build_chip(score) for score in scores]


def _build_chip(score: Score) -> ScoreChip:
    verdict = find_verdict(score)
    number = "" if score.value is None else f"{score.value:.4g}"
    return ScoreChip(score.name or "unnamed", verdict or score.label or number, verdict, score.comment)
