"""Verdicts on versions: the decision, and the command with its exit status."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from tests.factories import default_project, insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.timerange import TimeRange
from tracestore.verdict import JUDGED, Decision, Outcome, Verdict, judge_version

RANGE = TimeRange(T0, T0 + 10**9)


def insert_version(store: Store, version: str, count: int, *, failed: int = 0, **common: Any) -> None:
    """Traces with spread durations and, with `cost_usd`, spread costs."""
    cost_usd = common.pop("cost_usd", None)
    rows = [
        {
            "outcome": "error" if n < failed else "ok",
            "duration_ns": 10**9 + n * 10**6,
            "cost_usd": None if cost_usd is None else cost_usd * (1 + n % 5 / 10),
        }
        for n in range(count)
    ]
    insert_traces(store, *rows, versions=[version], **{"start_ns": T0} | common)


def judge(store: Store, query: str = "", **options: Any) -> Verdict:
    return judge_version(store, project_id=1, time_range=RANGE, version="v3", against="v2", query=parse_query(query), **options)


def decisions(verdict: Verdict) -> dict[str, str]:
    return {metric.name: metric.decision.value for metric in verdict.metrics}


def test_version_that_fails_more_is_worse(store: Store) -> None:
    insert_version(store, "v2", 200, failed=10)
    insert_version(store, "v3", 200, failed=60)

    verdict = judge(store)

    assert verdict.decision is Outcome.WORSE
    [failures] = [metric for metric in verdict.metrics if metric.name == "failure_rate"]
    assert (failures.value, failures.against_value, failures.samples, failures.against_samples) == (0.3, 0.05, 200, 200)
    assert failures.difference is not None
    assert failures.difference.low is not None
    assert 0.1 < failures.difference.low < 0.25
    assert decisions(verdict)["escalation_rate"] == "no_difference"
    assert decisions(verdict)["cost_per_trace"] == "not_measured"


def test_equal_versions_pass(store: Store) -> None:
    insert_version(store, "v2", 150, cost_usd=0.01)
    insert_version(store, "v3", 150, cost_usd=0.01)

    verdict = judge(store)

    assert verdict.decision is Outcome.PASS
    assert set(decisions(verdict).values()) == {"no_difference"}


def test_dearer_version_is_worse_beyond_what_is_tolerated(store: Store) -> None:
    insert_version(store, "v2", 150, cost_usd=0.01)
    insert_version(store, "v3", 150, cost_usd=0.02)

    assert decisions(judge(store, tolerance=0.5))["cost_per_trace"] == Decision.WORSE
    assert decisions(judge(store, tolerance=1.5))["cost_per_trace"] == Decision.NO_DIFFERENCE


def test_fewer_failures_are_better_and_pass(store: Store) -> None:
    insert_version(store, "v2", 200, failed=60)
    insert_version(store, "v3", 200, failed=10)

    verdict = judge(store, metrics=("failure_rate",))

    assert (verdict.decision, decisions(verdict)) == (Outcome.PASS, {"failure_rate": "better"})
    assert verdict.confidence == 0.95


def test_higher_tool_success_is_not_worse(store: Store) -> None:
    insert_version(store, "v2", 150, tools=[("refund", 1, 1)])
    insert_version(store, "v3", 150, tools=[("refund", 1, 0)])

    assert decisions(judge(store, metrics=("tool_success_rate",))) == {"tool_success_rate": "better"}
    turned = judge_version(
        store, project_id=1, time_range=RANGE, version="v2", against="v3", query=parse_query(""), metrics=("tool_success_rate",)
    )
    assert turned.decision is Outcome.WORSE


def test_too_few_traces_are_no_pass_but_what_is_certain_stands(store: Store) -> None:
    insert_version(store, "v2", 200)
    insert_version(store, "v3", 40, failed=40)

    assert judge(store).decision is Outcome.NOT_ENOUGH_DATA
    assert set(decisions(judge(store)).values()) == {"not_enough_data"}
    assert judge(store, minimum_samples=40).decision is Outcome.WORSE


def test_no_trace_at_all_and_nothing_measured_are_no_pass(store: Store) -> None:
    assert judge(store).decision is Outcome.NOT_ENOUGH_DATA
    insert_version(store, "v2", 200)
    insert_version(store, "v3", 200)

    verdict = judge(store, metrics=("cost_per_trace",))

    assert (verdict.decision, decisions(verdict)) == (Outcome.NOT_ENOUGH_DATA, {"cost_per_trace": "not_measured"})


def test_query_with_or_narrows_both_versions(store: Store) -> None:
    for version, failed in (("v2", 0), ("v3", 100)):
        insert_version(store, version, 100, failed=failed, environment="staging")
        insert_version(store, version, 100, environment="production")

    assert judge(store, "env:production OR env:other").decision is Outcome.PASS
    assert judge(store, "env:staging OR env:other").decision is Outcome.WORSE


def test_every_judged_metric_is_one_of_cohorts(store: Store) -> None:
    assert [metric.name for metric in judge(store, metrics=JUDGED).metrics] == list(JUDGED)


def run_command(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("verdict", "v3", "v2", *arguments, stdout=output)
    assert isinstance(left.value.code, int)
    return left.value.code, output.getvalue()


@pytest.mark.django_db
def test_exit_status_tells_pass_worse_and_unknown(store: Store) -> None:
    default_project()
    times = ("--start", str(RANGE.start_ns), "--end", str(RANGE.end_ns))

    assert run_command(*times)[0] == 2
    insert_version(store, "v2", 200)
    insert_version(store, "v3", 200, failed=50)
    status, said = run_command(*times)
    assert status == 1
    assert "v3 against v2: worse (200 and 200 traces)" in said
    assert "failure_rate       worse            25.00 % against 0.00 %; difference 1" in said
    status, said = run_command(*times, "--metrics", "duration_p50,escalation_rate", "--json")
    assert (status, json.loads(said)["decision"]) == (0, "pass")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--query", "verison:v3"), "verison"),
        (("--metrics", "failure_rat"), "no verdict on 'failure_rat'"),
        (("--start", "yesterday"), "is not a time"),
        (("--start", "now", "--end", "now-1h"), "must lie before its end"),
        (("--min-samples", "0"), "2 or more"),
        (("--tolerance", "nan"), "0 or more"),
        (("--project", "none"), "no project"),
        (("--url", "ftp://localhost"), "begins with http"),
        (("--url", "http://127.0.0.1:9"), "does not answer"),
    ],
)
def test_wrong_argument_is_named_and_leaves_with_two(store: Store, arguments: tuple[str, ...], said: str) -> None:
    default_project()

    with pytest.raises(CommandError, match=said) as refused:
        call_command("verdict", "v3", "v2", *arguments)

    assert refused.value.returncode == 2


def test_command_asks_a_running_instance(store: Store, live_server: LiveServer) -> None:
    default_project()
    insert_version(store, "v2", 200)
    insert_version(store, "v3", 200, failed=50)
    times = ("--start", str(RANGE.start_ns), "--end", str(RANGE.end_ns))

    assert run_command("--url", live_server.url, *times)[0] == 1
    assert run_command("--url", live_server.url, *times, "--metrics", "escalation_rate")[0] == 0
    with pytest.raises(CommandError, match="answers 400: There is no field"):
        call_command("verdict", "v3", "v2", "--url", live_server.url, "--query", "verison:v3")
