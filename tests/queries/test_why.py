"""What is different about some traces, on the real engine: counts against plain Python, ranking, pairs, numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import format_filter, join_queries, parse_query
from tracestore.language.fields import find_field
from tracestore.queries.why.comparison import Comparison, find_differences
from tracestore.queries.why.fields import DIMENSIONS, NUMBERS, OUTCOME_FIELDS, demanded_fields
from tracestore.queries.why.sides import Selection, Sides
from tracestore.queries.why.values import Difference
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0, T0 + 10**9)


def compare(store: Store, selection: str, against: str = "", window: TimeRange | None = None, **options: Any) -> Comparison:
    chosen = Selection(parse_query(selection), window)
    return find_differences(store, project_id=1, time_range=RANGE, selection=chosen, against=parse_query(against), **options)


def find(comparison: Comparison, field: str, value: str) -> Difference:
    return next(found for found in comparison.differences if (found.dimension.field, found.value) == (field, value))


def models(*names: str) -> dict[str, Any]:
    columns = ("calls", "errors", "input_tokens", "output_tokens", "cached_input_tokens")
    providers = {"models.provider": [f"provider-{place}" for place in range(len(names))], "models.cost_usd": [None] * len(names)}
    return {"models.model": list(names), **providers, **{f"models.{column}": [1] * len(names) for column in columns}}


_SOME = st.lists(st.sampled_from(["a", "b", "é 'q\"", "x"]), max_size=2, unique=True)
_TRACES = st.lists(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(["ok", "error"]),
            "versions": _SOME,
            "agents": _SOME,
            "error_types": _SOME,
            "names": st.lists(st.sampled_from(["m", "n"]), max_size=3),
            "tools": st.lists(st.tuples(st.sampled_from(["t", "u"]), st.integers(1, 3), st.integers(0, 1)), max_size=2,
                              unique_by=lambda tool: tool[0]),
            "environment": st.sampled_from(["", "prod"]),
            "user_id": st.sampled_from(["", "u1", "u2"]),
            "escalated": st.booleans(),
        }
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip

Read = Callable[[dict[str, Any]], set[str]]
_VALUES: dict[str, Read] = {
    "version": lambda trace: set(trace["versions"]) or {""},
    "agent": lambda trace: set(trace["agents"]) or {""},
    "error": lambda trace: set(trace["error_types"]),
    "model": lambda trace: set(trace["names"]) or {""},
    "tool": lambda trace: {name for name, _, _ in trace["tools"]} or {""},
    "tool_error": lambda trace: {name for name, _, errors in trace["tools"] if errors},
    "env": lambda trace: {trace["environment"]},
    "user": lambda trace: {trace["user_id"]},
    "escalated": lambda trace: {"true" if trace["escalated"] else "false"},
}


@settings(max_examples=20, deadline=None)
@given(_TRACES, st.sampled_from(["", "env:prod", "user:u1"]))
def test_counts_are_those_of_plain_python(store: Store, traces: list[dict[str, Any]], against: str) -> None:
    store.command("TRUNCATE TABLE traces")
    rows = [{name: value for name, value in trace.items() if name != "names"} | models(*trace["names"]) for trace in traces]
    insert_traces(store, *rows, start_ns=T0)
    selected = [trace for trace in traces if trace["outcome"] == "error"]
    kept: dict[str, Callable[[dict[str, Any]], bool]] = {
        "": lambda _: True,
        "env:prod": lambda trace: trace["environment"] == "prod",
        "user:u1": lambda trace: trace["user_id"] == "u1",
    }
    others = [trace for trace in traces if trace["outcome"] != "error" and kept[against](trace)]

    comparison = compare(store, "status:error", against, min_support=1)

    expected = {
        (field, value): (sum(value in read(trace) for trace in selected), sum(value in read(trace) for trace in others))
        for field, read in _VALUES.items()
        for value in {value for trace in selected + others for value in read(trace)}
    }
    counted = {
        (found.dimension.field, found.value): (found.selected, found.others)
        for found in comparison.differences
        if found.dimension.field in _VALUES
    }
    assert (comparison.selected, comparison.others) == (len(selected), len(others))
    assert counted == expected


@pytest.fixture
def incident(store: Store) -> Store:
    """Version v3 with the tool refund fails most of the time; either alone hardly ever."""
    chance = random.Random(11)
    traces = []
    for _ in range(2000):
        version, tool = chance.choice(["v2", "v3"]), chance.choice(["refund", "lookup"])
        failed = chance.random() < (0.7 if (version, tool) == ("v3", "refund") else 0.02)
        traces.append(
            {
                "outcome": "error" if failed else "ok",
                "versions": [version],
                "tools": [(tool, 1, int(failed))],
                "prompts": [f"policy@{version}"],
                "agents": [chance.choice(["triage", "refunds"])],
                "session_id": f"session-{chance.randrange(900)}",
                "error_types": ["TimeoutError"] if failed else [],
                "duration_ns": round(chance.uniform(3, 9) * 10**9) if failed else round(chance.uniform(1, 3) * 10**9),
                "cost_usd": chance.choice([None, 0.01, 0.02]),
                "span_count": chance.randint(3, 9),
            }
        )
    insert_traces(store, *traces, start_ns=T0)
    return store


def test_what_explains_most_comes_first_and_what_is_alike_is_not_significant(incident: Store) -> None:
    comparison = compare(incident, "status:error")

    causes = [found for found in comparison.differences if not found.dimension.is_symptom]
    assert {(found.dimension.field, found.value) for found in causes[:4]} >= {("version", "v3"), ("tool", "refund")}
    assert find(comparison, "version", "v3").is_significant
    assert find(comparison, "version", "v3").difference.least > 0.3
    assert not find(comparison, "agent", "triage").is_significant
    assert not any(found.is_significant for found in comparison.differences if found.dimension.field == "session")
    assert comparison.tests > 100


def test_symptoms_are_told_from_causes(incident: Store) -> None:
    found = find(compare(incident, "status:error"), "error", "TimeoutError")

    assert found.dimension.is_symptom
    assert (found.selected_share, found.others, found.lift) == (1.0, 0, None)


def test_two_values_that_only_together_fail_are_a_pair(incident: Store) -> None:
    [pair] = compare(incident, "status:error").pairs

    assert {(found.dimension.field, found.value) for found in (pair.first, pair.second)} == {
        ("version", "v3"),
        ("tool", "refund"),
    }
    assert pair.both_rate == pytest.approx(0.7, abs=0.06)
    assert max(pair.first_rate, pair.second_rate, pair.neither_rate) < 0.06
    assert pair.excess.low is not None
    assert pair.excess.low > 0.5


def test_value_that_means_the_same_traces_says_so(incident: Store) -> None:
    comparison = compare(incident, "status:error")

    version, prompt = find(comparison, "version", "v3"), find(comparison, "prompt", "policy@v3")
    names = {found.dimension.field for found in (version.along_with, prompt.along_with) if found}
    assert len(names) == 1
    assert names < {"version", "prompt"}


def test_numbers_are_compared_by_their_distribution(incident: Store) -> None:
    comparison = compare(incident, "status:error")

    shifts = {shift.number.name: shift for shift in comparison.shifts}
    assert comparison.shifts[0].number.name == "duration"
    assert shifts["duration"].is_significant
    assert shifts["duration"].selected.p50 == pytest.approx(6e9, rel=0.1)
    assert shifts["duration"].others.p50 == pytest.approx(2e9, rel=0.1)
    assert sum(bar.share for bar in shifts["duration"].bars) == pytest.approx(1)
    assert not shifts["spans"].is_significant
    assert shifts["spans"].others.p50 in (5, 6, 7)
    assert shifts["cost"].others.p95 == pytest.approx(0.02, rel=0.03)
    assert shifts["cost"].selected.count < comparison.selected  # those without a price have no cost
    assert comparison.all_p95["duration"] == pytest.approx(8e9, rel=0.15)


def test_what_the_selection_demands_is_no_difference(incident: Store) -> None:
    comparison = compare(incident, "status:error version:v3 duration:>1s")

    assert not {"status", "version"} & {found.dimension.field for found in comparison.differences}
    assert "duration" not in {shift.number.name for shift in comparison.shifts}
    assert demanded_fields(parse_query("tool:(a OR b) -version:v3 (env:x OR user:y)")) == {"tool"}


def test_selection_on_spans_is_compared_as_well(incident: Store) -> None:
    comparison = compare(incident, "kind:tool")

    assert (comparison.selected, comparison.others) == (0, 2000)


def test_rare_values_are_left_out(store: Store) -> None:
    insert_traces(store, *[{"outcome": "error", "versions": [version]} for version in ("v1", "v1", "v1", "v2")], {}, start_ns=T0)

    assert {found.value for found in compare(store, "status:error", fields=("version",)).differences} == {"v1"}
    assert len(compare(store, "status:error", fields=("version",), min_support=1).differences) == 3


def test_brushed_area_of_time_is_compared_with_the_time_around_it(store: Store) -> None:
    insert_traces(
        store, *[{"start_ns": T0 + number, "versions": ["v3"] if 10 <= number < 20 else ["v2"]} for number in range(40)]
    )

    comparison = compare(store, "", window=TimeRange(T0 + 10, T0 + 20))

    assert (comparison.selected, comparison.others) == (10, 30)
    assert find(comparison, "version", "v3").difference.value == 1.0


def test_no_traces_are_no_difference(store: Store) -> None:
    assert compare(store, "status:error") == Comparison(0, 0, [], [], [], 0, {})


def test_other_projects_and_times_do_not_count(store: Store) -> None:
    insert_traces(store, {"outcome": "error"}, {"project_id": 2}, {"start_ns": T0 - 1}, {"start_ns": RANGE.end_ns}, start_ns=T0)

    comparison = compare(store, "status:error")

    assert (comparison.selected, comparison.others) == (1, 0)


def test_row_that_was_written_again_counts_once(store: Store) -> None:
    [trace_id] = insert_traces(store, {"outcome": "running"}, start_ns=T0, summarized_at=1)
    insert_traces(store, {"outcome": "error", "trace_id": trace_id}, start_ns=T0, summarized_at=2)

    assert compare(store, "status:error", min_support=1).selected == 1
    assert compare(store, "").selected == 1


def test_every_field_and_number_is_one_of_the_language() -> None:
    named = [*DIMENSIONS, *OUTCOME_FIELDS, *(number.field for number in NUMBERS if number.field)]

    assert all(found is not None and found.name == field for field in named for found in [find_field(field)])


def test_loops_and_retries_are_told_apart_from_none(store: Store) -> None:
    insert_traces(
        store, *[{"loops": n, "looping_calls": 9, "retried_calls": 2} for n in (1, 2, 3, 4)], start_ns=T0, outcome="error"
    )
    insert_traces(store, *[{"loops": n > 4} for n in range(6)], start_ns=T0)

    comparison = compare(store, "status:error")

    loops, retries = find(comparison, "loops", ">0"), find(comparison, "retries", ">0")
    assert (loops.selected, loops.others, loops.dimension.is_symptom) == (4, 1, False)
    assert (retries.selected, retries.others, retries.dimension.is_symptom) == (4, 0, True)
    narrowed = compare(store, join_queries("status:error", format_filter("loops", loops.value)), min_support=1)
    assert narrowed.selected == 4


def test_traces_that_arrive_between_the_reads_do_no_harm(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def insert(count: int, **columns: Any) -> None:
        insert_traces(store, *[{"tools": [("refund", 1, 0)], "user_id": "ann"} for _ in range(count)], start_ns=T0, **columns)

    insert(4, outcome="error")
    insert(1)
    read = Sides.read

    def read_and_receive(*args: Any, **more: Any) -> Any:
        rows = read(*args, **more)
        insert(3, outcome="error")
        insert(3)
        return rows

    monkeypatch.setattr(Sides, "read", read_and_receive)

    comparison = compare(store, "status:error")

    assert (comparison.selected, comparison.others) == (4, 1)
    assert (find(comparison, "tool", "refund").selected, find(comparison, "user", "ann").others) == (4, 1)
