"""Log records as OTLP sends them, into the store."""

from __future__ import annotations

import itertools
import time
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.spans import any_value, key_values
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.model import Signal

# The engine remembers batch tokens across truncation, hence a counter that never starts again.
_batches = itertools.count(1)


def insert_logs(store: Store, *records: dict[str, Any], project_id: int = 1, received_ns: int = 0, **common: Any) -> None:
    """Store records that are given as for `build_logs`; `common` is for all of them."""
    received_ns = received_ns or time.time_ns()
    payload = build_logs(*({"time_ns": received_ns} | common | record for record in records))
    insert_batch(store, [(project_id, received_ns, payload)], writer="logs", batch_seq=next(_batches), signal=Signal.LOGS)


def build_logs(*records: dict[str, Any]) -> bytes:
    """Return a request with records given as dicts: trace_id, span_id, time_ns, body, event_name, severity, attributes."""
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    resource_logs.resource.attributes.extend(key_values({"service.name": "support-bot"}))
    scope_logs = resource_logs.scope_logs.add()
    for values in records:
        record = scope_logs.log_records.add(
            trace_id=bytes.fromhex(values.get("trace_id", "")),
            span_id=bytes.fromhex(values.get("span_id", "")),
            time_unix_nano=values.get("time_ns", 0),
            event_name=values.get("event_name", ""),
            severity_number=values.get("severity", 0),
        )
        record.body.CopyFrom(any_value(values.get("body", "")))
        record.attributes.extend(key_values(values.get("attributes", {})))
    return request.SerializeToString()
