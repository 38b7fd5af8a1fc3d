"""The fields that a query may name: one table for the parser, for completion in the search bar and for the manual."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class FieldType(StrEnum):
    """What a field's values look like."""

    TEXT = "text"  # exact, or with * for any characters
    SEARCH = "search"  # found anywhere, in any case
    CHOICE = "choice"
    FLAG = "true/false"
    ID = "id"
    COUNT = "count"
    DURATION = "duration"
    COST = "USD"
    ATTRIBUTE = "attribute"
    SCORE = "score"  # a label, as text, or a number
    PRESENCE = "field"  # the name of another field


@dataclass(frozen=True)
class Field:
    """One field. `help` says what it asks of a trace, `span_help` what it asks of a span where that differs."""

    name: str
    type: FieldType
    help: str
    example: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    span_help: str = ""

    @property
    def is_of_trace(self) -> bool:
        """Only a whole trace has it; asked of a span it means the span's trace."""
        return self.span_help == _SAME_TRACE

    @property
    def needs_key(self) -> bool:
        """It is asked for by the key of an attribute: `attr.KEY`."""
        return self.type is FieldType.ATTRIBUTE

    @property
    def takes_key(self) -> bool:
        """It may be written with a dot and a key: `attr.KEY`, `score.NAME`."""
        return self.type in (FieldType.ATTRIBUTE, FieldType.SCORE)

    @property
    def shown_name(self) -> str:
        """What stands in lists of fields."""
        return {FieldType.ATTRIBUTE: f"{self.name}.KEY", FieldType.SCORE: f"{self.name}.NAME"}.get(self.type, self.name)

    @property
    def has_total(self) -> bool:
        """It may be written `trace.NAME`. What only spans know may not: their trace would be asked for its spans again."""
        return self.name not in ("model", "trace", "kind", "span", "ttft", "text", "attr", "score", "has")


OUTCOMES = ("ok", "error", "running")
KINDS = ("agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other")
_SAME_TRACE = "belongs to such a trace"

