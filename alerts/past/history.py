"""How alerting has done: per rule how soon it noticed, how long it lasted, and which pages nobody needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from alerts.models import Alert, AlertRule, Delivery, Incident, IncidentEvent, IncidentEventKind
from alerts.rules.evaluation import AlertState

SHORT_S = 300
_MOST = 10_000
# What shows that a person cared about an incident.
_CARED = (IncidentEventKind.ACKED, IncidentEventKind.SNOOZED, IncidentEventKind.COMMENT)


@dataclass(frozen=True)
class Episode:
    """One alert. Durations are in seconds, None when not known or not over; `paged` when a channel was told of it.

    `cared`: someone acknowledged, snoozed, commented on or ended its incident.
    """

    rule_id: int | None
    rule_name: str
    severity: str
    detect_s: float | None
    resolve_s: float | None
    paged: bool
    cared: bool

    @property
    def is_noise(self) -> bool:
        """A page that is over and that nobody did anything about."""
        return self.paged and self.resolve_s is not None and not self.cared


@dataclass(frozen=True)
class Record:
    """What a rule's alerts of a time add up to. Medians are in seconds; `noise_score` is 0 to 1. None where there is nothing.

    `noise` counts the ended pages that nobody did anything about, `short` those of them that lasted less than SHORT_S.
    """

    rule_id: int | None
    rule_name: str
    alerts: int
    pages: int
    detect_s: float | None
    resolve_s: float | None
    noise: int
    short: int
    noise_score: float | None


@dataclass(frozen=True)
class History:
    """Records of the noisiest rules first, their total, and what incidents add up to: medians in seconds."""

    records: list[Record]
    total: Record
    incidents: int
    acknowledge_s: float | None
    resolve_s: float | None
    truncated: bool


def summarise(episodes: Sequence[Episode], *, rule_id: int | None = None, rule_name: str = "") -> Record:
    """Add up the episodes of one rule, or of all rules when none is named."""
    ended = [episode for episode in episodes if episode.paged and episode.resolve_s is not None]
    noise = [episode for episode in ended if episode.is_noise]
    return Record(
        rule_id=rule_id,
        rule_name=rule_name,
        alerts=len(episodes),
        pages=sum(episode.paged for episode in episodes),
        detect_s=_median(episode.detect_s for episode in episodes),
        resolve_s=_median(episode.resolve_s for episode in episodes),
        noise=len(noise),
        short=sum(episode.resolve_s is not None and episode.resolve_s < SHORT_S for episode in noise),
        noise_score=len(noise) / len(ended) if ended else None,
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def find_history(project_id: int, start: datetime, end: datetime) -> History:
    """Return what the alerts and incidents that began within [start, end) add up to, of the latest 10,000 alerts."""
    alerts = list(
        Alert.objects.filter(project_id=project_id, started_at__gte=start, started_at__lt=end)
        .order_by("-started_at")
        .defer("evidence")[: _MOST + 1]
    )
    truncated = len(alerts) > _MOST
    alerts = alerts[:_MOST]
    within = {"alert__project_id": project_id, "alert__started_at__gte": start, "alert__started_at__lt": end}
    told = Delivery.objects.filter(**within, transition__to_state=AlertState.FIRING)
    paged = set(told.values_list("alert_id", flat=True))
    incidents = Incident.objects.filter(project_id=project_id, alerts__started_at__gte=start, alerts__started_at__lt=end)
    cared = set(
        IncidentEvent.objects.filter(incident__in=incidents, kind__in=_CARED).values_list("incident_id", flat=True)
    ) | set(incidents.exclude(resolved_by="").values_list("pk", flat=True))
    names = dict(AlertRule.objects.filter(project_id=project_id).values_list("pk", "name"))
    rules: dict[tuple[int | None, str], list[Episode]] = {}
    for alert in alerts:
        episode = _episode(alert, alert.pk in paged, alert.incident_id in cared)
        # A rule that was renamed is one rule; of those that were deleted the name is all that is left.
        name = names.get(alert.rule_id, alert.rule_name) if alert.rule_id else alert.rule_name
        rules.setdefault((alert.rule_id, name), []).append(episode)
    records = [summarise(found, rule_id=rule_id, rule_name=name) for (rule_id, name), found in rules.items()]
    began = Incident.objects.filter(project_id=project_id, started_at__gte=start, started_at__lt=end)
    times = list(began.values_list("started_at", "first_acked_at", "resolved_at"))
    return History(
        records=sorted(records, key=lambda record: (-record.noise, -record.pages, -record.alerts, record.rule_name)),
        total=summarise([episode for found in rules.values() for episode in found]),
        incidents=len(times),
        acknowledge_s=_median((acked - started).total_seconds() if acked else None for started, acked, _ in times),
        resolve_s=_median((ended - started).total_seconds() if ended else None for started, _, ended in times),
        truncated=truncated,
    )


def _episode(alert: Alert, paged: bool, cared: bool) -> Episode:
    return Episode(
        rule_id=alert.rule_id,
        rule_name=alert.rule_name,
        severity=alert.severity,
        detect_s=(alert.started_at - alert.breached_at).total_seconds() if alert.breached_at else None,
        resolve_s=(alert.resolved_at - alert.started_at).total_seconds() if alert.resolved_at else None,
        paged=paged,
        cared=cared,
    )
