"""Incidents from end to end: spans sent over OTLP, stored, summarised, added up, noticed and explained."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from alerts.models import Alert, AlertRule, RuleKind
from alerts.past.backtest import run_backtest
from alerts.rules.pack import LABEL, add_pack
from tests.alerts.factories import create_rule
from tests.factories import default_project
from tests.ingest.conftest import Receiver, build_request, build_span, receiver
from tests.simulator.clock import STEP, live_through
from tests.simulator.traffic import to_ns
from tracestore.clickhouse.client import Store
from tracestore.jobs.summarize import roll_up_pending, summarize_pending
from tracestore.language import parse_query
from tracestore.queries.metrics.series import metric_values
from tracestore.timerange import NS_PER_S, TimeRange

pytestmark = pytest.mark.django_db
__all__ = ["receiver"]  # a fixture

START = datetime(2026, 6, 1, 9, tzinfo=UTC)
INCIDENT, END = START + timedelta(minutes=14), START + timedelta(minutes=29)
MINUTES = [START + number * STEP for number in range((END - START) // STEP)]
TRACES_A_MINUTE = 20
_TOOLS = ("refund", "search", "track")

# Two quiet hours and, for rules that compare with past weeks, the same ones of the week before.
QUIET_MINUTES, WEEK, RELEASED = 120, timedelta(weeks=1), START + timedelta(minutes=60)
_QUIET_STARTS = (START - WEEK, START)


@dataclass(frozen=True)
class Plan:
    """A run to be: what it uses and what goes wrong in it. It asks the model and calls the tool `rounds` times.

    Where `tool_fails`, all of these calls fail, or the first alone, when the tool `recovers`.
    """

    agent: str
    tool: str
    model: str = "gpt-4o"
    version: str = "v7"
    rounds: int = 1
    input_tokens: int = 1000
    tool_fails: bool = False
    recovers: bool = False
    model_fails: bool = False
    fails: bool = False
    user: str = ""
    lasts_s: int = 5


def _circles(chance: random.Random, is_on: bool) -> Plan:
    """`refund` fails, and half of the runs of `planner` turn in circles."""
    agent, tool = chance.choice(("planner", "support")), chance.choice(_TOOLS)
    fails, loops = is_on and tool == "refund", is_on and agent == "planner" and chance.random() < 0.5
    return Plan(agent, tool, rounds=4 if loops else 1, tool_fails=fails, fails=fails)


def _four_at_once(chance: random.Random, is_on: bool) -> Plan:
    """All calls of claude-haiku-4-5 fail, some runs of `summariser` read far too much, v8, a fifth of all, fails and is slow."""
    agent, model = chance.choice(("planner", "support", "summariser")), chance.choices(("gpt-4o", "claude-haiku-4-5"), (4, 1))[0]
    version = "v8" if is_on and chance.random() < 0.2 else "v7"
    is_down, leaks = is_on and model != "gpt-4o", is_on and agent == "summariser" and chance.random() < 0.3
    return Plan(
        agent, chance.choice(_TOOLS), model, version, input_tokens=500_000 if leaks else 1000, model_fails=is_down,
        fails=is_down or (version == "v8" and chance.random() < 0.6), lasts_s=60 if version == "v8" else 5,
    )  # fmt: skip


def _quiet(chance: random.Random, is_new: bool) -> Plan:
    """Calls fail now and then and pass the second time, some are repeated for no reason, and v8 that follows v7 is like it."""
    agent, tool = chance.choice(("planner", "support", "summariser")), chance.choice(_TOOLS)
    model = chance.choices(("gpt-4o", "claude-haiku-4-5"), (4, 1))[0]
    tool_fails = chance.random() < 0.01
    return Plan(
        agent, tool, model, "v8" if is_new else "v7", rounds=1 + (tool_fails or chance.random() < 0.02),
        input_tokens=chance.randrange(500, 3000), tool_fails=tool_fails, recovers=True, fails=chance.random() < 0.004,
        user=f"user-{chance.randrange(20)}",
    )  # fmt: skip


def _live(store: Store, receiver: Receiver, draw: Callable[[random.Random, bool], Plan]) -> None:
    """Send all minutes and evaluate the rules at each."""
    _send(receiver, MINUTES, INCIDENT, draw)
    live_through(store, START + 10 * STEP, END)


def _send(receiver: Receiver, minutes: list[datetime], changed_at: datetime, draw: Callable[[random.Random, bool], Plan]) -> None:
    """Send these minutes over OTLP; `draw` hears whether it is later than `changed_at`. Wait until all are summarised."""
    chance = random.Random(5)
    for minute in minutes:
        spans: list[Span] = []
        for _ in range(TRACES_A_MINUTE):
            start_ns = to_ns(minute) + chance.randrange(50 * NS_PER_S)
            spans += _build_run(chance, start_ns, draw(chance, minute >= changed_at))
        assert receiver.send(build_request(*spans).SerializeToString()).status == 200
    receiver.wait_until_drained()
    assert summarize_pending() >= len(minutes) * TRACES_A_MINUTE
    roll_up_pending()


def _build_run(chance: random.Random, start_ns: int, plan: Plan) -> list[Span]:
    trace_id, root_id = chance.randbytes(16), chance.randbytes(8)
    spans: list[Span] = []

    def add(name: str, parent: bytes, failed: bool, **attributes: str | int) -> None:
        at_ns = start_ns + (len(spans) + 1) * NS_PER_S // 10
        span = build_span(
            trace_id=trace_id, span_id=chance.randbytes(8) if parent else root_id, parent_span_id=parent, name=name,
            start_time_unix_nano=at_ns if parent else start_ns,
            end_time_unix_nano=at_ns + NS_PER_S // 20 if parent else start_ns + plan.lasts_s * NS_PER_S,
        )  # fmt: skip
        if failed:
            span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "TimeoutError: no answer"
        for key, value in attributes.items():
            target = span.attributes.add(key=f"gen_ai.{key.replace('__', '.')}").value
            if isinstance(value, int):
                target.int_value = value
            else:
                target.string_value = value
        spans.append(span)

    for number in range(plan.rounds):
        add("chat", root_id, plan.model_fails, operation__name="chat", request__model=plan.model,
            provider__name="openai" if plan.model == "gpt-4o" else "anthropic",
            usage__input_tokens=plan.input_tokens, usage__output_tokens=100)  # fmt: skip
        add(f"execute_tool {plan.tool}", root_id, plan.tool_fails and not (plan.recovers and number),
            operation__name="execute_tool", tool__name=plan.tool,
            tool__call__arguments=json.dumps({"order": trace_id.hex()}))  # fmt: skip
    add(f"invoke_agent {plan.agent}", b"", plan.fails, operation__name="invoke_agent", agent__name=plan.agent,
        agent__version=plan.version)  # fmt: skip
    if plan.user:
        spans[-1].attributes.add(key="user.id").value.string_value = plan.user
    return spans


def _keep(*slugs: str) -> dict[str, AlertRule]:
    """Add these rules of the ready-made pack, and no others."""
    rules = {rule.labels[LABEL]: rule for rule in add_pack(default_project(), [], START) if rule.labels[LABEL] in slugs}
    AlertRule.objects.exclude(pk__in=[rule.pk for rule in rules.values()]).delete()
    return rules


def _named(alert: Alert) -> set[tuple[str, str]]:
    return {(found["field"], found["value"]) for found in alert.evidence["distinctions"][:3]}


def test_outage_and_loop_that_arrive_as_spans_are_noticed_and_explained(store: Store, receiver: Receiver) -> None:
    rules = _keep("failures-critical", "waste")
    looping = create_rule(name="Turns in circles", metric="looping_traces", threshold=3, group_by=["agent"], window_s=300)

    _live(store, receiver, _circles)

    outage, waste = (Alert.objects.get(rule=rules[slug]) for slug in ("failures-critical", "waste"))
    loop = Alert.objects.get(rule=looping)
    assert INCIDENT < outage.started_at <= INCIDENT + timedelta(minutes=11)
    assert ("tool", "refund") in _named(outage)
    assert INCIDENT < waste.started_at <= INCIDENT + timedelta(minutes=15)
    assert ("agent", "planner") in _named(waste)
    assert INCIDENT < loop.started_at <= INCIDENT + timedelta(minutes=6)
    assert loop.labels == {"agent": "planner"}
    assert len(loop.evidence["examples"]) == 3
    time_range = TimeRange(to_ns(START), to_ns(END))
    names = ("looping_traces", "looping_calls", "retried_calls", "wasted_tokens", "wasted_cost", "cost")
    found = metric_values(store, project_id=1, time_range=time_range, query=parse_query("tool:(search OR track)"), metrics=names)
    loops = found["looping_traces"] or 0
    assert loops > 5
    assert (found["looping_calls"], found["retried_calls"], found["wasted_tokens"]) == (3 * loops, 0, 3 * 1100 * loops)
    assert found["wasted_cost"] == pytest.approx(3 * loops * (1000 * 2.5e-6 + 100 * 1e-5))


def test_four_incidents_at_once_that_arrive_as_spans_are_each_told(store: Store, receiver: Receiver) -> None:
    rules = _keep("slow", "model-down", "dear-run", "version-failures")

    _live(store, receiver, _four_at_once)

    slow, down, dear, worse = (Alert.objects.filter(rule=rules[slug]).earliest("started_at") for slug in rules)
    assert INCIDENT < slow.started_at <= INCIDENT + timedelta(minutes=21)
    assert ("version", "v8") in _named(slow)
    assert INCIDENT < down.started_at <= INCIDENT + timedelta(minutes=6)
    assert down.labels == {"model": "claude-haiku-4-5"}
    assert INCIDENT < dear.started_at <= INCIDENT + timedelta(minutes=11)
    assert ("agent", "summariser") in _named(dear)
    assert INCIDENT < worse.started_at <= END
    assert worse.labels == {"version": "v8"}


def test_pack_is_silent_in_quiet_hours_that_arrive_as_spans(store: Store, receiver: Receiver) -> None:
    end = START + QUIET_MINUTES * STEP
    minutes = [start + number * STEP for start in _QUIET_STARTS for number in range(QUIET_MINUTES)]
    rules = {rule.labels[LABEL]: rule for rule in add_pack(default_project(), [], START)}

    _send(receiver, minutes, RELEASED, _quiet)

    backtests = {
        slug: run_backtest(store, rule, TimeRange(to_ns(START), to_ns(end)), [])
        for slug, rule in rules.items()
        if rule.kind != RuleKind.VERSION
    }
    assert {slug for slug, backtest in backtests.items() if not backtest.has_data} == set()
    assert {slug: backtest.pages for slug, backtest in backtests.items() if backtest.pages} == {}
    AlertRule.objects.exclude(kind=RuleKind.VERSION).update(enabled=False)
    live_through(store, RELEASED + 10 * STEP, end, 10 * STEP)
    assert not Alert.objects.exists()
    assert AlertRule.objects.filter(kind=RuleKind.VERSION, last_value__isnull=False).count() == 4
