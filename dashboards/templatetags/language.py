"""Texts about the query language in templates."""

from __future__ import annotations

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def code_spans(text: str) -> SafeString:
    """Show what stands between backticks as code; everything is escaped."""
    parts = [format_html("<code>{}</code>", part) if at % 2 else part for at, part in enumerate(text.split("`"))]
    return format_html_join("", "{}", ((part,) for part in parts))
