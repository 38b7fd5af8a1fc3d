"""Whose turn it is: which rules are due, the lease that a worker takes on them, and when each comes next."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from alerts.models import MAX_INTERVAL_S, AlertRule, RuleKind
from alerts.rules.evaluation import Condition
from alerts.rules.observing import is_alone, span_s

_MAX_MISSED = 4
# A rule that reads a day by itself is evaluated every five minutes, one that reads an hour as often as all others.
_LONGEST_USUAL_S, _TURNS_PER_SPAN = 300, 240
# Rules of one job: more would take longer than a lease lasts when the store is slow.
_BATCH = 250
# Longer than an evaluation usually takes (up to three queries); one that died gives its rule back after it.
_LEASE = timedelta(seconds=60)


def _due_rules(now: datetime) -> QuerySet[AlertRule]:
    # A turn farther away than any that is ever set means that the clock was set back meanwhile.
    soon = now + 2 * max(_LEASE, timedelta(seconds=max(settings.ALERT_INTERVAL_S, _LONGEST_USUAL_S)))
    unheard_of = Q(interval_s=0, next_evaluation_at__gt=soon) | Q(next_evaluation_at__gt=soon + timedelta(seconds=MAX_INTERVAL_S))
    due = Q(next_evaluation_at__lte=now) | unheard_of
    return AlertRule.objects.filter(due, enabled=True)


def find_due_batches(now: datetime) -> list[list[int]]:
    """Return the due rules as batches to evaluate together: those of a project that share reads, and each other one alone."""
    shared: dict[int, list[int]] = {}
    alone: list[list[int]] = []
    for rule in _due_rules(now).order_by("next_evaluation_at"):
        if _asks_alone(rule):
            alone.append([rule.pk])
        else:
            shared.setdefault(rule.project_id, []).append(rule.pk)
    batches = [ids[first : first + _BATCH] for ids in shared.values() for first in range(0, len(ids), _BATCH)]
    return batches + alone


def _asks_alone(rule: AlertRule) -> bool:
    try:
        return is_alone(rule)
    except Exception:  # it fails by itself as it is evaluated, and says so
        return True


def claim(rule_ids: Sequence[int], now: datetime) -> list[AlertRule]:
    """Take a lease on those that are due, all at once; what another worker has taken meanwhile is no longer due."""
    token = secrets.token_hex(16)
    _due_rules(now).filter(pk__in=rule_ids).update(next_evaluation_at=now + _LEASE, claim=token)
    return list(AlertRule.objects.filter(claim=token, pk__in=rule_ids))


def interval_s(rule: AlertRule) -> float:
    """Return how often a rule is evaluated: one with a long read of its own not more often than its answer can change."""
    if rule.interval_s:
        return max(rule.interval_s, settings.ALERT_INTERVAL_S)
    if rule.group_by or rule.kind == RuleKind.VERSION:
        return max(settings.ALERT_INTERVAL_S, min(_LONGEST_USUAL_S, span_s(rule) / _TURNS_PER_SPAN))
    return float(settings.ALERT_INTERVAL_S)


def next_turn(rule: AlertRule, now: datetime) -> datetime:
    # A fifth less than the schedule's: a tick that comes a little early must not skip a turn.
    return now + timedelta(seconds=interval_s(rule) - 0.2 * settings.ALERT_INTERVAL_S)


def condition_of(rule: AlertRule) -> Condition:
    """Return a rule's condition for live evaluation, which starts a hold again after some missed turns."""
    return rule.condition(longest_gap_s=_MAX_MISSED * interval_s(rule))


def unchanged(rule: AlertRule) -> QuerySet[AlertRule]:
    """The rule, unless another result or an edit came since it was read."""
    return AlertRule.objects.filter(pk=rule.pk, evaluation_seq=rule.evaluation_seq)
