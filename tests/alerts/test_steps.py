"""Which step made runs slow, which call came again and again, and where to open them."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from alerts.evidence import steps
from alerts.evidence.causes import describe_cause
from alerts.evidence.gathering import collect_evidence
from alerts.evidence.model import Evidence
from alerts.messages.message import build_notification
from alerts.models import Alert, Delivery
from alerts.rules import evaluator
from alerts.rules.observing import window_before
from tests.alerts.factories import create_channel, create_rule
from tests.alerts.runs import Step, llm, send_runs, tool
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.timerange import NS_PER_S, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
NOW_NS = ns_of(NOW) - 60 * NS_PER_S
BEFORE_NS = ns_of(NOW) - 1800 * NS_PER_S


def collect(store: Store, **rule: Any) -> Evidence:
    made = create_rule(**{"metric": "duration_p95", "threshold": 3} | rule)
    return collect_evidence(store, made, window_before(NOW, made.window_s))


def told(evidence: Evidence, *, metric: str = "duration_p95") -> tuple[str, dict[str, list[str]]]:
    """Return the likely cause of a message with this evidence, and its sections by heading."""
    rule = create_rule(create_channel(name="Told"), name="Told", metric=metric, threshold=3)
    alert = Alert.objects.create(
        project=rule.project, rule=rule, rule_name=rule.name, metric=metric, window_s=300, comparison="above", threshold=3,
        hold_s=0, started_at=NOW, severity="warning", value=8, evidence=evidence.to_json(),
    )  # fmt: skip
    transition = alert.transitions.create(
        rule=rule,
        from_state="inactive",
        to_state="firing",
        at=NOW,
        value=8,
        threshold=3,
        window_start_ns=0,
        window_end_ns=NS_PER_S,
    )
    message = build_notification(Delivery(alert=alert, transition=transition, channel=rule.channels.get()), "http://base")
    return message.cause, {section.heading: [item.text for item in section.items] for section in message.sections}


def test_step_whose_time_grew_is_named_with_what_it_took_before(store: Store) -> None:
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1), tool("search_kb", 0.4), llm("gpt", 0.6)]] * 6)
    send_runs(store, NOW_NS, [llm("gpt", 1), tool("search_kb", 7), llm("gpt", 0.5)], [llm("gpt", 1.5), tool("search_kb", 6)])
    send_runs(store, NOW_NS, [llm("gpt", 1)])  # as quick as ever

    evidence = collect(store)
    cause, sections = told(evidence)

    assert cause == "Likely cause: tool search_kb took 6.5 s of 8 s on average, 0.4 s before"
    assert sections["Examples, opened at the slowest step"] == [
        "invoke_agent support | v1 | 8.5 s",
        "invoke_agent support | v1 | 7.5 s",
    ]
    heading = "Where the time of 2 slower traces went, on average, against 6 from 2026-11-20 07:25:00 to 08:25:00 UTC"
    assert sections[heading] == [
        "Tool search_kb: 6.5 s in 1 call, against 0.4 s in 1 call",
        "A whole run: 8 s, against 2 s",
    ]
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_time_of_a_step_inside_another_is_that_of_the_inner_one(store: Store) -> None:
    def run(model_s: float) -> list[Step]:
        return [tool("ask_expert", model_s + 0.5, Step("http", "POST", model_s + 0.5, [llm("slow-model", model_s)]))]

    send_runs(store, BEFORE_NS, *[run(1)] * 3)
    send_runs(store, NOW_NS, *[run(9)] * 3)

    found = collect(store).steps

    assert found is not None
    assert found.named is not None
    assert (found.named.kind, found.named.name, found.named.seconds, found.named.seconds_before) == ("llm", "slow-model", 9, 1)


def test_calls_beside_each_other_take_the_time_of_one(store: Store) -> None:
    beside = [tool("search_kb", 4, at_s=0.5, arguments={"q": n}) for n in range(5)]
    send_runs(store, NOW_NS, [llm("gpt", 0.5), *beside], [llm("gpt", 0.5), *beside])

    evidence = collect(store)

    assert told(evidence)[0] == "Likely cause: tool search_kb took 4 s of 4.5 s on average"
    assert evidence.steps is not None
    assert [(step.name, step.seconds, step.calls) for step in evidence.steps.top][:1] == [("search_kb", 4, 5)]


def test_where_no_step_makes_up_most_none_is_named(store: Store) -> None:
    send_runs(store, BEFORE_NS, *[[llm("a", 1), llm("b", 1), llm("c", 1)]] * 3)
    send_runs(store, NOW_NS, *[[llm("a", 3), llm("b", 3), llm("c", 3)]] * 3)

    evidence = collect(store)

    assert evidence.steps is not None
    assert evidence.steps.named is None
    assert [step.name for step in evidence.steps.top] == ["a", "b", "c"]
    assert told(evidence)[0] == ""


def test_of_many_traces_some_are_looked_at_and_the_message_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_MOST_SPANS", 20)
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1)]] * 30)
    send_runs(store, NOW_NS, *[[llm("gpt", 8)]] * 15)

    evidence = collect(store)

    assert evidence.steps is not None
    assert (evidence.steps.traces, evidence.steps.total) == (10, 15)
    assert (evidence.steps.traces_before, evidence.steps.total_before) == (10, 30)
    assert any("10 of 15 slower traces went, on average, against 10 of 30 from" in heading for heading in told(evidence)[1])


def test_breach_that_was_held_is_compared_with_the_time_before_it(store: Store) -> None:
    send_runs(store, ns_of(NOW) - 400 * NS_PER_S, *[[llm("gpt", 9)]] * 3)  # within the hold
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1)]] * 3)
    send_runs(store, NOW_NS, *[[llm("gpt", 9)]] * 3)

    found = collect(store, hold_s=600).steps

    assert found is not None
    assert (found.traces_before, found.duration_before_s) == (3, 1)


def span_named(store: Store, trace_id: str, name: str, nth: int = 0) -> str:
    """Return the id of the trace's nth span of this name."""
    where = "trace_id = unhex({trace_id:String}) AND name = {name:String}"
    rows = store.query_rows(
        f"SELECT lower(hex(span_id)) FROM spans WHERE {where} ORDER BY start_time", trace_id=trace_id, name=name
    )
    return str(rows[nth][0])


