"""`{% icon "tool" %}`: one symbol of the sprite dashboards/icons.svg."""

from __future__ import annotations

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()
# Where a status, kind or outcome of the data has an icon of its own name; anything else is drawn as "other".
KINDS = frozenset(("agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other"))


@register.simple_tag
def icon(name: str, label: str = "", css: str = "") -> SafeString:
    """Draw one icon. Give `label` when the icon stands alone (a screen reader says it); beside a word leave it empty."""
    href = f"{static('dashboards/icons.svg')}#{name}"
    classes = f"icon {css}".rstrip()
    if label:
        return format_html(
            '<svg class="{}" role="img" aria-label="{}"><title>{}</title><use href="{}"></use></svg>', classes, label, label, href
        )
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}"></use></svg>', classes, href)


@register.simple_tag
def kind_icon(kind: str) -> SafeString:
    """Draw the icon of a step's kind in the colour of that kind."""
    known = kind if kind in KINDS else "other"
    return icon(known, label=known, css=f"kind-{known}")


_OUTCOMES = {"ok": "OK", "error": "Failed", "running": "Running"}


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """Say how a trace ended, as icon, word and colour."""
    word = _OUTCOMES.get(outcome)
    if word is None:
        return format_html('<span class="badge">{}</span>', outcome or "unknown")
    return format_html('<span class="badge badge--{}">{}{}</span>', outcome, icon(outcome), word)
