from __future__ import annotations

import threading
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from alerts.delivery import release_claims
from alerts.models import Digest, DigestRun, NotificationChannel
from alerts.reports import digests
from alerts.reports.digests import covered_time, last_due
from alerts.reports.report import build_report
from tests.alerts.factories import create_channel, create_rule, insert_traffic
from tests.alerts.incidents import begin, end
from tests.alerts.receivers import lock_database_while_answering, receive_mail, receive_webhooks
from tests.factories import default_project
from tracestore.clickhouse.client import Store
from tracestore.models import Project

# A Friday; 08:00 in Vienna is 07:00 UTC in winter.
NOW = datetime(2026, 11, 20, 7, 0, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "weekday", "now", "due"),
    [
        ("daily", 0, "2026-11-20T07:00:00", "2026-11-20T07:00:00"),
        ("daily", 0, "2026-11-20T06:59:59", "2026-11-19T07:00:00"),
        ("daily", 0, "2026-07-01T06:00:00", "2026-07-01T06:00:00"),  # summer
        ("weekly", 4, "2026-11-20T07:00:00", "2026-11-20T07:00:00"),
        ("weekly", 4, "2026-11-20T06:00:00", "2026-11-13T07:00:00"),
        ("weekly", 0, "2026-11-20T07:00:00", "2026-11-16T07:00:00"),
        ("weekly", 0, "2026-10-26T07:30:00", "2026-10-26T07:00:00"),  # the day after the clocks changed
    ],
)
def test_report_is_due_at_the_hour_of_its_zone(period: str, weekday: int, now: str, due: str) -> None:
    moment = datetime.fromisoformat(now + "+00:00")

    assert last_due(period, weekday, time(8), "Europe/Vienna", moment).isoformat() == due + "+00:00"


def test_report_is_about_the_whole_days_before_it() -> None:
    assert covered_time("daily", "Europe/Vienna", NOW) == (
        datetime(2026, 11, 18, 23, tzinfo=UTC),
        datetime(2026, 11, 19, 23, tzinfo=UTC),
    )
    assert covered_time("weekly", "UTC", NOW) == (datetime(2026, 11, 13, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))
    # The day on which clocks go back has 25 hours.
    start, end_at = covered_time("daily", "Europe/Vienna", datetime(2026, 10, 26, 7, tzinfo=UTC))
    assert end_at - start == timedelta(hours=25)


def create_digest(**overrides: Any) -> Digest:
    channel = overrides.pop("channel", None) or create_channel(kind="email", target="ann@example.com", name="Ann")
    values = {"time_of_day": time(8), "time_zone": "Europe/Vienna", "created_at": NOW - timedelta(days=30)} | overrides
    return Digest.objects.create(project=default_project(), channel=channel, **values)


def run_due(store: Store, now: datetime) -> list[bool]:
    return [digests.send_run(run_id, store, now) for run_id in digests.find_due_runs(now)]


@pytest.mark.django_db
def test_daily_digest_arrives_once_by_mail_with_numbers_incidents_and_pictures(store: Store, settings: Any) -> None:
    yesterday = datetime(2026, 11, 19, 12, tzinfo=UTC)
    insert_traffic(store, yesterday, failed=3, ok=9)
    insert_traffic(store, yesterday - timedelta(days=1), failed=0, ok=10)
    end(begin(create_rule(create_channel(name="Hook"), name="Refunds fail"), yesterday), yesterday + timedelta(minutes=4))
    with receive_mail() as mail:
        settings.SMTP_URL = mail.url
        create_digest()

        assert run_due(store, NOW - timedelta(minutes=1)) == []  # it is not yet time, and yesterday's is no news any more
        assert run_due(store, NOW) == [True]
        assert run_due(store, NOW + timedelta(hours=3)) == []

    (message,) = mail.messages
    assert message["Subject"] == "[daily] Default, Thu 19 Nov 2026: 12 traces, 25% failed"
    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    for said in (
        "Requests: 12 traces (10 traces, +20%)",
        "Failure rate: 25% (0%, +25.0 points)",
        "1 incident:",
        "Refunds fail (warning, 19 Nov 12:00 UTC, for 4 m)",
        "TimeoutError: refund service timed out (3 traces)",
        "Refunds fail: 1 of 1 page (noise 100%)",
    ):
        assert said in text, said
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 3
    assert all(part.get_payload(decode=True).startswith(b"\x89PNG") for part in pictures)  # type: ignore[union-attr]


