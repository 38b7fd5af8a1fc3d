"""Text of strangers on the trace page: made visible, cut, folded, and linked to the rest of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from dashboards.search.query_string import Search
from dashboards.text import EXCERPT_CHARS, cut_text, make_visible, preview
from dashboards.trace.markdown import has_markup, render_markdown
from dashboards.trace.message_cards import lay_out
from tracestore.language import format_filter

register = template.Library()
register.simple_tag(lay_out)

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
def long_text(
    context: template.Context, text: str, reference: str, limit: int = EXCERPT_CHARS, css: str = "", markdown_chars: int = -1
) -> dict[str, Any]:
    """A text in full, folded, or cut with a link to the rest, depending on its length.

    One that reads as Markdown is laid out at once up to `markdown_chars`, and on demand beyond; never with -1.
    """
    excerpt = cut_text(text, limit)
    is_folded = len(excerpt.text) > _FOLD_CHARS or excerpt.text.count("\n") > _FOLD_LINES
    named = urlencode({"ref": reference}, errors="replace")
    is_markdown = bool(context.get("markdown_url")) and markdown_chars >= 0 and has_markup(text)
    return {
        "excerpt": excerpt,
        "is_folded": is_folded,
        "url": f"{context.get('text_url', '')}?{named}" if excerpt.hidden_chars else "",
        "css": css,
        "size": len(text),
        # The list of logs has no switch: it tells records apart, and each leads to its trace.
        "is_json": bool(context.get("trace_id")) and (text[:1] + text.rstrip()[-1:]) in ("{}", "[]") and len(text) > 2,
        "markdown_url": f"{context.get('markdown_url', '')}?{named}" if is_markdown else "",
        "markdown": render_markdown(text) if is_markdown and len(text) <= markdown_chars else "",
    }


@register.simple_tag(takes_context=True)
def list_link(context: template.Context, query: str) -> str:
    """URL of the trace list with this query, over a time range that holds the trace in view."""
    return f"{reverse('trace-list')}?{urlencode({'q': query}, errors='replace')}{context.get('list_range', '')}"


@register.simple_tag(takes_context=True)
def field_link(context: template.Context, field: str, value: str) -> str:
    """URL of the trace list with one filter."""
    return str(list_link(context, format_filter(field, value)))


@register.simple_tag(takes_context=True)
def log_link(context: template.Context, query: str) -> str:
    """URL of the list of logs with this query, over the time of the list or of the trace in view; "" without a query."""
    if not query:
        return ""
    search = context.get("search")
    if isinstance(search, Search):
        return reverse("log-list") + search.querystring(q=query)
    return f"{reverse('log-list')}?{urlencode({'q': query}, errors='replace')}{context.get('list_range', '')}"


@register.simple_tag
def log_query(search: Search, field: str, value: str) -> str:
    """Query string of the list of logs with one filter alone, over the same time."""
    return search.querystring(q=format_filter(field, value))


@register.simple_tag
def text_reference(*steps: Any) -> str:
    """Name of a text within a step's content: `input.2.0`."""
    return ".".join(str(step) for step in steps)
