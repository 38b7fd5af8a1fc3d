"""A dashboard's page, its numbers, its charts and tables, and their files, on the real engine."""

from __future__ import annotations

import csv
import io
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from dashboards.panels.builtin import BUILT_IN
from tests.dashboards.answers import body_of
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.models import Dashboard, Project
from tracestore.timerange import NS_PER_S, format_time_ns

pytestmark = pytest.mark.usefixtures("default_project")

REQUESTS, FAILURES, ERRORS = (f"/dashboards/overview/panels/{index}" for index in (5, 6, 7))


def make_board(project: Project, *panels: dict[str, Any], slug: str = "mine") -> str:
    """Store a dashboard as it is, unchecked, and return its path."""
    full = [{"title": "T", "metrics": ["requests"], "kind": "line", "group_by": "", "query": ""} | panel for panel in panels]
    Dashboard.objects.create(project=project, name="Mine", slug=slug, panels=full)
    return f"/dashboards/{slug}"


def test_old_address_leads_to_the_overview_with_its_search(client: Client) -> None:
    response = client.get("/dashboard?q=version:v3")

    assert response.headers["Location"] == "/dashboards/overview?q=version:v3"


def test_without_any_trace_the_page_shows_the_way_to_the_setup(client: Client, store: Store) -> None:
    body = client.get("/dashboards/overview").content.decode()

    assert "Connect an agent" in body
    assert "data-chart=" not in body


@pytest.mark.parametrize("slug", BUILT_IN)
def test_page_has_a_frame_per_panel_with_all_that_is_chosen_in_its_address(client: Client, store: Store, slug: str) -> None:
    insert_traces(store)
    chosen = "q=version%3Av3&start=now-7d&group_by=tool&compare=previous&refresh=1m"

    body = client.get(f"/dashboards/{slug}?{chosen}").content.decode()

    panels = BUILT_IN[slug].panels
    for index, panel in enumerate(panels):
        address = f"/dashboards/{slug}/panels/{index}?{chosen}".replace("&", "&amp;")
        assert (f'data-chart="{address}"' in body) == (panel.kind not in ("number", "table"))
        assert (f'hx-get="{address}"' in body) == (panel.kind == "table")
    assert body.count('class="card tile"') == sum(panel.kind == "number" for panel in panels)
    assert 'data-refresh="60"' in body
    assert f'<a href="/dashboards/cost?{chosen}"'.replace("&", "&amp;") in body
    assert 'name="start" value="now-7d"' in body


def test_cost_tells_which_prompt_it_went_to(client: Client, store: Store) -> None:
    insert_traces(store, {"prompts": ["greeting@4"], "cost_usd": 0.5}, {"prompts": ["greeting@5"], "cost_usd": 2.0})
    [index] = [place for place, panel in enumerate(BUILT_IN["cost"].panels) if panel.title == "Cost of traces by prompt"]

    lines = client.get(f"/dashboards/cost/panels/{index}").json()["figure"]["data"]

    assert {line["name"]: sum(value or 0 for value in line["y"]) for line in lines} == {"greeting@4": 0.5, "greeting@5": 2.0}


def test_choice_that_does_not_exist_is_none(client: Client, store: Store) -> None:
    insert_traces(store)

    body = client.get("/dashboards/overview?group_by=moon&compare=x&refresh=1ms").content.decode()

    assert "selected" not in body
    assert "group_by=" not in body
    assert 'data-refresh="0"' in body


@pytest.mark.parametrize(("chosen", "marks"), [("", True), ("?versions=off", False)])
def test_markers_can_be_switched_off(client: Client, store: Store, chosen: str, marks: bool) -> None:
    insert_traces(store)

    assert ("data-markers=" in client.get("/dashboards/overview" + chosen).content.decode()) == marks


@pytest.mark.parametrize(("group_by", "overlaps"), [("tool", True), ("outcome", False), ("", False)])
def test_page_says_when_one_trace_counts_in_several_groups(client: Client, store: Store, group_by: str, overlaps: bool) -> None:
    insert_traces(store)

    body = client.get("/dashboards/overview", {"group_by": group_by}).content.decode()

    assert (f"A trace with more than one {group_by} counts in each." in body) == overlaps


def test_page_is_free_of_inline_script_and_style(client: Client, store: Store) -> None:
    insert_traces(store)

    response = client.get('/dashboards/users?q="<script>alert(1)</script>"')

    assert b" style=" not in response.content
    assert b"<script>" not in response.content
    assert "unsafe-inline" not in response["Content-Security-Policy"]


def test_bad_query_is_422_with_the_sentence_and_no_charts(client: Client, store: Store) -> None:
    response = client.get("/dashboards/cost?q=verison:v3")

    assert response.status_code == 422
    assert "There is no field" in response.content.decode()


