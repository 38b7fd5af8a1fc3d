from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.evidence.model import Causes, Evidence, Example, SeenError
from alerts.messages.links import ack_url, sign_ack
from alerts.models import Alert, Delivery, Incident, IncidentMark
from alerts.on_call import incidents
from alerts.on_call.timeline import build_timeline
from tests.alerts.factories import create_channel, create_rule
from tests.alerts.incidents import begin, end, worsen
from tests.factories import default_project
from tracestore.models import Project
from tracestore.timerange import NS_PER_S

pytestmark = pytest.mark.django_db


@pytest.fixture
def alert() -> Alert:
    default_project()
    return begin(create_rule(create_channel(name="Phone"), name="Refunds fail"), timezone.now() - timedelta(minutes=12))


def page_of(client: Client, alert: Alert) -> str:
    return client.get(f"/alerts/incidents/{alert.incident_id}").content.decode()


def test_page_says_what_since_when_how_bad_and_offers_to_acknowledge(client: Client, alert: Alert) -> None:
    page = page_of(client, alert)

    head = page[page.index('id="incident-what"') : page.index('class="alert-grid"')]
    assert "Refunds fail" in page
    for said in (
        "Firing",
        "Warning",
        "for 12\u00a0m",
        "50%",
        "Failure rate above 10%",
        "1&nbsp;alert, 1&nbsp;firing",
        "Acknowledge",
    ):
        assert said in head
    assert "/why/answer?q=status%3Aerror" in page


def test_head_says_when_nothing_sets_the_failing_traces_apart(client: Client, alert: Alert) -> None:
    alert.evidence = alert.evidence | {
        "causes": {"failing": 12, "others": 30, "failing_tools": []},
        "compared": 30,
        "distinctions": [],
    }
    alert.save(update_fields=["evidence"])

    assert "No value of any field sets them apart from the 30 others." in page_of(client, alert)


def test_list_shows_open_incidents_first_and_can_be_narrowed(client: Client, alert: Alert) -> None:
    resolved = begin(create_rule(name="Was bad"), timezone.now() - timedelta(minutes=1))
    end(resolved, timezone.now())
    Incident.objects.filter(alerts=alert).update(started_at=timezone.now() - timedelta(days=2))
    other = Incident.objects.create(
        project_id=1, key="{}", title="Long over", severity="info", started_at=timezone.now(), opened_at=timezone.now(),
        last_began_at=timezone.now(), resolved_at=timezone.now(),
    )  # fmt: skip

    page = client.get("/alerts/incidents").content.decode()
    open_only = client.get("/alerts/incidents?state=open").content.decode()

    assert page.index("Refunds fail") < page.index("Long over")
    assert other.title not in open_only
    assert "Refunds fail" in open_only


def test_incident_that_is_over_is_marked_for_backtests_and_shows_its_mark(client: Client, alert: Alert) -> None:
    assert "mark it when it is over" in page_of(client, alert)
    end(alert, timezone.now())
    offer = page_of(client, alert)
    fields = dict(re.findall(r'name="(name|start|end|next)" value="([^"]*)"', offer[offer.index("alerts/marks") :]))

    answer = client.post("/alerts/marks", fields)

    mark, incident = IncidentMark.objects.get(), Incident.objects.get()
    assert answer.headers["Location"] == f"/alerts/incidents/{incident.pk}"
    assert (mark.name, mark.started_at, mark.ended_at) == (incident.title, incident.started_at, incident.resolved_at)
    marked = page_of(client, alert)
    assert f'action="/alerts/marks/{mark.pk}/delete"' in marked
    assert "Mark as a real outage" not in marked
    assert f'href="/alerts/rules/{alert.rule_id}/backtest?start=' in marked


def test_marks_of_another_time_or_project_are_not_those_of_the_incident(client: Client, alert: Alert) -> None:
    end(alert, timezone.now())
    now, day = timezone.now(), timedelta(days=1)
    other = Project.objects.create(slug="other", name="Other")
    IncidentMark.objects.create(project_id=1, name="Yesterday", started_at=now - 2 * day, ended_at=now - day)
    IncidentMark.objects.create(project=other, name="Elsewhere", started_at=now - day, ended_at=now)

    page = page_of(client, alert)

    assert "Yesterday" not in page
    assert "Elsewhere" not in page
    assert "Mark as a real outage" in page


