"""The project that a command is about: its argument, and the project itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser

from tracestore.models import Project


def add_project_argument(parser: CommandParser) -> None:
    parser.add_argument("--project", default="default", help="slug of the project; default: default")


def get_project(options: Mapping[str, Any], returncode: int = 1) -> Project:
    """Return the project that `--project` names. Raises CommandError, which ends the command with `returncode`."""
    project = Project.objects.filter(slug=options["project"]).first()
    if project is None:
        raise CommandError(f"There is no project {options['project']!r}.", returncode=returncode)
    return project
