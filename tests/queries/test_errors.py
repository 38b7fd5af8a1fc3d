"""Failed traces by their error on the real engine: groups, first seen, shares, and what came after a decision."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.language.fields import FIELDS
from tracestore.queries.errors import ErrorGroup, count_other_traces, count_shares, find_errors, find_onset, find_versions_after
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

HOUR_NS = 3600 * NS_PER_S
RANGE = TimeRange(T0, T0 + 24 * HOUR_NS)
TIMEOUT, LIMIT = "a" * 12, "b" * 12


def _failed(fingerprint: str, at_h: float, **values: Any) -> dict[str, Any]:
    return {
        "outcome": "error", "error_fingerprint": fingerprint, "error_types": ["Timeout"], "failing_span_id": b"\x02" * 8,
        "start_ns": T0 + int(at_h * HOUR_NS),
    } | values  # fmt: skip


def _find(store: Store, text: str = "", **options: Any) -> list[ErrorGroup]:
    return find_errors(store, project_id=1, time_range=RANGE, query=parse_query(text), **options)


@pytest.fixture
def failures(store: Store) -> Store:
    insert_traces(
        store,
        _failed(TIMEOUT, 1, user_id="u-1", versions=["v2"], error_message="first"),
        _failed(TIMEOUT, 2, user_id="u-2", versions=["v3"], tools=[("refund", 1, 1), ("lookup", 1, 0)], environment="prod"),
        _failed(TIMEOUT, 3, user_id="u-2", versions=["v3"], tools=[("refund", 2, 1)], error_message="newest", environment="prod"),
        _failed(LIMIT, 5, error_types=["RateLimit"], versions=["v3"]),
        {"start_ns": T0 + HOUR_NS, "versions": ["v3"]},
        _failed(TIMEOUT, -48),
        _failed(LIMIT, 2, project_id=2),
    )
    return store


def test_failures_are_grouped_by_their_error(failures: Store) -> None:
    first, second = _find(failures)

    assert (first.fingerprint, first.traces, first.users) == (TIMEOUT, 3, 2)
    assert (first.error_type, first.message, first.failing_span_id) == ("Timeout", "newest", "02" * 8)
    assert (first.versions, first.tools) == (["v3", "v2"], ["refund"])  # the most frequent first
    assert first.last_ns == T0 + 3 * HOUR_NS
    assert [count for _, count in first.trend] == [1, 1, 1]
    assert (second.fingerprint, second.traces, second.error_type) == (LIMIT, 1, "RateLimit")


def test_error_is_new_when_it_was_not_seen_before_the_range(failures: Store) -> None:
    known, new = _find(failures)

    assert (known.is_new, known.first_seen_ns) == (False, T0 - 48 * HOUR_NS)
    assert (new.is_new, new.first_seen_ns) == (True, T0 + 5 * HOUR_NS)


def test_query_narrows_the_errors_and_their_counts(failures: Store) -> None:
    [found] = _find(failures, "version:v3 tool:refund")

    assert (found.fingerprint, found.traces) == (TIMEOUT, 2)
    assert _find(failures, "version:v9") == []
    assert [group.fingerprint for group in _find(failures, f"fingerprint:{LIMIT}")] == [LIMIT]


def test_any_field_of_the_language_narrows_the_errors(failures: Store) -> None:
    for field in FIELDS:
        query = parse_query(f"{field.example} OR has_errors:false")

        assert count_shares(failures, project_id=1, time_range=RANGE, query=query), field.name
        assert find_errors(failures, project_id=1, time_range=RANGE, query=query), field.name


@pytest.mark.parametrize(
    ("sort", "order"),
    [("traces", [TIMEOUT, LIMIT]), ("last", [LIMIT, TIMEOUT]), ("first", [LIMIT, TIMEOUT]), ("users", [TIMEOUT, LIMIT])],
)
def test_errors_come_in_the_order_asked_for(failures: Store, sort: str, order: list[str]) -> None:
    assert [group.fingerprint for group in _find(failures, sort=sort)] == order
    assert [group.fingerprint for group in _find(failures, sort=sort, limit=1)] == order[:1]


def test_shares_count_each_trace_once_for_each_of_its_values(failures: Store) -> None:
    shares = count_shares(failures, project_id=1, time_range=RANGE, query=parse_query(f"fingerprint:{TIMEOUT}"))

    counted = {field: [(share.value, share.traces) for share in values] for field, values in shares.items()}
    assert counted["version"] == [("v3", 2), ("v2", 1)]
    assert counted["tool_error"] == [("refund", 2)]
    assert counted["env"] == [("prod", 2)]
    assert shares["version"][1].first_ns == T0 + HOUR_NS


def test_versions_after_a_moment_are_those_of_its_own_error(failures: Store) -> None:
    insert_traces(failures, _failed(LIMIT, 6))

    def after(**moments: float) -> dict[str, set[str]]:
        moments_ns = {name * 12: T0 + int(hours * HOUR_NS) for name, hours in moments.items()}
        return find_versions_after(failures, project_id=1, after_ns=moments_ns, end_ns=RANGE.end_ns)

    assert after(a=1, b=5) == {TIMEOUT: {"v3"}, LIMIT: {""}}
    assert after(a=3, b=0) == {LIMIT: {"v3", ""}}
    assert after() == {}
    assert find_versions_after(failures, project_id=1, after_ns={TIMEOUT: 0}, end_ns=T0 + 91 * DAY_NS) == {}


def test_other_traces_with_the_same_error_are_counted(store: Store) -> None:
    this, *_ = insert_traces(
        store,
        _failed(TIMEOUT, 1),
        _failed(TIMEOUT, 2),
        _failed(TIMEOUT, 3),
        _failed(LIMIT, 4),
        _failed(TIMEOUT, -48),
        _failed(TIMEOUT, 2, project_id=2),
    )

    found = count_other_traces(store, project_id=1, time_range=RANGE, fingerprint=TIMEOUT, trace_id=this)

    assert found == 2


def test_error_began_with_its_first_trace(store: Store) -> None:
    first = T0 - 10 * DAY_NS
    insert_traces(
        store,
        *({"outcome": "error", "error_fingerprint": "aa", "versions": versions, "start_ns": start, "trace_id": number * 32}
          for number, versions, start in (("1", ["v3"], T0), ("2", ["v2", "b1"], first), ("3", [], T0 - 200 * DAY_NS))),
        {"outcome": "error", "error_fingerprint": "bb", "versions": ["v1"], "start_ns": first - 1},
    )  # fmt: skip

    onset = find_onset(store, project_id=1, fingerprint="aa", end_ns=T0 + 1)

    assert onset is not None
    assert (onset.start_ns, onset.version, onset.trace_id) == (first, "v2", "2" * 32)
    assert find_onset(store, project_id=1, fingerprint="cc", end_ns=T0 + 1) is None
