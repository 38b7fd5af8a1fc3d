"""The jobs that keep `traces` and `rollups` true: find what changed, compute (summary.py), write.

Work is found from the data (cursors over `trace_touches`, change times in `traces`), not from messages, and every write
replaces what it recomputes; so a job may run twice, late, or on two workers without changing a number.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from tracestore import telemetry
from tracestore.buckets import bucket_of
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.fingerprint import fingerprint, normalize_message
from tracestore.liveness import note_progress
from tracestore.models import JobCursor
from tracestore.prices import load_prices
from tracestore.pricing import TOKEN_CLASSES, Sold, price_calls
from tracestore.queries import summaries
from tracestore.queries.rollups import HOUR_S, MINUTE_S, find_hours_with_traces, recompute_hours, recompute_rollups
from tracestore.queries.summaries import TouchedBatch, TouchedTraces
from tracestore.repeats import LOOP, RETRY, Repeats, find_repeats
from tracestore.summary import (
    ESCALATION_TOOL,
    Calls,
    Outcomes,
    SpanColumns,
    ToolCalls,
    decide_outcomes,
    distinct_by_trace,
    find_calls,
    find_tool_calls,
    first_by_trace,
    group_by_trace,
    nearest_ancestor,
    sum_by_trace,
)

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)

# Providers answer with a dated snapshot of the model that was asked for: gpt-4.1-2025-04-14, claude-haiku-4-5-20251001.
# Where a dialect reports only the answer, the name without the date is the one that groups with the other dialects'.
_SNAPSHOT_DATE = re.compile(r"-(20\d{2}-\d{2}-\d{2}|20\d{6})$")
_LEASE_S = 120
_TRACES_PER_STEP = 50_000
# (ids of trace and span in one, first and last start in ns) -> message and stack trace by id, as queries.summaries.read_errors.
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Buckets = npt.NDArray[np.uint16]
ReadErrors = Callable[[list[bytes], int, int], dict[bytes, tuple[str, str]]]
ReadReasons = Callable[[list[bytes], int, int], dict[bytes, str]]
# One query's share: a fixed part of its cost, and a bounded part of its memory (0.3 KB a span in each of two forms).
_TRACES_PER_QUERY, _SPANS_PER_QUERY = summaries.MAX_TRACE_IDS, 65_536
# A batch that ClickHouse refused is inserted again in halves under the same number, and rows of one insert become readable
# part by part. So the newest batch of a writer stays open, over any outage, until a newer one follows or the writer has said that
# it is complete: it is summarised when it shows, when it grows, and once more when nothing has been added to it for a moment.
_MOMENT_S = 3
# Running traces older than this are not looked for: they were decided long ago, or their spans bear absurd times.
_SETTLE_LOOKBACK_NS = 7 * 86_400 * 10**9
# A rollup covers changes up to this long before its cursor: a summary becomes readable some time after its summarized_at,
# which is when its spans were read.
_ROLLUP_OVERLAP_NS = 60 * 10**9
_NS_PER_MINUTE = 60 * 10**9
_REASON_CHARS = 100
_REASONS = 50  # of one trace
# An hour is added up so long after its end, from new minutes when it began so long ago; so much work at a time.
_HOUR_SETTLES_S, _HOUR_IS_OLD_S, _HOURS_WORK_S = 300, 3 * 3600, 5.0
# After so many summaries there was a load, and the engine keeps a hundred MiB that it freed.
_RELEASE_AFTER_TRACES = 10_000

# writer -> state in which this process last summarised its open batch; forgetting it costs one summary too many.
_open_batches: dict[str, tuple[int, int, bool]] = {}
# writer -> newest batch of which it has said that all of it is inserted; forgetting it costs the same.
_complete_batches: dict[str, int] = {}
# (project, minute) -> writes of summaries that its rollup has seen, for the time of the overlap: without it a minute would be
# computed for as long as its changes lie in there, six times and more. Forgetting it costs no more than that.
_rolled_up: dict[tuple[int, int], frozenset[int]] = {}


class _Load:
    """Summaries that this process has written since it last returned memory."""

    written = 0


class _Rest:
    """How many inserts this process had made when it last found nothing to summarise; None when there was something."""

    since: int | None = None


class _Clock:
    """The wall clock, without its steps back: of two summaries the one that says that it is younger counts."""

    latest = datetime.min.replace(tzinfo=UTC)

    @classmethod
    def read(cls) -> datetime:
        cls.latest = max(datetime.now(UTC), cls.latest + timedelta(microseconds=1))
        return cls.latest


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


def note_complete(writer: str, batch_seq: int) -> None:
    """All rows of the writer's batches up to this one are inserted."""
    _complete_batches[writer] = max(batch_seq, _complete_batches.get(writer, 0))


