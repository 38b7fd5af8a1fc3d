"""The page that compares two traces, over spans that came through the real tables and the real summary job."""

from __future__ import annotations

import itertools
import json
import re
import time
from html import unescape
from typing import Any

import pytest
from django.test import Client

from tests.factories import new_trace_id
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.previews import Previews
from tracestore.jobs.summarize import summarize_pending

pytestmark = pytest.mark.usefixtures("default_project")

ROOT, CHAT, TOOL, MORE = "1" * 16, "2" * 16, "3" * 16, "4" * 16
PANEL = {"HX-Request": "true"}
_batches = itertools.count(1)


def _store_trace(store: Store, *spans: dict[str, Any], version: str = "v2", age_s: int = 60) -> str:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    full = [{"trace_id": trace_id, "start_ns": now_ns - age_s * 10**9 + at, **span} for at, span in enumerate(spans)]
    request = build_request(*full, resource={"service.version": version})
    insert_batch(store, [(1, now_ns, request)], writer="compare", batch_seq=next(_batches))
    summarize_pending()
    return trace_id


def _run(
    store: Store, *more: dict[str, Any], prompt: str = "Where is order A-17?", result: str = "shipped", root_error: str = "",
    **options: Any,
) -> str:  # fmt: skip
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": prompt}]}])
    return _store_trace(
        store,
        {
            "span_id": ROOT, "name": "invoke_agent support", "duration_ns": 5 * 10**9,
            **({"error": root_error} if root_error else {}),
            "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"},
        },
        {
            "span_id": CHAT, "parent": ROOT, "name": "chat gpt-4o-mini",
            "attributes": {
                "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.input.messages": messages,
                "gen_ai.usage.input_tokens": 1200, "gen_ai.usage.output_tokens": 30,
                "gen_ai.response.id": f"chatcmpl-{time.time_ns()}",
            },
        },
        {
            "span_id": TOOL, "parent": ROOT, "name": "execute_tool search",
            "attributes": {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.result": result,
                "gen_ai.tool.call.arguments": '{"order": "A-17"}',
            },
        },
        *more, **options,
    )  # fmt: skip


_REFUND: dict[str, Any] = {
    "span_id": MORE, "parent": ROOT, "name": "execute_tool refund", "error": "no answer",
    "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "GatewayTimeout"},
}  # fmt: skip


_ANSWER: dict[str, Any] = {
    "span_id": "5" * 16, "parent": ROOT, "name": "chat gpt-4o",
    "attributes": {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 10,
    },
}  # fmt: skip


def _text(response: Any) -> str:
    return unescape(response.content.decode())


def _states(text: str) -> list[tuple[str, str]]:
    """(state, name of the step) of each row."""
    rows = re.findall(r'class="cmp-row cmp-row--(\w+)".*?<span class="truncate">(.*?)</span>', text, re.S)
    return [(state, name) for state, name in rows]


def test_equal_runs_differ_in_nothing_but_time(client: Client, store: Store) -> None:
    a, b = _run(store), _run(store)

    text = _text(client.get("/compare/traces", {"a": a, "b": b, "all": "1"}))

    assert {state for state, _ in _states(text)} == {"same"}
    assert "Every step has its like" in text
    assert "3 same" in re.sub(r"<[^>]+>", "", text)


def test_rows_say_what_differs_and_the_first_difference_is_named(client: Client, store: Store) -> None:
    a = _run(store, version="v2")
    b = _run(store, _REFUND, _ANSWER, prompt="Where is order B-99?", version="v3")

    text = _text(client.get("/compare/traces", {"a": a.upper(), "b": b}))

    assert _states(text) == [
        ("same", "invoke_agent support"), ("changed", "chat gpt-4o-mini"), ("same", "execute_tool search"),
        ("b", "execute_tool refund"), ("b", "chat gpt-4o"),
    ]  # fmt: skip
    steps = text[text.index("cmp-steps-title") : text.index("</main>")]
    assert re.sub(r"<[^>]+>", " ", steps).split().count("$2.50") == 1
    first = text[text.index("First difference") :]
    assert 'data-cmp-row="1"' in first[:300]
    assert "input" in re.sub(r"<[^>]+>", "", first[:400])
    facts = re.sub(r"<[^>]+>", " ", text[text.index("cmp-facts") : text.index("cmp-steps-title")])
    assert "+v3 −v2" in facts
    assert "+refund" in facts
    assert "ok → error" in facts


