"""What the dashboard draws: lines, units, groupings and the query behind each."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.charts import Line, build_figure, duration_unit, per_minute
from dashboards.panels import PANELS, build_panel, chart_range, narrow, step_name
from dashboards.views.dashboard import describe_change
from tracestore.model import Series
from tracestore.queries.metrics import METRICS
from tracestore.timerange import NS_PER_S, TimeRange

MINUTE_NS = 60 * NS_PER_S
RANGE = TimeRange(0, 10 * MINUTE_NS)


def panel_of(name: str, series: dict[tuple[str, str], list[Series]], query_text: str = "", chosen: str = "") -> dict[str, Any]:
    return build_panel(
        PANELS[name], query_text=query_text, chosen=chosen, time_range=RANGE, step_s=300, read=lambda *key: series[key]
    )


def test_every_panel_reads_metrics_that_exist() -> None:
    for panel in PANELS.values():
        for chosen in ("", "version"):
            read: list[str] = []

            def record(metric: str, group_by: str, read: list[str] = read) -> list[Series]:
                read.append(metric)
                return [Series("", [(0, 1.0)])]

            build_panel(panel, query_text="", chosen=chosen, time_range=RANGE, step_s=300, read=record)

            assert set(read) <= set(METRICS)


def test_click_on_a_group_asks_for_its_value_beside_the_query_of_the_page() -> None:
    series = {("failure_rate", "version"): [Series("v 3", [(0, 0.5)]), Series("", [(0, 0.1)])]}

    answer = panel_of("failure-rate", series, "tool:refund OR tool:search", "version")

    assert answer["queries"] == [
        '(tool:refund OR tool:search) status:error version:"v 3"',
        "(tool:refund OR tool:search) status:error -version:*",
    ]
    assert [line["name"] for line in answer["figure"]["data"]] == ["v 3", "no version"]


def test_click_on_a_tools_success_rate_finds_where_that_tool_failed() -> None:
    answer = panel_of("tool-success-rate", {("tool_success_rate", "tool"): [Series("refund", [(0, 0.9)])]}, "env:prod")

    assert answer["queries"] == ["env:prod tool_error:refund"]


def test_single_failure_rate_is_red_and_groups_are_not() -> None:
    alone = panel_of("failure-rate", {("failure_rate", ""): [Series("", [(0, 0.5)])]})
    grouped = panel_of("failure-rate", {("failure_rate", "version"): [Series("v3", [(0, 0.5)])]}, chosen="version")

    assert alone["figure"]["data"][0]["line"]["color"] == "var(--error)"
    assert grouped["figure"]["data"][0]["line"]["color"] == "var(--series-1)"


def test_rate_of_zero_is_drawn_and_missing_data_is_not() -> None:
    assert not panel_of("failure-rate", {("failure_rate", ""): [Series("", [(0, 0.0)])]})["empty"]
    assert panel_of("failure-rate", {("failure_rate", ""): [Series("", [(0, None)])]})["empty"]
    assert panel_of("cost", {("cost", ""): [Series("", [(0, 0.0)])]})["empty"]


def test_cached_tokens_are_not_stacked_twice() -> None:
    series = {
        ("input_tokens", ""): [Series("", [(0, 100.0)])],
        ("cached_input_tokens", ""): [Series("", [(0, 80.0)])],
        ("output_tokens", ""): [Series("", [(0, 5.0)])],
    }

    answer = panel_of("tokens", series)

    assert [(line["name"], list(line["y"])) for line in answer["figure"]["data"]] == [
        ("Input", [20.0]), ("Cached input", [80.0]), ("Output", [5.0]),
    ]  # fmt: skip
    assert answer["unit"] == "per 5 m"


def test_counts_become_a_rate_over_the_part_of_the_bucket_that_lies_in_the_range() -> None:
    time_range = TimeRange(MINUTE_NS, 6 * MINUTE_NS)

    assert per_minute([(0, 8.0), (5 * MINUTE_NS, 8.0)], time_range, 300) == [(0, 2.0), (5 * MINUTE_NS, 8.0)]


@pytest.mark.parametrize(("seconds", "unit"), [(0.2, "ms"), (40.0, "s"), (600.0, "m"), (9000.0, "h")])
def test_durations_are_drawn_in_the_unit_that_reads_best(seconds: float, unit: str) -> None:
    assert duration_unit([Line("p95", [(0, seconds)], "")])[0].name == unit


def test_value_between_two_gaps_is_a_dot() -> None:
    line = Line("p95", [(0, None), (300 * NS_PER_S, 1.0), (600 * NS_PER_S, None)], "var(--accent)")

    figure = build_figure([line], kind="line", unit=duration_unit([line])[0], time_range=RANGE, step_s=300)

    assert list(figure["data"][0]["marker"]["size"]) == [0, 5, 0]


@pytest.mark.parametrize(("gap", "fill"), [(0.0, "tozeroy"), (None, None)])
def test_line_with_a_gap_is_not_filled(gap: float | None, fill: str | None) -> None:
    line = Line("rate", [(0, 1.0), (300 * NS_PER_S, gap), (600 * NS_PER_S, 1.0)], "var(--error)")

    figure = build_figure([line], kind="line", unit=duration_unit([line])[0], time_range=RANGE, step_s=300)

    assert figure["data"][0].get("fill") == fill


def test_rates_never_reach_above_their_highest_possible_value() -> None:
    answer = panel_of("failure-rate", {("failure_rate", ""): [Series("", [(0, 1.0)])]})

    assert answer["figure"]["layout"]["yaxis"]["range"][1] <= 1.02


def test_long_ranges_are_widened_to_whole_minutes_so_that_rollups_can_serve_them() -> None:
    time_range, step_s = chart_range(TimeRange(12_345_678_901, 7 * 86_400 * NS_PER_S + 987))

    assert time_range.start_ns % (step_s * NS_PER_S) == 0
    assert time_range.end_ns % MINUTE_NS == 0
    assert step_s % 60 == 0


@pytest.mark.parametrize(("text", "condition", "expected"), [
    ("", "status:error", "status:error"),
    ("status:error", "status:error", "status:error"),
    ("a OR b", "version:v3", "(a OR b) version:v3"),
    ("env:prod", "", "env:prod"),
])  # fmt: skip
def test_narrowing_keeps_the_meaning_of_the_query(text: str, condition: str, expected: str) -> None:
    assert narrow(text, condition) == expected


@pytest.mark.parametrize(
    ("step_s", "name"), [(1, "second"), (30, "30 s"), (60, "minute"), (900, "15 m"), (7200, "2 h"), (86_400, "day")]
)
def test_steps_have_names(step_s: int, name: str) -> None:
    assert step_name(step_s) == name


@pytest.mark.parametrize(("value", "previous", "unit", "expected"), [
    (0.12, 0.10, "ratio", ("+2.0 pts", "worse")),
    (0.05, 0.10, "ratio", ("-5.0 pts", "better")),
    (0.10, 0.0, "ratio", ("+10.0 pts", "worse")),
    (1.5, 1.0, "s", ("+50.0%", "worse")),
    (50.0, 1.0, "s", ("×50", "worse")),
    (1.0, 1.0, "s", ("no change", "neutral")),
    (1.0, None, "s", ("", "neutral")),
    (1.0, 0.0, "s", ("", "neutral")),
])  # fmt: skip
def test_change_is_said_in_points_or_percent(value: float, previous: float | None, unit: str, expected: tuple[str, str]) -> None:
    assert describe_change(value, previous, unit, "worse") == expected