FIELDS: tuple[Field, ...] = (
    Field(
        "status",
        FieldType.CHOICE,
        "how the trace ended",
        "status:error",
        ("outcome",),
        OUTCOMES,
        "`error`: the span is an error; `ok`: it is not; `running`: its trace still runs",
    ),
    Field("version", FieldType.TEXT, "version of an agent or service in it", "version:v3", ("release",)),
    Field("tool", FieldType.TEXT, "a tool it called", "tool:refund"),
    Field(
        "tool_error",
        FieldType.TEXT,
        "a tool that failed in it",
        "tool_error:refund",
        ("failed_tool",),
        span_help="a failed call of that tool",
    ),
    Field("error", FieldType.TEXT, "type of an error in it", "error:TimeoutError", ("error_type", "exception")),
    Field(
        "fingerprint",
        FieldType.TEXT,
        "the error it failed with, by the name that the errors page gives it",
        "fingerprint:9f2c41d07a3b",
        span_help=_SAME_TRACE,
    ),
    Field("agent", FieldType.TEXT, "an agent that ran in it", "agent:triage"),
    Field("model", FieldType.TEXT, "a model asked or answering in it", "model:gpt-5*"),
    Field("provider", FieldType.TEXT, "a model provider it called", "provider:anthropic"),
    Field("service", FieldType.TEXT, "a service that took part", "service:support-bot"),
    Field("env", FieldType.TEXT, "deployment environment", "-env:dev", ("environment",)),
    Field("user", FieldType.TEXT, "id of the end user", "user:u-1042", ("user_id",), span_help=_SAME_TRACE),
    Field(
        "session",
        FieldType.TEXT,
        "id of the session or conversation",
        "session:c-77",
        ("session_id", "conversation"),
        span_help=_SAME_TRACE,
    ),
    Field("name", FieldType.TEXT, "name of the trace", 'name:"invoke_agent triage"', span_help="its name"),
    Field("trace", FieldType.ID, "id of the trace, or its beginning and `*`", "trace:4bf92f35*", ("trace_id",)),
    Field("workflow", FieldType.TEXT, "a workflow it ran", "workflow:onboarding"),
    Field("prompt", FieldType.TEXT, "a prompt template it used, any version or `name@version`", "prompt:refund-policy@4"),
    Field("tag", FieldType.TEXT, "a tag of it or of one of its spans", "tag:vip", ("tags",), span_help="one of its tags"),
    Field(
        "agent_id", FieldType.TEXT, "an agent with that id", "agent_id:asst_5j66UpCpwteGg4YSxUnt7lPY", span_help="its agent's id"
    ),
    Field("kind", FieldType.CHOICE, "it has a step of that kind", "kind:retriever", (), KINDS, "kind of the step"),
    Field("span", FieldType.TEXT, "it has a span of that name", "span:execute_tool*", ("span_name",), span_help="its name"),
    Field(
        "duration",
        FieldType.DURATION,
        "from the first start to the last end",
        "duration:>2s",
        ("latency",),
        span_help="from start to end of the span",
    ),
    Field("cost", FieldType.COST, "price of its model calls", "cost:>0.5", ("cost_usd",), span_help=_SAME_TRACE),
    Field(
        "cost_difference",
        FieldType.COST,
        "by how much the cost that its sender reports differs from ours, up or down",
        "cost_difference:>0.01",
        ("cost_diff",),
        span_help=_SAME_TRACE,
    ),
    Field(
        "ttft",
        FieldType.DURATION,
        "a model call of it took that long to its first token",
        "ttft:>2s",
        ("time_to_first_token",),
        span_help="from its start to its first token",
    ),
    Field("tokens", FieldType.COUNT, "input and output tokens", "tokens:>10k", ("total_tokens",)),
    Field("input_tokens", FieldType.COUNT, "input tokens, cached ones included", "input_tokens:1k..5k"),
    Field("output_tokens", FieldType.COUNT, "output tokens, reasoning included", "output_tokens:>=500"),
    Field(
        "retries",
        FieldType.COUNT,
        "calls of a tool or model that repeat a failed one",
        "retries:>=3",
        ("retried_calls",),
        span_help=_SAME_TRACE,
    ),
    Field("loops", FieldType.COUNT, "tools called over and over with the same arguments", "loops:>0", span_help=_SAME_TRACE),
    Field("wasted_tokens", FieldType.COUNT, "tokens that retries and loops used", "wasted_tokens:>10k", span_help=_SAME_TRACE),
    Field(
        "wasted_cost",
        FieldType.COST,
        "what retries and loops cost",
        "wasted_cost:>0.1",
        ("wasted_cost_usd",),
        span_help=_SAME_TRACE,
    ),
    Field("spans", FieldType.COUNT, "number of spans", "spans:>100", ("span_count",), span_help=_SAME_TRACE),
    Field("errors", FieldType.COUNT, "number of spans that are errors", "errors:>=2", ("error_count",), span_help=_SAME_TRACE),
    Field(
        "has_errors",
        FieldType.FLAG,
        "a span of it is an error, whether or not it failed",
        "has_errors:true",
        span_help=_SAME_TRACE,
    ),
    Field("escalated", FieldType.FLAG, "it was handed to a person", "escalated:true", span_help=_SAME_TRACE),
    Field(
        "escalation_reason",
        FieldType.TEXT,
        "why it was handed to a person",
        "escalation_reason:refund_limit",
        span_help=_SAME_TRACE,
    ),
    Field("handed_over", FieldType.FLAG, "an agent of it handed over to another", "handed_over:true", span_help=_SAME_TRACE),
    Field(
        "handoff_reason",
        FieldType.TEXT,
        "why an agent of it handed over to another",
        "handoff_reason:refund*",
        span_help=_SAME_TRACE,
    ),
    Field(
        "unpriced_model",
        FieldType.TEXT,
        "it used tokens of that model, which has no known price",
        "unpriced_model:*",
        span_help=_SAME_TRACE,
    ),
    Field("rule", FieldType.TEXT, "the rule that decided its status", "rule:*", ("outcome_rule",), span_help=_SAME_TRACE),
    Field(
        "text",
        FieldType.SEARCH,
        "text in names, inputs, outputs, attribute values, events or errors of one of its spans",
        'text:"order 123"',
        span_help="text in its name, input, output, attribute values, events or error",
    ),
    Field(
        "attr",
        FieldType.ATTRIBUTE,
        "one of its spans has that span, resource or scope attribute; numbers compare",
        "attr.http.response.status_code:>=500",
        ("attribute", "attributes"),
        span_help="it has that span, resource or scope attribute; numbers compare",
    ),
    Field(
        "score",
        FieldType.SCORE,
        "an evaluation or a review of it, of one of its spans, or of its session; `score` alone is one of any name",
        "score.review:bad",
        ("scores",),
        span_help="an evaluation or a review of that span itself",
    ),
    Field("has", FieldType.PRESENCE, "it has a value of that field", "has:user", span_help="it has a value of that field itself"),
)
COUNT = Field("count", FieldType.COUNT, "number of its spans that match", "count(tool:search_kb):>3")


