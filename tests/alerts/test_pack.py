"""The ready-made rules: added once, from page, API and command."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, AlertRule
from alerts.rules import evaluator
from alerts.rules.definition import find_problems
from alerts.rules.pack import LABEL, add_pack, build_pack, suggest_budgets
from tests.alerts.factories import create_channel, create_rule
from tests.factories import default_project, insert_traces
from tracestore.clickhouse.client import Store
from tracestore.queries.rollups import recompute_rollups
from tracestore.timerange import NS_PER_S, ns_of

pytestmark = pytest.mark.usefixtures("default_project")
ALL = len(build_pack())


def test_every_rule_makes_sense_and_is_saved_once(db: None) -> None:
    project, channel = default_project(), create_channel()

    added = add_pack(project, [channel], timezone.now())
    again = add_pack(project, [channel], timezone.now())

    assert (len(added), again) == (ALL, [])
    assert [find_problems(rule) for rule in added] == [{}] * ALL
    assert all(list(rule.channels.all()) == [channel] for rule in added)
    assert len({item.slug for item in build_pack()}) == ALL


def test_renamed_rule_and_one_of_the_same_name_are_kept(db: None) -> None:
    project = default_project()
    own = create_rule(name="Costly run", threshold=7)
    add_pack(project, [], timezone.now())
    AlertRule.objects.filter(name="Slow runs").update(name="Slow", threshold=60)

    assert add_pack(project, [], timezone.now()) == []
    own.refresh_from_db()
    assert own.threshold == 7
    assert AlertRule.objects.count() == ALL


def test_budgets_are_suggested_by_what_the_past_did_cost(store: Store) -> None:
    now = timezone.now()
    starts_ns = [ns_of(now - timedelta(days=days)) for days in (3, 5)]
    insert_traces(
        store,
        {"cost_usd": 41.2, "user_id": "u1", "start_ns": starts_ns[0]},
        {"cost_usd": 30.0, "user_id": "u2", "start_ns": starts_ns[1]},
    )
    recompute_rollups(store, project_id=1, bucket_starts_s=[start_ns // NS_PER_S for start_ns in starts_ns])

    # Of the 41.20 USD of five days 31 would be 255.44.
    assert suggest_budgets(store, 1, now) == (42.0, 260.0)
    assert suggest_budgets(store, 2, now) == (100.0, 50.0)


@pytest.mark.parametrize(("failing", "happens"), [(1, []), (9, ["refund"])])
def test_run_whose_retries_all_fail_is_no_failing_tool(store: Store, failing: int, happens: list[str]) -> None:
    """Ten minutes with twenty runs: of these so many have tried ten times for nothing, in past weeks none."""
    now = timezone.now()
    for weeks in range(5):
        bad = 0 if weeks else failing
        tools = [[("refund", 10, 10)]] * bad + [[("refund", 1, 0)]] * (21 - bad)
        start_ns = ns_of(now - timedelta(weeks=weeks, minutes=5))
        insert_traces(store, *({"tools": calls} for calls in tools), start_ns=start_ns)
    rule = next(rule for rule in add_pack(default_project(), [], now) if rule.labels[LABEL] == "tool-failures")

    evaluator.evaluate_rules([rule.pk], now)

    assert [alert.labels["tool"] for alert in Alert.objects.all()] == happens


def test_page_adds_what_is_missing_with_one_click(client: Client, store: Store) -> None:
    channel = create_channel()
    assert "Add the ready-made rules" in client.get("/alerts/rules").content.decode()

    assert client.post("/alerts/rules/pack", {"all": "1"}).status_code == 302

    assert AlertRule.objects.count() == ALL
    assert list(AlertRule.objects.get(name="Daily cost").channels.all()) == [channel]
    assert "The project has all of them" in client.get("/alerts/rules/pack").content.decode()


def test_page_takes_budgets_and_refuses_none(client: Client, store: Store) -> None:
    page = client.get("/alerts/rules/pack").content.decode()
    refused = client.post("/alerts/rules/pack", {"daily_budget_usd": "-5"})
    assert client.post("/alerts/rules/pack", {"daily_budget_usd": "10"}).status_code == 302

    assert f"Add {ALL} rules" in page
    assert refused.status_code == 422
    rule = AlertRule.objects.get(**{f"labels__{LABEL}": "daily-cost"})
    assert (rule.warning_threshold, rule.threshold) == (10.0, 12.0)
    assert not rule.channels.exists()


def test_api_adds_the_pack_and_answers_what_was_added(client: Client, store: Store) -> None:
    create_channel(name="On-call")
    body = {"user_quota_usd": 7.5, "channels": ["On-call"]}

    added = client.post("/api/v1/alert-rules/pack", body, content_type="application/json").json()["results"]
    again = client.post("/api/v1/alert-rules/pack", body, content_type="application/json").json()["results"]

    assert (len(added), again) == (ALL, [])
    assert AlertRule.objects.get(name="User over quota").threshold == 7.5
    for wrong in ({"daily_budget": 5}, {"daily_budget_usd": 0}, {"channels": ["Nobody"]}):
        assert client.post("/api/v1/alert-rules/pack", wrong, content_type="application/json").status_code == 400


def test_command_adds_the_pack_once(db: None) -> None:
    create_channel(name="On-call")
    first, second = StringIO(), StringIO()

    call_command("add_alert_pack", "--channel", "On-call", "--daily-budget", "20", stdout=first)
    call_command("add_alert_pack", stdout=second)

    assert first.getvalue().count("Added: ") == ALL
    assert "Nothing to add" in second.getvalue()
    assert AlertRule.objects.get(name="Daily cost").warning_threshold == 20
    for arguments in (("--channel", "Nobody"), ("--project", "none"), ("--daily-budget", "0"), ("--user-quota", "nan")):
        with pytest.raises(CommandError):
            call_command("add_alert_pack", *arguments)
