"""`manage.py replay_dead_letters`: list the requests that ClickHouse refused, and send them through the spool again."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ingest.dead_letters import DeadLetters
from tracestore.timerange import moment_of


class Command(BaseCommand):
    help = "List the requests that ClickHouse refused; with names or --all, ask the server to store them again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="dead letters to replay, as listed")
        parser.add_argument("--all", action="store_true", help="replay every dead letter")

    def handle(self, *args: Any, **options: Any) -> None:
        letters = DeadLetters(settings.DATA / "dead-letters")
        found = letters.find()
        names = [letter.name for letter in found if letter.is_request] if options["all"] else options["names"]
        if names:
            for name in names:
                try:
                    letters.request_replay(name)
                except LookupError as error:
                    raise CommandError(str(error)) from None
            self.stdout.write(f"{len(names)} requests will be stored again by the server within seconds, or when it starts.")
            return
        for letter in found:
            refused_at = f"{moment_of(letter.refused_at_ns):%Y-%m-%d %H:%M:%SZ}"
            waiting = "  (replay asked for)" if letter.replay else "" if letter.is_request else "  (cannot be replayed)"
            self.stdout.write(
                f"{letter.name}  {refused_at}  project {letter.project_id}  {letter.signal}  {letter.body_bytes} bytes{waiting}"
            )
            self.stdout.write(f"    {letter.reason}")
        if not found:
            self.stdout.write("There are no dead letters.")