@dataclass(frozen=True)
class SpanGroup:
    """How spans are written: `name(NAMES){CONDITIONS}`. `kind` is theirs, "" for any; NAMES are values of `field`."""

    name: str
    kind: str
    field: str
    help: str
    aliases: tuple[str, ...] = ()


SPAN_GROUPS: tuple[SpanGroup, ...] = (
    SpanGroup("tool", "tool", "tool", "calls of a tool, by its name"),
    SpanGroup("agent", "agent", "agent", "runs of an agent, by its name"),
    SpanGroup("llm", "llm", "model", "model calls, by the model asked or answering", ("model",)),
    SpanGroup("retriever", "retriever", "span", "retrievals, by the name of the span"),
    SpanGroup("embedding", "embedding", "model", "embedding calls, by the model asked or answering"),
    SpanGroup("chain", "chain", "span", "steps of a workflow or graph, by the name of the span"),
    SpanGroup("guardrail", "guardrail", "span", "checks by a guardrail, by the name of the span"),
    SpanGroup("evaluator", "evaluator", "span", "evaluations, by the name of the span"),
    SpanGroup("span", "", "span", "spans of any kind, by their name"),
)
_GROUPS_BY_NAME = {name: group for group in SPAN_GROUPS for name in (group.name, *group.aliases)}
GROUP_NAMES = (*_GROUPS_BY_NAME, COUNT.name)

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
# What a query over log records may name.
LOG_FIELDS: tuple[Field, ...] = (
    Field("severity", FieldType.CHOICE, "its severity, by OpenTelemetry's number", "severity:error", ("level",), LEVELS),
    Field("event", FieldType.TEXT, "name of the event", "event:gen_ai.*", ("event_name", "name")),
    Field("service", FieldType.TEXT, "service that wrote it", "service:support-bot"),
    Field("session", FieldType.TEXT, "id of the session or conversation", "session:c-77", ("session_id", "conversation")),
    Field("trace", FieldType.ID, "id of its trace, or the beginning and `*`", "trace:4bf92f35*", ("trace_id",)),
    Field("scope", FieldType.TEXT, "instrumentation scope or logger", "scope:com.anthropic.*", ("logger",)),
    Field("text", FieldType.SEARCH, "text in its body, event name or attribute values", 'text:"order 123"'),
    Field(
        "attr",
        FieldType.ATTRIBUTE,
        "it, its resource or its scope has that attribute; numbers compare",
        "attr.decision:reject",
        ("attribute", "attributes"),
    ),
    Field("has", FieldType.PRESENCE, "it has a value of that field", "has:session"),
)

Known = Mapping[str, Field]


def _by_name(fields: Iterable[Field]) -> Known:
    return {name: field for field in fields for name in (field.name, *field.aliases)}


TRACE_NAMES, LOG_NAMES = _by_name(FIELDS), _by_name(LOG_FIELDS)
# What stands before the key of an attribute or the name of a score -> the field.
KEYED = {f"{name}.": field.name for name, field in TRACE_NAMES.items() if field.takes_key}


def find_field(name: str, known: Known = TRACE_NAMES) -> Field | None:
    """Return the field of that name or alias, in any case."""
    return known.get(name.lower())


def find_group(name: str) -> SpanGroup | None:
    """Return the group of spans that is written so, in any case."""
    return _GROUPS_BY_NAME.get(name.lower())


def suggest_field(name: str, known: Known = TRACE_NAMES) -> str:
    """Return the name most like `name`, "" when none is near."""
    return suggest(name.lower().strip("+@#."), known)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the one of `known` most like `word`, "" when none is near."""
    near = difflib.get_close_matches(word[:50], list(known), n=1, cutoff=0.6)
    return near[0] if near else ""
