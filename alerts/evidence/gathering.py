"""What an alert can prove at the moment it fires: counts, causes and example traces of exactly the window it judged."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from alerts.evidence.differences import TELLING_SHARE, add_differences, earlier_start_ns_of
from alerts.evidence.focus import ALL_TRACES, ESCALATED, LOOPING, SLOWER, find_focus, is_about_time, narrow, worst_first
from alerts.evidence.model import Evidence, Example, SeenError, most_frequent_first
from alerts.evidence.steps import Loop, SlowSteps, find_loops, find_slow_steps, find_steps_to_open
from alerts.models import AlertRule, Side
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError
from tracestore.language import join_queries, parse_query
from tracestore.queries.costs import find_dear_traces
from tracestore.queries.errors import find_errors, find_first_versions
from tracestore.queries.metrics.series import metric_series, metric_value
from tracestore.queries.traces import find_traces
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

logger = logging.getLogger(__name__)

_EVIDENCE_S = 20.0
_EXAMPLES = 3
_ERRORS = 3
_ERRORS_RANKED = 50
# Of the traces before, as many were dear; where it is twice as many, dearness is what has changed.
_USUALLY_DEAR = 0.01
# Where there is no trace at all, the last one before says since when and from whom nothing comes.
_LAST_TRACE_NS = 7 * DAY_NS


def outline_evidence(rule: AlertRule, time_range: TimeRange, labels: Mapping[str, str] | None = None) -> Evidence:
    """Return the evidence without asking the store: which traces to look at, but nothing about them. `labels` name the group."""
    among = narrow(rule.query, labels or {})
    focus = find_focus(rule.metric, parse_query(among), comparison=rule.comparison, threshold=rule.threshold)
    return Evidence(join_queries(among, focus.query), focus.noun, time_range.start_ns, time_range.end_ns, among=among)


def collect_evidence(store: Store, rule: AlertRule, time_range: TimeRange, labels: Mapping[str, str] | None = None) -> Evidence:
    """Return what can be found out within _EVIDENCE_S: an alert waits for it. What is too expensive, or breaks, is left out.

    Raises StoreError.
    """
    store = store.limited(_EVIDENCE_S)
    outline = outline_evidence(rule, time_range, labels)
    is_escalated = outline.noun == ESCALATED.noun
    is_slow = outline.noun == SLOWER.noun or (is_about_time(rule.metric) and outline.noun != ALL_TRACES.noun)
    # What an alert can least do without comes first.
    steps: tuple[Callable[[Evidence], Evidence], ...] = (
        lambda found: _focus_on_dear(store, rule, found),
        lambda found: replace(found, examples=_find_examples(store, rule, found)),
        lambda found: replace(found, steps=_find_slow_steps(store, rule, found)) if is_slow else found,
        lambda found: replace(found, examples=_open_examples(store, rule, found)),
        lambda found: replace(found, cost_usd=find_cost(store, rule.project_id, found)),
        lambda found: add_differences(store, rule.project_id, found),
        lambda found: replace(found, errors=_find_errors(store, rule, found)),
        lambda found: replace(found, reasons=_find_reasons(store, rule, found)) if is_escalated else found,
        lambda found: replace(found, loops=_find_loops(store, rule, found)),
    )
    for step in steps:
        try:
            outline = step(outline)
        except QueryTooExpensive as error:
            logger.warning("some evidence for alert rule %s (%s) takes too long: %s", rule.pk, rule.name, error)
        except StoreError:
            raise
        except Exception:  # what breaks here must not cost the alert what the others find
            logger.exception("some evidence for alert rule %s (%s) broke", rule.pk, rule.name)
    return outline


def _focus_on_dear(store: Store, rule: AlertRule, outline: Evidence) -> Evidence:
    """Where more was spent because single traces have become dearer, those are behind it, rather than all."""
    if rule.metric != "cost" or rule.comparison != Side.ABOVE:
        return outline
    dear = find_dear_traces(
        store, project_id=rule.project_id, time_range=outline.time_range, earlier_ns=earlier_start_ns_of(outline),
        query=parse_query(outline.among), level=1 - _USUALLY_DEAR,
    )  # fmt: skip
    if dear.above_usd is None or dear.traces < 2 * _USUALLY_DEAR * dear.priced or not dear.traces:
        return outline
    query = join_queries(outline.among, f"cost:>{dear.above_usd:.9f}")
    return replace(outline, query=query, noun="traces that cost more than nearly all before them")


def find_cost(store: Store, project_id: int, evidence: Evidence, end_ns: int | None = None) -> float | None:
    """Return what the traces behind the breach have cost in USD, those of the window or, with `end_ns`, all until then.

    Raises StoreError.
    """
    time_range = TimeRange(evidence.start_ns, max(end_ns or 0, evidence.end_ns))
    query = parse_query(evidence.query)
    return metric_value(store, project_id=project_id, time_range=time_range, query=query, metric="cost")


def _find_slow_steps(store: Store, rule: AlertRule, outline: Evidence) -> SlowSteps | None:
    """Compare with what was before the breach began: at most a hold and a window ago."""
    end_ns = outline.start_ns - rule.hold_s * NS_PER_S
    start_ns = earlier_start_ns_of(outline) - rule.hold_s * NS_PER_S
    if start_ns < 0:
        return None
    return find_slow_steps(
        store, project_id=rule.project_id, query=parse_query(outline.query), time_range=outline.time_range,
        among=parse_query(outline.among), before=TimeRange(start_ns, end_ns),
    )  # fmt: skip


def _open_examples(store: Store, rule: AlertRule, outline: Evidence) -> list[Example]:
    """Let traces that are slow, or were handed to a person, be opened at the step that shows it."""
    if (
        not outline.examples
        or not (is_about_time(rule.metric) or outline.noun == ESCALATED.noun)
        or rule.comparison == Side.BELOW
    ):
        return outline.examples
    telling = find_steps_to_open(
        store, project_id=rule.project_id, traces=outline.examples, metric=rule.metric,
        named=outline.steps.named if outline.steps else None,
    )  # fmt: skip
    return [replace(example, telling_span_id=telling.get(example.trace_id, "")) for example in outline.examples]


def _find_loops(store: Store, rule: AlertRule, outline: Evidence) -> list[Loop]:
    """Name what loops where loops set the traces apart, or are what the rule is about."""
    query = join_queries(outline.query, LOOPING.query)
    if outline.noun != LOOPING.noun and not any(found.is_loop for found in outline.distinctions):
        return []
    return find_loops(store, project_id=rule.project_id, query=parse_query(query), time_range=outline.time_range)


def _find_reasons(store: Store, rule: AlertRule, outline: Evidence) -> dict[str, int]:
    """Return the reasons that the escalated traces give; those without one are not among them."""
    series = metric_series(
        store, project_id=rule.project_id, time_range=outline.time_range, query=parse_query(outline.query), metric="escalations",
        group_by="escalation_reason", step_s=math.ceil(outline.time_range.duration_s),
    )  # fmt: skip
    counts = {one.group: sum(int(value or 0) for _, value in one.points) for one in series}
    return most_frequent_first({reason: count for reason, count in counts.items() if reason and count})


def _find_examples(store: Store, rule: AlertRule, outline: Evidence) -> list[Example]:
    """Return the worst of slow and dear traces, the newest of others; where there is none, the last one before the window."""
    query, sort = parse_query(outline.query), worst_first(rule.metric, outline.query)
    page = find_traces(store, project_id=rule.project_id, time_range=outline.time_range, query=query, limit=_EXAMPLES, sort=sort)
    if not page.items and rule.comparison == Side.BELOW:
        before = TimeRange(outline.start_ns - _LAST_TRACE_NS, outline.start_ns)
        page = find_traces(store, project_id=rule.project_id, time_range=before, query=query, limit=1)
    return [
        Example(
            trace_id=trace.trace_id,
            name=trace.name,
            start_ns=trace.start_ns,
            duration_ns=trace.duration_ns,
            error_types=list(trace.error_types),
            error_message=trace.error_message[:300],
            versions=list(trace.versions),
            failing_span_id=trace.failing_span_id,
            cost_usd=trace.cost_usd,
            span_count=trace.span_count,
        )
        for trace in page.items
    ]


def _find_errors(store: Store, rule: AlertRule, outline: Evidence) -> list[SeenError]:
    """Return the errors of the traces behind the breach, of `outline.causes` counted: new ones first, then the most frequent.

    Slow or escalated traces of which a few failed did not fail by that: such errors are left out.
    """
    # A breach that fires now began at most a hold and a window ago.
    new_since_ns = outline.start_ns - rule.hold_s * NS_PER_S
    groups = find_errors(
        store, project_id=rule.project_id, time_range=outline.time_range, query=parse_query(outline.query), limit=_ERRORS_RANKED
    )
    least = TELLING_SHARE * outline.causes.failing
    telling = [group for group in groups if group.first_seen_ns >= new_since_ns or group.traces >= least]
    shown = sorted(telling, key=lambda group: (group.first_seen_ns < new_since_ns, -group.traces))[:_ERRORS]
    fingerprints = [group.fingerprint for group in shown]
    versions = find_first_versions(store, project_id=rule.project_id, fingerprints=fingerprints, time_range=outline.time_range)
    return [
        SeenError(
            fingerprint=group.fingerprint,
            error_type=group.error_type,
            message=group.message[:300],
            traces=group.traces,
            first_seen_ns=group.first_seen_ns,
            first_version=versions.get(group.fingerprint, ""),
            is_new=group.first_seen_ns >= new_since_ns,
        )
        for group in shown
    ]
