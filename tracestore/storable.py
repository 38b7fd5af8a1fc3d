"""What the relational database can hold of texts that come from traces."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> Any:
    """Return text, also within lists and dicts, with U+FFFD in place of U+0000, which Postgres refuses in text and in JSON.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value
