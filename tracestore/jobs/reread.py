"""The job that reads a project's stored spans again: after its mapping rules changed, or with the dialects of a new version.

It goes from the oldest span to the newest in bounded steps (past_jobs.py).
Spans that arrive while it runs are read by the new rules already.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.partitions import partition_of
from tracestore.jobs.past import WORK_S, AlreadyRunning, advance_jobs, finish
from tracestore.mapping import find_mappings
from tracestore.models import Reread
from tracestore.queries import reread as queries
from tracestore.timerange import MAX_NS, TimeRange

__all__ = ["AlreadyRunning", "cancel_reread", "reread_pending", "start_reread"]

_CHUNK_SPANS = 20_000  # about a second's work; a minute is not cut
_MINUTE_NS = 60 * 10**9
_MERGED_BYTES = 2**30
_CHUNKS_A_JOB = 2**20


def start_reread(project_id: int) -> Reread:
    """Have the worker read all stored spans of the project again. Raises AlreadyRunning."""
    try:
        with transaction.atomic():
            return Reread.objects.create(project_id=project_id)
    except IntegrityError:
        raise AlreadyRunning("The stored spans of this project are being read again already.") from None


def cancel_reread(project_id: int) -> bool:
    """Stop the project's running job after the step in hand; returns whether there was one. What is done stays done."""
    return bool(finish(Reread, Q(project_id=project_id), Reread.Status.CANCELLED))


def reread_pending(work_s: float = WORK_S) -> int:
    """Take the running jobs some steps further, for about `work_s` each; returns how many are still running."""
    return advance_jobs(Reread, _advance, work_s)


def _advance(store: Store, job: Reread) -> bool:
    if job.until_ns and job.position_ns >= job.until_ns:
        return False
    if job.until_ns:
        _step(store, job)
    else:
        _find_bounds(store, job)
    return True


def _find_bounds(store: Store, job: Reread) -> None:
    """Note what there is to do: all spans that are stored now."""
    spans, first_ns, last_ns = queries.count_spans(store, project_id=job.project_id, time_range=TimeRange(0, MAX_NS))
    Reread.objects.filter(pk=job.pk).update(position_ns=first_ns, until_ns=last_ns + 1, spans_total=spans)


def _step(store: Store, job: Reread) -> None:
    """Read the next whole minutes of one partition again, and note that they are done."""
    minutes = queries.find_minutes(
        store, project_id=job.project_id, time_range=TimeRange(job.position_ns, job.until_ns), limit=1000
    )
    spans, end_ns, partition = 0, job.until_ns, ""
    if minutes:
        first_ns = minutes[0][0] * 10**9
        partition = partition_of(first_ns)
        for minute_s, count in minutes:
            if spans and (spans + count > _CHUNK_SPANS or partition_of(minute_s * 10**9) != partition):
                break
            spans, end_ns = spans + count, minute_s * 10**9 + _MINUTE_NS
        chunk = TimeRange(first_ns, end_ns)
        mapping = find_mappings([job.project_id]).get(job.project_id, "")
        spans = queries.reread_spans(store, project_id=job.project_id, time_range=chunk, mapping=mapping)
        queries.touch_traces(
            store, project_id=job.project_id, time_range=chunk,
            writer=f"read again {job.project_id}", batch_seq=job.pk * _CHUNKS_A_JOB + job.chunk,
        )  # fmt: skip
        if end_ns >= job.until_ns or partition_of(end_ns) != partition:
            queries.merge_copies(store, partition=partition, max_bytes=_MERGED_BYTES)
    Reread.objects.filter(pk=job.pk).update(position_ns=end_ns, chunk=F("chunk") + 1, spans_done=F("spans_done") + spans)
