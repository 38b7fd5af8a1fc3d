"""Spans that stand to each other as a query says -> SQL over `spans`: same-span groups, inside, then, calls, and counts.

Every read of `spans` is bound to project and time range. A span that was sent twice has two rows until a merge, so what is
counted or joined is made distinct.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracestore.language.tree import Count, Interval, Node, Related, Relation, Spans, SpanSet

# How far up `inside` looks for the outer span. Each level reads the ids of the range once, until no span has a parent left.
MAX_LEVELS = 64
_NO_SPAN = "toFixedString('', 8)"


@dataclass(frozen=True)
class Structure:
    """What the SQL of one statement is built with.

    `reach` is the WHERE condition of every read of `spans`, to which `only` adds which traces are asked for (" AND ...", or "").
    `condition` compiles what one span must meet (None: nothing), `between` a comparison with numbers, and `unique` returns a
    name that nothing else in the statement has.
    """

    reach: str
    only: str
    condition: Callable[[Node | None], str]
    between: Callable[[str, Interval], str]
    unique: Callable[[str], str]

    @property
    def _chosen(self) -> str:
        return f"spans WHERE {self.reach}{self.only}"

    def of_trace(self, node: Spans | Related | Count) -> str:
        """Return the condition over trace_id that the trace has such spans, or so many."""
        if isinstance(node, Count):
            return self._counted(node)
        if isinstance(node, Related):
            return f"(trace_id IN (SELECT trace_id FROM ({self._related(node)})))"
        return f"(trace_id IN (SELECT trace_id FROM {self._chosen} AND {self.condition(node.where)}))"

    def of_span(self, node: SpanSet) -> str:
        """Return the condition over a row of `spans` that it is one of these."""
        if isinstance(node, Related):
            return f"((trace_id, span_id) IN ({self._related(node)}))"
        return self.condition(node.where)

    def _counted(self, node: Count) -> str:
        wanted = self.between("uniqExact(span_id)", node.value)
        counted = f"SELECT trace_id FROM {self._chosen} AND {self.condition(node.where)} GROUP BY trace_id"
        if _holds_zero(node.value):  # traces without any such span are in no group
            return f"(trace_id NOT IN ({counted} HAVING NOT {wanted}))"
        return f"(trace_id IN ({counted} HAVING {wanted}))"

    def _related(self, node: Related) -> str:
        """Return a statement that yields trace_id and span_id of the spans on the left of a relation."""
        left, right = self.of_span(node.left), self.of_span(node.right)
        if node.relation is Relation.CALLS:
            return (
                f"SELECT trace_id, span_id FROM {self._chosen} AND {left} AND (trace_id, span_id) IN"
                f" (SELECT trace_id, parent_span_id FROM {self._chosen} AND {right})"
            )
        return self._inside(left, right) if node.relation is Relation.INSIDE else self._then(left, right)

    def _inside(self, left: str, right: str) -> str:
        """Climb from the spans on the left to their ancestors, all of one level at a time."""
        path = self.unique("path")
        return (
            f"WITH RECURSIVE {path} AS ("
            f"SELECT DISTINCT trace_id, span_id AS origin, parent_span_id AS above, 1 AS level"
            f" FROM {self._chosen} AND parent_span_id != {_NO_SPAN} AND {left}"
            f" UNION ALL "
            f"SELECT DISTINCT {path}.trace_id, {path}.origin, spans.parent_span_id, {path}.level + 1"
            f" FROM spans INNER JOIN {path} ON spans.trace_id = {path}.trace_id AND spans.span_id = {path}.above"
            f" WHERE {self.reach} AND spans.parent_span_id != {_NO_SPAN} AND {path}.level < {MAX_LEVELS})"
            f" SELECT trace_id, origin AS span_id FROM {path}"
            f" WHERE (trace_id, above) IN (SELECT trace_id, span_id FROM {self._chosen} AND {right})"
        )

    def _then(self, left: str, right: str) -> str:
        """The later span starts when the earlier one has ended or after; a span without length is not followed by itself."""
        return (
            "SELECT trace_id, span_id FROM"
            f" (SELECT trace_id, span_id, toUnixTimestamp64Nano(start_time) AS start_ns, duration_ns "
            f"FROM {self._chosen} AND {left}) AS earlier"
            " INNER JOIN (SELECT trace_id, max(toUnixTimestamp64Nano(start_time)) AS last_start_ns "
            f"FROM {self._chosen} AND {right} GROUP BY trace_id) AS later USING (trace_id)"
            " WHERE last_start_ns - start_ns >= greatest(duration_ns, 1)"
        )


def _holds_zero(interval: Interval) -> bool:
    low, high = interval.low, interval.high
    return (low is None or low < 0 or (low == 0 and interval.includes_low)) and (
        high is None or high > 0 or (high == 0 and interval.includes_high)
    )
