"""Have the costs of a stretch of the past computed again."""

from __future__ import annotations

from tracestore.management.recomputation import RecomputeCommand
from tracestore.models import Recomputation


class Command(RecomputeCommand):
    help = "Have the running worker summarise a project's stored traces again, with today's prices; charts and budgets follow."
    kind = Recomputation.Kind.PRICES
