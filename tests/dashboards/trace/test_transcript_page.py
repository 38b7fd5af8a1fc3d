"""The transcript and what the panel loads by itself, over spans that came through the real tables."""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboards.trace import transcript_cache
from dashboards.views.transcript import WINDOW
from tests.factories import new_trace_id
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreUnavailable, TraceNotFound
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.model import Trace
from tracestore.queries.traces import get_trace

pytestmark = pytest.mark.usefixtures("default_project")

HTMX = {"HX-Request": "true"}
SECOND = 10**9
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 60
_batches = itertools.count(1)
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage"}


def _id(number: int) -> str:
    return f"{number:016x}"


def _store(store: Store, *spans: dict[str, Any]) -> str:
    """Store spans as one trace, a second apart, summarized; returns the trace id."""
    trace_id, now_ns = new_trace_id(), time.time_ns()
    full = [
        {"trace_id": trace_id, "start_ns": now_ns - 600 * SECOND + place * SECOND // 100} | span
        for place, span in enumerate(spans)
    ]
    insert_batch(store, [(1, now_ns, build_request(*full))], writer="transcript", batch_seq=next(_batches))
    summarize_pending()
    return trace_id


def _agent(number: int, parent: int = 0, **values: Any) -> dict[str, Any]:
    attributes = AGENT | values.pop("attributes", {})
    return {
        "span_id": _id(number),
        "parent": _id(parent) if parent else "",
        "name": "invoke_agent",
        "attributes": attributes,
    } | values


def _llm(number: int, parent: int, says: str, *, tokens: tuple[int, int] = (100, 10), **values: Any) -> dict[str, Any]:
    attributes = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": says}]}],
        "gen_ai.usage.input_tokens": tokens[0], "gen_ai.usage.output_tokens": tokens[1],
    } | values.pop("attributes", {})  # fmt: skip
    return {"span_id": _id(number), "parent": _id(parent), "name": "chat gpt-4o", "attributes": attributes} | values


def _tool(number: int, parent: int, name: str = "search", arguments: str = '{"q": "tea"}', **values: Any) -> dict[str, Any]:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.arguments": arguments}
    attributes |= values.pop("attributes", {})
    return {"span_id": _id(number), "parent": _id(parent), "name": f"execute_tool {name}", "attributes": attributes} | values


def _get(client: Client, path: str, **params: Any) -> str:
    response = client.get(path, params, headers=HTMX)
    assert response.status_code == 200, response.content
    return unescape(response.content.decode())


def _cards(html: str) -> list[str]:
    return [str(int(span_id, 16)) for span_id in re.findall(r'<a class="say [^>]*data-span-id="([0-9a-f]{16})"', html)]


def test_story_begins_with_the_question_and_ends_with_the_answer(client: Client, store: Store) -> None:
    asked = {"gen_ai.input.messages": [{"role": "user", "content": "Where is A-1?"}]}
    answered = {"gen_ai.output.messages": [{"role": "assistant", "content": "It is on its way."}]}
    trace_id = _store(
        store,
        _agent(1, attributes=asked | answered),
        _llm(2, 1, "Let me look."),
        _tool(3, 1, attributes={"gen_ai.tool.call.result": "in transit"}),
        _llm(4, 1, "On its way", tokens=(2_000, 30)),
    )

    html = _get(client, f"/traces/{trace_id}/transcript")

    places = [
        html.index(text)
        for text in ("Where is A-1?", "Let me look.", '"q": "tea"', "in transit", "On its way", "It is on its way.")
    ]
    assert places == sorted(places)
    assert _cards(html) == ["2", "3", "4"]
    assert "2k → 30" in html
    assert "recorded no messages" not in html


