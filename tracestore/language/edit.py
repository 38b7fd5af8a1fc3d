"""Query text -> query text with one filter more or less: what a click on a facet does."""

from __future__ import annotations

import re
from collections.abc import Callable

from tracestore.language.errors import QueryError
from tracestore.language.fields import FieldType, find_field
from tracestore.language.lexer import quote
from tracestore.language.parser import parse_query
from tracestore.language.tree import And, Node, Not, Or, Pattern, Query, Term
from tracestore.language.values import is_number

# Bare after a colon; everything else gets quotes.
_PLAIN = re.compile(r"[\w$](?:[\w./@+#$%&=,;-])*")
_BLANKS_AT_END = re.compile(r"(?<!\\)((?:\\\\)*)\s+(?:AND\s+)?$")  # but for one behind a backslash
_PLAIN_KEY = re.compile(r"[^\s\"()\\:*]+")


def format_filter(field: str, value: str, negate: bool = False) -> str:
    """Return `field:value`, quoted where the language needs it. `field` may be `attr.KEY` or `score.NAME`, whatever is in KEY."""
    return ("-" if negate else "") + _format_field(field) + ":" + _quote(field, value)


def format_presence(field: str) -> str:
    """Return the condition that there is a value of `field`, which may be `attr.KEY` or `score.NAME`."""
    return f"has:{_quote('has', field)}"


def join_queries(one: str, other: str) -> str:
    """Return a query for what two valid queries find: AND binds closer than OR, so one with OR needs its own parentheses."""
    one, other = _strip(one), _strip(other)
    return f"{_closed(one)} {_closed(other)}" if one and other else one or other


def add_condition(text: str, condition: str) -> str:
    """Return a valid query narrowed to a condition, as it is where it demands just that already.

    What comes out need not be valid: it may be longer than a query can be, and whoever follows the link reads so.
    """
    text = _strip(text)
    try:
        if not condition or parse_query(condition).root in parse_query(text).conditions:
            return text
        return join_queries(text, condition)
    except QueryError:
        return f"{text} {condition}".strip()


def _closed(text: str) -> str:
    return f"({text})" if isinstance(parse_query(text).root, Or) else text


def has_filter(text: str, field: str, value: str, negate: bool = False) -> bool:
    """Tell whether `text` demands `field:value` at its top level, alone or as one of several values. False for a bad text."""
    query = _try_parse(text)
    return query is not None and any(value in _values(node, field, negate) for node in query.conditions)


def add_filter(text: str, field: str, value: str, negate: bool = False) -> str:
    """Return `text` narrowed to `field:value`.

    A second value of the same field widens the first to `field:(a OR b)`; with `negate` both are excluded. The opposite
    filter is removed. A text that does not parse is returned with the filter at its end.
    """
    if has_filter(text, field, value, negate):
        return text
    text = _strip(remove_filter(text, field, value, not negate))
    query = _try_parse(text)
    addition = format_filter(field, value, negate)
    if query is None or query.root is None:
        return f"{text} {addition}".lstrip()
    for node in query.conditions if not negate else ():
        if values := _values(node, field, negate=False):
            return text[: node.start] + _format_values(field, [*values, value]) + text[node.end :]
    narrowed = _try_parse(f"{text} {addition}")
    if narrowed is not None and narrowed.conditions[:-1] != query.conditions:  # an OR of the text took the filter in
        return f"({text}) {addition}"
    return f"{text} {addition}"


def remove_filter(text: str, field: str, value: str, negate: bool = False) -> str:
    """Return `text` without the top-level filter `field:value`, however often it stands there. A text without it, or a bad one,
    comes back as it is.
    """
    query = _try_parse(text)
    for node in query.conditions if query else ():
        values = _values(node, field, negate)
        if value in values:
            left = [other for other in values if other != value]
            text = _replace(text, node, _format_values(field, left, negate) if left else "")
            return remove_filter(text, field, value, negate)
    return text


def without_field(query: Query, field: str) -> Query:
    """Return `query` without the top-level conditions that demand values of `field`; exclusions of values stay."""
    matches = _matcher(field)
    kept = tuple(node for node in query.conditions if not _demands(node, matches))
    root = None if not kept else kept[0] if len(kept) == 1 else And(kept, kept[0].start, kept[-1].end)
    return Query(query.text, root)


def _demands(node: Node, matches: Callable[[Term], bool]) -> bool:
    if isinstance(node, Term):
        return matches(node)
    return isinstance(node, Or) and all(isinstance(item, Term) and matches(item) for item in node.items)


def _try_parse(text: str) -> Query | None:
    try:
        return parse_query(text)
    except QueryError:
        return None


def _values(node: Node, field: str, negate: bool) -> list[str]:
    """Return the exact values that a top-level condition demands (or, with `negate`, excludes) of `field`, else []."""
    if isinstance(node, Not):
        return _values(node.item, field, negate=False) if negate else []
    if negate:
        return []
    terms = node.items if isinstance(node, Or) else (node,)
    matches = _matcher(field)
    values = [_value_text(term) for term in terms if isinstance(term, Term) and matches(term)]
    return [value for value in values if value is not None] if len(values) == len(terms) and None not in values else []


def _value_text(term: Term) -> str | None:
    if isinstance(term.value, Pattern):
        return term.value.text if term.value.is_exact else None
    return str(getattr(term.value, "value", "")).lower() or None


def _matcher(field: str) -> Callable[[Term], bool]:
    prefix, _, key = field.partition(".")
    found = find_field(prefix if key else field)
    return lambda term: found is not None and term.field == found.name and term.key == key


def _replace(text: str, node: Node, replacement: str) -> str:
    """Put `replacement` in the place of a top-level condition, taking an AND beside it along with a removed one."""
    before, after = text[: node.start], text[node.end :]
    if not replacement:
        before = _BLANKS_AT_END.sub(r"\1 ", before)
        after = after.lstrip()
        if not before.strip():
            after = re.sub(r"^AND\s+", "", after)
    return _strip(before + replacement + after)


def _strip(text: str) -> str:
    """Return `text` without the blanks around it. One behind a backslash belongs to it."""
    text = text.lstrip()
    end = len(text.rstrip())
    is_escaped = (end - len(text[:end].rstrip("\\"))) % 2
    return text[: end + is_escaped]


def _format_field(field: str) -> str:
    prefix, _, key = field.partition(".")
    return f"{prefix}.{quote(key)}" if key and not _PLAIN_KEY.fullmatch(key) else field


def _format_values(field: str, values: list[str], negate: bool = False) -> str:
    if len(values) == 1:
        return format_filter(field, values[0], negate)
    return ("-" if negate else "") + f"{_format_field(field)}:({' OR '.join(_quote(field, value) for value in values)})"


def _quote(field: str, value: str) -> str:
    plain = _PLAIN.fullmatch(value) and ".." not in value and value not in ("AND", "OR", "NOT")
    found = find_field(field.partition(".")[0])
    if plain and found and found.type is FieldType.SCORE and is_number(value):
        plain = None  # a label that looks like a number
    return value if plain else quote(value)
