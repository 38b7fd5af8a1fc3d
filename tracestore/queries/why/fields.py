"""What may differ between traces: fields by their values, numbers by their distributions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from tracestore.language import Query
from tracestore.language.tree import Node, Or, Term


class Shape(Enum):
    """How a field's values stand in `traces`: texts and lists with few combinations are grouped by together, the others apart."""

    TEXT = auto()
    LIST = auto()
    ID = auto()  # a text that hardly repeats
    LONG_LIST = auto()  # a list with about as many combinations as traces


@dataclass(frozen=True)
class Dimension:
    """One field of the language whose values are compared. `values` is SQL over `traces`, a text or a list of texts.

    A symptom tells how a trace failed rather than why: failing traces differ from others in error types by their nature. Of other
    fields to have no value, "", is a value too.
    """

    field: str
    label: str
    values: str
    shape: Shape = Shape.LIST
    is_symptom: bool = False


# Of what is counted: at least one.
SOME = ">0"
_FAILED_TOOLS = "arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`)"
DIMENSIONS: dict[str, Dimension] = {
    dimension.field: dimension
    for dimension in (
        Dimension("version", "Version", "versions"),
        Dimension("tool", "Tool", "`tools.name`", Shape.LONG_LIST),
        Dimension("model", "Model", "`models.model`"),
        Dimension("agent", "Agent", "agents"),
        Dimension("prompt", "Prompt", "prompts"),
        Dimension("workflow", "Workflow", "workflows"),
        Dimension("service", "Service", "services"),
        Dimension("env", "Environment", "environment", Shape.TEXT),
        Dimension("provider", "Provider", "`models.provider`"),
        Dimension("name", "Name of the trace", "name", Shape.TEXT),
        Dimension("user", "User", "user_id", Shape.ID),
        Dimension("session", "Session", "session_id", Shape.ID),
        Dimension("loops", "Loops", f"if(loops > 0, '{SOME}', '0')", Shape.TEXT),
        Dimension("retries", "Retried calls", f"if(retried_calls > 0, '{SOME}', '0')", Shape.TEXT, is_symptom=True),
        Dimension("status", "Status", "outcome", Shape.TEXT, is_symptom=True),
        Dimension("error", "Error type", "error_types", is_symptom=True),
        Dimension("tool_error", "Failed tool", _FAILED_TOOLS, is_symptom=True),
        Dimension("fingerprint", "Error fingerprint", "error_fingerprint", Shape.TEXT, is_symptom=True),
        Dimension("rule", "Rule of the outcome", "outcome_rule", Shape.TEXT, is_symptom=True),
        Dimension("escalated", "Escalated", "escalated", Shape.TEXT, is_symptom=True),
    )
}


@dataclass(frozen=True)
class Number:
    """One amount whose distribution is compared. `amount` is SQL over `traces`: a whole number of 1 / `scale` of `unit`.

    `field` is that of the language, "" when it has none. Traces for which `known` does not hold have no such amount.
    """

    name: str
    label: str
    unit: str
    amount: str
    field: str = ""
    known: str = "true"
    scale: int = 1


NUMBERS: tuple[Number, ...] = (
    Number("duration", "Duration", "ns", "duration_ns", "duration", "outcome != 'running'"),
    Number("cost", "Cost", "USD", "toUInt64(ifNull(cost_usd, 0) * 1e9)", "cost", "isNotNull(cost_usd)", 10**9),
    Number("input_tokens", "Input tokens", "tokens", "input_tokens", "input_tokens"),
    Number("output_tokens", "Output tokens", "tokens", "output_tokens", "output_tokens"),
    Number("spans", "Spans", "spans", "span_count", "spans"),
    Number("llm_calls", "Model calls", "calls", "llm_calls"),
    Number("tool_calls", "Tool calls", "calls", "arraySum(`tools.calls`)"),
)
# Fields that say how a trace went: a condition on one of them is a question, conditions on others say where to look.
OUTCOME_FIELDS = frozenset(
    {dimension.field for dimension in DIMENSIONS.values() if dimension.is_symptom}
    | {number.field for number in NUMBERS if number.field}
    | {"has_errors", "errors", "tokens", "ttft", "cost_difference", "score"}
)


def demanded_fields(query: Query) -> set[str]:
    """Return the fields of which every match has a value that the query names: their differences are no news."""
    return {field for node in query.conditions if (field := _demanded_field(node))}


def _demanded_field(node: Node) -> str:
    terms = node.items if isinstance(node, Or) else (node,)
    names = {term.field if isinstance(term, Term) else "" for term in terms}
    return names.pop() if len(names) == 1 else ""
