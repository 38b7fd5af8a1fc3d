"""The trace page over spans that came through the real tables and the real summary job."""

from __future__ import annotations

import itertools
import json
import re
import time
from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboards.views import trace as trace_views
from dashboards.views import trace_tabs
from tests.factories import new_trace_id
from tests.logs import insert_logs
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.model import Span
from tracestore.queries.spans import get_span

pytestmark = pytest.mark.usefixtures("default_project")

ROOT, TOOL, CHAT = "1" * 16, "2" * 16, "3" * 16
PANEL = {"HX-Request": "true"}
_batches = itertools.count(1)


def _store_trace(store: Store, *spans: dict[str, Any], resource: dict[str, Any] | None = None) -> str:
    """Store spans as one trace, summarized; the least is a span id. Returns the trace id."""
    trace_id, now_ns = new_trace_id(), time.time_ns()
    full = [{"trace_id": trace_id, "start_ns": now_ns - 60 * 10**9} | span for span in spans]
    request = build_request(*full, resource=resource)
    insert_batch(store, [(1, now_ns, request)], writer="trace-page", batch_seq=next(_batches))
    summarize_pending()
    return trace_id


def _failed_run(store: Store) -> str:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage", "user.id": "u-1", "session.id": "s-1"}
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "refund",
        "gen_ai.tool.call.arguments": '{"order": "A-1"}',
    }
    error = {"exception.type": "GatewayTimeout", "exception.message": "no answer", "exception.stacktrace": "File pay.py, line 7"}
    return _store_trace(
        store,
        {
            "span_id": ROOT,
            "name": "invoke_agent triage",
            "error": "no answer",
            "attributes": agent | {"error.type": "GatewayTimeout"},
        },
        {
            "span_id": TOOL,
            "parent": ROOT,
            "name": "execute_tool refund",
            "error": "no answer",
            "attributes": tool | {"error.type": "GatewayTimeout"},
            "events": [("exception", error)],
        },
        resource={"service.version": "v3"},
    )


def _text(response: Any) -> str:
    return unescape(response.content.decode())


def _tree(client: Client, trace_id: str) -> dict[str, Any]:
    response = client.get(f"/traces/{trace_id}/tree")
    assert response.status_code == 200
    tree: dict[str, Any] = response.json()
    return tree


def _ids(tree: dict[str, Any]) -> list[str]:
    return [tree["ids"][at : at + 16] for at in range(0, len(tree["ids"]), 16)]


