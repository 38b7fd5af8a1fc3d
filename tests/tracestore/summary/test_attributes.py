"""Which codes of its spans' attributes a trace keeps."""

from __future__ import annotations

from tests.span_table import ROOT, span, summarize, summarize_all
from tracestore.summary.attributes import VALUE_BITS


def code(key: int, value: int) -> int:
    return (key << VALUE_BITS) + value


def test_codes_of_all_spans_count_once_and_traces_stay_apart() -> None:
    one, two, three = code(1, 5), code(1, 6), code(2, 5)
    spans = [ROOT | {"attribute_codes": [three, one]}, span("a", "root") | {"attribute_codes": [two, one]}, span("b", "root")]
    other = [item | {"trace_id": "other", "attribute_codes": [two]} for item in spans[:1]]
    bare = [item | {"trace_id": "bare", "attribute_codes": []} for item in spans[:1]]

    rows = summarize_all([*spans, *other, *bare])

    assert {row["trace_id"]: row["attribute_codes"] for row in rows} == {
        "trace": [0, one, two, three],
        "other": [0, two],
        "bare": [0],
    }


def test_a_key_of_ids_leaves_room_for_others() -> None:
    ids = [span(f"s{n}", "root") | {"attribute_codes": [code(1, n), code(2, n % 3)]} for n in range(500)]

    codes = summarize(ROOT, *ids)["attribute_codes"]

    assert [item >> VALUE_BITS for item in codes] == [0] + [1] * 32 + [2] * 3


def test_a_trace_keeps_so_many_codes() -> None:
    spans = [span(f"s{n}", "root") | {"attribute_codes": [code(100 * n + key, 0) for key in range(100)]} for n in range(50)]

    assert len(summarize(ROOT, *spans)["attribute_codes"]) == 4096
