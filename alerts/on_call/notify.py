"""Who is told of a change of state: what stands between a transition and its deliveries."""

from __future__ import annotations

from datetime import datetime

from alerts.models import Alert, AlertTransition
from alerts.on_call import incidents, telling
from alerts.rules.evaluation import AlertState


def add_deliveries(alert: Alert, transition: AlertTransition, now: datetime) -> None:
    """Put the alert into its incident and add the deliveries that are due for its transition.

    Runs inside the caller's transaction. What becomes due later (repetitions, escalations) comes from `incidents.tend_incidents`.
    """
    if transition.to_state == AlertState.FIRING:
        incident = incidents.join(alert, now)
        telling.tell(telling.find_due(incident, now, news=transition), now, incidents.find_grouping(alert.project_id).wait_s)
    elif transition.to_state == AlertState.RESOLVED:
        incidents.leave(alert, now)
