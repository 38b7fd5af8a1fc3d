"""What an alert can prove at the moment it fires: counts, causes and example traces of exactly the window it judged."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from alerts.evidence.focus import ALL_TRACES, ESCALATED, LOOPING, SLOWER, find_focus, is_about_time, narrow, worst_first
from alerts.evidence.steps import Loop, SlowSteps, StepGrowth, find_loops, find_slow_steps, find_steps_to_open
from alerts.models import AlertRule, Side
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError
from tracestore.language import join_queries, parse_query
from tracestore.queries.costs import find_dear_traces
from tracestore.queries.errors import find_errors, find_first_versions
from tracestore.queries.metrics.series import metric_series, metric_value
from tracestore.queries.traces import find_traces
from tracestore.queries.why.attributes import compare_attributes
from tracestore.queries.why.comparison import Comparison, find_differences
from tracestore.queries.why.fields import DIMENSIONS, SOME, demanded_fields
from tracestore.queries.why.sides import Selection
from tracestore.queries.why.values import Difference
from tracestore.semconv.signals import HUMAN
from tracestore.statistics import share_test
from tracestore.storable import storable
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

logger = logging.getLogger(__name__)

_EVIDENCE_S = 20.0
_EXAMPLES = 3
_DISTINCTIONS = 3
_ERRORS = 3
_ERRORS_RANKED = 50
# A window whose traces are all behind the breach is compared with what came before it: four windows, an hour to a week.
_EARLIER_WINDOWS, _EARLIER_LEAST_S, _EARLIER_MOST_S = 4, 3600, 7 * 86_400
# Of the traces before, as many were dear; where it is twice as many, dearness is what has changed.
_USUALLY_DEAR = 0.01
# Where there is no trace at all, the last one before says since when and from whom nothing comes.
_LAST_TRACE_NS = 7 * DAY_NS
# Of fewer traces the differences may be said that may be chance, when the shares are at least so far apart.
_FEW, _CONSPICUOUS = 10, 0.5
# An alert looks at a hundred values or so, and who is woken by it acts on the first: of a hundred p-values one below this is
# chance in one alert of ten. The why page, which is read at leisure, is content with less.
_CERTAIN_P = 0.001
_MOST = 0.5
# What fewer of the traces behind a breach failed with does not tell how they failed, unless it is new.
_TELLING_SHARE = 0.1
_FAILED_TOOL = "tool_error"
_TOOLS = 5


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
    """Totals, and the tools that failed in the failing traces and not as often in the rest, the greatest difference first."""

    failing: int = 0
    others: int = 0
    failing_tools: list[Cause] = field(default_factory=list)


@dataclass(frozen=True)
class Distinction:
    """A value that the traces behind the breach have more often than those they are compared with.

    `field` is one of the query language, `value` "" is to have none. Shares are 0 to 1 of each side; they differ by `least` at
    least with a confidence of 95%, and by chance if that is 0.
    """

    field: str
    label: str
    value: str
    failing: int
    others: int
    failing_share: float
    other_share: float
    least: float

    @property
    def is_loop(self) -> bool:
        """Whether it is that the same call came again and again, which `Evidence.loops` then names."""
        return (self.field, self.value) == ("loops", SOME)

    @property
    def explains_most(self) -> bool:
        """Whether it can be the cause: more than chance, and of at least half of the traces behind the breach."""
        return self.least > 0 and self.failing_share >= _MOST


@dataclass(frozen=True)
class SeenError:
    """An error that `traces` of the traces behind the breach failed with. `first_version` is "" when none was ever stated.

    `is_new`: it was first seen since the breach may have begun. `first_seen_ns` looks back as far as the errors page does.
    """

    fingerprint: str
    error_type: str
    message: str
    traces: int
    first_seen_ns: int
    first_version: str
    is_new: bool


@dataclass(frozen=True)
class Example:
    """One of the traces behind the breach. `failing_span_id` is the step at which it failed, "" when none did.

    `telling_span_id` is the step that says most about this breach where that is another one: the slowest, or the escalation.
    """

    trace_id: str
    name: str
    start_ns: int
    duration_ns: int
    error_types: list[str]
    error_message: str
    versions: list[str]
    failing_span_id: str = ""
    telling_span_id: str = ""


@dataclass(frozen=True)
class Evidence:
    """`query` finds exactly the traces behind the breach within [start_ns, end_ns); `noun` says what they are, and `among` finds
    all that the rule, or its group, looked at.

    `causes.failing` counts them, `causes.others` the rest of the rule's traces in the window. `distinctions` compare them with
    `compared` others of the window or, when there are none, with the rule's traces since `earlier_start_ns`. `cost_usd` is what
    they cost, None when unknown. `reasons` are those for which escalated traces were handed to a person, by the number of traces,
    most frequent first. `steps` say where slow traces lost their time, `loops` which calls came again and again.
    Empty where the store could not be asked, or not in time: an alert is never held back for want of reasons.
    """

    query: str
    noun: str
    start_ns: int
    end_ns: int
    causes: Causes = field(default_factory=Causes)
    examples: list[Example] = field(default_factory=list)
    distinctions: list[Distinction] = field(default_factory=list)
    compared: int = 0
    earlier_start_ns: int | None = None
    errors: list[SeenError] = field(default_factory=list)
    cost_usd: float | None = None
    among: str = ""
    reasons: dict[str, int] = field(default_factory=dict)
    steps: SlowSteps | None = None
    loops: list[Loop] = field(default_factory=list)

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start_ns, self.end_ns)

    @property
    def last_before(self) -> Example | None:
        """The last trace before the window, where the window has none."""
        return next((example for example in self.examples if example.start_ns < self.start_ns), None)

    def to_json(self) -> dict[str, Any]:
        """Return it as a column of the relational database takes it: errors may say any text."""
        told: dict[str, Any] = storable(asdict(self))
        return told

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Evidence:
        told = data["causes"]  # of older alerts with more in it
        causes = Causes(told["failing"], told["others"], [Cause(**cause) for cause in told["failing_tools"]])
        lists = {
            name: [kind(**item) for item in data.get(name, ())]
            for name, kind in (("examples", Example), ("distinctions", Distinction), ("errors", SeenError), ("loops", Loop))
        }
        steps = data.get("steps")
        if steps:
            steps = SlowSteps(**steps | {"top": [StepGrowth(**step) for step in steps["top"]]})
        return cls(**data | lists | {"causes": causes, "steps": steps})


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
        lambda found: replace(found, **_compare(store, rule, found)),
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
        store, project_id=rule.project_id, time_range=outline.time_range, earlier_ns=_earlier_start_ns(outline),
        query=parse_query(outline.among), level=1 - _USUALLY_DEAR,
    )  # fmt: skip
    if dear.above_usd is None or dear.traces < 2 * _USUALLY_DEAR * dear.priced or not dear.traces:
        return outline
    query = join_queries(outline.among, f"cost:>{dear.above_usd:.9f}")
    return replace(outline, query=query, noun="traces that cost more than nearly all before them")


def _earlier_start_ns(outline: Evidence) -> int:
    earlier_s = min(max(_EARLIER_WINDOWS * int(outline.time_range.duration_s), _EARLIER_LEAST_S), _EARLIER_MOST_S)
    return max(0, outline.start_ns - earlier_s * NS_PER_S)


def find_cost(store: Store, project_id: int, evidence: Evidence, end_ns: int | None = None) -> float | None:
    """Return what the traces behind the breach have cost in USD, those of the window or, with `end_ns`, all until then.

    Raises StoreError.
    """
    time_range = TimeRange(evidence.start_ns, max(end_ns or 0, evidence.end_ns))
    query = parse_query(evidence.query)
    return metric_value(store, project_id=project_id, time_range=time_range, query=query, metric="cost")


def _compare(store: Store, rule: AlertRule, outline: Evidence) -> dict[str, Any]:
    """Return the fields of Evidence that compare. Nothing is too rare here: an alert may be about two traces."""
    selected, among = parse_query(outline.query), parse_query(outline.among)
    selection, time_range = Selection(selected), outline.time_range
    fields = [name for name in DIMENSIONS if name not in demanded_fields(selected) or name == _FAILED_TOOL]

    def compare(fields: list[str]) -> Comparison:
        return find_differences(
            store, project_id=rule.project_id, time_range=time_range, selection=selection, against=among, fields=fields,
            numbers=False, min_support=1,
        )  # fmt: skip

    comparison = compare(fields)
    causes = _list_causes(comparison)
    earlier_start_ns = None
    if comparison.selected and not comparison.others:
        earlier_start_ns = _earlier_start_ns(outline)
        selection = Selection(selected, outline.time_range)
        time_range = TimeRange(earlier_start_ns, outline.end_ns)
        comparison = compare([name for name in fields if name not in demanded_fields(among)])
    if outline.noun == ESCALATED.noun:
        comparison = replace(comparison, differences=_without_the_escalation(comparison.differences))
    differences = _explain(comparison)
    if len(differences) < _DISTINCTIONS and comparison.others:
        attributes = compare_attributes(
            store, project_id=rule.project_id, time_range=time_range, selection=selection, against=among,
        )  # fmt: skip
        differences += [
            found
            for found in attributes.differences
            if found.difference.value > 0 and _is_certain(found, attributes.selected, attributes.others)
        ]
    if not differences:
        differences = _suspect(comparison)
    # What most of the traces have comes before what sets some of them apart, also where it is an attribute.
    differences.sort(key=lambda found: found.selected_share < _MOST)
    return {
        "causes": causes,
        "distinctions": [_distinction(found) for found in differences[:_DISTINCTIONS]],
        "compared": comparison.others,
        "earlier_start_ns": earlier_start_ns if comparison.others else None,
    }


def _find_slow_steps(store: Store, rule: AlertRule, outline: Evidence) -> SlowSteps | None:
    """Compare with what was before the breach began: at most a hold and a window ago."""
    end_ns = outline.start_ns - rule.hold_s * NS_PER_S
    start_ns = _earlier_start_ns(outline) - rule.hold_s * NS_PER_S
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
        store, project_id=rule.project_id, query=parse_query(outline.query), time_range=outline.time_range,
        trace_ids=[example.trace_id for example in outline.examples], metric=rule.metric,
        named=outline.steps.named if outline.steps else None,
    )  # fmt: skip
    return [replace(example, telling_span_id=telling.get(example.trace_id, "")) for example in outline.examples]


def _find_loops(store: Store, rule: AlertRule, outline: Evidence) -> list[Loop]:
    """Name what loops where loops set the traces apart, or are what the rule is about."""
    query = join_queries(outline.query, LOOPING.query)
    if outline.noun != LOOPING.noun and not any(found.is_loop for found in outline.distinctions):
        return []
    return find_loops(store, project_id=rule.project_id, query=parse_query(query), time_range=outline.time_range)


def _without_the_escalation(differences: list[Difference]) -> list[Difference]:
    """Leave out what hands over; what means the same traces as that speaks for itself then."""
    return [
        replace(found, along_with=None) if found.along_with and _is_the_escalation(found.along_with) else found
        for found in differences
        if not _is_the_escalation(found)
    ]


def _is_the_escalation(found: Difference) -> bool:
    """Whether it is the very tool or agent that hands over to a person: that escalated traces have it says nothing."""
    return found.dimension.field in ("tool", "agent") and not found.others and bool(re.search(HUMAN, found.value))


def _find_reasons(store: Store, rule: AlertRule, outline: Evidence) -> dict[str, int]:
    """Return the reasons that the escalated traces give; those without one are not among them."""
    series = metric_series(
        store, project_id=rule.project_id, time_range=outline.time_range, query=parse_query(outline.query), metric="escalations",
        group_by="escalation_reason", step_s=math.ceil(outline.time_range.duration_s),
    )  # fmt: skip
    counts = {one.group: sum(int(value or 0) for _, value in one.points) for one in series}
    return {reason: count for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if reason and count}


def _explain(comparison: Comparison) -> list[Difference]:
    """Return what is certain to be more frequent among the selected traces and says why they failed, not how. Best first."""
    return [
        found
        for found in comparison.differences
        if _is_explanation(found) and _is_certain(found, comparison.selected, comparison.others)
    ]


def _is_certain(found: Difference, selected: int, others: int) -> bool:
    """Whether a value stands out also when all fields are looked at; `is_significant` speaks of the values of its own field.

    Of few traces (`_suspect`) that has to do: there are few values, and only what differs conspicuously is said at all.
    """
    return found.is_significant and share_test(found.selected, selected, found.others, others) < _CERTAIN_P


def _suspect(comparison: Comparison) -> list[Difference]:
    """Return what may be chance, to be said as such, where there are too few traces to be sure of anything.

    Among many traces what is not certain to differ sets nothing apart; among few only what differs conspicuously is worth a word.
    """
    if comparison.others >= _FEW and comparison.selected >= _FEW:
        return []
    least = min(2, comparison.selected)  # each of several failing traces has a user and a session of its own
    conspicuous = _CONSPICUOUS if comparison.others else 0.0
    return [
        found
        for found in comparison.differences
        if _is_explanation(found) and found.selected >= least and found.difference.value >= conspicuous
    ]


def _is_explanation(found: Difference) -> bool:
    # A loop says what happened also where it has come with a version.
    speaks = found.along_with is None or found.dimension.field == "loops"
    return bool(found.selected) and found.difference.value > 0 and not found.dimension.is_symptom and speaks


def _distinction(found: Difference) -> Distinction:
    return Distinction(
        field=found.dimension.field,
        label=found.dimension.label,
        value=found.value,
        failing=found.selected,
        others=found.others,
        failing_share=found.selected_share,
        other_share=found.other_share,
        least=found.difference.least if found.is_significant else 0.0,
    )


def _list_causes(comparison: Comparison) -> Causes:
    tools = [
        found
        for found in comparison.differences
        if found.dimension.field == _FAILED_TOOL and found.difference.value and found.selected
        and found.selected_share >= _TELLING_SHARE
    ]  # fmt: skip
    tools.sort(key=lambda tool: (-tool.difference.value, -tool.selected, tool.value))
    causes = [Cause(tool.value, tool.selected, tool.others, tool.selected_share, tool.other_share) for tool in tools[:_TOOLS]]
    return Causes(comparison.selected, comparison.others, causes)


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
    least = _TELLING_SHARE * outline.causes.failing
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
