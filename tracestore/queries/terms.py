"""What a query demands of one field: to count only the tool calls it asks for, and to tell when rollups can answer it."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.language import Query
from tracestore.language.tree import Node, Or, Pattern, Term
from tracestore.queries.conditions import Params, matches


@dataclass(frozen=True)
class Demand:
    """`field` must equal `value`."""

    field: str
    value: str


def exact_demands(query: Query) -> list[Demand] | None:
    """Return the query as equalities that must all hold, or None when it says more than that."""
    demands = []
    for node in query.conditions:
        if not isinstance(node, Term) or not isinstance(node.value, Pattern) or not node.value.is_exact or not node.value.text:
            return None
        demands.append(Demand(node.field, node.value.text))
    return demands


def value_predicate(query: Query, field: str, variable: str, params: Params) -> str:
    """Return SQL that tells whether the text `variable` is a value of `field` that the query demands, "" when it demands none.

    Only conditions that every match must meet count: `tool:a`, `tool:(a OR b)`, `tool:a*`, but not `tool:a OR status:error`.
    """
    wanted = [patterns for node in query.conditions if (patterns := _patterns(node, field))]
    # Two conditions name two values of one trace (tool:a tool:b): both are asked for.
    return " OR ".join(matches(variable, pattern, params) for patterns in wanted for pattern in patterns)


def _patterns(node: Node, field: str) -> list[Pattern]:
    terms = node.items if isinstance(node, Or) else (node,)
    patterns = [
        term.value for term in terms if isinstance(term, Term) and term.field == field and isinstance(term.value, Pattern)
    ]
    return patterns if len(patterns) == len(terms) else []
