"""Start Tracestore."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tracestore.process.server import ROLES, run


class Command(BaseCommand):
    help = "Start every role in this process, or only those named; stops on Ctrl-C or SIGTERM."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--role", action="append", choices=ROLES, help="may be given more than once; default: all")

    def handle(self, *args: Any, **options: Any) -> None:
        run(tuple(options["role"] or ROLES))
