"""Make a key for one project."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from tracestore.models import IngestKey, Project


class Command(BaseCommand):
    help = "Make a key for OTLP and the API and print it once: only its hash is kept. Makes the project when there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="who uses the key")
        parser.add_argument("--project", default="default", help="slug of the project that the key opens; default: default")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["project"]
        secret = "ts_" + secrets.token_urlsafe(32)
        with transaction.atomic():
            project = Project.objects.filter(slug=slug).first() or Project(slug=slug, name=slug.replace("-", " ").capitalize())
            try:
                project.full_clean()
                project.save()
                key = IngestKey(project=project, name=options["name"], sha256=hashlib.sha256(secret.encode()).hexdigest())
                key.full_clean()
            except ValidationError as error:
                raise CommandError(" ".join(f"{name}: {' '.join(said)}" for name, said in error.message_dict.items())) from None
            key.save()
        self.stdout.write(secret)
