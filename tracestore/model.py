"""What crosses package borders: traces, spans and series as frozen dataclasses. Ids are lowercase hex, times `_ns`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Signal(StrEnum):
    """A kind of OTLP data that is stored."""

    TRACES = "traces"
    LOGS = "logs"


class Outcome(StrEnum):
    """How a trace ended, for the person who asked: not whether some span of it has an error."""

    OK = "ok"
    ERROR = "error"
    RUNNING = "running"


@dataclass(frozen=True)
class ToolUsage:
    """Calls of one tool in one trace; `errors` of them raised. No calls: a model asked for it, and no span tells of any tool."""

    name: str
    calls: int
    errors: int


@dataclass(frozen=True)
class ModelUsage:
    """Calls of one model in one trace. `input_tokens` includes `cached_input_tokens`; cost is None when unpriced.

    `supplied_cost_usd` is what the sender says, None when it says nothing. Over calls that have both, `compared_cost_usd` is
    ours and `cost_difference_usd` what the sender says more.
    """

    model: str
    provider: str
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_usd: float | None
    supplied_cost_usd: float | None = None
    compared_cost_usd: float | None = None
    cost_difference_usd: float | None = None


@dataclass(frozen=True)
class TraceSummary:
    """One row of the trace list. `input_tokens` includes cached and cache-creation ones, `output_tokens` reasoning.

    `outcome_rule` names the rule that decided `outcome` (summary/outcomes.py, docs/outcome.md). `cost_usd` is the sum over the
    calls that have a price, None when tokens were used and no call has one; `unpriced_models` lists the others.
    `compared_cost_usd` and `cost_difference_usd` are as in ModelUsage. `error_fingerprint` names the error it failed with
    (tracestore/fingerprint.py), "" when it did not fail. What was retried, looped and wasted is of summary/repeats.py.
    `asked` and `answered` are the beginnings of what the run was asked and of what it answered (jobs/previews.py), "" where
    nobody says or nobody has looked yet: they follow the summary, and stand in lists alone. So do `scores`, where they are shown.
    """

    trace_id: str
    name: str
    service: str
    services: list[str]
    outcome: str
    outcome_rule: str
    has_errors: bool
    escalated: bool
    escalation_reasons: list[str]
    handed_over: bool
    handoff_reasons: list[str]
    start_ns: int
    duration_ns: int
    span_count: int
    error_count: int
    orphan_count: int
    root_span_id: str
    failing_span_id: str
    error_types: list[str]
    error_message: str
    error_fingerprint: str
    workflows: list[str]
    agents: list[str]
    versions: list[str]
    environment: str
    prompts: list[str]
    session_id: str
    user_id: str
    llm_calls: int
    retried_calls: int
    loops: int
    looping_calls: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_creation_input_tokens: int
    reasoning_tokens: int
    cache_creation_1h_input_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    wasted_tokens: int
    cost_usd: float | None
    wasted_cost_usd: float
    supplied_cost_usd: float | None
    compared_cost_usd: float | None
    cost_difference_usd: float | None
    unpriced_models: list[str]
    tools: list[ToolUsage]
    models: list[ModelUsage]
    asked: str = ""
    answered: str = ""
    scores: tuple[Score, ...] = ()

    @property
    def title(self) -> str:
        """What tells the trace from others in a list: many have the same name."""
        return self.asked or self.name or "(no name)"


@dataclass(frozen=True)
class SpanSummary:
    """One step of a trace without its payload. `parent_span_id` is "" for a root; the parent may be absent (an orphan).

    `time_to_first_token_ns` is None when the sender did not say.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    span_kind: str
    start_ns: int
    duration_ns: int
    status: str
    status_message: str
    is_error: bool
    error_type: str
    error_message: str
    service: str
    environment: str
    scope_name: str
    agent: str
    version: str
    workflow: str
    tool: str
    tool_call_id: str
    request_model: str
    response_model: str
    provider: str
    finish_reason: str
    service_tier: str
    time_to_first_token_ns: int | None
    prompt_name: str
    prompt_version: str
    session_id: str
    user_id: str
    signal: str
    agent_id: str
    tags: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_creation_input_tokens: int
    reasoning_tokens: int
    cache_creation_1h_input_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    cost_usd: float | None
    supplied_cost_usd: float | None

    @property
    def compared_cost_usd(self) -> float | None:
        """Our cost where there is one to compare it with."""
        return None if self.supplied_cost_usd is None else self.cost_usd

    @property
    def cost_difference_usd(self) -> float | None:
        """What the sender says more than we compute; None unless both are known."""
        if self.cost_usd is None or self.supplied_cost_usd is None:
            return None
        return self.supplied_cost_usd - self.cost_usd


