from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import Delivery, Grouping, Route, Silence
from tests.alerts.factories import create_channel, create_rule
from tests.alerts.incidents import begin, create_route, create_silence
from tracestore.models import Project

pytestmark = pytest.mark.usefixtures("default_project")


def silence_fields(**overrides: Any) -> dict[str, Any]:
    return {"matcher": "tool:refund", "comment": "", "start": "2026-11-21T22:00", "length": "2h", "time_zone": "UTC"} | overrides


def test_silence_made_in_the_editor_holds_for_its_time(client: Client) -> None:
    answer = client.post("/alerts/silences/new", silence_fields(time_zone="Europe/Vienna", comment="Moving"))

    assert answer.status_code == 302
    silence = Silence.objects.get()
    assert (silence.starts_at, silence.ends_at) == (
        datetime(2026, 11, 21, 21, tzinfo=UTC),
        datetime(2026, 11, 21, 23, tzinfo=UTC),
    )
    assert (silence.matcher, silence.created_by, silence.weekdays) == ("tool:refund", "local user", [])


def test_maintenance_window_made_in_the_editor_comes_every_week(client: Client) -> None:
    client.post("/alerts/silences/new", silence_fields(weekdays=["5", "6"], time_zone="Europe/Vienna"))

    silence = Silence.objects.get()
    assert (silence.weekdays, silence.length_s, silence.ends_at) == ([5, 6], 7200, None)
    assert silence.to_quiet().holds(datetime(2026, 11, 28, 21, 30, tzinfo=UTC))
    page = client.get("/alerts/silences").content.decode()
    assert "Sat, Sun from 22:00 for 2 h, Europe/Vienna" in page


def test_saved_silence_comes_back_to_its_editor_as_it_was_typed(client: Client) -> None:
    client.post("/alerts/silences/new", silence_fields(time_zone="Europe/Vienna"))
    pk = Silence.objects.get().pk

    page = client.get(f"/alerts/silences/{pk}").content.decode()

    assert 'value="2026-11-21T22:00"' in page
    assert 'value="2h"' in page
    client.post(f"/alerts/silences/{pk}", silence_fields(length="30m"))
    assert Silence.objects.get().ends_at == datetime(2026, 11, 21, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"matcher": "refund"}, "is not understood"),
        ({"start": "soon"}, "is not a date and time"),
        ({"length": "5"}, "This must be from 1 m"),
        ({"length": "90d"}, "This must be from 1 m"),
        ({"time_zone": "Mars"}, "There is no time zone"),
        ({"weekdays": ["1"], "until": "2020-01-01T00:00"}, "This lies before the beginning"),
    ],
)
def test_silence_that_cannot_be_is_refused_with_a_sentence(client: Client, fields: dict[str, Any], said: str) -> None:
    answer = client.post("/alerts/silences/new", silence_fields(**fields))

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Silence.objects.exists()


def test_silence_lists_what_it_suppressed_and_can_be_ended(client: Client) -> None:
    now = timezone.now()
    silence = create_silence(now - timedelta(hours=1), now + timedelta(hours=1), 'rule:"Refunds fail"')
    begin(create_rule(create_channel(), name="Refunds fail"), now)

    assert "Refunds fail" in client.get(f"/alerts/silences/{silence.pk}").content.decode().split('id="suppressed-title"')[1]
    client.post(f"/alerts/silences/{silence.pk}/end")
    page = client.get("/alerts/silences").content.decode()

    assert "Ended" in page
    assert not Delivery.objects.exists()


def test_new_silence_is_filled_in_from_its_address_and_shows_what_it_would_hold_back(client: Client) -> None:
    alert = begin(create_rule(name='The "refund" tool'), timezone.now(), {"tool": "refund"})

    page = client.get(f"/alerts/incidents/{alert.incident_id}").content.decode()
    href = page[page.index("/alerts/silences/new?matcher=") :].split('"')[0]
    editor = client.get(href).content.decode()

    assert "tool:&quot;refund&quot;" in editor
    assert "The &quot;refund&quot; tool" in editor.split('id="matching-title"')[1]


