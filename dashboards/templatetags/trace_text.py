"""Text of strangers on the trace page: made visible, cut, folded, and linked to the rest of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from dashboards.forms import Search
from dashboards.text import EXCERPT_CHARS, cut_text, make_visible, preview
from tracestore.language import format_filter

register = template.Library()

# Texts up to this size stand unfolded; it is about a third of a screen.
_FOLD_CHARS = 1_400
_FOLD_LINES = 18


@register.filter
def readable(value: Any) -> str:
    """Text in which nothing is invisible; joiners of emoji and scripts stay."""
    return make_visible(str(value))


@register.filter
def one_line(value: Any) -> str:
    """What a long text is about, in one line."""
    return make_visible(preview(str(value)))


@register.inclusion_tag("dashboards/_text.html", takes_context=True)
def long_text(context: template.Context, text: str, reference: str, limit: int = EXCERPT_CHARS, css: str = "") -> dict[str, Any]:
    """A text in full, folded, or cut with a link to the rest, depending on its length."""
    excerpt = cut_text(text, limit)
    is_folded = len(excerpt.text) > _FOLD_CHARS or excerpt.text.count("\n") > _FOLD_LINES
    url = f"{context.get('text_url', '')}?{urlencode({'ref': reference}, errors='replace')}" if excerpt.hidden_chars else ""
    return {"excerpt": excerpt, "is_folded": is_folded, "url": url, "css": css, "size": len(text)}


@register.simple_tag(takes_context=True)
def list_link(context: template.Context, query: str) -> str:
    """URL of the trace list with this query, over a time range that holds the trace in view."""
    return f"{reverse('trace-list')}?{urlencode({'q': query}, errors='replace')}{context.get('list_range', '')}"


@register.simple_tag(takes_context=True)
def field_link(context: template.Context, field: str, value: str) -> str:
    """URL of the trace list with one filter."""
    return str(list_link(context, format_filter(field, value)))


@register.simple_tag
def log_query(search: Search, field: str, value: str) -> str:
    """Query string of the list of logs with one filter alone, over the same time."""
    return search.querystring(q=format_filter(field, value))


@register.simple_tag
def text_name(kind: str, key: str) -> str:
    """Name of an attribute's text: `attribute:error.type`."""
    return f"{kind}:{key}"


@register.simple_tag
def text_reference(*steps: Any) -> str:
    """Name of a text within a step's content: `input.2.0`."""
    return ".".join(str(step) for step in steps)
