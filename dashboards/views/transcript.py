"""The transcript of a trace in windows, and what its run did again."""

from __future__ import annotations

from itertools import islice, pairwise

from django.core.cache import cache
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.refusal import render_failed
from dashboards.trace.logs import read_fields
from dashboards.trace.repeats import Repeats, find_repeated_tools, tell_repeats
from dashboards.trace.transcript import Item, Transcript
from dashboards.trace.transcript_cache import Story, read_story
from dashboards.trace.transcript_cards import (
    Frame,
    Known,
    Opened,
    add_records,
    build_cards,
    build_frame,
    choose_frame_steps,
    choose_steps,
)
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.model import SpanSummary, Trace
from tracestore.queries.logs import find_logs_of_steps, locate_logs
from tracestore.queries.spans import find_trace_times
from tracestore.queries.steps import find_step_contents
from tracestore.queries.summaries import read_spans
from tracestore.summary.columns import SpanColumns
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# Cards in one answer: two screens of them. Each brings the content of a step or three.
WINDOW = 25
_LOGGED_ARGUMENTS = ("tool_input", "arguments")
# Before a step that is looked for, so that it does not stand at the very top.
_LEAD = 5
_FOLDED_LIMIT, _RECORDS = 500, 500
# Groups that stand for the run as a whole are open when there are few.
_OPEN_GROUPS, _OPEN_ITEMS = 6, 20
# Boxes within boxes that are opened to show a step: what lies deeper is opened by hand.
_OPEN_DEPTH = 8
_REPEATS_KEPT_S = 60
_MARKS = 1_000  # of repeated calls that tree and timeline mark: 40 KB


@fragment_of("trace-detail", "trace_id", view="transcript")
@require_GET
def transcript(request: PageRequest, trace_id: str) -> HttpResponse:
    """A window of cards: the first, the one `after` a number of them and before `until`, or the one with the step `span`.

    `group` names the group whose cards are meant, `fold` the first step of a folded line whose steps are meant.
    """
    try:
        read = _read_story(request, trace_id)
        trace, story = read.trace, read.transcript
        group = story.find_group(request.GET.get("group", "").lower()) if "group" in request.GET else None
        if "group" in request.GET and group is None:
            raise TraceNotFound("This group is not in the trace any more. Reload the page.")
        if "fold" in request.GET:
            return _render_folded(request, trace_id, group.items if group else story.items)
        return _render_window(request, trace, story, group)
    except TraceNotFound as error:
        return render_failed(request, error, 404)
    except StoreError as error:
        return render_failed(request, error, 503)


@fragment_of("trace-detail", "trace_id")
@require_GET
def repeats(request: PageRequest, trace_id: str) -> HttpResponse:
    """What the head of the page says about retries and loops, tree and timeline beside steps; nothing when there were none."""
    try:
        read = _read_story(request, trace_id)
        found = _find_repeats(request, read.trace, read.transcript)
    except TraceNotFound:
        return HttpResponse(status=204)
    except StoreError as error:
        return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)
    if not found.found:
        return HttpResponse(status=204)
    marks = {span_id: mark.label for span_id, mark in islice(found.marks.items(), _MARKS)}
    return render(request, "dashboards/_transcript_repeats.html", {"repeats": found, "marks": marks})


def _read_story(request: PageRequest, trace_id: str) -> Story:
    return read_story(get_store(), project_id=request.project.id, trace_id=trace_id.lower())


def _find_repeats(request: PageRequest, trace: Trace, story: Transcript) -> Repeats:
    """Every window marks its repeated calls, but they need not be looked for for each of them."""
    trace_id, project_id = trace.summary.trace_id, request.project.id
    found = cache.get_or_set(
        f"repeats:{project_id}:{trace_id}:{len(trace.spans)}",
        lambda: read_repeats(get_store(), project_id, trace, story),
        _REPEATS_KEPT_S,
    )
    assert isinstance(found, Repeats)
    return found


def read_repeats(store: Store, project_id: int, trace: Trace, story: Transcript) -> Repeats:
    """Return what a trace did again. Raises StoreError."""
    trace_id = trace.summary.trace_id
    times = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    spans = read_spans(
        store, project_id=project_id, trace_ids=[trace_id], min_start_ns=times.start_ns, max_start_ns=times.end_ns - 1
    )
    return tell_repeats(SpanColumns(spans), trace.spans, story, _read_logged_arguments(store, project_id, trace_id, story))


def _read_logged_arguments(store: Store, project_id: int, trace_id: str, story: Transcript) -> dict[str, str]:
    """Return the arguments of tool calls that may be repeats, by span id, where log records tell them: coding agents' do."""
    tools = find_repeated_tools(story)
    named = [item.span for item in story.walk() if item.span.tool_call_id and item.span.tool in tools][:_RECORDS]
    if not named:
        return {}
    located = locate_logs(store, project_id=project_id, trace_id=trace_id)
    calls = {span.tool_call_id: span.span_id for span in named}
    arguments = {}
    for record in find_logs_of_steps(store, located, span_ids=[], tool_call_ids=list(calls), limit=_RECORDS).items:
        said = next((value for key in _LOGGED_ARGUMENTS if (value := read_fields(record).get(key))), None)
        if said is not None and record.tool_call_id in calls:
            arguments[calls[record.tool_call_id]] = str(said)
    return arguments


