"""Time that passes quickly: rules evaluated over simulated hours by the services that evaluate them in life."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from alerts.models import AlertRule, AlertTransition
from alerts.rules import evaluator
from tracestore.clickhouse.client import Store

STEP = timedelta(minutes=1)


def live_through(
    store: Store, start: datetime, end: datetime, step: timedelta = STEP, *, until: Callable[[], bool] = lambda: False
) -> list[AlertTransition]:
    """Evaluate every enabled rule once at each step of [start, end], whatever its turn; return the changes of state.

    `until` is asked after each step and ends it early.
    """
    transitions = []
    now = start
    while now <= end:
        AlertRule.objects.update(next_evaluation_at=now)
        transitions += evaluator.evaluate_due(now, store)
        if until():
            break
        now += step
    return transitions
