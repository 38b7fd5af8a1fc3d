"""How the trace list is shown: its columns, its order, whether it is live. All of it stands in the URL, as the search does.

`?cols=status,name,cost&sort=-cost&live=1`; without `cols` those of the reader's last choice are shown, which a cookie keeps.
How wide columns are is a matter of the reader's window: a cookie alone keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dashboards.search.query_string import DEFAULT_START, Draft, Search
from tracestore.queries.traces import SORTS

Texts = TypeVar("Texts", Search, Draft)

COLUMNS_COOKIE, WIDTHS_COOKIE = "columns", "widths"


@dataclass(frozen=True)
class Column:
    """One column. `sort` is the key of SORTS that orders by it, "" for none."""

    name: str
    label: str
    sort: str = ""
    is_number: bool = False
    is_default: bool = True
    help: str = ""


COLUMNS = (
    Column("status", "Status"),
    Column("name", "Trace"),
    Column("version", "Version"),
    Column("tools", "Tools"),
    Column("error", "Error"),
    Column("answered", "Answer", is_default=False),
    Column("agents", "Agents", is_default=False),
    Column("models", "Models", is_default=False),
    Column("workflow", "Workflow", is_default=False),
    Column("environment", "Environment", is_default=False),
    Column("user", "User", is_default=False),
    Column("session", "Session", is_default=False),
    Column("scores", "Scores", is_default=False, help="What people and evaluations say of it"),
    Column("duration", "Duration", sort="duration", is_number=True),
    Column("tokens", "Tokens", sort="tokens", is_number=True, help="Tokens in \u2192 out"),
    Column("cost", "Cost", sort="cost", is_number=True, help="In US dollars"),
    Column("errors", "Errors", sort="errors", is_number=True, is_default=False, help="Steps that are errors"),
    Column("llm_calls", "Model calls", is_number=True, is_default=False),
    Column("spans", "Spans", sort="spans", is_number=True),
    Column("start", "Started", sort="start", is_number=True),
)
_BY_NAME = {column.name: column for column in COLUMNS}
_DEFAULT = tuple(column for column in COLUMNS if column.is_default)
# The row is the link to its trace, and the name is what the link says.
_ALWAYS = "name"
DEFAULT_SORT = "-start"
# More columns than this do not fit beside each other: the table then scrolls sideways.
_MOST_FITTING = 11
# Pixels, as in trace-columns.js. The name of a trace takes what the other columns leave, and at least so much of it.
_LEAST_WIDTH, _MOST_WIDTH, _LEAST_NAME_WIDTH = 48, 960, 200


@dataclass(frozen=True)
class Head:
    """A column's header: the link that sorts by it, and which way it is sorted now: "ascending", "descending" or "".

    `width` is in pixels, 0 where the style sheet decides.
    """

    column: Column
    href: str
    order: str
    width: int = 0


@dataclass(frozen=True)
class Listing:
    """What the reader chose. `columns` are in the order they are shown; `sort` is a key of SORTS, with a - before it for
    the largest first.

    `is_usual` when these are the columns of whoever chose none: links then need not name them. `widths` are the pixels of the
    columns that the reader has made wider or narrower.
    """

    columns: tuple[Column, ...]
    sort: str
    is_live: bool
    is_usual: bool = True
    widths: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_default_order(self) -> bool:
        return self.sort == DEFAULT_SORT

    @property
    def offered(self) -> list[Column]:
        """All columns: those that are shown in their order, then the rest."""
        return [*self.columns, *(column for column in COLUMNS if column not in self.columns)]

    @property
    def is_wide(self) -> bool:
        return len(self.columns) > _MOST_FITTING

    @property
    def shows_scores(self) -> bool:
        return _BY_NAME["scores"] in self.columns

    @property
    def is_name_sized(self) -> bool:
        return _ALWAYS in self.widths

    @property
    def extra(self) -> dict[str, str]:
        """The parameters that links of the page keep; what is as by default is left out."""
        chosen = {
            "cols": "" if self.is_usual else ",".join(column.name for column in self.columns),
            "sort": "" if self.is_default_order else self.sort,
            "live": "1" if self.is_live else "",
        }
        return {name: value for name, value in chosen.items() if value}


def read_listing(params: Mapping[str, str], cookies: Mapping[str, str]) -> Listing:
    """Read the choice; what is unknown in it is left out, so that an old link still opens."""
    remembered = _read_columns(cookies.get(COLUMNS_COOKIE, "").replace("|", ",")) or _DEFAULT
    columns = _read_columns(params.get("cols", "")) or remembered
    sort = params.get("sort", "")
    if sort.removeprefix("-") not in SORTS:
        sort = DEFAULT_SORT
    # Nothing new comes into a range that has ended, nor to a certain place in another order.
    is_live = params.get("live") == "1" and sort == DEFAULT_SORT and params.get("end", "").strip() in ("", "now")
    widths = _read_widths(cookies.get(WIDTHS_COOKIE, ""), columns)
    return Listing(columns, sort, is_live, is_usual=columns == _DEFAULT == remembered, widths=widths)


def _read_columns(text: str) -> tuple[Column, ...]:
    """Return the named columns in the order they are named, () when none is known."""
    names = list(dict.fromkeys(name for name in text.split(",") if name in _BY_NAME))
    if names and _ALWAYS not in names:
        names.insert(0, _ALWAYS)
    return tuple(_BY_NAME[name] for name in names)


def find_unknown(params: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the names of columns and the order, "" for none, that `read_listing` leaves out of these parameters."""
    columns = [name for name in params.get("cols", "").split(",") if name and name not in _BY_NAME]
    order = params.get("sort", "").removeprefix("-")
    return columns, "" if order in SORTS else order


