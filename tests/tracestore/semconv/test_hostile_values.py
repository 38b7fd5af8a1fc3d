"""Absurd times, ids, texts and sizes are stored and break no insert."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.tracestore.semconv.conftest import RECEIVED_NS, START_NS, add_to, batch_seqs, build_span, store_spans
from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.semconv.fields import FIELDS
from tracestore.semconv.keys import wanted_keys

MAX_U64 = 2**64 - 1
YEAR_2200_NS, YEAR_1999_NS = 7_258_118_400 * 10**9, 946_684_799 * 10**9
# case -> (start, end), (expected start, expected duration)
TIME_CASES = {
    "ordinary": ((START_NS, START_NS + 5), (START_NS, 5)),
    "zero": ((0, 0), (RECEIVED_NS, 0)),
    "no start": ((0, START_NS), (RECEIVED_NS, 0)),
    "no end": ((START_NS, 0), (START_NS, 0)),
    "maximum": ((MAX_U64, MAX_U64), (RECEIVED_NS, 0)),
    "endless": ((START_NS, MAX_U64), (START_NS, 0)),
    "end before start": ((START_NS, START_NS - 5), (START_NS, 0)),
    "1970": ((1, 10), (RECEIVED_NS, 0)),
    "1999": ((YEAR_1999_NS, YEAR_1999_NS + 5), (RECEIVED_NS, 0)),
    "2200": ((YEAR_2200_NS, YEAR_2200_NS + 5), (RECEIVED_NS, 0)),
    "seconds for nanoseconds": ((1_790_000_000, 1_790_000_005), (RECEIVED_NS, 0)),
}


def test_absurd_time_is_filed_under_the_time_of_receipt(store: Store) -> None:
    spans = [build_span(start_ns=start, end_ns=end) for (start, end), _ in TIME_CASES.values()]

    rows = store_spans(
        store, spans, ("toUnixTimestamp64Nano(start_time) AS start_ns", "duration_ns", "reported_start_ns", "reported_end_ns")
    )

    assert {case: tuple(row.values()) for case, row in zip(TIME_CASES, rows, strict=True)} == {
        case: (*expected, *reported) for case, (reported, expected) in TIME_CASES.items()
    }


def test_ids_of_wrong_length_are_stored_and_break_nothing(store: Store) -> None:
    spans = [
        build_span(trace_id=b"", span_id=b"", parent_span_id=b"\x01"),
        build_span(trace_id=b"\x02" * 40, span_id=b"\x02" * 20, parent_span_id=b"\x03" * 20),
        build_span(span_id=b"\x07" * 8, parent_span_id=b"\x07" * 8),
    ]

    rows = store_spans(store, spans, ("hex(trace_id)", "hex(span_id)", "hex(parent_span_id)"))

    assert [tuple(row.values()) for row in rows] == [
        ("00" * 16, "00" * 8, "01" + "00" * 7),
        ("02" * 16, "02" * 8, "03" * 8),
        ("01" * 16, "07" * 8, "00" * 8),
    ]


HOSTILE_TEXTS = {
    "NUL": "a\x00b", "quotes": "'; DROP TABLE spans; --\\'", "newlines": "a\r\n\tb", "emoji": "🦙" * 100,
    "brackets": "((((((", "deep JSON": "[" * 5000, "placeholder": "{p0:String}", "spaces": "   ",
}  # fmt: skip


def test_hostile_text_in_every_field_at_once_is_stored_as_it_is(store: Store) -> None:
    resource_keys = [source.key for sources in FIELDS.values() for source in sources if source.form == "resource"]
    spans = [
        build_span(
            dict.fromkeys(wanted_keys(), text), dict.fromkeys(resource_keys, text),
            name=text, status_message=text, status=2, scope=text, events=[(text, dict.fromkeys(wanted_keys(), text))],
        )
        for text in HOSTILE_TEXTS.values()
    ]  # fmt: skip

    rows = store_spans(store, spans, ("name", "user_id", "attributes['session.id'] AS raw", "error_message"))

    assert rows == [dict.fromkeys(("name", "user_id", "raw", "error_message"), text) for text in HOSTILE_TEXTS.values()]


def test_values_of_a_megabyte_are_stored_whole(store: Store) -> None:
    keys = [
        "input.value",
        "output.value",
        "metadata",
        "user.id",
        "gen_ai.operation.name",
        "gen_ai.usage.input_tokens",
        "langfuse.observation.usage_details",
    ]

    rows = store_spans(
        store,
        [build_span(dict.fromkeys(keys, text), name=text, status=2, status_message=text) for text in ("x" * 2**20, "{" * 2**20)],
        ("length(name) AS name", "arraySum(x -> length(x), mapValues(attributes)) AS size", "length(error_message) AS message"),
    )

    assert rows == [{"name": 2**20, "size": 2**20 * len(keys), "message": 2**20}] * 2


def test_bytes_that_are_not_utf_8_break_nothing(store: Store) -> None:
    keys = wanted_keys()
    span = build_span({key: AnyValue(bytes_value=b"\xff\xfe\x00{" + bytes(range(256))) for key in keys}, status=2)

    (row,) = store_spans(store, [span], ("length(attributes) AS count", "hex(attributes['session.id']) AS raw"))

    assert row == {"count": len(keys), "raw": (b"\xff\xfe\x00{" + bytes(range(256))).hex().upper()}


def test_text_that_is_not_utf_8_breaks_nothing(store: Store) -> None:
    # A Protobuf library refuses such text when it builds a message; bytes of the same length take its place afterwards.
    request, batch_seq = ExportTraceServiceRequest(), next(batch_seqs)
    add_to(
        request,
        1,
        build_span(dict.fromkeys(wanted_keys(), "@@@@@@@@"), name="@@@@@@@@", status=2, status_message="@@@@@@@@"),
    )
    body = request.SerializeToString().replace(b"@@@@@@@@", b"\xc3\x28\xff\xfe\xed\xa0\x80\x00")

    insert_batch(store, [(1, RECEIVED_NS, body)], writer="semconv", batch_seq=batch_seq)

    assert store.query_rows("SELECT count() FROM spans WHERE batch_seq = {seq:UInt64}", seq=batch_seq) == [(1,)]


def test_a_thousand_attributes_are_all_kept(store: Store) -> None:
    span = build_span({f"key.{number}": number for number in range(1000)} | {"session.id": "s"})

    (row,) = store_spans(store, [span], ("length(attributes) AS count", "attributes['key.999'] AS last", "session_id"))

    assert row == {"count": 1001, "last": "999", "session_id": "s"}


def test_last_value_counts_of_an_attribute_sent_twice(store: Store) -> None:
    twice: list[tuple[str, Any]] = [
        ("gen_ai.request.model", "a"),
        ("user.id", "ada"),
        ("gen_ai.request.model", "b"),
        ("n", 1),
        ("n", "x"),
    ]
    columns = ("request_model", "attributes['gen_ai.request.model'] AS found", "mapKeys(attributes) AS keys",
               "mapValues(attributes) AS texts", "attribute_types")  # fmt: skip

    (row,) = store_spans(store, [build_span(twice)], columns)

    read = decode_attributes(row["keys"], row["texts"], row["attribute_types"])
    assert row["request_model"] == row["found"] == read["gen_ai.request.model"] == "b"
    assert read["n"] == "x"


def test_values_of_every_type_come_back_as_they_were_sent(store: Store) -> None:
    sent: dict[str, Any] = {
        "text": "a", "no text": "", "whole": -3, "float": 0.1, "yes": True, "no": False,
        "list": ["a", 1, 2.5, None, ["b", {"c": []}]],
        "empty list": [], "map": {"a": {"b": [1, {"c": "d"}]}, "e": None}, "empty map": {}, "nothing": None, "bytes": b"plain",
    }  # fmt: skip
    columns = (
        "mapKeys(attributes) AS keys",
        "arrayMap((x, i) -> if(substring(attribute_types, i, 1) IN ('a', 'k'), base64Encode(x), x), mapValues(attributes), "
        "arrayEnumerate(mapValues(attributes))) AS texts",
        "attribute_types",
    )

    (row,) = store_spans(store, [build_span(sent)], columns)

    read = decode_attributes(row["keys"], row["texts"], row["attribute_types"])
    assert {key: value for key, value in read.items() if key != "bytes"} == {
        key: value for key, value in sent.items() if key != "bytes"
    }
    assert row["attribute_types"] == "ssidbbaakkny"[::-1]
    assert list(read) == list(sent)


def test_key_sent_twice_and_empty_keys_break_nothing(store: Store) -> None:
    span = build_span(
        [("session.id", "first"), ("session.id", "second"), ("", "x"), ("", ""), ("user.id", None), ("user.id", "u")]
    )

    (row,) = store_spans(store, [span], ("session_id", "length(attributes) AS count"))

    assert row == {"session_id": "second", "count": 6}


def test_empty_request_and_empty_span_break_nothing(store: Store) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add()
    request.resource_spans.add()
    batch_seq = next(batch_seqs)

    insert_batch(store, [(1, 0, b""), (1, 0, request.SerializeToString())], writer="semconv", batch_seq=batch_seq)

    assert store.query_rows(
        "SELECT name, service, environment, kind, toYear(start_time) FROM spans WHERE batch_seq = {seq:UInt64}", seq=batch_seq
    ) == [("unknown", "unknown", "default", "other", 2000)]
