"""Logs over OTLP/HTTP: both encodings, what is refused, and into the store exactly once."""

from __future__ import annotations

import gzip
import json
import random
import struct
import time
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from ingest.dead_letters import DeadLetters
from ingest.otlp.check import BadBody, check_logs_json, check_logs_protobuf
from ingest.spool.checkpoint import Batch
from ingest.spool.queue import Spool
from ingest.spool.records import decode_records
from tests.ingest.conftest import JSON, Receiver, build_request, build_span
from tests.ingest.drains import REFUSED_BYTES, Bench
from tests.otlp_messages import log_requests, sized, to_otlp_dict
from tests.waiting import wait_until
from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import BadInsert
from tracestore.clickhouse.landing import Record, insert_batch
from tracestore.model import Signal

TRACE_ID, SPAN_ID = bytes(range(1, 17)), bytes(range(1, 9))
TIME_NS = 1_795_217_909_563_000_001


def build_logs(*records: LogRecord) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    resource_logs.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = "agent"
    scope_logs.log_records.extend(records)
    return request


def build_record(text: str = "hello", **overrides: Any) -> LogRecord:
    ids: dict[str, Any] = {"time_unix_nano": TIME_NS, "trace_id": TRACE_ID, "span_id": SPAN_ID}
    record = LogRecord(**(ids | overrides))
    record.body.string_value = text
    return record


