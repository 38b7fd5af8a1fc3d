"""Which channels are to be told of an incident now, and the deliveries made of it. paging.py decides; this asks the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from django.db import Error as RelationalError
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from alerts.evidence.causes import find_subjects, name_causes
from alerts.evidence.model import Evidence
from alerts.messages.wording import format_seconds
from alerts.models import (
    Alert,
    AlertRule,
    AlertTransition,
    ChannelKind,
    Delivery,
    DeliveryEvent,
    DeliveryStatus,
    Incident,
    NotificationChannel,
    Route,
    RuleKind,
    Silence,
)
from alerts.on_call.matcher import Matcher, alert_facts, parse_matcher
from alerts.on_call.paging import RoutePlan, Turn, due_at, plan_turns, severity_rank
from alerts.rules.evaluation import AlertState
from tracestore.celery import app

logger = logging.getLogger(__name__)
Row = TypeVar("Row", bound=Model)
Read = TypeVar("Read")

# They keep incidents of their own, which call until they hear of the acknowledgement.
_PASSED_ON = Q(channel__kind=ChannelKind.PAGERDUTY)
# A channel that failed for good still gets its rows: they wait, visibly, until someone repairs it.
_REACHABLE = Q(enabled=True) | ~Q(disabled_reason="")
_LONGEST_INCIDENT = timedelta(days=30)
_OTHER_FAULT = "Another fault: what it names was in no message about this incident so far."
# A channel hears of so many in an incident.
_MOST_FAULTS = 3


@dataclass(frozen=True)
class Due:
    """One message to make: `reason` is "" for the first news. One that `is_beside` what was told takes the place of none."""

    alert: Alert
    transition: AlertTransition
    channel_id: int
    reason: str
    is_beside: bool = False


def facts_of(alert: Alert) -> dict[str, str]:
    """Return what matchers see: the labels of the alert's group, those that the rule carries, and its name, severity, metric."""
    rule_labels = alert.rule.labels if alert.rule else {}
    return alert_facts(rule=alert.rule_name, severity=alert.severity, metric=alert.metric, labels=rule_labels | alert.labels)


@dataclass(frozen=True)
class Arrangements:
    """What a project has arranged: routes in their order, silences that are not long over, channels that can be reached."""

    routes: list[RoutePlan]
    silences: list[tuple[Matcher, Silence]]
    reachable: frozenset[int]

    def silences_of(self, alert: Alert) -> list[Silence]:
        """Return the silences whose matcher fits, whether or not they hold at the moment."""
        facts = facts_of(alert) if self.silences else {}
        return [silence for matcher, silence in self.silences if matcher.matches(facts)]

    def turns_of(self, alert: Alert) -> dict[int, Turn]:
        """Return the turn of each channel that can be reached."""
        own = [channel.pk for channel in alert.rule.channels.all()] if alert.rule else ()
        turns = plan_turns(facts_of(alert), self.routes, own)
        return {channel: turn for channel, turn in turns.items() if channel in self.reachable}


def load_arrangements(project_id: int, now: datetime) -> Arrangements:
    """Return what the project has arranged; what cannot be read any more is left out, and the log says so."""
    # One that has ended still says since when an alert has been calling.
    silences = Silence.objects.filter(project_id=project_id).filter(Q(ends_at=None) | Q(ends_at__gt=now - _LONGEST_INCIDENT))
    channels = NotificationChannel.objects.filter(_REACHABLE, project_id=project_id)
    return Arrangements(
        _plan_routes(project_id),
        _read_each(silences, lambda silence: (_read_silence(silence, now), silence)),
        frozenset(channels.values_list("pk", flat=True)),
    )


def _plan_routes(project_id: int) -> list[RoutePlan]:
    routes = Route.objects.filter(project_id=project_id, enabled=True).prefetch_related("steps__channels")
    return _read_each(routes, Route.to_plan)


def _read_silence(silence: Silence, now: datetime) -> Matcher:
    """Return its matcher. Raises also when its hours cannot be told."""
    silence.to_quiet().holds(now)
    return parse_matcher(silence.matcher)


def _read_each(rows: Iterable[Row], read: Callable[[Row], Read]) -> list[Read]:
    """Return what is read of each row, without those that can no longer be read, such as one of a time zone that is gone.

    No alert of the project must fail to be told for one of them.
    """
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except RelationalError:
            raise
        except Exception as error:
            _tell_once(f"{row._meta.verbose_name} {row.pk} is left out: {type(error).__name__}: {error}")
    return found


@lru_cache(1000)
def _tell_once(said: str) -> None:
    logger.error("%s", said)


