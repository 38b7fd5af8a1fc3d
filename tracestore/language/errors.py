"""What the language refuses, said so that a person can mend it."""

from __future__ import annotations


class QueryError(ValueError):
    """A query text that has no meaning. `str(error)` is one or two full sentences.

    `position` and `length` count characters of the query text and mark what to underline. `suggestion` is a text to put in
    that place, "" when there is none to offer.
    """

    def __init__(self, message: str, position: int = 0, length: int = 0, suggestion: str = "") -> None:
        super().__init__(f"{message} Did you mean {suggestion}?" if suggestion else message)
        self.message = message
        self.position = position
        self.length = length
        self.suggestion = suggestion
