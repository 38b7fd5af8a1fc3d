"""The list of log records, of traces and of none: the page, what the search bar offers, and one text of a record whole."""

from __future__ import annotations

import time

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.refusal import refuse
from dashboards.search.bar import answer_typing
from dashboards.search.query_string import Search, SearchRefused, parse_search
from dashboards.trace.logs import LogRow, build_log_rows, find_record_text
from dashboards.views.setup import build_setup, ever
from dashboards.views.traces import widened_href
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import Query, parse_log_query
from tracestore.language.fields import LOG_FIELDS, LOG_NAMES
from tracestore.model import FacetValue, LogRecord
from tracestore.queries.logs import COUNTED, count_log_values, find_logs, get_log
from tracestore.queries.offers import Wanted
from tracestore.queries.paging import CursorError
from tracestore.timerange import TimeRange
from tracestore.web.requests import PageRequest

PAGE_SIZE = 50
_COMPLETION_VALUES = 200
# Label, and the query it stands for.
_PRESETS = (
    ("Errors", "severity:(error OR fatal) OR event:(*error OR *exception)"),
    ("Exceptions", "attr.exception.type:*"),
    ("Evaluations", "event:gen_ai.evaluation.result"),
    ("Decisions", "event:*tool_decision"),
)


@require_GET
@vary_on_headers("HX-Request")
def log_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx the rows that follow `cursor`."""
    try:
        search = parse_search(request.GET, parse=parse_log_query)
    except SearchRefused as refused:
        return render(request, "dashboards/log_list.html", {"search": refused.draft, "fields": LOG_FIELDS}, status=422)
    presets = [(label, text, search.querystring(q=text), search.text.strip() == text) for label, text in _PRESETS]
    context: dict[str, object] = {"search": search, "presets": presets}
    try:
        page = find_logs(
            get_store(), project_id=request.project.id, time_range=search.time_range, query=search.query, limit=PAGE_SIZE,
            cursor=request.GET.get("cursor", ""),
        )  # fmt: skip
        rows = build_log_rows(page.items, 0)
        opened = _find_opened(request)
        is_listed = any(row.key == opened.key for row in rows) if opened else False
        context |= {"rows": rows, "next_cursor": page.next_cursor, "opened": opened, "is_opened_listed": is_listed}
        if not page.items and not request.htmx:
            context |= _explain_emptiness(request, search)
    except CursorError:
        return refuse(request, "The cursor is not one that this list gave out.", "cursor")
    except StoreError as error:
        return render(request, "dashboards/log_list.html", context | {"store_error": str(error)}, status=503)
    return render(request, "dashboards/_log_list_rows.html" if request.htmx else "dashboards/log_list.html", context)


def _find_opened(request: PageRequest) -> LogRow | None:
    """Return the record that the address says is open (`record=<time in ns>-<id>`), None when there is none."""
    time_ns, _, record_id = request.GET.get("record", "").partition("-")
    if request.htmx or not (time_ns.isascii() and time_ns.isdigit() and len(time_ns) < 20):
        return None
    record = get_log(get_store(), project_id=request.project.id, time_ns=int(time_ns), record_id=record_id.lower())
    return build_log_rows([record], 0)[0] if record else None


def _explain_emptiness(request: PageRequest, search: Search) -> dict[str, object]:
    """Tell a project without any record from a search that matches none, and find where the records are."""
    newest = _find_newest(request, parse_log_query(""))
    if newest is None:
        return {"setup": build_setup(request)}
    match = _find_newest(request, search.query) if search.text.strip() else newest
    widened = widened_href(search, match.time_ns, time.time_ns()) if match else ""
    return {"newest": match, "widened_href": widened, "all_href": search.querystring(q="")}


def _find_newest(request: PageRequest, query: Query) -> LogRecord | None:
    found = find_logs(get_store(), project_id=request.project.id, time_range=ever(), query=query, limit=1).items
    return found[0] if found else None


@require_GET
def log_complete(request: PageRequest) -> JsonResponse:
    """What the search bar may offer at `cursor`, as for traces."""
    return answer_typing(request, _count_offers, LOG_NAMES, "record")


def _count_offers(request: PageRequest, time_range: TimeRange, wanted: Wanted) -> list[FacetValue]:
    if wanted.field not in COUNTED:
        return []
    return count_log_values(
        get_store(), project_id=request.project.id, time_range=time_range, field=wanted.field, limit=_COMPLETION_VALUES
    )


@require_GET
def log_text(request: PageRequest, time_ns: int, record_id: str) -> HttpResponse:
    """One text of a record whole and as sent, by the reference (`?ref=`) that its row gave."""
    try:
        record = get_log(get_store(), project_id=request.project.id, time_ns=time_ns, record_id=record_id.lower())
    except StoreError as error:
        return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)
    text = find_record_text(record, request.GET.get("ref", "")) if record else None
    if text is None:
        return HttpResponse("There is no such text.", content_type="text/plain; charset=utf-8", status=404)
    return HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
