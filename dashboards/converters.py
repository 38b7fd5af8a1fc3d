"""What may stand in a path."""

from __future__ import annotations


class AnyText:
    """Path converter: whatever a sender may call a session or a user, slashes and line breaks included."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