def _render_window(request: PageRequest, trace: Trace, story: Transcript, group: Item | None) -> HttpResponse:
    items = group.items if group else story.items
    path = story.find_path(request.GET.get("span", "").lower()) if request.GET.get("span") else []
    at = _start(items.index(path[0])) if path and not group else _read_number(request.GET.get("after", ""))
    until = _read_number(request.GET.get("until", "")) or len(items)
    window = items[at : min(at + WINDOW, until)]
    # Group -> place of the first item that shows; groups before those within them.
    starts: dict[str, tuple[Item, int]] = {}
    if not group:
        starts = {outer.span_id: (outer, _start(outer.items.index(inner))) for outer, inner in pairwise(path[:_OPEN_DEPTH])}
        starts |= {item.span_id: (item, 0) for item in _choose_open(story)}
    is_first, is_last = group is None and at == 0, group is None and at + len(window) >= len(items)
    shown = [*window, *(inner for outer, start in starts.values() for inner in outer.items[start : start + WINDOW])]
    steps, with_input = choose_steps(shown)
    if is_first or is_last:
        more, more_with_input = choose_frame_steps(story)
        steps, with_input = [*steps, *more], [*with_input, *more_with_input]
    known = _read_known(request, trace, story, steps, with_input)
    opened: dict[str, Opened] = {}
    for span_id, (outer, start) in reversed(starts.items()):
        opened[span_id] = Opened(build_cards(outer.items[start : start + WINDOW], known, opened), start, len(outer.items), WINDOW)
    frame = build_frame(story, known.contents) if is_first or is_last else Frame("", "")
    cards = build_cards(window, known, opened)
    is_whole = group is None and "after" not in request.GET
    context = {
        "trace_id": trace.summary.trace_id,
        "part": Opened(cards, at, min(until, len(items)), WINDOW),
        "group_id": group.span_id if group else "",
        "frame": frame,
        "main": story.main,
        "repeats": _find_repeats(request, trace, story),
        "is_first": is_first,
        "is_last": is_last,
        "is_silent": not (frame.input or frame.output or any(card.said or card.answer or card.calls for card in cards)),
        "is_truncated": trace.truncated,
        "span_limit": len(trace.spans),
        "span_count": max(trace.summary.span_count, len(trace.spans) + 1),
    }
    return render(request, "dashboards/_transcript.html" if is_whole else "dashboards/_transcript_cards.html", context)


def _read_known(request: PageRequest, trace: Trace, story: Transcript, steps: list[SpanSummary], with_input: list[str]) -> Known:
    """Return what these steps said themselves or in log records, which of them are repeats, and what a person decided."""
    store, project_id, trace_id = get_store(), request.project.id, trace.summary.trace_id
    contents = find_step_contents(store, project_id=project_id, trace_id=trace_id, steps=steps, with_input=with_input)
    located = locate_logs(store, project_id=project_id, trace_id=trace_id)
    calls = [span.tool_call_id for span in steps if span.tool_call_id]
    page = find_logs_of_steps(store, located, span_ids=list(contents), tool_call_ids=calls, limit=_RECORDS)
    contents, decisions = add_records(contents, page.items)
    return Known(contents, _find_repeats(request, trace, story).marks, decisions)


def _start(place: int) -> int:
    """Return where a window begins that shows the item at this place: at the beginning as long as that shows it."""
    return 0 if place < WINDOW else place - _LEAD


def _choose_open(story: Transcript) -> list[Item]:
    """Return the groups that stand for the run as a whole: nothing but agents, one after the other, with little in each."""
    cards = [item for item in story.items if item.kind not in ("folded", "handoff", "escalation")]
    groups = [item for item in cards if item.is_group]
    is_few = len(groups) <= _OPEN_GROUPS and all(len(item.items) <= _OPEN_ITEMS for item in groups)
    return groups if groups and len(groups) == len(cards) and is_few else []


def _render_folded(request: PageRequest, trace_id: str, items: list[Item]) -> HttpResponse:
    wanted = request.GET.get("fold", "").lower()
    item = next((item for item in items if item.kind == "folded" and item.span_id == wanted), None)
    if item is None:
        raise TraceNotFound("These steps are not in the trace any more. Reload the page.")
    context = {"trace_id": trace_id, "spans": item.folded[:_FOLDED_LIMIT], "hidden": max(0, len(item.folded) - _FOLDED_LIMIT)}
    return render(request, "dashboards/_transcript_folded.html", context)


def _read_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
