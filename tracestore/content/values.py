"""What a text that holds JSON or a Python repr stands for, and any value as text. Pure and total."""

from __future__ import annotations

import ast
import json
from typing import Any

# Indenting is pure Python and takes about a second per 10 MB, and with each level as much again: 0.3 s for 5 kB of 900 levels.
PRETTY_CHARS = 2_000_000
_PRETTY_DEPTH = 50
# Python's own parser is slow and recursive; only small reprs (litellm, LangChain) are worth it.
_LITERAL_CHARS = 100_000
_LITERAL_DEPTH = 60


def decode_value(value: Any) -> Any:
    """Return what a JSON text (also encoded twice) or a short Python repr stands for; anything else as it is. Never raises."""
    for _ in range(3):
        if not isinstance(value, str):
            return value
        text = value.strip()
        if len(text) < 2 or (text[0] + text[-1]) not in ("{}", "[]", '""'):
            return value
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return _decode_literal(text, value)
    return value


def _decode_literal(text: str, fallback: str) -> Any:
    if len(text) > _LITERAL_CHARS or not text.startswith(("{'", "[{'", "['")) or _nesting(text) > _LITERAL_DEPTH:
        return fallback
    try:
        # What JSON cannot say, keys that are tuples and numbers of thousands of digits, no reader could write out again.
        return json.loads(json.dumps(ast.literal_eval(text), default=str))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return fallback


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest


def is_structured(value: Any) -> bool:
    """True for a list or dict, or text that holds one."""
    return isinstance(decode_value(value), list | dict)


def to_text(value: Any) -> str:
    """Return the value as a person would read it: strings as they are, structures as indented JSON. Never raises.

    Nested deeper than anybody reads, the JSON stands on one line.
    """
    decoded = decode_value(value) if isinstance(value, str) and len(value) <= PRETTY_CHARS else value
    if isinstance(decoded, str):
        return decoded
    if decoded is None:
        return "null" if isinstance(value, str) else ""
    try:
        return json.dumps(decoded, indent=None if _is_deep(decoded) else 2, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return value if isinstance(value, str) else repr(type(value))


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_PRETTY_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, list | dict)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
