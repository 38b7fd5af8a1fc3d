"""The two sides of a comparison, and what every statement of it is bound to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.timerange import TimeRange

# A value that fewer traces have on either side is not looked at: two traces are no share.
MIN_SUPPORT = 3
# Where the traces of both sides come from, `in_selection` telling which.
SIDES = f"""
    FROM traces FINAL
    WHERE {IN_RANGE} AND (in_selection OR (%(against)s))
"""


@dataclass(frozen=True)
class Selection:
    """The traces that match a query and, with a window, start in it: a brushed area of time."""

    query: Query
    window: TimeRange | None = None

    def predicate(self, params: Params) -> str:
        """Return the condition over `traces`."""
        condition = trace_predicate(self.query, params)
        return f"({condition} AND {started_within([self.window], params)})" if self.window else condition


def started_within(ranges: Sequence[TimeRange], params: Params) -> str:
    """Return the condition that a span or trace starts in one of these ranges."""

    def moment(time_ns: int) -> str:
        return f"fromUnixTimestamp64Nano({params.bind(time_ns, 'Int64')})"

    conditions = (f"start_time >= {moment(part.start_ns)} AND start_time < {moment(part.end_ns)}" for part in ranges)
    return f"({' OR '.join(conditions)})"


@dataclass(frozen=True)
class Sides:
    """What every statement of one comparison is bound to."""

    store: Store
    project_id: int
    time_range: TimeRange
    selection: Selection
    against: Query

    def read(self, sql: str, params: Params, parts: Mapping[str, object], **more: int) -> list[tuple[Any, ...]]:
        """Run a template, filled with the predicates of both sides and with `parts`."""
        predicates = {"selection": self.selection.predicate(params), "against": trace_predicate(self.against, params)}
        scope = {"project_id": self.project_id, "start_ns": self.time_range.start_ns, "end_ns": self.time_range.end_ns}
        return self.store.query_rows(sql % {**predicates, **parts}, **scope, **more, **params.values)