def rows(store: Store, *columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of every row, duplicates included."""
    return store.query_rows(f"SELECT {', '.join(columns)} FROM logs WHERE project_id > 0 ORDER BY {', '.join(columns)}")


def stored(receiver: Receiver, *columns: str) -> list[tuple[Any, ...]]:
    receiver.wait_until_drained()
    return rows(receiver.store, *columns)


# Wire formats


def test_protobuf_record_is_stored_with_all_it_says(receiver: Receiver) -> None:
    record = build_record(severity_number=17, severity_text="ERROR", event_name="exception", flags=1, dropped_attributes_count=2)
    record.attributes.add(key="exception.type").value.string_value = "Timeout"
    record.attributes.add(key="attempt").value.int_value = 2
    record.attributes.add(key="session.id").value.string_value = "s-1"

    answer = receiver.send(build_logs(record).SerializeToString(), path="/v1/logs")

    assert (answer.status, answer.body) == (200, b"")
    columns = (
        "lower(hex(trace_id))", "lower(hex(span_id))", "toUnixTimestamp64Nano(time)", "severity_number", "severity_text",
        "event_name", "body", "body_type", "service", "scope_name", "session_id", "flags", "dropped_attributes_count",
        "project_id", "writer != ''", "batch_seq", "received_at > '2026-01-01'",
    )  # fmt: skip
    assert stored(receiver, *columns) == [
        (TRACE_ID.hex(), SPAN_ID.hex(), TIME_NS, 17, "ERROR", "exception", "hello", "s", "shop", "agent", "s-1", 1, 2, 1, 1, 1, 1)
    ]
    [(keys, values, types)] = rows(receiver.store, "mapKeys(attributes)", "mapValues(attributes)", "attribute_types")
    assert decode_attributes(keys, values, types) == {"exception.type": "Timeout", "attempt": 2, "session.id": "s-1"}
    status = receiver.ingest.status()
    assert (status.accepted_log_records, status.accepted_spans) == (1, 0)


def test_json_says_the_same_as_protobuf() -> None:
    document = {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "schemaUrl": "https://example.org/1",
                "scopeLogs": [
                    {
                        "scope": {"name": "agent", "version": "2"},
                        "logRecords": [
                            {
                                "timeUnixNano": str(TIME_NS),
                                "observedTimeUnixNano": TIME_NS + 1,
                                "severityNumber": "SEVERITY_NUMBER_WARN2",
                                "severityText": "WARN",
                                "eventName": "gen_ai.choice",
                                "body": {
                                    "kvlistValue": {
                                        "values": [
                                            {"key": "index", "value": {"intValue": "0"}},
                                            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": True}, {}]}}},
                                        ]
                                    }
                                },
                                "attributes": [{"key": "a", "value": {"doubleValue": 0.5}}],
                                "droppedAttributesCount": 3,
                                "flags": 1,
                                "traceId": TRACE_ID.hex().upper(),
                                "spanId": SPAN_ID.hex(),
                            }
                        ],
                    }
                ],
            }
        ]
    }
    expected = ExportLogsServiceRequest()
    resource_logs = expected.resource_logs.add(schema_url="https://example.org/1")
    resource_logs.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name, scope_logs.scope.version = "agent", "2"
    record = scope_logs.log_records.add(
        time_unix_nano=TIME_NS, observed_time_unix_nano=TIME_NS + 1, severity_number=14, severity_text="WARN",
        event_name="gen_ai.choice", dropped_attributes_count=3, flags=1, trace_id=TRACE_ID, span_id=SPAN_ID,
    )  # fmt: skip
    record.body.kvlist_value.values.add(key="index").value.int_value = 0
    array = record.body.kvlist_value.values.add(key="list").value.array_value
    array.values.add().bool_value = True
    array.values.add()
    record.attributes.add(key="a").value.double_value = 0.5

    checked = check_logs_json(json.dumps(document).encode())

    assert ExportLogsServiceRequest.FromString(checked.payload) == expected
    assert (checked.accepted, checked.rejected) == (1, 0)


def test_body_that_is_a_structure_stays_decodable(receiver: Receiver) -> None:
    record = build_record()
    record.body.kvlist_value.values.add(key="role").value.string_value = "user"

    receiver.send(gzip.compress(build_logs(record).SerializeToString()), path="/v1/logs", content_encoding="gzip")

    [(body, kind)] = stored(receiver, "base64Encode(body)", "body_type")
    assert decode_attributes(["body"], [body], kind) == {"body": {"role": "user"}}


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_empty_request_is_a_success(receiver: Receiver, encoding: str) -> None:
    content_type = {"json": JSON, "protobuf": "application/x-protobuf"}[encoding]

    answer = receiver.send(b"", path="/v1/logs", content_type=content_type)

    assert (answer.status, answer.body) == (200, b"{}" if encoding == "json" else b"")


def test_items_that_are_no_records_are_rejected_with_their_count(receiver: Receiver) -> None:
    good = {"timeUnixNano": str(TIME_NS), "body": {"stringValue": "good"}}
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [good, 7, None, "text", [], {}]}]}]}

    answer = receiver.send(json.dumps(document).encode(), path="/v1/logs", content_type=JSON)

    partial = json.loads(answer.body)["partialSuccess"]
    assert (answer.status, partial["rejectedLogRecords"]) == (200, "4")
    assert "4 of 6 log records" in partial["errorMessage"]
    assert stored(receiver, "body") == [("",), ("good",)]
    assert receiver.ingest.status().rejected_log_records == 4


@pytest.mark.parametrize(
    "overrides",
    [{"trace_id": b"", "span_id": b""}, {"trace_id": bytes(16)}, {"trace_id": b"short"}, {"trace_id": b"", "span_id": SPAN_ID}],
)
def test_record_without_a_valid_trace_id_belongs_to_no_trace(receiver: Receiver, overrides: dict[str, Any]) -> None:
    answer = receiver.send(build_logs(build_record(**overrides)).SerializeToString(), path="/v1/logs")

    assert (answer.status, answer.body) == (200, b"")
    assert stored(receiver, "hex(trace_id)", "hex(span_id)") == [("0" * 32, "0" * 16)]


def test_record_with_an_invalid_span_id_belongs_to_the_trace(receiver: Receiver) -> None:
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": TRACE_ID.hex(), "spanId": "not hex"}]}]}]}

    receiver.send(json.dumps(document).encode(), path="/v1/logs", content_type=JSON)

    assert stored(receiver, "lower(hex(trace_id))", "hex(span_id)") == [(TRACE_ID.hex(), "0" * 16)]


@pytest.mark.parametrize(
    ("time_ns", "observed_ns", "expected"),
    [(TIME_NS, 5, TIME_NS), (0, TIME_NS, TIME_NS), (2**64 - 1, TIME_NS, TIME_NS), (0, 0, None), (7, 2**64 - 1, None)],
)
def test_time_is_the_first_that_can_be(receiver: Receiver, time_ns: int, observed_ns: int, expected: int | None) -> None:
    sent_ns = time.time_ns()
    record = build_record(time_unix_nano=time_ns, observed_time_unix_nano=observed_ns)

    receiver.send(build_logs(record).SerializeToString(), path="/v1/logs")

    [(filed_ns, reported_ns)] = stored(receiver, "toUnixTimestamp64Nano(time)", "reported_time_ns")
    assert reported_ns == time_ns
    assert filed_ns == expected if expected else sent_ns <= filed_ns <= time.time_ns()


def test_event_name_is_the_field_or_the_older_attribute(receiver: Receiver) -> None:
    older = build_record("older")
    older.attributes.add(key="event.name").value.string_value = "gen_ai.choice"
    claude = ExportLogsServiceRequest()
    scope_logs = claude.resource_logs.add().scope_logs.add()
    scope_logs.scope.name = "com.anthropic.claude_code.events"
    scope_logs.log_records.add().attributes.add(key="event.name").value.string_value = "user_prompt"

    receiver.send(build_logs(older, build_record("newer", event_name="exception")).SerializeToString(), path="/v1/logs")
    receiver.send(claude.SerializeToString(), path="/v1/logs")

    assert stored(receiver, "event_name") == [("claude_code.user_prompt",), ("exception",), ("gen_ai.choice",)]


def test_record_named_after_its_place_in_the_source_has_the_name_of_its_attribute(receiver: Receiver) -> None:
    """Codex 0.169: Rust's `tracing` gives such a name to an event that has none."""
    place = "event otel/src/events/session_telemetry.rs:1200"
    named = build_record("named", event_name=place)
    named.attributes.add(key="event.name").value.string_value = "codex.user_prompt"

    receiver.send(build_logs(named, build_record("unnamed", event_name=place)).SerializeToString(), path="/v1/logs")

    assert stored(receiver, "event_name") == [("codex.user_prompt",), (place,)]


# Hostile bodies


def test_garbage_is_refused_as_logs() -> None:
    with pytest.raises(BadBody, match="ExportLogsServiceRequest"):
        check_logs_protobuf(b"\xff\xff\xff")
    with pytest.raises(BadBody, match="ExportLogsServiceRequest"):
        check_logs_json(b'{"resourceLogs": 5}')
    with pytest.raises(BadBody, match="nested too deep"):
        check_logs_json(b'{"resourceLogs":' + b"[" * 100_000)


@pytest.mark.parametrize("content_type", ["application/x-protobuf", JSON])
def test_traces_sent_as_logs_are_pointed_to_the_right_path(receiver: Receiver, content_type: str) -> None:
    body = build_request(build_span()).SerializeToString() if content_type != JSON else b'{"resourceSpans": []}'

    answer = receiver.send(body, path="/v1/logs", content_type=content_type)

    assert answer.status == 400
    assert b"/v1/traces" in answer.body


def test_invalid_text_and_deep_values_cost_themselves(receiver: Receiver) -> None:
    value = AnyValue(string_value="deep").SerializeToString()
    for _ in range(60):
        value = b"\x2a" + sized(b"\x0a" + sized(value))
    record = b"\x2a" + sized(b"\x0a\x03M\xffK") + b"\x32" + sized(b"\x0a\x01k\x12" + sized(value))
    body = b"\x0a" + sized(b"\x12" + sized(b"\x12" + sized(record)))

    answer = receiver.send(body, path="/v1/logs")

    assert (answer.status, answer.body) == (200, b"")
    assert stored(receiver, "body") == [("M\ufffdK",)]


def test_more_records_than_a_body_can_hold_are_refused_before_parsing() -> None:
    scope = b"\x12\x00" * 100_000
    with pytest.raises(BadBody, match="more spans or log records"):
        check_logs_protobuf(b"\x0a" + sized(b"\x12" + sized(scope)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = ("timeUnixNano", "severityNumber", "severityText", "body", "attributes", "traceId", "spanId", "eventName", "flags")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(_FIELDS), _JSON) | _JSON, max_size=4))
