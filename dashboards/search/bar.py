"""The answer to a person who types a query: what may come next, and what is wrong with what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict

from django.core.cache import cache
from django.http import JsonResponse

from dashboards.search.completion import complete
from dashboards.search.query_string import MAX_QUERY_CHARACTERS, SearchRefused, parse_search
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError, parse_query
from tracestore.language.fields import TRACE_NAMES, Known
from tracestore.model import FacetValue
from tracestore.queries.offers import Wanted
from tracestore.timerange import TimeRange
from tracestore.web.requests import PageRequest

# A person types on in the same field: the values that occur are counted once, not for each key.
_KEEP_S = 30

CountOffers = Callable[[PageRequest, TimeRange, Wanted], list[FacetValue]]


def answer_typing(request: PageRequest, count: CountOffers, known: Known = TRACE_NAMES, noun: str = "trace") -> JsonResponse:
    """Return {"start": int, "items": [{label, insert, help, more}], "problem": {message, position, length, suggestion} or null}.

    Offers are for the word before `cursor`, the problem is of the whole text `q`. `count` reads the values of the open range;
    when they cannot be had in time there are none.
    """
    text = request.GET.get("q", "")[:MAX_QUERY_CHARACTERS]
    position = request.GET.get("cursor", "")
    cursor = min(int(position), len(text)) if position.isascii() and position.isdigit() and len(position) < 9 else len(text)

    def count_values(wanted: Wanted) -> list[FacetValue]:
        times = {name: request.GET.get(name, "") for name in ("start", "end")}
        asked = repr((request.project.id, noun, times, wanted))
        key = "offers:" + hashlib.sha256(asked.encode("utf-8", "backslashreplace")).hexdigest()
        found: list[FacetValue] | None = cache.get(key)
        if found is None:
            try:
                found = count(request, parse_search(times).time_range, wanted)
            except (SearchRefused, StoreError):
                found = []
            cache.set(key, found, _KEEP_S)
        return found

    offers = complete(text, cursor, count_values, known, noun)
    return JsonResponse(asdict(offers) | {"problem": _find_problem(text, known)})


def _find_problem(text: str, known: Known) -> dict[str, str | int] | None:
    try:
        parse_query(text, known)
    except QueryError as error:
        return {
            "message": error.message,
            "position": error.position,
            "length": error.length,
            "suggestion": error.suggestion,
        }
    return None