def test_slow_examples_open_at_the_step_that_is_named(store: Store) -> None:
    send_runs(store, BEFORE_NS, *[[llm("gpt", 4), tool("search_kb", 1)]] * 3)
    [slow] = send_runs(store, NOW_NS, [llm("gpt", 4.5), tool("search_kb", 0.1), tool("search_kb", 4.2)])

    [example] = collect(store, threshold=6).examples

    assert example.telling_span_id == span_named(store, slow, "search_kb", 1)


def test_example_without_the_named_step_opens_where_it_took_longest(store: Store) -> None:
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1), tool("search_kb", 1)]] * 3)
    send_runs(store, NOW_NS, *[[llm("gpt", 1), tool("search_kb", 9)]] * 3)
    [other] = send_runs(store, NOW_NS, [llm("gpt", 12), tool("refund", 1)])

    example = collect(store).examples[0]

    assert (example.trace_id, example.telling_span_id) == (other, span_named(store, other, "gpt"))


def test_examples_of_slow_calls_open_at_the_longest_of_them(store: Store) -> None:
    [slow] = send_runs(store, NOW_NS, [llm("gpt", 1), llm("gpt", 5), tool("search_kb", 30)])

    [example] = collect(store, metric="model_duration_p95").examples

    assert example.telling_span_id == span_named(store, slow, "gpt", 1)


def test_rule_on_the_calls_of_all_tools_names_the_slow_one(store: Store) -> None:
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1), tool("search_kb", 1), tool("refund", 1)]] * 3)
    send_runs(store, NOW_NS, *[[llm("gpt", 1), tool("search_kb", 5), tool("refund", 1)]] * 3)

    evidence = collect(store, metric="tool_duration_p95")

    assert told(evidence, metric="tool_duration_p95")[0] == "Likely cause: tool search_kb took 5 s of 7 s on average, 1 s before"
    assert describe_cause(evidence, {"tool": "search_kb"}) == ""  # the title says it


def send_without_root(store: Store, trace_id: str, *steps: tuple[str, float]) -> None:
    """Store the calls of tools of a run that goes on, one after the other; nobody knows yet how it will end."""
    start_ns, spans = NOW_NS, []
    for name, seconds in steps:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        spans.append({
            "trace_id": trace_id, "span_id": secrets.token_hex(8), "parent": "11" * 8, "name": name, "start_ns": start_ns,
            "duration_ns": int(seconds * NS_PER_S), "attributes": attributes,
        })  # fmt: skip
        start_ns += int(seconds * NS_PER_S)
    insert_batch(store, [(1, time.time_ns(), build_request(*spans))], writer=secrets.token_hex(4), batch_seq=1)
    summarize_pending()


