from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboards.trace_list.saved_views import MAX_VIEWS
from tracestore.models import Project, SavedView

pytestmark = pytest.mark.usefixtures("default_project")

SEARCH = "?q=status%3Aerror+tool%3Arefund&start=now-7d&sort=-cost&cols=name%2Ccost"


def _save(client: Client, name: str = "Dear refunds", **more: str) -> Any:
    return client.post("/traces/views", {"name": name, "querystring": SEARCH} | more)


def _offered(client: Client) -> dict[str, str]:
    return {view["name"]: view["href"] for view in client.get("/traces/views.json").json()["views"]}


def test_view_opens_the_search_it_was_saved_from(client: Client) -> None:
    response = _save(client)

    assert response.headers["Location"] == "/traces" + SEARCH
    assert _offered(client) == {"Dear refunds": "/traces" + SEARCH}
    menu, page = (client.get(path).content.decode() for path in ("/traces/views/menu", "/traces/views"))
    for body in (menu, page):
        assert "Dear refunds" in body
        assert "Last 7 days" in body


@pytest.mark.parametrize(
    ("querystring", "range_label"),
    [
        ("?q=a", "Last 24 hours"),
        ("?start=2026-11-20T08:30:00.000000000Z&end=2026-11-20T11:00:00.000000000Z", "2026-11-20 08:30 to 11:00"),
        ("?start=never", "never to now"),
    ],
)
def test_view_says_its_time_range_also_when_that_is_none(client: Client, querystring: str, range_label: str) -> None:
    client.post("/traces/views", {"name": "x", "querystring": querystring})

    assert range_label in client.get("/traces/views").content.decode()


def test_own_views_are_seen_by_others_only_when_shared(ada: Client, bob: Client) -> None:
    _save(ada, "private")
    _save(ada, "common", shared="on")

    assert set(_offered(ada)) == {"private", "common"}
    assert set(_offered(bob)) == {"common"}
    assert "by ada" in bob.get("/traces/views/menu").content.decode()


def test_shared_view_is_changed_by_its_owner_alone(ada: Client, bob: Client) -> None:
    _save(ada, "common", shared="on")
    view = SavedView.objects.get()

    foreign = bob.post(f"/traces/views/{view.pk}", {"name": "mine now"}).status_code
    deleted = bob.post(f"/traces/views/{view.pk}/delete").status_code
    ada.post(f"/traces/views/{view.pk}", {"name": "renamed"})

    assert (foreign, deleted) == (404, 404)
    view.refresh_from_db()
    assert (view.name, view.is_shared) == ("renamed", False)
    ada.post(f"/traces/views/{view.pk}/delete")
    assert not SavedView.objects.exists()


def test_view_of_the_same_name_is_replaced_when_asked_and_nobody_elses(ada: Client, bob: Client) -> None:
    _save(ada, "same")
    _save(bob, "same")
    other = {"name": " same ", "querystring": "?q=status%3Aok"}

    asked = ada.post("/traces/views", other)

    assert asked.status_code == 422
    page = unescape(asked.content.decode())
    assert "There is a view named <strong><bdi>same</bdi></strong> already." in page
    assert "It shows <code>status:error tool:refund</code>, Last 7 days." in page
    assert _offered(ada) == {"same": "/traces" + SEARCH}
    # What was to be saved goes along with both answers.
    assert page.count('name="querystring" value="?q=status%3Aok"') == 2
    assert ada.post("/traces/views", other | {"replace": "on"}).headers["Location"] == "/traces?q=status%3Aok"
    assert _offered(ada) == {"same": "/traces?q=status%3Aok"}
    assert _offered(bob) == {"same": "/traces" + SEARCH}


def test_two_views_of_one_name_are_told_apart(ada: Client, bob: Client) -> None:
    _save(ada, "same", shared="on")
    _save(bob, "same")

    views = bob.get("/traces/views.json").json()["views"]

    assert [(view["name"], view["by"]) for view in views] == [("same", "ada"), ("same", "")]
    assert "by ada" in bob.get("/traces/views/menu").content.decode()
    assert "shared by ada" in bob.get("/traces/views").content.decode()