def has_rested() -> bool:
    """Whether nothing can have come since a round that found nothing: a process that rests need not ask every two seconds.

    Never so with a server, into which other processes insert.
    """
    inserts = get_store().insert_count
    if inserts is None or inserts != _Rest.since:
        return False
    note_progress("summaries")
    return True


def summarize_pending() -> int:
    """Summarise every trace that batches since the cursors touched; returns how many summaries were written."""
    store = get_store()
    inserts = store.insert_count
    written = lag_s = 0
    is_done = True
    for writer in summaries.find_writers(store):
        with _leased("summarize", writer) as cursor:
            if cursor is None:
                is_done = False
            else:
                written_here, lag_here_s, is_done_here = _summarize_writer(store, cursor)
                written, lag_s, is_done = written + written_here, max(lag_s, lag_here_s), is_done and is_done_here
    note_progress("summaries")
    telemetry.JOB_LAG.labels("summarize").set(lag_s)
    _Rest.since = inserts if is_done and not written else None
    _Load.written += written
    if not written and _Load.written >= _RELEASE_AFTER_TRACES:
        _Load.written = 0
        store.release_memory()
    return written


def _summarize_writer(store: Store, cursor: JobCursor) -> tuple[int, int, bool]:
    """Return how many summaries were written, the age in seconds of the oldest batch that had none (0 for none), and whether no
    batch is left, not even an open one.
    """
    writer, done, written, lag_s = cursor.source, cursor.position, 0, 0
    is_backfill = writer.startswith(summaries.BACKFILL)
    while batches := summaries.find_batches(store, writer=writer, after=done):
        step = batches[:1] if is_backfill else _take_step(batches)
        last = step[-1]
        is_open = last is batches[-1] and last.seq > _complete_batches.get(writer, 0)
        state = (last.seq, last.traces, last.age_s < _MOMENT_S)
        if is_open and len(step) == 1 and _open_batches.get(writer) == state:
            break
        if step[0].seq > _open_batches.get(writer, (0, 0, False))[0] and not is_backfill:
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
        if is_backfill:
            break
    else:
        return written, lag_s, True
    return written, lag_s, False


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


def summarize_again(store: Store, traces: TouchedTraces) -> int:
    """Summarise stored traces once more, with the prices and rules of today; returns how many."""
    return _summarize(store, traces)


