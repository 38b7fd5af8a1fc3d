"""What an alert can prove at the moment it fires: counts, causes and example traces of exactly the window it judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.focus import find_focus, join_queries
from alerts.models import AlertRule
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.causes import Cause, Causes, find_causes
from tracestore.queries.traces import find_traces
from tracestore.timerange import TimeRange

_EXAMPLES = 3


@dataclass(frozen=True)
class Example:
    """One of the traces behind the breach, newest first."""

    trace_id: str
    name: str
    start_ns: int
    duration_ns: int
    error_types: list[str]
    error_message: str
    versions: list[str]


@dataclass(frozen=True)
class Evidence:
    """`query` finds exactly the traces behind the breach within [start_ns, end_ns); `noun` says what they are.

    `causes.failing` counts them, `causes.others` the rest of the rule's traces in the window. Empty when the store could
    not be asked: an alert is never held back for want of reasons.
    """

    query: str
    noun: str
    start_ns: int
    end_ns: int
    causes: Causes = field(default_factory=Causes)
    examples: list[Example] = field(default_factory=list)

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start_ns, self.end_ns)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Evidence:
        causes = dict(data["causes"])
        for dimension, found in causes.items():
            if isinstance(found, list):
                causes[dimension] = [Cause(**cause) for cause in found]
        examples = [Example(**example) for example in data["examples"]]
        return cls(**data | {"causes": Causes(**causes), "examples": examples})


def outline_evidence(rule: AlertRule, time_range: TimeRange) -> Evidence:
    """Return the evidence without asking the store: which traces to look at, but nothing about them."""
    focus = find_focus(rule.metric, parse_query(rule.query), comparison=rule.comparison, threshold=rule.threshold)
    return Evidence(join_queries(rule.query, focus.query), focus.noun, time_range.start_ns, time_range.end_ns)


def collect_evidence(store: Store, rule: AlertRule, time_range: TimeRange) -> Evidence:
    """Raises StoreError."""
    focus = find_focus(rule.metric, parse_query(rule.query), comparison=rule.comparison, threshold=rule.threshold)
    outline = outline_evidence(rule, time_range)
    causes = find_causes(
        store,
        project_id=rule.project_id,
        time_range=time_range,
        query=parse_query(rule.query),
        focus=parse_query(focus.query),
    )
    page = find_traces(
        store, project_id=rule.project_id, time_range=time_range, query=parse_query(outline.query), limit=_EXAMPLES
    )
    examples = [
        Example(
            trace_id=trace.trace_id,
            name=trace.name,
            start_ns=trace.start_ns,
            duration_ns=trace.duration_ns,
            error_types=list(trace.error_types),
            error_message=trace.error_message[:300],
            versions=list(trace.versions),
        )
        for trace in page.items
    ]
    return Evidence(outline.query, outline.noun, time_range.start_ns, time_range.end_ns, causes, examples)
