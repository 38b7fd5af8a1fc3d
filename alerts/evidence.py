"""What an alert can prove at the moment it fires: counts, causes and example traces of exactly the window it judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.focus import find_focus, join_queries
from alerts.models import AlertRule
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.traces import find_traces
from tracestore.queries.why import Selection, find_differences
from tracestore.timerange import TimeRange

_EXAMPLES = 3
# Field of `Causes` -> field of the query language.
CAUSE_FIELDS = {
    "error_types": "error",
    "versions": "version",
    "tools": "tool",
    "failing_tools": "tool_error",
    "agents": "agent",
    "models": "model",
}
_CAUSES_EACH = 5


@dataclass(frozen=True)
class Cause:
    """`failing` of the failing traces have this value and `others` of the rest; shares are 0 to 1 of each side."""

    value: str
    failing: int
    others: int
    failing_share: float
    other_share: float


@dataclass(frozen=True)
class Causes:
    """Totals and, per dimension, the values most over-represented among the failing traces, best explanation first.

    Ranked by the difference of the two shares, so that a tool which every trace uses does not hide the one that breaks.
    """

    failing: int = 0
    others: int = 0
    error_types: list[Cause] = field(default_factory=list)
    versions: list[Cause] = field(default_factory=list)
    tools: list[Cause] = field(default_factory=list)
    failing_tools: list[Cause] = field(default_factory=list)
    agents: list[Cause] = field(default_factory=list)
    models: list[Cause] = field(default_factory=list)


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
    outline = outline_evidence(rule, time_range)
    causes = find_causes(store, rule.project_id, time_range, selection=outline.query, among=rule.query)
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


def find_causes(store: Store, project_id: int, time_range: TimeRange, *, selection: str, among: str) -> Causes:
    """Compare the traces of `selection` with the rest of those of `among`. Raises StoreError.

    Nothing is too rare here: an alert may be about two traces, and its counts stand beside each share.
    """
    comparison = find_differences(
        store, project_id=project_id, time_range=time_range, selection=Selection(parse_query(selection)),
        against=parse_query(among), fields=CAUSE_FIELDS.values(), numbers=False, pairs=False, min_support=1,
    )  # fmt: skip
    found: dict[str, list[Cause]] = {name: [] for name in CAUSE_FIELDS}
    names = {field: name for name, field in CAUSE_FIELDS.items()}
    for difference in sorted(comparison.differences, key=lambda found: (-found.difference.value, -found.selected, found.value)):
        causes = found[names[difference.dimension.field]]
        if difference.selected and difference.value and len(causes) < _CAUSES_EACH:
            shares = (difference.selected_share, difference.other_share)
            causes.append(Cause(difference.value, difference.selected, difference.others, *shares))
    return Causes(comparison.selected, comparison.others, **found)
