"""The query string that list, dashboard and alert links share: `?q=<query>&start=<time>&end=<time>`.

    search = parse_search(request.GET)          # Search, or raises SearchRefused
    find_traces(store, ..., time_range=search.time_range, query=search.query)

A page answers SearchRefused with status 422 and the same template: `search` then carries the texts as typed and what is wrong
with them, which templates/dashboards/_search_bar.html shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tracestore.language import Query, QueryError, parse_query
from tracestore.timerange import NS_PER_S, TimeError, TimeRange, format_time_ns, parse_time_ns, parse_time_range

# Longer texts come from no person and no link of ours; the parser need not see them.
MAX_QUERY_CHARACTERS = 4_000
PRESETS = (
    ("now-15m", "Last 15 minutes"),
    ("now-1h", "Last hour"),
    ("now-6h", "Last 6 hours"),
    ("now-24h", "Last 24 hours"),
    ("now-7d", "Last 7 days"),
    ("now-30d", "Last 30 days"),
)
DEFAULT_START = "now-24h"
_HOUR_NS = 3600 * NS_PER_S
_AGO = re.compile(r"now-([1-9]\d{0,5})([smhdw])")
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}


@dataclass(frozen=True)
class Problem:
    """What is wrong with one field (`q`, `start` or `end`). `position` and `length` mark the culprit in a query text."""

    field: str
    message: str
    position: int = 0
    length: int = 0
    suggestion: str = ""


@dataclass(frozen=True)
class _Texts:
    """The three texts as typed, and the links that change one of them; these keep the `extra` parameters of the page."""

    text: str
    start: str
    end: str
    extra: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def querystring(self, **changes: str) -> str:
        """Return `?q=...&start=...&end=...&...` with `changes` applied, empty values and the default start left out."""
        values = {"q": self.text, "start": self.start, "end": self.end} | dict(self.extra) | changes
        if values["start"] == DEFAULT_START and not values["end"]:
            values["start"] = ""
        return "?" + urlencode({name: value for name, value in values.items() if value})

    @property
    def href(self) -> str:
        return self.querystring()

    @property
    def is_live(self) -> bool:
        """True when the range ends now and so moves with time."""
        return self.end.strip() in ("", "now")

    @property
    def is_relative(self) -> bool:
        """True when the same texts mean other times later."""
        return self.is_live or any(text.strip().startswith("now") for text in (self.start, self.end))

    @property
    def preset(self) -> str:
        """The start of the chosen preset, "" when the range is none of them."""
        start = self.start.strip() or DEFAULT_START
        return start if self.is_live and any(start == value for value, _ in PRESETS) else ""

    @property
    def range_label(self) -> str:
        """What the time picker's button says."""
        if self.preset:
            return dict(PRESETS)[self.preset]
        start, end = _short(self.start), _short(self.end)
        if self.is_live and (ago := _AGO.fullmatch(start)):
            return f"Last {ago[1]} {_UNITS[ago[2]]}s" if ago[1] != "1" else f"Last {_UNITS[ago[2]]}"
        if _is_moment(start) and _is_moment(end):
            end = end[11:] if start[:10] == end[:10] else end.removeprefix(start[:5])
        return f"{start or 'a day before'} to {end or 'now'}"

    @property
    def preset_links(self) -> list[tuple[str, str, str]]:
        """(start, label, href) per preset."""
        return [(start, label, self.querystring(start=start, end="")) for start, label in PRESETS]


@dataclass(frozen=True)
class Search(_Texts):
    """A search that can be run."""

    query: Query
    time_range: TimeRange
    problems: tuple[Problem, ...] = ()


class SearchRefused(ValueError):
    """A search that cannot be run; `draft` goes into the template in place of a Search."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(" ".join(problem.message for problem in draft.problems))
        self.draft = draft


@dataclass(frozen=True)
class Draft(_Texts):
    """Texts that are no search yet, with at least one problem."""

    problems: tuple[Problem, ...]

    @property
    def query_problem(self) -> Problem | None:
        return next((problem for problem in self.problems if problem.field == "q"), None)

    @property
    def marked_text(self) -> tuple[str, str, str]:
        """The query text cut into what precedes the culprit, the culprit, and what follows."""
        problem = self.query_problem
        if problem is None:
            return self.text, "", ""
        first, last = problem.position, problem.position + max(1, problem.length)
        # An error at the very end ("status:") has nothing to underline: mark a space.
        return self.text[:first], self.text[first:last] or " ", self.text[last:]

    @property
    def suggestion_href(self) -> str:
        """A link to the corrected search, "" when the parser has no suggestion."""
        problem = self.query_problem
        if problem is None or not problem.suggestion:
            return ""
        before, _, after = self.marked_text
        return self.querystring(q=before + problem.suggestion + after)


def widen_range(first_ns: int, last_ns: int, now_ns: int) -> tuple[str, str]:
    """Return start and end, as texts, of the smallest preset that holds both moments, else of an hour more on either side."""
    for start, _ in PRESETS:
        if parse_time_ns(start, now_ns) < first_ns <= last_ns < now_ns:
            return start, ""
    return format_time_ns(max(0, first_ns - _HOUR_NS)), format_time_ns(last_ns + _HOUR_NS)


def describe_range(params: Mapping[str, str]) -> str:
    """Return in words the time range of a query string that may not be valid any more."""
    return _Texts("", params.get("start", ""), params.get("end", "")).range_label


def _short(time_text: str) -> str:
    """2026-11-20T08:30:00.000000000Z as 2026-11-20 08:30, with the seconds where there are some; other forms as typed."""
    text = time_text.strip()
    return text[:19].replace("T", " ").removesuffix(":00") if len(text) > 19 and text[10:11] == "T" else text


def _is_moment(short_text: str) -> bool:
    return len(short_text) >= 16 and short_text[4] == short_text[7] == "-" and short_text[10] == " "


def parse_search(params: Mapping[str, str], now_ns: int | None = None, parse: Callable[[str], Query] = parse_query) -> Search:
    """Read a query string, its query by `parse`. Raises SearchRefused, naming every text that is wrong, not only the first."""
    text, start, end = (params.get(name, "") for name in ("q", "start", "end"))
    problems: list[Problem] = []
    query = time_range = None
    if len(text) > MAX_QUERY_CHARACTERS:
        problems.append(Problem("q", f"The query is longer than {MAX_QUERY_CHARACTERS:,} characters.", MAX_QUERY_CHARACTERS))
    else:
        try:
            query = parse(text)
        except QueryError as error:
            problems.append(Problem("q", error.message, error.position, error.length, error.suggestion))
    try:
        time_range = parse_time_range(start, end, now_ns)
    except TimeError as error:
        problems.append(Problem("start" if start.strip() else "end", f"Time range: {error}."))
    if query is None or time_range is None:
        raise SearchRefused(Draft(text, start, end, tuple(problems)))
    return Search(text, start, end, query, time_range)


def time_range_querystring(search: Search, start_ns: int, end_ns: int) -> str:
    """The query string of the same search over [start_ns, end_ns): for a bar or a point of a chart."""
    return search.querystring(start=format_time_ns(start_ns), end=format_time_ns(end_ns))
