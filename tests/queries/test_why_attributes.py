"""What is different about attributes of spans, through the real ingest path."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.factories import insert_traces, new_trace_id
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.why import attributes
from tracestore.queries.why.attributes import AttributeComparison, compare_attributes, cut_slices
from tracestore.queries.why.sides import Selection
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0 - 10**9, T0 + 3600 * 10**9)


def compare(store: Store, selection: str, **options: Any) -> AttributeComparison:
    return compare_attributes(
        store, project_id=1, time_range=RANGE, selection=Selection(parse_query(selection)), against=parse_query(""), **options
    )


@pytest.fixture
def regions(store: Store, send_spans: SendSpans) -> Store:
    """Thirty traces in two regions, of which those in the east fail."""
    for east in (True, False):
        spans, traces = [], []
        for number in range(10 if east else 20):
            trace_id, start_ns = new_trace_id(), T0 + (2 * number + east) * 60 * 10**9
            attributes = {
                "acme.region": "east" if east else "west",
                "acme.request": f"request-{east}-{number}",
                "acme.text": "x" * 200,
                "acme.list": ["a", "b"],
                "acme.flag": number % 2 == 0,
                "gen_ai.request.model": "m-east" if east else "m-west",
                "gen_ai.latency.time_to_first_token": 1.0 + east,
            }
            root = {"trace_id": trace_id, "span_id": "1" * 16, "start_ns": start_ns, "attributes": attributes}
            spans += [root, root | {"span_id": "2" * 16, "parent": "1" * 16}]
            traces.append({"trace_id": trace_id, "start_ns": start_ns, "span_count": 2, "outcome": "error" if east else "ok"})
        send_spans(*spans, resource={"acme.cluster": "one" if east else "two"})
        insert_traces(store, *traces)
    return store


def test_attributes_of_spans_and_resources_are_compared_by_traces(regions: Store) -> None:
    found = compare(regions, "status:error")

    values = {(item.dimension.field, item.value): (item.selected, item.others) for item in found.differences}
    assert (found.selected, found.others, found.read_share) == (10, 20, 1.0)
    assert values[("attr.acme.region", "east")] == (10, 0)
    assert values[("attr.acme.region", "west")] == (0, 20)
    assert values[("attr.acme.cluster", "one")] == (10, 0)
    assert values[("attr.acme.flag", "true")] == (5, 10)
    assert {item.dimension.label for item in found.differences if item.is_significant} == {"acme.region", "acme.cluster"}


def test_every_span_of_a_trace_counts(store: Store, send_spans: SendSpans) -> None:
    spans: list[dict[str, Any]] = []
    traces: list[dict[str, Any]] = []
    for number in range(10):
        trace = {"trace_id": new_trace_id(), "start_ns": T0 + number * 10**9}
        spans.append(trace | {"span_id": "1" * 16})
        for call in (2, 3):
            attributes = {"acme.try": call, "gen_ai.latency.time_to_first_token": call}
            spans.append(trace | {"span_id": f"{call}" * 16, "parent": "1" * 16, "attributes": attributes})
        traces.append(trace | {"span_count": 3, "outcome": "error" if number % 2 else "ok"})
    send_spans(*spans)
    insert_traces(store, *traces)

    found = compare(store, "status:error")

    assert {item.value for item in found.differences} == {"2", "3"}
    assert {(item.selected, item.others) for item in found.differences} == {(5, 5)}
    assert found.first_token
    assert (found.first_token.selected.count, found.first_token.others.count) == (10, 10)


def test_ids_contents_lists_and_known_keys_are_left_out(regions: Store) -> None:
    keys = {item.dimension.label for item in compare(regions, "status:error").differences}

    assert not keys & {"acme.request", "acme.text", "acme.list", "gen_ai.request.model", "service.name"}


def test_codes_and_addresses_of_answers_are_compared_although_the_view_reads_them(store: Store, send_spans: SendSpans) -> None:
    spans, traces = [], []
    for number in range(20):
        trace_id, failed = new_trace_id(), number % 2 == 1
        attributes = {
            "http.response.status_code": 503 if failed else 200, "server.address": f"{'b' if failed else 'a'}.example",
            "success": not failed,
        }  # fmt: skip
        spans.append({"trace_id": trace_id, "span_id": "1" * 16, "start_ns": T0 + number * 10**9, "attributes": attributes})
        traces.append({"trace_id": trace_id, "start_ns": T0 + number * 10**9, "outcome": "error" if failed else "ok"})
    send_spans(*spans)
    insert_traces(store, *traces)

    differences = compare(store, "status:error").differences

    assert {item.dimension.label for item in differences if item.is_significant} == {
        "http.response.status_code",
        "server.address",
    }


def test_beyond_the_cap_what_a_part_of_the_range_finds_is_counted_in_all_of_it(regions: Store) -> None:
    found = compare(regions, "status:error", span_cap=30)

    assert (found.searched_share, found.read_share) == (0.5, 1.0)
    assert (found.selected, found.others, found.more_keys) == (10, 20, 0)
    counted = {(item.dimension.label, item.value): (item.selected, item.others) for item in found.differences}
    exact = compare(regions, "status:error").differences
    assert counted == {
        (item.dimension.label, item.value): (item.selected, item.others)
        for item in exact
        if item.dimension.label in ("acme.region", "acme.cluster")
    }
    assert {item.difference for item in found.differences} <= {item.difference for item in exact}


def test_what_both_sides_hold_alike_is_not_counted_beyond_the_cap(store: Store, send_spans: SendSpans) -> None:
    spans, traces = [], []
    for number in range(30):
        failed = number % 2 == 1
        root = {
            "trace_id": new_trace_id(),
            "span_id": "1" * 16,
            "start_ns": T0 + number * 60 * 10**9,
            "attributes": {"acme.code": 200},
        }
        spans.append(root)
        if failed:
            spans.append(root | {"span_id": "2" * 16, "parent": "1" * 16, "attributes": {"acme.code": 503}})
        traces.append(
            {
                "trace_id": root["trace_id"],
                "start_ns": root["start_ns"],
                "span_count": 1 + failed,
                "outcome": "error" if failed else "ok",
            }
        )
    send_spans(*spans)
    insert_traces(store, *traces)

    found = compare(store, "status:error", span_cap=30)

    assert found.read_share == 1.0
    assert {(item.value, item.selected, item.others) for item in found.differences} == {("503", 15, 0)}


def test_values_beyond_one_word_of_bits_are_counted_and_keys_beyond_the_limit_told(
    regions: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributes, "_MASK_BITS", 1)
    values = {(item.dimension.label, item.value) for item in compare(regions, "status:error", span_cap=30).differences}
    assert values == {("acme.region", "east"), ("acme.region", "west"), ("acme.cluster", "one"), ("acme.cluster", "two")}

    monkeypatch.setattr(attributes, "_COUNTED_KEYS", 1)
    found = compare(regions, "status:error", span_cap=30)
    assert (len({item.dimension.label for item in found.differences}), found.more_keys) == (1, 1)


def test_where_counting_takes_too_long_the_counts_are_of_the_part_and_the_answer_says_so(
    regions: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributes, "COUNT_FOUND", attributes.COUNT_FOUND + ", max_rows_to_read = 1")

    found = compare(regions, "status:error", span_cap=30)

    assert (found.searched_share, found.read_share) == (0.5, 0.5)
    assert 0 < found.selected + found.others < 30
    assert found.first_token
    assert (found.first_token.selected.count, found.first_token.others.count) == (2 * found.selected, 2 * found.others)


def test_slices_are_spread_evenly_and_do_not_overlap() -> None:
    slices = cut_slices(TimeRange(0, 24_000), 0.25)

    assert len(slices) == 24
    assert sum(part.end_ns - part.start_ns for part in slices) == 6000
    assert all(one.end_ns <= other.start_ns for one, other in itertools.pairwise(slices))
    assert cut_slices(RANGE, 1.0) == [RANGE]


def test_nothing_selected_is_no_difference(store: Store) -> None:
    assert compare(store, "status:error").differences == []
