"""Sessions and users: the lists, a session as one conversation, a user's use, and one turn of a conversation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.error_rows import build_error_row
from dashboards.refusal import refuse, render_failed
from dashboards.search.list_search import PAGE_SIZE, ListSearch, parse_list_search, read_offset
from dashboards.search.query_string import SearchRefused
from dashboards.trace.conversation import build_turn, find_telling_steps
from dashboards.trace.logs import Score, read_scores
from dashboards.trends import TREND_HEIGHT, trend_buckets, trend_step_s
from dashboards.views.setup import find_newest_trace
from dashboards.views.traces import widened_href
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.errors import find_tracked_errors
from tracestore.language import add_filter, format_filter, join_queries, parse_log_query, parse_query
from tracestore.language.fields import FIELDS
from tracestore.model import TraceSummary
from tracestore.queries.logs import find_logs
from tracestore.queries.paging import CursorError
from tracestore.queries.sessions import SESSION, SORTS, USER, Usage, count_models, find_usages
from tracestore.queries.spans import get_spans
from tracestore.queries.traces import find_traces, get_trace, has_any_trace
from tracestore.semconv.scores import EVALUATION_EVENT
from tracestore.timerange import DAY_NS, TimeRange, format_time_ns
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

TURNS = 100  # of a session on one page; each loads its texts when it comes into view
_TURN_SPANS = 2_000
_SCORES = 100  # the latest
_USER_ERRORS, _USER_SESSIONS = 5, 10


@dataclass(frozen=True)
class _Kind:
    """What a list is about: the field of the language and the column, its words, `other` what a row names or counts besides."""

    field: str
    column: str
    one: str
    many: str
    other: str
    icon: str
    attribute: str


_SESSION = _Kind("session", SESSION, "session", "sessions", "user", "session", "session.id")
_USER = _Kind("user", USER, "user", "users", "sessions", "user", "user.id")


@require_GET
@vary_on_headers("HX-Request")
def session_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx the rows after `offset`."""
    return _list(request, _SESSION)


@require_GET
@vary_on_headers("HX-Request")
def user_list(request: PageRequest) -> HttpResponse:
    """As the list of sessions."""
    return _list(request, _USER)


def _list(request: PageRequest, kind: _Kind) -> HttpResponse:
    context: dict[str, Any] = {"kind": kind}
    try:
        search = parse_list_search(request.GET, sort=tuple(SORTS))
    except SearchRefused as refused:
        return render(request, "dashboards/usage_list.html", context | {"search": refused.draft, "fields": FIELDS}, status=422)
    sort, offset = search.kept["sort"] or "last", read_offset(request.GET)
    context |= {
        "search": search,
        "search_extra": {name: value for name, value in search.kept.items() if value},
        "sort": sort,
        "sorts": {name: search.querystring(sort=name if name != "last" else "") for name in SORTS},
    }
    try:
        usages = find_usages(
            get_store(), kind.column, project_id=request.project.pk, time_range=search.time_range, query=search.query, sort=sort,
            limit=PAGE_SIZE + 1, offset=offset,
        )  # fmt: skip
        if not usages and not request.htmx:
            context |= _explain_emptiness(request, search, kind)
    except StoreError as error:
        return render(request, "dashboards/usage_list.html", context | {"store_error": str(error)}, status=503)
    more_href = search.querystring(offset=str(offset + PAGE_SIZE)) if len(usages) > PAGE_SIZE else ""
    context |= {"usages": usages[:PAGE_SIZE], "more_href": more_href, "range_href": search.querystring(q="", sort="")}
    return render(request, "dashboards/_usage_rows.html" if request.htmx else "dashboards/usage_list.html", context)