def test_offered_silence_is_about_the_alert_that_the_page_names(client: Client) -> None:
    begin(create_rule(name="Escalations"), timezone.now(), {"version": "v3"})
    worst = begin(create_rule(name="Refunds fail", severity="critical"), timezone.now(), {"version": "v3"})

    page = page_of(client, worst)

    assert "Refunds fail: version v3</bdi></h1>" in page
    silence = re.search(r'href="(/alerts/silences/new[^"]*)"', page)
    assert silence
    assert parse_qs(urlsplit(silence[1]).query)["matcher"] == ['rule:"Refunds fail" version:"v3"']


def test_first_screen_names_what_else_fires_one_of_each_rule_first(client: Client) -> None:
    now = timezone.now()
    slow, dear = create_rule(name="Slow"), create_rule(name="Dear")
    for agent in ("a", "b", "c"):
        begin(slow, now, {"agent": agent})
    begin(dear, now)
    end(begin(create_rule(name="Over"), now), now)
    worst = begin(create_rule(name="Refunds fail", severity="critical"), now, {"version": "v3"})

    page = page_of(client, worst)

    also = page[page.index('class="incident__also"') : page.index('id="incident-actions"')]
    said = " ".join(re.sub("<[^>]*>", " ", also.partition(">")[2]).split())
    assert said.startswith("Also firing Slow agent a 50% , Dear 50% , Slow agent b 50% and 1 more")
    assert f'href="/alerts/{Alert.objects.get(rule=dear).pk}"' in also


def test_alone_firing_alert_has_no_others_named(client: Client, alert: Alert) -> None:
    assert "Also firing" not in page_of(client, alert)


def test_incident_held_open_after_flapping_says_until_when(client: Client, alert: Alert) -> None:
    now = timezone.now()
    assert alert.rule
    for minutes in (9, 6, 3):
        end(alert, now - timedelta(minutes=minutes))
        alert = begin(alert.rule, now - timedelta(minutes=minutes - 1))
    assert "Nothing fires since" not in page_of(client, alert)

    end(alert, now)

    page, listed = page_of(client, alert), client.get("/alerts/incidents").content.decode()
    assert f"stays so until {now + timedelta(minutes=15):%b %d %H:%M:%S} UTC" in page
    for shown in (page[: page.index('class="alert-grid"')], listed):  # neither may call somebody who looks at it for nothing
        assert "Quiet</span>" in shown
        assert "Firing</span>" not in shown
        assert "--firing" not in shown
    assert alert.rule
    begin(alert.rule, now)
    assert Incident.objects.get().state == "firing"


def test_empty_list_says_what_an_incident_is(client: Client) -> None:
    default_project()

    assert "No incident yet" in client.get("/alerts/incidents").content.decode()
    assert "Nothing is going on" in client.get("/alerts/incidents?state=open").content.decode()


def test_acknowledging_says_who(client: Client, alert: Alert) -> None:
    client.force_login(User.objects.create_user("ann"))

    answer = client.post(f"/alerts/incidents/{alert.incident_id}/ack", follow=True)

    assert "Acknowledged by <strong>ann</strong>" in answer.content.decode()
    assert Incident.objects.get().acked_by == "ann"


@pytest.mark.parametrize("action", ["ack", "unack", "snooze", "resolve", "comment"])
def test_reading_an_address_changes_nothing(client: Client, alert: Alert, action: str) -> None:
    assert client.get(f"/alerts/incidents/{alert.incident_id}/{action}").status_code == 405
    assert Incident.objects.get().state == "firing"


def test_change_without_the_csrf_token_is_refused(alert: Alert) -> None:
    answer = Client(enforce_csrf_checks=True).post(f"/alerts/incidents/{alert.incident_id}/ack")

    assert answer.status_code == 403
    assert Incident.objects.get().acked_at is None


