"""Incidents: which alerts are one outage, when it is over, and what people do about it.

Every change runs in a transaction that holds the incident's row, so that an acknowledgement and a repetition cannot cross.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from alerts.messages.wording import format_seconds
from alerts.models import Alert, Grouping, Incident, IncidentEvent, IncidentEventKind, Suppression
from alerts.on_call import telling
from alerts.on_call.paging import (
    FLAPPING_HOLD,
    FLAPS,
    REOPEN_WITHIN,
    Candidate,
    choose_incident,
    group_key,
    is_flapping,
    severity_rank,
)

logger = logging.getLogger(__name__)

MAX_SNOOZE_S = 7 * 86_400
MAX_COMMENT_LENGTH = 4000
MAX_ENTRIES = 2000
_BY_PEOPLE = (IncidentEventKind.ACKED, IncidentEventKind.UNACKED, IncidentEventKind.SNOOZED, IncidentEventKind.COMMENT)


class IncidentError(ValueError):
    """What cannot be done with an incident, in a sentence."""


def find_incidents(project_id: int, *, state: str = "") -> QuerySet[Incident]:
    """Return incidents, open ones first, then newest first. `state` is "" for all, open, or resolved."""
    found = Incident.objects.filter(project_id=project_id)
    if state:
        found = found.filter(resolved_at__isnull=state == "open")
    return found.order_by(F("resolved_at").desc(nulls_first=True), "-started_at", "-id")


def find_grouping(project_id: int) -> Grouping:
    """Return the project's grouping, or the default one."""
    return Grouping.objects.filter(project_id=project_id).first() or Grouping(project_id=project_id)


def join(alert: Alert, now: datetime) -> Incident:
    """Put an alert that begins, or becomes worse, into its incident, and return it. Runs inside the caller's transaction."""
    # Two that begin at once must find each other: the row of the project's grouping is their lock.
    Grouping.objects.get_or_create(project_id=alert.project_id)
    grouping = Grouping.objects.select_for_update().get(project_id=alert.project_id)
    silenced = _note_silences([alert], now, telling.load_arrangements(alert.project_id, now))
    incident = Incident.objects.select_for_update().filter(alerts=alert, resolved_at=None).first()
    if incident is None:
        incident = _find_or_open(alert, grouping, now)
        alert.incident = incident
        alert.save(update_fields=["incident"])
    incident.quiet_at = None
    if not incident.flapping_since and is_flapping(_starts(alert), now):
        incident.flapping_since = now
        _add_event(incident, IncidentEventKind.FLAPPING, now, alert=alert)
    if severity_rank(alert.severity) > severity_rank(incident.severity):
        # What is worst names the whole.
        incident.severity, incident.title = alert.severity, _title(alert)
        _add_event(incident, IncidentEventKind.ROSE, now, text=f"to {alert.severity}", alert=alert)
        if not silenced:  # what was acknowledged or put off was less than this
            incident.acked_at, incident.acked_by, incident.snoozed_until = None, "", None
    incident.save()
    return incident


def _find_or_open(alert: Alert, grouping: Grouping, now: datetime) -> Incident:
    window = timedelta(seconds=grouping.window_s)
    facts = telling.facts_of(alert)
    key = group_key(grouping.names, facts, alert.labels)
    # One that a person ended is not opened again: what begins afterwards is news.
    candidates = Incident.objects.select_for_update().filter(
        Q(resolved_at=None) | Q(resolved_at__gte=now - REOPEN_WITHIN, resolved_by=""), project_id=alert.project_id
    )
    found = {incident.pk: incident for incident in candidates}
    members: dict[int, set[str]] = {pk: set() for pk in found}
    for pk, rule_id, instance in Alert.objects.filter(incident__in=found).values_list("incident_id", "rule_id", "instance_key"):
        members[pk or 0].add(f"{rule_id} {instance}")
    # A flapping one in which nothing fires is held open to keep what flaps from being news, not what else comes.
    ended_at = {pk: one.resolved_at or one.quiet_at for pk, one in found.items()}
    alike = {pk for pk, one in found.items() if ended_at[pk] and one.key == key}
    of_this_cause = telling.find_with_cause_of(alert, alike)
    chosen = choose_incident(
        [
            Candidate(pk, one.key, frozenset(members[pk]), one.last_began_at, ended_at[pk], pk in of_this_cause)
            for pk, one in found.items()
        ],
        key=key, identity=f"{alert.rule_id} {alert.instance_key}", now=now, window=window,
    )  # fmt: skip
    if chosen is None:
        incident = Incident.objects.create(
            project_id=alert.project_id, key=key, title=_title(alert), severity=alert.severity, started_at=now, opened_at=now,
            last_began_at=now,
        )  # fmt: skip
        _add_event(incident, IncidentEventKind.OPENED, now, text=_title(alert), alert=alert)
        return incident
    incident = found[chosen]
    incident.last_began_at = now
    if incident.resolved_at:
        incident.resolved_at, incident.opened_at = None, now
        incident.acked_at, incident.acked_by = None, ""
        # Of one that was opened again the present severity and name count: its old ones were told as over.
        incident.severity, incident.title = alert.severity, _title(alert)
        _add_event(incident, IncidentEventKind.REOPENED, now, text=_title(alert), alert=alert)
    else:
        _add_event(incident, IncidentEventKind.JOINED, now, text=_title(alert), alert=alert)
    return incident


