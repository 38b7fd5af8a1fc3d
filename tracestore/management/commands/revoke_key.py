"""Take a key back, or list the keys that there are."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tracestore.keys import revoke_keys
from tracestore.models import IngestKey


class Command(BaseCommand):
    help = "Take back the keys of that name: servers refuse them within a second. Without a name, list keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="as it was given to create_key")
        parser.add_argument("--project", help="slug of the project; default: default, and of a list all projects")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["name"]:
            self._list(options["project"])
            return
        project = options["project"] or "default"
        revoked = revoke_keys(IngestKey.objects.filter(project__slug=project, name=options["name"]), by="manage.py revoke_key")
        if not revoked:
            raise CommandError(f"The project {project!r} has no key {options['name']!r}; without a name all are listed.")
        self.stdout.write(f"{revoked} key{'' if revoked == 1 else 's'} revoked.")

    def _list(self, project: str | None) -> None:
        keys = IngestKey.objects.select_related("project").order_by("project__slug", "name", "pk")
        if project:
            keys = keys.filter(project__slug=project)
        lines = [f"{key.name}  project {key.project.slug}  made {key.created_at:%Y-%m-%d %H:%M} UTC" for key in keys]
        self.stdout.write("\n".join(lines) or (f"The project {project!r} has no keys." if project else "There are no keys."))
