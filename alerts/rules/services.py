"""Evaluate rules and keep their history. Work is claimed by conditional UPDATEs, so any number of workers may race."""

from __future__ import annotations

import copy
import logging
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Case, F, Q, QuerySet, When

from alerts.evidence.gathering import Evidence, collect_evidence, outline_evidence
from alerts.models import (
    BROKEN_KEY,
    MAX_INTERVAL_S,
    Alert,
    AlertRule,
    AlertTransition,
    NoDataPolicy,
    RuleInstance,
    RuleKind,
    Side,
    instance_key,
)
from alerts.rules.evaluation import AlertState, Condition, InstanceState, Observation, Transition, step
from alerts.rules.observing import Sight, absent, gaps_of, is_alone, is_resting, observe_rules, span_s, window_before
from alerts.rules.recording import end_of, raise_peak, record_change
from tracestore import telemetry
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError, StoreUnavailable
from tracestore.language import QueryError
from tracestore.queries.metrics.groups import MAX_GROUPS
from tracestore.timerange import moment_of, ns_of

logger = logging.getLogger(__name__)

# A change of these ends what is pending or firing: it was about something else.
CONDITION_FIELDS = (
    "kind", "metric", "query", "group_by", "window_s", "comparison", "threshold", "warning_threshold", "recovery_threshold",
    "hold_s", "breaches_needed", "of_evaluations", "min_samples", "no_data", "baseline_weeks", "baseline_deviations",
    "budget_period", "time_zone", "severity",
)  # fmt: skip
DEFINITION_FIELDS = ("name", "enabled", "interval_s", "grace_s", "schedule", "labels", *CONDITION_FIELDS)
_URGENCY = {AlertState.INACTIVE: 0, AlertState.PENDING: 1, AlertState.FIRING: 2}
_INSTANCE_FIELDS = [
    "state", "severity", "state_since_ns", "memory", "last_value", "last_samples", "last_baseline", "last_seen_at", "spent_at",
]  # fmt: skip
FAILURES_BEFORE_ALERT = 4
_MAX_MISSED = 4
# A rule that reads a day by itself is evaluated every five minutes, one that reads an hour as often as all others.
_LONGEST_USUAL_S, _TURNS_PER_SPAN = 300, 240
# Of the groups of a rule that fire at once so many get their reasons: to collect them takes a while, and the others wait.
_EXPLAINED = 10
# Rules of one job: more would take longer than a lease lasts when the store is slow.
_BATCH = 250
# A group without data for so long is gone, like a version that nobody runs any more.
_FORGET_AFTER = timedelta(days=1)
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


def evaluate_due(now: datetime, store: Store | None = None) -> list[AlertTransition]:
    """Evaluate every rule whose turn has come, here and now: what the schedule's jobs do between them."""
    return [transition for batch in find_due_batches(now) for transition in evaluate_rules(batch, now, store)]


def evaluate_rules(rule_ids: Sequence[int], now: datetime, store: Store | None = None) -> list[AlertTransition]:
    """Evaluate those of the rules whose time has come and that nobody else evaluates, in few reads; return changes of state.

    A failing query, or whatever else is wrong with one, leaves the state of its rule as it is and is kept in the rule's
    `last_error`.
    """
    transitions: list[AlertTransition] = []
    by_project: dict[int, list[AlertRule]] = {}
    for rule in _claim(rule_ids, now):
        try:
            rests = is_resting(rule, now)
        except Exception as error:  # a time zone that the system no longer knows
            transitions += _fail(rule, _broken(rule, error), now)
            continue
        if rests:
            transitions += _rest(rule, now)
        else:
            by_project.setdefault(rule.project_id, []).append(rule)
    store = store or get_store().unqueued()
    for rules in by_project.values():
        transitions += _take_all(store, list(zip(rules, _observe(store, rules, now), strict=True)), now)
    return transitions


def _observe(store: Store, rules: list[AlertRule], now: datetime) -> list[list[Sight] | Exception]:
    """Return for each rule of one project what it sees, or why it sees nothing, whatever that is."""
    try:
        return observe_rules(store, rules, now)
    except StoreUnavailable as error:
        return [error] * len(rules)
    except Exception as error:  # which of them it is shows when each is asked alone
        if len(rules) == 1:
            return [_broken(rules[0], error)]
    return [seen for rule in rules for seen in _observe(store, [rule], now)]


def _broken(rule: AlertRule, error: Exception) -> Exception:
    """Log what nobody foresaw, and return what the rule says of it."""
    logger.error("alert rule %s (%s) broke", rule.pk, rule.name, exc_info=error)
    return RuntimeError(f"internal error ({type(error).__name__}); the server's log says more")