def _title(alert: Alert) -> str:
    labels = ", ".join(f"{name} {value}" for name, value in sorted(alert.labels.items()))
    return f"{alert.rule_name}: {labels}"[:300] if labels else alert.rule_name


def _starts(alert: Alert) -> list[datetime]:
    if alert.rule_id is None:
        return [alert.started_at]
    same = Alert.objects.filter(rule_id=alert.rule_id, instance_key=alert.instance_key).order_by("-started_at")
    return list(same.values_list("started_at", flat=True)[:FLAPS])


def leave(alert: Alert, now: datetime) -> None:
    """Note that an alert has ended, and with the last one its incident. Runs inside the caller's transaction."""
    incident = Incident.objects.select_for_update().filter(alerts=alert, resolved_at=None).first()
    if incident is None:
        telling.tell_resolved(Alert.objects.filter(pk=alert.pk), now)
    elif not incident.alerts.filter(resolved_at=None).exists():
        incident.quiet_at = now
        incident.save(update_fields=["quiet_at"])
        if _is_quiet_enough(incident, now):
            _resolve(incident, "", now)


def _note_silences(alerts: Iterable[Alert], now: datetime, arrangements: telling.Arrangements) -> bool:
    """Write down which silences hold these alerts back now; returns whether any does."""
    active = {silence.pk for _, silence in arrangements.silences if silence.to_quiet().holds(now)}
    if not active:
        return False
    held = {(silence.pk, alert.pk) for alert in alerts for silence in arrangements.silences_of(alert) if silence.pk in active}
    known = Suppression.objects.filter(silence__in=active, alert__in={alert_id for _, alert_id in held})
    new = held - set(known.values_list("silence_id", "alert_id"))
    Suppression.objects.bulk_create(
        [Suppression(silence_id=silence_id, alert_id=alert_id, at=now) for silence_id, alert_id in sorted(new)],
        ignore_conflicts=True,
    )
    return bool(held)


def acknowledge(incident_id: int, by: str, now: datetime) -> Incident:
    """Say that someone is on it: nothing more is repeated or escalated. Raises IncidentError when it is over."""
    with transaction.atomic():
        incident = _lock_open(incident_id)
        if incident.acked_at is None:
            _require_room(incident)
            incident.acked_at, incident.acked_by = now, by
            incident.first_acked_at = incident.first_acked_at or now
            incident.save(update_fields=["acked_at", "acked_by", "first_acked_at"])
            _add_event(incident, IncidentEventKind.ACKED, now, by)
            telling.tell_acknowledged(incident, by, now)
    return incident


def withdraw_acknowledgement(incident_id: int, by: str, now: datetime) -> Incident:
    """Nobody is on it after all: the channels are told again as if it began now. Raises IncidentError when it is over."""
    with transaction.atomic():
        incident = _lock_open(incident_id)
        if incident.acked_at is not None:
            incident.acked_at, incident.acked_by, incident.opened_at = None, "", now
            incident.save(update_fields=["acked_at", "acked_by", "opened_at"])
            _add_event(incident, IncidentEventKind.UNACKED, now, by)
    return incident


def snooze(incident_id: int, for_s: int, by: str, now: datetime) -> Incident:
    """Repeat and escalate nothing for so many seconds; then it is told as if it began then. Raises IncidentError."""
    if not 60 <= for_s <= MAX_SNOOZE_S:
        raise IncidentError(f"Snooze for 1 m to {format_seconds(MAX_SNOOZE_S)}, not for {for_s} s.")
    with transaction.atomic():
        incident = _lock_open(incident_id)
        _require_room(incident)
        incident.snoozed_until = now + timedelta(seconds=for_s)
        # Who asks to be reminded is not on it by then.
        incident.acked_at, incident.acked_by = None, ""
        incident.first_acked_at = incident.first_acked_at or now
        incident.save(update_fields=["snoozed_until", "acked_at", "acked_by", "first_acked_at"])
        _add_event(incident, IncidentEventKind.SNOOZED, now, by, f"for {format_seconds(for_s)}")
    return incident