def test_any_json_value_in_a_record_costs_at_most_that_record(records: list[Any]) -> None:
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}

    checked = check_logs_json(json.dumps(document).encode())

    assert checked.accepted == sum(isinstance(record, dict) for record in records)
    assert checked.accepted + checked.rejected == len(records)


@settings(max_examples=100, deadline=None)
@given(request=log_requests)
def test_any_request_means_the_same_in_json(request: ExportLogsServiceRequest) -> None:
    checked = check_logs_json(json.dumps(to_otlp_dict(request)).encode())

    assert ExportLogsServiceRequest.FromString(checked.payload) == request


def test_hostile_values_do_not_stop_the_insert(receiver: Receiver) -> None:
    random_bytes = random.Random(7)
    for number in range(40):
        record = build_record(
            "\0\u202e" + "x" * number,
            severity_number=random_bytes.choice([0, 1, 24, 25, 2**31 - 1, -(2**31), -1]),
            trace_id=random_bytes.randbytes(random_bytes.choice([0, 1, 8, 16, 17, 300])),
            span_id=random_bytes.randbytes(random_bytes.choice([0, 1, 8, 9])),
            time_unix_nano=random_bytes.choice([0, 1, 2**63, 2**64 - 1, TIME_NS]),
            observed_time_unix_nano=random_bytes.choice([0, 2**64 - 1, TIME_NS]),
            event_name=random_bytes.choice(["", "e" * 5000, "\0"]),
        )
        record.attributes.add(key="event.name").value.array_value.values.add()
        record.attributes.add(key="session.id").value.bytes_value = random_bytes.randbytes(9)
        record.attributes.add()
        assert receiver.send(build_logs(record).SerializeToString(), path="/v1/logs").status == 200

    assert stored(receiver, "count()") == [(40,)]
    assert receiver.ingest.status().dead_letters == 0


