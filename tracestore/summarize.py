"""The jobs that keep `traces` and `rollups` true: find what changed, compute (summary.py), write.

Work is found from the data (cursors over `trace_touches`, change times in `traces`), not from messages, and every write
replaces what it recomputes; so a job may run twice, late, or on two workers without changing a number.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from tracestore import telemetry
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.liveness import note_progress
from tracestore.models import JobCursor
from tracestore.pricing import price_call
from tracestore.queries import summaries
from tracestore.queries.rollups import recompute_rollups
from tracestore.queries.summaries import TouchedBatch, TouchedTrace
from tracestore.summary import (
    ESCALATION_TOOL,
    Calls,
    SpanColumns,
    ToolCalls,
    decide_outcomes,
    distinct_by_trace,
    find_calls,
    find_tool_calls,
    first_by_trace,
    sum_by_trace,
)

log = logging.getLogger(__name__)

# Providers answer with a dated snapshot of the model that was asked for: gpt-4.1-2025-04-14, claude-haiku-4-5-20251001.
# Where a dialect reports only the answer, the name without the date is the one that groups with the other dialects'.
_SNAPSHOT_DATE = re.compile(r"-(20\d{2}-\d{2}-\d{2}|20\d{6})$")
_LEASE_S = 120
_TRACES_PER_STEP = 50_000
# Trace ids of one query: a server takes at most 128 KiB for one parameter, 35 bytes an id.
_TRACES_PER_QUERY = 2000
# A batch that ClickHouse refused is inserted again in halves under the same number, and rows of one insert become readable
# part by part. So the newest batch of a writer stays open for this long unless a newer one follows: it is summarised when
# it shows, when it grows, and once more when nothing has been added to it for a moment.
_OPEN_S, _MOMENT_S = 600, 3
# Running traces older than this are not looked for: they were decided long ago, or their spans bear absurd times.
_SETTLE_LOOKBACK_NS = 7 * 86_400 * 10**9
# A rollup covers changes up to this long before its cursor: a summary becomes readable some time after its summarized_at,
# which is when its spans were read.
_ROLLUP_OVERLAP_NS = 60 * 10**9
_NS_PER_MINUTE = 60 * 10**9

# writer -> state in which this process last summarised its open batch; forgetting it costs one summary too many.
_open_batches: dict[str, tuple[int, int, bool]] = {}


@contextmanager
def _leased(job: str, source: str) -> Iterator[JobCursor | None]:
    """Yield the cursor when this worker alone may advance it, None while another one does."""
    cursor, _ = JobCursor.objects.get_or_create(job=job, source=source)
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    if not JobCursor.objects.filter(free, pk=cursor.pk).update(lease_until=now + timedelta(seconds=_LEASE_S)):
        yield None
        return
    cursor.refresh_from_db()
    try:
        yield cursor
    finally:
        JobCursor.objects.filter(pk=cursor.pk).update(lease_until=None)


def _advance(cursor: JobCursor, position: int) -> None:
    JobCursor.objects.filter(pk=cursor.pk).update(position=position, lease_until=timezone.now() + timedelta(seconds=_LEASE_S))


def release_leases() -> None:
    """Free every cursor. For a start where no other worker can exist: a process that was killed could not free its own."""
    JobCursor.objects.update(lease_until=None)


def summarize_pending() -> int:
    """Summarise every trace that batches since the cursors touched; returns how many summaries were written."""
    store = get_store()
    written = lag_s = 0
    for writer in summaries.find_writers(store):
        with _leased("summarize", writer) as cursor:
            if cursor is not None:
                written_here, lag_here_s = _summarize_writer(store, cursor)
                written, lag_s = written + written_here, max(lag_s, lag_here_s)
    note_progress("summaries")
    telemetry.JOB_LAG.labels("summarize").set(lag_s)
    return written


def _summarize_writer(store: Store, cursor: JobCursor) -> tuple[int, int]:
    """Return how many summaries were written, and the age in seconds of the oldest batch that had none; 0 for none."""
    writer, done, written, lag_s = cursor.source, cursor.position, 0, 0
    while batches := summaries.find_batches(store, writer=writer, after=done):
        step = _take_step(batches)
        last = step[-1]
        is_open = last is batches[-1] and last.age_s < _OPEN_S
        state = (last.seq, last.traces, last.age_s < _MOMENT_S)
        if is_open and len(step) == 1 and _open_batches.get(writer) == state:
            break
        if step[0].seq > _open_batches.get(writer, (0, 0, False))[0]:
            lag_s = max(lag_s, step[0].age_s)
        written += _summarize(store, summaries.find_touched(store, writer=writer, after=done, until=last.seq))
        note_progress("summaries")  # what an outage left behind can take a while
        if is_open:
            _open_batches[writer] = state
            if len(step) > 1:
                _advance(cursor, step[-2].seq)
            break
        done = last.seq
        _advance(cursor, done)
    return written, lag_s


def _take_step(batches: list[TouchedBatch]) -> list[TouchedBatch]:
    """Return the first batches that touch few enough traces together, at least one."""
    traces = 0
    for number, batch in enumerate(batches):
        traces += batch.traces
        if number and traces > _TRACES_PER_STEP:
            return batches[:number]
    return batches


def settle_running() -> int:
    """Summarise again the running traces that have been silent for long enough; returns how many."""
    store = get_store()
    now_ns = time.time_ns()
    silent = summaries.find_silent_running(
        store,
        start_ns=now_ns - _SETTLE_LOOKBACK_NS,
        silent_since_ns=now_ns - settings.RUNNING_TIMEOUT_S * 10**9,
        limit=_TRACES_PER_STEP,
    )
    return _summarize(store, silent)


def roll_up_pending() -> int:
    """Recompute the minutes whose traces changed since the last time; returns how many minutes."""
    store = get_store()
    with _leased("roll up", "") as cursor:
        if cursor is None:
            return 0
        now_ns = time.time_ns()
        telemetry.JOB_LAG.labels("roll_up").set((now_ns - cursor.position) / 1e9 if cursor.position else 0)
        changed = summaries.find_changed_minutes(store, since_ns=max(0, cursor.position - _ROLLUP_OVERLAP_NS))
        for project_id, minutes in changed.items():
            recompute_rollups(store, project_id=project_id, bucket_starts_s=minutes)
        _advance(cursor, now_ns)
        return sum(len(minutes) for minutes in changed.values())


def _summarize(store: Store, touched: list[TouchedTrace]) -> int:
    written = 0
    by_project: dict[int, list[TouchedTrace]] = {}
    for trace in touched:
        by_project.setdefault(trace.project_id, []).append(trace)
    for project_id, traces in by_project.items():
        # `spans` is sorted by minute and trace id: neighbours in that order share a query that reads a narrow part of it. Under
        # load a minute has millions of spans, and each query would read all of them.
        traces.sort(key=lambda trace: (trace.min_start_ns // _NS_PER_MINUTE, trace.trace_id))
        for first in range(0, len(traces), _TRACES_PER_QUERY):
            written += _summarize_what_fits(store, project_id, traces[first : first + _TRACES_PER_QUERY])
    return written


def _summarize_what_fits(store: Store, project_id: int, touched: list[TouchedTrace]) -> int:
    """Summarise in halves what is too much for one query; a single trace that is too much keeps its last summary.

    It must not keep all other traces from theirs.
    """
    try:
        return _summarize_traces(store, project_id, touched)
    except QueryTooExpensive as error:
        if len(touched) == 1:
            log.error("trace %s of project %d is too large to summarise: %s", touched[0].trace_id.hex(), project_id, error)
            return 0
    half = len(touched) // 2
    return sum(_summarize_what_fits(store, project_id, part) for part in (touched[:half], touched[half:]))


def _summarize_traces(store: Store, project_id: int, touched: list[TouchedTrace]) -> int:
    trace_ids = [trace.trace_id.hex() for trace in touched]
    bounds = {
        "min_start_ns": min(trace.min_start_ns for trace in touched),
        "max_start_ns": max(trace.max_start_ns for trace in touched),
    }
    now = datetime.now(UTC)  # before the spans are read: of two workers on one trace the one that read later must win
    spans = SpanColumns(summaries.read_spans(store, project_id=project_id, trace_ids=trace_ids, **bounds))
    if not spans.count:
        return 0
    rows = build_rows(spans, now_ns=time.time_ns(), running_timeout_ns=settings.RUNNING_TIMEOUT_S * 10**9)
    starts = dict(zip(rows["trace_id"], rows.pop("start_ns"), strict=True))
    earlier = summaries.find_earlier_starts(store, project_id=project_id, trace_ids=trace_ids, **bounds)
    moved = [(trace_id, start_ns) for trace_id, start_ns in earlier if starts.get(trace_id, start_ns) != start_ns]
    count = spans.trace_count
    columns: dict[str, Sequence[Any]] = rows | {
        "project_id": [project_id] * count,
        "start_time": list(starts.values()),
        "summarized_at": [now] * count,
        "is_deleted": [0] * count,
    }
    store.insert_columns("traces", columns)
    if moved:
        store.insert_columns(
            "traces",
            {
                "project_id": [project_id] * len(moved),
                "trace_id": [trace_id for trace_id, _ in moved],
                "start_time": [start_ns for _, start_ns in moved],
                "summarized_at": [now] * len(moved),
                "is_deleted": [1] * len(moved),
            },
        )
    return count


def build_rows(spans: SpanColumns, *, now_ns: int, running_timeout_ns: int) -> dict[str, list[Any]]:
    """Return the columns of `traces` (without project and bookkeeping), one entry per trace, plus `start_ns`."""
    calls, tools = find_calls(spans), find_tool_calls(spans)
    outcomes = decide_outcomes(spans, tools, now_ns=now_ns, running_timeout_ns=running_timeout_ns)
    start = spans.numbers("start_ns")
    end = start + spans.numbers("duration_ns")
    count, trace = spans.trace_count, spans.trace
    start_ns = start[spans.first]
    end_ns = np.zeros(count, dtype=np.int64)
    np.maximum.at(end_ns, trace, end)
    errors = spans.mask("is_error")
    everything = np.ones(spans.count, dtype=bool)
    tool = spans.labels("tool")
    escalations = (tools.is_call & ~tools.failed & tool.matching(ESCALATION_TOOL.search)) | spans.labels("signal").where(
        "human_escalation"
    )
    escalated = np.zeros(count, dtype=bool)
    escalated[trace[escalations]] = True
    error_counts = sum_by_trace(spans, errors.astype(np.int64), everything)
    roots, failing = outcomes.root.tolist(), outcomes.failing.tolist()
    error_type, error_message = spans.labels("error_type"), spans.labels("error_message")
    error_types = distinct_by_trace(spans, error_type)
    messages = first_by_trace(spans, error_message, np.where(outcomes.failing >= 0, outcomes.failing, outcomes.root))
    for number, position in enumerate(failing):
        cause = error_type.at(position) if position >= 0 else ""
        if cause in error_types[number][1:]:  # the cause of the failure comes first
            error_types[number].remove(cause)
            error_types[number].insert(0, cause)
    return {
        "trace_id": [bytes(trace_id) for trace_id in spans.trace_ids[spans.first]],
        "start_ns": start_ns.tolist(),
        "duration_ns": np.maximum(end_ns - start_ns, 0).tolist(),
        "name": _at(spans, "name", roots),
        "service": _at(spans, "service", roots),
        "services": distinct_by_trace(spans, spans.labels("service")),
        "outcome": outcomes.outcome,
        "outcome_rule": outcomes.rule,
        "has_errors": [errors_here > 0 for errors_here in error_counts],
        "escalated": escalated.tolist(),
        "span_count": np.bincount(trace, minlength=count).tolist(),
        "error_count": error_counts,
        "orphan_count": sum_by_trace(spans, spans.is_orphan.astype(np.int64), everything),
        "root_span_id": [spans.id_at("span_id", position) for position in roots],
        "failing_span_id": [spans.id_at("span_id", position) if position >= 0 else bytes(8) for position in failing],
        "error_types": error_types,
        "error_message": messages,
        "workflows": distinct_by_trace(spans, spans.labels("workflow")),
        "agents": distinct_by_trace(spans, spans.labels("agent")),
        "versions": distinct_by_trace(spans, spans.labels("version")),
        "environment": first_by_trace(spans, spans.labels("environment"), outcomes.root),
        "prompts": _prompts(spans),
        "session_id": first_by_trace(spans, spans.labels("session_id"), outcomes.root),
        "user_id": first_by_trace(spans, spans.labels("user_id"), outcomes.root),
        "llm_calls": sum_by_trace(spans, calls.is_call.astype(np.int64), everything),
        "input_tokens": sum_by_trace(spans, spans.numbers("input_tokens"), calls.counts_usage),
        "output_tokens": sum_by_trace(spans, spans.numbers("output_tokens"), calls.counts_usage),
        "cached_input_tokens": sum_by_trace(spans, spans.numbers("cache_read_tokens"), calls.counts_usage),
        "cache_creation_input_tokens": sum_by_trace(spans, spans.numbers("cache_write_tokens"), calls.counts_usage),
        "reasoning_tokens": sum_by_trace(spans, spans.numbers("reasoning_tokens"), calls.counts_usage),
        "cache_creation_1h_input_tokens": sum_by_trace(spans, spans.numbers("cache_write_1h_tokens"), calls.counts_usage),
        "input_audio_tokens": sum_by_trace(spans, spans.numbers("input_audio_tokens"), calls.counts_usage),
        "output_audio_tokens": sum_by_trace(spans, spans.numbers("output_audio_tokens"), calls.counts_usage),
        **_price(spans, calls),
        **_tools_by_trace(spans, tools),
    }


def _at(spans: SpanColumns, column: str, positions: list[int]) -> list[str]:
    labels = spans.labels(column)
    return [labels.at(position) for position in positions]


def _prompts(spans: SpanColumns) -> list[list[str]]:
    """Return per trace the prompts as name or name@version."""
    names, versions = spans.labels("prompt_name"), spans.labels("prompt_version")
    result: list[list[str]] = [[] for _ in range(spans.trace_count)]
    for position in np.flatnonzero(names.present).tolist():
        version = versions.at(position)
        prompt = f"{names.at(position)}@{version}" if version else names.at(position)
        if prompt not in (mine := result[spans.trace[position]]):
            mine.append(prompt)
    return result


def _tools_by_trace(spans: SpanColumns, tools: ToolCalls) -> dict[str, list[Any]]:
    labels = spans.labels("tool")
    members = np.flatnonzero(tools.is_call)
    keys, first, inverse = np.unique(
        spans.trace[members] * len(labels.values) + labels.codes[members], return_index=True, return_inverse=True
    )
    call_counts = np.bincount(inverse, minlength=len(keys))
    error_counts = np.bincount(inverse, weights=tools.failed[members], minlength=len(keys)).astype(np.int64)
    names: list[list[str]] = [[] for _ in range(spans.trace_count)]
    calls: list[list[int]] = [[] for _ in range(spans.trace_count)]
    errors: list[list[int]] = [[] for _ in range(spans.trace_count)]
    for entry in np.argsort(first).tolist():
        position = members[first[entry]]
        number = spans.trace[position]
        names[number].append(labels.at(position))
        calls[number].append(int(call_counts[entry]))
        errors[number].append(int(error_counts[entry]))
    return {"tools.name": names, "tools.calls": calls, "tools.errors": errors}


class _ModelTotals:
    """Sums of one model's calls in one trace; cost stays None until a call has a price."""

    __slots__ = ("cached", "calls", "compared_usd", "cost_usd", "difference_usd", "errors", "input", "output", "supplied_usd")

    def __init__(self) -> None:
        self.calls = self.errors = self.input = self.output = self.cached = 0
        self.cost_usd: float | None = None
        self.supplied_usd: float | None = None
        # Of calls that have a supplied and a computed cost: the computed one, and what the supplied one is more.
        self.compared_usd: float | None = None
        self.difference_usd: float | None = None