def route_fields(**overrides: Any) -> dict[str, Any]:
    return {"name": "Critical", "matcher": "severity:critical", "enabled": "on", "repeat_s": "30m"} | overrides


def test_route_made_in_the_editor_has_its_steps(client: Client) -> None:
    chat, boss = create_channel(name="Chat"), create_channel(name="Boss")

    answer = client.post(
        "/alerts/routes/new",
        route_fields(channels_0=[chat.pk], after_1="15m", channels_1=[boss.pk]),
    )

    assert answer.status_code == 302
    route = Route.objects.get()
    assert (route.repeat_s, route.goes_on) == (1800, False)
    assert [(step.after_s, [channel.name for channel in step.channels.all()]) for step in route.steps.all()] == [
        (0, ["Chat"]),
        (900, ["Boss"]),
    ]
    editor = client.get(f"/alerts/routes/{route.pk}").content.decode()
    assert 'value="15m"' in editor
    assert editor.count(" checked") == 3  # two channels and "On"
    listed = client.get("/alerts/routes").content.decode()
    assert "after 15\u00a0m" in listed
    assert "again every 30\u00a0m" in listed


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"channels_0": []}, "Choose at least one channel"),
        ({"channels_1": ["CHANNEL"]}, "Say after how long"),
        ({"channels_0": ["CHANNEL"], "matcher": "x"}, "is not understood"),
        ({"channels_0": ["CHANNEL"], "repeat_s": "1s"}, "This must be from 1 m"),
        (
            {"channels_1": ["CHANNEL"], "after_1": "5m", "channels_2": ["CHANNEL"], "after_2": "5m"},
            "Another step comes at this time",
        ),
        ({"channels_0": ["CHANNEL"], "name": "Taken"}, "Another route has this name"),
        ({"channels_0": ["999"]}, "Select a valid choice"),
    ],
)
def test_route_that_cannot_be_is_refused_with_a_sentence(client: Client, fields: dict[str, Any], said: str) -> None:
    channel = create_channel()
    create_route("Taken", (0, [channel]))
    fields = {
        name: [str(channel.pk) if one == "CHANNEL" else one for one in value] if isinstance(value, list) else value
        for name, value in fields.items()
    }

    answer = client.post("/alerts/routes/new", route_fields(**fields))

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Route.objects.count() == 1


def test_routes_can_be_moved_and_deleted(client: Client) -> None:
    channel = create_channel()
    first, second, third = (create_route(name, (0, [channel])) for name in ("1", "2", "3"))

    client.post(f"/alerts/routes/{third.pk}/move", {"to": "up"})
    client.post(f"/alerts/routes/{first.pk}/move", {"to": "up"})  # it is the first already
    client.post(f"/alerts/routes/{second.pk}/delete")

    assert [route.name for route in Route.objects.all()] == ["1", "3"]


def test_grouping_is_set_on_the_routes_page(client: Client) -> None:
    assert client.post("/alerts/routes/grouping", {"names": "tool, rule", "window_s": "5m", "wait_s": "30s"}).status_code == 302

    grouping = Grouping.objects.get()
    assert (grouping.names, grouping.window_s, grouping.wait_s) == (["tool", "rule"], 300, 30)
    assert client.post("/alerts/routes/grouping", {"names": "", "window_s": "2d"}).status_code == 422


def test_empty_pages_say_what_to_do_next(client: Client) -> None:
    assert "Nothing is silenced" in client.get("/alerts/silences").content.decode()
    assert "Add a channel first" in client.get("/alerts/routes").content.decode()