# Exactly once


def test_export_that_is_repeated_is_recognised_by_its_records(receiver: Receiver) -> None:
    """Equal records of one export stay apart; the same export again has the same record ids, whatever its times."""
    body = build_logs(
        build_record("a"), build_record("a"), build_record("b"), LogRecord(event_name="without any time")
    ).SerializeToString()

    receiver.send(body, path="/v1/logs")
    once = {record_id for (record_id,) in stored(receiver, "record_id")}
    receiver.send(body, path="/v1/logs")
    twice = [record_id for (record_id,) in stored(receiver, "record_id")]

    assert len(once) == 4
    assert set(twice) == once
    receiver.store.command("OPTIMIZE TABLE logs FINAL")
    assert rows(receiver.store, "countIf(event_name = '')") == [(3,)]


@pytest.mark.parametrize(("magic", "signal"), [(b"TSR1", Signal.TRACES), (b"TSL1", Signal.LOGS)])
def test_spool_keeps_the_signal_and_reads_segments_of_before(tmp_path: Path, magic: bytes, signal: Signal) -> None:
    payload = b"payload"
    fields = struct.pack("<IIQ", len(payload), 7, 99)
    start = zlib.crc32(magic) if signal is Signal.LOGS else 0
    old = magic + fields[:4] + struct.pack("<I", zlib.crc32(payload, zlib.crc32(fields, start))) + fields[4:] + payload
    (tmp_path / f"{1:016d}.segment").write_bytes(old + old)

    spool = Spool(tmp_path, max_bytes=10**6)
    for new in (Signal.LOGS, Signal.TRACES):
        spool.append(7, 99, payload, new).result(60)
    first, position = spool.read(spool.first, max_bytes=10**6, max_requests=9)
    second, _ = spool.read(position, max_bytes=10**6, max_requests=9)
    spool.close()

    assert [record.signal for record in first] == [signal, signal]
    assert [record.signal for record in second] == [Signal.LOGS, Signal.TRACES]
    assert {(record.project_id, record.received_at_ns, record.payload) for record in first + second} == {(7, 99, payload)}
    for record in (old, (tmp_path / f"{2:016d}.segment").read_bytes()[:39]):
        for at in range(len(record)):
            changed = record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]
            in_seal = len(record) == 39 and 24 <= at < 32
            assert bool(list(decode_records(changed, 1, 0, verify=True))) is in_seal


