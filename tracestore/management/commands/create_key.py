"""Make a key for one project."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tracestore.models import IngestKey, Project


class Command(BaseCommand):
    help = "Make a key for OTLP and the API and print it once: only its hash is kept. Makes the project when there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="who uses the key")
        parser.add_argument("--project", default="default", help="slug of the project that the key opens; default: default")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["project"]
        project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug.capitalize()})
        key = "ts_" + secrets.token_urlsafe(32)
        IngestKey.objects.create(project=project, name=options["name"], sha256=hashlib.sha256(key.encode()).hexdigest())
        self.stdout.write(key)