def _claim(rule_ids: Sequence[int], now: datetime) -> list[AlertRule]:
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


def _next_turn(rule: AlertRule, now: datetime) -> datetime:
    # A fifth less than the schedule's: a tick that comes a little early must not skip a turn.
    return now + timedelta(seconds=interval_s(rule) - 0.2 * settings.ALERT_INTERVAL_S)


def condition_of(rule: AlertRule) -> Condition:
    """Return a rule's condition for live evaluation, which starts a hold again after some missed turns."""
    return rule.condition(longest_gap_s=_MAX_MISSED * interval_s(rule))


def _rest(rule: AlertRule, now: datetime) -> list[AlertTransition]:
    with transaction.atomic():
        if not _still(rule).update(next_evaluation_at=_next_turn(rule, now), evaluation_seq=F("evaluation_seq") + 1):
            return []
        return _end_state(rule, now, "the rule rests outside its hours")


def _still(rule: AlertRule) -> QuerySet[AlertRule]:
    """The rule, unless another result or an edit came since it was read."""
    return AlertRule.objects.filter(pk=rule.pk, evaluation_seq=rule.evaluation_seq)


@dataclass(frozen=True)
class _Step:
    """One group taken through the state machine, not yet written."""

    instance: RuleInstance
    sight: Sight
    change: Transition | None
    reason: str = ""


def _take_all(store: Store, seen: list[tuple[AlertRule, list[Sight] | Exception]], now: datetime) -> list[AlertTransition]:
    known: dict[int, dict[str, RuleInstance]] = {rule.pk: {} for rule, _ in seen}
    for instance in RuleInstance.objects.filter(rule__in=[rule for rule, _ in seen]):
        known[instance.rule_id][instance.key] = instance
    transitions: list[AlertTransition] = []
    quiet: list[tuple[AlertRule, list[_Step]]] = []
    for rule, sights in seen:
        if isinstance(sights, Exception):
            transitions += _fail(rule, sights, now)
            continue
        try:
            steps = _take(rule, sights, known[rule.pk], now)
            if any(taken.change or taken.instance.state == AlertState.FIRING for taken in steps) or _is_broken(rule):
                transitions += _write(store, rule, steps, now)
            else:
                quiet.append((rule, steps))
        except (OperationalError, InterfaceError):
            raise  # the database is away for all
        except Exception as error:
            transitions += _fail(rule, _broken(rule, error), now)
    _write_quiet(quiet, now)
    telemetry.ALERT_EVALUATIONS.labels("ok").inc(sum(not isinstance(sights, Exception) for _, sights in seen))
    return transitions


def _take(rule: AlertRule, sights: list[Sight], known: dict[str, RuleInstance], now: datetime) -> list[_Step]:
    """Take what was seen of a rule, and what was not, through the state machine. Changes the instances without saving them."""
    condition, steps = condition_of(rule), []
    unseen = dict(known)
    for sight in sights:
        key = instance_key(sight.labels)
        instance = unseen.pop(key, None) or RuleInstance(rule=rule, key=key, labels=sight.labels)
        steps.append(_step(instance, sight, condition, now))
    # Of more groups than are read, an absent one may be there all the same.
    if unseen and len(sights) < MAX_GROUPS:
        gaps = gaps_of([rule], now)
        steps += [_step(instance, absent(rule, instance.labels, now, gaps), condition, now) for instance in unseen.values()]
    return steps


def _step(instance: RuleInstance, sight: Sight, condition: Condition, now: datetime) -> _Step:
    if sight.observation.samples:
        instance.last_seen_at = now
    elif sight.labels and (instance.last_seen_at is None or now - instance.last_seen_at > _FORGET_AFTER):
        change = end_of(instance, condition, now)
        instance.set_state(InstanceState())
        return _Step(instance, sight, change, "no data for a day")
    state, change = step(instance.to_state(), sight.observation, condition)
    instance.set_state(state)
    instance.last_value, instance.last_samples = sight.observation.value, sight.observation.samples
    instance.last_baseline, instance.spent_at = sight.observation.baseline, sight.spent_at
    return _Step(instance, sight, change)