def resolve_by_hand(incident_id: int, by: str, now: datetime) -> Incident:
    """End an incident, also while its alerts fire: they are told no more, and what begins next is another incident.

    Raises IncidentError when it is over already.
    """
    with transaction.atomic():
        incident = _lock_open(incident_id)
        _resolve(incident, by, now)
    return incident


def comment(incident_id: int, text: str, by: str, now: datetime) -> IncidentEvent:
    """Add a note, also after the end. Raises IncidentError for an empty or too long one."""
    text = text.strip()
    if not text:
        raise IncidentError("Write something: an empty comment helps nobody.")
    if len(text) > MAX_COMMENT_LENGTH:
        raise IncidentError(f"A comment has at most {MAX_COMMENT_LENGTH} characters; this one has {len(text)}.")
    incident = Incident.objects.get(pk=incident_id)
    _require_room(incident)
    return _add_event(incident, IncidentEventKind.COMMENT, now, by, text)


def tend_incidents(now: datetime) -> None:
    """Do what time has made due: repetitions, escalations, the end of snoozes, silences and flapping. Any number may race."""
    arrangements: dict[int, telling.Arrangements] = {}
    for incident in Incident.objects.filter(resolved_at=None).order_by("pk"):
        try:
            if incident.project_id not in arrangements:
                arrangements[incident.project_id] = telling.load_arrangements(incident.project_id, now)
            # Looked at without a lock first: most have nothing to do.
            if _has_work(incident, now, arrangements[incident.project_id]):
                _tend(incident.pk, now)
        except Exception:  # a task's edge: what is wrong with one project must not keep the others from being paged
            logger.exception("incident %s could not be tended", incident.pk)


def _tend(incident_id: int, now: datetime) -> None:
    with transaction.atomic():
        incident = Incident.objects.select_for_update().filter(pk=incident_id, resolved_at=None).first()
        if incident is None:
            return
        if _is_quiet_enough(incident, now):
            _resolve(incident, "", now)
            return
        if incident.snoozed_until and incident.snoozed_until <= now:
            incident.opened_at, incident.snoozed_until = incident.snoozed_until, None
            incident.save(update_fields=["opened_at", "snoozed_until"])
            _add_event(incident, IncidentEventKind.WOKEN, incident.opened_at)
        telling.tell(telling.find_due(incident, now), now)


def _has_work(incident: Incident, now: datetime, arrangements: telling.Arrangements) -> bool:
    if arrangements.silences:
        _note_silences(incident.alerts.filter(resolved_at=None).select_related("rule").defer("evidence"), now, arrangements)
    woken = incident.snoozed_until is not None and incident.snoozed_until <= now
    return woken or _is_quiet_enough(incident, now) or bool(telling.find_due(incident, now, arrangements=arrangements))


def _is_quiet_enough(incident: Incident, now: datetime) -> bool:
    if incident.quiet_at is None:
        return False
    return not incident.flapping_since or now - incident.quiet_at >= FLAPPING_HOLD


def _resolve(incident: Incident, by: str, now: datetime) -> None:
    incident.resolved_at, incident.resolved_by, incident.snoozed_until = now, by, None
    incident.save(update_fields=["resolved_at", "resolved_by", "snoozed_until"])
    _add_event(incident, IncidentEventKind.RESOLVED, now, by)
    telling.tell_resolved(Alert.objects.filter(incident=incident), now)


def _lock_open(incident_id: int) -> Incident:
    incident = Incident.objects.select_for_update().get(pk=incident_id)
    if incident.resolved_at is not None:
        raise IncidentError("This incident is resolved: there is nothing left to do about it.")
    return incident


def _require_room(incident: Incident) -> None:
    """Raise IncidentError when so much was done about an incident that only a script can have done it. It can still be ended."""
    if incident.events.filter(kind__in=_BY_PEOPLE).count() >= MAX_ENTRIES:
        raise IncidentError(f"An incident holds at most {MAX_ENTRIES:,} comments and acts of people; this one is full.")


def _add_event(
    incident: Incident, kind: IncidentEventKind, at: datetime, by: str = "", text: str = "", alert: Alert | None = None
) -> IncidentEvent:
    return IncidentEvent.objects.create(incident=incident, kind=kind, at=at, by=by[:128], text=text, alert=alert)
