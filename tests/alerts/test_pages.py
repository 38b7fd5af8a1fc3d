from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from alerts.evidence.focus import traces_path
from alerts.models import BROKEN_KEY, Alert, AlertRule, NotificationChannel
from alerts.templatetags.alerting import fullness
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import receive_webhooks
from tests.factories import default_project
from tracestore.clickhouse.client import Store
from tracestore.queries.rollups import recompute_rollups
from tracestore.timerange import TimeRange

pytestmark = pytest.mark.usefixtures("default_project")


def now() -> datetime:
    return datetime.fromtimestamp(int(time.time()), UTC)


def fire(store: Store, *channels: NotificationChannel, **rule: Any) -> Alert:
    insert_traffic(store, now(), failed=3, ok=7)
    evaluate_rule(create_rule(*channels, **rule).pk, now())
    return Alert.objects.get()


def roll_up(store: Store) -> None:
    """Fill the rollups of the last day: long ranges read them."""
    minute = int(time.time()) // 60 * 60
    recompute_rollups(store, project_id=1, bucket_starts_s=range(minute - 86_400, minute + 60, 60))


def filled_in(**overrides: str) -> dict[str, str]:
    values = {
        "name": "v3 fails",
        "metric": "failure_rate",
        "q": "version:v3",
        "comparison": "above",
        "threshold": "5",
        "window_s": "5m",
    }
    return values | {"hold_s": "1m", "severity": "critical", "enabled": "on"} | overrides


def test_empty_pages_say_what_to_do_next(client: Client) -> None:
    alerts = client.get("/alerts").content.decode()
    assert "No alert rules yet" in alerts
    assert 'href="/alerts/rules/pack"' in alerts
    assert "No alert rules yet" in client.get("/alerts/rules").content.decode()
    assert "Nobody is told yet" in client.get("/alerts/channels").content.decode()


def test_list_shows_firing_alerts_before_newer_resolved_ones(client: Client, store: Store) -> None:
    firing = fire(store, name="Still bad")
    Alert.objects.filter(pk=firing.pk).update(started_at=now() - timedelta(hours=2))
    resolved = Alert.objects.get(pk=firing.pk)
    resolved.pk, resolved.rule, resolved.rule_name, resolved.resolved_at = None, None, "Was bad", now()
    resolved.save()

    page = client.get("/alerts").content.decode()

    assert page.index("Still bad") < page.index("Was bad")


def test_htmx_gets_the_list_alone(client: Client) -> None:
    page = client.get("/alerts", headers={"HX-Request": "true"}).content.decode()

    assert 'id="alert-rows"' in page
    assert "<html" not in page


def test_badge_counts_firing_alerts_and_is_empty_without(client: Client, store: Store) -> None:
    assert client.get("/alerts/badge").content.strip() == b""
    fire(store)

    assert ">1<" in client.get("/alerts/badge").content.decode()


def test_alert_page_shows_value_reasons_traces_and_messages(client: Client, store: Store) -> None:
    alert = fire(store, create_channel(name="On-call"))

    page = client.get(f"/alerts/{alert.pk}").content.decode()

    for text in (
        "30%",
        "Failure rate above 10%",
        "3 failing traces",
        "7 others",
        "TimeoutError",
        "v3",
        "refund",
        "On-call",
        "refund service timed out",
    ):
        assert text in page, text
    assert f"/traces/{alert.evidence['examples'][0]['trace_id']}" in page


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"kind": "run", "metric": "run_duration", "threshold": 0.5}, "Duration of a run above 0.5\u00a0s"),
        ({"group_by": ["version"], "no_data": "alert"}, "for version v3"),
    ],
)
def test_alert_of_every_kind_has_a_page_with_a_chart(client: Client, store: Store, rule: dict[str, Any], said: str) -> None:
    alert = fire(store, **rule)

    page = client.get(f"/alerts/{alert.pk}").content.decode()

    assert said in page
    assert 'id="alert-figure"' in page
    assert ("The largest run" in page) is (alert.kind == "run")


def test_incident_shows_the_metric_of_its_worst_alert_after_the_page(client: Client, store: Store) -> None:
    alert = fire(store)

    page = client.get(f"/alerts/incidents/{alert.incident_id}").content.decode()
    chart = client.get(f"/alerts/incidents/{alert.incident_id}/chart").content.decode()

    assert f'hx-get="/alerts/incidents/{alert.incident_id}/chart" hx-trigger="intersect once"' in page
    assert ">Failure rate" in chart
    assert 'id="incident-figure"' in chart
    assert client.get("/alerts/incidents/999/chart").status_code == 404


def test_alert_about_a_rule_says_that_it_cannot_be_evaluated(client: Client, store: Store) -> None:
    alert = fire(store)
    Alert.objects.update(instance_key=BROKEN_KEY, value=None, peak_value=None)

    page = client.get(f"/alerts/{alert.pk}").content.decode()

    assert "The rule cannot be evaluated" in page


