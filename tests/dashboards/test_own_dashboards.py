"""Own dashboards: what may stand in one, whose it is, and the editor."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboards.panels.builtin import BUILT_IN
from dashboards.panels.own_dashboards import MAX_DASHBOARDS, MAX_PANELS, RESERVED
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.models import Dashboard, Project

pytestmark = pytest.mark.usefixtures("default_project")


def form_of(*panels: dict[str, Any], name: str = "Refunds", **more: str) -> dict[str, Any]:
    """What the editor sends: panels with the keys 0, 1, ..."""
    form: dict[str, Any] = {"name": name, "panel": [str(key) for key in range(len(panels))]} | more
    for key, panel in enumerate(panels):
        full = {"title": "", "kind": "line", "metric": ["failure_rate", ""], "group_by": "", "query": ""} | panel
        form |= {f"{field}-{key}": value for field, value in full.items()}
    return form


def save(client: Client, *panels: dict[str, Any], path: str = "/dashboards/new", **more: Any) -> Any:
    return client.post(path, form_of(*(panels or ({},)), **more))


def keys_of(response: Any) -> list[str]:
    body = response.content.decode()
    return [part.split('"')[0] for part in body.split('name="panel" value="')[1:]]


def test_dashboard_is_kept_under_an_address_made_of_its_name(client: Client, store: Store) -> None:
    insert_traces(store)
    response = save(
        client, {"title": "Bad", "query": "tool:refund", "group_by": "version"}, {"kind": "number"}, name="Refunds & co"
    )

    board = Dashboard.objects.get()
    assert response.headers["Location"] == "/dashboards/refunds-co"
    assert board.panels == [
        {"title": "Bad", "metrics": ["failure_rate"], "kind": "line", "group_by": "version", "query": "tool:refund"},
        {"title": "Failure rate", "metrics": ["failure_rate"], "kind": "number", "group_by": "", "query": ""},
    ]
    page = client.get("/dashboards/refunds-co").content.decode()
    assert '"/dashboards/refunds-co/panels/0?"' in page
    assert "Edit this one" in page
    assert "Refunds &amp; co" in client.get("/dashboards/overview").content.decode()


def test_address_stays_when_the_name_changes_and_two_of_a_name_have_two(client: Client) -> None:
    save(client)
    save(client)
    save(client, path="/dashboards/refunds/edit", name="Returns")
    save(client, name="返金")

    assert set(Dashboard.objects.values_list("name", "slug")) == {
        ("Returns", "refunds"), ("Refunds", "refunds-2"), ("返金", "dashboard"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Overview", "new", "Preview"])
def test_name_of_ours_gets_an_address_of_its_own(client: Client, name: str) -> None:
    save(client, name=name)

    assert Dashboard.objects.get().slug == f"{name.lower()}-2"
    assert name.lower() in RESERVED


def test_own_dashboards_are_seen_by_others_only_when_shared_and_changed_by_nobody_else(ada: Client, bob: Client) -> None:
    save(ada, name="private")
    save(ada, name="common", shared="on")

    assert bob.get("/dashboards/private").status_code == 404
    assert bob.get("/dashboards/private/panels/0").status_code == 404
    page = bob.get("/dashboards/common").content.decode()
    assert "by ada" in page
    assert "Edit this one" not in page
    assert "private" not in page
    assert bob.get("/dashboards/common/edit").status_code == 404
    assert bob.post("/dashboards/common/delete").status_code == 404
    assert "common (copy)" in bob.get("/dashboards/new?from=common").content.decode()
    assert "private" not in bob.get("/dashboards/new?from=private").content.decode()
    assert ada.post("/dashboards/common/delete").headers["Location"] == "/dashboards/overview"
    assert list(Dashboard.objects.values_list("slug", flat=True)) == ["private"]


@pytest.mark.parametrize("slug", BUILT_IN)
def test_copy_of_one_of_ours_can_be_kept_as_it_is(client: Client, slug: str) -> None:
    body = client.get(f"/dashboards/new?from={slug}").content.decode()
    panels = [
        {
            "title": panel.title,
            "kind": panel.kind,
            "metric": list(panel.metrics),
            "group_by": panel.group_by,
            "query": panel.query,
        }
        for panel in BUILT_IN[slug].panels
    ]

    response = save(client, *panels, name="Copy")

    assert body.count('name="panel"') == len(panels)
    assert response.status_code == 302
    assert [tuple(panel["metrics"]) for panel in Dashboard.objects.get().panels] == [
        panel.metrics for panel in BUILT_IN[slug].panels
    ]


@pytest.mark.parametrize(("panel", "said"), [
    ({"metric": [""]}, "Choose a metric."),
    ({"metric": ["cots"]}, "There is no metric 'cots'. Did you mean cost?"),
    ({"metric": ["cost", "requests"]}, "Metrics of different units share no axis."),
    ({"metric": ["cost", "cost"]}, "A metric stands in a panel once."),
    ({"metric": ["requests", "failures"], "kind": "number"}, "A number shows one metric."),
    ({"kind": "number", "group_by": "tool"}, "A number has no groups."),
    ({"kind": "pie"}, "There is no kind 'pie'"),
    ({"group_by": "moon"}, "Nothing is grouped by 'moon'"),
    ({"query": "verison:v3"}, "There is no field"),
    ({"query": "x" * 2001}, "longer than 2,000 characters"),
    ({"title": "a\x07b"}, "no control characters"),
    ({"title": "x" * 81}, "at most 80"),
])  # fmt: skip
def test_panel_that_cannot_be_is_refused_beside_its_field_and_nothing_is_lost(
    client: Client, panel: dict[str, Any], said: str
) -> None:
    response = save(client, {"title": "Good"}, panel)

    body = unescape(response.content.decode())
    assert response.status_code == 422
    assert said in body
    assert 'value="Good"' in body
    assert "Not saved yet" in body
    assert not Dashboard.objects.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("  ", "needs a name"), ("x" * 81, "at most 80"), ("a\x07b", "no control characters")]
)
def test_name_that_cannot_be_is_refused(client: Client, name: str, said: str) -> None:
    response = save(client, name=name)

    assert response.status_code == 422
    assert said in unescape(response.content.decode())


def test_dashboards_and_panels_do_not_grow_without_end(client: Client, default_project: Project) -> None:
    too_many = save(client, *({} for _ in range(MAX_PANELS + 1)))
    Dashboard.objects.bulk_create(Dashboard(project=default_project, name="x", slug=f"x-{at}") for at in range(MAX_DASHBOARDS))
    one_more = save(client)

    assert "at most 24 panels" in unescape(too_many.content.decode())
    assert "There are 100 dashboards already." in unescape(one_more.content.decode())
    assert Dashboard.objects.count() == MAX_DASHBOARDS
    assert save(client, path="/dashboards/x-1/edit").status_code == 302


def test_dashboard_without_panels_is_refused(client: Client) -> None:
    assert "Add a panel." in client.post("/dashboards/new", {"name": "Empty"}).content.decode()


@pytest.mark.parametrize(("do", "order"), [
    ("add", ["0", "1", "2", "3"]), ("up-2", ["0", "2", "1"]), ("up-0", ["0", "1", "2"]), ("down-0", ["1", "0", "2"]),
    ("down-2", ["0", "1", "2"]), ("copy-1", ["0", "1", "3", "2"]), ("remove-1", ["0", "2"]), ("remove-9", ["0", "1", "2"]),
    ("explode", ["0", "1", "2"]), ("up-x", ["0", "1", "2"]),
])  # fmt: skip
def test_panels_are_added_moved_copied_and_removed_without_a_script(client: Client, do: str, order: list[str]) -> None:
    response = save(client, {"title": "a"}, {"title": "b", "query": "tool:"}, {"title": "c"}, do=do)

    assert response.status_code == 200
    assert keys_of(response) == order
    assert not Dashboard.objects.exists()
    if do == "copy-1":
        assert response.content.decode().count('value="tool:"') == 2


def test_last_chance_to_add_is_the_most_panels(client: Client) -> None:
    response = save(client, *({} for _ in range(MAX_PANELS)), do="add")

    assert len(keys_of(response)) == MAX_PANELS


def test_preview_shows_the_panel_that_the_form_describes(client: Client, store: Store) -> None:
    insert_traces(store, {"outcome": "error", "versions": ["v3"], "tools": [("refund", 1, 0)]}, {"versions": ["v2"]})
    form = form_of({"query": "tool:refund", "group_by": "version"}, {}, range="now-1h")
    form["panel"] = ["0"]

    frame = client.get("/dashboards/preview", form).content.decode()
    answer = client.get(unescape(frame.split('data-chart="')[1].split('"')[0])).json()

    assert "Failure rate by version" in frame
    assert answer["labels"] == ["v3"]
    assert answer["step_s"] == 60


@pytest.mark.parametrize("kind", ["number", "table", "bar"])
def test_preview_of_every_kind_answers(client: Client, store: Store, kind: str) -> None:
    insert_traces(store, {"outcome": "error"}, {})

    frame = client.get("/dashboards/preview", form_of({"kind": kind}, range="now-1h")).content.decode()
    attribute = "data-chart" if kind == "bar" else "hx-get"
    answer = client.get(unescape(frame.split(f'{attribute}="')[1].split('"')[0])).content.decode()

    assert "50%" in answer or '"x": [0.5]' in answer


def test_preview_says_what_is_wrong(client: Client) -> None:
    body = client.get("/dashboards/preview", form_of({"query": "verison:v3", "metric": ["cost", "requests"]})).content.decode()

    assert "There is no field" in body
    assert "different units" in body


@pytest.mark.parametrize(
    "definition", ["", "[", "1", "[]", "{}", '{"metrics": 1}', '{"metrics": ["x"]}', "[" * 5000, '{"metrics": [["cost"]]}']
)
def test_definition_that_is_none_is_refused(client: Client, store: Store, definition: str) -> None:
    response = client.get("/dashboards/preview/panel", {"definition": definition})

    assert response.status_code == 422
    assert response.json()["error"]["message"]


def test_editor_is_free_of_inline_script_and_shows_text_as_text(client: Client) -> None:
    body = save(client, {"title": '<b>"x', "query": "tool:<i>"}, name="<script>1", do="add").content.decode()

    assert "<b>" not in body
    assert "<script>1" not in body
    assert " style=" not in body
    assert json.dumps('<b>"x') not in body
