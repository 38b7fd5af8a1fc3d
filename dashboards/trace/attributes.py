"""Attributes of a span, an event or a log record as rows of a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboards.text import make_visible
from tracestore.content.values import to_text
from tracestore.language import format_filter

# A value longer than this is no filter anyone means, and no link a browser likes.
_FILTER_CHARS = 300


@dataclass(frozen=True)
class Attribute:
    """A row of the attribute table. `reference` finds the whole text again; `query` is "" where no filter can name the value."""

    key: str
    text: str
    type: str
    reference: str
    query: str


def build_attributes(kind: str, values: Mapping[str, Any], queryable: bool = False) -> list[Attribute]:
    """Return a row for each attribute in the order of their keys; `kind` is what its reference begins with."""
    return [_build_row(kind, key, values[key], queryable) for key in sorted(values)]


def _build_row(kind: str, key: str, value: Any, queryable: bool) -> Attribute:
    text = attribute_text(value)
    query = _filter_query(key, text) if queryable and not isinstance(value, list | dict) else ""
    return Attribute(key, text, type(value).__name__ if value is not None else "empty", f"{kind}:{key}", query)


def attribute_text(value: Any) -> str:
    """Return a value as it is shown: booleans as JSON has them, lists and maps as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else to_text(value)


def _filter_query(key: str, text: str) -> str:
    # The language has no way to write what cannot be seen, nor a filter for nothing.
    if not key or not text or len(text) > _FILTER_CHARS or "\n" in text or make_visible(key + text) != key + text:
        return ""
    return format_filter(f"attr.{key}", text)
