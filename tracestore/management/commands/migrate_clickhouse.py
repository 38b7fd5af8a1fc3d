"""Bring the ClickHouse schema up to date without starting anything else."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.clickhouse.migrate import migrate


class Command(BaseCommand):
    help = "Apply pending ClickHouse migrations and views (also done at every start)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            steps = migrate(get_store())
        except StoreError as error:
            raise CommandError(str(error)) from None
        self.stdout.write("\n".join(steps) if steps else "The ClickHouse schema is up to date.")