@pytest.mark.django_db
def test_weekly_report_of_a_quiet_week_comes_without_pictures(store: Store) -> None:
    with receive_webhooks() as hook:
        create_digest(period="weekly", weekday=4, channel=create_channel(target=hook.url))

        assert run_due(store, NOW) == [True]

    (body,) = hook.bodies
    assert (body["event"], body["period"]) == ("report", "weekly")
    assert body["metrics"]["requests"] == {"value": 0.0, "before": 0.0}
    assert body["start"].startswith("2026-11-12T23:00:00")


@pytest.mark.django_db
def test_report_that_a_receiver_refuses_is_tried_again_and_later_given_up(store: Store) -> None:
    with receive_webhooks(500) as hook:
        create_digest(channel=create_channel(target=hook.url))

        assert run_due(store, NOW) == [False]
        assert DigestRun.objects.get().last_error == "The receiver answered 500 (Internal Server Error)."
        assert run_due(store, NOW + timedelta(seconds=5)) == []
        assert run_due(store, NOW + timedelta(seconds=60)) == [True]

    DigestRun.objects.update(status="pending")
    assert run_due(store, NOW + timedelta(hours=21)) == []
    assert DigestRun.objects.get().status == "failed"


@pytest.mark.django_db
def test_nobody_is_sent_what_was_due_before_they_asked_or_while_it_is_off(store: Store) -> None:
    hook = create_channel()
    create_digest(channel=hook, created_at=NOW)
    create_digest(channel=hook, enabled=False)

    assert digests.find_due_runs(NOW) == []
    assert len(digests.find_due_runs(NOW + timedelta(days=1))) == 1


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_send_one_report(store: Store) -> None:
    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url))
        start = threading.Barrier(4)

        def race() -> None:
            start.wait(60)
            run_due(store, NOW)
            connections.close_all()

        threads = [threading.Thread(target=race) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(150)

    assert len(hook.bodies) == 1


@pytest.mark.django_db
def test_report_is_set_up_tried_and_deleted_on_its_page(client: Client, store: Store) -> None:
    default_project()
    assert "Add a channel first" in client.get("/alerts/digests").content.decode()
    with receive_webhooks() as hook:
        channel = create_channel(target=hook.url, name="Team")
        fields = {"channel": channel.pk, "period": "weekly", "weekday": "0", "time_of_day": "08:30", "time_zone": "Asia/Tokyo"}
        assert client.post("/alerts/digests/new", fields | {"time_zone": "Mars"}).status_code == 422
        assert client.post("/alerts/digests/new", fields | {"enabled": "on"}).status_code == 302
        digest = Digest.objects.get()

        said = client.post(f"/alerts/digests/{digest.pk}/test").content.decode()

    assert "Mon at 08:30, Asia/Tokyo" in client.get("/alerts/digests").content.decode()
    assert 'value="08:30"' in client.get(f"/alerts/digests/{digest.pk}").content.decode()
    assert len(hook.bodies) == 1
    assert "digest-test" in said
    client.post(f"/alerts/digests/{digest.pk}/delete")
    assert not Digest.objects.exists()


def call(client: Client, method: str, path: str = "", **body: Any) -> Any:
    return getattr(client, method)(f"/api/v1/digests{path}", body or None, content_type="application/json")


@pytest.mark.django_db
def test_report_is_made_listed_changed_and_deleted_by_the_api(client: Client) -> None:
    channel = create_channel()

    made = call(client, "post", channel="On-call", period="weekly", weekday=4, time_zone="Europe/Vienna")
    digest = made.json()
    DigestRun.objects.create(digest_id=digest["id"], due_at=NOW, next_attempt_at=NOW, last_error="gone")
    DigestRun.objects.create(digest_id=digest["id"], due_at=NOW - timedelta(days=7), next_attempt_at=NOW)
    changed = call(client, "patch", f"/{digest['id']}", time_of_day="09:30", channel=str(channel.pk)).json()

    assert made.status_code == 201
    assert (digest["channel"], digest["weekday"], digest["time_of_day"], digest["last_run"]) == ("On-call", 4, "08:00:00", None)
    assert (changed["period"], changed["weekday"], changed["time_of_day"]) == ("weekly", 4, "09:30:00")
    assert (changed["last_run"]["status"], changed["last_run"]["last_error"]) == ("pending", "gone")
    assert call(client, "get").json() == {"results": [changed], "next": None}
    assert call(client, "delete", f"/{digest['id']}").status_code == 204
    assert call(client, "get", f"/{digest['id']}").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "channel"), ({"channel": "Pager"}, "channel"), ({"channel": "elsewhere"}, "channel"), ({"weekday": 7}, "weekday"),
        ({"time_zone": "Mars"}, "time_zone"), ({"time_of_day": "25:00"}, "time_of_day"), ({"perod": "daily"}, "perod"),
    ],
)  # fmt: skip
def test_api_names_what_is_wrong_with_a_report(client: Client, body: dict[str, Any], parameter: str) -> None:
    create_channel()
    create_channel(name="Pager", kind="pagerduty", target="k" * 32)
    other = Project.objects.create(slug="other", name="Other")
    NotificationChannel.objects.create(project=other, name="elsewhere", kind="webhook", target="http://127.0.0.1:9/")

    answer = call(client, "post", **({"channel": "On-call"} | body if body else {"period": "daily"}))

    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == parameter
    assert not Digest.objects.exists()