def test_question_is_that_of_the_outermost_agent_and_the_answer_of_the_innermost_that_gives_one(
    client: Client, store: Store
) -> None:
    asked = {"gen_ai.input.messages": [{"role": "user", "content": "Plan my trip"}]}
    passed_on = {"gen_ai.input.messages": [{"role": "user", "content": "go"}]}
    answered = {"gen_ai.output.messages": [{"role": "assistant", "content": "Here is the plan."}]}
    trace_id = _store(
        store,
        _agent(1, attributes=asked),
        _agent(2, 1, attributes={"gen_ai.agent.name": "middle"}),
        _agent(3, 2, attributes={"gen_ai.agent.name": "inner"} | passed_on | answered),
        _llm(4, 3, "Planned", attributes=passed_on),
    )

    html = _get(client, f"/traces/{trace_id}/transcript")

    frames = re.findall(r'frame__role" href="[^"]*" data-span-id="(\w+)">.*?class="frame__text">(.*?)</p>', html, re.S)
    assert frames == [(_id(1), "Plan my trip"), (_id(1), "Here is the plan.")]


def test_silent_trace_says_why_it_tells_so_little(client: Client, store: Store) -> None:
    trace_id = _store(store, _agent(1), _tool(2, 1, attributes={"gen_ai.tool.call.arguments": ""}), _tool(3, 1, "refund", ""))

    assert "recorded no messages" in _get(client, f"/traces/{trace_id}/transcript")


def test_opened_by_itself_it_leads_to_the_page(client: Client, store: Store) -> None:
    trace_id = _store(store, _agent(1))

    response = client.get(f"/traces/{trace_id}/transcript", headers={"Accept": "text/html"})

    assert response.status_code == 302
    assert response.headers["Location"] == f"/traces/{trace_id}?view=transcript"


def test_long_story_comes_in_windows_that_join_without_a_gap(client: Client, store: Store) -> None:
    count = 2 * WINDOW + 7
    trace_id = _store(store, _agent(1), *(_tool(number, 1, arguments=f"[{number}]") for number in range(2, count + 2)))
    url = f"/traces/{trace_id}/transcript"

    seen: list[str] = []
    html = _get(client, url)
    for _ in range(4):
        seen += _cards(html)
        more = re.search(r'hx-get="([^"]*after=[^"]*)" hx-trigger="intersect once"', html)
        if more is None:
            break
        html = _get(client, more[1])

    assert seen == [str(number) for number in range(2, count + 2)]


def test_window_with_a_step_that_is_far_down_joins_what_stands_before_it(client: Client, store: Store) -> None:
    count = 3 * WINDOW
    trace_id = _store(store, _agent(1), *(_tool(number, 1, arguments=f"[{number}]") for number in range(2, count + 2)))
    url = f"/traces/{trace_id}/transcript"

    html = _get(client, url, span=_id(60))
    shown = _cards(html)
    earlier = re.search(r'hx-get="([^"]*until=[^"]*)"', html)
    assert earlier is not None
    before = _get(client, earlier[1])

    assert "60" in shown
    assert len(shown) <= WINDOW
    assert int(_cards(before)[-1]) == int(shown[0]) - 1
    assert "intersect once" not in before


def test_agent_within_an_agent_is_closed_until_it_is_opened(client: Client, store: Store) -> None:
    refunds = {"gen_ai.agent.name": "refunds"}
    trace_id = _store(
        store, _agent(1), _llm(2, 1, "I ask refunds."), _agent(3, 1, attributes=refunds),
        _llm(4, 3, "first words", attributes={"gen_ai.input.messages": [{"role": "user", "content": "refund A-1"}]}),
        _tool(5, 3), _llm(6, 3, "refunded"), _llm(7, 1, "Done."),
    )  # fmt: skip

    closed = _get(client, f"/traces/{trace_id}/transcript")
    opened = _get(client, f"/traces/{trace_id}/transcript", group=_id(3), after=0)
    found = _get(client, f"/traces/{trace_id}/transcript", span=_id(5))

    assert _cards(closed) == ["2", "3", "7"]
    assert "refund A-1" in closed
    assert "refunded" in closed
    assert "first words" not in closed
    assert "3 steps inside" in closed
    assert _cards(opened) == ["4", "5", "6"]
    assert _cards(found) == ["2", "3", "4", "5", "6", "7"]


def test_run_of_agents_side_by_side_stands_open(client: Client, store: Store) -> None:
    trace_id = _store(
        store, {"span_id": _id(1), "name": "workflow"}, _agent(2, 1), _llm(3, 2, "hand over"),
        _agent(4, 1, attributes={"gen_ai.agent.name": "refunds"}), _llm(5, 4, "refunded"),
    )  # fmt: skip

    assert _cards(_get(client, f"/traces/{trace_id}/transcript")) == ["2", "3", "4", "5"]


