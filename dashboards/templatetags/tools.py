"""Order and cut lists of tools for the narrow columns of a table."""

from __future__ import annotations

from django import template

from tracestore.model import ToolUsage

register = template.Library()


@register.filter
def failing_first(tools: list[ToolUsage]) -> list[ToolUsage]:
    """Tools that failed before those that did not, each part in its own order."""
    return sorted(tools, key=lambda tool: not tool.errors)