def _price(spans: SpanColumns, calls: Calls) -> dict[str, list[Any]]:
    """Return cost and model columns. Loops over model calls only, about one span in four; equal calls share one price look-up."""
    requested, answered = spans.labels("request_model"), spans.labels("response_model")
    provider, supplied = spans.labels("provider"), spans.floats("supplied_cost_usd")
    numbers = [
        spans.numbers(name)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "start_ns")
    ]
    priced_apart = {name: spans.numbers(name) for name in ("cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens")}
    errors = spans.mask("is_error")
    models: list[dict[tuple[str, str], _ModelTotals]] = [{} for _ in range(spans.trace_count)]
    unpriced: list[list[str]] = [[] for _ in range(spans.trace_count)]
    trace_costs: list[float | None] = [None] * spans.trace_count
    supplied_costs: list[float | None] = [None] * spans.trace_count
    compared: list[float | None] = [None] * spans.trace_count
    differences: list[float | None] = [None] * spans.trace_count
    for position in np.flatnonzero(calls.is_call | calls.counts_usage).tolist():
        number = spans.trace[position]
        owner = int(calls.account[position])
        model = requested.at(owner) or _SNAPSHOT_DATE.sub("", answered.at(owner))
        used = (model, provider.at(owner))
        totals = models[number].setdefault(used, _ModelTotals()) if model else _ModelTotals()
        if calls.is_call[position]:
            totals.calls += 1
            totals.errors += bool(errors[position])
        if not calls.counts_usage[position]:
            continue
        tokens_in, tokens_out, cached, written, reasoned, start_ns = (int(column[position]) for column in numbers)
        totals.input += tokens_in
        totals.output += tokens_out
        totals.cached += cached
        said = None if np.isnan(supplied[position]) else float(supplied[position])
        if said is not None:
            supplied_costs[number] = (supplied_costs[number] or 0.0) + said
            totals.supplied_usd = (totals.supplied_usd or 0.0) + said
        usage = (tokens_in, tokens_out, cached, written)
        classes = {name: int(column[position]) for name, column in priced_apart.items()} | {"reasoning_tokens": reasoned}
        cost = price_call(used[1], answered.at(position) or model, *usage, start_ns, **classes)
        if cost is None and answered.at(position) != model:
            cost = price_call(used[1], model, *usage, start_ns, **classes)
        if cost is None:
            if (name := model or "unknown") not in unpriced[number]:
                unpriced[number].append(name)
            continue
        totals.cost_usd = (totals.cost_usd or 0.0) + cost
        trace_costs[number] = (trace_costs[number] or 0.0) + cost
        if said is not None:
            totals.compared_usd = (totals.compared_usd or 0.0) + cost
            totals.difference_usd = (totals.difference_usd or 0.0) + said - cost
            compared[number] = (compared[number] or 0.0) + cost
            differences[number] = (differences[number] or 0.0) + said - cost
    # No tokens, no cost: zero is the truth there, not "unpriced".
    cost_usd = [0.0 if cost is None and not missing else cost for cost, missing in zip(trace_costs, unpriced, strict=True)]

    def column(read: Any) -> list[list[Any]]:
        return [[read(key, totals) for key, totals in used.items()] for used in models]

    return {
        "cost_usd": cost_usd,
        "supplied_cost_usd": supplied_costs,
        "compared_cost_usd": compared,
        "cost_difference_usd": differences,
        "unpriced_models": unpriced,
        "models.model": column(lambda key, _: key[0]),
        "models.provider": column(lambda key, _: key[1]),
        "models.calls": column(lambda _, totals: totals.calls),
        "models.errors": column(lambda _, totals: totals.errors),
        "models.input_tokens": column(lambda _, totals: totals.input),
        "models.output_tokens": column(lambda _, totals: totals.output),
        "models.cached_input_tokens": column(lambda _, totals: totals.cached),
        "models.cost_usd": column(lambda _, totals: totals.cost_usd),
        "models.supplied_cost_usd": column(lambda _, totals: totals.supplied_usd),
        "models.compared_cost_usd": column(lambda _, totals: totals.compared_usd),
        "models.cost_difference_usd": column(lambda _, totals: totals.difference_usd),
    }