def test_batch_of_both_signals_is_replayed_without_a_second_row(store: Store, tmp_path: Path) -> None:
    """A crash after the inserts and before the checkpoint; then a restart, which inserts the batch once more."""
    bench = Bench(tmp_path, store)
    for number in range(3):
        bench.append(build_request(build_span()).SerializeToString())
        bench.spool.append(1, time.time_ns(), build_logs(build_record(f"{number}")).SerializeToString(), Signal.LOGS).result(60)
    requests, end = bench.spool.read(bench.spool.first, max_bytes=10**6, max_requests=100)
    bench.checkpoint.save(Batch(1, requests[0].position, end))
    for signal in Signal:
        records = [
            (request.project_id, request.received_at_ns, request.payload) for request in requests if request.signal is signal
        ]
        insert_batch(store, records, writer=bench.checkpoint.writer, batch_seq=1, signal=signal)
    bench.spool.close()

    replayed: list[Signal] = []

    def insert(records: Sequence[Record], *, signal: Signal, **rest: Any) -> None:
        insert_batch(store, records, signal=signal, **rest)
        replayed.append(signal)

    bench.insert = insert
    bench.open()
    bench.drain.start()
    wait_until(lambda: len(replayed) == 2)
    bench.close()

    assert (len(requests), replayed) == (6, [Signal.TRACES, Signal.LOGS])
    assert rows(store, "body") == [("0",), ("1",), ("2",)]
    assert len(bench.ids()) == 3


def test_refused_logs_become_a_dead_letter_and_repeat_no_traces(store: Store, tmp_path: Path) -> None:
    bench = Bench(tmp_path, store)
    bench.append(build_request(build_span()).SerializeToString())
    for payload in (REFUSED_BYTES, build_logs(build_record("good")).SerializeToString()):
        bench.spool.append(1, time.time_ns(), payload, Signal.LOGS).result(60)
    bench.drain.start()
    wait_until(lambda: bench.dead_letters.count() == 1 and rows(store, "body"))
    [letter] = bench.dead_letters.find()
    bench.dead_letters.request_replay(letter.name)
    wait_until(lambda: letter.name not in {found.name for found in bench.dead_letters.find()})
    wait_until(lambda: bench.dead_letters.count() == 1)  # refused again, and as logs
    [again] = bench.dead_letters.find()
    bench.close()

    assert (letter.signal, again.signal) == (Signal.LOGS, Signal.LOGS)
    assert rows(store, "body") == [("good",)]
    assert len(bench.ids()) == 1


def test_dead_letter_of_before_is_one_of_traces(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    letters.add("old", b"x", project_id=1, received_at_ns=1, refused_at_ns=2, reason="why")
    old = json.loads((tmp_path / "old.json").read_text())
    del old["signal"]
    (tmp_path / "old.json").write_text(json.dumps(old))

    assert [letter.signal for letter in letters.find()] == [Signal.TRACES]


def test_logs_alone_announce_nothing_to_summarise(receiver: Receiver) -> None:
    receiver.send(build_logs(build_record()).SerializeToString(), path="/v1/logs")
    assert len(stored(receiver, "body")) == 1

    assert receiver.announced == []


def test_store_that_refuses_logs_only_is_not_taken_for_one_that_refuses_all(store: Store, tmp_path: Path) -> None:
    """Traces of a batch are stored although its logs are held up."""
    insert_real = partial(insert_batch, store)

    def insert(records: Sequence[Record], *, signal: Signal, **rest: Any) -> None:
        if signal is Signal.LOGS:
            raise BadInsert("no such table")
        insert_real(records, signal=signal, **rest)

    bench = Bench(tmp_path, store, insert)
    bench.append(build_request(build_span()).SerializeToString())
    bench.spool.append(1, time.time_ns(), build_logs(build_record()).SerializeToString(), Signal.LOGS).result(60)
    bench.drain.start()
    wait_until(lambda: bench.drain.last_error)
    assert len(bench.ids()) == 1
    assert bench.dead_letters.count() == 0
    bench.close()
    bench.insert = insert_real
    bench.open()
    bench.drain.start()
    wait_until(lambda: rows(store, "body"))
    bench.close()

    assert len(bench.ids()) == 1
