"""The trace list and one trace, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.language import parse_query
from tracestore.model import ModelUsage, ToolUsage
from tracestore.queries.paging import CursorError
from tracestore.queries.traces import find_traces, get_trace, get_trace_summary, has_any_trace
from tracestore.timerange import TimeRange

DAY_NS = 86_400 * 10**9
RANGE = TimeRange(T0 - DAY_NS, T0 + DAY_NS)
A, B, C = "a" * 32, "b" * 32, "c" * 32


def _found(store: Store, text: str, time_range: TimeRange = RANGE) -> list[str]:
    page = find_traces(store, project_id=1, time_range=time_range, query=parse_query(text))
    return [trace.name for trace in page.items]


def _insert(store: Store, *rows: dict[str, Any]) -> None:
    insert_traces(store, *rows, start_ns=T0)


def test_failing_traces_of_a_version_that_used_a_tool(store: Store) -> None:
    right: dict[str, Any] = {"outcome": "error", "versions": ["v3"], "tools": [("refund", 2, 1), ("lookup", 1, 0)]}
    _insert(
        store,
        right | {"name": "right"},
        right | {"name": "recovered", "outcome": "ok", "has_errors": True},
        right | {"name": "other version", "versions": ["v2"]},
        right | {"name": "other tool", "tools": [("lookup", 1, 1)]},
        right | {"name": "other project", "project_id": 2},
        right | {"name": "too early", "start_ns": T0 - 2 * DAY_NS},
    )

    assert _found(store, "status:error version:v3 tool:refund") == ["right"]


# (query, does the one trace below match it?)
TRACE_CASES = [
    ("status:ok", False), ("status:error", True), ("-status:ok", True),
    ("version:v3", True), ("version:v*", True), ("version:V3", False), ("version:*", True), ('version:""', False),
    ("tool:(refund lookup)", True), ("tool:(refund other)", False), ("tool:(refund OR other)", True),
    ("tool_error:refund", True), ("tool_error:lookup", False), ("tool_error:*", True), ("tool_error:look*", False),
    ('tool_error:""', False),
    ("fingerprint:9f2c41d07a3b", True), ("fingerprint:*", True), ("fingerprint:000000000000", False), ('fingerprint:""', False),
    ("error:TimeoutError", True), ("error:Timeout*", True), ("error:Timeout", False),
    ("agent:triage", True), ("provider:openai", True), ("service:gateway", True),
    ("model:gpt-5", True), ("model:gpt", False), ("model:g*5", True),
    ("env:prod", True), ("-env:dev", True), ("user:u-1", True), ("user:*", True), ("session:*", False), ('session:""', True),
    ("name:\"run it\"", True), ("workflow:*", False), ("rule:root_*", True),
    ("prompt:policy", True), ("prompt:policy@4", True), ("prompt:pol", False), ("prompt:pol*", True), ("prompt:policy@*", True),
    ("duration:>2s", True), ("duration:>=3s", True), ("duration:>3s", False), ("duration:1s..3s", True), ("duration:3s", True),
    ("cost:>0.5", True), ("cost:<0.5", False), ("cost:..0.75", True), ("-cost:>1", True),
    ("cost_difference:>0.2", True), ("cost_difference:>0.3", False),
    ("tokens:>1k", True), ("tokens:1.2k", True), ("input_tokens:1k", True), ("output_tokens:>200", False),
    ("spans:3", True), ("errors:>=1", True), ("has_errors:true", True), ("escalated:false", True), ("escalated:true", False),
    (f"trace:{A}", True), ("trace:AAAA*", True), ("trace:ab*", False),
    ("NOT (status:error tool:refund)", False), ("status:ok OR tool:refund", True),
]  # fmt: skip


def test_every_field_of_a_trace_is_asked_by_its_name(store: Store) -> None:
    _insert(
        store,
        {
            "trace_id": A, "name": "run it", "outcome": "error", "outcome_rule": "root_error", "has_errors": True,
            "error_count": 1, "versions": ["v3", "1.2.0"],
            "tools": [("refund", 2, 1), ("lookup", 1, 0)], "error_types": ["TimeoutError"], "error_fingerprint": "9f2c41d07a3b",
            "agents": ["triage"], "services": ["support-bot", "gateway"], "environment": "prod", "user_id": "u-1",
            "prompts": ["policy@4"], "duration_ns": 3 * 10**9, "cost_usd": 0.75, "cost_difference_usd": -0.25,
            "input_tokens": 1000, "output_tokens": 200,
            "models.model": ["gpt-5"], "models.provider": ["openai"], "models.calls": [1], "models.errors": [0],
            "models.input_tokens": [1000], "models.output_tokens": [200], "models.cached_input_tokens": [0],
            "models.cost_usd": [0.75],
        },
    )  # fmt: skip

    assert [text for text, matches in TRACE_CASES if bool(_found(store, text)) != matches] == []


def test_unpriced_trace_is_neither_dear_nor_cheap_but_not_dear(store: Store) -> None:
    _insert(store, {"cost_usd": None})

    assert not _found(store, "cost:>0.5")
    assert not _found(store, "cost:<=0.5")
    assert _found(store, "-cost:>0.5")


CONTENT_CASES = [
    ("order", True), ("ORDER", True), ('"order 123"', True), ('"order 124"', False), ("größe", True),
    ("GRÖSSE", False), ("GRÖßE", True),
    ("ord*123", True), ('"ord*123"', False), ("100%", True), ("50_", False),
    ('text:"rate limited"', True), ("checkpoint", True), ("TimeoutError", True), ("eu-west", True), ("1.9.0", True),
    ("attr.question:*", True), ("attr.nothing:*", False), ("-attr.nothing:*", True), ('attr.nothing:""', False),
    ("attr.code:500", True), ("attr.code:>=500", True), ("attr.code:>500", False), ("attr.ratio:0.2..0.3", True),
    ("attr.flag:true", True), ("attr.cloud.region:eu-*", True), ("attr.lib:1.9.0", True), ("attr.question:>1", False),
    ("attr.tags:beta", True), ("attr.tags:bet", False), ("attr.tags:b*", False), ("attr.tags:*", True),
    ("kind:tool", True), ("kind:retriever", False), ("span:execute*", True), ("-span:execute*", False),
    ("model:gpt-5-2026", True), ("kind:tool model:gpt-5-2026", True), ('model:""', False), ('tool_error:""', True),
]  # fmt: skip


def test_contents_of_spans_are_searched(store: Store, send_spans: SendSpans) -> None:
    insert_traces(store, trace_id=A, start_ns=T0, duration_ns=10**10)
    send_spans(
        {"trace_id": A, "attributes": {"question": "Where is Order 123, größe 100%?", "code": 500, "ratio": 0.25, "flag": True,
                                       "tags": ["alpha", "beta"], "gen_ai.response.model": "gpt-5-2026"}},
        {"trace_id": A, "span_id": "2" * 16, "parent": "1" * 16, "name": "execute_tool refund", "start_ns": T0 + 10**10,
         "events": [("checkpoint", {"exception.type": "TimeoutError", "exception.message": "Rate limited"})]},
        resource={"cloud.region": "eu-west"}, scope_attributes={"lib": "1.9.0"},
    )  # fmt: skip

    assert [text for text, matches in CONTENT_CASES if bool(_found(store, text)) != matches] == []


def test_spans_of_another_project_are_not_searched(store: Store, send_spans: SendSpans) -> None:
    insert_traces(store, trace_id=A, start_ns=T0)
    send_spans({"trace_id": A, "attributes": {"secret": "needle"}}, project_id=2)

    assert not _found(store, "needle")


def test_pages_follow_each_other_without_gap_or_overlap(store: Store) -> None:
    starts = [T0 - hour * 3600 * 10**9 for hour in (0, 0, 0, 1, 5, 9, 20, 20, 23)]
    insert_traces(store, *({"name": str(number), "start_ns": start} for number, start in enumerate(starts)))
    seen: list[tuple[int, str]] = []
    cursor = ""

    for _ in range(20):
        page = find_traces(store, project_id=1, time_range=RANGE, query=parse_query(""), limit=2, cursor=cursor)
        seen += [(trace.start_ns, trace.trace_id) for trace in page.items]
        cursor = page.next_cursor
        if not cursor:
            break

    assert len(set(seen)) == len(starts)
    assert seen == sorted(seen, reverse=True)


def test_last_page_has_no_cursor(store: Store) -> None:
    insert_traces(store, {}, {}, start_ns=T0)

    assert find_traces(store, project_id=1, time_range=RANGE, query=parse_query(""), limit=2).next_cursor == ""
    assert find_traces(store, project_id=1, time_range=RANGE, query=parse_query(""), limit=1).next_cursor != ""


@pytest.mark.parametrize("cursor", ["x", "!!!", "MTIz", "4pyT", "MTc5MDAwMDAwMDAwMDAwMDAwMCBhYQ"])
def test_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(CursorError):
        find_traces(store, project_id=1, time_range=RANGE, query=parse_query(""), cursor=cursor)


def test_newer_summary_replaces_the_older_one(store: Store) -> None:
    _insert(store, {"trace_id": A, "name": "old", "outcome": "running", "summarized_at": 1})
    _insert(store, {"trace_id": A, "name": "new", "outcome": "error", "summarized_at": 2})

    assert _found(store, "") == ["new"]
    assert _found(store, "status:running") == []
    assert get_trace_summary(store, project_id=1, trace_id=A).name == "new"


def test_trace_whose_start_moved_appears_once(store: Store) -> None:
    insert_traces(store, trace_id=A, start_ns=T0, name="old", summarized_at=1)
    insert_traces(store, {"start_ns": T0, "is_deleted": 1}, {"start_ns": T0 - 10**9, "name": "new"}, trace_id=A, summarized_at=2)

    assert _found(store, "") == ["new"]
    assert get_trace_summary(store, project_id=1, trace_id=A).name == "new"


def test_summary_is_read_whole(store: Store) -> None:
    _insert(
        store,
        {
            "trace_id": A, "tools": [("refund", 2, 1)], "failing_span_id": bytes(range(8)), "models.model": ["gpt-5"],
            "models.provider": ["openai"], "models.calls": [3], "models.errors": [1], "models.input_tokens": [10],
            "models.output_tokens": [20], "models.cached_input_tokens": [5], "models.cost_usd": [None],
        },
    )  # fmt: skip

    (trace,) = find_traces(store, project_id=1, time_range=RANGE, query=parse_query("")).items

    assert (trace.trace_id, trace.start_ns, trace.duration_ns) == (A, T0, 10**9)
    assert trace.tools == [ToolUsage("refund", 2, 1)]
    assert trace.models == [ModelUsage("gpt-5", "openai", 3, 1, 10, 20, 5, None)]
    assert trace.failing_span_id == "0001020304050607"
    assert trace.cost_usd is None
    assert trace.escalated is False


def test_trace_has_its_spans_in_start_order_each_once(store: Store, send_spans: SendSpans) -> None:
    late = {"trace_id": A, "span_id": "2" * 16, "parent": "1" * 16, "start_ns": T0 + 5, "name": "first sent"}
    send_spans(late, {"trace_id": A, "span_id": "1" * 16, "name": "root", "start_ns": T0}, {"trace_id": B, "span_id": "9" * 16})
    send_spans(late | {"name": "sent again"}, received_ns=T0 + 10)
    insert_traces(store, trace_id=A, start_ns=T0, name="root", outcome="ok")

    trace = get_trace(store, project_id=1, trace_id=A)

    assert [(span.name, span.parent_span_id) for span in trace.spans] == [("root", ""), ("sent again", "1" * 16)]
    assert trace.summary.outcome == "ok"
    assert not trace.truncated


def test_trace_without_a_summary_yet_is_running(store: Store, send_spans: SendSpans) -> None:
    send_spans(
        {"span_id": "2" * 16, "parent": "1" * 16, "start_ns": T0, "error": True, "attributes": {"error.type": "Oops"}},
        {"span_id": "3" * 16, "parent": "1" * 16, "start_ns": T0 + 10**9},
    )

    summary = get_trace(store, project_id=1, trace_id=A).summary

    assert (summary.outcome, summary.has_errors, summary.error_types, summary.span_count) == ("running", True, ["Oops"], 2)
    assert (summary.start_ns, summary.duration_ns, summary.root_span_id) == (T0, 2 * 10**9, "")


def test_long_trace_is_cut_and_says_so(store: Store, send_spans: SendSpans) -> None:
    send_spans(*({"trace_id": A, "span_id": f"{number + 1:016x}", "start_ns": T0 + number} for number in range(5)))

    trace = get_trace(store, project_id=1, trace_id=A, span_limit=3)

    assert [span.start_ns for span in trace.spans] == [T0, T0 + 1, T0 + 2]
    assert trace.truncated


def test_unknown_trace_is_not_found(store: Store, send_spans: SendSpans) -> None:
    send_spans({"trace_id": A})

    for trace_id in (B, "", "xyz", "A" * 32, "é" * 32, "'" * 32):
        with pytest.raises(TraceNotFound):
            get_trace(store, project_id=1, trace_id=trace_id)


def test_trace_of_another_project_is_not_found(store: Store, send_spans: SendSpans) -> None:
    send_spans({"trace_id": A}, project_id=2)

    with pytest.raises(TraceNotFound):
        get_trace(store, project_id=1, trace_id=A)


def test_first_span_makes_a_project_have_traces(store: Store, send_spans: SendSpans) -> None:
    assert not has_any_trace(store, project_id=1)

    send_spans({"trace_id": C})

    assert has_any_trace(store, project_id=1)
    assert not has_any_trace(store, project_id=2)