def find_routed(project_id: int, rules: Iterable[AlertRule]) -> set[int]:
    """Return the ids of those rules that have alerts, of some group and level, which a route takes to a channel."""
    plans = [plan for plan in _plan_routes(project_id) if any(step.channels for step in plan.steps)]
    routed = set()
    for rule in rules:
        facts = alert_facts(rule=rule.name, severity=rule.severity, metric=rule.metric, labels=rule.labels)
        unknown = {*rule.group_by, *(["version"] if rule.kind == RuleKind.VERSION else [])}
        if rule.warning_threshold is not None:
            unknown.add("severity")
        if any(plan.matcher.may_match(facts, unknown) for plan in plans):
            routed.add(rule.pk)
    return routed


def find_due(
    incident: Incident, now: datetime, news: AlertTransition | None = None, arrangements: Arrangements | None = None
) -> list[Due]:
    """Return the messages to make now. With `news`, those of its alert alone; nobody else's time has changed by it.

    A channel hears of the worst alert that is due for it, and of another fault than what it was told (`_is_other_fault`).
    An acknowledgement or a snooze stops everything but news to channels that have not heard of this incident at all; of another
    fault those hear that were told what was acknowledged.
    """
    is_held = bool(incident.acked_at) or _is_snoozed(incident, now)
    if is_held and news is None:
        return []
    arrangements = arrangements or load_arrangements(incident.project_id, now)
    firing = incident.alerts.filter(resolved_at=None).select_related("rule").prefetch_related("rule__channels").defer("evidence")
    if news is not None:
        firing = firing.filter(transitions=news)
    rises = _find_last_rises(incident) if news is None else {news.alert_id: news}
    sent = (
        Delivery.objects.filter(alert__incident=incident, transition__to_state=AlertState.FIRING, event=DeliveryEvent.TRANSITION)
        .select_related("transition", "alert")
        .defer("transition__evidence", "alert__evidence")
        .order_by("created_at", "pk")
    )
    sent_to: dict[int, list[Delivery]] = {}
    for one in sent:
        sent_to.setdefault(one.channel_id, []).append(one)
    due: dict[int, Due] = {}
    for alert in sorted(firing, key=lambda alert: (-severity_rank(alert.severity), -alert.pk)):
        silences = arrangements.silences_of(alert)
        if any(silence.to_quiet().holds(now) for silence in silences):
            continue
        transition = rises.get(alert.pk)
        if transition is None:
            continue
        ended = [end for end in (silence.to_quiet().last_end(now) for silence in silences) if end]
        since = max([incident.opened_at, transition.at, *ended])
        base = max([incident.opened_at, *ended])
        for channel_id, turn in arrangements.turns_of(alert).items():
            if channel_id in due:
                continue
            told = sent_to.get(channel_id, [])
            if told and transition is news and not _is_snoozed(incident, now) and _is_other_fault(incident, alert, news, told):
                due[channel_id] = Due(alert, transition, channel_id, _OTHER_FAULT, is_beside=True)
                continue
            if is_held and (told or turn.after_s):
                continue
            # What it has not yet received need not be said again.
            if told and told[-1].status == DeliveryStatus.PENDING and told[-1].transition_id == transition.pk:
                continue
            heard = [one.created_at for one in told if one.created_at >= base and _rank_of(one) >= severity_rank(alert.severity)]
            moment = due_at(turn, since=since, told_at=heard[-1] if heard else None)
            if moment is not None and moment <= now:
                due[channel_id] = Due(alert, transition, channel_id, _reason(turn, incident, alert, bool(heard), now))
    return list(due.values())


def _is_snoozed(incident: Incident, now: datetime) -> bool:
    return bool(incident.snoozed_until and incident.snoozed_until > now)


def _is_other_fault(incident: Incident, alert: Alert, news: AlertTransition, told: list[Delivery]) -> bool:
    """Tell whether an alert that joins names a cause, and nothing that a message to this channel about the incident has named.

    Not while the incident flaps, not for what begins at one evaluation with a group of the same rule that was told, and only
    so often: what fails everywhere names ever other things.
    """
    if incident.flapping_since or any(one.alert_id == alert.pk for one in told):
        return False
    if any(one.alert.rule_id == alert.rule_id and one.transition.at == news.at for one in told):
        return False
    if sum(one.reason == _OTHER_FAULT for one in told) >= _MOST_FAULTS or not news.evidence:
        return False
    evidence = Evidence.from_json(news.evidence)
    if not name_causes(evidence, alert.labels):
        return False
    transitions = AlertTransition.objects.filter(pk__in={one.transition_id for one in told}).select_related("alert")
    known = (
        find_subjects(Evidence.from_json(one.evidence), one.labels)
        for one in transitions.defer("alert__evidence")
        if one.evidence
    )
    return find_subjects(evidence, alert.labels).isdisjoint(subject for subjects in known for subject in subjects)


def find_with_cause_of(alert: Alert, incident_ids: Collection[int]) -> set[int]:
    """Return those of the incidents in which an alert names a cause, or is of a group, that this one names or is of as well."""
    subjects = find_subjects(Evidence.from_json(alert.evidence), alert.labels)
    if not subjects:
        return set()
    return {
        other.incident_id
        for other in Alert.objects.filter(incident__in=incident_ids)
        if other.incident_id and not subjects.isdisjoint(find_subjects(Evidence.from_json(other.evidence), other.labels))
    }


