"""The download of what the trace list shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from dashboards.search.query_string import SearchRefused, parse_search
from dashboards.trace_list.columns import read_listing
from dashboards.trace_list.export import MAX_TRACES, PAGE_SIZE, stream_csv, stream_json
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.model import Page, TraceSummary
from tracestore.queries.metrics.series import metric_value
from tracestore.queries.traces import find_traces
from tracestore.web.requests import PageRequest

_FORMATS = {"csv": (stream_csv, "text/csv; charset=utf-8"), "json": (stream_json, "application/json")}


@require_GET
def trace_export(request: PageRequest, kind: str) -> HttpResponseBase:
    """The first MAX_TRACES traces that match, in the order of the list; the file's name says how many of how many."""
    if kind not in _FORMATS:
        return _refuse("There are csv and json.", 404)
    try:
        search = parse_search(request.GET)
        find = partial(
            find_traces, get_store().for_download(), project_id=request.project.id, time_range=search.time_range,
            query=search.query, sort=read_listing(request.GET, {}).sort,
        )  # fmt: skip
        first = find(limit=PAGE_SIZE)
        matching = metric_value(
            get_store(), project_id=request.project.id, time_range=search.time_range, query=search.query, metric="requests"
        )
    except SearchRefused as refused:
        return _refuse(str(refused), 422)
    except StoreError as error:
        return _refuse(str(error), 503)

    def read_pages() -> Iterator[Page[TraceSummary]]:
        page, sent = first, len(first.items)
        yield page
        while page.next_cursor and sent < MAX_TRACES:
            page = find(limit=min(PAGE_SIZE, MAX_TRACES - sent), cursor=page.next_cursor)
            sent += len(page.items)
            yield page

    stream, content_type = _FORMATS[kind]
    count = int(matching or 0)
    name = f"traces-first-{MAX_TRACES}-of-{count}" if count > MAX_TRACES else f"traces-{count}"
    response = StreamingHttpResponse(without_blocking(stream(read_pages())), content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    return response


def _refuse(message: str, status: int) -> HttpResponse:
    return HttpResponse(message, content_type="text/plain; charset=utf-8", status=status)


async def without_blocking(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Make a piece in a thread when the client has taken the one before: Django would gather a plain iterator in memory."""
    take_next = sync_to_async(lambda: next(pieces, None))
    while (piece := await take_next()) is not None:
        yield piece
