"""What the newest version of an agent and the one before it showed: the samples that a version guard compares.

Only finished traces count: those that still run have not failed yet, and a new version has more of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.metrics.definitions import MetricError
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import NS_PER_S, TimeRange

# Metric -> what one trace contributes, 0 or 1 for shares.
SHARES = {"failure_rate": "outcome = 'error'", "error_rate": "has_errors", "escalation_rate": "escalated"}
MEANS = {"cost_per_trace": "ifNull(cost_usd, 0)"}
QUANTILES = {"duration_p50": 0.5, "duration_p95": 0.95, "duration_p99": 0.99}
GUARDED = (*SHARES, *MEANS, *QUANTILES)
MOST_VERSIONS = 200
_LEAST_BEFORE_NS = 3600 * NS_PER_S

_FIND_VERSIONS = """
SELECT toString(arrayJoin(versions)) AS version, min(toUnixTimestamp64Nano(start_time)) AS first_ns
FROM traces FINAL
WHERE {in_range} AND {matching}
GROUP BY version
ORDER BY first_ns DESC, version DESC
LIMIT {most}
{settings}
"""
# Pieces: 2 since the newest version is there, 1 as long before, 0 earlier.
_SAMPLE = """
SELECT toString(arrayJoin(versions)) AS version,
    multiIf(toUnixTimestamp64Nano(start_time) >= {{first_ns:Int64}}, 2,
            toUnixTimestamp64Nano(start_time) >= {{before_ns:Int64}}, 1, 0) AS piece,
    count() AS total, avg(toFloat64({measure})) AS mean, varSamp(toFloat64({measure})) AS variance
FROM traces FINAL
WHERE {in_range} AND outcome != 'running' AND {matching}
GROUP BY version, piece
HAVING version IN {{versions:Array(String)}}
ORDER BY piece DESC, version
{settings}
"""
_QUANTILES = """
SELECT quantilesExact({levels})(duration_ns / 1e9) AS bounds
FROM traces FINAL
WHERE {in_range} AND outcome != 'running' AND has(versions, {{version:String}}) AND {matching}
{settings}
"""


@dataclass(frozen=True)
class Newest:
    """The version that was first seen last, and all that were seen before it, the latest first."""

    version: str
    first_ns: int
    older: list[str]


@dataclass(frozen=True)
class Sample:
    """`total` traces of one version in `time_range`; `mean` is a share, or in the metric's unit; the variance is a sample's."""

    version: str
    time_range: TimeRange
    total: int
    mean: float
    variance: float

    @property
    def count(self) -> int:
        """Of a share: how many traces it counts."""
        return round(self.mean * self.total)


def find_newest_version(store: Store, *, project_id: int, time_range: TimeRange, query: Query) -> Newest | None:
    """Return the version first seen last, within the later half of `time_range`; None when no other came before it."""
    params = Params()
    sql = _FIND_VERSIONS.format(
        in_range=IN_RANGE, matching=trace_predicate(query, params), most=MOST_VERSIONS, settings=FINAL_SETTINGS
    )
    return choose_newest(_run(store, sql, project_id, time_range, params), time_range)


def choose_newest(versions: Sequence[tuple[str, int]], time_range: TimeRange) -> Newest | None:
    """Choose among versions with their first times in `time_range`, the latest first."""
    if len(versions) < 2 or versions[0][1] < (time_range.start_ns + time_range.end_ns) // 2:
        return None
    return Newest(versions[0][0], versions[0][1], [version for version, _ in versions[1:]])


def sample_versions(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, newest: Newest, metric: str, least: int
) -> tuple[Sample, Sample] | None:
    """Return the sample of the newest version and that of the one before it; None when either has no finished trace.

    The one before is the older version with most traces since the newest is there and as long before. Its traces since then are
    taken, for both then live in the same world; when they are fewer than `least`, those before as well, as few as need be. Of
    QUANTILES `mean` and `variance` mean nothing.
    """
    params, before_ns = Params(), start_before(newest, time_range)
    sql = _SAMPLE.format(
        measure=measure_of(metric), in_range=IN_RANGE, matching=trace_predicate(query, params), settings=FINAL_SETTINGS
    )
    times = {"first_ns": newest.first_ns, "before_ns": before_ns}
    rows = _run(store, sql, project_id, time_range, params, **times, versions=[newest.version, *newest.older])
    return choose_samples(rows, newest, time_range, least)


def measure_of(metric: str) -> str:
    """Return SQL for what one trace contributes to a metric of GUARDED. Raises MetricError."""
    if metric not in GUARDED:
        raise MetricError("metric", f"A version guard cannot watch {metric!r}; it can watch {', '.join(GUARDED)}.")
    return SHARES.get(metric) or MEANS.get(metric) or "duration_ns / 1e9"


def start_before(newest: Newest, time_range: TimeRange) -> int:
    """Return the start of the time before the newest version that is looked at first: as long as it is there, or an hour."""
    return max(time_range.start_ns, newest.first_ns - max(time_range.end_ns - newest.first_ns, _LEAST_BEFORE_NS))


def choose_samples(
    rows: Iterable[tuple[str, int, int, float, float]], newest: Newest, time_range: TimeRange, least: int
) -> tuple[Sample, Sample] | None:
    """Choose among (version, piece, total, mean, variance), the latest piece of each version first."""
    before_ns, end_ns = start_before(newest, time_range), time_range.end_ns
    starts = (time_range.start_ns, before_ns, newest.first_ns)
    # Version -> its samples, each with the one before added: since the newest is there, from as long before on, and all.
    samples: dict[str, list[Sample]] = {}
    for version, piece, total, mean, variance in rows:
        known = samples.setdefault(version, [])
        variance = 0.0 if math.isnan(variance) else variance
        sample = Sample(version, TimeRange(starts[piece], end_ns), total, mean, variance)
        known.append(_together(known[-1], sample) if known else sample)
    new = samples.get(newest.version)
    older = [samples[version] for version in newest.older if version in samples]
    if new is None or not older:
        return None

    def lately(of_version: list[Sample]) -> tuple[int, int]:
        near = [sample.total for sample in of_version if sample.time_range.start_ns >= before_ns]
        return max(near, default=0), of_version[-1].total

    before = max(older, key=lately)
    return new[0], next((sample for sample in before if sample.total >= least), before[-1])


def _together(one: Sample, other: Sample) -> Sample:
    """Return a sample and an earlier one as one: T. F. Chan, G. H. Golub, R. J. LeVeque (1983), American Statistician 37, 242."""
    total = one.total + other.total
    apart = other.mean - one.mean
    squares = one.variance * (one.total - 1) + other.variance * (other.total - 1) + apart**2 * one.total * other.total / total
    return Sample(one.version, other.time_range, total, one.mean + apart * other.total / total, squares / (total - 1))


def find_duration_quantiles(
    store: Store, *, project_id: int, query: Query, sample: Sample, levels: tuple[float, ...]
) -> list[float]:
    """Return quantiles of the durations of a sample, exact, in seconds."""
    params = Params()
    sql = _QUANTILES.format(
        levels=", ".join(f"{level:.9f}" for level in levels), in_range=IN_RANGE, matching=trace_predicate(query, params),
        settings=FINAL_SETTINGS,
    )  # fmt: skip
    return [float(bound) for bound in _run(store, sql, project_id, sample.time_range, params, version=sample.version)[0][0]]


def _run(store: Store, sql: str, project_id: int, time_range: TimeRange, params: Params, **more: Any) -> list[tuple[Any, ...]]:
    times = {"start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return store.query_rows(sql, project_id=project_id, **times, **params.values, **more)
