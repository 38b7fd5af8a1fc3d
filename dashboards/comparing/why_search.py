"""What the page "Why" is asked: a query, what to compare with, a brushed part of the range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from dashboards.search.query_string import Draft, Problem, Search, SearchRefused, parse_search
from tracestore.language import Query
from tracestore.language.tree import Node
from tracestore.queries.why.fields import OUTCOME_FIELDS
from tracestore.queries.why.sides import Selection
from tracestore.timerange import TimeError, TimeRange, parse_time_ns

# The parameters that only this page has.
_OWN = ("against", "selected_from", "selected_to")


@dataclass(frozen=True)
class WhySearch:
    """Which traces, against which others: `against_text` "" stands for all others of the range.

    `window_texts` are the times between which the selected traces start, "" for those of the range.
    """

    search: Search
    against_text: str
    against: Query
    window_texts: tuple[str, str] = ("", "")
    window: TimeRange | None = None

    @property
    def selection(self) -> Selection:
        return Selection(self.search.query, self.window)

    def querystring(self, **changes: str) -> str:
        """Return `?q=...&start=...&end=...&against=...` and so on with `changes` applied and empty values left out."""
        own = dict(zip(_OWN, (self.against_text, *self.window_texts), strict=True))
        own |= {name: changes.pop(name) for name in own if name in changes}
        shared = self.search.querystring(**changes)
        more = urlencode({name: value for name, value in own.items() if value})
        return shared + ("&" if more and len(shared) > 1 else "") + more

    @property
    def month_href(self) -> str:
        """The same question over the last 30 days."""
        return self.querystring(start="now-30d", end="")

    @property
    def context(self) -> str:
        """The conditions of the query that say where to look, without those that say how a trace went."""
        return " ".join(
            self.search.text[node.start : node.end] for node in self.search.query.conditions if not _is_question(node)
        )

    @property
    def question(self) -> str:
        """The rest of the query."""
        return " ".join(self.search.text[node.start : node.end] for node in self.search.query.conditions if _is_question(node))


def _is_question(node: Node) -> bool:
    return any(term.field in OUTCOME_FIELDS for term in Query("", node).terms())


def parse_why(params: Mapping[str, str]) -> WhySearch:
    """Read `q`, `against`, `start` and `end`, and of a brushed area `selected_from` and `selected_to`. Raises SearchRefused."""
    search = parse_search(params)
    text = params.get("against", "")
    window_texts = (params.get("selected_from", ""), params.get("selected_to", ""))
    window = None
    try:
        against = parse_search({"q": text}).query
        if any(part.strip() for part in window_texts):
            window = _parse_window(search.time_range, *window_texts)
    except SearchRefused as refused:
        problems = tuple(replace(problem, field="against") for problem in refused.draft.problems)
    except TimeError as error:
        problems = (Problem("selected_from", f"Selected time: {error}."),)
    else:
        return WhySearch(search, text, against, window_texts, window)
    raise SearchRefused(Draft(search.text, search.start, search.end, problems))


def _parse_window(time_range: TimeRange, first: str, last: str) -> TimeRange:
    """An end that is not given is that of the range. Raises TimeError."""
    start_ns = parse_time_ns(first) if first.strip() else time_range.start_ns
    return TimeRange(start_ns, parse_time_ns(last) if last.strip() else time_range.end_ns)
