"""Value text -> typed value, by the type of its field."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from tracestore.language.errors import QueryError
from tracestore.language.fields import Field, FieldType, Known, find_field, suggest, suggest_field
from tracestore.language.lexer import Token, TokenKind
from tracestore.language.tree import Flag, Interval, Pattern, Value

_MAX_COUNT = 2**63 - 1
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}
_MULTIPLIER = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
_OTHER_UNITS = {"sec": "s", "secs": "s", "seconds": "s", "min": "m", "mins": "m", "minutes": "m", "hr": "h", "hours": "h"}
_DURATION = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)([a-zµμ]{0,9})")
_COUNT = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)([kKmMbB]?)")
_COST = re.compile(r"\$?([0-9]{1,20}(?:\.[0-9]{1,20})?)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
_COMPARISON = re.compile(r"(>=|<=|>|<)(.*)", re.DOTALL)
_EQUALS = re.compile(r"(==?|!=?)(.+)", re.DOTALL)
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
# What people call outcomes elsewhere.
_OTHER_WORDS = {"failed": "error", "failure": "error", "failing": "error", "fail": "error", "success": "ok", "passed": "ok"}
_HEX = re.compile(r"[0-9a-fA-F]{1,32}")

Quantity = Callable[[str], int | float]


class _Bad(Exception):
    """Why one quantity cannot be read, with a text that would do, or ""."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        self.message, self.suggestion = message, suggestion


def parse_value(field: Field, token: Token) -> Value:
    """Read the value that `token` gives to `field`. Raises QueryError."""
    return _PARSERS[field.type](field, token)


def parse_presence(token: Token, known: Known) -> tuple[Field, str, Value]:
    """Read the field that `has:` asks for: the field, the key of an attribute or the name of a score, and the value
    that any value matches.
    """
    name, _, key = token.text.partition(".")
    field = find_field(token.text if not key else name, known)
    if field is not None and field.needs_key and not key:
        raise _refuse(token, "Name the attribute after attr and a dot, such as has:attr.order.id.")
    if field is None or (key and not field.takes_key) or len(token.parts) > 1:
        meant = suggest_field(token.text, known)
        raise _refuse(token, f"There is no field {_shown(token)}; has: takes the name of one.", meant)
    value = _ANY_VALUE.get(field.type)
    if value is None or field.name == "duration":
        raise _refuse(token, f"Give {field.name} a value, such as {field.example}; has: cannot ask for {field.name}.")
    return field, key, value


def _refuse(token: Token, message: str, suggestion: str = "") -> QueryError:
    return QueryError(message, token.start, token.end - token.start, suggestion)


def _text(field: Field, token: Token) -> Value:
    if token.kind is TokenKind.WORD and _COMPARISON.fullmatch(token.text):
        raise _refuse(token, f"{field.name} is text, which > and < cannot compare. Put quotes around a text that starts so.")
    _refuse_equals(token)
    return Pattern(token.parts)


def _refuse_equals(token: Token) -> None:
    """`version:=v3` and `env:!dev` would ask for values that start with these signs, and find nothing or everything."""
    match = _EQUALS.fullmatch(token.text) if token.kind is TokenKind.WORD else None
    if match and match[1] in ("=", "=="):
        raise _refuse(token, "A value follows the colon directly. Put quotes around a text that starts with =.", match[2])
    if match:
        raise _refuse(token, "A - before the field's name excludes a value. Put quotes around a text that starts with !.")


def _search(field: Field, token: Token) -> Value:
    if not any(part.strip() for part in token.parts):
        raise _refuse(token, "Give a text to search for.")
    return Pattern(token.parts)


def _choice(field: Field, token: Token) -> Value:
    word = token.text.lower()
    if word not in field.choices:
        listed = ", ".join(field.choices[:-1]) + " or " + field.choices[-1]
        likely = _OTHER_WORDS.get(word, "")
        suggestion = likely if likely in field.choices else suggest(word, field.choices)
        raise _refuse(token, f"{field.name} is {listed}, not {_shown(token)}.", suggestion)
    return Pattern((word,))


def _flag(field: Field, token: Token) -> Value:
    word = token.text.lower()
    if word not in _TRUTH:
        raise _refuse(token, f"{field.name} is true or false, not {_shown(token)}.", suggest(word, _TRUTH))
    return Flag(_TRUTH[word])


def _id(field: Field, token: Token) -> Value:
    is_prefix = len(token.parts) == 2 and not token.parts[1]
    if not _HEX.fullmatch(token.parts[0]) or not (is_prefix or (len(token.parts) == 1 and len(token.text) == 32)):
        raise _refuse(token, "A trace id has 32 hexadecimal digits. Write its beginning and * to search by a part of it.")
    return Pattern(tuple(part.lower() for part in token.parts))


