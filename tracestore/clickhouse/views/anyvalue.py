"""How an AnyValue, a list of attributes and a point in time become columns, as SQL; clickhouse/attributes.py reads them back."""

from __future__ import annotations

# Times outside these bounds are a broken clock; such a span is filed under its receive time. 2000-01-01 and 2100-01-01 in ns.
MIN_TIME_NS = 946_684_800 * 10**9
MAX_TIME_NS = 4_102_444_800 * 10**9


def map_of(attributes: str) -> str:
    """Return the expression for attributes as a Map, in reverse order.

    A look-up in a Map takes the first of equal keys; of attributes that a span has twice, the last counts (docs/ingest.md).
    """
    pairs = f"arrayMap(kv -> (kv.key, {text_of('kv.value')}), {attributes})"
    return f"CAST(arrayReverse({pairs}), 'Map(LowCardinality(String), String)')"


def types_of(attributes: str) -> str:
    """Return the expression for the letters of attributes.py, in the order of the map."""
    return f"reverse(arrayStringConcat(arrayMap(kv -> {letter_of('kv.value')}, {attributes})))"


def text_of(value: str) -> str:
    """Return the expression for an AnyValue as it is stored: see attributes.py."""
    return (
        f"coalesce({value}.string_value, toString({value}.int_value), toString({value}.double_value), "
        f"if(isNull({value}.bool_value), NULL, if({value}.bool_value, 'true', 'false')), "
        f"{value}.array_value, {value}.kvlist_value, {value}.bytes_value, '')"
    )


def letter_of(value: str) -> str:
    """Return the expression for the letter that says which kind of AnyValue it is."""
    return (
        f"multiIf(isNotNull({value}.string_value), 's', isNotNull({value}.int_value), 'i', "
        f"isNotNull({value}.double_value), 'd', isNotNull({value}.bool_value), 'b', isNotNull({value}.array_value), 'a', "
        f"isNotNull({value}.kvlist_value), 'k', isNotNull({value}.bytes_value), 'y', 'n')"
    )
