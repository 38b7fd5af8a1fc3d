"""Order lists of tools for the narrow columns of a table."""

from __future__ import annotations

from django import template

from tracestore.language import Query
from tracestore.language.tree import Pattern
from tracestore.model import ToolUsage

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