def test_folded_steps_come_when_their_line_is_opened(client: Client, store: Store) -> None:
    plumbing = [{"span_id": _id(number), "parent": _id(1), "name": f"GET /{number}"} for number in (3, 4)]
    trace_id = _store(store, _agent(1), _llm(2, 1, "hello"), *plumbing, _llm(5, 1, "bye"))

    html = _get(client, f"/traces/{trace_id}/transcript")
    rows = _get(client, f"/traces/{trace_id}/transcript", fold=_id(3))

    assert "2 other steps" in html
    assert f'data-span-id="{_id(4)}"' not in html
    assert f'data-span-id="{_id(3)}"' in rows
    assert f'data-span-id="{_id(4)}"' in rows


def test_retries_and_loops_are_marked_with_what_they_wasted(client: Client, store: Store) -> None:
    trace_id = _store(
        store, _agent(1), _llm(2, 1, "a"), _tool(3, 1, error="no answer"), _llm(4, 1, "again", tokens=(12_000, 400)), _tool(5, 1),
        _llm(6, 1, "b"), _tool(7, 1, "order", '{"id": 1, "x": 2}'), _tool(8, 1, "order", '{"x": 2, "id": 1}'),
        _tool(9, 1, "order", '{"id": 1, "x": 2}'),
    )  # fmt: skip

    html = _get(client, f"/traces/{trace_id}/transcript")
    head = _get(client, f"/traces/{trace_id}/repeats")

    cost = 12_000 * 2.5 / 1e6 + 400 * 10 / 1e6
    for text in (html, head):
        assert f"1 retry, 1 loop, 12,400 tokens, ${cost:.3f} wasted" in " ".join(text.split())
    assert "retry 1" in html
    marks = re.search(r'<script id="repeat-marks" type="application/json">(.*?)</script>', head)
    assert marks is not None
    assert list(json.loads(marks[1]).values()) == ["retry 1", "repeat 2 of 3", "repeat 3 of 3"]
    assert "repeat 2 of 3" in html
    assert "repeat 3 of 3" in html
    counted = store.query_rows("SELECT retried_calls, loops, looping_calls, wasted_tokens, wasted_cost_usd FROM traces FINAL")
    assert counted == [(1, 1, 2, 12_400, pytest.approx(cost))]


def test_run_that_repeats_nothing_says_nothing_of_it(client: Client, store: Store) -> None:
    trace_id = _store(store, _agent(1), _tool(2, 1), _tool(3, 1))

    response = client.get(f"/traces/{trace_id}/repeats", headers=HTMX)

    assert response.status_code == 204
    assert response.content == b""


def test_error_stands_out_with_its_message(client: Client, store: Store) -> None:
    failed: dict[str, Any] = {"error": "no <b>answer</b>", "attributes": {"error.type": "GatewayTimeout"}}
    trace_id = _store(store, _agent(1), _tool(2, 1, **failed), _llm(3, 1, "sorry"))

    raw = client.get(f"/traces/{trace_id}/transcript", headers=HTMX).content.decode()

    assert "say--error" in raw
    assert "GatewayTimeout: no &lt;b&gt;answer" in raw
    assert "<b>answer" not in raw


@pytest.mark.parametrize("params", [{"after": "x"}, {"after": "-1"}, {"after": "999999"}, {"span": "?"}, {"span": "f" * 16}])
def test_window_that_makes_no_sense_is_still_an_answer(client: Client, store: Store, params: dict[str, str]) -> None:
    trace_id = _store(store, _agent(1), _llm(2, 1, "a"), _llm(3, 1, "b"))

    assert client.get(f"/traces/{trace_id}/transcript", params, headers=HTMX).status_code == 200


@pytest.mark.parametrize("params", [{"group": "f" * 16}, {"group": ""}, {"fold": "f" * 16}, {"group": "2", "fold": "x"}])
def test_part_that_is_not_there_is_said_to_be_gone(client: Client, store: Store, params: dict[str, str]) -> None:
    trace_id = _store(store, _agent(1), _llm(2, 1, "a"), _llm(3, 1, "b"))

    response = client.get(f"/traces/{trace_id}/transcript", params, headers=HTMX)

    assert response.status_code == 404
    assert b"Reload the page" in response.content