def test_other_projects_are_out_of_reach(client: Client) -> None:
    other = Project.objects.create(slug="other", name="Other")
    route = create_route("Theirs", (0, [create_channel()]))
    silence = create_silence(timezone.now(), None)
    Route.objects.update(project=other)
    Silence.objects.update(project=other)

    for address in (f"/alerts/routes/{route.pk}", f"/alerts/silences/{silence.pk}", f"/api/v1/silences/{silence.pk}"):
        assert client.get(address).status_code == 404
    client.post(f"/alerts/routes/{route.pk}/move", {"to": "up"})
    assert client.post(f"/alerts/silences/{silence.pk}/end").status_code == 404
    assert client.get("/api/v1/alert-routes").json()["results"] == []


def test_api_sets_up_routes_silences_and_grouping(client: Client) -> None:
    create_channel(name="Chat")
    json: dict[str, Any] = {"content_type": "application/json"}

    made = client.post("/api/v1/alert-routes", {"name": "All", "steps": [{"channels": ["Chat"]}], "repeat_s": 600}, **json)
    assert made.status_code == 201
    route = made.json()
    assert route["steps"] == [{"after_s": 0, "channels": ["Chat"]}]
    changed = client.patch(f"/api/v1/alert-routes/{route['id']}", {"steps": [{"after_s": 60, "channels": ["Chat"]}]}, **json)
    assert changed.json()["steps"][0]["after_s"] == 60
    sent_back = {name: value for name, value in changed.json().items() if name != "id"}
    assert client.patch(f"/api/v1/alert-routes/{route['id']}", sent_back, **json).json() == changed.json()
    assert client.put("/api/v1/alert-grouping", {"names": ["rule"], "window_s": 60}, **json).status_code == 200
    assert client.get("/api/v1/alert-grouping").json() == {"names": ["rule"], "window_s": 60, "wait_s": 0}

    until = (timezone.now() + timedelta(hours=1)).isoformat()
    silence = client.post("/api/v1/silences", {"matcher": "severity:info", "ends_at": until}, **json).json()
    assert (silence["is_active"], silence["suppressed"]) == (True, [])
    ended = client.patch(f"/api/v1/silences/{silence['id']}", {"ends_at": timezone.now().isoformat()}, **json).json()
    assert ended["is_active"] is False
    assert client.delete(f"/api/v1/silences/{silence['id']}").status_code == 204


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("alert-routes", {"name": "x", "steps": []}),
        ("alert-routes", {"name": "x", "steps": [{"channels": ["nobody"]}]}),
        ("alert-routes", {"name": "x", "steps": [{"channels": ["Chat"]}], "repeat": 5}),
        ("silences", {"matcher": "severity:info"}),
        ("silences", {"matcher": "bad", "ends_at": "2030-01-01T00:00:00Z"}),
        ("silences", {"weekdays": [1]}),
        ("silences", {"ends_at": "2001-01-01T00:00:00Z"}),
    ],
)
def test_api_refuses_with_a_sentence(client: Client, path: str, body: dict[str, Any]) -> None:
    create_channel(name="Chat")

    answer = client.post(f"/api/v1/{path}", body, content_type="application/json")

    assert answer.status_code == 400
    assert not Route.objects.exists()
    assert not Silence.objects.exists()


def test_rule_list_says_whom_a_route_tells_and_whom_nobody(client: Client) -> None:
    channel = create_channel()
    create_route("Critical", (0, [channel]), matcher="severity:critical")
    create_route("Payments", (0, [channel]), matcher="team:payments")
    create_route("Refunds", (0, [channel]), matcher="tool:refund")
    create_route("Off", (0, [channel]), matcher="", enabled=False)
    routed = {
        create_rule(name="Grave", severity="critical"),
        create_rule(name="Theirs", labels={"team": "payments"}),
        create_rule(name="Each tool", group_by=["tool"]),
    }
    create_rule(name="Mild")
    create_rule(channel, name="Told directly")

    page = client.get("/alerts/rules").content.decode()
    rows = {name: page[page.index(f">{name}<") :].split("watch__side")[0] for name in ("Mild", *(rule.name for rule in routed))}

    assert {name for name, row in rows.items() if "by routes" in row} == {rule.name for rule in routed}
    assert {name for name, row in rows.items() if "no channel" in row} == {"Mild"}