def _rank_of(delivery: Delivery) -> int:
    return severity_rank(delivery.transition.severity or delivery.alert.severity)


def _find_last_rises(incident: Incident) -> dict[int | None, AlertTransition]:
    """Return the latest transition into firing of each alert that fires, by the alert's id."""
    rises = AlertTransition.objects.filter(
        alert__incident=incident, alert__resolved_at=None, to_state=AlertState.FIRING
    ).order_by("at", "pk")
    return {rise.alert_id: rise for rise in rises.defer("evidence")}


def _reason(turn: Turn, incident: Incident, alert: Alert, heard: bool, now: datetime) -> str:
    if heard:
        return (
            f"Repeated: it has been firing for {format_seconds((now - alert.started_at).total_seconds())}; nobody acknowledged."
        )
    if turn.after_s:
        return f"Escalated: nobody acknowledged within {format_seconds(turn.after_s)}."
    return "Flapping: told again only when it ends, or by repetition." if incident.flapping_since else ""


def tell(due: Iterable[Due], now: datetime, wait_s: int = 0) -> None:
    """Make the deliveries, to be sent in `wait_s`. Runs inside the caller's transaction.

    A message of the same incident that still waits for the rest of the outage gives way to the new one, and its time with it.
    """
    for one in due:
        waiting = _waiting(now).filter(alert__incident=one.alert.incident_id, channel_id=one.channel_id)
        send_at = min([now + timedelta(seconds=wait_s), *waiting.values_list("next_attempt_at", flat=True)])
        if not one.is_beside:
            waiting.delete()
        before = Delivery.objects.filter(transition=one.transition, channel_id=one.channel_id).count()
        Delivery.objects.create(
            alert=one.alert, transition=one.transition, channel_id=one.channel_id, repeat=before, reason=one.reason[:200],
            created_at=now, next_attempt_at=send_at,
        )  # fmt: skip
    send_soon()


def _waiting(now: datetime) -> QuerySet[Delivery]:
    """Messages that nobody has tried to send yet: they wait for what else belongs to the outage."""
    return Delivery.objects.filter(
        status=DeliveryStatus.PENDING, attempts=0, next_attempt_at__gt=now, transition__to_state=AlertState.FIRING
    )


def tell_resolved(alerts: QuerySet[Alert], now: datetime) -> None:
    """Tell the end of each alert that is over to every channel that heard of it and can be reached, once."""
    ended = alerts.exclude(resolved_at=None)
    _waiting(now).filter(alert__in=ended).delete()  # what was over before anyone was told needs no telling
    heard = Delivery.objects.filter(
        alert__in=ended, transition__to_state=AlertState.FIRING, channel__in=NotificationChannel.objects.filter(_REACHABLE)
    )
    told = set(
        Delivery.objects.filter(alert__in=ended, transition__to_state=AlertState.RESOLVED).values_list("alert_id", "channel_id")
    )
    owed = set(heard.values_list("alert_id", "channel_id")) - told
    transitions = AlertTransition.objects.filter(alert__in={alert_id for alert_id, _ in owed}, to_state=AlertState.RESOLVED)
    endings = {transition.alert_id: transition for transition in transitions}
    Delivery.objects.bulk_create(
        Delivery(
            alert_id=alert_id, transition=endings[alert_id], channel_id=channel_id, created_at=now, next_attempt_at=now
        )
        for alert_id, channel_id in sorted(owed)
        if alert_id in endings
    )  # fmt: skip
    send_soon()


def tell_acknowledged(incident: Incident, by: str, now: datetime) -> None:
    """Pass an acknowledgement on to the channels that keep incidents of their own.

    Runs inside the caller's transaction.
    """
    told = Delivery.objects.filter(
        _PASSED_ON,
        alert__incident=incident,
        alert__resolved_at=None,
        transition__to_state=AlertState.FIRING,
        channel__in=NotificationChannel.objects.filter(_REACHABLE),
    ).order_by("pk")
    # Of each alert the last that the channel heard.
    for last in {(one.alert_id, one.channel_id): one for one in told}.values():
        before = Delivery.objects.filter(transition=last.transition_id, channel=last.channel_id).count()
        Delivery.objects.create(
            alert_id=last.alert_id, transition_id=last.transition_id, channel_id=last.channel_id, repeat=before,
            event=DeliveryEvent.ACKNOWLEDGED, reason=f"Acknowledged by {by or 'someone'}."[:200], created_at=now,
            next_attempt_at=now,
        )  # fmt: skip
    send_soon()


def send_soon() -> None:
    # Robust: when the broker is away the state still stands, and the schedule delivers a few seconds later.
    transaction.on_commit(lambda: app.send_task("alerts.tasks.deliver_notifications"), robust=True)
