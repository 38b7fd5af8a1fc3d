"""Two cohorts in numbers, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.cohort_tools import compare_tools
from tracestore.queries.cohorts import COHORT_METRICS, CohortComparison, CohortMetric, compare_cohorts, strict_confidence
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0, T0 + 10**9)


def compare(store: Store, a: str = "version:v2", b: str = "version:v3") -> CohortComparison:
    return compare_cohorts(store, project_id=1, time_range=RANGE, a=parse_query(a), b=parse_query(b))


def metrics(comparison: CohortComparison) -> dict[str, CohortMetric]:
    return {metric.name: metric for metric in comparison.metrics}


def cohort(version: str, count: int, **values: Any) -> list[dict[str, Any]]:
    return [{"versions": [version], **{name: read(number) for name, read in values.items()}} for number in range(count)]


@pytest.fixture
def versions(store: Store) -> Store:
    insert_traces(
        store,
        *cohort("v2", 200, outcome=lambda n: "error" if n < 20 else "ok", duration_ns=lambda n: (n + 1) * 10**7,
                cost_usd=lambda n: 0.01 + n % 2 * 0.002, tools=lambda _: [("refund", 2, 0), ("lookup", 1, 1)]),
        *cohort("v3", 100, outcome=lambda n: "error" if n < 40 else "ok", duration_ns=lambda n: (n + 1) * 10**8,
                cost_usd=lambda n: None if n < 50 else 0.02 + n % 2 * 0.002, tools=lambda n: [("refund", 2, int(n < 50))]),
        start_ns=T0,
    )  # fmt: skip
    return store


def test_rates_are_compared_with_newcombes_interval(versions: Store) -> None:
    rate = metrics(compare(versions))["failure_rate"]

    assert rate.a is not None
    assert rate.b is not None
    assert rate.difference is not None
    assert (rate.a.value, rate.b.value) == (0.1, 0.4)
    assert rate.difference.value == pytest.approx(0.3)
    assert rate.difference.low == pytest.approx(0.199, abs=0.01)
    assert rate.is_significant


def test_durations_are_exact_order_statistics(versions: Store) -> None:
    p50 = metrics(compare(versions))["duration_p50"]

    assert p50.b is not None
    # Ranks 40 and 61 of a hundred (Campbell and Gardner 1988), in steps of 0.1 s.
    assert (p50.b.low, p50.b.value, p50.b.high) == (4_000_000_000, 5_100_000_000, 6_100_000_000)
    assert p50.is_significant


def test_middle_of_three_durations_is_the_second(store: Store) -> None:
    insert_traces(store, *cohort("v3", 3, duration_ns=lambda n: (n + 1) * 10**9), start_ns=T0)

    p50 = metrics(compare(store))["duration_p50"].b

    assert p50 is not None
    assert p50.value == 2 * 10**9


def test_difference_is_certain_at_a_level_shared_by_all_metrics(versions: Store) -> None:
    rate = metrics(compare(versions))["failure_rate"]

    assert strict_confidence(len(COHORT_METRICS)) == pytest.approx(1 - 0.05 / 10)
    assert rate.difference is not None
    assert rate.certain is not None
    assert (rate.certain.low or 0) < (rate.difference.low or 0)
    assert (rate.certain.high or 0) > (rate.difference.high or 0)


def test_cost_is_that_of_traces_that_have_a_price(versions: Store) -> None:
    cost = metrics(compare(versions))["cost_per_trace"]

    assert cost.a is not None
    assert cost.b is not None
    assert cost.a.value == pytest.approx(0.011)
    assert cost.b.value == pytest.approx(0.021)
    assert cost.is_significant


def test_tool_success_counts_calls_and_with_a_tool_in_the_query_its_own(versions: Store) -> None:
    rate = metrics(compare(versions))["tool_success_rate"]
    own = metrics(compare(versions, "version:v2 tool:refund", "version:v3 tool:refund"))["tool_success_rate"]

    assert rate.a is not None
    assert own.a is not None
    assert own.b is not None
    assert rate.a.value == pytest.approx(2 / 3)
    assert (own.a.value, own.b.value) == (1.0, 0.75)
    assert own.difference is not None
    assert own.difference.excludes_zero


def test_equal_cohorts_do_not_differ_and_say_that_they_are_one(versions: Store) -> None:
    comparison = compare(versions, "version:v3", "version:v3")

    assert (comparison.a_traces, comparison.shared) == (100, 100)
    assert not any(metric.is_significant for metric in comparison.metrics)


def test_single_trace_has_no_bounds_and_none_no_metrics(store: Store) -> None:
    insert_traces(store, {"versions": ["v3"], "cost_usd": 0.5}, start_ns=T0)

    found = metrics(compare(store))

    assert found["failure_rate"].a is None
    assert found["cost_per_trace"].b is not None
    assert (found["cost_per_trace"].b.value, found["cost_per_trace"].b.low) == (0.5, None)
    assert found["duration_p50"].b is not None
    assert found["duration_p50"].b.low is None
    assert all(metric.difference is None and not metric.is_significant for metric in found.values())


def test_tool_that_fails_more_often_comes_first_and_says_by_how_much(versions: Store) -> None:
    found = compare_tools(versions, project_id=1, time_range=RANGE, a=parse_query("version:v2"), b=parse_query("version:v3"))

    refund, lookup = found
    assert (refund.name, refund.a_calls, refund.b_calls, refund.b_traces) == ("refund", 400, 200, 100)
    assert refund.a is not None
    assert refund.b is not None
    assert refund.difference is not None
    assert (refund.a.value, refund.b.value, refund.difference.value) == (0.0, 0.25, 0.25)
    assert refund.is_significant
    assert (lookup.name, lookup.b, lookup.difference, lookup.is_significant) == ("lookup", None, None, False)
    assert lookup.a is not None
    assert lookup.a.value == 1.0


def test_calls_of_one_trace_count_for_less_than_those_of_many(store: Store) -> None:
    insert_traces(
        store,
        *cohort("v2", 20, tools=lambda _: [("refund", 10, 0)]),
        *cohort("v3", 20, tools=lambda n: [("refund", 10, 10 * (n == 0))]),
        start_ns=T0,
    )

    [refund] = compare_tools(store, project_id=1, time_range=RANGE, a=parse_query("version:v2"), b=parse_query("version:v3"))

    assert (refund.a_calls, refund.b_calls) == (200, 200)
    assert not refund.is_significant  # ten failures, all of one trace


def test_query_that_names_a_tool_compares_it_alone(versions: Store) -> None:
    a, b = parse_query("version:v2 tool:(refund OR nothing)"), parse_query("version:v3 tool:refund")

    assert [tool.name for tool in compare_tools(versions, project_id=1, time_range=RANGE, a=a, b=b)] == ["refund"]
