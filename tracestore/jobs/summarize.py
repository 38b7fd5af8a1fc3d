"""The jobs that keep `traces` and `rollups` true: find what changed, compute (summary/), write.

Work is found from the data (cursors over `trace_touches`, change times in `traces`), not from messages, and every write
replaces what it recomputes; so a job may run twice, late, or on two workers without changing a number.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.jobs.lease import is_free
from tracestore.jobs.oddities import NOT_OF_A_TRACE, tell_once
from tracestore.mapping import build_tool_signals
from tracestore.models import JobCursor
from tracestore.prices.stored import load_prices
from tracestore.process import telemetry
from tracestore.process.liveness import note_progress
from tracestore.queries import summaries
from tracestore.queries.rollups import HOUR_S, MINUTE_S, find_hours_with_traces, recompute_hours, recompute_rollups
from tracestore.queries.summaries import TouchedBatch, TouchedTraces
from tracestore.queries.tool_requests import read_tool_requests
from tracestore.summary.columns import SpanColumns
from tracestore.summary.rows import build_rows

log = logging.getLogger(__name__)

_LEASE = timedelta(seconds=120)
# Two workers that summarise one trace at a time differ by less.
_RACE_US = 3600 * 10**6
_TRACES_PER_STEP = 50_000
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
# An hour is added up so long after its end, from new minutes when it began so long ago; so much work at a time.
_HOUR_SETTLES_S, _HOUR_IS_OLD_S, _HOURS_WORK_S = 300, 3 * 3600, 5.0

# writer -> state in which this process last summarised its open batch; forgetting it costs one summary too many.
_open_batches: dict[str, tuple[int, int, bool]] = {}
# writer -> newest batch of which it has said that all of it is inserted; forgetting it costs the same.
_complete_batches: dict[str, int] = {}
# (project, minute) -> writes of summaries that its rollup has seen, for the time of the overlap: without it a minute would be
# computed for as long as its changes lie in there, six times and more. Forgetting it costs no more than that.
_rolled_up: dict[tuple[int, int], frozenset[int]] = {}

# cursor -> the lease that this process gave back last: where the database could not note that, as on a full disk, it is free all
# the same.
_left_behind: dict[int, datetime | None] = {}


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
    is_open = is_free(now, _LEASE) | Q(lease_until=_left_behind.get(cursor.pk))
    if not JobCursor.objects.filter(is_open, pk=cursor.pk).update(lease_until=now + _LEASE):
        yield None
        return
    cursor.refresh_from_db()
    try:
        yield cursor
    finally:
        _left_behind[cursor.pk] = cursor.lease_until
        _held(cursor).update(lease_until=None)


def _held(cursor: JobCursor) -> QuerySet[JobCursor]:
    """Return the cursor's row, none when this worker was away for so long that another one has taken it."""
    return JobCursor.objects.filter(pk=cursor.pk, lease_until=cursor.lease_until)


def _advance(cursor: JobCursor, position: int) -> None:
    cursor.position = position
    _renew(cursor)


