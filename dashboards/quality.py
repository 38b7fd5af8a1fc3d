"""What arrived, what of it was not stored or not whole, and from whom: the data quality report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.intake.refusals import RefusalSum, find_refusals
from tracestore.privacy.counts import MaskedSum, find_masked
from tracestore.queries.quality import (
    CostComparison,
    Intake,
    LogCount,
    LogIntake,
    SpanCount,
    compare_costs,
    count_orphans,
    count_stored,
    count_stored_logs,
    find_intake,
    find_log_intake,
    whole_minutes,
)
from tracestore.timerange import NS_PER_S, TimeRange

# A sender whose quickest span took this long to arrive has a clock that is behind, or a queue in between.
_SLOW_NS = 60 * NS_PER_S
# Comparing takes a second for a million spans and a half; more than this is not worth the wait.
_MOST_COMPARED = 10_000_000
# What to call a reason, and what its sender should change. docs/data-quality.md has the same list.
REASONS = {
    "bad_trace_id": ("No valid trace id", "The instrumentation makes ids of its own: 16 bytes are needed, not all zero."),
    "bad_span_id": ("No valid span id", "The instrumentation makes ids of its own: 8 bytes are needed, not all zero."),
    "no_ids": ("Neither trace id nor span id", "These look like logs. Send them to /v1/logs."),
    "bad_log_record": ("No log record", "An item of logRecords is no JSON object: repair what builds the body."),
    "http_400": (
        "400: body not readable",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or http/json; see what stands between.",
    ),
    "http_401": (
        "401: key missing or unknown",
        "These spans are lost. Give the exporter a key that is valid: Setup, Keys, or manage.py create_key.",
    ),
    "http_403": (
        "403: key of another project",
        "These spans are lost. Send with a key of the project that the address names, or to an address without /p/.",
    ),
    "http_404": (
        "404: no such path or project",
        "Set OTEL_EXPORTER_OTLP_ENDPOINT to the address alone; exporters add /v1/traces.",
    ),
    "http_405": ("405: not a POST", "Exporters send POST: a probe or a proxy did this."),
    "http_413": ("413: body too large", "Lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE, or raise TRACESTORE_MAX_BODY_BYTES."),
    "http_415": ("415: type or encoding unknown", "Send http/protobuf or http/json, with gzip, deflate or no compression."),
    "http_500": ("500: failure of the server", "The log says why. Please report it."),
    "http_503": (
        "503: asked to come back",
        "Exporters repeat these for a while. If they go on, /readyz says what is in the way.",
    ),
}


Counted = TypeVar("Counted")
Arrived = TypeVar("Arrived", Intake, LogIntake)
# Reasons that count log records where others count spans.
_LOG_REASONS = ("bad_log_record",)


@dataclass
class _Sender(Generic[Arrived]):
    """What one SDK sent under one key. `stored` is None when it could not be counted."""

    ingest_key: str
    sdk: str
    intake: Arrived | None = None
    rejected: int = 0
    stored: int | None = None

    @property
    def received(self) -> int:
        """Accepted and rejected ones. What was stored before arrivals were counted counts as received too."""
        accepted = self.intake.received if self.intake else 0
        return max(accepted, self.stored or 0) + self.rejected

    @property
    def duplicates(self) -> int | None:
        return None if self.stored is None else self.received - self.rejected - self.stored


@dataclass
class Source(_Sender[Intake]):
    """The spans of a sender. `orphans` is None when they could not be counted."""

    orphans: int | None = None
    orphan_trace_id: str = ""

    @property
    def ahead_ns(self) -> int:
        return max(0, -self.intake.min_lag_ns) if self.intake and self.intake.ahead else 0

    @property
    def behind_ns(self) -> int:
        """How long even the quickest span took to arrive, 0 when that is nothing unusual."""
        return self.intake.min_lag_ns if self.intake and self.intake.min_lag_ns > _SLOW_NS else 0


@dataclass
class LogSource(_Sender[LogIntake]):
    """The log records of a sender."""


@dataclass(frozen=True)
class Refused:
    """A row of the list of what was not stored."""

    refusal: RefusalSum
    title: str
    advice: str

    @property
    def unit(self) -> str:
        """What is counted."""
        if not self.refusal.spans:
            return "request"
        return "log record" if self.refusal.reason in _LOG_REASONS else "span"

    @property
    def count(self) -> int:
        return self.refusal.spans or self.refusal.requests


@dataclass(frozen=True)
class Tile:
    """One sum; None when it could not be counted. `is_flaw`: any is too many."""

    label: str
    help: str
    value: int | None
    is_flaw: bool = True
    unit: str = "span"


@dataclass
class Report:
    """Everything the page shows. `notices` say what could not be counted."""

    sources: list[Source]
    refused: list[Refused]
    notices: list[str] = field(default_factory=list)
    masked: list[MaskedSum] = field(default_factory=list)
    costs: list[CostComparison] = field(default_factory=list)
    log_sources: list[LogSource] = field(default_factory=list)

    def total(self, read: Callable[[Source], int | None]) -> int | None:
        values = [read(source) for source in self.sources]
        return None if None in values else sum(value for value in values if value is not None)

    @property
    def tiles(self) -> list[Tile]:
        """The sums over all senders."""

        def counted(name: str) -> int:
            return sum(getattr(source.intake, name) for source in self.sources if source.intake)

        lost = sum(row.refusal.requests for row in self.refused if not row.refusal.spans and row.refusal.reason != "http_503")
        wrong_clocks = counted("ahead") + counted("clamped")
        return [
            Tile("Received", "Arrived, copies and rejected ones included", self.total(lambda source: source.received), False),
            Tile("Stored", "Are kept, each once", self.total(lambda source: source.stored), False),
            Tile("Rejected", "Were refused for good", self.total(lambda source: source.rejected)),
            Tile("Refused", "Were refused for good with all their spans", lost, unit="request"),
            Tile("Duplicate", "Copies of spans that had arrived before", self.total(lambda source: source.duplicates), False),
            Tile("Late", "Arrived more than 10 minutes after they ended", counted("late")),
            Tile("Orphan", "The parent never arrived", self.total(lambda source: source.orphans)),
            Tile("Truncated", "Have values that their sender cut off", counted("truncated")),
            Tile("Dropped by sender", "The SDK left out attributes, events or links of these", counted("dropping")),
            Tile("Wrong clock", "Ended after they arrived, or have impossible times", wrong_clocks),
        ]


def build_report(store: Store, *, project_id: int, time_range: TimeRange) -> Report:
    """Read everything about what arrived in the range. Raises StoreError when not even the counts can be read."""
    arrived = whole_minutes(time_range)
    intake = find_intake(store, project_id=project_id, arrived=arrived)
    refusals = find_refusals(project_id=project_id, time_range=time_range)
    notices: list[str] = []
    stored = None
    if sum(row.received for row in intake) <= _MOST_COMPARED:
        stored = _try(notices, "Stored and duplicate", lambda: count_stored(store, project_id=project_id, arrived=arrived))
    else:
        notices.append(f"Stored and duplicate are counted up to {_MOST_COMPARED:,} spans. Choose a shorter range.")
    orphans = _try(notices, "Orphan", lambda: count_orphans(store, project_id=project_id, arrived=arrived))
    sources = build_sources(intake, stored, orphans, refusals)
    rows = [Refused(refusal, *REASONS.get(refusal.reason, (refusal.reason, ""))) for refusal in refusals]
    log_sources = _read_log_sources(store, notices, refusals, project_id=project_id, arrived=arrived)
    costs = _try(notices, "Costs", lambda: compare_costs(store, project_id=project_id, time_range=time_range))
    masked = find_masked(project_id=project_id, time_range=time_range)
    return Report(sources, rows, notices, masked, costs or [], log_sources)


def _read_log_sources(
    store: Store, notices: list[str], refusals: Iterable[RefusalSum], *, project_id: int, arrived: TimeRange
) -> list[LogSource]:
    what = "Stored and duplicate log records"
    intake = find_log_intake(store, project_id=project_id, arrived=arrived)
    stored = None
    if sum(row.received for row in intake) <= _MOST_COMPARED:
        stored = _try(notices, what, lambda: count_stored_logs(store, project_id=project_id, arrived=arrived))
    else:
        notices.append(f"{what} are counted up to {_MOST_COMPARED:,} records. Choose a shorter range.")
    return build_log_sources(intake, stored, refusals)


def _try(notices: list[str], what: str, count: Callable[[], list[Counted]]) -> list[Counted] | None:
    try:
        return count()
    except StoreError as error:
        notices.append(f"{what} could not be counted: {error}")
        return None


def build_sources(
    intake: Iterable[Intake],
    stored: Iterable[SpanCount] | None,
    orphans: Iterable[SpanCount] | None,
    refusals: Iterable[RefusalSum],
) -> list[Source]:
    """Join the counts by key and SDK, most spans first. None stands for what could not be counted."""
    sources: dict[tuple[str, str], Source] = {}

    def find(ingest_key: str, sdk: str) -> Source:
        source = Source(ingest_key, sdk, stored=None if stored is None else 0, orphans=None if orphans is None else 0)
        return sources.setdefault((ingest_key, sdk), source)

    for arrived in intake:
        find(arrived.ingest_key, arrived.sdk).intake = arrived
    for count in stored or ():
        find(count.ingest_key, count.sdk).stored = count.spans
    for count in orphans or ():
        source = find(count.ingest_key, count.sdk)
        source.orphans, source.orphan_trace_id = count.spans, count.trace_id
    for refusal in refusals:
        if refusal.spans and refusal.reason not in _LOG_REASONS:
            find(refusal.ingest_key, refusal.sdk).rejected += refusal.spans
    return sorted(sources.values(), key=lambda source: (-source.received, source.ingest_key, source.sdk))


def build_log_sources(
    intake: Iterable[LogIntake], stored: Iterable[LogCount] | None, refusals: Iterable[RefusalSum]
) -> list[LogSource]:
    """Join the counts of log records by key and SDK, most records first. None stands for what could not be counted."""
    sources: dict[tuple[str, str], LogSource] = {}

    def find(ingest_key: str, sdk: str) -> LogSource:
        return sources.setdefault((ingest_key, sdk), LogSource(ingest_key, sdk, stored=None if stored is None else 0))

    for arrived in intake:
        find(arrived.ingest_key, arrived.sdk).intake = arrived
    for count in stored or ():
        find(count.ingest_key, count.sdk).stored = count.records
    for refusal in refusals:
        if refusal.reason in _LOG_REASONS:
            find(refusal.ingest_key, refusal.sdk).rejected += refusal.spans
    return sorted(sources.values(), key=lambda source: (-source.received, source.ingest_key, source.sdk))