@pytest.mark.parametrize("slug", BUILT_IN)
def test_every_panel_answers(client: Client, store: Store, slug: str) -> None:
    insert_traces(
        store, {"outcome": "error", "error_types": ["TimeoutError"], "escalated": True}, {"session_id": "s-2"},
        tools=[("refund", 1, 1)], cost_usd=0.5, input_tokens=10, output_tokens=5, versions=["v3"], user_id="ada",
        agents=["triage"], workflows=["refunds"], prompts=["greeting@4"],
        **{
            "models.model": ["gpt-5"], "models.provider": ["openai"], "models.calls": [1], "models.errors": [0],
            "models.input_tokens": [10], "models.output_tokens": [5], "models.cached_input_tokens": [0], "models.cost_usd": [0.5],
        },
        llm_calls=1, handed_over=True, escalation_reasons=["refund_limit"], unpriced_models=["acme-7b"], unpriced_calls=1,
        session_id="s-1", wasted_cost_usd=0.1,
        **{
            "tools.durations": [[500]], "models.durations": [[600]], "models.first_tokens": [[400]],
            "steps.kind": ["llm"], "steps.durations": [[600]],
        },
    )  # fmt: skip
    params = {"start": "now-1h", "compare": "previous"}

    for index, panel in enumerate(BUILT_IN[slug].panels):
        response = client.get(f"/dashboards/{slug}/panels/{index}", params)
        assert response.status_code == 200
        if panel.kind == "table":
            assert "figures__name" in response.content.decode(), panel
        elif panel.kind != "number":
            assert not response.json()["empty"], panel
    tiles = client.get(f"/dashboards/{slug}/numbers", params).content.decode()
    assert tiles.count("tile stat") == sum(panel.kind == "number" for panel in BUILT_IN[slug].panels)


@pytest.mark.parametrize(
    "group_by",
    ["version", "tool", "error", "agent", "environment", "outcome", "user", "workflow", "escalation_reason", "unpriced_model"],
)
def test_click_on_any_point_finds_exactly_the_traces_that_it_counts(
    client: Client, store: Store, default_project: Project, group_by: str
) -> None:
    now_ns = time.time_ns()
    insert_traces(
        store,
        *(
            {
                "start_ns": now_ns - at * 137 * NS_PER_S,
                "versions": [["v1"], ["v1", "v2"], []][at % 3],
                "tools": [[("refund", 1, 0)], [], [("search", 1, 0), ("refund", 1, 1)]][at % 3],
                "error_types": [[], ["TimeoutError"]][at % 2],
                "outcome": ["ok", "error"][at % 2],
                "agents": [["triage"], ["billing", "triage"]][at % 2],
                "environment": ["prod", ""][at % 2],
                "user_id": ["ada", "", "größe OR x"][at % 3],
                "workflows": [["w 1"], []][at % 2],
                "escalated": at % 3 > 0,
                "escalation_reasons": [[], [], ["over limit"]][at % 3],
                "handed_over": at % 3 > 0,
                "unpriced_models": [["acme-7b"], []][at % 2],
            }
            for at in range(12)
        ),
    )
    path = make_board(default_project, {"kind": "stacked", "group_by": group_by, "query": "status:error OR tool:refund"})

    answer = client.get(path + "/panels/0?q=-tool:nobody&start=now-1h").json()

    clicks = 0
    for curve, line in enumerate(answer["figure"]["data"]):
        for start_ms, count in zip(line["x"], line["y"], strict=True):
            end_ms = min(start_ms + answer["step_s"] * 1000, answer["ends"][curve])
            times = {"start": format_time_ns(int(start_ms * 1e6)), "end": format_time_ns(int(end_ms * 1e6))}
            if count:
                found = client.get("/api/v1/traces", {"q": answer["queries"][curve], **times}).json()["results"]
                assert len(found) == count, (answer["queries"][curve], times)
                clicks += 1
    assert clicks >= 4


def test_of_several_metrics_the_one_that_a_grouping_leaves_is_named(client: Client, store: Store) -> None:
    insert_traces(store)

    plain = client.get("/dashboards/overview").content.decode()
    grouped = client.get("/dashboards/overview?group_by=version").content.decode()

    assert ">Duration</a>" in plain
    assert '>Duration p95</a> <span class="muted">by version</span>' in grouped


def test_panel_without_a_group_says_what_no_trace_names(client: Client, store: Store) -> None:
    insert_traces(store)

    charts = [client.get(f"/dashboards/escalations/panels/{panel}?start=now-1h").json() for panel in (6, 7)]
    table = client.get("/dashboards/escalations/panels/13?start=now-1h").content.decode()

    named = [chart["empty"].removeprefix("No trace of this range names its ") for chart in charts]
    assert named == ["escalation reason", "hand-off reason"]
    assert "No trace of this range names its workflow" in table


