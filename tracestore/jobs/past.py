"""What the jobs over a project's past have in common: one worker at a time takes each some steps further, until it is done.

How far a job is stands in its row, and each step may be repeated. The running worker does them, because the embedded engine
belongs to one process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.db import Error as RelationalError
from django.db.models import Q
from django.utils import timezone

from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError, StoreUnavailable
from tracestore.jobs.lease import is_free
from tracestore.models import PastJob

log = logging.getLogger(__name__)

WORK_S = 4.0  # of one run of the task, which begins every five seconds; the next one goes on
_LEASE = timedelta(seconds=900)
Job = TypeVar("Job", bound=PastJob)
# Does one step and notes that it is done; False when there is none left.
Step = Callable[[Store, Job], bool]


class AlreadyRunning(Exception):
    """The same of this project is being done at this moment."""


def finish(kind: type[Job], which: Q, status: PastJob.Status, error: str = "") -> int:
    """End the running jobs that match; returns how many there were. What is done stays done."""
    running = kind._default_manager.filter(which, status=PastJob.Status.RUNNING)
    return running.update(status=status, ended_at=timezone.now(), error=error[:500])


def advance_jobs(kind: type[Job], step: Step[Job], work_s: float) -> int:
    """Take the running jobs some steps further, for about `work_s` each; returns how many are still running."""
    running = kind._default_manager.filter(status=PastJob.Status.RUNNING)
    for job_id in running.order_by("pk").values_list("pk", flat=True):
        _advance(kind, job_id, step, time.monotonic() + work_s)
    return running.count()


def _advance(kind: type[Job], job_id: int, step: Step[Job], deadline: float) -> None:
    jobs, now = kind._default_manager, timezone.now()
    until = now + _LEASE
    if not jobs.filter(is_free(now, _LEASE), pk=job_id, status=PastJob.Status.RUNNING).update(lease_until=until):
        return
    try:
        while (job := jobs.get(pk=job_id)).status == PastJob.Status.RUNNING:
            if not step(get_store().unqueued(), job):
                finish(kind, Q(pk=job_id), PastJob.Status.DONE)
            if time.monotonic() > deadline:
                break
    except StoreUnavailable as error:
        log.warning("%s: the store is unavailable, trying later: %s", kind.__name__, error)
    except StoreError as error:
        log.error("%s %d failed: %s", kind.__name__, job_id, error)
        finish(kind, Q(pk=job_id), PastJob.Status.FAILED, str(error))
    except RelationalError:
        raise  # all jobs wait for the same
    except Exception as error:  # a task's edge: what breaks one project's job must not keep the others from theirs
        log.exception("%s %d broke", kind.__name__, job_id)
        said = f"internal error ({type(error).__name__}); the server's log says more"
        finish(kind, Q(pk=job_id), PastJob.Status.FAILED, said)
    finally:
        jobs.filter(pk=job_id, lease_until=until).update(lease_until=None)
