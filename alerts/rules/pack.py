"""Ready-made rules from common practice, added to a project in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from alerts.models import AlertRule, NotificationChannel
from alerts.rules.editing import save_rule
from alerts.rules.units import round_off
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.models import Project
from tracestore.queries.metrics.groups import Question, find_groups
from tracestore.queries.metrics.series import metric_series
from tracestore.timerange import DAY_NS, TimeRange, ns_of

DAILY_BUDGET_USD, USER_QUOTA_USD = 100.0, 50.0
_PAST_DAYS, _MONTH_DAYS = 28, 31
# Of a rule's labels: which one of the pack it is, whatever it is called by now.
LABEL = "pack"
_MINUTE_S, _DAY_S = 60, 86_400


@dataclass(frozen=True)
class PackRule:
    """One rule of the pack. `slug` stays the same for ever; `why` says to a person what it is for; `values` are of AlertRule."""

    slug: str
    name: str
    why: str
    values: dict[str, Any]


def build_pack(*, daily_budget_usd: float = DAILY_BUDGET_USD, user_quota_usd: float = USER_QUOTA_USD) -> list[PackRule]:
    """Return the rules of the pack, the most urgent first.

    Windows hold enough traces to tell a rate from chance, and holds keep a short burst from waking anyone; both together are
    how long an incident lasts before it is told. Four deviations, for one past week is as much left to chance as the present.
    """
    return [
        PackRule(
            "failures-critical", "Many failures", "More than 5% of traces fail for 5 minutes.",
            {"metric": "failure_rate", "threshold": 0.05, "recovery_threshold": 0.03, "window_s": 5 * _MINUTE_S,
             "hold_s": 5 * _MINUTE_S, "min_samples": 20, "severity": "critical"},
        ),
        PackRule(
            "failures-warning", "More failures than usual", "More than 2% of traces fail for 15 minutes.",
            {"metric": "failure_rate", "threshold": 0.02, "recovery_threshold": 0.015, "window_s": 15 * _MINUTE_S,
             "hold_s": 15 * _MINUTE_S, "min_samples": 250, "severity": "warning"},
        ),
        PackRule(
            "slow", "Slow runs", "The slowest 1% of runs take longer than 30 seconds for 10 minutes.",
            {"metric": "duration_p99", "threshold": 30.0, "window_s": 10 * _MINUTE_S, "hold_s": 10 * _MINUTE_S,
             "min_samples": 100, "severity": "warning"},
        ),
        PackRule(
            "model-down", "Model API failing", "Nine in ten calls of a model fail for 5 minutes.",
            {"metric": "model_error_rate", "group_by": ["model"], "threshold": 0.9, "recovery_threshold": 0.5,
             "window_s": 5 * _MINUTE_S, "min_samples": 10, "no_data": "keep", "severity": "critical"},
        ),
        PackRule(
            "tool-failures", "Tool failing",
            "All calls of a tool succeed in a tenth fewer of its runs than in the same hours of past weeks.",
            # Of runs, not of calls: those of one run that tries again and again are one piece of news.
            {"kind": "baseline", "metric": "tool_run_success_rate", "group_by": ["tool"], "comparison": "below", "threshold": 0.1,
             "baseline_deviations": 4.0, "window_s": 10 * _MINUTE_S, "min_samples": 20, "no_data": "keep",
             "severity": "critical"},
        ),
        PackRule(
            "daily-cost", "Daily cost", "The cost of the day is above its budget (warning) or a fifth above it (critical).",
            {"kind": "budget", "metric": "cost", "budget_period": "day", "warning_threshold": daily_budget_usd,
             "threshold": round(1.2 * daily_budget_usd, 6), "severity": "critical"},
        ),
        PackRule(
            "dear-run", "Costly run", "A single run costs more than 1 USD.",
            {"kind": "run", "metric": "run_cost", "threshold": 1.0, "window_s": 10 * _MINUTE_S, "severity": "warning"},
        ),
        PackRule(
            # The retry budget of a client in Google's book on SRE, chapter 21: a tenth.
            "waste", "Retries and loops", "More than a tenth of the cost goes into retries and loops for 10 minutes.",
            {"metric": "wasted_cost_share", "threshold": 0.1, "recovery_threshold": 0.05, "window_s": 30 * _MINUTE_S,
             "hold_s": 10 * _MINUTE_S, "min_samples": 100, "severity": "warning"},
        ),
        PackRule(
            "user-quota", "User over quota", "A user costs more than the monthly quota.",
            {"kind": "budget", "metric": "cost", "group_by": ["user"], "budget_period": "month", "threshold": user_quota_usd,
             "severity": "warning"},
        ),
        *(
            PackRule(
                f"version-{slug}", f"New version {worse}", f"The newest version {worse} than the one before it, for certain.",
                {"kind": "version", "metric": metric, "threshold": threshold, "window_s": 7 * _DAY_S, "min_samples": 30,
                 "severity": severity},
            )
            for slug, worse, metric, threshold, severity in (
                ("failures", "fails more", "failure_rate", 0.2, "critical"),
                ("escalations", "escalates more", "escalation_rate", 0.2, "warning"),
                ("cost", "costs more", "cost_per_trace", 0.2, "warning"),
                ("duration", "is slower", "duration_p95", 0.2, "warning"),
            )
        ),
        PackRule(
            "traffic-stopped", "Traffic stopped", "Four in five of the traces that past weeks had at this hour are missing.",
            {"kind": "baseline", "metric": "requests", "comparison": "below", "threshold": 0.8, "window_s": 15 * _MINUTE_S,
             "baseline_deviations": 4.0, "severity": "critical"},
        ),
    ]  # fmt: skip


def suggest_budgets(store: Store, project_id: int, now: datetime) -> tuple[float, float]:
    """Return a budget for a day and a quota for a user and month, in USD, that the past four weeks would just have kept to.

    A user's cost is taken to a month from what there is of them. Without a cost the defaults. Raises StoreError.
    """
    today_ns = ns_of(now) // DAY_NS * DAY_NS
    past = TimeRange(max(0, today_ns - _PAST_DAYS * DAY_NS), max(today_ns, 1))
    everything = parse_query("")
    [days] = metric_series(store, project_id=project_id, time_range=past, query=everything, metric="cost", step_s=_DAY_S)
    users = find_groups(
        store, project_id=project_id, time_range=past, question=Question(everything, "cost"), group_by=["user"], limit=1
    )
    dearest_day = max((cost or 0.0 for _, cost in days.points), default=0.0)
    known_days = len(days.points) - next((place for place, (_, cost) in enumerate(days.points) if cost), 0)
    dearest_user = (users[0].value or 0.0) * _MONTH_DAYS / known_days if users and known_days else 0.0
    return (
        DAILY_BUDGET_USD if dearest_day < 0.01 else round_off(dearest_day),
        USER_QUOTA_USD if dearest_user < 0.01 else round_off(dearest_user),
    )


def find_missing(project: Project) -> list[PackRule]:
    """Return the rules of the pack that the project does not have, under their name or another."""
    rules = AlertRule.objects.filter(project=project).values_list("name", "labels")
    known = {name for name, _ in rules} | {labels.get(LABEL) for _, labels in rules}
    return [item for item in build_pack() if item.name not in known and item.slug not in known]


def add_pack(
    project: Project, channels: Iterable[NotificationChannel], now: datetime, *,
    daily_budget_usd: float = DAILY_BUDGET_USD, user_quota_usd: float = USER_QUOTA_USD,
) -> list[AlertRule]:  # fmt: skip
    """Add the rules of the pack that the project does not have, and return them; those that it has stay as they are."""
    added = []
    channels = list(channels)
    with transaction.atomic():
        missing = {item.slug for item in find_missing(project)}
        for item in build_pack(daily_budget_usd=daily_budget_usd, user_quota_usd=user_quota_usd):
            if item.slug in missing:
                rule = AlertRule(project=project, name=item.name, labels={LABEL: item.slug}, **item.values)
                save_rule(rule, now)
                rule.channels.set(channels)
                added.append(rule)
    return added