def _read_widths(text: str, columns: tuple[Column, ...]) -> dict[str, int]:
    """Read `tools.300-error.420`: the pixels of those of the columns that it names."""
    widths = {name: min(_MOST_WIDTH, max(_LEAST_WIDTH, int(px))) for name, px in re.findall(r"(\w+)\.(\d{1,4})\b", text[:1000])}
    return {column.name: widths[column.name] for column in columns if column.name in widths}


def trace_params(search: Search, listing: Listing) -> str:
    """Return the query string that a link from the list to a trace carries: what the previous and the next trace are."""
    kept = replace(search, extra={} if listing.is_default_order else {"sort": listing.sort}).querystring()
    return kept if len(kept) > 1 else f"?start={DEFAULT_START}"


def keep_listing(search: Texts, listing: Listing) -> Texts:
    """Return the search with links that keep the choice."""
    return replace(search, extra=listing.extra)


def build_heads(search: Search, listing: Listing) -> list[Head]:
    """Return a header per column; a click on the one that is sorted by turns the order around, else the largest come first."""
    return [_build_head(search, listing, column) for column in listing.columns]


def _build_head(search: Search, listing: Listing, column: Column) -> Head:
    width = listing.widths.get(column.name, _LEAST_NAME_WIDTH if column.name == _ALWAYS and listing.widths else 0)
    if not column.sort:
        return Head(column, "", "", width)
    falling, rising = f"-{column.sort}", column.sort
    order = {falling: "descending", rising: "ascending"}.get(listing.sort, "")
    target = rising if order == "descending" else falling
    return Head(column, search.querystring(sort="" if target == DEFAULT_SORT else target, live=""), order, width)


def sort_links(search: Search, listing: Listing) -> list[tuple[str, str, bool]]:
    """(label, href, is it on?) of each order with the largest first, for where no header is seen."""
    return [
        (head.column.label, search.querystring(sort="" if head.column.sort == "start" else f"-{head.column.sort}", live=""),
         listing.sort == f"-{head.column.sort}")
        for head in build_heads(search, replace(listing, columns=COLUMNS)) if head.column.sort
    ]  # fmt: skip
