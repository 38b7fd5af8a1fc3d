"""The spans of some of the traces that a query finds: all of them where they are few, else a part by chance."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.summaries import read_spans
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.summary.columns import SpanColumns
from tracestore.timerange import TimeRange

# By a hash of their ids: which traces those are has nothing to do with how they went.
SAMPLE_TRACES = f"""
SELECT total, arrayMap(found -> (lower(hex(found.2)), found.3, found.4, found.5), sample)
FROM
(
    SELECT count() AS total, groupArraySorted({{most:UInt32}})((
        cityHash64(trace_id), trace_id, toUnixTimestamp64Nano(start_time), duration_ns, span_count)) AS sample
    FROM traces FINAL
    WHERE {IN_RANGE} AND outcome != 'running' AND %(matching)s
)
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class Sample:
    """Some of `total` finished traces: their ids, durations in ns, and spans, which have the traces in an order of their own."""

    total: int
    durations_ns: dict[str, int]
    spans: SpanColumns | None

    @property
    def trace_ids(self) -> list[str]:
        """Return the id of each trace of `spans`."""
        return [] if self.spans is None else [raw.hex() for raw in self.spans.first_trace_ids().to_pylist()]


def sample_traces(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    query: Query,
    most: int,
    most_spans: int,
) -> Sample:
    """Return at most `most` finished traces that match, of at most `most_spans` spans in all.

    Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    params = Params()
    sql = SAMPLE_TRACES % {"matching": trace_predicate(query, params)}
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    [(total, found)] = store.query_rows(sql, most=most, **scope, **params.values)
    taken, left = {}, most_spans
    for trace_id, start_ns, duration_ns, span_count in found:
        if span_count <= left:
            taken[trace_id], left = (start_ns, duration_ns), left - span_count
    if not taken:
        return Sample(int(total), {}, None)
    table = read_spans(
        store, project_id=project_id, trace_ids=list(taken), min_start_ns=min(start for start, _ in taken.values()),
        max_start_ns=max(start + duration for start, duration in taken.values()),
    )  # fmt: skip
    return Sample(int(total), {trace_id: duration for trace_id, (_, duration) in taken.items()}, SpanColumns(table))
