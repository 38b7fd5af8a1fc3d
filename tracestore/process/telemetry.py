"""What this process counts about itself, for `GET /metrics` (docs/operating.md lists every name).

Counted per request, batch, query or job, never per span. Names follow Prometheus: base units, `_total` for counters.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which Prometheus itself ignores

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter(
    "tracestore_ingest_requests", "OTLP requests answered, by signal, encoding and status.", ("signal", "encoding", "status")
)
BODY_BYTES = Counter("tracestore_ingest_body_bytes", "Bytes of OTLP bodies as sent.", ("signal",))
SPANS = Counter("tracestore_ingest_spans", "Spans of answered requests, by whether they were accepted.", ("result",))
LOG_RECORDS = Counter(
    "tracestore_ingest_log_records", "Log records of answered requests, by whether they were accepted.", ("result",)
)
MASKED_VALUES = Counter(
    "tracestore_ingest_masked_values", "Values that were masked or left out before storing, by rule.", ("rule",)
)
ACKNOWLEDGE = Histogram(
    "tracestore_ingest_acknowledge_seconds", "From the head of a request to its 200, storing included.", buckets=_SECONDS
)
SPOOL_SYNC = Histogram("tracestore_spool_sync_seconds", "Writing and syncing a group of requests to disk.", buckets=_SECONDS)
SPOOL_FAILURES = Counter("tracestore_spool_write_failures", "Groups of requests that the disk refused.")
SPOOL_DAMAGED = Counter("tracestore_spool_damaged_bytes", "Bytes of the spool that could not be read as they were written.")
DRAIN_BATCHES = Counter("tracestore_drain_batches", "Batches inserted into ClickHouse.")
DRAIN_SPANS = Counter("tracestore_drain_spans", "Spans of inserted batches; a span that an exporter sent twice counts twice.")
DRAIN_BYTES = Counter("tracestore_drain_bytes", "Bytes of inserted batches, inflated.")
DRAIN_INSERT = Histogram("tracestore_drain_insert_seconds", "One successful insert into ClickHouse.", buckets=_LONG_SECONDS)
INSERT_FAILURES = Counter(
    "tracestore_drain_insert_failures", "Inserts that failed: ClickHouse was unavailable, or refused the data.", ("reason",)
)
QUERY = Histogram(
    "tracestore_clickhouse_query_seconds",
    "Statements that ClickHouse answered, without waiting for a free connection.",
    ("operation",),
    buckets=_LONG_SECONDS,
)
QUERY_ERRORS = Counter("tracestore_clickhouse_errors", "Statements that failed, by kind of error.", ("operation", "error"))
JOB = Histogram("tracestore_job_seconds", "Runs of a background job.", ("job",), buckets=_LONG_SECONDS)
JOB_FAILURES = Counter("tracestore_job_failures", "Runs of a background job that raised.", ("job",))
JOB_SUCCESS = Gauge("tracestore_job_last_success_timestamp_seconds", "When a job last ended well, Unix time.", ("job",))
JOB_LAG = Gauge(
    "tracestore_job_lag_seconds", "Age of the oldest work that the job found at its last run; 0 when there was none.", ("job",)
)
ALERT_EVALUATIONS = Counter("tracestore_alert_evaluations", "Evaluations of alert rules.", ("result",))
ALERT_DELIVERIES = Counter("tracestore_alert_deliveries", "Attempts to deliver a notification.", ("kind", "result"))
HEARTBEATS = Counter("tracestore_heartbeats", "Heartbeats to the outside monitor: sent, withheld or failed.", ("result",))
HEARTBEAT_SENT = Gauge("tracestore_heartbeat_last_sent_timestamp_seconds", "When the monitor last took one, Unix time.")


@contextmanager
def timed_job(job: str) -> Iterator[None]:
    """Time one run of a job and note whether it ended well."""
    started = time.monotonic()
    try:
        yield
    except Exception:
        JOB_FAILURES.labels(job).inc()
        raise
    JOB.labels(job).observe(time.monotonic() - started)
    JOB_SUCCESS.labels(job).set_to_current_time()
