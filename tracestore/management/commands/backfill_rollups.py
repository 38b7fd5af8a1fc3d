"""Have the sums by minute and hour of a stretch of the past computed again."""

from __future__ import annotations

from tracestore.management.recomputation import RecomputeCommand
from tracestore.models import Recomputation


class Command(RecomputeCommand):
    help = "Have the running worker compute a project's rollups again from its traces."
    kind = Recomputation.Kind.ROLLUPS