def test_snooze_resolve_and_comment_from_the_page(client: Client, alert: Alert) -> None:
    address = f"/alerts/incidents/{alert.incident_id}"
    assert client.post(address + "/snooze", {"for_s": "3600"}).status_code == 302
    assert Incident.objects.get().state == "snoozed"

    client.post(address + "/comment", {"text": "Rolled back <b>v3</b>."})
    page = client.post(address + "/resolve", follow=True).content.decode()

    assert "Rolled back &lt;b&gt;v3&lt;/b&gt;." in page
    assert "ended by local user" in page
    assert 'id="incident-ack"' not in page


@pytest.mark.parametrize(
    ("action", "data", "said"),
    [
        ("snooze", {"for_s": "5"}, "Snooze for 1 m to 7 d"),
        ("snooze", {"for_s": "x" * 50}, "Snooze for 1 m to 7 d"),
        ("comment", {"text": "  "}, "Write something"),
    ],
)
def test_what_cannot_be_done_is_said_on_the_page(
    client: Client, alert: Alert, action: str, data: dict[str, str], said: str
) -> None:
    answer = client.post(f"/alerts/incidents/{alert.incident_id}/{action}", data)

    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_unknown_action_and_foreign_incident_are_not_found(client: Client, alert: Alert) -> None:
    assert client.post(f"/alerts/incidents/{alert.incident_id}/explode").status_code == 404
    Incident.objects.update(project=Project.objects.create(slug="other", name="Other"))

    assert client.get(f"/alerts/incidents/{alert.incident_id}").status_code == 404
    assert client.post(f"/alerts/incidents/{alert.incident_id}/ack").status_code == 404


def test_polled_part_brings_the_buttons_only_when_the_state_has_changed(client: Client, alert: Alert) -> None:
    address = f"/alerts/incidents/{alert.incident_id}"
    headers = {"HX-Request": "true"}
    incidents.acknowledge(Incident.objects.get().pk, "ann", timezone.now())

    fresh = client.get(address + "?seen=acknowledged", headers=headers).content.decode()
    stale = client.get(address + "?seen=firing", headers=headers).content.decode()

    assert "<html" not in fresh
    assert 'id="incident-actions"' not in fresh
    assert "Not on it after all" in stale


def test_timeline_tells_transitions_messages_and_people_newest_first(alert: Alert) -> None:
    incident = Incident.objects.get()
    now = timezone.now()
    Delivery.objects.update(status="delivered", attempts=2, last_error="")
    incidents.acknowledge(incident.pk, "ann", now - timedelta(minutes=5))
    worsen(alert, "critical", now - timedelta(minutes=4))
    end(alert, now)

    lines = [(line.badge, line.by or line.alert_name or line.text) for line in build_timeline(Incident.objects.get())]

    assert lines == [
        ("Resolved", ""),
        ("Pending", "“resolved” to Phone."),
        ("Resolved", "Refunds fail"),
        ("Severity rose", "to critical"),
        ("Pending", "“firing” to Phone."),
        ("Now critical", "Refunds fail"),
        ("Acknowledged", "ann"),
        ("Delivered", "“firing” to Phone, attempt 2."),
        ("Firing", "Refunds fail"),
    ]


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_link_of_a_message_asks_first_and_acknowledges_by_its_button(alert: Alert, settings: Any) -> None:
    settings.LOGIN_REQUIRED = True
    phone = Client(enforce_csrf_checks=True)
    link = path_of(ack_url(alert))

    asked = phone.get(link)
    assert Incident.objects.get().acked_at is None
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', asked.content.decode())
    assert token
    done = phone.post(link, {"csrfmiddlewaretoken": token[1]}, follow=True)

    assert "Acknowledged at" in done.content.decode()
    assert Incident.objects.get().acked_by == "the link in a message"
    here = Client()
    here.force_login(User.objects.create_user("ann"))
    for page in (f"/alerts/incidents/{alert.incident_id}", "/alerts/incidents"):
        said = re.sub("<[^>]*>", "", here.get(page).content.decode())
        assert "cknowledged by the link in a message" in said, page
    timeline = here.get(f"/alerts/incidents/{alert.incident_id}").content.decode().split('id="incident-timeline"')[1]
    assert "Acknowledged by the link in a message" in re.sub("<[^>]*>", "", timeline)
    assert phone.get(f"/alerts/incidents/{alert.incident_id}").status_code == 302  # the rest still wants a login