def _write(store: Store, rule: AlertRule, steps: list[_Step], now: datetime) -> list[AlertTransition]:
    """Write a rule's steps in one transaction, unless an edit or a later result came between."""
    fired = [taken for taken in steps if taken.change and taken.change.to_state == AlertState.FIRING]
    evidence = [_explain(store, rule, taken, of_worst=taken in fired[:_EXPLAINED]) for taken in steps]
    with transaction.atomic():
        if not _still(rule).update(**_summary(rule, steps, now)):
            return []
        _keep_instances([(rule, steps)], now)
        transitions = []
        if _is_broken(rule):
            transitions += _end_broken(rule, now, "the rule can be evaluated again")
        for taken, explained in zip(steps, evidence, strict=True):
            if taken.change and explained:
                transitions.append(record_change(rule, taken.instance, taken.change, taken.sight, explained, now, taken.reason))
            if taken.instance.state == AlertState.FIRING:
                raise_peak(rule, taken.instance, taken.sight)
    return transitions


def _write_quiet(quiet: list[tuple[AlertRule, list[_Step]]], now: datetime) -> None:
    """Write at once what changed no state and needs no message."""
    with transaction.atomic():
        _keep_instances([(rule, steps) for rule, steps in quiet if _still(rule).update(**_summary(rule, steps, now))], now)


def _keep_instances(written: list[tuple[AlertRule, list[_Step]]], now: datetime) -> None:
    kept, dropped = [], []
    for rule, steps in written:
        for taken in steps:
            if _is_worth_keeping(rule, taken.instance, now):
                kept.append(taken.instance)
            elif taken.instance.pk:
                dropped.append(taken.instance.pk)
    RuleInstance.objects.bulk_create(
        kept, update_conflicts=True, unique_fields=["rule", "key"], update_fields=_INSTANCE_FIELDS, batch_size=500
    )
    if dropped:
        RuleInstance.objects.filter(pk__in=dropped).delete()


def _is_worth_keeping(rule: AlertRule, instance: RuleInstance, now: datetime) -> bool:
    """A group in which nothing happens is forgotten, unless its absence would say something."""
    state = instance.to_state()
    if not instance.labels or state.state != AlertState.INACTIVE or any(state.ranks) or state.has_fired_lately(ns_of(now)):
        return True
    is_missed = rule.no_data == NoDataPolicy.ALERT or rule.comparison == Side.BELOW
    return is_missed and instance.last_seen_at is not None and now - instance.last_seen_at <= _FORGET_AFTER


def _summary(rule: AlertRule, steps: list[_Step], now: datetime) -> dict[str, object]:
    """Return what the rule's own row says after an evaluation: the state and value of its worst group."""
    sign = 1 if rule.comparison == Side.ABOVE else -1

    def badness(taken: _Step) -> tuple[int, float]:
        value = taken.instance.last_value
        return _URGENCY[AlertState(taken.instance.state)], -math.inf if value is None else sign * value

    worst = max(steps, key=badness).instance if steps else RuleInstance()
    changes: dict[str, object] = {"last_evaluated_at": now, "last_error": "", "failed_evaluations": 0}
    changes |= {"last_value": worst.last_value, "state": worst.state}
    changes |= {"next_evaluation_at": _next_turn(rule, now), "evaluation_seq": rule.evaluation_seq + 1}
    if worst.state != rule.state or worst.state == AlertState.PENDING:
        changes["state_since"] = moment_of(worst.state_since_ns) if worst.state_since_ns else now
    return changes


def _explain(store: Store, rule: AlertRule, taken: _Step, *, of_worst: bool) -> Evidence | None:
    """Return what an alert can prove, None when there is nothing to prove; reasons only for the worst of many groups."""
    sight, change = taken.sight, taken.change
    if change is None:
        return None
    judged = copy.copy(rule)
    if change.threshold is not None:  # a rule's own may be a change; which traces are behind it is told by the value
        judged.threshold = change.threshold
    if of_worst:
        try:
            return collect_evidence(store, judged, sight.time_range, sight.labels)
        except Exception as error:  # an alert without its reasons is better than none
            known = isinstance(error, StoreError | QueryError)
            logger.warning("no evidence for alert rule %s (%s): %s", rule.pk, rule.name, error, exc_info=not known)
    return outline_evidence(judged, sight.time_range, sight.labels)


def _fail(rule: AlertRule, error: Exception, now: datetime) -> list[AlertTransition]:
    """Note that a rule could not be evaluated; who owns it hears of it when that happens again and again."""
    logger.warning("alert rule %s (%s) could not be evaluated: %s", rule.pk, rule.name, error)
    telemetry.ALERT_EVALUATIONS.labels("failed").inc()
    failed = rule.failed_evaluations + 1
    said = str(error)[:1000]
    with transaction.atomic():
        noted = _still(rule).update(
            last_error=said,
            failed_evaluations=failed,
            next_evaluation_at=_next_turn(rule, now),
            evaluation_seq=rule.evaluation_seq + 1,  # another worker's failure of the same turn does not count again
        )
        if not noted or failed != FAILURES_BEFORE_ALERT:
            return []
        change = Transition(AlertState.INACTIVE, AlertState.FIRING, rule.severity, ns_of(now), None)
        return [_record_broken(rule, change, now, f"the rule cannot be evaluated: {said}"[:200])]


