"""What the commands share that have the worker compute the past again: arguments, and showing how far it is."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tracestore.jobs.recompute import AlreadyRunning, cancel_recomputation, start_recomputation
from tracestore.management.projects import add_project_argument, get_project
from tracestore.models import Recomputation
from tracestore.timerange import TimeError, parse_time_range

_POLL_S = 0.5
_BAR = 30
_YEARS_NS = 50 * 365 * 86_400 * 10**9


class RecomputeCommand(BaseCommand):
    """A command that starts a job of its kind for a project and a range, and waits for it unless told not to."""

    kind: Recomputation.Kind

    def add_arguments(self, parser: CommandParser) -> None:
        add_project_argument(parser)
        parser.add_argument("--start", default="", help="such as 2026-11-01 or now-30d; default: everything")
        parser.add_argument("--end", default="", help="default: now")
        parser.add_argument("--no-wait", action="store_true", help="only start it")
        parser.add_argument("--cancel", action="store_true", help="stop the one under way; what is done stays done")

    def handle(self, *args: Any, **options: Any) -> None:
        project = get_project(options)
        if options["cancel"]:
            self.stdout.write("Cancelled." if cancel_recomputation(project.pk, self.kind) else "Nothing is under way.")
            return
        try:
            time_range = parse_time_range(options["start"], options["end"], default_ns=_YEARS_NS)
            job = start_recomputation(project.pk, self.kind, time_range)
        except (TimeError, AlreadyRunning) as error:
            raise CommandError(str(error)) from None
        if options["no_wait"]:
            self.stdout.write("The worker begins within seconds.")
        else:
            self._wait(job.pk)

    def _wait(self, job_id: int) -> None:
        """Show a bar on a terminal, and a line for each tenth elsewhere."""
        is_terminal = self.stdout.isatty()
        said = -1
        while True:
            job = Recomputation.objects.get(pk=job_id)
            share = job.traces_done / job.traces_total if job.traces_total else 0.0
            text = f"{min(share, 1):4.0%} {job.traces_done:,} of {job.traces_total:,} traces"
            if is_terminal:
                self.stdout.write(f"\r[{'#' * int(min(share, 1) * _BAR):<{_BAR}}] {text}", ending="")
                self.stdout.flush()
            elif int(share * 10) > said and job.traces_total:
                said = int(share * 10)
                self.stdout.write(text.strip())
            if job.status != Recomputation.Status.RUNNING:
                break
            time.sleep(_POLL_S)
        if is_terminal:
            self.stdout.write("")
        if job.status != Recomputation.Status.DONE:
            raise CommandError(f"{job.get_status_display()}. {job.error}".strip())
        self.stdout.write(f"Done: {job.traces_done:,} traces.")
