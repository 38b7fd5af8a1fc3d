"""Sessions and users: lists, the conversation of a session, the page of a user."""

from __future__ import annotations

import itertools
import json
import re
import time
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import insert_traces, new_trace_id
from tests.logs import insert_logs
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.timerange import NS_PER_S

pytestmark = pytest.mark.usefixtures("default_project")
HOSTILE = '<script>alert(1)</script>"/..?#%\n\u202e'
_batches = itertools.count(1)


def _text(response: Any) -> str:
    return unescape(response.content.decode())


def _store_turn(store: Store, asked: str, answered: str, *, age_s: int, session_id: str = "s-1", error: str = "") -> str:
    """Store one turn of a conversation as it would arrive; returns its trace id."""
    trace_id, now_ns = new_trace_id(), time.time_ns()
    start_ns = now_ns - age_s * NS_PER_S
    agent = {"gen_ai.operation.name": "invoke_agent", "user.id": "u-1", "session.id": session_id}
    agent |= {"input.value": json.dumps([{"role": "user", "content": asked}]), "output.value": answered}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}
    failed = {"error": error} if error else {}
    request = build_request(
        {"trace_id": trace_id, "span_id": "1" * 16, "start_ns": start_ns, "name": "run", "attributes": agent, **failed},
        {
            "trace_id": trace_id, "span_id": "2" * 16, "parent": "1" * 16, "start_ns": start_ns, "name": "call",
            "attributes": tool, **failed,
        },
    )  # fmt: skip
    insert_batch(store, [(1, now_ns, request)], writer="sessions-page", batch_seq=next(_batches))
    summarize_pending()
    return trace_id


@pytest.mark.parametrize(("path", "first"), [("/sessions", "s-1"), ("/users", "u-1")])
def test_list_adds_up_and_leads_to_its_pages(client: Client, store: Store, path: str, first: str) -> None:
    insert_traces(
        store,
        {"session_id": "s-1", "user_id": "u-1", "outcome": "error", "cost_usd": 0.5, "input_tokens": 3100, "agents": ["triage"]},
        {"session_id": "s-1", "user_id": "u-1", "escalated": True},
        {"session_id": "s-2", "user_id": "u-2", "start_ns": time.time_ns() - 7200 * NS_PER_S},
        {},
    )

    page = _text(client.get(path, {"start": "now-6h"}))

    assert page.count("data-row") == 2
    assert f'href="{path}/{first}?start=now-6h"' in page
    for text in ("$0.500", "3.1k", "triage", "1\u00a0m ago", "2\u00a0h ago"):
        assert text in page


@pytest.mark.parametrize("path", ["/sessions", "/users", "/traces"])
def test_cost_with_a_model_without_a_price_is_shown_as_the_least_it_can_be(client: Client, store: Store, path: str) -> None:
    ids = {"session_id": "s-1", "user_id": "u-1", "cost_usd": 0.5}
    insert_traces(store, ids)
    assert "≥" not in _text(client.get(path))

    insert_traces(store, ids | {"unpriced_models": ["house-7b"]})

    assert re.search(r"≥</span>(\s|&nbsp;|\xa0)*\$", _text(client.get(path)))


def test_list_keeps_order_and_query_in_its_links(client: Client, store: Store) -> None:
    insert_traces(store, {"session_id": "s-1", "outcome": "error"}, {"session_id": "s-2"})

    page = _text(client.get("/sessions", {"q": "status:error", "sort": "cost"}))

    assert page.count("data-row") == 1
    assert 'href="?q=status%3Aerror&sort=failures"' in page
    assert 'aria-sort="descending"' in page
    assert client.get("/sessions", {"sort": "nonsense"}).status_code == 200