def _is_broken(rule: AlertRule) -> bool:
    return rule.failed_evaluations >= FAILURES_BEFORE_ALERT


def _end_broken(rule: AlertRule, now: datetime, reason: str) -> list[AlertTransition]:
    change = Transition(AlertState.FIRING, AlertState.RESOLVED, rule.severity, ns_of(now), None)
    return [_record_broken(rule, change, now, reason)]


def _record_broken(rule: AlertRule, change: Transition, now: datetime, reason: str) -> AlertTransition:
    window = window_before(now, rule.window_s)
    about_rule = RuleInstance(rule=rule, key=BROKEN_KEY, labels={})
    evidence = Evidence(rule.query, "traces", window.start_ns, window.end_ns, among=rule.query)
    return record_change(rule, about_rule, change, Sight(Observation(None, 0, ns_of(now)), window), evidence, now, reason)


def save_rule(rule: AlertRule, now: datetime) -> None:
    """Save a rule's definition, never its state, which an evaluation may be changing at this moment.

    A changed condition or a disabled rule ends what was pending or firing; the channels hear that it is resolved, and why.
    """
    if rule.pk is None:
        rule.next_evaluation_at = rule.state_since = now
        rule.save()
        return
    with transaction.atomic():
        stored = AlertRule.objects.select_for_update().get(pk=rule.pk)
        changed = [name for name in CONDITION_FIELDS if getattr(stored, name) != getattr(rule, name)]
        reason = "the rule was switched off" if not rule.enabled else "the rule was edited" if changed else ""
        if reason:
            _end_state(stored, now, reason)
        rule.save(update_fields=DEFINITION_FIELDS)
        AlertRule.objects.filter(pk=rule.pk).update(evaluation_seq=F("evaluation_seq") + 1, next_evaluation_at=now)
        if changed:
            AlertRule.objects.filter(pk=rule.pk).update(last_value=None, last_evaluated_at=None, last_error="")
    rule.refresh_from_db()


def delete_rule(rule: AlertRule, now: datetime) -> None:
    """Delete a rule; its past alerts stay, a firing one is resolved first."""
    with transaction.atomic():
        stored = AlertRule.objects.select_for_update().get(pk=rule.pk)
        _end_state(stored, now, "the rule was deleted")
        stored.delete()


def _end_state(rule: AlertRule, now: datetime, reason: str) -> list[AlertTransition]:
    """End what is pending or firing, and forget all groups."""
    condition = condition_of(rule)
    window = window_before(now, rule.window_s)
    transitions = []
    for instance in rule.instances.exclude(state=AlertState.INACTIVE):
        if change := end_of(instance, condition, now):
            sight = Sight(Observation(None, 0, ns_of(now)), window, instance.labels)
            evidence = outline_evidence(rule, window, instance.labels)
            transitions.append(record_change(rule, instance, change, sight, evidence, now, reason))
    if _is_broken(rule):
        transitions += _end_broken(rule, now, reason)
    rule.instances.all().delete()
    AlertRule.objects.filter(pk=rule.pk).update(failed_evaluations=0)
    if rule.state != AlertState.INACTIVE:
        AlertRule.objects.filter(pk=rule.pk).update(state=AlertState.INACTIVE.value, state_since=now)
    return transitions


def find_rules(project_id: int) -> QuerySet[AlertRule]:
    """Return rules with their channels and groups: firing ones first, then pending ones, then by name."""
    urgency = Case(When(state=AlertState.FIRING, then=0), When(state=AlertState.PENDING, then=1), default=2)
    return AlertRule.objects.filter(project_id=project_id).prefetch_related("channels", "instances").order_by(urgency, "name")


def count_firing(project_id: int) -> int:
    return Alert.objects.filter(project_id=project_id, resolved_at=None).count()


def find_alerts(project_id: int, *, firing: bool | None = None) -> QuerySet[Alert]:
    """Return alerts, firing ones first, then newest first; lazily, so that a page takes only its part."""
    alerts = Alert.objects.filter(project_id=project_id)
    if firing is not None:
        alerts = alerts.filter(resolved_at__isnull=firing)
    return alerts.order_by(F("resolved_at").desc(nulls_first=True), "-started_at", "-id")
