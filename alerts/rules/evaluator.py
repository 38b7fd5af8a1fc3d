"""Evaluate the rules whose turn has come, and write down what follows: any number of workers may race."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from alerts.evidence.gathering import collect_evidence, outline_evidence
from alerts.evidence.model import Evidence
from alerts.models import AlertRule, AlertTransition, NoDataPolicy, RuleInstance, Side, instance_key
from alerts.rules.broken import FAILURES_BEFORE_ALERT, begin_broken, end_broken, is_broken
from alerts.rules.ending import end_state
from alerts.rules.evaluation import AlertState, Condition, InstanceState, Transition, step
from alerts.rules.observing import Sight, absent, gaps_of, is_resting, observe_rules
from alerts.rules.recording import end_of, raise_peak, record_change
from alerts.rules.schedule import claim, condition_of, find_due_batches, next_turn, unchanged
from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError, StoreUnavailable
from tracestore.language import QueryError
from tracestore.process import telemetry
from tracestore.queries.metrics.groups import MAX_GROUPS
from tracestore.timerange import moment_of, ns_of

logger = logging.getLogger(__name__)

_URGENCY = {AlertState.INACTIVE: 0, AlertState.PENDING: 1, AlertState.FIRING: 2}
_INSTANCE_FIELDS = [
    "state", "severity", "state_since_ns", "memory", "last_value", "last_samples", "last_baseline", "last_seen_at", "spent_at",
]  # fmt: skip
# Of the groups of a rule that fire at once so many get their reasons: to collect them takes a while, and the others wait.
_EXPLAINED = 10
# A group without data for so long is gone, like a version that nobody runs any more.
_FORGET_AFTER = timedelta(days=1)


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
    for rule in claim(rule_ids, now):
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


def _rest(rule: AlertRule, now: datetime) -> list[AlertTransition]:
    with transaction.atomic():
        if not unchanged(rule).update(next_evaluation_at=next_turn(rule, now), evaluation_seq=F("evaluation_seq") + 1):
            return []
        return end_state(rule, now, "the rule rests outside its hours")


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
            if any(taken.change or taken.instance.state == AlertState.FIRING for taken in steps) or is_broken(rule):
                transitions += _write(store, rule, steps, now)
            else:
                quiet.append((rule, steps))
        except (OperationalError, InterfaceError):
            raise  # the database is away for all
        except Exception as error:  # what is wrong with one rule must not keep the others from being written
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
        if not unchanged(rule).update(**_summary(rule, steps, now)):
            return []
        _keep_instances([(rule, steps)], now)
        transitions = []
        if is_broken(rule):
            transitions.append(end_broken(rule, now, "the rule can be evaluated again"))
        for taken, explained in zip(steps, evidence, strict=True):
            if taken.change and explained:
                transitions.append(record_change(rule, taken.instance, taken.change, taken.sight, explained, now, taken.reason))
            if taken.instance.state == AlertState.FIRING:
                raise_peak(rule, taken.instance, taken.sight)
    return transitions


def _write_quiet(quiet: list[tuple[AlertRule, list[_Step]]], now: datetime) -> None:
    """Write at once what changed no state and needs no message."""
    with transaction.atomic():
        _keep_instances([(rule, steps) for rule, steps in quiet if unchanged(rule).update(**_summary(rule, steps, now))], now)


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
    changes |= {"next_evaluation_at": next_turn(rule, now), "evaluation_seq": rule.evaluation_seq + 1}
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
        noted = unchanged(rule).update(
            last_error=said,
            failed_evaluations=failed,
            next_evaluation_at=next_turn(rule, now),
            evaluation_seq=rule.evaluation_seq + 1,  # another worker's failure of the same turn does not count again
        )
        if not noted or failed != FAILURES_BEFORE_ALERT:
            return []
        return [begin_broken(rule, now, f"the rule cannot be evaluated: {said}"[:200])]