def test_chart_that_fails_says_so_in_a_sentence(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise QueryTooExpensive("Choose a shorter time range.")

    monkeypatch.setattr("dashboards.views.dashboard.metric_series", refuse)
    chart, table = client.get(REQUESTS), client.get("/dashboards/users/panels/12")

    assert (chart.status_code, chart.json()) == (503, {"error": {"message": "Choose a shorter time range."}})
    assert "Choose a shorter time range." in table.content.decode()


def test_panel_of_a_metric_that_is_gone_is_a_sentence_and_the_page_stands(
    client: Client, store: Store, default_project: Project
) -> None:
    insert_traces(store)
    path = make_board(
        default_project, {"metrics": ["cots"]}, {"metrics": ["cots"], "kind": "number"}, {"metrics": ["cots"], "kind": "table"},
        {"query": "verison:v3"}, {"kind": "number"},
    )  # fmt: skip

    assert client.get(path).status_code == 200
    assert "There is no metric" in client.get(path + "/panels/0").json()["error"]["message"]
    assert "There is no metric cots any more" in client.get(path + "/numbers").content.decode()
    assert "There is no metric" in client.get(path + "/panels/2").content.decode()
    assert "There is no field" in client.get(path + "/panels/3").json()["error"]["message"]
    assert client.get(path + "/panels/0.csv").status_code == 422


@pytest.mark.parametrize("path", ["/dashboards/moon", "/dashboards/moon/numbers", "/dashboards/cost/panels/99"])
def test_what_does_not_exist_is_404(client: Client, store: Store, path: str) -> None:
    assert client.get(path).status_code == 404


def test_tiles_lead_to_exactly_the_traces_they_count(client: Client, store: Store) -> None:
    insert_traces(store, {"outcome": "error"}, {}, environment="prod")

    body = client.get("/dashboards/overview/numbers?q=env:*").content.decode()

    href = next(part.split('"')[0] for part in body.split('href="')[1:] if "status%3Aerror" in part).replace("&amp;", "&")
    query = parse_qs(urlsplit(href).query)
    assert "no earlier data" in body
    assert query["q"] == ["env:* status:error"]
    assert len(client.get("/api/v1/traces", {name: values[0] for name, values in query.items()}).json()["results"]) == 1


def test_search_without_a_match_leads_to_the_list_that_explains_it(client: Client, store: Store) -> None:
    insert_traces(store, {})

    assert "No trace matches" not in client.get("/dashboards/overview/numbers?q=-tool:nobody").content.decode()
    body = client.get("/dashboards/overview/numbers?q=tool:nobody").content.decode()
    assert "No trace matches" in body
    assert "/traces?q=tool%3Anobody" in body


def test_models_without_a_price_are_named_where_cost_is_shown(client: Client, store: Store) -> None:
    insert_traces(store, {"unpriced_models": ["acme-7b"]}, {"unpriced_models": ["acme-7b", "<b>x"]})

    body = client.get("/dashboards/cost/numbers?start=now-1h").content.decode()

    assert "2 unpriced models, missing from the cost" in body
    assert "acme-7b" in body
    assert "<b>x" not in body
    assert "acme-7b" not in client.get("/dashboards/latency/numbers?start=now-1h").content.decode()


def test_markers_name_the_versions_that_are_new_oldest_first(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    insert_traces(
        store,
        {"versions": ["v1"], "start_ns": now_ns - 7200 * NS_PER_S},
        {"versions": ["v1", "v3"], "start_ns": now_ns - 60 * NS_PER_S},
        {"versions": ["v2"], "start_ns": now_ns - 600 * NS_PER_S},
    )

    markers = client.get("/dashboards/versions.json?start=now-1h").json()["markers"]

    assert [(marker["version"], round((now_ns / 1e6 - marker["at_ms"]) / 1000)) for marker in markers] == [
        ("v2", 600),
        ("v3", 60),
    ]
    assert client.get("/dashboards/versions.json?q=verison:1").status_code == 422


@pytest.mark.parametrize("name", ["=1+1", '@SUM("x")', "-2", "größe\n2"])
def test_file_holds_what_the_panel_shows_and_no_formula(
    client: Client, store: Store, default_project: Project, name: str
) -> None:
    insert_traces(store, {"user_id": name, "cost_usd": 0.25}, {"user_id": "ada", "cost_usd": 0.5})
    path = make_board(
        default_project, {"title": "Cost of it all", "metrics": ["cost", "requests"], "kind": "table", "group_by": "user"}
    )

    response = client.get(path + "/panels/0.csv?start=now-1h")

    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(body_of(response), newline=""))}
    shown = name if name[0].isalpha() else f"'{name}"
    assert response.headers["Content-Disposition"] == 'attachment; filename="mine-cost-of-it-all.csv"'
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert (rows[shown]["cost (USD)"], rows["ada"]["requests (traces)"]) == ("0.25", "1.0")
    assert rows["ada"]["start_time"].endswith("Z")


@pytest.mark.parametrize("slug", ["overview", "users"])
def test_every_panel_has_a_file(client: Client, store: Store, slug: str) -> None:
    insert_traces(store, {"versions": ["v3"]})

    for index, panel in enumerate(BUILT_IN[slug].panels):
        rows = list(csv.reader(io.StringIO(body_of(client.get(f"/dashboards/{slug}/panels/{index}.csv?start=now-1h")))))
        assert rows[0][:2] == ["start_time", "end_time"]
        assert rows[0][-1].startswith(panel.metrics[-1]), panel