def _explain_emptiness(request: PageRequest, search: ListSearch, kind: _Kind) -> dict[str, Any]:
    """Tell a project without traces from one whose senders name no session or user, and find where those are that do."""
    store, project_id = get_store(), request.project.pk
    if not has_any_trace(store, project_id=project_id):
        return {"has_no_traces": True}
    named = f"{kind.field}:*"
    match = find_newest_trace(store, project_id=project_id, query=parse_query(join_queries(search.text, named)))
    if match is not None:
        return {"newest": match, "widened_href": widened_href(search, match.start_ns, time.time_ns())}
    if search.text.strip() and find_newest_trace(store, project_id=project_id, query=parse_query(named)) is not None:
        return {}
    return {"has_none": True}


@require_GET
def session_detail(request: PageRequest, session_id: str) -> HttpResponse:
    """The conversation of a session: its traces in the order of their start, the newest TURNS before `cursor`."""
    try:
        search = parse_list_search(request.GET)
    except SearchRefused as refused:
        context = {"search": refused.draft, "fields": FIELDS, "session_id": session_id}
        return render(request, "dashboards/session_detail.html", context, status=422)
    context = {"search": search, "session_id": session_id}
    try:
        found = _read_session(request, search, session_id)
    except CursorError:
        return refuse(request, "The cursor is not one that this page gave out.", "cursor")
    except StoreError as error:
        return render(request, "dashboards/session_detail.html", context | {"store_error": str(error)}, status=503)
    if isinstance(found, str):
        return redirect(f"{request.path}{found}")
    return render(request, "dashboards/session_detail.html", context | found, status=404 if not found["known"] else 200)


def _read_session(request: PageRequest, search: ListSearch, session_id: str) -> dict[str, Any] | str:
    """Return what the page shows, or the query string of a range that holds the session when none was asked for."""
    store, project_id = get_store(), request.project.pk
    text = add_filter(search.text, "session", session_id)
    scope: dict[str, Any] = {"project_id": project_id, "time_range": search.time_range, "query": parse_query(text)}
    usages = find_usages(store, SESSION, **scope, limit=1)
    if not usages:
        newest = find_newest_trace(store, project_id=project_id, query=parse_query(add_filter("", "session", session_id)))
        if newest is not None and not search.start and not search.end and not search.text.strip():
            return _range_around(search, newest)
        href = widened_href(search, newest.start_ns, time.time_ns()) if newest else ""
        return {"known": newest is not None, "usage": None, "newest": newest, "widened_href": href}
    page = find_traces(store, **scope, limit=TURNS, cursor=request.GET.get("cursor", ""))
    turns = page.items[::-1]
    return {
        "known": True,
        "usage": usages[0],
        "turns": turns,
        "first_failed": next((turn.trace_id for turn in turns if turn.outcome == "error"), ""),
        "first_escalated": next((turn.trace_id for turn in turns if turn.escalated), ""),
        "scores": _find_scores(project_id, session_id, usages[0]),
        "earlier_href": search.querystring(cursor=page.next_cursor) if page.next_cursor else "",
        "is_earlier": "cursor" in request.GET,
        "traces_href": search.querystring(q=text),
        "range_href": search.querystring(q=""),
        "list_range": "&" + search.querystring(q="").removeprefix("?"),
    }


def _find_scores(project_id: int, session_id: str, usage: Usage) -> list[Score]:
    """Return what was said of the session as a whole until a week after its end; scores that name a trace stand there."""
    query = parse_log_query(f"event:{EVALUATION_EVENT} {format_filter('session', session_id)}")
    time_range = TimeRange(usage.first_ns, usage.last_ns + 7 * DAY_NS)
    found = find_logs(get_store(), project_id=project_id, time_range=time_range, query=query, limit=_SCORES)
    return read_scores(None, [record for record in reversed(found.items) if not record.trace_id])


