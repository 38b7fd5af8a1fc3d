"""The errors page: failed traces by their error, one error with its traces, and the team's decision about it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from dashboards.error_rows import ErrorRow, build_error_row
from dashboards.refusal import refuse
from dashboards.search.list_search import PAGE_SIZE, ListSearch, parse_list_search, read_offset
from dashboards.search.query_string import Search, SearchRefused
from dashboards.trace.step_panel import Failure, build_panel
from dashboards.trends import TREND_HEIGHT, trend_buckets, trend_step_s
from dashboards.views.setup import find_newest_trace
from dashboards.views.traces import widened_href
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.errors import REGRESSED, STATES, change_state, find_tracked_errors
from tracestore.fingerprint import FINGERPRINT_HEX_DIGITS
from tracestore.language import add_filter, join_queries, parse_query
from tracestore.language.fields import FIELDS
from tracestore.models import ErrorState
from tracestore.queries.errors import MAX_GROUPS, SORTS, count_shares
from tracestore.queries.spans import get_span, is_id
from tracestore.queries.traces import find_traces, has_any_trace
from tracestore.web.requests import PageRequest

_SAMPLES = 10
# Value of `show`, label, and the states that it stands for; "new" and "regressed" ask for open errors of their kind.
SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "open": ("Open", ("open", REGRESSED)),
    "new": ("New", ("open", REGRESSED)),
    REGRESSED: ("Regressed", (REGRESSED,)),
    "resolved": ("Resolved", ("resolved",)),
    "ignored": ("Ignored", ("ignored",)),
    "all": ("All", STATES),
}
# Fields of the language that an error is counted by, and how the page calls them.
_SHARES = (
    ("version", "Version"), ("tool_error", "Failed tool"), ("agent", "Agent"), ("model", "Model"), ("env", "Environment"),
    ("service", "Service"),
)  # fmt: skip


def _find_rows(request: PageRequest, search: Search, show: str, sort: str) -> tuple[list[ErrorRow], bool]:
    """Return the rows, and whether there are more errors than were looked at."""
    errors = find_tracked_errors(
        get_store(), project_id=request.project.pk, time_range=search.time_range, query=search.query, sort=sort,
        step_s=trend_step_s(search.time_range), states=SHOWN[show][1],
    )  # fmt: skip
    rows = [build_error_row(error, search.time_range) for error in errors.items]
    return [row for row in rows if row.is_new or show != "new"], errors.is_cut


@require_GET
@vary_on_headers("HX-Request")
def error_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx the rows after `offset`."""
    try:
        search = parse_list_search(request.GET, show=tuple(SHOWN), sort=tuple(SORTS))
    except SearchRefused as refused:
        return render(request, "dashboards/error_list.html", {"search": refused.draft, "fields": FIELDS}, status=422)
    show, sort = search.kept["show"] or "open", search.kept["sort"] or "traces"
    context: dict[str, Any] = {
        "search": search,
        "search_extra": {name: value for name, value in search.kept.items() if value},
        "chips": [(name, label, search.querystring(show=name if name != "open" else "")) for name, (label, _) in SHOWN.items()],
        "sorts": {name: search.querystring(sort=name if name != "traces" else "") for name in SORTS},
        "show": show,
        "sort": sort,
        "buckets": trend_buckets(search.time_range),
        "height": TREND_HEIGHT,
    }
    try:
        rows, is_cut = _find_rows(request, search, show, sort)
    except StoreError as error:
        return render(request, "dashboards/error_list.html", context | {"store_error": str(error)}, status=503)
    offset = read_offset(request.GET)
    following = offset + PAGE_SIZE
    context |= {
        "rows": rows[offset:following],
        "more_href": search.querystring(offset=str(following)) if following < len(rows) else "",
        "is_cut": is_cut,
        "max_groups": MAX_GROUPS,
    }
    if request.htmx:
        return render(request, "dashboards/_error_rows.html", context)
    if not rows:
        context |= _explain_emptiness(request, search)
    return render(request, "dashboards/error_list.html", context)