def test_link_of_the_alert_opens_exactly_the_failing_traces(client: Client, store: Store) -> None:
    alert = fire(store, query="service:support-bot OR version:v9")
    insert_traffic(store, now(), failed=1, ok=1, service="other", services=["other"])
    insert_traffic(store, now(), failed=1, ok=1, age_s=4000)
    page = client.get(f"/alerts/{alert.pk}").content.decode()
    link = next(part for part in page.split('"') if part.startswith("/traces?q="))

    parameters = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
    found = client.get(f"/api/v1/traces?{urlsplit(link.replace('&amp;', '&')).query}").json()["results"]

    assert parameters["q"] == ["(service:support-bot OR version:v9) status:error"]
    assert len(found) == 3
    assert {trace["trace_id"] for trace in found} == {example["trace_id"] for example in alert.evidence["examples"]}


def test_alert_of_another_project_is_not_found(client: Client, store: Store) -> None:
    alert = fire(store)
    other = type(default_project()).objects.create(slug="other", name="Other")
    Alert.objects.update(project=other)

    assert client.get(f"/alerts/{alert.pk}").status_code == 404


def test_hostile_names_are_shown_as_text(client: Client, store: Store) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    insert_traffic(store, now(), failed=3, ok=0, name=hostile, service=hostile)
    insert_traffic(store, now(), failed=0, ok=1)
    evaluate_rule(create_rule(name=hostile[:100]).pk, now())

    for path in ("/alerts", f"/alerts/{Alert.objects.get().pk}", "/alerts/rules", f"/alerts/rules/{AlertRule.objects.get().pk}"):
        page = client.get(path).content.decode()
        assert "<script>alert(1)" not in page, path
        assert "<img src=x" not in page, path


def test_rule_is_created_from_the_editor(client: Client) -> None:
    channel = create_channel()

    answer = client.post("/alerts/rules/new", filled_in(channels=str(channel.pk)))

    assert (answer.status_code, answer["Location"]) == (302, "/alerts/rules")
    rule = AlertRule.objects.get()
    assert (rule.metric, rule.query, rule.window_s, rule.threshold, rule.hold_s) == ("failure_rate", "version:v3", 300, 0.05, 60)
    assert list(rule.channels.all()) == [channel]


def test_editor_of_a_rule_shows_what_was_saved(client: Client) -> None:
    rule = create_rule(threshold=0.125, window_s=900, query="version:v3")

    page = client.get(f"/alerts/rules/{rule.pk}").content.decode()

    assert 'value="12.5"' in page
    assert 'value="15m"' in page
    assert 'value="version:v3"' in page


def test_editor_may_arrive_filled_in_by_its_address(client: Client) -> None:
    page = client.get("/alerts/rules/new?q=tool:refund&metric=tool_errors").content.decode()

    assert 'value="tool:refund"' in page
    assert 'value="tool_errors" data-help="' in page


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("q", "verison:v3", "version"), ("threshold", "many", "type the threshold in %"), ("window_s", "soon", "for example 90s"),
     ("window_s", "5s", "at least 1 m"), ("name", "", "required"), ("metric", "luck", "luck")],
)  # fmt: skip
def test_bad_field_is_refused_with_a_sentence(client: Client, field: str, value: str, sentence: str) -> None:
    answer = client.post("/alerts/rules/new", filled_in(**{field: value}))

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not AlertRule.objects.exists()


def test_name_of_another_rule_is_refused(client: Client) -> None:
    create_rule(name="v3 fails")

    assert "Another rule has this name" in client.post("/alerts/rules/new", filled_in()).content.decode()


def test_preview_says_how_often_the_rule_would_have_fired(client: Client, store: Store) -> None:
    for hours in (3, 6):
        insert_traffic(store, now() - timedelta(hours=hours), failed=5, ok=5)
    insert_traffic(store, now() - timedelta(hours=1), failed=0, ok=10)
    roll_up(store)

    page = client.post("/alerts/rules/preview", filled_in(q="", hold_s="0", name="", range="24h")).content.decode()

    assert "Would have fired 2 times" in page
    assert 'id="rule-figure"' in page


def test_preview_of_a_quiet_rule_says_so(client: Client, store: Store) -> None:
    insert_traffic(store, now() - timedelta(hours=1), failed=0, ok=10)
    roll_up(store)

    assert "Would not have fired" in client.post("/alerts/rules/preview", filled_in(q="")).content.decode()


def test_preview_without_traces_says_so(client: Client, store: Store) -> None:
    assert "nothing to judge the threshold by" in client.post("/alerts/rules/preview", filled_in()).content.decode()