def test_page_names_what_failed_and_opens_it(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = _failed_run(store)
    reads: list[str] = []

    def read(store: Store, *, span_id: str, **scope: Any) -> Span:
        reads.append(span_id)
        return get_span(store, span_id=span_id, **scope)

    monkeypatch.setattr("dashboards.views.span.get_span", read)

    response = client.get(f"/traces/{trace_id}")

    assert reads == [TOOL]

    text = _text(response)
    assert response.status_code == 200
    assert f'data-selected="{TOOL}"' in text
    assert "The root span reports an error." in text
    why = text[text.index('id="why"') : text.index('id="panes"')]
    assert f'data-span-id="{TOOL}"' in why
    assert "Gateway<wbr>Timeout" in why
    assert "no answer" in why
    assert '"order": "A-1"' in text
    assert "File pay.py, line 7" in text


def test_header_links_to_lists_of_the_same_kind(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    text = _text(client.get(f"/traces/{trace_id}"))

    for query in ("version%3Av3", "agent%3Atriage", "tool%3Arefund"):
        assert f'href="/traces?q={query}"' in text
    for path in ("/users/u-1", f"/sessions/s-1#turn-{trace_id}"):
        assert f'href="{path}"' in text


def test_header_counts_the_values_it_has_no_room_for(client: Client, store: Store) -> None:
    spans = [
        {
            "span_id": f"{number:016x}",
            "attributes": {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": f"agent-{number}",
                "gen_ai.agent.version": f"v{number}",
            },
        }
        for number in range(1, 7)
    ]
    page = client.get(f"/traces/{_store_trace(store, *spans)}").content.decode()

    head = page[page.index('id="trace-head"') : page.index('id="panes"')]
    assert head.count("version%3Av") == 3
    assert head.count("agent%3Aagent-") == 4
    assert head.count(">+3<") == 1
    assert head.count(">+2<") == 1


def test_link_to_one_span_selects_it(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    response = client.get(f"/traces/{trace_id}", {"span": ROOT.upper()})

    assert f'data-selected="{ROOT}"' in _text(response)
    assert f'id="span-panel" data-span="{ROOT}"' in _text(response)


def test_link_to_a_span_that_is_not_there_says_so_and_still_shows_the_trace(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    response = client.get(f"/traces/{trace_id}", {"span": "f" * 16})

    assert response.status_code == 200
    assert "This step is not here" in _text(response)
    assert len(_ids(_tree(client, trace_id))) == 2


def test_ok_trace_opens_its_root_and_shows_no_reason(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": ROOT, "name": "hello"}, {"span_id": CHAT, "parent": ROOT})

    text = _text(client.get(f"/traces/{trace_id}"))

    assert f'data-selected="{ROOT}"' in text
    assert 'id="why"' not in text


def test_orphans_are_counted_and_shown(client: Client, store: Store) -> None:
    trace_id = _store_trace(
        store, {"span_id": ROOT, "name": "root"}, {"span_id": CHAT, "parent": "9" * 16}, {"span_id": TOOL, "parent": "9" * 16}
    )

    response = client.get(f"/traces/{trace_id}")

    assert "2 steps whose parent never arrived." in _text(response)
    assert sorted(_ids(_tree(client, trace_id))) == sorted([ROOT, TOOL, CHAT, "9" * 16])


def test_whole_trace_is_marked_complete(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": ROOT}, {"span_id": CHAT, "parent": ROOT})

    text = _text(client.get(f"/traces/{trace_id}"))

    assert "Complete</span>" in text
    assert 'id="completeness"' not in text


def test_trace_with_gaps_says_what_is_missing(client: Client, store: Store) -> None:
    cut = {"gen_ai.input.messages": "x" * 99 + "... [truncated]"}
    trace_id = _store_trace(
        store, {"span_id": CHAT, "parent": "9" * 16, "attributes": cut, "start_ns": time.time_ns() - 3600 * 10**9}
    )

    text = _text(client.get(f"/traces/{trace_id}"))
    api = client.get(f"/api/v1/traces/{trace_id}").json()["completeness"]

    assert "Incomplete</a>" in text
    assert api["state"] == "incomplete"
    assert [gap["reason"] for gap in api["reasons"]] == ["no_root", "orphans", "truncated"]
    assert all(gap["message"] in text for gap in api["reasons"])


def test_parent_of_a_running_trace_may_still_arrive(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": CHAT, "parent": "9" * 16, "start_ns": time.time_ns() - 10**9})

    text = _text(client.get(f"/traces/{trace_id}"))

    assert "1 step whose parent has not arrived yet." in text
    assert "never arrived" not in text


def test_last_step_of_a_run_that_broke_off_is_not_blamed_for_the_error_of_another(client: Client, store: Store) -> None:
    long_ago_ns, agent = time.time_ns() - 3600 * 10**9, {"gen_ai.operation.name": "chat"}
    trace_id = _store_trace(
        store,
        {"span_id": TOOL, "parent": "9" * 16, "start_ns": long_ago_ns, "error": "upstream gave up", "attributes": agent},
        {"span_id": CHAT, "parent": "9" * 16, "start_ns": long_ago_ns + 10**10, "attributes": agent},
    )

    why = _text(client.get(f"/traces/{trace_id}")).partition('id="why"')[2].partition('id="panes"')[0]

    assert "The last step that arrived." in why
    assert "upstream gave up" not in why


def test_spans_that_arrive_after_the_summary_are_shown_at_once(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": ROOT, "name": "root"})
    late = build_request({"trace_id": trace_id, "span_id": CHAT, "parent": ROOT, "start_ns": time.time_ns() - 10**9})
    insert_batch(store, [(1, time.time_ns(), late)], writer="trace-page", batch_seq=next(_batches))

    assert _ids(_tree(client, trace_id)) == [ROOT, CHAT]


def test_events_are_marked_on_their_bar(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    tree = _tree(client, trace_id)

    row, _, name = tree["events"]
    assert (_ids(tree)[row], tree["strings"][name]) == (TOOL, "exception")


@pytest.mark.parametrize("trace_id", ["0" * 32, "nonsense", "../admin", "%00", "a" * 500])
def test_unknown_trace_is_a_page_that_says_so(client: Client, store: Store, trace_id: str) -> None:
    response = client.get(f"/traces/{trace_id}")

    assert response.status_code == 404


def test_step_named_by_a_template_says_what_it_says(client: Client, store: Store) -> None:
    def named(template: str, message: str, operation: str) -> dict[str, Any]:
        said = {"logfire.msg_template": template, "logfire.msg": message, "gen_ai.operation.name": operation}
        return {"name": template, "attributes": said}

    trace_id = _store_trace(
        store,
        {"span_id": ROOT, "error": "no answer"} | named("handle ticket {user_id}", "handle ticket u-17", "invoke_agent"),
        {"span_id": TOOL, "parent": ROOT, "error": "no answer"} | named("charge {amount}", "charge 42 <b>", "execute_tool"),
        {"span_id": CHAT, "parent": ROOT} | named("load {what}", "load orders", ""),
    )

    page = client.get(f"/traces/{trace_id}").content.decode()
    transcript = _text(client.get(f"/traces/{trace_id}/transcript"))
    listed = _text(client.get("/traces"))

    assert ">handle ticket u-17</h1>" in page
    assert '<span class="step__name" title="charge {amount}">charge 42 &lt;b&gt;</span>' in page
    assert f'<a class="muted" href="?span={ROOT}" data-span-id="{ROOT}">handle ticket u-17</a>' in page
    assert {"handle ticket u-17", "charge 42 <b>"} <= set(_tree(client, trace_id)["strings"])
    assert "load orders" in transcript
    assert f'href="/traces/{trace_id}?start=now-24h"><bdi>handle ticket u-17</bdi></a>' in listed


def test_panel_alone_is_a_fragment_for_the_page_and_a_redirect_for_a_person(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)
    url = f"/traces/{trace_id}/spans/{TOOL}"

    fragment, opened = client.get(url, headers=PANEL), client.get(url, headers={"Accept": "text/html"})

    assert "<html" not in _text(fragment)
    assert "HX-Request" in fragment["Vary"]
    assert (opened.status_code, opened["Location"]) == (302, f"/traces/{trace_id}?span={TOOL}")


def test_silent_agent_is_not_said_to_leave_out_what_the_calls_below_it_hold(client: Client, store: Store) -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": '[{"role": "user", "content": "Where is A-1?"}]'}
    trace_id = _store_trace(
        store,
        {"span_id": ROOT, "name": "invoke_agent support", "attributes": {"gen_ai.operation.name": "invoke_agent"}},
        {"span_id": CHAT, "parent": ROOT, "name": "chat", "attributes": said},
        {"span_id": TOOL, "parent": ROOT, "name": "execute_tool x", "attributes": {"gen_ai.operation.name": "execute_tool"}},
    )

    agent, tool = (_text(client.get(f"/traces/{trace_id}/spans/{span_id}", headers=PANEL)) for span_id in (ROOT, TOOL))

    assert "recorded no input or output" in agent
    assert "leave content out" not in agent
    assert "leave content out" in tool


def test_panel_of_an_unknown_span_says_so(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    response = client.get(f"/traces/{trace_id}/spans/{'f' * 16}", headers=PANEL)

    assert response.status_code == 404
    assert "This step is not here" in _text(response)


def test_hostile_text_is_escaped_everywhere(client: Client, store: Store) -> None:
    evil = '<script>alert(1)</script><img src=x onerror="alert(1)">'
    keys = ("gen_ai.agent.name", "gen_ai.tool.name", "user.id", "session.id", "gen_ai.request.model", "error.type", f"key{evil}")
    trace_id = _store_trace(
        store,
        {
            "span_id": ROOT,
            "name": evil,
            "error": evil,
            "attributes": dict.fromkeys(keys, evil)
            | {"gen_ai.operation.name": "chat", "gen_ai.input.messages": evil, "link": "javascript:alert(1)"},
            "events": [(evil, {evil: evil, "exception.stacktrace": evil})],
        },
        resource={"service.version": evil, "deployment.environment.name": evil},
    )

    raw = client.get(f"/traces/{trace_id}").content.decode()

    assert "<script>alert" not in raw
    assert "<img" not in raw
    assert 'href="javascript:' not in raw


def test_control_characters_are_shown_and_break_nothing(client: Client, store: Store) -> None:
    attributes = {"note": "a\x00b\x07c\u202edesrever", "input.value": '[{"role": "user", "content": "lone \\ud83d half"}]'}
    trace_id = _store_trace(store, {"span_id": ROOT, "attributes": attributes})

    text = _text(client.get(f"/traces/{trace_id}"))

    assert "a\u2400b\u2407c\\u202edesrever" in text
    assert "lone \\ud83d half" in text


def test_long_text_is_cut_with_a_link_to_all_of_it(client: Client, store: Store) -> None:
    message = "x" * 1_000_000 + "the end"
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps([{"role": "user", "content": message}])}
    trace_id = _store_trace(store, {"span_id": ROOT, "attributes": attributes})

    page = client.get(f"/traces/{trace_id}")
    whole = client.get(f"/traces/{trace_id}/spans/{ROOT}/text", {"ref": "input.0.0"})
    attribute = client.get(f"/traces/{trace_id}/spans/{ROOT}/text", {"ref": "attribute:gen_ai.operation.name"})

    assert len(page.content) < 200_000
    assert f"/traces/{trace_id}/spans/{ROOT}/text?ref=input.0.0" in _text(page)
    assert whole.content.decode() == message
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert whole["X-Content-Type-Options"] == "nosniff"
    assert attribute.content == b"chat"


def test_store_that_cannot_answer_is_said_to_be_at_fault(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("The store does not answer.")

    monkeypatch.setattr("dashboards.views.trace.find_trace_times", refuse)
    monkeypatch.setattr("dashboards.views.span.get_span", refuse)

    page, panel = client.get(f"/traces/{'0' * 32}"), client.get(f"/traces/{'0' * 32}/spans/{ROOT}", headers=PANEL)

    assert (page.status_code, panel.status_code) == (503, 503)
    assert "The store does not answer." in _text(page)


def test_unknown_reference_is_not_found(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)
    references = ("", "input.9.9", "attribute:none", "event:99:x", "event:x:y", "secret:key", "__class__")

    answers = {ref: client.get(f"/traces/{trace_id}/spans/{TOOL}/text", {"ref": ref}).status_code for ref in references}

    assert answers == dict.fromkeys(references, 404)


def test_span_can_be_downloaded_as_json(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    response = client.get(f"/traces/{trace_id}/spans/{TOOL}/json")

    assert response["Content-Disposition"] == f'attachment; filename="span-{TOOL}.json"'
    assert json.loads(response.content)["attributes"]["gen_ai.tool.name"] == "refund"


def test_attribute_row_links_to_traces_with_its_value(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": ROOT, "attributes": {"tenant": "acme inc", "long": "x" * 400}})

    text = _text(client.get(f"/traces/{trace_id}"))

    assert 'href="/traces?q=attr.tenant%3A%22acme+inc%22"' in text
    assert "attr.long" not in text


def test_old_trace_links_to_lists_of_its_own_time(client: Client, store: Store) -> None:
    start_ns = time.time_ns() - 10 * 86_400 * 10**9
    trace_id = _store_trace(store, {"span_id": ROOT, "start_ns": start_ns}, resource={"service.version": "v1"})

    text = _text(client.get(f"/traces/{trace_id}"))

    assert re.search(r'href="/traces\?q=version%3Av1&start=\d{4}-[^"]+&end=\d{4}-[^"]+"', text)


def test_page_of_a_long_trace_stays_small(client: Client, store: Store) -> None:
    spans = [
        {"span_id": f"{index + 1:016x}", "parent": f"{index // 4:016x}" if index else "", "name": "step"}
        for index in range(5_000)
    ]
    trace_id = _store_trace(store, *spans)

    page, tree = client.get(f"/traces/{trace_id}"), client.get(f"/traces/{trace_id}/tree", headers={"Accept-Encoding": "gzip"})

    assert len(page.content) < 100_000
    assert tree["Content-Encoding"] == "gzip"
    assert len(tree.content) < 200_000
    assert len(_ids(_tree(client, trace_id))) == 5_000


def test_trace_beyond_the_limit_says_how_much_is_shown(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for views in (trace_views, trace_tabs):  # the page says what its tabs show
        monkeypatch.setattr(views, "SPAN_LIMIT", 2)
    trace_id = _store_trace(store, {"span_id": ROOT}, {"span_id": CHAT, "parent": ROOT}, {"span_id": TOOL, "parent": ROOT})

    text = _text(client.get(f"/traces/{trace_id}", {"span": TOOL}))

    assert "Only the first 2 of 3 steps are shown." in text
    assert f'id="span-panel" data-span="{TOOL}"' in text
    assert len(_ids(_tree(client, trace_id))) == 2


@pytest.mark.parametrize(("asked", "shown"), [("graph", "graph"), ("nonsense", "tree"), ("", "tree")])
def test_address_chooses_the_view(client: Client, store: Store, asked: str, shown: str) -> None:
    trace_id = _store_trace(store, {"span_id": ROOT, "name": "plain"})

    text = _text(client.get(f"/traces/{trace_id}", {"view": asked}))

    assert f'data-view="{shown}"' in text
    assert re.findall(r'data-show="(\w+)"[^>]*aria-selected="true"', text) == [shown]


def test_search_reads_payloads_too(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    def found(wanted: str) -> Any:
        return client.get(f"/traces/{trace_id}/search", {"q": wanted}).json()

    assert found("a-1") == {"spans": [TOOL], "more": False}
    assert found("PAY.py") == {"spans": [TOOL], "more": False}
    assert found(" ") == found("nowhere") == {"spans": [], "more": False}


def test_search_that_finds_too_much_says_so(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_tabs, "HIT_LIMIT", 1)
    trace_id = _failed_run(store)

    found = client.get(f"/traces/{trace_id}/search", {"q": "answer"}).json()

    assert (len(found["spans"]), found["more"]) == (1, True)


def test_logs_of_the_trace_come_in_pages_with_links_to_their_steps(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_tabs, "LOG_LIMIT", 2)
    trace_id = _failed_run(store)
    now_ns = time.time_ns() - 60 * 10**9
    insert_logs(store, *({"trace_id": trace_id, "span_id": TOOL, "time_ns": now_ns + n, "body": f"line {n}"} for n in range(3)))

    first = _text(client.get(f"/traces/{trace_id}/logs"))
    cursor = re.search(r"cursor=([^\"]+)", first)
    assert cursor
    second = _text(client.get(f"/traces/{trace_id}/logs?cursor={cursor[1]}"))

    assert ("line 1" in first, "line 2" in first, "line 2" in second) == (True, False, True)
    assert first.count(f'data-span-id="{TOOL}"') == 2
    assert "cursor=" not in second
    assert client.get(f"/traces/{trace_id}/logs?cursor=nonsense").status_code == 400


def _review(trace_id: str, **said: Any) -> dict[str, Any]:
    attributes = {f"gen_ai.evaluation.{name}": value for name, value in ({"name": "review"} | said).items()}
    return {"trace_id": trace_id, "time_ns": time.time_ns(), "event_name": "gen_ai.evaluation.result", "attributes": attributes}


def test_reviews_stand_in_the_head_and_not_among_the_log_records(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)
    good = _review(trace_id, **{"score.value": 1.0, "score.label": "true"}, explanation="as it should <b>be</b>")
    note = _review(trace_id, **{"score.label": "note"}, explanation="ask OPS-412") | {"span_id": TOOL}
    insert_logs(store, good, note)

    page = client.get(f"/traces/{trace_id}").content.decode()

    reviews = page[page.index('id="reviews"') :]
    reviews = reviews[: reviews.index("</ul>")]
    assert (
        reviews.index("Good")
        < reviews.index("as it should &lt;b&gt;be&lt;/b&gt;")
        < reviews.index("Note")
        < reviews.index("ask OPS-412")
    )
    assert reviews.count(f'data-span-id="{TOOL}"') == 1
    assert reviews.count("Withdraw") == 2  # nobody signed them
    assert "of no step" not in page


def test_who_may_change_nothing_is_offered_no_review(client: Client, store: Store, settings: Any) -> None:
    trace_id = _failed_run(store)
    insert_logs(store, _review(trace_id, **{"score.label": "note"}, explanation="ask OPS-412"))

    assert 'id="review-menu"' in _text(client.get(f"/traces/{trace_id}"))
    settings.KEY_REQUIRED = True
    page = _text(client.get(f"/traces/{trace_id}"))

    assert "ask OPS-412" in page
    assert 'id="review-menu"' not in page
    assert "Withdraw" not in page


def test_trace_without_logs_says_how_to_send_them(client: Client, store: Store) -> None:
    trace_id = _failed_run(store)

    assert "No log records" in _text(client.get(f"/traces/{trace_id}/logs"))


def _raw(client: Client, trace_id: str, **params: str) -> tuple[str, str, str]:
    """The text of the tab Raw: before the selected step, its own, and after it."""
    text = _text(client.get(f"/traces/{trace_id}/raw", params))
    found = re.search(r'<pre>(.*?)(?:<mark class="raw__step" id="raw-step">(.*?)</mark>(.*?))?</pre>', text, re.DOTALL)
    assert found
    before, own, after = (part or "" for part in found.groups())
    return before, own, after


@pytest.mark.parametrize("form", ["otlp", "rows"])
def test_raw_tab_marks_the_selected_step(client: Client, store: Store, form: str) -> None:
    trace_id = _failed_run(store)

    before, own, after = _raw(client, trace_id, format=form, span=TOOL)

    step = json.loads(own.rstrip().removesuffix(","))
    assert (step["spanId"] if form == "otlp" else step["summary"]["span_id"]) == TOOL
    assert json.loads(before + own + after)
    assert _raw(client, trace_id, format=form, span="f" * 16) == (before + own + after, "", "")


def test_raw_tab_begins_near_a_step_that_is_far_down(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_tabs, "_EXCERPT_SPANS", 5)
    now_ns = time.time_ns()
    trace_id = _store_trace(store, *({"span_id": f"{n:016x}", "start_ns": now_ns - 10**10 + n} for n in range(1, 31)))

    before, own, after = _raw(client, trace_id, span=f"{20:016x}")

    shown = json.loads(before + own + after)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [int(span["spanId"], 16) for span in shown] == [17, 18, 19, 20, 21]
    assert "Steps 17 to 21 of 30" in _text(client.get(f"/traces/{trace_id}/raw", {"span": f"{20:016x}"}))
    assert "Steps 26 to 30 of 30" in _text(client.get(f"/traces/{trace_id}/raw", {"span": f"{30:016x}"}))
    # What comes before is left out where it would hide the step that was asked for.
    monkeypatch.setattr(trace_tabs, "_EXCERPT_CHARS", 1500)
    before, own, after = _raw(client, trace_id, span=f"{20:016x}")
    assert f'"spanId": "{20:016x}"' in own
    assert "spanId" not in before


def test_raw_tab_shows_the_beginning_and_links_to_all(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_tabs, "_EXCERPT_SPANS", 1)
    trace_id = _failed_run(store)

    otlp, rows = (_text(client.get(f"/traces/{trace_id}/raw", {"format": form})) for form in ("otlp", "rows"))

    assert '"resourceSpans"' in otlp
    assert '"request_model"' in rows
    assert "Step 1 of 2, by their start" in otlp
    assert f'href="/traces/{trace_id}/download?format=rows"' in rows
    assert client.get(f"/traces/{trace_id}/raw", {"format": "yaml"}).status_code == 404


@pytest.mark.parametrize("path", ["tree", "search?q=a", "raw", "download", "logs"])
def test_parts_of_an_unknown_trace_are_not_found(client: Client, store: Store, path: str) -> None:
    assert client.get(f"/traces/{'0' * 32}/{path}").status_code == 404


_PRICED_CALL = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0,
}  # fmt: skip  # $2.50


def test_cost_that_the_sender_counts_otherwise_is_marked(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": CHAT, "name": "chat", "attributes": _PRICED_CALL | {"gen_ai.usage.cost": 3.0}})

    page = unescape(client.get(f"/traces/{trace_id}").content.decode())
    api = client.get(f"/api/v1/traces/{trace_id}").json()

    assert 'id="cost-mark"' in page
    assert page.count("+$0.500 (+20%)") >= 3  # trace, facts of the step, its table
    assert (api["cost_difference_usd"], api["compared_cost_usd"]) == (0.5, 2.5)
    assert api["models"][0]["cost_difference_usd"] == api["spans"][0]["cost_difference_usd"] == 0.5
    assert client.get("/api/v1/traces", {"q": "cost_difference:>0.4"}).json()["results"]
    assert not client.get("/api/v1/traces", {"q": "cost_difference:>0.6"}).json()["results"]


def test_cost_that_the_sender_counts_as_we_do_is_not_marked(client: Client, store: Store) -> None:
    trace_id = _store_trace(store, {"span_id": CHAT, "name": "chat", "attributes": _PRICED_CALL | {"gen_ai.usage.cost": 2.5}})

    page = unescape(client.get(f"/traces/{trace_id}").content.decode())

    assert 'id="cost-mark"' not in page
    assert "the same" in page


def test_audio_and_tokens_cached_for_an_hour_are_shown_where_there_are_any(client: Client, store: Store) -> None:
    more = {
        "gen_ai.usage.audio.input_tokens": 1200, "gen_ai.usage.audio.output_tokens": 0,
        "gen_ai.usage.cache_write.input_tokens": 500, "gen_ai.usage.cache_creation.input_tokens.ephemeral_1h": 400,
    }  # fmt: skip
    plain, rich = (
        _store_trace(store, {"span_id": CHAT, "name": "chat", "attributes": _PRICED_CALL | extra}) for extra in ({}, more)
    )

    page = unescape(client.get(f"/traces/{rich}").content.decode())
    api = client.get(f"/api/v1/traces/{rich}").json()

    assert "Audio tokens" in page
    assert "1,200 audio" in page
    assert "(400 for an hour)" in page
    assert (api["input_audio_tokens"], api["cache_creation_1h_input_tokens"]) == (1200, 400)
    assert "Audio tokens" not in client.get(f"/traces/{plain}").content.decode()


def test_audio_alone_stands_without_a_separator(client: Client, store: Store) -> None:
    attributes = _PRICED_CALL | {"gen_ai.usage.audio.input_tokens": 300}
    trace_id = _store_trace(store, {"span_id": CHAT, "name": "chat", "attributes": attributes})

    page = client.get(f"/traces/{trace_id}").content.decode()

    assert '<td class="muted">300 audio</td>' in page


def test_time_to_first_token_is_shown_and_can_be_asked_for(client: Client, store: Store) -> None:
    trace_id = _store_trace(
        store, {"span_id": CHAT, "name": "chat", "attributes": _PRICED_CALL | {"gen_ai.response.time_to_first_chunk": 2.5}}
    )

    page = unescape(client.get(f"/traces/{trace_id}").content.decode())

    assert "First token</dt><dd>2.5\u00a0s" in page
    assert client.get(f"/api/v1/traces/{trace_id}").json()["spans"][0]["time_to_first_token_ns"] == 2_500_000_000
    for path in ("traces", "spans"):
        found = {q: len(client.get(f"/api/v1/{path}", {"q": q}).json()["results"]) for q in ("ttft:>2s", "ttft:>3s", "ttft:<1h")}
        assert found == {"ttft:>2s": 1, "ttft:>3s": 0, "ttft:<1h": 1}
