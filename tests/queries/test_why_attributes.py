"""What is different about attributes of spans, through the real ingest path."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces, new_trace_id
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.jobs.summarize import summarize_pending
from tracestore.language import parse_query
from tracestore.queries.why import attributes
from tracestore.queries.why.attributes import AttributeComparison, compare_attributes
from tracestore.queries.why.sides import Selection
from tracestore.timerange import TimeRange

pytestmark = pytest.mark.django_db

RANGE = TimeRange(T0 - 10**9, T0 + 3600 * 10**9)


def compare(store: Store, selection: str) -> AttributeComparison:
    return compare_attributes(
        store, project_id=1, time_range=RANGE, selection=Selection(parse_query(selection)), against=parse_query("")
    )


@pytest.fixture
def regions(store: Store, send_spans: SendSpans) -> Store:
    """Thirty traces in two regions, of which those in the east fail."""
    for east in (True, False):
        spans = []
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
            root = {"trace_id": trace_id, "span_id": "1" * 16, "start_ns": start_ns, "error": east, "attributes": attributes}
            spans += [root, root | {"span_id": "2" * 16, "parent": "1" * 16}]
        send_spans(*spans, resource={"acme.cluster": "one" if east else "two"})
    summarize_pending()
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
    for number in range(10):
        trace = {"trace_id": new_trace_id(), "start_ns": T0 + number * 10**9}
        spans.append(trace | {"span_id": "1" * 16, "error": number % 2 == 1})
        for call in (2, 3):
            attributes = {"acme.try": call, "gen_ai.latency.time_to_first_token": call}
            spans.append(trace | {"span_id": f"{call}" * 16, "parent": "1" * 16, "attributes": attributes})
    send_spans(*spans)
    summarize_pending()

    found = compare(store, "status:error")

    assert {item.value for item in found.differences} == {"2", "3"}
    assert {(item.selected, item.others) for item in found.differences} == {(5, 5)}
    assert found.first_token
    assert (found.first_token.selected.count, found.first_token.others.count) == (10, 10)


def test_ids_contents_lists_and_known_keys_are_left_out(regions: Store) -> None:
    keys = {item.dimension.label for item in compare(regions, "status:error").differences}

    assert not keys & {"acme.request", "acme.text", "acme.list", "gen_ai.request.model", "service.name"}


def test_codes_and_addresses_of_answers_are_compared_although_the_view_reads_them(store: Store, send_spans: SendSpans) -> None:
    spans = []
    for number in range(20):
        failed = number % 2 == 1
        attributes = {
            "http.response.status_code": 503 if failed else 200, "server.address": f"{'b' if failed else 'a'}.example",
            "success": not failed,
        }  # fmt: skip
        trace = {"trace_id": new_trace_id(), "start_ns": T0 + number * 10**9, "error": failed, "attributes": attributes}
        spans.append(trace)
    send_spans(*spans)
    summarize_pending()

    differences = compare(store, "status:error").differences

    assert {item.dimension.label for item in differences if item.is_significant} == {
        "http.response.status_code",
        "server.address",
    }


def test_what_the_query_asks_for_is_no_difference(regions: Store) -> None:
    keys = {item.dimension.label for item in compare(regions, "attr.acme.region:east").differences}

    assert "acme.cluster" in keys
    assert "acme.region" not in keys


def test_every_trace_counts_although_keys_are_chosen_by_a_part_of_them(regions: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = compare(regions, "status:error")
    monkeypatch.setattr(attributes, "_TRACES_SEEN", 5)

    found = compare(regions, "status:error")

    assert {item.dimension.label for item in found.differences} >= {"acme.region", "acme.cluster"}
    assert set(found.differences) <= set(exact.differences)


def test_a_trace_that_was_summarised_before_attributes_were_noted_is_left_out(regions: Store) -> None:
    insert_traces(regions, *({"start_ns": T0 + number, "outcome": "error"} for number in range(10)))

    found = compare(regions, "status:error")

    assert (found.selected, found.others, found.read_share) == (10, 20, 0.75)


def test_a_value_that_a_late_span_has_is_told(store: Store, send_spans: SendSpans) -> None:
    for number in range(20):
        root = {"trace_id": new_trace_id(), "span_id": "1" * 16, "start_ns": RANGE.end_ns - 10**9, "duration_ns": 10**12}
        late = {
            "span_id": "2" * 16,
            "parent": "1" * 16,
            "start_ns": RANGE.end_ns + 60 * 10**9,
            "attributes": {"acme.late": "yes"},
        }
        send_spans(root | {"error": number % 2 == 1}, root | late if number % 2 else root)
    summarize_pending()

    assert [(item.dimension.label, item.value) for item in compare(store, "status:error").differences] == [("acme.late", "yes")]


def test_nothing_selected_is_no_difference(store: Store) -> None:
    assert compare(store, "status:error").differences == []
