"""What the data quality page counts, on the real engine."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.logs import build_logs
from tests.spans import key_values
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch, read_span_count, stamp
from tracestore.model import Signal
from tracestore.queries.quality import (
    count_orphans,
    count_stored,
    count_stored_logs,
    count_trace,
    find_intake,
    find_log_intake,
    whole_minutes,
)
from tracestore.queries.spans import find_trace_times
from tracestore.timerange import NS_PER_S, TimeRange

T0 = 1_790_000_000 * NS_PER_S
ARRIVED = whole_minutes(TimeRange(T0 - 60 * NS_PER_S, T0 + 60 * NS_PER_S))
SDK = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python", "telemetry.sdk.version": "1.45.0"}
_batches = itertools.count(1)


def build_payload(*spans: dict[str, Any], sdk: dict[str, Any] = SDK) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values(sdk))
    scope_spans = resource_spans.scope_spans.add()
    for number, values in enumerate(spans):
        span = scope_spans.spans.add(
            trace_id=bytes.fromhex(values.get("trace_id", "a" * 32)),
            span_id=bytes.fromhex(values.get("span_id", f"{number + 1:016x}")),
            parent_span_id=bytes.fromhex(values.get("parent", "")),
            name="step",
            start_time_unix_nano=values.get("start_ns", T0 - 2 * NS_PER_S),
            end_time_unix_nano=values.get("end_ns", T0 - NS_PER_S),
            dropped_attributes_count=values.get("dropped_attributes", 0),
            dropped_events_count=values.get("dropped_events", 0),
            dropped_links_count=values.get("dropped_links", 0),
        )
        span.attributes.extend(key_values(values.get("attributes", {})))
        if "event_dropped" in values:
            span.events.add(name="e", time_unix_nano=T0, dropped_attributes_count=values["event_dropped"])
    return request.SerializeToString()


def insert(store: Store, *spans: dict[str, Any], ingest_key: str = "", sdk: dict[str, Any] = SDK, batch_seq: int = 0) -> None:
    payload = stamp(build_payload(*spans, sdk=sdk), ingest_key=ingest_key, spans=len(spans))
    insert_batch(store, [(1, T0, payload)], writer="quality", batch_seq=batch_seq or next(_batches))


def insert_records(
    store: Store,
    *records: dict[str, Any],
    ingest_key: str = "",
    sdk: dict[str, Any] = SDK,
    batch_seq: int = 0,
    project_id: int = 1,
) -> None:
    """Store log records as `build_logs` takes them; `dropped_attributes` is a value more."""
    request = ExportLogsServiceRequest.FromString(build_logs(*({"time_ns": T0 - NS_PER_S} | record for record in records)))
    request.resource_logs[0].resource.attributes.extend(key_values(sdk))
    for record, values in zip(request.resource_logs[0].scope_logs[0].log_records, records, strict=True):
        record.dropped_attributes_count = values.get("dropped_attributes", 0)
    payload = stamp(request.SerializeToString(), ingest_key=ingest_key, spans=len(records))
    seq = batch_seq or next(_batches)
    insert_batch(store, [(project_id, T0, payload)], writer="quality-logs", batch_seq=seq, signal=Signal.LOGS)


def test_stamp_tells_key_and_size(store: Store) -> None:
    payload = build_payload({}, {})

    stamped = stamp(payload, ingest_key="größe", spans=2)

    assert read_span_count(stamped) == 2
    assert read_span_count(payload) == 0
    assert (
        ExportTraceServiceRequest.FromString(stamped).resource_spans
        == ExportTraceServiceRequest.FromString(payload).resource_spans
    )


def test_sender_cannot_choose_its_key(store: Store) -> None:
    forged = stamp(build_payload({}), ingest_key="someone else's", spans=10**6)
    payload = stamp(forged, ingest_key="mine", spans=1)

    insert_batch(store, [(1, T0, payload)], writer="quality", batch_seq=next(_batches))

    assert [row.ingest_key for row in find_intake(store, project_id=1, arrived=ARRIVED)] == ["mine"]
    assert read_span_count(payload) == 1


def test_sender_without_a_key_cannot_make_one_up(store: Store) -> None:
    payload = stamp(stamp(build_payload({}), ingest_key="made up", spans=1), ingest_key="", spans=1)

    insert_batch(store, [(1, T0, payload)], writer="quality", batch_seq=next(_batches))

    assert [row.ingest_key for row in find_intake(store, project_id=1, arrived=ARRIVED)] == [""]


def test_arrivals_are_counted_by_key_and_sdk(store: Store) -> None:
    insert(store, {}, {}, ingest_key="a")
    insert(store, {"span_id": "9" * 16}, ingest_key="b", sdk={})

    found = find_intake(store, project_id=1, arrived=ARRIVED)

    assert [(row.ingest_key, row.sdk, row.received) for row in found] == [("a", "opentelemetry python 1.45.0", 2), ("b", "", 1)]
    assert find_intake(store, project_id=2, arrived=ARRIVED) == []
    later = TimeRange(ARRIVED.end_ns, ARRIVED.end_ns + 60 * NS_PER_S)
    assert find_intake(store, project_id=1, arrived=later) == []


def test_batch_that_is_inserted_again_counts_once(store: Store) -> None:
    seq = next(_batches)
    insert(store, {}, {}, batch_seq=seq)
    insert(store, {}, {}, batch_seq=seq)

    assert [row.received for row in find_intake(store, project_id=1, arrived=ARRIVED)] == [2]


@pytest.mark.parametrize("merged", [False, True])
def test_span_that_is_sent_again_is_received_twice_and_stored_once(store: Store, merged: bool) -> None:
    insert(store, {}, {})
    insert(store, {})
    if merged:
        store.command("OPTIMIZE TABLE spans FINAL")

    [arrived] = find_intake(store, project_id=1, arrived=ARRIVED)
    [stored] = count_stored(store, project_id=1, arrived=ARRIVED)

    assert (arrived.received, stored.spans) == (3, 2)
    assert (stored.ingest_key, stored.sdk) == (arrived.ingest_key, arrived.sdk)


def test_late_and_wrong_clocks_are_told_apart(store: Store) -> None:
    hour_ns = 3600 * NS_PER_S
    insert(
        store,
        {"trace_id": "1" * 32, "start_ns": T0 - hour_ns - 1, "end_ns": T0 - hour_ns},
        {"trace_id": "2" * 32, "start_ns": T0 + 4 * NS_PER_S, "end_ns": T0 + 5 * NS_PER_S},
        {"trace_id": "3" * 32, "start_ns": 5, "end_ns": 6},
        {"trace_id": "4" * 32, "start_ns": T0, "end_ns": T0 - 1},
        {"trace_id": "5" * 32},
    )

    [row] = find_intake(store, project_id=1, arrived=ARRIVED)

    assert (row.late, row.ahead, row.clamped) == (1, 1, 2)
    assert (row.late_trace_id, row.clock_trace_id) == ("1" * 32, "4" * 32)
    assert (row.max_lag_ns, row.min_lag_ns) == (hour_ns, -5 * NS_PER_S)


def test_dropped_counts_are_summed(store: Store) -> None:
    insert(store, {"dropped_attributes": 3, "event_dropped": 4}, {"dropped_events": 2, "dropped_links": 2**32 - 1}, {})

    [row] = find_intake(store, project_id=1, arrived=ARRIVED)

    assert (row.dropping, row.dropped_attributes, row.dropped_events, row.dropped_links) == (2, 7, 2, 2**32 - 1)
    assert row.dropping_trace_id == "a" * 32


def test_values_that_were_cut_are_recognised(store: Store) -> None:
    values = [
        ("x" * 100 + "... [truncated]", True),
        ('[{"role": "user", "content": "' + "x" * 100 + '... (litellm_truncated 812 chars)"}]', True),
        ("x" * 100 + "[TRUNCATED - Content exceeds 60KB limit]", True),
        ("<truncated due to size exceeding limit>", True),
        ("x" * 100 + "…truncated", True),
        ("the list was truncated", False),
        ("[truncated] is the mark that " + "x" * 100, False),
        ("x" * 100, False),
        ("", False),
    ]
    # Each in a project of its own.
    payloads = [build_payload({"attributes": {"a": "short", "gen_ai.input.messages": value}}) for value, _ in values]
    records = [(number, T0, stamp(payload, ingest_key="", spans=1)) for number, payload in enumerate(payloads, start=1)]
    insert_batch(store, records, writer="quality", batch_seq=next(_batches))

    rows = [row for number, _, _ in records for row in find_intake(store, project_id=number, arrived=ARRIVED)]

    found = [(value, row.truncated, row.truncated_trace_id) for (value, _), row in zip(values, rows, strict=True)]
    assert found == [(value, int(is_cut), "a" * 32 if is_cut else "") for value, is_cut in values]


def test_nothing_arrived(store: Store) -> None:
    assert find_intake(store, project_id=1, arrived=ARRIVED) == []
    assert count_stored(store, project_id=1, arrived=ARRIVED) == []
    assert count_orphans(store, project_id=1, arrived=ARRIVED) == []


def summarized(store: Store, trace_id: str, **overrides: Any) -> None:
    row: dict[str, list[Any]] = {
        "project_id": [1], "trace_id": [bytes.fromhex(trace_id)], "start_time": [T0 - 2 * NS_PER_S], "outcome": ["ok"],
        "orphan_count": [1], "summarized_at": [T0 // 1000], "is_deleted": [0],
    }  # fmt: skip
    store.insert_columns("traces", row | {name: [value] for name, value in overrides.items()})


def test_orphans_are_counted_once_their_trace_is_over(store: Store) -> None:
    for trace_id in ("1" * 32, "2" * 32, "3" * 32):
        insert(
            store, {"trace_id": trace_id}, {"trace_id": trace_id, "parent": "f" * 16},
            {"trace_id": trace_id, "parent": f"{1:016x}"}, ingest_key="a",
        )  # fmt: skip
    insert(store, {"trace_id": "1" * 32, "span_id": f"{2:016x}", "parent": "f" * 16}, ingest_key="a")  # a copy
    summarized(store, "1" * 32)
    summarized(store, "2" * 32, outcome="running")
    summarized(store, "3" * 32)
    insert(store, {"trace_id": "3" * 32, "span_id": "f" * 16}, ingest_key="a")  # its parent came after all

    [found] = count_orphans(store, project_id=1, arrived=ARRIVED)

    assert (found.ingest_key, found.sdk, found.spans, found.trace_id) == ("a", "opentelemetry python 1.45.0", 1, "1" * 32)


def test_counts_of_one_trace(store: Store) -> None:
    insert(
        store, {"dropped_attributes": 2}, {"parent": f"{1:016x}", "event_dropped": 1},
        {"parent": f"{1:016x}", "dropped_events": 5, "attributes": {"x": "y" * 50 + "...[truncated]"}},
        {"trace_id": "b" * 32, "dropped_links": 9},
    )  # fmt: skip
    insert(store, {"dropped_attributes": 2})

    times = find_trace_times(store, project_id=1, trace_id="a" * 32)
    counts = count_trace(store, project_id=1, trace_id="a" * 32, time_range=times)

    assert (counts.spans, counts.roots, counts.received, counts.truncated) == (3, 1, 4, 1)
    assert (counts.dropped_attributes, counts.dropped_events, counts.dropped_links) == (3, 5, 0)


def test_log_records_are_counted_by_key_and_sdk(store: Store) -> None:
    insert_records(store, {"body": "one"}, {"body": "two", "dropped_attributes": 3}, ingest_key="a")
    insert_records(store, {"body": "three"}, ingest_key="b", sdk={})
    insert_records(store, {"body": "theirs"}, ingest_key="c", project_id=2)

    arrived = find_log_intake(store, project_id=1, arrived=ARRIVED)
    stored = count_stored_logs(store, project_id=1, arrived=ARRIVED)

    assert [(row.ingest_key, row.sdk, row.received, row.dropping, row.dropped_attributes) for row in arrived] == [
        ("a", "opentelemetry python 1.45.0", 2, 1, 3), ("b", "", 1, 0, 0),
    ]  # fmt: skip
    assert [(row.ingest_key, row.sdk, row.records) for row in stored] == [("a", "opentelemetry python 1.45.0", 2), ("b", "", 1)]
    later = TimeRange(ARRIVED.end_ns, ARRIVED.end_ns + 60 * NS_PER_S)
    assert find_log_intake(store, project_id=1, arrived=later) == []
    assert count_stored_logs(store, project_id=1, arrived=later) == []


@pytest.mark.parametrize("merged", [False, True])
def test_log_record_that_is_sent_again_is_received_twice_and_stored_once(store: Store, merged: bool) -> None:
    insert_records(store, {"body": "one"}, {"body": "two"})
    insert_records(store, {"body": "one"})
    if merged:
        store.command("OPTIMIZE TABLE logs FINAL")

    [arrived] = find_log_intake(store, project_id=1, arrived=ARRIVED)
    [stored] = count_stored_logs(store, project_id=1, arrived=ARRIVED)

    assert (arrived.received, stored.records) == (3, 2)


def test_batch_of_logs_that_is_inserted_again_counts_once(store: Store) -> None:
    seq = next(_batches)
    for _ in range(2):
        insert_records(store, {"body": "one"}, {"body": "two"}, batch_seq=seq)

    assert [row.received for row in find_log_intake(store, project_id=1, arrived=ARRIVED)] == [2]


def test_sender_of_logs_cannot_choose_its_key(store: Store) -> None:
    forged = stamp(build_logs({"time_ns": T0}), ingest_key="someone else's", spans=10**6)
    payload = stamp(forged, ingest_key="mine", spans=1)

    insert_batch(store, [(1, T0, payload)], writer="quality-logs", batch_seq=next(_batches), signal=Signal.LOGS)

    assert [row.ingest_key for row in find_log_intake(store, project_id=1, arrived=ARRIVED)] == ["mine"]