def test_link_is_the_same_all_day_and_ends_after_a_week(client: Client, alert: Alert) -> None:
    assert alert.incident_id
    now = timezone.now()
    assert ack_url(alert) == ack_url(alert)

    fresh = client.get(f"/alerts/ack/{sign_ack(alert.incident_id, now - timedelta(days=6))}")
    old = client.get(f"/alerts/ack/{sign_ack(alert.incident_id, now - timedelta(days=8))}")

    assert fresh.status_code == 200
    assert (old.status_code, "has expired" in old.content.decode()) == (410, True)


@pytest.mark.parametrize("token", ["1-20991231", "1-20991231:forged", "x", "%00", "1" * 3000])
def test_forged_link_is_refused(client: Client, alert: Alert, token: str) -> None:
    answer = client.post(f"/alerts/ack/{token}")

    assert answer.status_code == 410
    assert Incident.objects.get().acked_at is None


def test_link_to_an_incident_that_is_over_says_so(client: Client, alert: Alert) -> None:
    end(alert, timezone.now())

    assert "Resolved" in client.get(path_of(ack_url(alert))).content.decode()
    assert "is resolved" in client.post(path_of(ack_url(alert))).content.decode()


def test_api_lists_incidents_and_acts_on_them(client: Client, alert: Alert) -> None:
    address = f"/api/v1/incidents/{alert.incident_id}"
    listed = client.get("/api/v1/incidents?state=open").json()["results"]
    assert [(one["id"], one["state"], one["alerts"]) for one in listed] == [(alert.incident_id, "firing", [alert.pk])]

    def post(path: str, **body: Any) -> Any:
        return client.post(address + path, body, content_type="application/json")

    acked = post("/ack", by="chatbot").json()
    assert (acked["state"], acked["acked_by"]) == ("acknowledged", "chatbot")
    assert client.delete(address + "/ack").json()["state"] == "firing"
    assert post("/snooze", for_s=600, by="ann").json()["state"] == "snoozed"
    assert post("/comments", text="On it", by="ann").json()["events"][-1]["text"] == "On it"
    assert post("/resolve", by="ann").json()["resolved_by"] == "ann"
    late = post("/ack")
    assert late.status_code == 409
    assert "is resolved" in late.json()["error"]["message"]
    assert post("/snooze", for_s=1).status_code == 400
    assert client.get("/api/v1/incidents?state=bad").status_code == 400
    assert client.get("/api/v1/incidents/99999").status_code == 404


def test_what_is_over_does_not_explain_what_fires(client: Client) -> None:
    begun = timezone.now() - timedelta(minutes=5)
    error = SeenError("f00d", "RefundDeclined", "502", 14, 0, "v3", True)
    failing = Evidence("status:error", "failing traces", 0, NS_PER_S, causes=Causes(18, 74), compared=74, errors=[error])
    last = Example("ab" * 16, "invoke_agent support", NS_PER_S, NS_PER_S, [], "", ["v3"])
    silent = Evidence("", "traces", 2 * NS_PER_S, 3 * NS_PER_S, examples=[last])
    end(begin(create_rule(name="Failures"), begun, evidence=failing.to_json()), begun + timedelta(minutes=1))
    rule = create_rule(name="No traffic", metric="requests", comparison="below", threshold=1)
    alert = begin(rule, begun + timedelta(minutes=2), value=0, peak_value=0, evidence=silent.to_json())

    head = page_of(client, alert).partition('id="incident-what"')[2].partition("</div>")[0]

    assert "RefundDeclined" not in head
    assert f'Last trace</span> <a href="/traces/{last.trace_id}">' in head
    assert "Last trace" in client.get(f"/alerts/{alert.pk}").content.decode()