def test_first_difference_is_the_cause_and_not_the_agent_that_failed_by_it(client: Client, store: Store) -> None:
    a, b = _run(store), _run(store, root_error="no answer", result="lost")

    text = _text(client.get("/compare/traces", {"a": a, "b": b}))

    assert [state for state, _ in _states(text)] == ["changed", "same", "changed"]
    assert 'data-cmp-row="2"' in text


def test_texts_of_a_pair_are_compared_word_by_word(client: Client, store: Store) -> None:
    a, b = _run(store), _run(store, prompt="Where is order B-99?", result="lost")

    chat = _text(client.get("/compare/traces/step", {"a": a, "b": b, "sa": CHAT, "sb": CHAT}))
    tool = _text(client.get("/compare/traces/step", {"a": a, "b": b, "sa": TOOL, "sb": TOOL}))

    assert "Where is order <del>A-17</del>?" in chat
    assert "Where is order <ins>B-99</ins>?" in chat
    assert "<del>shipped</del>" in tool
    assert "<h3>Arguments</h3>" in tool
    assert "the same" in tool[tool.index("<h3>Arguments</h3>") :][:80]


def test_step_of_one_side_alone_shows_its_texts_and_error(client: Client, store: Store) -> None:
    a, b = _run(store), _run(store, _REFUND)

    text = _text(client.get("/compare/traces/step", {"a": a, "b": b, "sa": "", "sb": MORE}))

    assert "A has no such step" in text
    assert "GatewayTimeout" in text
    assert client.get("/compare/traces/step", {"a": a, "b": b, "sa": "", "sb": "f" * 16}).status_code == 404


def test_stored_text_is_shown_and_never_executed(client: Client, store: Store) -> None:
    a, b = _run(store, result="<script>alert(1)</script>"), _run(store, result="<img src=x onerror=alert(1)>")

    response = client.get("/compare/traces/step", {"a": a, "b": b, "sa": TOOL, "sb": TOOL})

    assert b"<script>" not in response.content
    assert b"<img" not in response.content


def test_long_stretches_of_same_steps_are_folded_and_open(client: Client, store: Store) -> None:
    steps = [{"span_id": f"{at:016x}", "parent": ROOT, "name": f"step {at}"} for at in range(100, 140)]
    a, b = _run(store, *steps), _run(store, *steps, {**_REFUND, "start_ns": time.time_ns()})

    text = _text(client.get("/compare/traces", {"a": a, "b": b}))
    fold = re.search(r"rows=(\d+)-(\d+)", text)
    assert fold is not None
    rows = _text(client.get("/compare/traces", {"a": a, "b": b, "rows": fold[0].removeprefix("rows=")}, headers=PANEL))

    assert "41 same steps" in text
    assert len(_states(text)) == 3
    assert len(_states(rows)) == int(fold[2]) - int(fold[1]) == 41


def test_long_lists_come_in_windows(client: Client, store: Store) -> None:
    steps = [{"span_id": f"{at:016x}", "parent": ROOT, "name": f"step {at}"} for at in range(100, 400)]
    a, b = _run(store, *steps), _run(store)

    first = client.get("/compare/traces", {"a": a, "b": b, "all": "1"})
    second = _text(client.get("/compare/traces", {"a": a, "b": b, "all": "1", "from": "250"}, headers=PANEL))

    assert len(_states(_text(first))) == 250
    assert "from=250" in _text(first)
    assert len(first.content) < 300_000
    assert len(_states(second)) == 53
    assert "<html" not in second


@pytest.mark.parametrize("params", [{"from": "x"}, {"rows": "1"}, {"rows": "5-" + "9" * 30}])
def test_bad_windows_are_refused(client: Client, store: Store, params: dict[str, str]) -> None:
    trace_id = _run(store)

    assert client.get("/compare/traces", {"a": trace_id, "b": trace_id, **params}, headers=PANEL).status_code == 400


