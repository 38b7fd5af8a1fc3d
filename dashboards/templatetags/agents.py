"""Words and numbers of the agent graph."""

from __future__ import annotations

from django import template

from dashboards.agents.graph import Difference, Measure, Numbers
from dashboards.templatetags.comparing import signed_cost_cell, signed_duration_cell, signed_points
from dashboards.templatetags.formatting import NONE, cost_usd, duration_ns, ratio
from tracestore.agent_graph import AGENT, MODEL, PERSON, SERVICE, TOOL

register = template.Library()
_ICONS = {AGENT: "agent", MODEL: "llm", TOOL: "tool", PERSON: "escalated", SERVICE: "external"}
_COLOURS = {AGENT: "agent", MODEL: "llm", TOOL: "tool"}


@register.simple_tag
def node_icon(kind: str) -> str:
    """Name of the symbol of a node."""
    return _ICONS.get(kind, "other")


@register.simple_tag
def node_kind(kind: str) -> str:
    """Kind of step whose colour a node has."""
    return _COLOURS.get(kind, "other")


@register.simple_tag
def difference_text(difference: Difference, measure: Measure) -> str:
    """A difference in the unit of its measure: +3.1 pp, −120 ms, new."""
    if difference.word:
        return difference.word
    show = {"ratio": signed_points, "ns": signed_duration_cell, "USD": signed_cost_cell}[measure.unit]
    return show(difference.value)


@register.simple_tag
def measured_text(numbers: Numbers, measure: Measure) -> str:
    """The number that a comparison is about, with its unit."""
    value = numbers.value(measure)
    return {"ratio": ratio, "ns": duration_ns, "USD": cost_usd}[measure.unit](value) if value is not None else NONE


@register.simple_tag
def measured(numbers: Numbers, measure: Measure) -> str:
    """The same as a plain number, to sort by."""
    return unlocalized(numbers.value(measure))


@register.filter
def unlocalized(value: float | None) -> str:
    """A number as CSS, SVG and scripts read it; "" for none."""
    return "" if value is None else f"{value:.10g}"


@register.filter
def split(text: str) -> list[str]:
    """The parts between commas."""
    return text.split(",")
