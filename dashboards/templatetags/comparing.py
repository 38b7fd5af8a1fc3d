"""Differences as people read them: always with a sign, and "same" where there is none."""

from __future__ import annotations

from collections.abc import Callable

from django import template

from dashboards.templatetags.formatting import NONE, cost_usd, count, duration_cell, duration_ns, ratio, tokens
from dashboards.text import make_visible

register = template.Library()


def _signed(value: float | None, show: Callable[[float], str]) -> str:
    if value is None:
        return NONE
    if value == 0:
        return "±0"
    return f"{'+' if value > 0 else '−'}{show(abs(value))}"


@register.filter
def signed_duration_ns(value: float | None) -> str:
    """+1.2 s, −45 ms."""
    return _signed(value, duration_ns)


@register.filter
def signed_duration_cell(value: float | None) -> str:
    """As `signed_duration_ns`, for a column: +1.20 s below −12.34 s."""
    return _signed(value, duration_cell)


@register.filter
def signed_cost_cell(value: float | None) -> str:
    """As `signed_cost_usd`, for a column: below a dollar five decimals; what shows in none of them is the same."""
    if value is None or abs(value) >= 0.999_995:
        return signed_cost_usd(value)
    return _signed(0 if abs(value) < 0.000_005 else value, lambda cost: f"${cost:.5f}")


@register.filter
def signed_tokens(value: float | None) -> str:
    """+3.1k, −12."""
    return _signed(value, tokens)


@register.filter
def signed_count(value: float | None) -> str:
    """+1,204, −3."""
    return _signed(value, count)


@register.filter
def signed_cost_usd(value: float | None) -> str:
    """+$0.0042, −$1.20; costs that differ by less than a hundred-millionth of a dollar are the same."""
    return _signed(0 if value is not None and abs(value) < 1e-8 else value, cost_usd)


@register.filter
def signed_points(value: float | None) -> str:
    """The difference of two ratios in percentage points: +3.1 points."""
    return _signed(value, lambda points: ratio(points).replace("%", " points"))


@register.filter
def minus(value: float | None, other: float | None) -> float | None:
    """Return the difference, None unless both are known."""
    return None if value is None or other is None else value - other


@register.filter
def changed_items(before: list[str], after: list[str]) -> str:
    """Say what a list gained and lost: "+v3 −v2"; "same" when nothing."""
    had, has = set(before), set(after)  # a trace may have a tool for each of its spans
    gained = [f"+{item}" for item in after if item not in had]
    lost = [f"−{item}" for item in before if item not in has]
    return make_visible(" ".join([*gained, *lost])) or "same"