def test_without_a_second_trace_likely_ones_are_offered(client: Client, store: Store) -> None:
    older = _run(store, version="v2", age_s=900)
    well = _run(store, version="v3", age_s=600)
    failed = _run(store, {**_REFUND, "start_ns": time.time_ns()}, version="v3", age_s=60)

    text = _text(client.get("/compare/traces", {"a": failed}))

    offers = re.findall(rf'a=(\w{{32}})&b={failed}.*?Why">(.*?)<', text, re.S)
    assert offers == [(well, "Last one before it that went well"), (older, "Last one before it of another version")]


def test_runs_that_were_asked_the_same_are_offered_and_no_later_turn_that_quotes_them(client: Client, store: Store) -> None:
    question = 'Where is my "big" order, the one with the green tent?\nPlease hurry'
    well = _run(store, version="v2", age_s=900, prompt=question.upper())
    _run(store, version="v2", age_s=600, prompt=f"You were asked: {question}")
    _run(store, version="v3", age_s=300)
    failed = _run(store, root_error="no answer", version="v3", age_s=60, prompt=question)

    text = _text(client.get("/compare/traces/alike", {"a": failed}, headers=PANEL))

    assert re.findall(rf"a=(\w{{32}})&b={failed}", text) == [well]
    assert "the one with the green tent?" in text


def test_many_newer_runs_that_quote_a_question_do_not_hide_the_one_that_was_asked_it(client: Client, store: Store) -> None:
    question = "Where is my order with the green tent?"
    well = _run(store, version="v2", age_s=900, prompt=question)
    for age_s in range(600, 612):
        _run(store, age_s=age_s, prompt=f"You were asked: {question}")
    failed = _run(store, root_error="no answer", age_s=60, prompt=question)
    Previews().tend(store)

    text = _text(client.get("/compare/traces/alike", {"a": failed}, headers=PANEL))

    assert re.findall(rf"a=(\w{{32}})&b={failed}", text) == [well]


def test_question_that_nobody_else_asked_says_so(client: Client, store: Store) -> None:
    alone, silent = _run(store, prompt="Where is order C-3?"), _store_trace(store, {"span_id": ROOT, "name": "job"})

    assert "No other run of this name was asked this" in _text(client.get("/compare/traces/alike", {"a": alone}, headers=PANEL))
    assert "did not record" in _text(client.get("/compare/traces/alike", {"a": silent}, headers=PANEL))
    assert client.get("/compare/traces/alike", {"a": "f" * 32}, headers=PANEL).status_code == 404


def test_step_that_a_trace_failed_by_is_named_before_the_first_difference(client: Client, store: Store) -> None:
    a, b = _run(store), _run(store, _REFUND, root_error="no answer", prompt="Where is order B-99?")

    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", _text(client.get("/compare/traces", {"a": a, "b": b}))))

    assert re.search(r"B failed at step 4, execute_tool refund GatewayTimeout no answer First difference: step 2", text), text


def test_name_that_no_query_can_hold_leaves_its_trace_comparable(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": "1" * 16, "name": "x" * 3000})

    assert client.get("/compare/traces", {"a": trace_id}).status_code == 200


def test_unknown_trace_says_so(client: Client, store: Store) -> None:
    known = _run(store)

    response = client.get("/compare/traces", {"a": known, "b": "f" * 32})

    assert response.status_code == 404
    assert "There is no trace " + "f" * 32 in _text(response)
    assert client.get("/compare/traces", {"a": "<b>", "b": "x" * 5000}).status_code == 404
    assert client.get("/compare/traces").status_code == 200


def test_store_that_is_down_is_a_message_and_a_next_step(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("ClickHouse does not answer.")

    monkeypatch.setattr("dashboards.views.compare_traces.get_trace", fail)
    response = client.get("/compare/traces", {"a": "a" * 32, "b": "b" * 32})

    assert response.status_code == 503
    assert "ClickHouse does not answer." in _text(response)
    assert "Try again" in _text(response)


def test_trace_page_leads_here(client: Client, store: Store) -> None:
    trace_id = _run(store)

    assert f'href="/compare/traces?a={trace_id}"' in _text(client.get(f"/traces/{trace_id}"))
