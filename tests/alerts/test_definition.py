"""Definitions that make no sense are refused alike by editor and API; those that do survive the way there and back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from alerts.models import AlertRule, RuleInstance
from alerts.rules.definition import find_problems
from tests.alerts.factories import create_rule, insert_traffic
from tests.alerts.test_pages import filled_in, now, roll_up
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.timerange import NS_PER_S, ns_of

pytestmark = pytest.mark.usefixtures("default_project")
RULES = "/api/v1/alert-rules"
EVERYTHING = {
    "name": "Slow tools", "kind": "baseline", "metric": "duration_p95", "query": "service:shop", "group_by": ["tool", "version"],
    "window_s": 900, "interval_s": 60, "grace_s": 30, "comparison": "above", "threshold": 1.5, "warning_threshold": 0.5,
    "recovery_threshold": 0.25, "hold_s": 120, "breaches_needed": 2, "of_evaluations": 3, "min_samples": 20, "no_data": "keep",
    "baseline_weeks": 3, "baseline_deviations": 2.5, "budget_period": "month",
    "schedule": {"days": [0, 4], "start": "07:30", "end": "18:00"}, "time_zone": "Europe/Vienna", "severity": "critical",
    "labels": {"team": "payments"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"metric": "luck"}, "metric", "There is no metric 'luck'"),
        ({"kind": "run", "metric": "cost"}, "metric", "run_cost"),
        ({"kind": "budget", "metric": "failure_rate"}, "metric", "cannot watch failure_rate"),
        ({"kind": "version", "metric": "requests"}, "metric", "escalation_rate"),
        ({"kind": "version", "group_by": ["agent"]}, "group_by", "newest version"),
        ({"group_by": ["agent", "agent"]}, "group_by", "different"),
        ({"group_by": ["agent", "tool", "model", "error"]}, "group_by", "3"),
        ({"group_by": ["luck"]}, "group_by", "possible are"),
        ({"kind": "run", "metric": "run_cost", "comparison": "below"}, "comparison", "above"),
        ({"threshold": 5.0}, "threshold", "0.05 for 5%"),
        ({"threshold": float("nan")}, "threshold", "from 0 up"),
        ({"kind": "baseline", "comparison": "below", "threshold": 1.0}, "threshold", "more than 100%"),
        ({"warning_threshold": 0.01}, "warning_threshold", "Only a critical rule"),
        ({"warning_threshold": 0.2, "severity": "critical"}, "warning_threshold", "before the critical"),
        ({"comparison": "below", "warning_threshold": 0.05, "severity": "critical"}, "warning_threshold", "before the critical"),
        ({"recovery_threshold": 0.2}, "recovery_threshold", "good side"),
        ({"breaches_needed": 4, "of_evaluations": 3}, "breaches_needed", "more than"),
        ({"schedule": {"days": [7], "start": "08:00", "end": "09:00"}}, "schedule", "0 (Monday)"),
        ({"schedule": {"days": [1], "start": "8", "end": "09:00"}}, "schedule", "08:00"),
        ({"schedule": {"days": [1], "start": "09:00", "end": "09:00"}}, "schedule", "same time"),
        ({"schedule": {"days": {}}}, "schedule", "Monday being 0"),
        ({"labels": {"1": "x"}}, "labels", "no name"),
        ({"labels": {"team": ""}}, "labels", "needs a text"),
    ],
)
def test_what_makes_no_sense_is_said(values: dict[str, Any], field: str, sentence: str) -> None:
    rule = AlertRule(**{"metric": "failure_rate", "threshold": 0.1} | values)

    assert sentence in find_problems(rule)[field]


def test_everything_goes_in_and_comes_out_by_api(client: Client) -> None:
    created = client.post(RULES, EVERYTHING, content_type="application/json")

    assert created.status_code == 201, created.content
    answer = created.json()
    assert {name: answer[name] for name in EVERYTHING} == EVERYTHING
    again = client.put(f"{RULES}/{answer['id']}", answer, content_type="application/json")
    assert again.json() == answer


def test_change_that_does_not_fit_the_rest_is_refused(client: Client) -> None:
    rule = create_rule(group_by=["agent"])

    answer = client.patch(f"{RULES}/{rule.pk}", {"kind": "version"}, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["parameter"]) == (400, "group_by")


def test_everything_goes_in_and_comes_out_by_the_editor(client: Client) -> None:
    fields = {name: value for name, value in EVERYTHING.items() if name not in ("query", "schedule", "labels")}
    fields |= {"q": "service:shop", "window_s": "15m", "interval_s": "1m", "hold_s": "2m", "grace_s": "30s"}
    fields |= {"threshold": "150", "warning_threshold": "50%", "recovery_threshold": "25", "labels": "team=payments"}
    fields |= {"schedule_days": ["0", "4"], "schedule_start": "07:30", "schedule_end": "18:00", "enabled": "on"}

    answer = client.post("/alerts/rules/new", fields)

    assert answer.status_code == 302, answer.content.decode()
    rule = AlertRule.objects.get()
    assert {name: getattr(rule, name) for name in EVERYTHING} == EVERYTHING
    page = client.get(f"/alerts/rules/{rule.pk}").content.decode()
    for shown in ('value="150"', 'value="50"', 'value="25"', 'value="team=payments"', 'value="2"', 'value="07:30"'):
        assert shown in page, shown
    assert page.count('editor__more" open') == 4


def test_editor_of_a_plain_rule_keeps_the_rest_folded(client: Client) -> None:
    page = client.get("/alerts/rules/new").content.decode()

    assert page.count('class="editor__more"') == 4
    assert 'editor__more" open' not in page


def test_problem_in_a_folded_part_opens_it(client: Client) -> None:
    answer = client.post("/alerts/rules/new", filled_in(warning_threshold="1", labels="nonsense"))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "is no label" in page
    assert 'editor__more" open' in page


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"group_by": "version", "threshold": "50"}, "Would have fired 1 time"),
        ({"kind": "budget", "metric": "requests", "threshold": "4"}, "Would have fired 1 time"),
        ({"kind": "run", "metric": "run_duration", "threshold": "0.5"}, "Would have fired 1 time"),
        ({"kind": "baseline", "threshold": "50"}, "Would not have fired"),
    ],
)
def test_preview_replays_every_kind_of_rule(client: Client, store: Store, values: dict[str, str], said: str) -> None:
    insert_traffic(store, now(), failed=6, ok=4, age_s=3600)
    roll_up(store)

    page = client.post("/alerts/rules/preview", filled_in(q="", hold_s="0", range="6h", **values)).content.decode()

    assert said in page
    assert "rule-figure" in page


def test_list_says_what_a_rule_asks_and_which_groups_are_bad(client: Client) -> None:
    rule = create_rule(name="Tools", group_by=["tool"], state="firing", severity="critical", warning_threshold=0.05)
    RuleInstance.objects.create(rule=rule, key="x", labels={"tool": "<refund>"}, state="firing", last_value=0.4)
    create_rule(name="Budget", kind="budget", metric="cost", threshold=20)

    page = client.get("/alerts/rules").content.decode()

    assert "Failure rate above 10%, warning 5%, for each tool" in page
    assert "tool &lt;refund&gt; 40%" in page
    assert "Cost of the day above $20.00" in page


def test_preview_of_a_version_guard_says_what_it_sees_now(client: Client, store: Store) -> None:
    fields = filled_in(q="", kind="version", threshold="10", window_s="1d", min_samples="5")
    assert "nothing to compare" in client.post("/alerts/rules/preview", fields).content.decode()
    insert_traces(store, *[{}] * 60, start_ns=ns_of(now()) - 7200 * NS_PER_S, versions=["v2"])
    insert_traces(store, *[{"outcome": "error"}] * 40, start_ns=ns_of(now()) - 3600 * NS_PER_S, versions=["<v3>"])

    page = client.post("/alerts/rules/preview", fields).content.decode()

    assert "Would fire now" in page
    assert "version &lt;v3&gt; has 100% in 40 traces, v2 has 0%" in page
    few = client.post("/alerts/rules/preview", fields | {"min_samples": "50"}).content.decode()
    assert "Too few traces" in few