def test_sessions_begin_with_what_was_asked_first(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    later = {"session_id": "s1", "user_id": "u1", "preview": ("Thanks!", ""), "start_ns": now_ns - 60 * NS_PER_S}
    insert_traces(
        store, later, later | {"preview": ("Where is <my> order?", ""), "start_ns": now_ns - 120 * NS_PER_S}, {"session_id": "s2"}
    )

    page, of_user = _text(client.get("/sessions")), _text(client.get("/users/u1", headers={"HX-Request": "true"}))

    for text in ("<bdi>Where is <my> order?</bdi></a>", "s1"):
        assert text in page
        assert text in of_user
    assert "<bdi>s2</bdi></a>" in page
    assert "Thanks!" not in page


def test_long_list_goes_on_where_it_ends(client: Client, store: Store) -> None:
    insert_traces(store, *({"session_id": f"s-{number}", "user_id": f"u-{number}"} for number in range(60)))

    for path in ("/sessions", "/users"):
        first = _text(client.get(path))
        rest = _text(client.get(path, {"offset": "50"}, headers={"HX-Request": "true"}))

        assert (first.count("data-row"), rest.count("data-row")) == (50, 10)
        assert "offset=50" in first
        assert "<html" not in rest


def test_empty_lists_say_what_to_do(client: Client, store: Store) -> None:
    assert "Connect an agent" in _text(client.get("/sessions"))

    insert_traces(store)
    assert "session.id" in _text(client.get("/sessions"))
    assert "user.id" in _text(client.get("/users"))

    insert_traces(store, {"session_id": "s-1", "user_id": "u-1", "start_ns": time.time_ns() - 3 * 86_400 * NS_PER_S})
    assert 'href="?start=now-7d"' in _text(client.get("/sessions"))
    assert "No user matches" in _text(client.get("/users", {"q": "version:v9"}))


def test_session_shows_the_scores_of_it_as_a_whole(client: Client, store: Store) -> None:
    trace_id = _store_turn(store, "Where is my order?", "On its way.", age_s=300)

    def score(name: str, value: float, session_id: str = "s-1", **more: Any) -> dict[str, Any]:
        said = {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": value, "session.id": session_id}
        return {"event_name": "gen_ai.evaluation.result", "attributes": said | {"tracestore.score.id": f"of {name}"}} | more

    now_ns = time.time_ns()
    insert_logs(
        store, score("csat", 4.0, time_ns=now_ns - NS_PER_S), score("csat", 2.0, time_ns=now_ns - 2 * NS_PER_S),
        score("of the trace", 1.0, trace_id=trace_id), score("elsewhere", 1.0, "s-2"),
    )  # fmt: skip

    page = _text(client.get("/sessions/s-1", {"start": "now-6h"}))
    shown = page[page.index('data-io="scores"') :].split("</section>")[0]

    assert shown.count("<strong>csat</strong>") == 1
    assert ">4</span>" in shown
    assert 'href="/traces?q=has%3Ascore.csat&start=now-6h"' in shown
    assert "of the trace" not in shown
    assert "elsewhere" not in shown
    assert 'data-io="scores"' not in _text(client.get("/sessions/s-2"))


def test_session_is_one_thread_oldest_first_whose_texts_load_by_turn(client: Client, store: Store) -> None:
    first = _store_turn(store, "Where is my order?", "On its way.", age_s=300)
    second = _store_turn(store, "And my refund?", "Something went wrong.", age_s=60, error="no answer")
    _store_turn(store, "other", "other", age_s=30, session_id="s-2")

    page = _text(client.get("/sessions/s-1"))
    turn = _text(client.get(f"/traces/{second}/turn"))

    assert page.index(f'data-row="{first}') < page.index(f'data-row="{second}')
    assert page.count("data-row=") == 2
    assert f'hx-get="/traces/{second}/turn"' in page
    assert "my refund" not in page
    assert 'href="/users/u-1?"' in page
    assert 'href="/traces?q=session%3As-1"' in page
    for text in ("And my refund?", "Something went wrong.", "refund", "no answer", "1 tool call"):
        assert text in turn
    assert f'href="/traces/{second}?span={"2" * 16}"' in turn
    assert "<html" not in turn


def test_session_page_holds_the_newest_turns_and_leads_to_earlier_ones(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    turns = ({"start_ns": now_ns - (number + 1) * NS_PER_S, "name": f"run {number}."} for number in range(130))
    insert_traces(store, *turns, session_id="s-1")

    page = _text(client.get("/sessions/s-1"))
    earlier = page.split('href="?cursor=')[1].split('"')[0]
    before = _text(client.get(f"/sessions/s-1?cursor={earlier}"))

    assert page.count("data-row=") == 100
    assert "run 0." in page
    assert "run 100." not in page
    assert before.count("data-row=") == 30
    assert "run 129." in before
    assert client.get("/sessions/s-1", {"cursor": "nonsense"}).status_code == 400


def test_old_session_opens_where_it_is(client: Client, store: Store) -> None:
    insert_traces(store, {"session_id": "s-1", "start_ns": time.time_ns() - 20 * 86_400 * NS_PER_S, "name": "old run"})

    followed = client.get("/sessions/s-1", follow=True)
    asked = client.get("/sessions/s-1", {"start": "now-1h"})

    assert "old run" in _text(followed)
    assert "start=" in followed.redirect_chain[0][0]
    assert "Nothing of this session in this range" in _text(asked)


def test_unknown_ones_are_answered_404(client: Client, store: Store) -> None:
    insert_traces(store, {"session_id": "s-1", "user_id": "u-1"})

    for path in ("/sessions/none", "/users/none"):
        response = client.get(path)
        assert response.status_code == 404
        assert "There is no such" in _text(response)
    assert "no longer stored" in _text(client.get(f"/traces/{'f' * 32}/turn"))


def test_any_text_names_a_session_and_a_user(client: Client, store: Store) -> None:
    insert_traces(store, {"session_id": HOSTILE, "user_id": HOSTILE, "name": "the run", "agents": [HOSTILE]})
    for name in ("session", "user"):
        path = reverse(f"{name}-detail", args=[HOSTILE])

        listed = client.get(reverse(f"{name}-list")).content.decode()
        page = client.get(path)

        assert path in unescape(listed)
        assert page.status_code == 200
        for body in (listed, page.content.decode()):
            assert "<script>alert" not in body
            assert "\u202e" not in body
    assert quote("?#") in path


def test_user_page_shows_use_errors_models_and_sessions(client: Client, store: Store) -> None:
    model = {
        "models.model": ["gpt-5"], "models.provider": ["openai"], "models.calls": [2], "models.errors": [0],
        "models.input_tokens": [10], "models.output_tokens": [4], "models.cached_input_tokens": [0], "models.cost_usd": [0.25],
    }  # fmt: skip
    failed = {"outcome": "error", "error_fingerprint": "a" * 12, "error_types": ["Timeout"], "failing_span_id": b"\x02" * 8}
    insert_traces(
        store, {"session_id": "s-1", "cost_usd": 0.25, **model}, {"session_id": "s-2", "escalated": True, **failed}, user_id="u-1"
    )

    page, sections = _text(client.get("/users/u-1")), _text(client.get("/users/u-1", headers={"HX-Request": "true"}))

    for text in ("$0.250", "escalated%3Atrue", 'href="/traces?q=user%3Au-1"', 'hx-get="/users/u-1"'):
        assert text in page
    for text in ("gpt-5", "$0.250", "Timeout", "1 escalated", 'href="/sessions/s-1?"', f'href="/errors/{"a" * 12}?"'):
        assert text in sections
    assert "<html" not in sections


def test_bad_query_is_answered_422_and_a_store_that_is_away_503(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ("/sessions", "/users", "/sessions/s-1", "/users/u-1")
    for path in paths:
        assert client.get(path, {"start": "yesterday"}).status_code == 422
        assert client.get(path, {"q": "status:("}).status_code == 422

    def refuse(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("ClickHouse is away.")

    monkeypatch.setattr(Store, "query_rows", refuse)
    for path in paths:
        response = client.get(path)
        assert response.status_code == 503
        assert "ClickHouse is away." in _text(response)
    assert "ClickHouse is away." in _text(client.get("/users/u-1", headers={"HX-Request": "true"}))


def test_trace_page_leads_to_session_and_user(client: Client, store: Store) -> None:
    trace_id = _store_turn(store, "Where?", "There.", age_s=60)

    page = _text(client.get(f"/traces/{trace_id}"))

    assert 'href="/sessions/s-1"' in page
    assert 'href="/users/u-1"' in page
