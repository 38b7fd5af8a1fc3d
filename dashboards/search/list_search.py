"""What the lists of errors, sessions and users are asked: query and range, and parameters beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.http import QueryDict

from dashboards.search.query_string import Search, parse_search

PAGE_SIZE = 50
_MAX_OFFSET_DIGITS = 5


@dataclass(frozen=True)
class ListSearch(Search):
    """A search whose links keep further parameters, such as the order of the list. They can be changed as the others can."""

    kept: Mapping[str, str] = field(default_factory=dict)

    def querystring(self, **changes: str) -> str:
        return super().querystring(**{**self.kept, **changes})


def parse_list_search(params: QueryDict, **choices: Sequence[str]) -> ListSearch:
    """Read query, range and, of each further parameter, one of its choices: the first, kept as "", where it has none of them.

    Raises SearchRefused.
    """
    search = parse_search(params)
    kept = {name: params.get(name, "") for name in choices}
    kept = {name: value if value in choices[name][1:] else "" for name, value in kept.items()}
    return ListSearch(**vars(search), kept=kept)


def read_offset(params: QueryDict) -> int:
    """Return how many rows of the list the page has already; 0 for what is no number."""
    text = params.get("offset", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_OFFSET_DIGITS else 0
