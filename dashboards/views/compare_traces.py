"""Two traces beside each other, step by step: the page, windows of its rows, the texts of one pair, and whom to compare with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.comparing.questions import find_phrase, is_same_question, may_begin
from dashboards.comparing.traces import Compared, Comparison, Fold, build_sections, compare_waterfalls, describe_error, fold_rows
from dashboards.refusal import refuse, render_failed
from dashboards.trace.content import read_content
from dashboards.trace.conversation import build_turn, find_telling_steps
from dashboards.trace.waterfall import Waterfall, build_waterfall
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError, TraceNotFound
from tracestore.language import QueryError, format_filter, parse_query
from tracestore.model import Span, SpanSummary, Trace, TraceSummary
from tracestore.queries.digests import Digest, find_digests
from tracestore.queries.spans import get_span, get_spans
from tracestore.queries.traces import find_traces, get_trace
from tracestore.timerange import DAY_NS, MAX_NS, TimeRange
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# Of each trace, by start: more is a page nobody reads to its end.
SPAN_LIMIT = 5_000
# Rows that one answer holds: 200 KB.
WINDOW = 250
_CANDIDATES = 10
_CANDIDATE_DAYS = 30
# Runs that were asked the same: how many are shown, how many of those that hold the question are looked at for it, and how many
# are read, which takes longest, because their beginnings leave it open.
_ALIKE, _ALIKE_SEEN, _ALIKE_READ = 3, 50, 10
_ALIKE_SPANS = 2_000
_ROWS = re.compile(r"(\d{1,6})-(\d{1,6})")


@dataclass(frozen=True)
class _Loaded:
    trace: Trace
    waterfall: Waterfall[SpanSummary]
    said: dict[str, Digest]
    is_unread: bool


@dataclass(frozen=True)
class Candidate:
    """A trace worth comparing with, and why; `parameters` compares it with the other, the earlier one as A."""

    reason: str
    trace: TraceSummary
    parameters: str


@require_GET
@vary_on_headers("HX-Request")  # one URL, two bodies: caches must not mix them
def compare_traces(request: PageRequest) -> HttpResponse:
    """`?a=<trace id>&b=<trace id>`; without `b` the page offers traces to compare with.

    `all=1` folds nothing. To htmx: the rows after entry `from`, or those of a fold (`rows=<first>-<end>`).
    """
    ids = [request.GET.get(name, "").strip().lower() for name in ("a", "b")]
    context: dict[str, object] = {"a": ids[0], "b": ids[1], "limit": SPAN_LIMIT, "section": "compare"}
    if not ids[0] and not ids[1]:
        return render(request, "dashboards/compare_choose.html", context)
    try:
        if not all(ids):
            return _choose(request, ids[0] or ids[1], context)
        sides = [_load(request, trace_id) for trace_id in ids]
    except TraceNotFound as error:
        return render(request, "dashboards/compare_choose.html", context | {"missing": str(error)}, status=404)
    except StoreError as error:
        return render(request, "dashboards/compare_choose.html", context | {"store_error": str(error)}, status=503)
    comparison = _compare(*sides)
    context["pair"] = urlencode({"a": ids[0], "b": ids[1]})
    show_all = request.GET.get("all", "") == "1"
    if request.htmx:
        return _render_rows(request, context, comparison, show_all)
    context |= _first_window(comparison, show_all)
    context |= {
        "one": sides[0].trace.summary,
        "other": sides[1].trace.summary,
        "sides": [("A", "a", sides[0].trace), ("B", "b", sides[1].trace)],
        "models": [list(dict.fromkeys(model.model for model in side.trace.summary.models)) for side in sides],
        "tools": [[tool.name for tool in side.trace.summary.tools] for side in sides],
        "comparison": comparison,
        "failures": _find_failures(sides, comparison),
        "show_all": show_all,
        "is_unread": any(side.is_unread for side in sides),
        "swapped": urlencode({"a": ids[1], "b": ids[0]}),
    }
    return render(request, "dashboards/compare_traces.html", context)


def _load(request: PageRequest, trace_id: str) -> _Loaded:
    store, project_id = get_store(), request.project.id
    trace = get_trace(store, project_id=project_id, trace_id=trace_id, span_limit=SPAN_LIMIT)
    try:
        said, is_unread = find_digests(store, project_id=project_id, trace_id=trace_id, limit=SPAN_LIMIT), False
    except QueryTooExpensive:  # texts of gigabytes: the rest is worth showing without them
        said, is_unread = {}, True
    return _Loaded(trace, build_waterfall(trace.spans), said, is_unread)


def _compare(a: _Loaded, b: _Loaded) -> Comparison:
    is_unread = a.is_unread or b.is_unread
    said = ({}, {}) if is_unread else (a.said, b.said)
    return compare_waterfalls(a.waterfall, b.waterfall, *said)


def _find_failures(sides: list[_Loaded], comparison: Comparison) -> list[tuple[str, Compared, SpanSummary]]:
    """Return (A or B, row, step) of the step that each failed trace failed by, where it is among the rows."""
    found = []
    for letter, side in zip("AB", sides, strict=True):
        summary = side.trace.summary
        row = comparison.find(letter.lower(), summary.failing_span_id) if summary.outcome == "error" else None
        span = next((span for span in side.trace.spans if span.span_id == summary.failing_span_id), None)
        if row is not None and span is not None:
            found.append((letter, row, span))
    return found


def _first_window(comparison: Comparison, show_all: bool, start: int = 0) -> dict[str, object]:
    entries: list[Compared | Fold] = list(comparison.rows) if show_all else fold_rows(comparison.rows)
    end = start + WINDOW
    return {"entries": entries[start:end], "next_entry": end if end < len(entries) else 0, "show_all": show_all}


def _render_rows(request: PageRequest, context: dict[str, object], comparison: Comparison, show_all: bool) -> HttpResponse:
    start, wanted = request.GET.get("from", "0"), request.GET.get("rows", "")
    if wanted:
        match = _ROWS.fullmatch(wanted)
        if match is None:
            return refuse(request, "rows must be <first>-<end>.", "rows")
        first, end = int(match[1]), min(int(match[2]), len(comparison.rows))
        cut = min(first + WINDOW, end)
        rest = [Fold(cut, end)] if cut < end else []
        context |= {"entries": [*comparison.rows[first:cut], *rest], "next_entry": 0}
    elif start.isascii() and start.isdigit() and len(start) < 7:
        context |= _first_window(comparison, show_all, int(start))
    else:
        return refuse(request, "from must be a number.", "from")
    return render(request, "dashboards/_compare_rows.html", context)


@fragment_of("compare-traces")
@require_GET
def compare_steps(request: PageRequest) -> HttpResponse:
    """What the step `sa` of trace `a` and the step `sb` of trace `b` say; either may be left out."""
    given = {name: request.GET.get(name, "").strip().lower() for name in ("a", "b", "sa", "sb")}
    try:
        spans = [_find_span(request, given[side], given[f"s{side}"]) for side in "ab"]
    except StoreError as error:
        return render_failed(request, error, 503)
    if not any(spans):
        return render_failed(request, TraceNotFound("There is no such step."), 404)
    one, other = (read_content(span) if span else None for span in spans)
    sections = build_sections(one, other, *map(describe_error, spans))
    links = [
        reverse("trace-detail", args=[given[side]]) + "?" + urlencode({"span": given[f"s{side}"]}) if span else ""
        for side, span in zip("ab", spans, strict=True)
    ]
    return render(request, "dashboards/_compare_steps.html", {"sections": sections, "links": links, "spans": spans})


def _find_span(request: PageRequest, trace_id: str, span_id: str) -> Span | None:
    if not span_id:
        return None
    try:
        return get_span(get_store(), project_id=request.project.id, trace_id=trace_id, span_id=span_id)
    except TraceNotFound:
        return None


def _choose(request: PageRequest, trace_id: str, context: dict[str, object]) -> HttpResponse:
    trace = get_trace(get_store(), project_id=request.project.id, trace_id=trace_id, span_limit=1).summary
    candidates = _find_candidates(request, trace)
    return render(
        request, "dashboards/compare_choose.html", context | {"a": trace_id, "b": "", "trace": trace, "candidates": candidates}
    )


def _find_candidates(request: PageRequest, trace: TraceSummary) -> list[Candidate]:
    """Return the last run that went well, the last of another version and other recent ones, of the same name, each once."""
    named = format_filter("name", trace.name)
    others = f"{named} " + " ".join(format_filter("version", version, negate=True) for version in trace.versions)
    searches = [("Last one before it that went well", f"{named} status:ok", 2)]
    if trace.versions:
        searches.append(("Last one before it of another version", f"{others} version:*", 2))
    searches.append(("Before it", named, _CANDIDATES + 1))
    before = TimeRange(max(0, trace.start_ns - _CANDIDATE_DAYS * DAY_NS), max(1, trace.start_ns))
    found = [(reason, text, before, limit) for reason, text, limit in searches]
    found.append(("After it", named, TimeRange(trace.start_ns, min(MAX_NS, trace.start_ns + DAY_NS)), 4))
    candidates: dict[str, Candidate] = {}
    for reason, text, time_range, limit in found:
        try:
            query = parse_query(text)
        except QueryError:  # a name longer than a query can be, or dozens of versions
            continue
        page = find_traces(get_store(), project_id=request.project.id, time_range=time_range, query=query, limit=limit)
        fresh = [item for item in page.items if item.trace_id != trace.trace_id and item.trace_id not in candidates]
        # The first of a search is what its reason promises; the second was there in case the first is known already.
        wanted = fresh[:1] if limit == 2 else fresh
        candidates |= {item.trace_id: _offer(reason, item, trace) for item in wanted}
    return list(candidates.values())[: _CANDIDATES + 4]


def _offer(reason: str, candidate: TraceSummary, trace: TraceSummary) -> Candidate:
    first, second = sorted((candidate, trace), key=lambda one: one.start_ns)
    return Candidate(reason, candidate, urlencode({"a": first.trace_id, "b": second.trace_id}))


@fragment_of("compare-traces")
@require_GET
def compare_alike(request: PageRequest) -> HttpResponse:
    """Runs that were asked the same as trace `a`, those that ended otherwise first: a part of the page that offers traces."""
    trace_id = request.GET.get("a", "").strip().lower()
    try:
        trace, asked = _read_question(request, trace_id)
        found = _find_alike(request, trace, asked)
    except TraceNotFound as error:
        return render_failed(request, error, 404)
    except StoreError as error:
        return render_failed(request, error, 503)
    return render(
        request, "dashboards/_compare_alike.html", {"trace": trace, "asked": asked, "candidates": found, "days": _CANDIDATE_DAYS}
    )


def _read_question(request: PageRequest, trace_id: str) -> tuple[TraceSummary, str]:
    store, project_id = get_store(), request.project.id
    trace = get_trace(store, project_id=project_id, trace_id=trace_id, span_limit=_ALIKE_SPANS)
    steps = get_spans(store, project_id=project_id, trace_id=trace_id, span_ids=find_telling_steps(trace))
    return trace.summary, build_turn(trace, steps).asked


def _find_alike(request: PageRequest, trace: TraceSummary, asked: str) -> list[Candidate]:
    """A later turn of a conversation holds the question as well, so what the search finds is read."""
    phrase = find_phrase(asked)
    if not phrase:
        return []
    holds = f"{format_filter('name', trace.name)} {format_filter('text', phrase)}"
    opposite = "status:ok" if trace.outcome == "error" else "status:error"
    around = TimeRange(max(0, trace.start_ns - _CANDIDATE_DAYS * DAY_NS), min(MAX_NS, trace.start_ns + DAY_NS))
    read = {trace.trace_id}
    alike: list[Candidate] = []
    for text in (f"{holds} {opposite}", holds):
        try:
            query = parse_query(text)
        except QueryError:  # a name longer than a query can be
            return []
        page = find_traces(get_store(), project_id=request.project.id, time_range=around, query=query, limit=_ALIKE_SEEN)
        for item in page.items:
            if item.trace_id in read or not may_begin(item.asked, asked) or len(read) > _ALIKE_READ or len(alike) == _ALIKE:
                continue
            read.add(item.trace_id)
            if is_same_question(asked, _read_question(request, item.trace_id)[1]):
                alike.append(_offer("Before it" if item.start_ns < trace.start_ns else "After it", item, trace))
    return alike