def _range_around(search: ListSearch, trace: TraceSummary) -> str:
    """The query string of the week that ends with this trace: a link to a session need not know when it was."""
    end_ns = trace.start_ns + max(trace.duration_ns, DAY_NS // 24)
    return search.querystring(start=format_time_ns(max(0, end_ns - 7 * DAY_NS)), end=format_time_ns(end_ns))


@fragment_of("trace-detail", "trace_id")
@require_GET
def trace_turn(request: PageRequest, trace_id: str) -> HttpResponse:
    """What was asked and answered in one trace, and which tools ran: a part of the conversation's page."""
    store, project_id = get_store(), request.project.pk
    try:
        trace = get_trace(store, project_id=project_id, trace_id=trace_id.lower(), span_limit=_TURN_SPANS)
        ids = find_telling_steps(trace)
        steps = get_spans(store, project_id=project_id, trace_id=trace.summary.trace_id, span_ids=ids)
    except TraceNotFound:
        return render_failed(request, TraceNotFound("This trace is no longer stored."))
    except StoreError as error:
        return render_failed(request, error)
    context = {
        "trace": trace.summary,
        "turn": build_turn(trace, steps),
        "is_cut": trace.truncated,
        "turn_spans": _TURN_SPANS,
        "text_url": reverse("trace-detail", args=[trace.summary.trace_id]),
    }
    return render(request, "dashboards/_turn.html", context)


@require_GET
@vary_on_headers("HX-Request")
def user_detail(request: PageRequest, user_id: str) -> HttpResponse:
    """What one user did over the range and what it cost; to htmx what went wrong, in which sessions, with which models."""
    try:
        search = parse_list_search(request.GET)
    except SearchRefused as refused:
        context = {"search": refused.draft, "fields": FIELDS, "user_id": user_id}
        return render(request, "dashboards/user_detail.html", context, status=422)
    context = {"search": search, "user_id": user_id}
    if request.htmx:
        try:
            return render(request, "dashboards/_user_sections.html", context | _read_sections(request, search, user_id))
        except StoreError as error:
            return render_failed(request, error)
    try:
        found = _read_user(request, search, user_id)
    except StoreError as error:
        return render(request, "dashboards/user_detail.html", context | {"store_error": str(error)}, status=503)
    return render(request, "dashboards/user_detail.html", context | found, status=404 if not found["known"] else 200)


def _read_user(request: PageRequest, search: ListSearch, user_id: str) -> dict[str, Any]:
    store, project_id = get_store(), request.project.pk
    text = add_filter(search.text, "user", user_id)
    query = parse_query(text)
    usages = find_usages(store, USER, project_id=project_id, time_range=search.time_range, query=query, limit=1)
    if not usages:
        newest = find_newest_trace(store, project_id=project_id, query=parse_query(add_filter("", "user", user_id)))
        href = widened_href(search, newest.start_ns, time.time_ns()) if newest else ""
        return {"known": newest is not None, "usage": None, "newest": newest, "widened_href": href}
    return {
        "known": True,
        "usage": usages[0],
        "traces_href": search.querystring(q=text),
        "range_href": search.querystring(q=""),
        "sessions_href": f"{reverse('session-list')}{search.querystring(q=text)}",
        "failed_href": search.querystring(q=add_filter(text, "status", "error")),
        "escalated_href": search.querystring(q=add_filter(text, "escalated", "true")),
    }


def _read_sections(request: PageRequest, search: ListSearch, user_id: str) -> dict[str, Any]:
    store, text = get_store(), add_filter(search.text, "user", user_id)
    scope: dict[str, Any] = {"project_id": request.project.pk, "time_range": search.time_range, "query": parse_query(text)}
    errors = find_tracked_errors(store, **scope, step_s=trend_step_s(search.time_range), limit=_USER_ERRORS)
    return {
        "range_href": search.querystring(q=""),
        "sessions_href": f"{reverse('session-list')}{search.querystring(q=text)}",
        "errors_href": f"{reverse('error-list')}{search.querystring(q=text)}&{urlencode({'show': 'all'})}",
        "models": count_models(store, **scope),
        "sessions": find_usages(store, SESSION, **scope, limit=_USER_SESSIONS),
        "rows": [build_error_row(error, search.time_range) for error in errors.items],
        "buckets": trend_buckets(search.time_range),
        "height": TREND_HEIGHT,
    }