def test_unknown_trace_and_a_store_that_is_away(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get(f"/traces/{'f' * 32}/transcript", headers=HTMX).status_code == 404
    assert client.get(f"/traces/{'f' * 32}/repeats", headers=HTMX).status_code == 204
    trace_id = _store(store, _agent(1))

    def fail(*args: Any, **params: Any) -> Any:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(Store, "query_rows", fail)

    for path in ("transcript", "repeats", f"spans/{_id(1)}/history", f"spans/{_id(1)}/similar"):
        assert client.get(f"/traces/{trace_id}/{path}", headers=HTMX).status_code == 503, path


def test_long_trace_says_where_its_other_steps_stand(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = _store(store, _agent(1), *(_tool(number, 1) for number in range(2, 6)))
    monkeypatch.setattr("dashboards.trace.transcript_cache.SPAN_LIMIT", 3)

    text = _get(client, f"/traces/{trace_id}/transcript")

    assert "The first 3 of 5 steps are told." in text
    assert 'href="?view=tree"' in text


def test_model_call_after_a_cut_answer_is_marked(client: Client, store: Store) -> None:
    cut = {"gen_ai.response.finish_reasons": ["length"]}
    trace_id = _store(store, _agent(1), _llm(2, 1, "It is on", attributes=cut), _llm(3, 1, "It is on its way."))

    text = _get(client, f"/traces/{trace_id}/transcript")

    assert "1 after a cut answer" in text
    assert "The answer before it ended at the limit of its length" in text
    assert "wasted" not in text


# --- What the panel loads


def test_panel_says_how_the_step_compares_and_who_failed_like_it(client: Client, store: Store) -> None:
    fast = [
        _tool(number, 1, error="no answer", attributes={"error.type": "Timeout"}, duration_ns=SECOND) for number in range(2, 26)
    ]
    trace_id = _store(
        store,
        _agent(1),
        _llm(98, 1, "Let me look."),
        *fast,
        _tool(99, 1, error="late", attributes={"error.type": "Timeout"}, duration_ns=9 * SECOND),
    )

    for message in ("late", "late", "other"):
        _store(store, _agent(1, error=message, attributes={"error.type": "Timeout"}))

    panel = _get(client, f"/traces/{trace_id}/spans/{_id(99)}")
    response = client.get(f"/traces/{trace_id}/spans/{_id(99)}/history", headers=HTMX)
    history = unescape(response.content.decode())
    similar = _get(client, f"/traces/{trace_id}/spans/{_id(99)}/similar")

    # Whoever passes over many steps asks for none of it, and whoever comes back asks but once.
    assert panel.count('hx-trigger="load delay:') == 2
    assert response.headers["Cache-Control"] == "private, max-age=120"
    assert "slowest" in history
    assert "of 25 calls of search in 7 days, median 1\u00a0s" in history
    # Of the same tool and type, but with another message: another error.
    assert "2 other traces failed like this in the last 24\u00a0h" in similar
    assert "first seen here" in similar
    link = re.search(r'href="(/errors/[0-9a-f]{12})"', similar)
    assert link is not None
    assert link[1] in panel
    assert "<dt>Traces</dt><dd>3</dd>" in _get(client, link[1])


def test_error_says_when_it_was_first_seen(client: Client, store: Store) -> None:
    failed: dict[str, Any] = {"error": "never seen", "attributes": {"error.type": "Timeout"}}
    first, second = (_store(store, _agent(1, start_ns=time.time_ns() - age_s * 10**9, **failed)) for age_s in (7300, 60))

    assert "first seen here" in _get(client, f"/traces/{first}/spans/{_id(1)}/similar")
    similar = _get(client, f"/traces/{second}/spans/{_id(1)}/similar")
    assert re.search(r"first seen <time [^>]*>2\sh ago</time>", similar), similar


def test_few_calls_are_not_compared(client: Client, store: Store) -> None:
    trace_id = _store(store, _agent(1), _tool(2, 1))

    assert "only 1 such step in the 7 days before" in _get(client, f"/traces/{trace_id}/spans/{_id(2)}/history")


def test_comparison_that_takes_too_long_is_left_out(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = _store(store, _agent(1), _tool(2, 1, error="x"))

    def give_up(*args: Any, **params: Any) -> Any:
        raise QueryTooExpensive("too long")

    monkeypatch.setattr("dashboards.views.step.get_history", give_up)
    monkeypatch.setattr("dashboards.views.step.count_other_traces", give_up)

    for path in ("history", "similar"):
        assert client.get(f"/traces/{trace_id}/spans/{_id(2)}/{path}", headers=HTMX).status_code == 204


def test_large_trace_is_read_once_for_all_its_windows_and_again_when_a_span_arrives(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript_cache, "_WORTH_KEEPING_SPANS", 3)
    reads: list[str] = []

    def count(store: Store, *, trace_id: str, **options: Any) -> Trace:
        reads.append(trace_id)
        return get_trace(store, trace_id=trace_id, **options)

    monkeypatch.setattr(transcript_cache, "get_trace", count)
    trace_id = _store(store, _agent(1), _llm(2, 1, "first answer"), _tool(3, 1))
    small_id = _store(store, _agent(1), _llm(2, 1, "small"))

    for path, params in (("transcript", {}), ("transcript", {"after": "1"}), ("repeats", {})):
        client.get(f"/traces/{trace_id}/{path}", params, headers=HTMX)
        client.get(f"/traces/{small_id}/{path}", params, headers=HTMX)
    assert (reads.count(trace_id), reads.count(small_id)) == (1, 3)

    more = {"trace_id": trace_id, "start_ns": time.time_ns()} | _llm(4, 1, "late answer")
    insert_batch(store, [(1, time.time_ns(), build_request(more))], writer="transcript", batch_seq=next(_batches))
    assert "late answer" in _get(client, f"/traces/{trace_id}/transcript")
    assert reads.count(trace_id) == 2


def test_stories_are_kept_apart_by_project_and_only_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_cache, "_WORTH_KEEPING_SPANS", 2)
    monkeypatch.setattr(transcript_cache, "_KEPT_SPANS", 5)
    ids = [_store(store, _agent(1), _llm(2, 1, "a")) for _ in range(3)]
    for trace_id in ids:
        transcript_cache.read_story(store, project_id=1, trace_id=trace_id)

    assert [key[1] for key in transcript_cache._kept] == ids[1:]
    with pytest.raises(TraceNotFound):
        transcript_cache.read_story(store, project_id=2, trace_id=ids[2])


def test_cost_of_a_call_is_shown_as_tokens_times_prices_that_add_up(client: Client, store: Store) -> None:
    cached = {"gen_ai.usage.cache_read.input_tokens": 200}
    trace_id = _store(store, _llm(1, 0, "a", tokens=(1000, 50), attributes=cached) | {"parent": ""})

    html = _get(client, f"/traces/{trace_id}/spans/{_id(1)}")
    cost = " ".join(re.sub(r"<[^>]+>", " ", html[html.index('data-io="cost"') :]).split())

    assert "Input 800 × $2.50 per million $0.002" in cost
    assert "Cache read 200 × $1.25 per million $0.00025" in cost
    assert "Output 50 × $10.00 per million $0.0005" in cost
    assert "By list price $0.00275" in cost
    assert "Prices of gpt-4o at OpenAI on " in cost


def test_call_without_a_price_says_so(client: Client, store: Store) -> None:
    trace_id = _store(store, _llm(1, 0, "a", attributes={"gen_ai.request.model": "house-blend"}) | {"parent": ""})

    assert "No price is known for" in _get(client, f"/traces/{trace_id}/spans/{_id(1)}")


def test_error_has_a_fingerprint_that_does_not_depend_on_its_numbers(client: Client, store: Store) -> None:
    trace_id = _store(store, _agent(1), _tool(2, 1, error="no answer after 30 s"), _tool(3, 1, error="no answer after 45 s"))

    names = {
        re.findall(r'href="/errors/([0-9a-f]+)"', _get(client, f"/traces/{trace_id}/spans/{_id(number)}"))[0] for number in (2, 3)
    }

    assert len(names) == 1


def test_answer_in_markdown_is_laid_out_and_hostile_markup_is_not(client: Client, store: Store) -> None:
    says = "**bold** <script>alert(1)</script> [x](javascript:alert(1))\n\n- a\n- b"
    trace_id = _store(store, _llm(1, 0, says) | {"parent": ""})
    url = f"/traces/{trace_id}/spans/{_id(1)}"

    panel = client.get(url, headers=HTMX).content.decode()
    fragment = client.get(f"{url}/markdown", {"ref": "output.0.0"}).content.decode()

    for html in (panel, fragment):
        assert "<strong>bold</strong>" in html
        assert "<script>" not in html
        assert 'href="javascript' not in html
    assert client.get(f"{url}/markdown", {"ref": "output.9.9"}).status_code == 404


def test_result_stands_with_its_call(client: Client, store: Store) -> None:
    talk = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": '{"q": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "found it"},
    ]
    trace_id = _store(store, _llm(1, 0, "done", attributes={"gen_ai.input.messages": talk}) | {"parent": ""})

    html = _get(client, f"/traces/{trace_id}/spans/{_id(1)}")

    assert html.count('class="msg msg--assistant"') == 2
    assert 'class="msg msg--tool"' not in html
    paired = html[html.index("part--paired") :]
    assert "found it" in paired
    assert _get(client, f"/traces/{trace_id}/spans/{_id(1)}/text", ref="input.2.0") == "found it"


def test_call_that_a_turn_asked_for_brings_its_result_and_leads_to_its_step(client: Client, store: Store) -> None:
    call = {"type": "tool_call", "id": "c/1", "name": "search", "arguments": {"q": 1}}
    said = {"gen_ai.output.messages": [{"role": "assistant", "parts": [call]}]}
    answered = {"gen_ai.tool.call.id": "c/1", "gen_ai.tool.call.result": "found <it>"}
    trace_id = _store(store, _agent(1), _llm(2, 1, "", attributes=said), _tool(3, 1, attributes=answered))
    url = f"/traces/{trace_id}/spans/{_id(2)}"

    panel = _get(client, url)
    result = client.get(f"{url}/call", {"call": "c/1"}, headers=HTMX).content.decode()

    assert f'hx-get="{url}/call?call=c%2F1"' in panel
    assert "found &lt;it&gt;" in result
    assert f'data-span-id="{_id(3)}"' in result
    assert client.get(f"{url}/call", {"call": "other"}).status_code == 204
    assert client.get(f"{url}/call").status_code == 204


def test_inline_image_is_served_as_what_it_is(client: Client, store: Store) -> None:
    def message(data: bytes) -> dict[str, Any]:
        url = "data:image/png;base64," + base64.b64encode(data).decode()
        return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}

    talk = [message(PNG), message(b"<svg onload='alert(1)'></svg>" * 3)]
    trace_id = _store(store, _llm(1, 0, "a cat", attributes={"gen_ai.input.messages": talk}) | {"parent": ""})
    url = f"/traces/{trace_id}/spans/{_id(1)}"

    panel = _get(client, url)
    image = client.get(f"{url}/image", {"ref": "input.0.0"})

    assert f'src="{url}/image?ref=input.0.0"' in panel
    assert image.content == PNG
    assert image.headers["Content-Type"] == "image/png"
    assert image.headers["X-Content-Type-Options"] == "nosniff"
    assert image.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert client.get(f"{url}/image", {"ref": "input.1.0"}).status_code == 404
    assert client.get(f"{url}/image").status_code == 404


def test_panel_links_to_version_session_user_and_prompt(client: Client, store: Store) -> None:
    said = {"session.id": "s/1", "user.id": "u-1", "gen_ai.agent.version": "v3", "gen_ai.prompt.name": "policy"}
    trace_id = _store(store, _llm(1, 0, "a", attributes=said) | {"parent": ""})

    html = _get(client, f"/traces/{trace_id}/spans/{_id(1)}")

    for link in ("/traces?q=version%3Av3", "/traces?q=prompt%3Apolicy", "/sessions/s/1", "/users/u-1"):
        assert f'href="{link}"' in html