def _interval(read: Quantity) -> Callable[[Field, Token], Value]:
    def parse(field: Field, token: Token) -> Value:
        try:
            return _read_interval(token.text, read)
        except _Bad as bad:
            raise _refuse(token, f"{field.name} is {bad.message}, not {_shown(token)}.", bad.suggestion) from None

    return parse


def _read_interval(text: str, read: Quantity) -> Interval:
    if comparison := _COMPARISON.fullmatch(text):
        operator, operand = comparison.groups()
        try:
            number = read(operand)
        except _Bad as bad:
            raise _Bad(bad.message, bad.suggestion and operator + bad.suggestion) from None
        if operator[0] == ">":
            return Interval(number, None, includes_low=operator == ">=")
        return Interval(None, number, includes_high=operator == "<=")
    if ".." in text:
        low_text, high_text = text.split("..", 1)
        low, high = (read(part) if part else None for part in (low_text, high_text))
        if low is None and high is None:
            raise _Bad("a range with at least one end, such as " + "1..5")
        if low is not None and high is not None and low > high:
            raise _Bad("a range that starts at its smaller end", f"{high_text}..{low_text}")
        return Interval(low, high)
    number = read(text)
    return Interval(number, number)


def _read_duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if not match or (match[2] and match[2] not in _UNIT_NS):
        unit = _OTHER_UNITS.get(match[2]) if match else None
        suggestion = match[1] + unit if match and unit else ""
        raise _Bad("a number and a unit (ns, us, ms, s, m, h or d), such as 2s or >350ms", suggestion)
    if not match[2]:
        raise _Bad("a number and its unit (ns, us, ms, s, m, h or d)", text + "s")
    return _bounded(Decimal(match[1]) * _UNIT_NS[match[2]])


def _read_count(text: str) -> int:
    match = _COUNT.fullmatch(text)
    number = Decimal(match[1]) * _MULTIPLIER[match[2].lower()] if match else None
    if number is None or number != number.to_integral_value():
        raise _Bad("a whole number, such as 500, 10k, >1M or 1k..5k")
    return _bounded(number)


def _read_cost(text: str) -> float:
    match = _COST.fullmatch(text)
    if not match:
        raise _Bad("an amount in USD, such as 0.5, >0.02 or 0.1..0.5")
    return float(match[1])


def _read_number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise _Bad("compared with a number, such as >=500")
    return float(text)


def _bounded(number: Decimal) -> int:
    if number > _MAX_COUNT:
        raise _Bad("a smaller number")
    return int(number)


def is_number(text: str) -> bool:
    """Tell whether a value of a score means a number when it is written without quotes."""
    return _NUMBER.fullmatch(text) is not None


def _score(field: Field, token: Token) -> Value:
    """Labels of scores are text unless it is written without quotes and is a number, a comparison or a range of numbers."""
    if token.kind is TokenKind.WORD and is_number(token.text):
        number = _read_number(token.text)
        return Interval(number, number)
    return _attribute(field, token)


def _attribute(field: Field, token: Token) -> Value:
    """Attribute values are text unless a comparison or a range of numbers is written without quotes."""
    if token.kind is not TokenKind.WORD:
        return Pattern(token.parts)
    low, separator, high = token.text.partition("..")
    is_range = separator and (low or high) and all(not end or _NUMBER.fullmatch(end) for end in (low, high))
    if is_range or _COMPARISON.fullmatch(token.text):
        return _interval(_read_number)(field, token)
    _refuse_equals(token)
    return Pattern(token.parts)


def _shown(token: Token) -> str:
    text = token.text if len(token.text) <= 40 else token.text[:39] + "…"
    return f"“{text}”"


# What no cost, no tokens and no first token are not.
_ANY_VALUE: dict[FieldType, Value] = {
    FieldType.TEXT: Pattern(("", "")),
    FieldType.ATTRIBUTE: Pattern(("", "")),
    FieldType.SCORE: Pattern(("", "")),
    FieldType.COST: Interval(0.0, None),
    FieldType.COUNT: Interval(1, None),
    FieldType.DURATION: Interval(0, None),
}
_PARSERS: dict[FieldType, Callable[[Field, Token], Value]] = {
    FieldType.TEXT: _text,
    FieldType.SEARCH: _search,
    FieldType.CHOICE: _choice,
    FieldType.FLAG: _flag,
    FieldType.ID: _id,
    FieldType.COUNT: _interval(_read_count),
    FieldType.DURATION: _interval(_read_duration),
    FieldType.COST: _interval(_read_cost),
    FieldType.ATTRIBUTE: _attribute,
    FieldType.SCORE: _score,
}
