"""What version guards would have seen at many moments of the past, in three reads whatever their number.

Traces are counted between all the moments at which a sample of one of them begins or ends, and the samples added up from that.
They are those of `version_samples`, which reads one moment; quantiles of durations are those of `statistics/buckets.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.queries.version_samples import (
    MOST_VERSIONS,
    QUANTILES,
    Newest,
    Sample,
    choose_newest,
    choose_samples,
    measure_of,
    start_before,
)
from tracestore.statistics.buckets import BUCKET_SQL, seconds_of
from tracestore.timerange import TimeRange

# Of all moments together, those seen last: a project that gives each run a version of its own has no other to compare with.
_MOST_PAST_VERSIONS = 1000
_TIME = "toUnixTimestamp64Nano(start_time)"
_SLOT = f"roundDown({_TIME}, {{{{cuts:Array(Int64)}}}}) AS slot_ns"
_FIND_FIRST = f"""
SELECT version, groupArray((slot_ns, first_ns)) AS firsts
FROM (
    SELECT toString(arrayJoin(versions)) AS version, {_SLOT}, min({_TIME}) AS first_ns
    FROM traces FINAL
    WHERE {{in_range}} AND {{matching}}
    GROUP BY version, slot_ns
    ORDER BY slot_ns
)
GROUP BY version
ORDER BY max(first_ns) DESC, version
LIMIT {{most}}
{{settings}}
"""
_COUNT = f"""
SELECT version, groupArray((slot_ns, total, mean, variance)) AS counts
FROM (
    SELECT toString(arrayJoin(versions)) AS version, {_SLOT}, count() AS total, avg(toFloat64({{measure}})) AS mean,
        ifNotFinite(varSamp(toFloat64({{measure}})), 0) AS variance
    FROM traces FINAL
    WHERE {{in_range}} AND outcome != 'running' AND {{matching}}
    GROUP BY version, slot_ns
    HAVING version IN {{{{versions:Array(String)}}}}
    ORDER BY slot_ns
)
GROUP BY version
{{settings}}
"""
_COUNT_DURATIONS = f"""
SELECT version, groupArray((slot_ns, bucket, total)) AS counts
FROM (
    SELECT toString(arrayJoin(versions)) AS version, {_SLOT}, {BUCKET_SQL.format("duration_ns")} AS bucket, count() AS total
    FROM traces FINAL
    WHERE {{in_range}} AND outcome != 'running' AND {{matching}}
    GROUP BY version, slot_ns, bucket
    HAVING version IN {{{{versions:Array(String)}}}}
    ORDER BY slot_ns
)
GROUP BY version
{{settings}}
"""
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Counts:
    """Of one version, by slot, oldest first: where it begins, and what is added up until then, one longer than the slots.

    `sums` are of the measure itself, so that nothing adds up to 0 exactly; `apart` and `squares` of its distance to the mean of
    all, so that squares do not drown differences.
    """

    starts_ns: npt.NDArray[np.int64]
    totals: _Floats
    sums: _Floats
    apart: _Floats
    squares: _Floats

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, float, float]]) -> _Counts:
        starts_ns = np.array([start_ns for start_ns, *_ in rows], dtype=np.int64)
        totals, means, variances = (np.array([row[place] for row in rows], dtype=np.float64) for place in (1, 2, 3))
        apart = means - np.average(means, weights=totals)
        squares = (totals - 1) * variances + totals * apart**2
        return cls(starts_ns, _sum_up(totals), _sum_up(totals * means), _sum_up(totals * apart), _sum_up(squares))

    def between(self, start_ns: int, end_ns: int) -> tuple[int, float, float] | None:
        """Return total, mean and variance of the slots from a cut to a later one; None without a trace."""
        first, last = np.searchsorted(self.starts_ns, (start_ns, end_ns))
        total, of_all, apart, squares = (
            float(column[last] - column[first]) for column in (self.totals, self.sums, self.apart, self.squares)
        )
        if not total:
            return None
        variance = max(0.0, squares - apart**2 / total) / (total - 1) if total > 1 else 0.0
        return int(total), of_all / total, variance


@dataclass(frozen=True)
class _Durations:
    """Of one version: how many durations lie in which bucket, by slot, oldest first."""

    starts_ns: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.int64]
    totals: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int]]) -> _Durations:
        return cls(*np.array(rows, dtype=np.int64).T)


class VersionHistory:
    """The samples of the newest version and of the one before it, at each of the moments that were asked for."""

    def __init__(self, samples: list[tuple[Sample, Sample] | None], durations: dict[str, _Durations]) -> None:
        self.samples = samples
        self._durations = durations

    def find_quantiles(self, sample: Sample, levels: tuple[float, ...]) -> list[float]:
        """Return quantiles of the durations of one of the samples, in seconds, at most 0.5% off."""
        of_version = self._durations[sample.version]
        first, last = np.searchsorted(of_version.starts_ns, (sample.time_range.start_ns, sample.time_range.end_ns))
        below = np.cumsum(np.bincount(of_version.buckets[first:last], weights=of_version.totals[first:last]))
        # As quantilesExact: the element of this rank, from 0.
        ranks = [min(int(level * below[-1]), int(below[-1]) - 1) for level in levels]
        return [seconds_of(int(bucket)) for bucket in np.searchsorted(below, ranks, side="right")]


def read_version_history(
    store: Store, *, project_id: int, time_ranges: Sequence[TimeRange], query: Query, metric: str, least: int
) -> VersionHistory:
    """Return for each range what `find_newest_version` and `sample_versions` say of it. Raises StoreError or MetricError.

    The ranges are those that one guard reads at moments of the past, oldest first.
    """
    if not time_ranges:
        return VersionHistory([], {})
    whole = TimeRange(time_ranges[0].start_ns, time_ranges[-1].end_ns)
    measure = measure_of(metric)

    def read(sql: str, cuts: Iterable[int], **more: Any) -> list[tuple[str, Any]]:
        params = Params()
        sql = sql.format(
            measure=measure, in_range=IN_RANGE, matching=trace_predicate(query, params), most=_MOST_PAST_VERSIONS,
            settings=FINAL_SETTINGS,
        )  # fmt: skip
        times = {"start_ns": whole.start_ns, "end_ns": whole.end_ns, "cuts": sorted(set(cuts))}
        return store.query_rows(sql, project_id=project_id, **times, **params.values, **more)

    edges = [edge_ns for time_range in time_ranges for edge_ns in (time_range.start_ns, time_range.end_ns)]
    newest = list(_find_newest(read(_FIND_FIRST, edges), time_ranges))
    found = [(one, time_range) for one, time_range in zip(newest, time_ranges, strict=True) if one]
    if not found:
        return VersionHistory([None] * len(time_ranges), {})
    cuts = [*edges, *(cut for one, time_range in found for cut in (one.first_ns, start_before(one, time_range)))]
    versions = sorted({version for one, _ in found for version in (one.version, *one.older)})
    counts = {version: _Counts.of(rows) for version, rows in read(_COUNT, cuts, versions=versions)}
    samples = [
        choose_samples(_cut(counts, one, time_range), one, time_range, least) if one else None
        for one, time_range in zip(newest, time_ranges, strict=True)
    ]
    durations: dict[str, _Durations] = {}
    if metric in QUANTILES:
        compared = sorted({sample.version for pair in samples if pair for sample in pair})
        durations = {version: _Durations.of(rows) for version, rows in read(_COUNT_DURATIONS, cuts, versions=compared)}
    return VersionHistory(samples, durations)


def _find_newest(versions: Sequence[tuple[str, Any]], time_ranges: Sequence[TimeRange]) -> Iterator[Newest | None]:
    columns = [(version, np.array(firsts, dtype=np.int64).T) for version, firsts in versions]
    for time_range in time_ranges:
        seen = []
        for version, (slots_ns, firsts_ns) in columns:
            place = np.searchsorted(slots_ns, time_range.start_ns)
            if place < len(slots_ns) and slots_ns[place] < time_range.end_ns:
                seen.append((version, int(firsts_ns[place])))
        latest = sorted(seen, key=lambda one: (one[1], one[0]), reverse=True)
        yield choose_newest(latest[:MOST_VERSIONS], time_range)


def _cut(
    counts: dict[str, _Counts], newest: Newest, time_range: TimeRange
) -> Iterator[tuple[str, int, int, float, float]]:  # fmt: skip
    """Yield what `choose_samples` takes."""
    edges = (newest.first_ns, start_before(newest, time_range), time_range.start_ns)
    for version in (newest.version, *newest.older):
        end_ns = time_range.end_ns
        for piece, start_ns in zip((2, 1, 0), edges, strict=True):
            if version in counts and (found := counts[version].between(start_ns, end_ns)):
                yield (version, piece, *found)
            end_ns = start_ns


def _sum_up(values: _Floats) -> _Floats:
    return np.concatenate(([0.0], np.cumsum(values)))
