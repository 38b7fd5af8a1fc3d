"""Traces by session and by user on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.language.fields import FIELDS
from tracestore.queries.sessions import SESSION, SORTS, USER, ModelShare, Usage, count_models, find_usages
from tracestore.timerange import NS_PER_S, TimeRange

RANGE = TimeRange(T0, T0 + 3600 * NS_PER_S)


def _model(name: str, cost_usd: float | None, errors: int = 0) -> dict[str, Any]:
    return {
        "models.model": [name], "models.provider": ["p"], "models.calls": [2], "models.errors": [errors],
        "models.input_tokens": [10], "models.output_tokens": [4], "models.cached_input_tokens": [0],
        "models.cost_usd": [cost_usd],
    }  # fmt: skip


@pytest.fixture
def traces(store: Store) -> Store:
    insert_traces(
        store,
        {
            "session_id": "s-1", "user_id": "u-1", "start_ns": T0 + 10 * NS_PER_S, "duration_ns": 5 * NS_PER_S,
            "agents": ["triage"], "input_tokens": 10, "output_tokens": 4, "cost_usd": 0.5, **_model("gpt-5", 0.5),
        },
        {
            "session_id": "s-1", "user_id": "u-1", "start_ns": T0 + 60 * NS_PER_S, "duration_ns": 40 * NS_PER_S,
            "outcome": "error", "escalated": True, "agents": ["billing"], "unpriced_models": ["x"], **_model("x", None, errors=1),
        },
        {"session_id": "s-2", "user_id": "u-1", "start_ns": T0 + 120 * NS_PER_S, "cost_usd": 0.25, **_model("gpt-5", 0.25)},
        {"session_id": "s/3\n", "user_id": "u-2", "start_ns": T0 + 130 * NS_PER_S},
        {"start_ns": T0 + 140 * NS_PER_S},
        {"session_id": "s-1", "user_id": "u-1", "start_ns": T0 - NS_PER_S},
        {"session_id": "s-9", "user_id": "u-9", "start_ns": T0, "project_id": 2},
    )  # fmt: skip
    return store


def _find(store: Store, column: str, text: str = "", **options: Any) -> list[Usage]:
    return find_usages(store, column, project_id=1, time_range=RANGE, query=parse_query(text), **options)


def test_session_adds_up_its_traces_of_the_range(traces: Store) -> None:
    found = {usage.id: usage for usage in _find(traces, SESSION)}

    assert list(found) == ["s/3\n", "s-2", "s-1"]
    one = found["s-1"]
    assert (one.traces, one.failures, one.escalations) == (2, 1, 1)
    assert (one.first_ns, one.last_ns, one.duration_ns) == (T0 + 10 * NS_PER_S, T0 + 100 * NS_PER_S, 90 * NS_PER_S)
    assert (one.input_tokens, one.output_tokens, one.cost_usd, one.unpriced) == (10, 4, 0.5, 1)
    assert (one.others, one.others_count, one.agents, one.models) == (["u-1"], 1, ["billing", "triage"], ["gpt-5", "x"])
    assert found["s/3\n"].cost_usd is None


def test_user_adds_up_sessions(traces: Store) -> None:
    found = {usage.id: usage for usage in _find(traces, USER)}

    assert (found["u-1"].traces, found["u-1"].others, found["u-1"].others_count) == (3, ["s-1", "s-2"], 2)
    assert found["u-1"].cost_usd == 0.75
    assert set(found) == {"u-1", "u-2"}


def test_query_narrows_both_lists(traces: Store) -> None:
    assert [usage.id for usage in _find(traces, SESSION, "status:error")] == ["s-1"]
    assert [usage.traces for usage in _find(traces, USER, "session:s-2")] == [1]


def test_any_field_of_the_language_narrows_the_lists(traces: Store) -> None:
    for field in FIELDS:
        text = f"{field.example} OR has_errors:false"

        assert _find(traces, SESSION, text), field.name
        assert count_models(traces, project_id=1, time_range=RANGE, query=parse_query(text)), field.name


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("last", "s/3\n"), ("start", "s/3\n"), ("traces", "s-1"), ("failures", "s-1"), ("escalations", "s-1"), ("tokens", "s-1"),
        ("cost", "s-1"), ("duration", "s-1"),
    ],
)  # fmt: skip
def test_order_and_pages(traces: Store, sort: str, first: str) -> None:
    assert sort in SORTS
    everything = [usage.id for usage in _find(traces, SESSION, sort=sort)]

    assert everything[0] == first
    assert len(everything) == 3
    assert [usage.id for usage in _find(traces, SESSION, sort=sort, limit=2, offset=1)] == everything[1:]


@pytest.mark.parametrize("old_lasts_s", [60, 90_000])
def test_latest_ends_come_first_however_early_a_trace_began(store: Store, old_lasts_s: int) -> None:
    day = TimeRange(T0, T0 + 86_400 * NS_PER_S)
    recent = [
        {"session_id": f"s-{number}", "user_id": "u", "start_ns": day.end_ns - (10 - number) * 60 * NS_PER_S}
        for number in range(5)
    ]
    insert_traces(store, *recent, {"session_id": "old", "user_id": "v", "start_ns": T0, "duration_ns": old_lasts_s * NS_PER_S})
    insert_traces(store, {"session_id": "s-4", "user_id": "u", "start_ns": T0 + NS_PER_S})

    def names(column: str, limit: int) -> list[tuple[str, int]]:
        found = find_usages(store, column, project_id=1, time_range=day, query=parse_query(""), limit=limit)
        return [(usage.id, usage.traces) for usage in found]

    newest = [("s-4", 2), ("s-3", 1), ("s-2", 1), ("s-1", 1), ("s-0", 1)]
    expected = [("old", 1), *newest] if old_lasts_s > 86_400 else [*newest, ("old", 1)]
    assert [names(SESSION, limit) for limit in (2, 6, 10)] == [expected[:2], expected, expected]
    assert names(USER, 1) == ([("v", 1)] if old_lasts_s > 86_400 else [("u", 6)])


def test_models_are_counted_dearest_first(traces: Store) -> None:
    found = count_models(traces, project_id=1, time_range=RANGE, query=parse_query("user:u-1"))

    assert found == [
        ModelShare("gpt-5", traces=2, calls=4, errors=0, input_tokens=20, output_tokens=8, cost_usd=0.75),
        ModelShare("x", traces=1, calls=2, errors=1, input_tokens=10, output_tokens=4, cost_usd=None),
    ]
