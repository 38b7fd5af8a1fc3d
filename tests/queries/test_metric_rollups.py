"""Metrics from `traces` and from `rollups`: which is read, and that both answer alike."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.factories import insert_traces
from tests.queries.metrics import EIGHT_HOURS, HOUR_S, ONE_HOUR, START_NS, START_S, model_columns, seconds, series_of, value_of
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.model import Series
from tracestore.queries.metrics import sources
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS, OF_WHOLE_TRACE
from tracestore.queries.metrics.rollups import rollup_dimension
from tracestore.queries.rollups import recompute_hours, recompute_rollups
from tracestore.timerange import NS_PER_S, TimeRange


@pytest.mark.parametrize(
    ("text", "metric", "group_by", "dimension"),
    [
        ("", "requests", "", ""),
        ("version:v3 service:bot env:prod", "failure_rate", "version", ""),
        ("tool:refund", "duration_p95", "", "tool"),
        ("tool:refund", "tool_calls", "tool", "tool"),
        ("", "tool_calls", "", "tool"),
        ("tool:refund", "tool_calls", "version", "tool"),
        ("", "tool_calls", "version", None),
        ("error:TimeoutError", "requests", "error", "error"),
        ("", "cost", "model", "model"),
        ("", "llm_calls", "", ""),
        ("", "model_error_rate", "", ""),
        ("", "model_duration_p95", "model", "model"),
        ("workflow:refunds", "cost", "", "workflow"),
        ("", "tool_duration_p95", "", "tool"),
        ("tool:refund", "model_error_rate", "", None),
        ("provider:openai", "model_error_rate", "", None),
        ("", "model_error_rate", "provider", None),
        ("", "step_duration_p95", "", None),
        ("", "cost_per_session", "", None),
        ("", "cost", "user", None),
        ("tool:refund", "llm_calls", "", None),
        ("tool:refund", "requests", "agent", None),
        ("tool:refund error:TimeoutError", "requests", "", None),
        ("tool:refund tool:lookup", "requests", "", None),
        ("agent:triage", "tool_calls", "", None),
        ("model:gpt-5", "cost", "", None),
        ("status:error", "requests", "", None),
        ("-version:v3", "requests", "", None),
        ("version:v*", "requests", "", None),
        ("version:(v2 OR v3)", "requests", "", None),
        ("version:v2 OR version:v3", "requests", "", None),
        ("", "requests", "outcome", None),
    ],
)
def test_rollups_are_used_only_where_they_hold_the_answer(text: str, metric: str, group_by: str, dimension: str | None) -> None:
    assert rollup_dimension(EIGHT_HOURS, parse_query(text), metric, group_by, HOUR_S) == dimension


@pytest.mark.parametrize(
    ("time_range", "step_s"),
    [
        (TimeRange(START_NS + 1, EIGHT_HOURS.end_ns), HOUR_S),
        (TimeRange(START_NS, EIGHT_HOURS.end_ns - 1), HOUR_S),
        (EIGHT_HOURS, 30),
        (ONE_HOUR, 60),
    ],
)
def test_short_or_uneven_ranges_are_read_from_traces(time_range: TimeRange, step_s: int) -> None:
    assert rollup_dimension(time_range, parse_query(""), "requests", "", step_s) is None


def is_known(metric: str, group_by: str) -> bool:
    """Tell whether metric and grouping go together; some numbers are those of a whole trace."""
    return group_by != "score" and not (metric in OF_WHOLE_TRACE and group_by in ("model", "provider"))


def random_traces(count: int) -> list[dict[str, Any]]:
    chance = random.Random(7)
    traces = []
    for _ in range(count):
        failed = chance.random() < 0.2
        usages = [
            (model, chance.randint(1, 3), chance.randint(1, 900), chance.randint(1, 90), chance.choice([None, 0.25, 0.5]))
            for model in ("large", "small")
            if chance.random() < 0.6
        ]
        traces.append(
            {
                "start_ns": START_NS + chance.randrange(8 * HOUR_S * NS_PER_S),
                "duration_ns": chance.randrange(1, 20 * NS_PER_S),
                "outcome": "error" if failed else chance.choice(["ok", "ok", "running"]),
                "has_errors": failed or chance.random() < 0.1,
                "escalated": chance.random() < 0.1,
                "escalation_reasons": chance.sample(["refund failed", "asked for a person"], chance.randint(0, 1)),
                "handoff_reasons": chance.sample(["billing", "speaks German"], chance.randint(0, 1)),
                "handed_over": chance.random() < 0.2,
                "unpriced_models": ["house-7b"] if chance.random() < 0.1 else [],
                "unpriced_calls": chance.randint(0, 2),
                "retried_calls": chance.randint(0, 2),
                "loops": chance.choice([0, 0, 1, 2]),
                "looping_calls": chance.randint(0, 5),
                "wasted_tokens": chance.randint(0, 900),
                "wasted_cost_usd": chance.choice([0.0, 0.25, 0.5]),
                "workflows": chance.sample(["onboarding", "returns"], chance.randint(0, 2)),
                "prompts": chance.sample(["refund-policy@4", "greeting"], chance.randint(0, 1)),
                "session_id": chance.choice(["", "s1", "s2", "s3"]),
                "user_id": chance.choice(["", "u1", "u2"]),
                "steps.kind": ["agent", "retriever"],
                "steps.durations": [random_buckets(chance, 2), random_buckets(chance, 1)],
                "cache_creation_input_tokens": chance.randint(0, 50),
                "input_audio_tokens": chance.randint(0, 9),
                "output_audio_tokens": chance.randint(0, 9),
                "error_types": chance.sample(["TimeoutError", "ValueError"], chance.randint(1, 2)) if failed else [],
                "agents": chance.sample(["triage", "refunds"], chance.randint(0, 2)),
                "versions": chance.sample(["v1", "v2", "v3"], chance.randint(0, 2)),
                "services": chance.choice([["bot"], ["bot", "api"]]),
                "environment": chance.choice(["prod", "dev", ""]),
                "span_count": chance.randint(1, 40),
                "reasoning_tokens": chance.randint(0, 50),
                **(model_columns(*usages) if usages else {}),
                "tools": [
                    (tool, chance.randint(1, 4), chance.randint(0, 1)) for tool in ("refund", "search") if chance.random() < 0.5
                ],
            }
        )
        trace = traces[-1]
        trace["tools.durations"] = [random_buckets(chance, calls) for _, calls, _ in trace["tools"]]
        if usages:
            trace["models.errors"] = [chance.randint(0, 1) for _ in usages]
            trace["llm_errors"] = sum(trace["models.errors"])
            trace["models.durations"] = [random_buckets(chance, calls) for _, calls, *_ in usages]
            trace["models.first_tokens"] = [random_buckets(chance, calls - 1) for _, calls, *_ in usages]
    return traces


def random_buckets(chance: random.Random, count: int) -> list[int]:
    return seconds(*(chance.uniform(0.001, 9) for _ in range(count)))


def test_traces_and_rollups_give_equal_numbers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = random_traces(600)
    insert_traces(store, *traces)
    recompute_rollups(store, project_id=1, bucket_starts_s={trace["start_ns"] // NS_PER_S for trace in traces})
    texts = [
        "", "version:v3", "version:v3 service:api env:prod", "tool:refund", "error:TimeoutError version:v2", "agent:triage",
        "workflow:returns",
    ]  # fmt: skip
    compared = 0

    for text in texts:
        query = parse_query(text)
        for metric in METRICS:
            for group_by in ("", *GROUPINGS) if not text else ("", "version", "tool"):
                if (
                    metric.endswith(("_p50", "_p90", "_p99"))
                    or not is_known(metric, group_by)
                    or rollup_dimension(EIGHT_HOURS, query, metric, group_by, HOUR_S) is None
                ):
                    continue
                rolled = series_of(store, metric, text, group_by, EIGHT_HOURS, HOUR_S)
                with monkeypatch.context() as patched:
                    patched.setattr(sources, "rollup_dimension", lambda *_: None)
                    raw = series_of(store, metric, text, group_by, EIGHT_HOURS, HOUR_S)
                assert_equal_series(rolled, raw, f"{metric} of {text!r} by {group_by!r}")
                compared += 1

    assert compared > 250


def test_long_ranges_are_read_from_hours_and_give_equal_numbers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = random_traces(300)
    for trace in traces:
        trace["start_ns"] = START_NS + (trace["start_ns"] - START_NS) * 6
    insert_traces(store, *traces)
    starts = {trace["start_ns"] // NS_PER_S for trace in traces}
    recompute_rollups(store, project_id=1, bucket_starts_s=starts)
    # The last hours are not added up yet, and both ends of the range cut an hour.
    recompute_hours(store, project_id=1, hour_starts_s=[start for start in starts if start < START_S + 40 * HOUR_S])
    two_days = TimeRange(START_NS + 600 * NS_PER_S, START_NS + (48 * HOUR_S - 600) * NS_PER_S)
    read: list[str] = []
    query_rows = store.query_rows

    def note(sql: str, **params: Any) -> list[tuple[Any, ...]]:
        read.append(sql)
        return query_rows(sql, **params)

    monkeypatch.setattr(store, "query_rows", note)

    for metric, group_by, step_s in [
        ("requests", "", 2 * HOUR_S), ("cost", "version", 2 * HOUR_S), ("duration_p95", "agent", 2 * HOUR_S),
        ("tool_duration_p95", "tool", 2 * HOUR_S), ("requests", "", HOUR_S // 2),
    ]:  # fmt: skip
        rolled = series_of(store, metric, "", group_by, two_days, step_s)
        assert all(("rollups_hourly" in sql) == (step_s % HOUR_S == 0) for sql in read)
        total = value_of(store, metric, time_range=two_days)
        assert "rollups_hourly" in read[-1]
        with monkeypatch.context() as patched:
            patched.setattr(sources, "rollup_dimension", lambda *_: None)
            raw = series_of(store, metric, "", group_by, two_days, step_s)
            raw_total = value_of(store, metric, time_range=two_days)
        read.clear()
        assert_equal_series(rolled, raw, metric)
        assert total == pytest.approx(raw_total)


def assert_equal_series(rolled: list[Series], raw: list[Series], what: str) -> None:
    assert [series.group for series in rolled] == [series.group for series in raw], what
    for one, other in zip(rolled, raw, strict=True):
        for (start_ns, value), (other_start_ns, expected) in zip(one.points, other.points, strict=True):
            assert start_ns == other_start_ns, what
            assert value == (None if expected is None else pytest.approx(expected, rel=1e-6)), what