def roll_up_pending() -> int:
    """Recompute the minutes whose traces changed since the last time; returns how many minutes."""
    store = get_store()
    with _leased("roll up", "") as cursor:
        if cursor is None:
            return 0
        now_ns = time.time_ns()
        telemetry.JOB_LAG.labels("roll_up").set((now_ns - cursor.position) / 1e9 if cursor.position else 0)
        writes = summaries.find_changed_minutes(store, since_ns=max(0, cursor.position - _ROLLUP_OVERLAP_NS))
        changed: dict[int, list[int]] = {}
        for (project_id, minute_s), seen in writes.items():
            if not seen <= _rolled_up.get((project_id, minute_s), frozenset()):
                changed.setdefault(project_id, []).append(minute_s)
        for project_id, minutes in changed.items():
            recompute_rollups(store, project_id=project_id, bucket_starts_s=minutes)
        _roll_up_hours(store, changed, now_ns // 10**9)
        _rolled_up.clear()
        _rolled_up.update(writes)
        _advance(cursor, now_ns)
        return sum(len(minutes) for minutes in changed.values())


def _roll_up_hours(store: Store, changed: dict[int, list[int]], now_s: int) -> None:
    """Add up the hours that have ended, in the order of time, and again those in which minutes changed late.

    An hour that goes on has minutes alone: adding those up again every time would cost more than it saves.
    """
    cursor, _ = JobCursor.objects.get_or_create(job="roll up", source="hours")
    for project_id, minutes in changed.items():
        late = [minute_s for minute_s in minutes if minute_s < cursor.position]
        recompute_hours(store, project_id=project_id, hour_starts_s=late)
    until_s = (now_s - _HOUR_SETTLES_S) // HOUR_S * HOUR_S
    if cursor.position >= until_s:
        return
    deadline = time.monotonic() + _HOURS_WORK_S
    position = until_s
    waiting = find_hours_with_traces(store, first_s=cursor.position, until_s=until_s)
    for hour_s, projects in itertools.groupby(waiting, key=lambda one: one[0]):
        for _, project_id in projects:
            if hour_s < now_s - _HOUR_IS_OLD_S:
                # After an outage, or a version with other columns: what its minutes hold may be as old.
                recompute_rollups(store, project_id=project_id, bucket_starts_s=range(hour_s, hour_s + HOUR_S, MINUTE_S))
            recompute_hours(store, project_id=project_id, hour_starts_s=[hour_s])
        note_progress("summaries")
        if time.monotonic() > deadline:
            position = hour_s + HOUR_S
            break
    _advance(cursor, position)


def _summarize(store: Store, touched: TouchedTraces) -> int:
    load_prices()
    # `spans` is sorted by minute and trace id: neighbours in that order share a query that reads a narrow part of it. Under
    # load a minute has millions of spans, and each query would read all of them.
    halves = touched.trace_id.view(">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0], touched.min_start_ns // _NS_PER_MINUTE, touched.project_id))
    touched = touched.take(order)
    return sum(_summarize_what_fits(store, touched.take(part)) for part in _split(touched))


def _split(touched: TouchedTraces) -> Iterator[slice]:
    """Yield runs of one project's traces that are few enough for one query, each of at least one trace."""
    spans_until = np.cumsum(np.maximum(touched.spans, 1))
    first = 0
    while first < len(touched):
        before = spans_until[first - 1] if first else 0
        last = min(
            int(np.searchsorted(spans_until, before + _SPANS_PER_QUERY, side="right")),
            int(np.searchsorted(touched.project_id, touched.project_id[first], side="right")),
            first + _TRACES_PER_QUERY,
        )
        last = max(last, first + 1)
        yield slice(first, last)
        first = last


def _summarize_what_fits(store: Store, touched: TouchedTraces) -> int:
    """Summarise in halves what is too much for one query; a single trace that is too much keeps its last summary.

    It must not keep all other traces from theirs.
    """
    try:
        return _summarize_traces(store, touched)
    except QueryTooExpensive as error:
        if len(touched) == 1:
            trace_id, project_id = touched.trace_ids[0], int(touched.project_id[0])
            log.error("trace %s of project %d is too large to summarise: %s", trace_id, project_id, error)
            return 0
    half = len(touched) // 2
    return sum(_summarize_what_fits(store, touched.take(part)) for part in (slice(half), slice(half, None)))


def _summarize_traces(store: Store, touched: TouchedTraces) -> int:
    import pyarrow

    these: dict[str, Any] = {
        "project_id": int(touched.project_id[0]),
        "trace_ids": touched.trace_ids,
        "min_start_ns": int(touched.min_start_ns.min()),
        "max_start_ns": int(touched.max_start_ns.max()),
    }
    now = _Clock.read()  # before the spans are read: of two workers on one trace the one that read later must win
    spans = SpanColumns(summaries.read_spans(store, **these))
    if not spans.count:
        return 0
    rows = build_rows(
        spans,
        now_ns=time.time_ns(),
        running_timeout_ns=settings.RUNNING_TIMEOUT_S * 10**9,
        project_id=these["project_id"],
        read_errors=lambda ids, first_ns, last_ns: summaries.read_errors(
            store, project_id=these["project_id"], span_ids=ids, min_start_ns=first_ns, max_start_ns=last_ns
        ),
        read_reasons=lambda ids, first_ns, last_ns: summaries.read_reasons(
            store, project_id=these["project_id"], span_ids=ids, min_start_ns=first_ns, max_start_ns=last_ns
        ),
    )
    start_ns = rows.pop("start_ns")
    _insert_summaries(store, rows | {"start_time": start_ns}, project_id=these["project_id"], now=now, is_deleted=False)
    if earlier := summaries.find_earlier_starts(store, **these):
        starts = dict(zip(rows["trace_id"].to_pylist(), start_ns.tolist(), strict=True))
        moved = [(trace_id, start) for trace_id, start in earlier if starts.get(trace_id, start) != start]
        if moved:
            trace_ids = pyarrow.array([trace_id for trace_id, _ in moved], type=pyarrow.binary(16))
            old_starts = {"trace_id": trace_ids, "start_time": np.array([start for _, start in moved])}
            _insert_summaries(store, old_starts, project_id=these["project_id"], now=now, is_deleted=True)
    return spans.trace_count


def _insert_summaries(store: Store, columns: dict[str, Any], *, project_id: int, now: datetime, is_deleted: bool) -> None:
    import pyarrow

    count = len(columns["trace_id"])
    columns = columns | {
        "project_id": np.full(count, project_id, dtype=np.uint32),
        "start_time": pyarrow.array(columns["start_time"], type=pyarrow.timestamp("ns", tz="UTC")),
        "summarized_at": pyarrow.array(np.full(count, now.replace(tzinfo=None), dtype="M8[us]")).cast(
            pyarrow.timestamp("us", tz="UTC")
        ),
        "is_deleted": np.full(count, is_deleted, dtype=np.uint8),
    }
    store.insert_arrow("traces", pyarrow.table(columns))


def _read_no_errors(_ids: list[bytes], _first_ns: int, _last_ns: int) -> dict[bytes, tuple[str, str]]:
    return {}


def _read_no_reasons(_ids: list[bytes], _first_ns: int, _last_ns: int) -> dict[bytes, str]:
    return {}


def build_rows(
    spans: SpanColumns, *, now_ns: int, running_timeout_ns: int, read_errors: ReadErrors = _read_no_errors,
    read_reasons: ReadReasons = _read_no_reasons, project_id: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return the columns of `traces` (without project and bookkeeping) as arrays, one entry per trace, plus `start_ns`."""
    calls, tools = find_calls(spans), find_tool_calls(spans)
    repeats = find_repeats(spans, calls, tools, spans.numbers("arguments_hash"))
    outcomes = decide_outcomes(spans, tools, now_ns=now_ns, running_timeout_ns=running_timeout_ns)
    start = spans.numbers("start_ns")
    end = start + spans.numbers("duration_ns")
    count, trace = spans.trace_count, spans.trace
    start_ns = start[spans.first]
    end_ns = np.zeros(count, dtype=np.int64)
    np.maximum.at(end_ns, trace, end)
    everything = np.ones(spans.count, dtype=bool)
    tool = spans.labels("tool")
    escalations = (tools.is_call & ~tools.failed & tool.matching(ESCALATION_TOOL.search)) | spans.labels("signal").where(
        "human_escalation"
    )
    escalated = np.zeros(count, dtype=bool)
    escalated[trace[escalations]] = True
    handoffs = spans.labels("signal").where("agent_handoff")
    handed_over = np.zeros(count, dtype=bool)
    handed_over[trace[handoffs]] = True
    error_count = sum_by_trace(spans, spans.mask("is_error").astype(np.int64), everything)
    durations = bucket_of(spans.numbers("duration_ns"))
    cause = np.where(outcomes.failing >= 0, outcomes.failing, outcomes.root)
    return {
        "trace_id": spans.first_trace_ids(),
        "start_ns": start_ns,
        "duration_ns": np.maximum(end_ns - start_ns, 0),
        "name": spans.labels("name").take(outcomes.root),
        "service": spans.labels("service").take(outcomes.root),
        "services": distinct_by_trace(spans, spans.labels("service")),
        "outcome": outcomes.outcome,
        "outcome_rule": outcomes.rule,
        "has_errors": error_count > 0,
        "escalated": escalated,
        "handed_over": handed_over,
        "handoff_reasons": _reasons(spans, np.flatnonzero(handoffs), read_reasons),
        "escalation_reasons": _reasons(spans, np.flatnonzero(escalations), read_reasons),
        "span_count": np.bincount(trace, minlength=count),
        "error_count": error_count,
        "orphan_count": sum_by_trace(spans, spans.is_orphan.astype(np.int64), everything),
        "root_span_id": spans.ids_at("span_id", outcomes.root),
        "failing_span_id": spans.ids_at("span_id", outcomes.failing),
        "error_types": distinct_by_trace(spans, spans.labels("error_type"), leading=outcomes.failing),
        "error_message": first_by_trace(spans, spans.labels("error_message"), cause),
        "error_fingerprint": _fingerprints(spans, outcomes, read_errors),
        "workflows": distinct_by_trace(spans, spans.labels("workflow")),
        "agents": distinct_by_trace(spans, spans.labels("agent")),
        "versions": distinct_by_trace(spans, spans.labels("version")),
        "environment": first_by_trace(spans, spans.labels("environment"), outcomes.root),
        "prompts": _prompts(spans),
        "session_id": first_by_trace(spans, spans.labels("session_id"), outcomes.root),
        "user_id": first_by_trace(spans, spans.labels("user_id"), outcomes.root),
        "llm_calls": sum_by_trace(spans, calls.is_call.astype(np.int64), everything),
        "llm_errors": sum_by_trace(spans, (calls.is_call & spans.mask("is_error")).astype(np.int64), everything),
        "input_tokens": sum_by_trace(spans, spans.numbers("input_tokens"), calls.counts_usage),
        "output_tokens": sum_by_trace(spans, spans.numbers("output_tokens"), calls.counts_usage),
        "cached_input_tokens": sum_by_trace(spans, spans.numbers("cache_read_tokens"), calls.counts_usage),
        "cache_creation_input_tokens": sum_by_trace(spans, spans.numbers("cache_write_tokens"), calls.counts_usage),
        "reasoning_tokens": sum_by_trace(spans, spans.numbers("reasoning_tokens"), calls.counts_usage),
        "cache_creation_1h_input_tokens": sum_by_trace(spans, spans.numbers("cache_write_1h_tokens"), calls.counts_usage),
        "input_audio_tokens": sum_by_trace(spans, spans.numbers("input_audio_tokens"), calls.counts_usage),
        "output_audio_tokens": sum_by_trace(spans, spans.numbers("output_audio_tokens"), calls.counts_usage),
        **_price(spans, calls, durations, project_id, repeats.wasted),
        **_repeats_by_trace(spans, repeats),
        **_tools_by_trace(spans, tools, durations),
        **_steps_by_trace(spans, durations),
    }


def _fingerprints(spans: SpanColumns, outcomes: Outcomes, read_errors: ReadErrors) -> pyarrow.Array:
    """Return per trace the fingerprint of the error it failed with, "" when it did not fail."""
    import pyarrow

    failed = np.flatnonzero(outcomes.failing >= 0)
    result = [""] * spans.trace_count
    types, messages = spans.labels("error_type"), spans.labels("error_message")
    for first in range(0, len(failed), summaries.MAX_ERRORS):  # stack traces are long: only so many at a time
        traces = failed[first : first + summaries.MAX_ERRORS]
        at = outcomes.failing[traces]
        start_ns, is_error = spans.numbers("start_ns")[at], spans.mask("is_error")[at]
        ids = _ids_at(spans, at)
        told = read_errors(ids, int(start_ns.min()), int(start_ns.max()))
        known = zip(
            traces.tolist(), ids, is_error.tolist(), types.take(at).to_pylist(), messages.take(at).to_pylist(), strict=True
        )
        for trace, span_id, says_why, error_type, message in known:
            if says_why:
                result[trace] = fingerprint(error_type, *told.get(span_id, (message, "")))
            else:  # only how the trace looks says that it failed
                result[trace] = fingerprint(outcomes.rule[trace], "")
    return pyarrow.array(result, type=pyarrow.string())


def _ids_at(spans: SpanColumns, at: Ints) -> list[bytes]:
    """Return the ids of trace and span in one, raw: the arrays hold sixteen and eight bytes for each."""
    trace_ids, span_ids = spans.trace_ids[at].tobytes(), spans.raw_ids("span_id")[at].tobytes()
    return [trace_ids[16 * n : 16 * n + 16] + span_ids[8 * n : 8 * n + 8] for n in range(len(at))]


def _reasons(spans: SpanColumns, handing_over: Ints, read_reasons: ReadReasons) -> pyarrow.Array:
    """Return per trace the first _REASONS reasons that its spans at these places give, without the values that vary."""
    import pyarrow

    result: list[list[str]] = [[] for _ in range(spans.trace_count)]
    for first in range(0, len(handing_over), summaries.MAX_ERRORS):
        at = handing_over[first : first + summaries.MAX_ERRORS]
        start_ns = spans.numbers("start_ns")[at]
        ids = _ids_at(spans, at)
        told = read_reasons(ids, int(start_ns.min()), int(start_ns.max()))
        for trace, span_id in zip(spans.trace[at].tolist(), ids, strict=True):
            reason = normalize_message(told.get(span_id, ""))[:_REASON_CHARS]
            if reason and len(result[trace]) < _REASONS and reason not in result[trace]:
                result[trace].append(reason)
    return pyarrow.array(result, type=pyarrow.list_(pyarrow.string()))


class _Names:
    """Numbers for texts, the same for the same text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, values: Iterable[str]) -> npt.NDArray[np.int64]:
        return np.array([self._numbers.setdefault(value, len(self._numbers)) for value in values], dtype=np.int64)

    @property
    def texts(self) -> list[str]:
        return list(self._numbers)

    def take(self, numbers: npt.NDArray[np.int64]) -> pyarrow.Array:
        import pyarrow

        return pyarrow.array(self.texts, type=pyarrow.string()).take(pyarrow.array(numbers))


def _prompts(spans: SpanColumns) -> pyarrow.Array:
    """Return per trace the prompts as name or name@version."""
    names, versions = spans.labels("prompt_name"), spans.labels("prompt_version")
    members = np.flatnonzero(names.present)
    pairs, pair = np.unique(names.codes[members] * max(len(versions.values), 1) + versions.codes[members], return_inverse=True)
    prompts = _Names()
    numbers = prompts.number(
        f"{name}@{version}" if version else name
        for name, version in (
            (names.values[code // len(versions.values)], versions.values[code % len(versions.values)]) for code in pairs.tolist()
        )
    )[pair]
    groups = group_by_trace(spans, members, numbers)
    return groups.lists(prompts.take(numbers[np.searchsorted(members, groups.first)]))


def _tools_by_trace(spans: SpanColumns, tools: ToolCalls, durations: Buckets) -> dict[str, Any]:
    labels = spans.labels("tool")
    members = np.flatnonzero(tools.is_call)
    groups = group_by_trace(spans, members, labels.codes[members])
    return {
        "tools.name": groups.lists(labels.take(groups.first)),
        "tools.calls": groups.lists(groups.sums(np.ones(len(members), dtype=np.int64))),
        "tools.errors": groups.lists(groups.sums(tools.failed[members].astype(np.int64))),
        "tools.durations": groups.lists_of(durations[members], np.ones(len(members), dtype=bool)),
    }


def _steps_by_trace(spans: SpanColumns, durations: Buckets) -> dict[str, Any]:
    """Return how long steps took by kind. Spans of no kind, HTTP requests and the like, are no steps of an agent."""
    kinds = spans.labels("kind")
    members = np.flatnonzero(~kinds.where("other", ""))
    groups = group_by_trace(spans, members, kinds.codes[members])
    return {
        "steps.kind": groups.lists(kinds.take(groups.first)),
        "steps.durations": groups.lists_of(durations[members], np.ones(len(members), dtype=bool)),
    }


def _repeats_by_trace(spans: SpanColumns, repeats: Repeats) -> dict[str, Any]:
    loops, looping_calls = repeats.count_by_trace(spans, LOOP)
    _, retried_calls = repeats.count_by_trace(spans, RETRY)
    tokens = spans.numbers("input_tokens") + spans.numbers("output_tokens")
    return {
        "retried_calls": retried_calls,
        "loops": loops,
        "looping_calls": looping_calls,
        "wasted_tokens": sum_by_trace(spans, tokens, repeats.wasted),
    }


def _price(spans: SpanColumns, calls: Calls, durations: Buckets, project_id: int, wasted: Mask) -> dict[str, Any]:
    """Return cost and model columns. A cost is null when nothing of it has a price; what was wasted without one adds nothing."""
    import pyarrow

    requested, answered, provider = spans.labels("request_model"), spans.labels("response_model"), spans.labels("provider")
    tier = spans.labels("service_tier")
    members = np.flatnonzero(calls.is_call | calls.counts_usage)
    names = _Names()
    of_request, of_answer = names.number(requested.values), names.number(answered.values)
    of_snapshot = names.number(_SNAPSHOT_DATE.sub("", value) for value in answered.values)
    unnamed, unknown = names.number(["", "unknown"])
    account = calls.account[members]
    asked, answer = of_request[requested.codes[account]], of_answer[answered.codes[members]]
    model = np.where(asked == unnamed, of_snapshot[answered.codes[account]], asked)

    counts = calls.counts_usage[members]
    usage = {name: np.where(counts, spans.numbers(name)[members], 0) for name in TOKEN_CLASSES}
    start_ns = spans.numbers("start_ns")[members]

    def price(sold_as: npt.NDArray[np.int64], which: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        keys = np.stack((provider.codes[account[which]], sold_as[which], tier.codes[members[which]]))
        different, place = np.unique(keys, axis=1, return_inverse=True)
        sold = [Sold(provider.values[seller], names.texts[name], tier.values[of]) for seller, name, of in different.T.tolist()]
        used_tokens = {name: column[which] for name, column in usage.items()}
        return price_calls(sold, place, used_tokens, start_ns[which], project_id)

    cost = np.full(len(members), np.nan)
    used = np.flatnonzero(counts)
    cost[used] = price(np.where(answer == unnamed, model, answer), used)
    again = np.flatnonzero(counts & np.isnan(cost) & (answer != model))
    cost[again] = price(model, again)

    trace, trace_count = spans.trace[members], spans.trace_count
    unpriced = counts & np.isnan(cost)
    missing = group_by_trace(spans, members[unpriced], np.where(model == unnamed, unknown, model)[unpriced])
    cost_usd, is_priced = _sum_known(trace, cost, trace_count)
    wasted_usd, _ = _sum_known(trace, np.where(wasted[members], cost, np.nan), trace_count)
    # Some calls have a price and no tokens, images for one. What lies below usage that counts is part of that.
    pays = counts | (calls.is_call[members] & (nearest_ancestor(spans.parent, members, calls.counts_usage) < 0))
    supplied = np.where(pays, spans.floats("supplied_cost_usd")[members], np.nan)
    supplied_usd, is_supplied = _sum_known(trace, supplied, trace_count)
    # Of calls that have a supplied and a computed cost: the computed one, and what the supplied one is more.
    compared, difference = np.where(np.isnan(supplied), np.nan, cost), supplied - cost
    compared_usd, is_compared = _sum_known(trace, compared, trace_count)
    difference_usd, _ = _sum_known(trace, difference, trace_count)
    # No tokens, no cost: zero is the truth there, not "unpriced".
    is_known = is_priced | (np.diff(missing.offsets) == 0)

    named = np.flatnonzero(model != unnamed)
    codes = model * max(len(provider.values), 1) + provider.codes[account]
    groups = group_by_trace(spans, members[named], codes[named])

    def sums(values: npt.NDArray[np.float64]) -> pyarrow.Array:
        group_sums, has_any = _sum_known(groups.of, values[named], len(groups.first))
        return groups.lists(pyarrow.array(group_sums, mask=~has_any))

    first = np.searchsorted(members, groups.first)
    is_call = calls.is_call[members]
    # Of a call that two instrumentations tell of, either may know when its first token came.
    first_token_ns = spans.numbers("time_to_first_token_ns")
    first_token_ns = np.where(first_token_ns[members] > 0, first_token_ns[members], first_token_ns[account])
    return {
        "cost_usd": pyarrow.array(cost_usd, mask=~is_known),
        "wasted_cost_usd": wasted_usd,
        "supplied_cost_usd": pyarrow.array(supplied_usd, mask=~is_supplied),
        "compared_cost_usd": pyarrow.array(compared_usd, mask=~is_compared),
        "cost_difference_usd": pyarrow.array(difference_usd, mask=~is_compared),
        "unpriced_models": missing.lists(
            names.take(np.where(model == unnamed, unknown, model)[np.searchsorted(members, missing.first)])
        ),
        "unpriced_calls": np.bincount(trace[unpriced], minlength=trace_count),
        "models.model": groups.lists(names.take(model[first])),
        "models.provider": groups.lists(provider.take(calls.account[groups.first])),
        "models.calls": groups.lists(groups.sums(is_call[named].astype(np.int64))),
        "models.errors": groups.lists(groups.sums((is_call & spans.mask("is_error")[members])[named].astype(np.int64))),
        "models.durations": groups.lists_of(durations[members][named], is_call[named]),
        "models.first_tokens": groups.lists_of(bucket_of(first_token_ns[named]), (is_call & (first_token_ns > 0))[named]),
        "models.input_tokens": groups.lists(groups.sums(usage["input_tokens"][named])),
        "models.output_tokens": groups.lists(groups.sums(usage["output_tokens"][named])),
        "models.cached_input_tokens": groups.lists(groups.sums(usage["cache_read_tokens"][named])),
        "models.cost_usd": sums(cost),
        "models.supplied_cost_usd": sums(supplied),
        "models.compared_cost_usd": sums(compared),
        "models.cost_difference_usd": sums(difference),
    }


def _sum_known(group: npt.NDArray[np.int64], values: npt.NDArray[np.float64], count: int) -> tuple[Any, Any]:
    """Return per group the sum of the values that are not NaN, and whether there are any."""
    known = ~np.isnan(values)
    sums = np.bincount(group[known], weights=values[known], minlength=count)
    return sums, np.bincount(group[known], minlength=count) > 0
