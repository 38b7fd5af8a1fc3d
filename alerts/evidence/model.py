"""What an alert keeps of its reasons. Plain data, to and from a column of the relational database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.evidence.steps import Loop, SlowSteps, StepGrowth
from tracestore.queries.why.fields import SOME
from tracestore.storable import storable
from tracestore.timerange import TimeRange

# A cause explains at least this share of the traces behind a breach.
MOST = 0.5


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
        return self.least > 0 and self.failing_share >= MOST


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
    `cost_usd` is None where it is not known, `span_count` 0 of alerts from before it was kept.
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
    cost_usd: float | None = None
    span_count: int = 0


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
        # Postgres keeps objects in an order of its own.
        reasons = most_frequent_first(data.get("reasons", {}))
        return cls(**data | lists | {"causes": causes, "steps": steps, "reasons": reasons})


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return these counts, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