def test_run_that_goes_on_opens_where_it_took_longest_so_far(store: Store, client: Client) -> None:
    rule = create_rule(create_channel(), kind="run", metric="run_duration", threshold=20)
    trace_id = secrets.token_hex(16)
    send_without_root(store, trace_id, ("refund", 2), ("search_kb", 30), ("refund", 1))

    evaluator.evaluate_rules([rule.pk], NOW + timedelta(seconds=1))

    opened = f"/traces/{trace_id}?span={span_named(store, trace_id, 'search_kb')}"
    message = build_notification(Delivery.objects.get(), "http://base")
    assert (message.links[0].label, message.links[0].url) == ("The run", f"http://base{opened}")
    assert message.payload["examples"][0]["url"] == f"http://base{opened}"
    page = client.get(f"/alerts/{Alert.objects.get().pk}").content.decode()
    assert f'id="alert-run" href="{opened}"' in page


def test_escalated_examples_open_where_they_were_handed_over(store: Store) -> None:
    [handed] = send_runs(store, NOW_NS, [llm("gpt", 1), tool("escalate_to_human", 0.1), tool("search_kb", 9)])

    evidence = collect(store, metric="escalation_rate", threshold=0.1)

    assert [example.telling_span_id for example in evidence.examples] == [span_named(store, handed, "escalate_to_human")]
    assert "Examples, opened where they were handed over" in told(evidence, metric="escalation_rate")[1]


def loop(times: int) -> list[Step]:
    return [call for _ in range(times) for call in (llm("gpt", 0.1), tool("search_kb", 0.1, arguments={"q": "return label"}))]


def test_loop_is_named_with_its_tool_and_calls(store: Store) -> None:
    plain = [llm("gpt", 0.1), tool("search_kb", 0.1, arguments={"q": "a"}), tool("search_kb", 0.1, arguments={"q": "b"})]
    send_runs(store, BEFORE_NS, *[plain] * 30)
    send_runs(store, NOW_NS, *[loop(14)] * 12, *[loop(15)] * 8, version="v2")

    evidence = collect(store, metric="llm_calls", threshold=100)
    cause, sections = told(evidence, metric="llm_calls")

    assert [(found.tool, found.traces, found.looked_at, found.calls) for found in evidence.loops] == [("search_kb", 20, 20, 14.4)]
    assert cause == "Likely cause: a loop of search_kb, 14.4 calls a run; version v2"
    assert sections["What came again with the same arguments"] == ["search_kb: 14.4 calls a run, in 20 of 20 traces with a loop"]


def test_rule_about_loops_names_them_too(store: Store) -> None:
    send_runs(store, NOW_NS, loop(5), [llm("gpt", 1)])

    evidence = collect(store, metric="looping_traces", threshold=0)

    assert told(evidence, metric="looping_traces")[0] == "Likely cause: a loop of search_kb, 5 calls a run"


def test_alert_fires_with_the_slow_step_in_its_payload(store: Store) -> None:
    rule = create_rule(create_channel(), metric="duration_p95", threshold=3)
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1)]] * 3)
    send_runs(store, NOW_NS, *[[llm("gpt", 9)]] * 3)

    evaluator.evaluate_rules([rule.pk], NOW + timedelta(seconds=1))

    payload = build_notification(Delivery.objects.get(), "http://base").payload
    assert payload["slow_steps"]["top"] == [
        {"kind": "llm", "name": "gpt", "seconds": 9.0, "seconds_before": 1.0, "calls": 1.0, "calls_before": 1.0}
    ]
    assert payload["slow_steps"]["before"]["end"] == "2026-11-20T08:25:01.000000000Z"
    assert payload["examples"][0]["url"].endswith("?span=" + payload["examples"][0]["telling_span_id"])


def test_pages_name_the_step_and_open_the_slowest_traces_there(store: Store, client: Client) -> None:
    rule = create_rule(create_channel(), name="Runs are slow", metric="duration_p95", threshold=3)
    send_runs(store, BEFORE_NS, *[[llm("gpt", 1)]] * 3)
    slowest, *_ = send_runs(store, NOW_NS, [tool("search_kb", 14), llm("gpt", 1)], *[[llm("gpt", 1), tool("search_kb", 9)]] * 4)
    evaluator.evaluate_rules([rule.pk], NOW + timedelta(seconds=1))
    alert = Alert.objects.get()

    page = client.get(f"/alerts/{alert.pk}").content.decode()
    incident = client.get(f"/alerts/incidents/{alert.incident_id}").content.decode()

    cause = "tool search_kb took 10 s of 11 s on average, 0 s before"
    assert f"<strong><bdi>{cause}</bdi></strong>" in page
    assert "Tool search_kb: 10 s in 1 call, against 0 s" in page
    first = page.index('class="trace-line"')
    assert page.index(f"/traces/{slowest}?span={span_named(store, slowest, 'search_kb')}", first) < first + 200
    assert f"<bdi>{cause}</bdi>" in incident
    assert "No value of any field" not in incident