def test_preview_of_a_bad_query_shows_the_sentence(client: Client) -> None:
    page = client.post("/alerts/rules/preview", filled_in(q="verison:v3")).content.decode()

    assert "version" in page
    assert 'id="rule-figure"' not in page


def test_preview_of_short_windows_says_how_far_it_reaches(client: Client, store: Store) -> None:
    insert_traffic(store, now() - timedelta(hours=1), failed=0, ok=10)
    roll_up(store)

    page = client.post("/alerts/rules/preview", filled_in(q="", window_s="1m", range="7d")).content.decode()

    assert "can be replayed for 3\u00a0d" in page


def test_preview_of_windows_longer_than_the_range_slides_them(client: Client, store: Store) -> None:
    insert_traffic(store, now() - timedelta(hours=20), failed=0, ok=10)
    insert_traffic(store, now() - timedelta(hours=6), failed=1, ok=9)
    roll_up(store)
    fields = filled_in(q="", hold_s="0", window_s="2d", range="6h", threshold="4")

    page = client.post("/alerts/rules/preview", fields).content.decode()

    assert "Would have fired 1 time</strong> in the last 2\u00a0d" in page
    assert re.search("; the last began [^.;]* ago and reached 5%", page)
    assert "One point per evaluation, every 4\u00a0h" in page


def test_rule_is_switched_off_and_deleted(client: Client) -> None:
    rule = create_rule()

    client.post(f"/alerts/rules/{rule.pk}/switch", {"enabled": "0"})
    assert not AlertRule.objects.get().enabled
    client.post(f"/alerts/rules/{rule.pk}/delete")
    assert not AlertRule.objects.exists()


def test_rule_that_cannot_be_evaluated_shows_why(client: Client) -> None:
    create_rule(last_error="the store is away", last_evaluated_at=timezone.now())

    assert "Cannot be evaluated: the store is away" in client.get("/alerts/rules").content.decode()


def test_channel_is_created_tested_and_its_secret_stays_hidden(client: Client) -> None:
    with receive_webhooks() as hook:
        client.post("/alerts/channels/new", {"name": "Hook", "kind": "webhook", "target": hook.url + "?token=secret"})
        channel = NotificationChannel.objects.get()

        answer = client.post(f"/alerts/channels/{channel.pk}/test")

    assert "Test message delivered" in answer.content.decode()
    assert len(hook.bodies) == 1
    assert "secret" not in client.get("/alerts/channels").content.decode()


def test_refused_test_message_shows_the_reason(client: Client) -> None:
    with receive_webhooks(403) as hook:
        channel = create_channel(target=hook.url)

        assert "The receiver answered 403 (Forbidden)" in client.post(f"/alerts/channels/{channel.pk}/test").content.decode()


@pytest.mark.parametrize(("kind", "target"), [("webhook", "ftp://x/y"), ("apprise", "nonsense"), ("email", "no address")])
def test_bad_target_is_refused(client: Client, kind: str, target: str) -> None:
    answer = client.post("/alerts/channels/new", {"name": "X", "kind": kind, "target": target})

    assert answer.status_code == 422
    assert not NotificationChannel.objects.exists()


def test_failed_channel_is_announced_on_the_alert_list(client: Client) -> None:
    create_channel(name="Pager", enabled=False, disabled_reason="The receiver answered 410 (Gone).")

    page = client.get("/alerts").content.decode()

    assert "Pager" in page
    assert "410 (Gone)" in page


def test_saving_a_failed_channel_switches_it_on(client: Client) -> None:
    channel = create_channel(enabled=False, disabled_reason="The receiver answered 410 (Gone).")

    client.post(f"/alerts/channels/{channel.pk}", {"name": "On-call", "kind": "webhook", "target": "http://127.0.0.1:9/other"})

    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_reason) == (True, "")


def test_channel_is_switched_off_and_deleted(client: Client) -> None:
    channel = create_channel()

    client.post(f"/alerts/channels/{channel.pk}/switch", {"enabled": "0"})
    assert not NotificationChannel.objects.get().enabled
    client.post(f"/alerts/channels/{channel.pk}/delete")
    assert not NotificationChannel.objects.exists()


def test_traces_path_is_absolute_in_time() -> None:
    assert traces_path("a b", TimeRange(0, 10**9)) == (
        "/traces?q=a+b&start=1970-01-01T00%3A00%3A00.000000000Z&end=1970-01-01T00%3A00%3A01.000000000Z"
    )


def test_bar_of_a_rule_is_full_only_at_its_threshold() -> None:
    below = AlertRule(comparison="below", threshold=0.85, last_value=0.8539)
    above = AlertRule(comparison="above", threshold=6, last_value=5.99)

    assert (fullness(below), fullness(above)) == (99, 99)
    assert [fullness(AlertRule(comparison=side, threshold=6, last_value=6)) for side in ("above", "below")] == [100, 100]
