"""Which alerts a route or a silence is about: `rule:"Refunds fail" severity:critical tool:refund* -version:v2`.

Terms are `name:pattern`; all must hold, `-` before one turns it round. A name is `rule`, `severity`, `metric` or a label of the
alert; a label that an alert does not have is empty. In a pattern `*` stands for any text, and letters match whatever their case;
`*` alone asks for a value that is not empty. The empty text matches every alert. It looks like the query language, but that one
asks about traces and this one about alerts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MAX_LENGTH = 500
_TERM = re.compile(r'\s*(?P<minus>-)?(?P<name>[\w.]{1,100}):(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"]+))(?=\s|$)')


class MatcherError(ValueError):
    """A text that is no matcher; says what is wrong with it."""


@dataclass(frozen=True)
class _Term:
    name: str
    pattern: str
    negated: bool

    def holds(self, facts: Mapping[str, str]) -> bool:
        return _fits(facts.get(self.name, "").casefold(), self.pattern.casefold()) != self.negated


@dataclass(frozen=True)
class Matcher:
    """A matcher that was read."""

    terms: tuple[_Term, ...]

    def matches(self, facts: Mapping[str, str]) -> bool:
        """`facts` are what `alert_facts` returns."""
        return all(term.holds(facts) for term in self.terms)

    def may_match(self, facts: Mapping[str, str], unknown: Collection[str]) -> bool:
        """Tell whether some alert with these facts matches, whatever it says under the `unknown` names."""
        return all(term.name in unknown or term.holds(facts) for term in self.terms)


def parse_matcher(text: str) -> Matcher:
    """Raises MatcherError with a sentence."""
    if len(text) > MAX_LENGTH:
        raise MatcherError(f"A matcher has at most {MAX_LENGTH} characters.")
    terms = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TERM.match(text, position, end)
        if match is None:
            word = text[position:].split()[0]
            raise MatcherError(f"{word[:60]!r} is not understood: write name:value, such as severity:critical or tool:refund.")
        value = re.sub(r"\\(.)", r"\1", match["quoted"]) if match["quoted"] is not None else match["bare"]
        terms.append(_Term(match["name"], value, bool(match["minus"])))
        position = match.end()
    return Matcher(tuple(terms))


def _fits(text: str, pattern: str) -> bool:
    """Each part between two stars where it first occurs: linear, where a regular expression could backtrack for hours."""
    if pattern and not pattern.strip("*"):
        return bool(text)
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def alert_facts(*, rule: str, severity: str, metric: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return what a matcher sees of an alert. A label cannot hide the rule's name or severity."""
    return {name: str(value) for name, value in labels.items()} | {"rule": rule, "severity": severity, "metric": metric}


def format_term(name: str, value: str) -> str:
    """Return the term that asks for this value."""
    return f'{name}:"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
