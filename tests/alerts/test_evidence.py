"""What an alert can prove when it fires: which differences, which errors since when, which examples, at what cost."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.evidence.gathering import collect_evidence, find_cost
from alerts.evidence.model import Causes, Distinction, Evidence
from alerts.models import AlertRule
from alerts.rules.evaluator import evaluate_rules
from alerts.rules.observing import window_before
from tests.alerts.factories import create_rule, insert_traffic
from tests.factories import insert_traces, new_trace_id
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.timerange import DAY_NS, NS_PER_S, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def collect(store: Store, **rule: Any) -> Evidence:
    made: AlertRule = create_rule(**rule)
    return collect_evidence(store, made, window_before(NOW, made.window_s))


@pytest.mark.parametrize(
    ("share", "least", "explains"), [(1.0, 0.8, True), (0.5, 0.01, True), (0.16, 0.03, False), (1.0, 0.0, False)]
)
def test_what_few_of_the_failing_have_or_may_be_chance_is_no_cause(share: float, least: float, explains: bool) -> None:
    found = Distinction("prompt", "Prompt", "router@1", 4, 0, share, 0.0, least)

    assert found.explains_most is explains


def test_what_differs_is_said_with_counts_of_both_sides_and_without_the_symptoms(store: Store) -> None:
    insert_traffic(store, NOW, failed=37, ok=173)

    evidence = collect(store)

    first = evidence.distinctions[0]
    assert (first.field, first.value, first.failing, first.others) == ("version", "v3", 37, 0)
    assert first.least > 0.8
    assert evidence.compared == 173
    # The tool has the same traces as the version, and the error is how they failed: neither is a second difference.
    assert {found.field for found in evidence.distinctions} <= {"version"}


def test_two_failing_traces_are_described_as_what_may_be_chance(store: Store) -> None:
    insert_traffic(store, NOW, failed=2, ok=1)

    evidence = collect(store)

    assert [(found.value, found.least) for found in evidence.distinctions][:1] == [("v3", 0.0)]


def test_what_one_of_several_failing_traces_has_is_no_difference_by_chance(store: Store) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    same = {"versions": ["v3"], "outcome": "error", "error_types": ["TimeoutError"]}
    insert_traces(store, {**same, "user_id": "ann"}, {**same, "user_id": "ben"}, start_ns=start_ns)
    insert_traces(store, *[{"versions": ["v3"], "user_id": f"u{n}"} for n in range(4)], start_ns=start_ns)

    assert collect(store, query="").distinctions == []


def test_what_sets_nothing_apart_is_no_difference_by_chance(store: Store) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    failed = [{"outcome": "error", "prompts": ["p"] * (n < 11)} for n in range(12)]
    insert_traces(store, *failed, *[{"prompts": ["p"] * (n < 25)} for n in range(30)], start_ns=start_ns)

    evidence = collect(store, query="")

    assert (evidence.causes.failing, evidence.compared) == (12, 30)
    assert evidence.distinctions == []


def test_of_few_traces_only_a_conspicuous_difference_is_said(store: Store) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    failed = [{"outcome": "error", "prompts": ["p"], "agents": ["a"]} for _ in range(3)]
    insert_traces(store, *failed, *[{"prompts": ["p"] * (n < 3), "agents": ["a"] * (n < 1)} for n in range(4)], start_ns=start_ns)

    evidence = collect(store, query="")

    assert [(found.field, found.least) for found in evidence.distinctions] == [("agent", 0.0)]


def test_window_whose_traces_are_all_behind_the_breach_is_compared_with_the_time_before(store: Store) -> None:
    insert_traces(store, *[{"versions": ["v3"]}] * 30, start_ns=ns_of(NOW) - 60 * NS_PER_S, cost_usd=2.0)
    insert_traces(store, *[{"versions": ["v2"]}] * 50, start_ns=ns_of(NOW) - 1800 * NS_PER_S, cost_usd=0.1)

    evidence = collect(store, metric="cost", threshold=10)

    assert (evidence.causes.failing, evidence.causes.others, evidence.compared) == (30, 0, 50)
    assert evidence.earlier_start_ns == ns_of(NOW) - (300 + 3600) * NS_PER_S
    assert [(found.field, found.value, found.others) for found in evidence.distinctions] == [("version", "v3", 0)]
    assert evidence.cost_usd == pytest.approx(60)


def test_new_error_comes_first_with_the_version_it_came_in(store: Store) -> None:
    known = {"outcome": "error", "error_types": ["RateLimit"], "error_message": "slow down", "error_fingerprint": "0001"}
    insert_traces(store, {**known, "versions": []}, start_ns=ns_of(NOW) - 3 * DAY_NS)
    insert_traces(store, {**known, "versions": ["v1"]}, start_ns=ns_of(NOW) - 2 * DAY_NS)
    insert_traces(store, *[{**known, "versions": ["v2"]}] * 50, start_ns=ns_of(NOW) - 120 * NS_PER_S)
    insert_traffic(store, NOW, failed=5, ok=10)

    errors = collect(store).errors

    assert [(error.error_type, error.traces, error.is_new, error.first_version) for error in errors] == [
        ("TimeoutError", 5, True, "v3"),
        ("RateLimit", 50, False, "v1"),
    ]
    assert errors[1].first_seen_ns == ns_of(NOW) - 3 * DAY_NS


def test_error_of_few_of_the_slow_traces_is_not_how_they_failed(store: Store) -> None:
    known = {"outcome": "error", "error_types": ["RateLimit"], "error_fingerprint": "0001", "tools": [("refund", 1, 1)]}
    insert_traces(store, known, start_ns=ns_of(NOW) - DAY_NS)
    slow = {"duration_ns": 30 * NS_PER_S}
    insert_traces(store, {**slow, **known}, *[slow] * 19, start_ns=ns_of(NOW) - 60 * NS_PER_S)

    few = collect(store, metric="duration_p95", threshold=20)
    all_of_them = collect(store, name="Failures of it", query="tool:refund")

    assert (few.causes.failing, few.errors, few.causes.failing_tools) == (20, [], [])
    assert [error.error_type for error in all_of_them.errors] == ["RateLimit"]


def test_error_first_seen_while_the_breach_was_held_is_new(store: Store) -> None:
    insert_traffic(store, NOW, failed=5, ok=10, age_s=500)
    insert_traffic(store, NOW, failed=5, ok=10)

    assert [error.is_new for error in collect(store, hold_s=300).errors] == [True]
    assert [error.is_new for error in collect(store, name="Without hold").errors] == [False]


def test_examples_are_opened_at_the_failing_step_and_slow_rules_show_the_slowest(store: Store) -> None:
    insert_traffic(store, NOW, failed=5, ok=5)
    slowest = insert_traces(store, start_ns=ns_of(NOW) - 200 * NS_PER_S, duration_ns=90 * NS_PER_S)
    insert_traces(store, *[{"duration_ns": 30 * NS_PER_S}] * 5, start_ns=ns_of(NOW) - 10 * NS_PER_S)

    failed = collect(store).examples
    slow = collect(store, name="Slow", metric="duration_p99", threshold=20).examples

    assert [example.failing_span_id for example in failed] == ["02" * 8] * 3
    assert slow[0].trace_id == slowest[0]


@pytest.mark.parametrize(
    ("metric", "kind", "column"),
    [("cost_per_trace", "threshold", "cost_usd"), ("run_cost", "run", "cost_usd"), ("run_tokens", "run", "input_tokens")],
)
def test_examples_of_dear_or_large_runs_are_the_worst_of_them(store: Store, metric: str, kind: str, column: str) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    [worst] = insert_traces(store, {column: 90}, start_ns=start_ns, duration_ns=NS_PER_S)
    insert_traces(store, *({column: 5 + at} for at in range(5)), start_ns=start_ns + NS_PER_S, duration_ns=50 * NS_PER_S)

    examples = collect(store, kind=kind, metric=metric, threshold=2, query="").examples

    assert examples[0].trace_id == worst


def test_what_one_of_many_values_may_have_by_chance_is_no_difference(store: Store) -> None:
    """Each of these differs with a p-value of about 1%: of the hundred values that are looked at, one does."""
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    failed = [{"outcome": "error", "versions": ["v2" if n < 13 else "v3"]} for n in range(16)]
    insert_traces(store, *failed, *[{"versions": ["v2" if n < 97 else "v3"]} for n in range(204)], start_ns=start_ns)

    evidence = collect(store, query="")

    assert (evidence.causes.failing, evidence.compared) == (16, 204)
    assert evidence.distinctions == []


def test_silence_shows_the_last_trace_before_it(store: Store) -> None:
    early, late = (
        insert_traces(store, {"versions": [version]}, start_ns=ns_of(NOW) - age_s * NS_PER_S)[0]
        for version, age_s in (("v2", 1800), ("v3", 900))
    )

    silent = collect(store, metric="requests", comparison="below", threshold=1)
    of_nobody = collect(store, name="Nobody", metric="requests", comparison="below", threshold=1, query="agent:nobody")

    assert silent.last_before is not None
    assert (silent.last_before.trace_id, silent.last_before.versions) == (late, ["v3"])
    assert early not in {example.trace_id for example in silent.examples}
    assert of_nobody.last_before is None
    assert collect(store, name="Above").examples == []


def test_escalations_are_told_by_their_reasons_and_not_by_the_tool_that_escalates(store: Store) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    handed = {"escalated": True, "tools": [("escalate_to_human", 1, 0)], "user_id": "globex"}
    reasons = ["refund limit"] * 17 + ["angry customer"] * 2
    insert_traces(store, *[{**handed, "escalation_reasons": [reason]} for reason in reasons], start_ns=start_ns)
    insert_traces(store, *[{"user_id": f"u{n % 5}"} for n in range(160)], start_ns=start_ns)

    evidence = collect(store, metric="escalation_rate")

    assert evidence.reasons == {"refund limit": 17, "angry customer": 2}
    assert [(found.field, found.value) for found in evidence.distinctions] == [("user", "globex")]
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_attribute_of_most_of_the_traces_comes_before_a_field_of_some(store: Store) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    spans = [
        {
            "trace_id": new_trace_id(), "span_id": "22" * 8, "start_ns": start_ns, "error": n < 20,
            "attributes": {"tenant.id": "globex" if n < 17 else "acme", "user.id": "ann" if n < 8 else f"u{n}"},
        }
        for n in range(100)
    ]  # fmt: skip
    insert_batch(store, [(1, start_ns, build_request(*spans))], writer="tenants", batch_seq=1)
    summarize_pending()

    evidence = collect(store, query="service:support-bot")

    assert [(found.field, found.value) for found in evidence.distinctions] == [("attr.tenant.id", "globex"), ("user", "ann")]


def test_slow_calls_of_a_model_are_told_from_the_runs_whose_calls_were_quick(store: Store) -> None:
    start_ns = ns_of(NOW) - 60 * NS_PER_S
    slow = insert_traces(store, *[{"versions": ["v3"]}] * 15, start_ns=start_ns)
    quick = insert_traces(store, *[{"versions": ["v2"]}] * 15, start_ns=start_ns)
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
    common = {"span_id": "22" * 8, "start_ns": start_ns, "attributes": call}
    spans = [{"trace_id": trace_id, "duration_ns": 9 * NS_PER_S, **common} for trace_id in slow]
    spans += [{"trace_id": trace_id, "duration_ns": NS_PER_S, **common} for trace_id in quick]
    insert_batch(store, [(1, start_ns, build_request(*spans))], writer="slow calls", batch_seq=1)

    evidence = collect(store, query="service:support-bot", metric="model_duration_p95", threshold=4)

    assert (evidence.causes.failing, evidence.causes.others) == (15, 15)
    assert [(found.field, found.value, found.others) for found in evidence.distinctions][:1] == [("version", "v3", 0)]
    assert {example.versions[0] for example in evidence.examples} == {"v3"}


def test_cost_so_far_grows_with_the_alert(store: Store) -> None:
    insert_traffic(store, NOW, failed=2, ok=2, cost_usd=0.5)
    evidence = collect(store)
    insert_traffic(store, NOW, failed=3, ok=2, age_s=-600, cost_usd=0.5)

    assert evidence.cost_usd == pytest.approx(1.0)
    assert find_cost(store, 1, evidence, ns_of(NOW) + 900 * NS_PER_S) == pytest.approx(2.5)


def test_evidence_is_read_as_it_was_written_and_as_older_alerts_have_it(store: Store) -> None:
    insert_traffic(store, NOW, failed=5, ok=10)
    evidence = collect(store)
    old = {
        name: value
        for name, value in evidence.to_json().items()
        if name in ("query", "noun", "start_ns", "end_ns", "causes", "examples")
    }
    old["causes"] |= {"error_types": [], "versions": [{"value": "v3"}]}
    old["examples"] = [{key: value for key, value in example.items() if key != "failing_span_id"} for example in old["examples"]]

    assert Evidence.from_json(evidence.to_json()) == evidence
    read = Evidence.from_json(old)
    assert (read.distinctions, read.errors, read.cost_usd) == ([], [], None)
    assert asdict(read.examples[0])["failing_span_id"] == ""


def test_reasons_stand_in_their_order_however_the_database_keeps_them() -> None:
    evidence = Evidence("escalated:true", "escalated traces", 0, 1, reasons={"angry": 1, "refund too large": 7, "unsure": 3})

    assert list(Evidence.from_json(evidence.to_json()).reasons) == ["refund too large", "unsure", "angry"]


def test_cost_is_explained_by_traces_dearer_than_those_before(store: Store) -> None:
    hour_ago = ns_of(NOW - timedelta(hours=1))
    insert_traces(store, *({"cost_usd": 0.01 + at / 1e5, "agents": ["support", "summariser"][at % 2 :][:1]} for at in range(100)),
                  start_ns=hour_ago)  # fmt: skip
    insert_traces(store, *({"cost_usd": 0.01, "agents": ["support"]} for _ in range(20)), start_ns=ns_of(NOW) - NS_PER_S)
    dear = insert_traces(store, *({"cost_usd": 0.4, "agents": ["summariser"]} for _ in range(5)), start_ns=ns_of(NOW) - NS_PER_S)
    rule = create_rule(metric="cost", threshold=1)

    evidence = collect_evidence(store, rule, window_before(NOW, 300))

    assert evidence.query.startswith("cost:>0.010")
    assert {example.trace_id for example in evidence.examples} <= set(dear)
    assert (evidence.distinctions[0].field, evidence.distinctions[0].value) == ("agent", "summariser")
    assert evidence.cost_usd == pytest.approx(2.0)


def test_more_traces_at_the_usual_cost_are_all_behind_it(store: Store) -> None:
    insert_traces(store, *({"cost_usd": 0.01 + at / 1e5} for at in range(100)), start_ns=ns_of(NOW - timedelta(hours=1)))
    insert_traces(store, *({"cost_usd": 0.01 + at / 1e5, "user_id": "u1"} for at in range(100)), start_ns=ns_of(NOW) - NS_PER_S)

    evidence = collect_evidence(store, create_rule(metric="cost", threshold=1), window_before(NOW, 300))

    assert evidence.query == ""
    assert (evidence.distinctions[0].field, evidence.distinctions[0].value) == ("user", "u1")


def test_evidence_that_takes_too_long_is_left_out_one_by_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traffic(store, NOW, failed=3, ok=5)

    cut: list[StoreError] = []

    def hang(store: Store, **_: Any) -> Any:
        store._deadline = time.monotonic() + 2  # so much is left of the time for all
        try:
            store.query_rows("SELECT sleepEachRow(0.1) FROM numbers(6000) SETTINGS max_block_size = 1")
        except StoreError as error:
            cut.append(error)
            raise

    monkeypatch.setattr("alerts.evidence.differences.find_differences", hang)

    found = collect(store)

    assert [type(error) for error in cut] == [QueryTooExpensive]
    assert len(found.examples) == 3
    assert (found.causes, found.errors) == (Causes(), [])
    assert found.query == "status:error"


def test_alert_goes_out_without_evidence_when_there_is_no_time_for_any(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traffic(store, NOW, failed=3, ok=5)
    monkeypatch.setattr("alerts.evidence.gathering._EVIDENCE_S", 0.0)
    rule = create_rule()

    (transition,) = evaluate_rules([rule.pk], NOW, store)

    assert transition.evidence["query"] == "status:error"
    assert transition.evidence["examples"] == []


def test_part_that_breaks_costs_the_alert_nothing_else(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traffic(store, NOW, failed=5, ok=10)

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("math domain error")

    monkeypatch.setattr("alerts.evidence.differences.find_differences", fail)

    evidence = collect(store)

    assert evidence.distinctions == []
    assert (len(evidence.examples), [error.error_type for error in evidence.errors]) == (3, ["TimeoutError"])
