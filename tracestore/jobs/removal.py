"""Deleting a project: it and all that is kept of it in the relational database at once, its rows in ClickHouse by a job.

Its id is never given out again, so what is still on its way for it, in a spool or in a process that has not noticed yet, belongs
to nobody and is found nowhere. It is deleted, too: at the job's next step, or at the look that follows every hour.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.removal import count_rows, delete_rows
from tracestore.jobs.past import advance_jobs
from tracestore.keys import DEFAULT_PROJECT_ID, forget_keys
from tracestore.models import MaskedValues, Project, Refusal, Removal
from tracestore.projects import forget_projects

log = logging.getLogger(__name__)

# By then every process knows, and what it had received is stored, unless the store was away.
_STRAGGLERS = timedelta(minutes=1)


def delete_project(project: Project, *, typed: str, by: str) -> Removal:
    """Delete a project with its keys, rules, alerts and all else, and have the worker delete its rows; return the job.

    `typed` must be its slug. Its keys are refused by this process from now on, by all within a second. Raises ValidationError.
    """
    if project.pk == DEFAULT_PROJECT_ID:
        raise ValidationError("The default project cannot be deleted: what names no project belongs to it.")
    if typed != project.slug:
        raise ValidationError({"slug": f"Type {project.slug} to delete this project: nothing was deleted."})
    with transaction.atomic():
        removal = Removal.objects.create(project_id=project.pk, slug=project.slug, name=project.name, by=by[:150])
        _delete_counts(project.pk)
        Project.objects.filter(pk=project.pk).delete()
    forget_keys()
    forget_projects()
    log.info("projects: %r deleted the project %s (%r)", by, removal.slug, removal.name)
    return removal


def remove_pending() -> int:
    """Take the running jobs a step further; returns how many are still running."""
    return advance_jobs(Removal, _step, work_s=0)


def look_again(store: Store) -> None:
    """Let the jobs go on whose projects have rows again, that arrived late, and those that failed. Raises StoreError."""
    for removal in Removal.objects.exclude(status=Removal.Status.RUNNING):
        if removal.status == Removal.Status.FAILED or any(count_rows(store, removal.project_id).values()):
            Removal.objects.filter(pk=removal.pk).update(status=Removal.Status.RUNNING, error="", ended_at=None)


def _step(store: Store, job: Removal) -> bool:
    left = delete_rows(store, job.project_id)
    _delete_counts(job.project_id)
    Removal.objects.filter(pk=job.pk).update(rows_left=left, rows_total=max(left, job.rows_total))
    return left > 0 or timezone.now() - job.created_at < _STRAGGLERS


def _delete_counts(project_id: int) -> None:
    for kind in (Refusal, MaskedValues):
        kind.objects.filter(project_id=project_id).delete()
