"""The job that computes a stretch of a project's past again: its rollups, or its summaries with the prices of today.

It goes hour by hour from the oldest on (past_jobs.py). Rollups follow new summaries by themselves.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from tracestore.clickhouse.client import Store
from tracestore.jobs.past import WORK_S, AlreadyRunning, advance_jobs, finish
from tracestore.jobs.summarize import summarize_again
from tracestore.models import Recomputation
from tracestore.queries import recompute as queries
from tracestore.queries.rollups import HOUR_S, MINUTE_S, find_hours_end_ns, recompute_hours, recompute_rollups
from tracestore.timerange import NS_PER_S, TimeRange

__all__ = ["AlreadyRunning", "cancel_recomputation", "recompute_pending", "start_recomputation"]

_HOUR_NS = HOUR_S * NS_PER_S


def start_recomputation(project_id: int, kind: Recomputation.Kind, time_range: TimeRange) -> Recomputation:
    """Have the worker compute the hours of the range again. Raises AlreadyRunning."""
    start_ns, end_ns = time_range.start_ns // _HOUR_NS * _HOUR_NS, -(-time_range.end_ns // _HOUR_NS) * _HOUR_NS
    try:
        with transaction.atomic():
            return Recomputation.objects.create(project_id=project_id, kind=kind, position_ns=start_ns, until_ns=end_ns)
    except IntegrityError:
        raise AlreadyRunning("The same of this project is being computed already: --cancel stops it.") from None


def cancel_recomputation(project_id: int, kind: Recomputation.Kind) -> bool:
    """Stop the running job after the hour in hand; returns whether there was one. What is done stays done."""
    return bool(finish(Recomputation, Q(project_id=project_id, kind=kind), Recomputation.Status.CANCELLED))


def recompute_pending(work_s: float = WORK_S) -> int:
    """Take the running jobs some hours further, for about `work_s` each; returns how many are still running."""
    return advance_jobs(Recomputation, _step, work_s)


def _step(store: Store, job: Recomputation) -> bool:
    """Compute the next hour that has traces, and note that it is done; False when there is none left."""
    if job.position_ns >= job.until_ns:
        return False
    rest = TimeRange(job.position_ns, job.until_ns)
    if not job.traces_total:
        Recomputation.objects.filter(pk=job.pk).update(
            traces_total=queries.count_traces(store, project_id=job.project_id, time_range=rest)
        )
    hours = queries.find_hours(store, project_id=job.project_id, time_range=rest, limit=1)
    if not hours:
        return False
    ((hour_s, traces),) = hours
    hour = TimeRange(hour_s * NS_PER_S, (hour_s + HOUR_S) * NS_PER_S)
    if job.kind == Recomputation.Kind.PRICES:
        summarize_again(store, queries.find_traces_of(store, project_id=job.project_id, time_range=hour))
    else:
        recompute_rollups(store, project_id=job.project_id, bucket_starts_s=range(hour_s, hour_s + HOUR_S, MINUTE_S))
        if hour.end_ns <= find_hours_end_ns(store, project_id=job.project_id):
            recompute_hours(store, project_id=job.project_id, hour_starts_s=[hour_s])
    Recomputation.objects.filter(pk=job.pk).update(position_ns=hour.end_ns, traces_done=F("traces_done") + traces)
    return True
