"""Add the ready-made alert rules to a project."""

from __future__ import annotations

import math
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from alerts.models import NotificationChannel
from alerts.rules.pack import DAILY_BUDGET_USD, USER_QUOTA_USD, add_pack
from tracestore.management.projects import add_project_argument, get_project


class Command(BaseCommand):
    help = "Add the ready-made alert rules that a project does not have yet; those that it has stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        add_project_argument(parser)
        parser.add_argument(
            "--channel", action="append", default=[], help="name of a channel to tell; may be given more than once"
        )
        parser.add_argument("--daily-budget", type=float, default=DAILY_BUDGET_USD, metavar="USD", help="of a day; default: 100")
        parser.add_argument(
            "--user-quota", type=float, default=USER_QUOTA_USD, metavar="USD", help="of a user's month; default: 50"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = get_project(options)
        channels = list(NotificationChannel.objects.filter(project=project, name__in=options["channel"]))
        unknown = set(options["channel"]) - {channel.name for channel in channels}
        if unknown:
            raise CommandError(f"There is no channel {sorted(unknown)[0]!r}.")
        budgets = {"daily_budget_usd": options["daily_budget"], "user_quota_usd": options["user_quota"]}
        if not all(math.isfinite(usd) and usd > 0 for usd in budgets.values()):
            raise CommandError("A budget is a number of USD above 0.")
        added = add_pack(project, channels, timezone.now(), **budgets)
        self.stdout.write("\n".join(f"Added: {rule.name}" for rule in added) or "Nothing to add: the project has all of them.")