@dataclass(frozen=True)
class SpanEvent:
    """A span event; attribute values are JSON-like (str, int, float, bool, list, dict, None)."""

    time_ns: int
    name: str
    attributes: dict[str, Any]
    dropped_attributes_count: int


@dataclass(frozen=True)
class SpanLink:
    """A link to a span, usually of another trace."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Span:
    """Everything of one span. `reported_*_ns` are the times as sent, which may be absurd; the summary's are clamped."""

    summary: SpanSummary
    attributes: dict[str, Any]
    resource_attributes: dict[str, Any]
    scope_version: str
    scope_attributes: dict[str, Any]
    events: list[SpanEvent]
    links: list[SpanLink]
    trace_state: str
    flags: int
    resource_schema_url: str
    scope_schema_url: str
    dropped_attributes_count: int
    dropped_events_count: int
    dropped_links_count: int
    reported_start_ns: int
    reported_end_ns: int
    received_ns: int

    @property
    def scope_name(self) -> str:
        """The instrumentation that made it."""
        return self.summary.scope_name


@dataclass(frozen=True)
class LogRecord:
    """A log record. `span_id` is the step it belongs to, "" for the trace as a whole or for none.

    `joined_by` says what makes it part of a trace: the `trace_id` it names, the `response_id` of a model call or the
    `session_id` of the trace; `trace_id` is "" in the last two. It is "" for a record of no trace. `body` and attribute values
    are JSON-like. `severity_number` is 0 when not given, 17 and more are errors. `reported_time_ns` and `observed_time_ns` are
    as sent, 0 when absent.
    """

    record_id: str
    time_ns: int
    trace_id: str
    span_id: str
    joined_by: str
    severity_number: int
    severity_text: str
    event_name: str
    body: Any
    service: str
    session_id: str
    response_id: str
    tool_call_id: str
    attributes: dict[str, Any]
    resource_attributes: dict[str, Any]
    scope_name: str
    scope_version: str
    scope_attributes: dict[str, Any]
    resource_schema_url: str
    scope_schema_url: str
    flags: int
    dropped_attributes_count: int
    reported_time_ns: int
    observed_time_ns: int
    received_ns: int


@dataclass(frozen=True)
class Score:
    """An evaluation result: what somebody says about a trace, a step of it, or a session. `value` is None for a label alone.

    Ids are lowercase hex, "" for none. A later score of the same trace or session with the same `score_id` takes its place; one
    that `is_withdrawn` leaves it empty.
    """

    score_id: str
    trace_id: str
    span_id: str
    session_id: str
    name: str
    value: float | None
    label: str
    comment: str
    source: str
    annotator: str
    time_ns: int
    is_withdrawn: bool = False


@dataclass(frozen=True)
class AgentEvents:
    """What a coding agent's log says beside its spans: a person accepted or rejected tool calls, `automatic` ones were decided

    by configuration or hooks, requests to the model's API failed.
    """

    accepted: int = 0
    rejected: int = 0
    automatic: int = 0
    api_errors: int = 0


@dataclass(frozen=True)
class Trace:
    """One trace with its steps in start order. `truncated` is True when the trace has more spans than were loaded."""

    summary: TraceSummary
    spans: list[SpanSummary]
    truncated: bool = False


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Part of a list. `next_cursor` is "" on the last page, else opaque text that continues after the last item."""

    items: list[Item]
    next_cursor: str = ""


@dataclass(frozen=True)
class FacetValue:
    """How many traces of a range have this value; `failed` of them failed."""

    value: str
    count: int
    failed: int


@dataclass(frozen=True)
class Series:
    """One line of a chart: (bucket start in ns, value) with None where the metric has no meaning (0 of 0)."""

    group: str
    points: list[tuple[int, float | None]] = field(default_factory=list)
