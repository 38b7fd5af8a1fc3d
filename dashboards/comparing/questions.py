"""Which runs were asked the same: what to search for, and whether a run that holds it was asked just that. Pure."""

from __future__ import annotations

import re

# Most of a question that is searched for: a query has at most 2,000 characters.
_MOST_CHARS = 200
# A shorter phrase stands in too many traces to be worth a search.
_LEAST_CHARS = 8
# JSON escapes quotes, backslashes and line ends always, and in many SDKs angle brackets, ampersands and all beyond ASCII.
_ESCAPED = re.compile(r'["\\<>&\x00-\x1f\x7f-\U0010ffff]+')


def find_phrase(asked: str) -> str:
    """Return the longest part of a question that stands in stored JSON as it is, "" when all parts are short."""
    longest = max((part.strip() for part in _ESCAPED.split(asked)), key=len)
    if len(longest) > _MOST_CHARS:
        longest = longest[:_MOST_CHARS].rpartition(" ")[0] or longest[:_MOST_CHARS]
    return longest if len(longest) >= _LEAST_CHARS else ""


def is_same_question(one: str, other: str) -> bool:
    """Compare what two runs were asked, whatever the case and the white space."""
    return bool(one.strip()) and one.casefold().split() == other.casefold().split()


def may_begin(beginning: str, question: str) -> bool:
    """Whether a question that begins so, as far as a list shows it, may be this one; "" tells nothing."""
    return " ".join(question.casefold().split()).startswith(beginning.casefold())
