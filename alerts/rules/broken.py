"""Rules that cannot be evaluated: an alert of its own says so to who owns the rule, after some failures in a row."""

from __future__ import annotations

from datetime import datetime

from alerts.evidence.model import Evidence
from alerts.models import BROKEN_KEY, AlertRule, AlertTransition, RuleInstance
from alerts.rules.evaluation import AlertState, Observation, Transition
from alerts.rules.observing import Sight, window_before
from alerts.rules.recording import record_change
from tracestore.timerange import ns_of

FAILURES_BEFORE_ALERT = 4


def is_broken(rule: AlertRule) -> bool:
    return rule.failed_evaluations >= FAILURES_BEFORE_ALERT


def begin_broken(rule: AlertRule, now: datetime, reason: str) -> AlertTransition:
    """Fire for a rule that cannot be evaluated. Runs inside the caller's transaction, as does its end."""
    return _record(rule, AlertState.INACTIVE, AlertState.FIRING, now, reason)


def end_broken(rule: AlertRule, now: datetime, reason: str) -> AlertTransition:
    return _record(rule, AlertState.FIRING, AlertState.RESOLVED, now, reason)


def _record(rule: AlertRule, before: AlertState, after: AlertState, now: datetime, reason: str) -> AlertTransition:
    change = Transition(before, after, rule.severity, ns_of(now), None)
    window = window_before(now, rule.window_s)
    about_rule = RuleInstance(rule=rule, key=BROKEN_KEY, labels={})
    evidence = Evidence(rule.query, "traces", window.start_ns, window.end_ns, among=rule.query)
    return record_change(rule, about_rule, change, Sight(Observation(None, 0, ns_of(now)), window), evidence, now, reason)
