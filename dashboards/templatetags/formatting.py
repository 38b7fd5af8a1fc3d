"""Numbers and times as people read them: every page formats here and nowhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboards.text import make_visible
from tracestore.timerange import NS_PER_S, format_time_ns, moment_of

register = template.Library()
NONE = "–"
GLUE = "\u00a0"  # between a number and its unit: no line ends there
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_WORD_START = re.compile(r"(?<=[_./:@-])(?=\w)|(?<=[a-z0-9])(?=[A-Z])")
# Costs that differ by more than both of these are marked; below a hundred-millionth of a dollar they are the same.
_COST_ABSOLUTE_USD, _COST_RELATIVE, _COST_NOISE_USD = 0.0001, 0.01, 1e-8


def _trim(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def duration_ns(value: float | None) -> str:
    """850 ns, 3.2 µs, 45 ms, 1.24 s, 2 m 05 s, 30 m, 3 h 12 m, 2 d 04 h."""
    if value is None:
        return NONE
    if value < 1_000:
        return f"{value:.0f}{GLUE}ns"
    if value < 1_000_000:
        return f"{_trim(value / 1e3, 1)}{GLUE}µs"
    if value < 1_000_000_000:
        milliseconds = value / 1e6
        return f"{_trim(milliseconds, 1 if milliseconds < 10 else 0)}{GLUE}ms"
    seconds = value / NS_PER_S
    if seconds < 59.95:
        return f"{_trim(seconds, 2 if seconds < 10 else 1)}{GLUE}s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return _two_units(whole, _MINUTE_S, "m", 1, "s")
    if whole < _DAY_S:
        return _two_units(whole, _HOUR_S, "h", _MINUTE_S, "m")
    return _two_units(whole, _DAY_S, "d", _HOUR_S, "h")


@register.filter
def duration_cell(value: float | None) -> str:
    """As `duration_ns`, for a column: seconds have two decimals, their points one below the other (4.00 s, 12.34 s)."""
    if value is None or not 995_000_000 <= value < 59_995_000_000:
        return duration_ns(value)
    return f"{value / NS_PER_S:.2f}{GLUE}s"


def _two_units(seconds: int, large_s: int, large: str, small_s: int, small: str) -> str:
    rest = seconds % large_s // small_s
    return f"{seconds // large_s}{GLUE}{large}" + (f"{GLUE}{rest:02d}{GLUE}{small}" if rest else "")


@register.filter
def duration_s(value: float | None) -> str:
    """As `duration_ns`, from seconds."""
    return duration_ns(None if value is None else value * NS_PER_S)


@register.filter
def cost_usd(value: float | None) -> str:
    """$0.0042, $1.27, $12,340; "–" when nothing is priced. Sub-cent costs keep two significant digits."""
    if value is None:
        return NONE
    if value == 0:
        return "$0"
    if value < 0.000_001:
        return "<$0.000001"
    if value < 0.01:
        decimals = next(places for places in range(4, 8) if value * 10**places >= 9.5)
        return f"${value:.{decimals}f}"
    if value < 1:
        return f"${value:.3f}"
    return f"${value:,.2f}" if value < 1_000 else f"${value:,.0f}"


@register.filter
def cost_cell(value: float | None) -> str:
    """As `cost_usd`, for a column: below a dollar five decimals ($0.01000, $0.00017), more where these show but one digit."""
    if value is None or not 0.000_095 <= value < 0.999_995:
        return cost_usd(value)
    return f"${value:.5f}"


@register.filter
def exact_usd(value: Decimal) -> str:
    """All digits of a price or of a part of a cost, so that what is added up can be checked: $0.000125, $2.50."""
    whole, _, digits = f"{value:.12f}".rstrip("0").partition(".")
    return f"${int(whole):,}.{digits:0<2}"


@register.filter
def costs_disagree(item: Any) -> bool:
    """Tell whether a supplied and a computed cost are so far apart that somebody should look: 1% and $0.0001."""
    difference, compared = item.cost_difference_usd, item.compared_cost_usd
    return difference is not None and abs(difference) > max(_COST_ABSOLUTE_USD, _COST_RELATIVE * (compared or 0.0))


@register.filter
def cost_difference(item: Any) -> str:
    """What a sender says a call costs more than we compute: +$0.0042 (+3.1%), −$0.02 (−50%), "the same"."""
    difference, compared = item.cost_difference_usd, item.compared_cost_usd
    if difference is None:
        return NONE
    if abs(difference) < _COST_NOISE_USD:
        return "the same"
    sign = "+" if difference > 0 else "−"
    share = ratio(abs(difference) / compared) if compared else ""
    shown = f" ({share if share.startswith('<') else sign + share})" if share else ""
    return f"{sign}{cost_usd(abs(difference))}{shown}"


@register.filter
def tokens(value: float | None) -> str:
    """950, 3.1k, 24k, 1.2M."""
    if value is None:
        return NONE
    for limit, divisor, unit in ((999.5, 1, ""), (999_500, 1e3, "k"), (999_500_000, 1e6, "M"), (float("inf"), 1e9, "G")):
        if value < limit:
            number = value / divisor
            return f"{_trim(number, 1 if unit and number < 9.95 else 0)}{unit}"
    return NONE


@register.filter
def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return NONE if value is None else f"{value:,.0f}"


@register.filter
def ratio(value: float | None) -> str:
    """A ratio as a percentage: 0.3%, 4.2%, 57%, 14,186%."""
    if value is None:
        return NONE
    percent = value * 100
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.5 < percent < 100:
        return f"{int(percent * 10) / 10:.1f}%"  # never round a flaw away
    if percent >= 1000:
        return f"{percent:,.0f}%"
    return f"{_trim(percent, 1 if percent < 10 else 0)}%"


@register.filter
def size(value: float | None) -> str:
    """Bytes in binary units: 512 B, 1.4 KiB, 64 MiB."""
    if value is None:
        return NONE
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{_trim(value, 1 if unit != 'B' and value < 10 else 0)}{GLUE}{unit}"
        value /= 1024
    return f"{_trim(value, 1)}{GLUE}TiB"


@register.filter
def ago(value_ns: int | None, now_ns: int | None = None) -> str:
    """How long before now: "now", 12 s ago, 5 m ago, 3 h ago, 2 d ago; "in 5 m" for a time to come."""
    if value_ns is None:
        return NONE
    seconds = ((time.time_ns() if now_ns is None else now_ns) - value_ns) / NS_PER_S
    distance = abs(seconds)
    if distance < 1:
        return "now"
    if distance < _MINUTE_S:
        text = f"{distance:.0f}{GLUE}s"
    elif distance < _HOUR_S:
        text = f"{distance // _MINUTE_S:.0f}{GLUE}m"
    elif distance < 2 * _DAY_S:
        text = f"{distance // _HOUR_S:.0f}{GLUE}h"
    else:
        text = f"{distance // _DAY_S:.0f}{GLUE}d"
    return f"{text} ago" if seconds > 0 else f"in {text}"


@register.filter
def time_ago(value_ns: int) -> SafeString:
    """As `ago`, with the moment itself for machines and for who points at it."""
    return format_html('<time datetime="{}" title="{} UTC">{}</time>', rfc3339(value_ns), time_ns(value_ns), ago(value_ns))


@register.filter
def time_ns(value_ns: int | None) -> str:
    """A moment in UTC to the millisecond: 2026-11-20 08:30:00.123."""
    if value_ns is None:
        return NONE
    return f"{moment_of(value_ns):%Y-%m-%d %H:%M:%S}.{value_ns % NS_PER_S // 1_000_000:03d}"


@register.filter
def short_time_ns(value_ns: int | None) -> str:
    """A moment in UTC to the second, without its year: Nov 20 08:30:00."""
    return NONE if value_ns is None else f"{moment_of(value_ns):%b %d %H:%M:%S}"


@register.filter
def axis_time_ns(value_ns: int, range_s: float) -> str:
    """A moment in UTC at the end of an axis over so many seconds: Nov 20 08:30, with its seconds below an hour."""
    return f"{moment_of(value_ns):%b %d %H:%M}" if range_s >= _HOUR_S else short_time_ns(value_ns)


@register.filter
def rfc3339(value_ns: int) -> str:
    """For the `datetime` attribute of <time> and for links."""
    return format_time_ns(value_ns)


@register.filter
def short_id(value: str) -> str:
    """The first eight characters of an id."""
    return value[:8]


@register.filter
def visible(value: Any) -> str:
    """Text with control characters and direction marks made visible, so that hostile text cannot disguise itself."""
    return make_visible(str(value))


@register.filter
def listed(values: Iterable[str]) -> str:
    """Texts with commas between them. Django's `join` escapes them, and after a further filter they would be escaped again."""
    return ", ".join(values)


@register.filter
def after_type(message: str, error_type: str) -> str:
    """An error's message without the type before it, which stands beside: "no answer" of "errors.Timeout: no answer"."""
    for name in (error_type, error_type.rpartition(".")[2]):
        if name and message.startswith(f"{name}: "):
            return message[len(name) + 2 :].lstrip() or message
    return message


@register.filter
def excerpt(value: Any, limit: int) -> str:
    """The first `limit` characters on one line, made visible, with an ellipsis when something was cut."""
    text = str(value)
    line = " ".join(visible(text[: limit + 1]).split())
    return f"{line[:limit].rstrip()}…" if len(text) > limit else line


@register.filter
def breakable(text: str) -> SafeString:
    """An identifier that a narrow column may break between its words only: after a sign, before a capital."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in _WORD_START.split(text)))
