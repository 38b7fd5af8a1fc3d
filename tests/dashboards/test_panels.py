"""What a panel draws: lines, units, groupings, the query behind each point, the period before, and the file of it."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.panels.builtin import BUILT_IN
from dashboards.panels.charts import Line, build_figure, duration_unit, per_minute
from dashboards.panels.measures import MEASURES, describe_change, read_values, rise_means, short_labels
from dashboards.panels.own_dashboards import check_panels
from dashboards.panels.panel import (
    OFFERED_GROUPINGS,
    WHOLE_RANGE_S,
    Panel,
    Scope,
    build_chart,
    build_csv,
    chart_range,
    find_traces_query,
    read_panel,
    step_name,
    whole_range,
)
from dashboards.panels.tiles import build_table, build_tiles
from tracestore.language import Query, parse_query
from tracestore.model import Series
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS, MetricError
from tracestore.timerange import NS_PER_S, TimeRange

MINUTE_NS = 60 * NS_PER_S
RANGE = TimeRange(100 * MINUTE_NS, 110 * MINUTE_NS)
START = RANGE.start_ns
EVERY_PANEL = [
    pytest.param(panel, id=f"{board.slug}: {panel.title or panel.metrics[0]}")
    for board in BUILT_IN.values()
    for panel in board.panels
]


class Stored:
    """Answers for the store: `series` by (metric, group_by), of the period before by `earlier`. Notes what it is asked."""

    def __init__(self, series: dict[tuple[str, str], list[Series]], earlier: dict[tuple[str, str], list[Series]] | None = None):
        self.series, self.earlier = series, earlier or {}
        self.queries: list[Query] = []
        self.steps: list[int] = []

    def __call__(self, metric: str, group_by: str, query: Query, time_range: TimeRange, step_s: int, most: int) -> list[Series]:
        self.queries.append(query)
        self.steps.append(step_s)
        return (self.series if time_range == RANGE else self.earlier)[metric, group_by]


def scope(text: str = "", chosen: str = "", *, compares: bool = False) -> Scope:
    return Scope(text, RANGE, 300, chosen, compares)


def chart_of(panel: Panel, series: dict[tuple[str, str], list[Series]], text: str = "", chosen: str = "") -> dict[str, Any]:
    return build_chart(panel, scope(text, chosen), Stored(series))


def one(group: str, *values: float | None, at: int = START) -> Series:
    return Series(group, [(at + index * 300 * NS_PER_S, value) for index, value in enumerate(values)])


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_every_built_in_panel_could_have_been_made_by_hand(panel: Panel) -> None:
    assert [checked.metrics for checked in check_panels([panel.to_json()])] == [panel.metrics]
    assert read_panel(panel.to_json()) == panel
    assert panel.title or panel.kind == "number"


@pytest.mark.parametrize("panel", EVERY_PANEL)
@pytest.mark.parametrize("chosen", ["", "version"])
def test_every_built_in_panel_reads_metrics_and_groupings_that_exist(panel: Panel, chosen: str) -> None:
    read: set[str] = set()

    def record(metric: str, group_by: str, query: Query, time_range: TimeRange, step_s: int, most: int) -> list[Series]:
        read.add(metric)
        assert group_by in {"", *OFFERED_GROUPINGS}
        return [one("llm" if group_by == "kind" else "", 1.0)]

    if panel.kind == "number":
        read_values(panel.metrics, lambda names: read.update(names) or dict.fromkeys(names, 1.0))  # type: ignore[func-returns-value]
    elif panel.kind == "table":
        build_table(panel, scope(chosen=chosen), record)
    else:
        build_chart(panel, scope(chosen=chosen), record)

    assert read
    assert read <= set(METRICS)


def test_dashboards_of_the_promise_are_there() -> None:
    assert list(BUILT_IN) == ["overview", "cost", "latency", "tools", "models", "versions", "escalations", "users"]


def test_metric_of_the_store_goes_before_a_sum_of_ours() -> None:
    assert all(MEASURES[name].label == metric.label for name, metric in METRICS.items())


def test_groupings_whose_traces_can_be_searched_for_are_offered() -> None:
    assert set(GROUPINGS) - set(OFFERED_GROUPINGS) <= {"score"}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("group_by", ["", "model", "tool"])
def test_traces_behind_every_measure_can_be_searched_for(name: str, group_by: str) -> None:
    text = find_traces_query(name, "env:a OR env:b", parse_query("env:a OR env:b"), group_by, 'x "y" OR z' if group_by else "")

    assert len(parse_query(text).conditions) >= 1


def test_failed_calls_of_a_model_lead_to_traces_in_which_that_model_failed() -> None:
    answer = chart_of(Panel("x", ("model_error_rate",)), {("model_error_rate", "model"): [one("gpt-5", 0.5)]}, chosen="model")

    assert answer["queries"] == ["model:gpt-5 llm{model:gpt-5 status:error}"]


def test_metric_that_is_gone_is_named() -> None:
    with pytest.raises(MetricError, match="cots"):
        chart_of(Panel("x", ("cots",)), {("cots", ""): []})


def test_click_on_a_group_asks_for_its_value_beside_the_query_of_the_page() -> None:
    series = {("failure_rate", "version"): [one("v 3", 0.5), one("", 0.1)]}

    answer = chart_of(Panel("Failures", ("failure_rate",)), series, "tool:refund OR tool:search", "version")

    assert answer["queries"] == [
        '(tool:refund OR tool:search) version:"v 3" status:error',
        "(tool:refund OR tool:search) -has:version status:error",
    ]
    assert answer["labels"] == ["v 3", "no version"]


def test_query_of_a_panel_goes_beside_that_of_the_page() -> None:
    stored = Stored({("requests", ""): [one("", 1.0)]})

    answer = build_chart(Panel("x", ("requests",), query="tool:a OR tool:b"), scope("env:prod OR env:qa"), stored)

    assert answer["queries"] == ["(env:prod OR env:qa) (tool:a OR tool:b)"]
    assert stored.queries == [parse_query("(env:prod OR env:qa) (tool:a OR tool:b)")]


@pytest.mark.parametrize(("text", "group_by", "expected"), [
    ("env:prod", "tool", ["env:prod tool_error:refund"]),
    ("tool:refund", "", ["tool:refund tool_error:refund"]),
    ("env:prod", "", ["env:prod tool_error:*"]),
])  # fmt: skip
def test_click_on_a_tools_success_rate_finds_where_that_tool_failed(text: str, group_by: str, expected: list[str]) -> None:
    panel = Panel("x", ("tool_success_rate",), "line", group_by)

    answer = chart_of(panel, {("tool_success_rate", group_by): [one("refund" if group_by else "", 0.9)]}, text)

    assert answer["queries"] == expected


def test_points_lead_to_their_bucket_and_never_beyond_the_range() -> None:
    panel, range_ns = Panel("x", ("requests",)), TimeRange(START, START + 7 * MINUTE_NS)
    answer = build_chart(panel, Scope("", range_ns, 300), lambda *_: [one("", 1.0, 2.0)])

    assert list(answer["figure"]["data"][0]["x"]) == [START / 1e6, (START + 5 * MINUTE_NS) / 1e6]
    assert answer["step_s"] == 300
    assert answer["ends"] == [(START + 7 * MINUTE_NS) / 1e6]


def test_period_before_is_a_dashed_line_under_the_same_times_that_leads_to_its_own_traces() -> None:
    back_ns = 10 * MINUTE_NS
    panel = Panel("x", ("failure_rate",))
    stored = Stored({("failure_rate", ""): [one("", 0.5, 0.4)]}, {("failure_rate", ""): [one("", 0.2, 0.1, at=START - back_ns)]})

    now, before = (answer := build_chart(panel, scope(compares=True), stored))["figure"]["data"]

    assert before["x"] == now["x"]
    assert before["y"] == [0.2, 0.1]
    assert before["customdata"] == [(START - back_ns) / 1e6, (START - back_ns + 5 * MINUTE_NS) / 1e6]
    assert answer["ends"] == [RANGE.end_ns / 1e6, START / 1e6]
    assert (now["line"].get("dash"), before["line"]["dash"]) == (None, "4px,3px")
    assert before["line"]["color"] == now["line"]["color"]
    assert answer["figure"]["layout"]["showlegend"] is False


def test_period_before_of_groups_is_that_of_the_groups_shown() -> None:
    stored = Stored(
        {("cost_per_trace", "version"): [one("v2", 1.0), one("v3", 1.0)]},
        {("cost_per_trace", "version"): [one("v1", 9.0), one("v3", 2.0)]},
    )

    answer = build_chart(Panel("x", ("cost_per_trace",)), scope(chosen="version", compares=True), stored)

    assert answer["labels"] == ["v2", "v3", "v3"]
    assert answer["figure"]["data"][2]["line"]["color"] == answer["figure"]["data"][1]["line"]["color"]


def test_stacked_bars_are_compared_with_the_height_that_they_had() -> None:
    stored = Stored(
        {("cost", "model"): [one("a", 1.0, 1.0), one("b", 1.0, 1.0)]},
        {("cost", "model"): [one("a", 2.0, 3.0), one("c", 5.0, 0.0)]},
    )

    answer = build_chart(Panel("x", ("cost",), "stacked", "model"), scope(compares=True), stored)

    assert answer["figure"]["data"][-1]["y"] == [7.0, 3.0]
    assert answer["figure"]["data"][-1]["meta"] == "before"
    assert answer["figure"]["layout"]["yaxis"]["range"][1] > 7


def test_bars_stand_by_height_with_a_tick_where_they_were() -> None:
    stored = Stored(
        {("cost", "agent"): [one("a", 1.0, at=0), one("<b>b", 5.0, at=0), one("", None, at=0)]},
        {("cost", "agent"): [one("a", 3.0, at=0)]},
    )

    answer = build_chart(Panel("x", ("cost",), "bar", "agent", "env:prod"), scope(compares=True), stored)

    assert answer["labels"] == ["<b>b", "a", "a"]
    assert answer["queries"][:2] == ['env:prod agent:"<b>b" cost:>0', "env:prod agent:a cost:>0"]
    assert answer["figure"]["layout"]["yaxis"]["ticktext"] == ["&lt;b>b", "a"]
    assert [(trace["x"], trace["y"]) for trace in answer["figure"]["data"]] == [([5.0], [0]), ([1.0], [1]), ([3.0], [1])]
    assert answer["step_s"] == 600
    assert stored.steps == [WHOLE_RANGE_S] * 2


def test_names_are_shown_and_not_read_as_html() -> None:
    answer = chart_of(Panel("x", ("requests",)), {("requests", "tool"): [one('<a href="//x">&amp;', 1.0)]}, chosen="tool")

    assert answer["figure"]["data"][0]["name"] == '&lt;a href="//x">&amp;amp;'
    assert answer["labels"] == ['<a href="//x">&amp;']


def test_single_failure_rate_is_red_and_groups_are_not() -> None:
    panel = Panel("x", ("failure_rate",))
    alone = chart_of(panel, {("failure_rate", ""): [one("", 0.5)]})
    grouped = chart_of(panel, {("failure_rate", "version"): [one("v3", 0.5)]}, chosen="version")

    assert alone["figure"]["data"][0]["line"]["color"] == "var(--error)"
    assert grouped["figure"]["data"][0]["line"]["color"] == "var(--series-1)"


def test_panel_with_a_grouping_keeps_it() -> None:
    assert Panel("x", ("cost",), "line", "model").grouping("version") == "model"
    assert Panel("x", ("cost",)).grouping("version") == "version"
    assert Panel("x", ("cost",), "number").grouping("version") == ""


def test_rate_of_zero_is_drawn_and_missing_data_is_a_sentence() -> None:
    assert not chart_of(Panel("x", ("failure_rate",)), {("failure_rate", ""): [one("", 0.0)]})["empty"]
    assert chart_of(Panel("x", ("failure_rate",)), {("failure_rate", ""): [one("", None)]})["empty"] == "No traces in this range"
    assert "priced" in chart_of(Panel("x", ("cost",)), {("cost", ""): [one("", 0.0)]})["empty"]
    assert "tool call" in chart_of(Panel("x", ("requests",), "bar", "tool"), {("requests", "tool"): []})["empty"]
    assert "retry or loop" in chart_of(Panel("x", ("wasted_cost",), "stacked", "agent"), {("wasted_cost", "agent"): []})["empty"]


def test_cached_tokens_are_not_stacked_twice() -> None:
    series = {
        ("input_tokens", ""): [one("", 100.0)],
        ("cached_input_tokens", ""): [one("", 80.0)],
        ("output_tokens", ""): [one("", 5.0)],
    }

    answer = chart_of(Panel("x", ("uncached_input_tokens", "cached_input_tokens", "output_tokens"), "stacked"), series)

    assert [(line["name"], list(line["y"])) for line in answer["figure"]["data"]] == [
        ("Uncached input", [20.0]), ("Cached input", [80.0]), ("Output", [5.0]),
    ]  # fmt: skip
    assert answer["unit"] == "per 5 m"


def test_percentiles_stand_in_their_order_with_their_unit_on_the_axis() -> None:
    names = ("duration_p95", "duration_p50", "duration_p99")
    series = {(name, ""): [one("", value)] for name, value in zip(names, (4.0, 2.0, 9.0), strict=True)}

    figure = chart_of(Panel("x", names), series)["figure"]

    assert [line["name"] for line in figure["data"]] == ["p50", "p95", "p99"]
    assert figure["data"][1]["line"]["color"] == "var(--series-1)"  # that of the panel's first metric
    assert figure["layout"]["yaxis"]["ticksuffix"] == " s"


def test_labels_that_stand_together_leave_out_what_they_share() -> None:
    assert short_labels(["duration_p50", "duration_p95"]) == ["p50", "p95"]
    assert short_labels(["requests", "failures"]) == ["Requests", "Failures"]
    assert short_labels(["duration_p50"]) == ["Duration p50"]


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
    answer = chart_of(Panel("x", ("failure_rate",)), {("failure_rate", ""): [one("", 1.0)]})

    assert answer["figure"]["layout"]["yaxis"]["range"][1] <= 1.02


def test_long_ranges_are_widened_to_whole_minutes_so_that_rollups_can_serve_them() -> None:
    time_range, step_s = chart_range(TimeRange(12_345_678_901, 7 * 86_400 * NS_PER_S + 987))
    whole = whole_range(TimeRange(12_345_678_901, 7 * 86_400 * NS_PER_S + 987))

    assert time_range.start_ns % (step_s * NS_PER_S) == 0
    assert step_s % 60 == 0
    assert time_range.end_ns % MINUTE_NS == whole.start_ns % MINUTE_NS == whole.end_ns % MINUTE_NS == 0


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


def test_rise_of_a_success_rate_is_good_and_that_of_a_cost_neither() -> None:
    assert [rise_means(name) for name in ("tool_success_rate", "failure_rate", "duration_p99", "cost", "requests")] == [
        "better", "worse", "worse", "neutral", "neutral",
    ]  # fmt: skip
    assert describe_change(0.8, 0.9, "ratio", "better") == ("-10.0 pts", "worse")


def test_tiles_of_one_query_are_read_at_once_and_lead_to_their_traces() -> None:
    asked: list[tuple[list[str], int]] = []

    def read(metrics: Any, query: Query, time_range: TimeRange) -> dict[str, float | None]:
        asked.append((list(metrics), time_range.start_ns))
        return dict.fromkeys(metrics, 0.5 if time_range == RANGE else 0.25)

    panels = [Panel("", (name,), "number") for name in ("failure_rate", "requests")] + [
        Panel("Refunds", ("failures",), "number", query="tool:refund"), Panel("Lost", ("gone",), "number"),
    ]  # fmt: skip
    tiles = build_tiles(panels, scope("env:prod"), read)

    assert asked == [
        (["failure_rate", "requests"], START), (["failures"], START),
        (["failure_rate", "requests"], START - 10 * MINUTE_NS), (["failures"], START - 10 * MINUTE_NS),
    ]  # fmt: skip
    assert [tile.label for tile in tiles] == ["Failure rate", "Requests", "Refunds", "Lost"]
    assert (tiles[0].value, tiles[0].change, tiles[0].trend, tiles[0].previous) == ("50%", "+25.0 pts", "worse", "25%")
    assert [tile.query for tile in tiles[:3]] == ["env:prod status:error", "env:prod", "env:prod tool:refund status:error"]
    assert "no metric gone" in tiles[3].help


def test_table_has_the_greatest_first_and_a_row_leads_to_the_traces_of_its_group() -> None:
    panel = Panel("x", ("cost", "failure_rate"), "table", "user")
    stored = Stored(
        {("cost", "user"): [one("ada", 1.0), one("", 4.0)], ("failure_rate", "user"): [one("ada", 0.5), one("", None)]},
        {("cost", "user"): [one("ada", 2.0)], ("failure_rate", "user"): []},
    )

    table = build_table(panel, scope("env:prod", compares=True), stored)

    assert [(row.label, row.query) for row in table.rows] == [("no user", "env:prod -has:user"), ("ada", "env:prod user:ada")]
    assert [[cell.value for cell in row.cells] for row in table.rows] == [["$4.00", "–"], ["$1.00", "50%"]]
    assert [[cell.share for cell in row.cells] for row in table.rows] == [[100, 0], [25, 0]]
    assert table.rows[1].cells[0].change == "-50.0%"


def test_file_of_a_chart_has_a_row_for_each_bucket_and_group_with_units_in_the_header() -> None:
    series = {("failure_rate", "version"): [one("v3", 0.5, None), one("", 0.1, 0.2)]}

    rows = list(build_csv(Panel("x", ("failure_rate",)), scope(chosen="version"), Stored(series)))

    middle = START + 5 * MINUTE_NS
    assert rows == [
        ["start_time", "end_time", "version", "failure_rate (ratio)"],
        [START, middle, "v3", 0.5],
        [START, middle, "", 0.1],
        [middle, RANGE.end_ns, "v3", None],
        [middle, RANGE.end_ns, "", 0.2],
    ]


def test_file_of_a_table_has_all_its_metrics_over_the_whole_range() -> None:
    series = {("cost", "user"): [one("ada", 1.0, at=0)], ("requests", "user"): [one("ada", 2.0, at=0)]}

    rows = list(build_csv(Panel("x", ("cost", "requests"), "table", "user"), scope(), Stored(series)))

    assert rows == [
        ["start_time", "end_time", "user", "cost (USD)", "requests (traces)"],
        [RANGE.start_ns, RANGE.end_ns, "ada", 1.0, 2.0],
    ]


def test_group_without_a_value_is_left_out_and_the_others_keep_their_colours() -> None:
    series = {("time_to_first_token_p95", "model"): [one("embedding", None), one("gpt-5", 0.4)]}

    answer = chart_of(Panel("x", ("time_to_first_token_p95",), "line", "model"), series)

    assert answer["labels"] == ["gpt-5"]
    assert answer["figure"]["data"][0]["line"]["color"] == "var(--series-2)"