@pytest.mark.parametrize("action", ["", "/delete"])
def test_view_that_somebody_deleted_is_said_to_be_gone(client: Client, action: str) -> None:
    _save(client, "gone")
    _save(client, "still there")
    pk = SavedView.objects.get(name="gone").pk
    client.post(f"/traces/views/{pk}/delete")

    response = client.post(f"/traces/views/{pk}{action}", {"name": "better"})

    assert response.status_code == 404
    assert "This view is not there any more" in response.content.decode()
    assert "still there" in response.content.decode()


def test_view_that_somebody_renamed_keeps_that_name(client: Client) -> None:
    _save(client, "first")
    pk = SavedView.objects.get().pk
    client.post(f"/traces/views/{pk}", {"name": "second", "seen": "first"})

    response = client.post(f"/traces/views/{pk}", {"name": "third", "seen": "first"})

    assert response.status_code == 422
    assert "The view first has been renamed to second in the meantime. If third is better, change it again." in unescape(
        response.content.decode()
    )
    assert set(_offered(client)) == {"second"}


@pytest.mark.parametrize(
    ("querystring", "said"),
    [
        ("q=nosuchfield:x", "nosuchfield"),
        ("q=status:", "status"),
        ("start=never", "Time range"),
        ("cols=name,mood,cost", "There is no column mood any more: the others are shown."),
        ("sort=-mood", "The order mood is none any more: the newest come first."),
    ],
)
def test_view_that_is_not_understood_any_more_says_what_to_do(
    ada: Client, bob: Client, default_project: Project, querystring: str, said: str
) -> None:
    _save(ada, "whole")
    _save(ada, "broken", shared="on")
    SavedView.objects.filter(name="broken").update(querystring=querystring)

    own, others = (unescape(client.get("/traces/views").content.decode()) for client in (ada, bob))

    assert own.count("views__broken") == 1
    assert said in own
    assert "Open it, mend it, and save it under this name again." in own
    assert "Only ada can mend it" in others
    assert ada.get("/traces/views/menu").content.decode().count("Needs mending") == 2  # an icon's label and title


def test_menu_marks_the_view_that_is_open(client: Client) -> None:
    _save(client, "this")
    client.post("/traces/views", {"name": "other", "querystring": "?q=status%3Aok"})

    menu = client.get("/traces/views/menu" + SEARCH + "&live=1").content.decode()

    assert menu.count('aria-current="true"') == 1
    assert menu.index('aria-current="true"') > menu.index("other")


def test_view_is_not_renamed_onto_another(client: Client) -> None:
    _save(client, "one")
    _save(client, "two")

    response = client.post(f"/traces/views/{SavedView.objects.get(name='two').pk}", {"name": "one"})

    assert response.status_code == 422
    assert "There is a view named one already. Choose another name, or delete that one first." in unescape(
        response.content.decode()
    )


@pytest.mark.parametrize(
    ("name", "said"), [("  ", "Give the view a name."), ("x" * 81, "at most 80"), ("a\x07b", "no control characters")]
)
def test_name_that_cannot_be_is_refused_with_a_sentence(client: Client, name: str, said: str) -> None:
    response = _save(client, name)

    assert response.status_code == 422
    assert said in unescape(response.content.decode())
    assert not SavedView.objects.exists()


def test_view_keeps_what_describes_a_search_and_nothing_else(client: Client) -> None:
    client.post("/traces/views", {"name": "x", "querystring": "?q=a&peek=1&cursor=zz&next=//evil.example&live=1"})
    long = client.post("/traces/views", {"name": "y", "querystring": "?q=" + "a" * 5000})
    many = client.post("/traces/views", {"name": "z", "querystring": "?" + "a=1&" * 100})

    assert _offered(client) == {"x": "/traces?q=a"}
    assert (long.status_code, many.status_code) == (422, 422)


def test_views_do_not_grow_without_end(client: Client, default_project: Project) -> None:
    SavedView.objects.bulk_create(SavedView(project=default_project, name=f"view {number}") for number in range(MAX_VIEWS))

    assert _save(client, "one more").status_code == 422
    assert _save(client, "view 7", replace="on").status_code == 302


def test_empty_page_says_how_to_save_one(client: Client) -> None:
    assert "No view is saved yet" in client.get("/traces/views").content.decode()


def test_views_of_another_project_are_not_offered(client: Client) -> None:
    other = Project.objects.create(slug="other", name="Other")
    view = SavedView.objects.create(project=other, name="foreign")

    assert _offered(client) == {}
    assert client.post(f"/traces/views/{view.pk}/delete").status_code == 404
