"""Have stored spans read again, or say how far that is."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tracestore.jobs.reread import AlreadyRunning, cancel_reread, start_reread
from tracestore.management.projects import add_project_argument, get_project
from tracestore.models import Reread


class Command(BaseCommand):
    help = "Have the running worker read a project's stored spans again: by its mapping rules, with the dialects of this version."

    def add_arguments(self, parser: CommandParser) -> None:
        add_project_argument(parser)
        parser.add_argument("--status", action="store_true", help="only say how far the last run is")
        parser.add_argument("--cancel", action="store_true", help="stop the run under way; what is done stays done")

    def handle(self, *args: Any, **options: Any) -> None:
        project = get_project(options)
        if options["cancel"]:
            self.stdout.write("Cancelled." if cancel_reread(project.pk) else "Nothing is under way.")
        elif options["status"]:
            job = Reread.objects.filter(project=project).last()
            said = (
                f"{job.get_status_display()}: {job.spans_done:,} of {job.spans_total:,} spans. {job.error}"
                if job
                else "Never ran."
            )
            self.stdout.write(said.strip())
        else:
            try:
                start_reread(project.pk)
            except AlreadyRunning as error:
                raise CommandError(str(error)) from None
            self.stdout.write("The worker begins within seconds; --status says how far it is.")
