"""An outage and a loop from end to end: spans sent over OTLP, stored, summarised, added up, noticed and explained."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from alerts.models import Alert, AlertRule
from alerts.pack import LABEL, add_pack
from tests.alerts.factories import create_rule, default_project
from tests.ingest.conftest import Receiver, build_request, build_span, receiver
from tests.simulator.clock import STEP, live_through
from tests.simulator.traffic import to_ns
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.metrics import metric_values
from tracestore.summarize import roll_up_pending, summarize_pending
from tracestore.timerange import NS_PER_S, TimeRange

pytestmark = pytest.mark.django_db
__all__ = ["receiver"]  # a fixture

START = datetime(2026, 6, 1, 9, tzinfo=UTC)
OUTAGE, END = START + timedelta(minutes=14), START + timedelta(minutes=26)
TRACES_A_MINUTE = 20
_TOOLS = ("refund", "search", "track")


def _send_minute(receiver: Receiver, chance: random.Random, minute: datetime) -> None:
    spans: list[Span] = []
    for _ in range(TRACES_A_MINUTE):
        spans += _run(chance, to_ns(minute) + chance.randrange(50 * NS_PER_S), is_out=minute >= OUTAGE)
    assert receiver.send(build_request(*spans).SerializeToString()).status == 200


def _run(chance: random.Random, start_ns: int, *, is_out: bool) -> list[Span]:
    """A run asks the model, calls a tool, and answers. Out: `refund` fails, and half of the runs of `planner` turn in circles."""
    trace_id, agent, tool = chance.randbytes(16), chance.choice(("planner", "support")), chance.choice(_TOOLS)
    fails, loops = is_out and tool == "refund", is_out and agent == "planner" and chance.random() < 0.5
    root_id = chance.randbytes(8)
    spans: list[Span] = []

    def add(name: str, parent: bytes, failed: bool, **attributes: str | int) -> None:
        at_ns = start_ns + (len(spans) + 1) * NS_PER_S // 10
        span = build_span(
            trace_id=trace_id, span_id=chance.randbytes(8) if parent else root_id, parent_span_id=parent, name=name,
            start_time_unix_nano=at_ns if parent else start_ns,
            end_time_unix_nano=at_ns + NS_PER_S // 20 if parent else start_ns + 5 * NS_PER_S,
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

    for _ in range(4 if loops else 1):
        add("chat", root_id, False, operation__name="chat", provider__name="openai", request__model="gpt-4o",
            usage__input_tokens=1000, usage__output_tokens=100)  # fmt: skip
        add(f"execute_tool {tool}", root_id, fails, operation__name="execute_tool", tool__name=tool,
            tool__call__arguments=json.dumps({"order": trace_id.hex()}))  # fmt: skip
    add(f"invoke_agent {agent}", b"", fails, operation__name="invoke_agent", agent__name=agent)
    return spans


def test_outage_and_loop_that_arrive_as_spans_are_noticed_and_explained(store: Store, receiver: Receiver) -> None:
    chance = random.Random(5)
    failing = next(rule for rule in add_pack(default_project(), [], START) if rule.labels[LABEL] == "failures-critical")
    AlertRule.objects.exclude(pk=failing.pk).delete()
    looping = create_rule(name="Turns in circles", metric="looping_traces", threshold=3, group_by=["agent"], window_s=300)
    minutes = [START + number * STEP for number in range((END - START) // STEP)]
    for minute in minutes:
        _send_minute(receiver, chance, minute)
    receiver.wait_until_drained()
    assert summarize_pending() >= len(minutes) * TRACES_A_MINUTE
    roll_up_pending()

    live_through(store, START + 10 * STEP, END)

    outage, loop = Alert.objects.get(rule=failing), Alert.objects.get(rule=looping)
    assert OUTAGE < outage.started_at <= OUTAGE + timedelta(minutes=11)
    assert ("tool", "refund") in {(found["field"], found["value"]) for found in outage.evidence["distinctions"]}
    assert OUTAGE < loop.started_at <= OUTAGE + timedelta(minutes=6)
    assert loop.labels == {"agent": "planner"}
    assert len(loop.evidence["examples"]) == 3
    time_range = TimeRange(to_ns(START), to_ns(END))
    names = ("looping_traces", "looping_calls", "retried_calls", "wasted_tokens", "wasted_cost", "cost")
    found = metric_values(store, project_id=1, time_range=time_range, query=parse_query("tool:(search OR track)"), metrics=names)
    loops = found["looping_traces"] or 0
    assert loops > 5
    assert (found["looping_calls"], found["retried_calls"], found["wasted_tokens"]) == (3 * loops, 0, 3 * 1100 * loops)
    assert found["wasted_cost"] == pytest.approx(3 * loops * (1000 * 2.5e-6 + 100 * 1e-5))