def _renew(cursor: JobCursor) -> None:
    """Hold the cursor on, and note its position. Does nothing when another worker has it: that one does the same work."""
    until = timezone.now() + _LEASE
    if _held(cursor).update(position=cursor.position, lease_until=until):
        cursor.lease_until = until


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
    store = get_store().unqueued()
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
        touched = summaries.find_touched(store, writer=writer, after=done, until=last.seq)
        written += _summarize(store, touched, partial(_renew, cursor))
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
    store = get_store().unqueued()
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
    store = get_store().unqueued()
    with _leased("roll up", "") as cursor:
        if cursor is None:
            return 0
        now_ns = time.time_ns()
        telemetry.JOB_LAG.labels("roll_up").set(max(0, now_ns - cursor.position) / 1e9 if cursor.position else 0)
        since_ns = max(0, min(cursor.position, now_ns) - _ROLLUP_OVERLAP_NS)  # the clock may have been set back
        writes, until_ns = summaries.find_changed_minutes(store, since_ns=since_ns)
        changed: dict[int, list[int]] = {}
        for (project_id, minute_s), seen in writes.items():
            if not seen <= _rolled_up.get((project_id, minute_s), frozenset()):
                changed.setdefault(project_id, []).append(minute_s)
        note_part = partial(_renew, cursor)
        for project_id, minutes in changed.items():
            recompute_rollups(store, project_id=project_id, bucket_starts_s=minutes, note_part=note_part)
        _roll_up_hours(store, changed, now_ns // 10**9, note_part)
        _rolled_up.clear()
        _rolled_up.update(writes)
        _advance(cursor, now_ns if until_ns is None else min(now_ns, until_ns + _ROLLUP_OVERLAP_NS))
        return sum(len(minutes) for minutes in changed.values())


def _roll_up_hours(store: Store, changed: dict[int, list[int]], now_s: int, note_part: Callable[[], None]) -> None:
    """Add up the hours that have ended, in the order of time, and again those in which minutes changed late.

    An hour that goes on has minutes alone: adding those up again every time would cost more than it saves.
    """
    cursor, _ = JobCursor.objects.get_or_create(job="roll up", source="hours")
    for project_id, minutes in changed.items():
        late = [minute_s for minute_s in minutes if minute_s < cursor.position]
        recompute_hours(store, project_id=project_id, hour_starts_s=late, note_part=note_part)
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
                minutes_s = range(hour_s, hour_s + HOUR_S, MINUTE_S)
                recompute_rollups(store, project_id=project_id, bucket_starts_s=minutes_s, note_part=note_part)
            recompute_hours(store, project_id=project_id, hour_starts_s=[hour_s], note_part=note_part)
        note_progress("summaries")
        if time.monotonic() > deadline:
            position = hour_s + HOUR_S
            break
    JobCursor.objects.filter(pk=cursor.pk).update(position=position)


def _summarize(store: Store, touched: TouchedTraces, note_part: Callable[[], None] = lambda: None) -> int:
    """Write the summaries of these traces, in parts; returns how many."""
    load_prices()
    # `spans` is sorted by minute and trace id: neighbours in that order share a query that reads a narrow part of it. Under
    # load a minute has millions of spans, and each query would read all of them.
    halves = touched.trace_id.view(">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0], touched.min_start_ns // _NS_PER_MINUTE, touched.project_id))
    touched = touched.take(order)
    written = 0
    for part in _split(touched):
        written += _summarize_what_fits(store, touched.take(part))
        note_part()
    return written


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
    """Summarise in halves what is too much for one query, or breaks; a single trace that does keeps its last summary.

    It must not keep all other traces from theirs.
    """
    try:
        return _summarize_traces(store, touched)
    except QueryTooExpensive as error:
        if len(touched) == 1:
            trace_id, project_id = touched.trace_ids[0], int(touched.project_id[0])
            log.error("trace %s of project %d is too large to summarise: %s", trace_id, project_id, error)
            return 0
    except NOT_OF_A_TRACE:
        raise
    except Exception:
        if len(touched) == 1:
            tell_once(log, "cannot be summarised", f"{touched.trace_ids[0]} of project {touched.project_id[0]}")
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
        read_requests=lambda ids, first_ns, last_ns, deadline_s: read_tool_requests(
            store,
            project_id=these["project_id"],
            span_ids=ids,
            min_start_ns=first_ns,
            max_start_ns=last_ns,
            deadline_s=deadline_s,
        ),
        read_signal=build_tool_signals(these["project_id"]),
    )
    starts_ns = rows.pop("start_ns")
    columns = rows | {"start_time": starts_ns}
    project_id, now_us = these["project_id"], int(now.timestamp()) * 10**6 + now.microsecond
    _insert_summaries(store, columns, project_id=project_id, summarized_us=np.full(len(starts_ns), now_us), is_deleted=False)
    earlier = summaries.find_earlier_starts(store, **these)
    if not earlier:
        return spans.trace_count
    ids = columns["trace_id"].to_pylist()
    starts = dict(zip(ids, starts_ns.tolist(), strict=True))
    # Written by a clock that has been set back since: until it gets there again, that summary would count and not this one.
    ahead_us = {
        trace_id: last_us for trace_id, start, last_us in earlier if last_us > now_us + _RACE_US and starts.get(trace_id) == start
    }
    if ahead_us:
        places = [place for place, trace_id in enumerate(ids) if trace_id in ahead_us]
        again = pyarrow.table(columns).take(places)
        stamps_us = np.array([ahead_us[ids[place]] + 1 for place in places])
        columns = {name: again.column(name) for name in columns} | {"start_time": starts_ns[places]}
        _insert_summaries(store, columns, project_id=project_id, summarized_us=stamps_us, is_deleted=False)
    moved = [(trace_id, start, last_us) for trace_id, start, last_us in earlier if starts.get(trace_id, start) != start]
    if moved:
        trace_ids = pyarrow.array([trace_id for trace_id, _, _ in moved], type=pyarrow.binary(16))
        old_starts = {"trace_id": trace_ids, "start_time": np.array([start for _, start, _ in moved])}
        stamps_us = np.array([last_us + 1 if last_us > now_us + _RACE_US else now_us for _, _, last_us in moved])
        _insert_summaries(store, old_starts, project_id=project_id, summarized_us=stamps_us, is_deleted=True)
    return spans.trace_count


def _insert_summaries(store: Store, columns: dict[str, Any], *, project_id: int, summarized_us: Any, is_deleted: bool) -> None:
    """`summarized_us` has a time (us since 1970) for each row."""
    import pyarrow

    count = len(columns["trace_id"])
    columns = columns | {
        "project_id": np.full(count, project_id, dtype=np.uint32),
        "start_time": pyarrow.array(columns["start_time"], type=pyarrow.timestamp("ns", tz="UTC")),
        "summarized_at": pyarrow.array(summarized_us, type=pyarrow.timestamp("us", tz="UTC")),
        "is_deleted": np.full(count, is_deleted, dtype=np.uint8),
    }
    store.insert_arrow("traces", pyarrow.table(columns))
