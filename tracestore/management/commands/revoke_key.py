"""Take a key back, or list the keys that there are."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tracestore.models import IngestKey


class Command(BaseCommand):
    help = "Take back the keys of that name: servers refuse them within 30 seconds. Without a name, list the project's keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="as it was given to create_key")
        parser.add_argument("--project", default="default", help="slug of the project; default: default")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = IngestKey.objects.filter(project__slug=options["project"]).order_by("name", "pk")
        if not options["name"]:
            lines = [f"{key.name}  made {key.created_at:%Y-%m-%d %H:%M} UTC" for key in keys]
            self.stdout.write("\n".join(lines) or f"The project {options['project']!r} has no keys.")
            return
        revoked, _ = keys.filter(name=options["name"]).delete()
        if not revoked:
            raise CommandError(
                f"The project {options['project']!r} has no key {options['name']!r}; without a name all are listed."
            )
        self.stdout.write(f"{revoked} key{'' if revoked == 1 else 's'} revoked.")
