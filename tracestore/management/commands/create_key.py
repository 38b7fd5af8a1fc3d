"""Make a key for one project."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from tracestore.keys import make_key
from tracestore.models import Project
from tracestore.projects import make_project

_BY = "manage.py create_key"


class Command(BaseCommand):
    help = "Make a key for OTLP and the API and print it once: only its hash is kept. Makes the project when there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="who uses the key")
        parser.add_argument("--project", default="default", help="slug of the project that the key opens; default: default")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["project"]
        try:
            with transaction.atomic():
                project = Project.objects.filter(slug=slug).first() or make_project(
                    slug.replace("-", " ").capitalize(), slug, by=_BY
                )
                _, secret = make_key(project, options["name"], by=_BY)
        except ValidationError as error:
            raise CommandError(" ".join(f"{name}: {' '.join(said)}" for name, said in error.message_dict.items())) from None
        self.stdout.write(secret)
