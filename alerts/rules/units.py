"""Thresholds and durations as people type them, to and from what the store computes with."""

from __future__ import annotations

import math
import re

from tracestore.queries.metrics.definitions import METRICS
from tracestore.queries.metrics.groups import RUN_METRICS

_UNITS = {"ratio": "%", "s": "seconds", "USD": "USD"}
_DURATION = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def threshold_unit(metric: str, *, relative: bool = False) -> str:
    """Return the unit in which a threshold of this metric is typed: rates, and changes against a baseline, in percent."""
    known = METRICS.get(metric) or RUN_METRICS.get(metric)
    unit = known.unit if known else ""
    return "%" if relative else _UNITS.get(unit, unit)


def parse_threshold(text: str, metric: str, *, relative: bool = False) -> float:
    """Read a threshold typed in `threshold_unit` (the unit may be repeated); return it in the metric's own unit.

    With `relative` it is a change: 50% is 0.5. Raises ValueError with a sentence.
    """
    plain = text.strip().replace(",", "").removeprefix("$")
    for suffix in ("%", "seconds", "s", "USD"):
        plain = plain.removesuffix(suffix).strip()
    unit = threshold_unit(metric, relative=relative)
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{text.strip()!r} is not a number: type the threshold in {unit or 'plain digits'}.")
    if unit == "%":
        if number > 100 and not relative:
            raise ValueError("A rate is at most 100%.")
        return number / 100
    return number


def format_threshold(threshold: float, metric: str, *, relative: bool = False) -> str:
    """Return what `parse_threshold` reads, without the unit."""
    number = threshold * 100 if threshold_unit(metric, relative=relative) == "%" else threshold
    return f"{number:.9f}".rstrip("0").rstrip(".")


def round_off(number: float, *, up: bool = True) -> float:
    """Return a positive number with two digits, as a person would write it: the next one up, or down."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    digits = round(number / unit, 6)
    return float(f"{(math.ceil(digits) if up else math.floor(digits)) * unit:.6g}")


def parse_duration_s(text: str) -> int:
    """Read 90, 90s, 5m, 1.5h, 2 days; a bare number is seconds. Raises ValueError with a sentence."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text.strip()!r} is not a duration: type for example 90s, 5m, 1h or 1d.")
    return round(float(match[1]) * _SECONDS[(match[2] or "s")[0].lower()])


def format_duration_s(seconds: int) -> str:
    """Return the shortest text that `parse_duration_s` reads as the same number: 300 is 5m, 90 is 90s."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"