@pytest.mark.django_db
def test_reports_of_another_project_are_not_there(client: Client) -> None:
    default_project()
    other = Project.objects.create(slug="other", name="Other")
    channel = NotificationChannel.objects.create(project=other, name="x", kind="webhook", target="http://127.0.0.1:9/")
    digest = Digest.objects.create(project=other, channel=channel, time_of_day=time(8))

    assert call(client, "get").json()["results"] == []
    assert [call(client, method, f"/{digest.pk}").status_code for method in ("get", "patch", "delete")] == [404] * 3


@pytest.mark.django_db
def test_report_waits_while_its_channel_is_off(store: Store) -> None:
    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url, enabled=False))
        while_off = run_due(store, NOW)
        NotificationChannel.objects.update(enabled=True)
        while_on = run_due(store, NOW + timedelta(hours=1))

    assert (while_off, while_on, len(hook.bodies)) == ([], [True], 1)


@pytest.mark.django_db
def test_report_that_breaks_says_so_and_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url))
        with monkeypatch.context() as broken:
            broken.setattr(digests, "covered_time", lambda *_: 1 / 0)
            assert run_due(store, NOW) == [False]
        assert DigestRun.objects.get().last_error == "internal error (ZeroDivisionError); the server's log says more"
        assert run_due(store, NOW + timedelta(seconds=15)) == [True]


@pytest.mark.django_db
def test_report_of_a_time_zone_that_is_gone_keeps_no_other_from_being_sent(store: Store) -> None:
    with receive_webhooks() as hook:
        create_digest(time_zone="Nowhere/Gone")
        create_digest(channel=create_channel(target=hook.url))

        assert run_due(store, NOW) == [True]


@pytest.mark.django_db
def test_worker_that_made_a_report_too_slowly_leaves_it_to_its_successor(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url))
        (pk,) = digests.find_due_runs(NOW)
        taken_over: list[bool] = []

        def build_slowly(*arguments: Any) -> Any:
            if not taken_over:
                taken_over.append(False)  # the successor comes by here as well
                taken_over[0] = digests.send_run(pk, store, NOW + timedelta(minutes=16))
            return build_report(*arguments)

        monkeypatch.setattr(digests, "build_report", build_slowly)
        sent = digests.send_run(pk, store, NOW)

    assert (taken_over, sent, len(hook.bodies)) == ([True], False, 1)


@pytest.mark.django_db(transaction=True)
def test_report_is_sent_once_although_the_database_is_locked_when_it_is_accepted(store: Store) -> None:
    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url))
        (pk,) = digests.find_due_runs(NOW)
        with lock_database_while_answering(hook):
            sent = digests.send_run(pk, store, NOW)

    assert (sent, len(hook.bodies), DigestRun.objects.get().status) == (True, 1, "delivered")


@pytest.mark.django_db
def test_report_that_waits_for_a_time_of_a_clock_that_was_set_back_is_sent(store: Store) -> None:
    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url))
        (pk,) = digests.find_due_runs(NOW)
        DigestRun.objects.update(next_attempt_at=NOW + timedelta(days=1))

        assert digests.send_run(pk, store, NOW)


@pytest.mark.django_db
def test_report_that_a_killed_process_was_making_is_made_at_the_next_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt  # nothing of send_run runs after

    with receive_webhooks() as hook:
        create_digest(channel=create_channel(target=hook.url))
        with monkeypatch.context() as killed:
            killed.setattr(digests, "build_report", die)
            with pytest.raises(KeyboardInterrupt):
                run_due(store, NOW)
        assert run_due(store, NOW + timedelta(seconds=20)) == []

        release_claims(NOW + timedelta(seconds=20))

        assert run_due(store, NOW + timedelta(seconds=20)) == [True]
    assert len(hook.bodies) == 1