def _explain_emptiness(request: PageRequest, search: ListSearch) -> dict[str, Any]:
    """Tell a project without traces from one without failures, and find where the failures are."""
    store, project_id = get_store(), request.project.pk
    if not has_any_trace(store, project_id=project_id):
        return {"has_no_traces": True}
    failed = parse_query(join_queries(search.text, "fingerprint:*"))
    newest = find_newest_trace(store, project_id=project_id, query=failed)
    if newest is None or search.time_range.start_ns <= newest.start_ns < search.time_range.end_ns:
        return {}
    return {"newest": newest, "widened_href": widened_href(search, newest.start_ns, time.time_ns())}


@require_GET
def error_detail(request: PageRequest, fingerprint: str) -> HttpResponse:
    """One error over the range: what it says, where it happens, traces opened at the failing step."""
    try:
        search = parse_list_search(request.GET)
    except SearchRefused as refused:
        return render(request, "dashboards/error_detail.html", {"search": refused.draft, "fields": FIELDS}, status=422)
    context: dict[str, Any] = {"search": search, "fingerprint": fingerprint}
    if not is_id(fingerprint, FINGERPRINT_HEX_DIGITS):
        return render(request, "dashboards/error_detail.html", context, status=404)
    try:
        context |= _read_error(request, search, fingerprint)
    except StoreError as error:
        return render(request, "dashboards/error_detail.html", context | {"store_error": str(error)}, status=503)
    found = context["row"] is not None or context["newest"] is not None
    return render(request, "dashboards/error_detail.html", context, status=200 if found else 404)


def _read_error(request: PageRequest, search: ListSearch, fingerprint: str) -> dict[str, Any]:
    store, project_id = get_store(), request.project.pk
    text = add_filter(search.text, "fingerprint", fingerprint)
    query = parse_query(text)
    errors = find_tracked_errors(
        store, project_id=project_id, time_range=search.time_range, query=query, step_s=trend_step_s(search.time_range)
    )
    if not errors.items:
        newest = find_newest_trace(store, project_id=project_id, query=parse_query(f"fingerprint:{fingerprint}"))
        href = widened_href(search, newest.start_ns, time.time_ns()) if newest else ""
        return {"row": None, "newest": newest, "widened_href": href}
    row = build_error_row(errors.items[0], search.time_range)
    shares = count_shares(store, project_id=project_id, time_range=search.time_range, query=query)
    samples = find_traces(store, project_id=project_id, time_range=search.time_range, query=query, limit=_SAMPLES)
    versions = shares.get("version", [])
    return {
        "row": row,
        "newest": None,
        "search_href": search.querystring(q=text),
        "shares": [
            (field, label, [(share, search.querystring(q=add_filter(text, field, share.value))) for share in shares[field]])
            for field, label in _SHARES
            if field in shares
        ],
        "first_version": min(versions, key=lambda share: share.first_ns).value if versions else "",
        "samples": samples.items,
        "failure": _find_failure(request, row),
        "text_url": reverse("span-text", args=[row.trace_id, row.failing_span_id]) if row.failing_span_id else "",
        "why_href": reverse("why") + search.querystring(q=text),
    }


def _find_failure(request: PageRequest, row: ErrorRow) -> Failure | None:
    """Return the error of the newest trace's failing step, None where it says nothing of its own."""
    try:
        span = get_span(get_store(), project_id=request.project.pk, trace_id=row.trace_id, span_id=row.failing_span_id)
    except TraceNotFound:
        return None
    return build_panel(span).failure


@require_POST
def error_state(request: PageRequest, fingerprint: str) -> HttpResponse:
    """Resolve, ignore or reopen an error, and go back to it."""
    status = request.POST.get("status", "")
    if status not in ErrorState.Status.values or not is_id(fingerprint, FINGERPRINT_HEX_DIGITS):
        return refuse(request, f"status must be one of {', '.join(ErrorState.Status.values)}.", "status")
    known = change_state(
        get_store(),
        project_id=request.project.pk,
        fingerprint=fingerprint,
        status=ErrorState.Status(status),
        resolved_version=request.POST.get("version", ""),
        changed_by=request.user.get_username() if request.user.is_authenticated else "",
        now=timezone.now(),
    )
    if not known:
        return HttpResponse("There is no such error.", content_type="text/plain; charset=utf-8", status=404)
    kept = {name: value for name in ("q", "start", "end") if (value := request.POST.get(name, ""))}
    return redirect(reverse("error-detail", args=[fingerprint]) + (f"?{urlencode(kept)}" if kept else ""))
