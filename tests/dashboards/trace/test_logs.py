"""Log records on the trace page, through the real tables: what joins a step, what a step takes from them, hostile text."""

from __future__ import annotations

import itertools
import re
import time
from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboards.views import span as span_views
from tests.factories import new_trace_id
from tests.logs import insert_logs
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending

pytestmark = pytest.mark.usefixtures("default_project")

ROOT, CHAT, TOOL = "1" * 16, "2" * 16, "3" * 16
PANEL = {"HX-Request": "true"}
_batches = itertools.count(1)
CHAT_SPAN = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.response.id": "resp-1"}
TOOL_SPAN = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "gen_ai.tool.call.id": "call-7"}


class Run:
    """A stored run of three steps, to which records are added."""

    def __init__(self, store: Store, client: Client, chat: dict[str, Any] | None = None, scope: str = "tests") -> None:
        self.store, self.client = store, client
        self.trace_id, self.start_ns = new_trace_id(), time.time_ns() - 60 * 10**9
        spans: tuple[dict[str, Any], ...] = (
            {"span_id": ROOT, "name": "invoke_agent triage", "attributes": {"session.id": f"s-{self.trace_id}"}},
            {"span_id": CHAT, "parent": ROOT, "name": "chat gpt-5", "attributes": CHAT_SPAN | (chat or {})},
            {"span_id": TOOL, "parent": ROOT, "name": "execute_tool refund", "error": "no answer", "attributes": TOOL_SPAN},
        )
        steps = ({"trace_id": self.trace_id, "start_ns": self.start_ns} | span for span in spans)
        request = build_request(*steps, scope=scope)
        insert_batch(store, [(1, time.time_ns(), request)], writer="trace-logs", batch_seq=next(_batches))
        summarize_pending()

    def log(self, **record: Any) -> None:
        insert_logs(self.store, {"trace_id": self.trace_id, "time_ns": self.start_ns + 5} | record)

    def page(self) -> str:
        response = self.client.get(f"/traces/{self.trace_id}")
        assert response.status_code == 200
        return response.content.decode()

    def panel(self, span_id: str) -> str:
        response = self.client.get(f"/traces/{self.trace_id}/spans/{span_id}", headers=PANEL)
        assert response.status_code == 200
        return response.content.decode()


@pytest.fixture
def run(store: Store, client: Client) -> Run:
    return Run(store, client)


def section(html: str, mark: str) -> str:
    """Return the readable text of the section with this attribute, "" when there is none."""
    match = re.search(rf"<section[^>]*{mark}.*?</section>", html, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", match[0].replace("<wbr>", ""))).split()) if match else ""


def test_step_lists_its_own_records_and_no_others(run: Run) -> None:
    run.log(span_id=CHAT, body="cache was cold", severity=13)
    run.log(span_id=ROOT, body="of the root")

    html = run.panel(CHAT)

    assert 'Logs <span class="muted">1</span>' in html
    assert "cache was cold" in html
    assert "log--warn" in html
    assert "of the root" not in html
    assert f'href="/logs?q=trace%3A{run.trace_id}' in html


def test_record_of_no_step_stands_with_the_trace(run: Run) -> None:
    run.log(body="settings resolved")
    run.log(span_id="f" * 16, body="its span never came")
    run.log(trace_id="", body="of the session", attributes={"session.id": f"s-{run.trace_id}"})
    run.log(span_id=CHAT, body="of a step")

    html = run.page()
    above = html[html.index('id="trace-logs"') : html.index('id="panes"')]

    assert "3 log records of no step" in above
    assert "settings resolved" in above
    assert "its span never came" in above
    assert "joined by its session and time" in above
    assert "of a step" not in above


def test_records_that_are_scores_are_named_so(run: Run) -> None:
    told = {"gen_ai.evaluation.name": "faithfulness", "gen_ai.evaluation.score.value": 0.75}
    run.log(event_name="gen_ai.evaluation.result", attributes=told)

    alone = run.page()
    run.log(body="settings resolved")
    mixed = run.page()

    assert "1 score of the run" in alone
    assert 'href="/traces?q=has%3Ascore.faithfulness"' in alone
    assert "of no step" not in alone
    assert "2 log records of no step" in mixed


def test_trace_without_such_records_has_no_section(run: Run) -> None:
    run.log(span_id=CHAT, body="of a step")

    assert 'id="trace-logs"' not in run.page()


@pytest.mark.parametrize(
    "records",
    [
        [
            {"event_name": "gen_ai.system.message", "body": {"content": "Be kind."}},
            {"event_name": "gen_ai.user.message", "body": {"content": "Where is my order?"}},
            {"event_name": "gen_ai.choice", "body": {"index": 0, "message": {"role": "assistant", "content": "On its way."}}},
        ],
        [
            {
                "event_name": "gen_ai.client.inference.operation.details",
                "attributes": {
                    "gen_ai.system_instructions": [{"type": "text", "content": "Be kind."}],
                    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Where is my order?"}]}],
                    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "On its way."}]}],
                },
            }
        ],
        [
            {"event_name": "", "attributes": {"event.name": "gen_ai.user.message"}, "body": {"content": "Where is my order?"}},
            {"event_name": "gen_ai.assistant.message", "body": {"content": "Be kind."}},
            {"event_name": "gen_ai.choice", "body": '{"message": {"content": "On its way."}, "finish_reason": "stop"}'},
        ],
    ],
    ids=["messages", "details", "older"],
)
def test_messages_of_logs_are_the_input_and_output_of_a_step_without_any(run: Run, records: list[dict[str, Any]]) -> None:
    for number, record in enumerate(records):
        run.log(span_id=CHAT, **record | {"time_ns": run.start_ns + number})

    html = run.panel(CHAT)

    assert "Where is my order?" in section(html, 'data-io="input"')
    assert "On its way." in section(html, 'data-io="output"')
    assert ", logged" in section(html, 'data-io="input"')
    assert "Be kind." in html


def test_what_the_span_says_wins_over_its_logs(store: Store, client: Client) -> None:
    run = Run(store, client, chat={"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "mine"}]}]'})
    run.log(span_id=CHAT, event_name="gen_ai.user.message", body={"content": "of the log"})

    shown = section(run.panel(CHAT), 'data-io="input"')

    assert "mine" in shown
    assert "of the log" not in shown


@pytest.mark.parametrize(
    ("agent", "call"),
    [
        ("claude_code", {"tool_use_id": "call-7", "tool_input": '{"order": "A-1099"}'}),
        ("codex", {"call_id": "call-7", "arguments": '{"order": "A-1099"}', "output": "A-1099 refunded"}),
    ],
)
def test_coding_agents_log_of_a_tool_call_joins_the_call(run: Run, agent: str, call: dict[str, str]) -> None:
    run.log(span_id=ROOT, event_name=f"{agent}.user_prompt", attributes={"prompt": "refund it"})
    run.log(span_id=ROOT, event_name=f"{agent}.tool_result", attributes=call)

    tool, root = run.panel(TOOL), run.panel(ROOT)

    assert "A-1099" in section(tool, 'data-io="arguments"')
    assert ("A-1099 refunded" in section(tool, 'data-io="result"')) is (agent == "codex")
    assert "joined by the tool call it names" in tool
    assert "refund it" in section(root, 'data-io="input"')
    assert "joined by the tool call it names" not in root


def test_answers_of_claude_code_are_the_output_of_the_interaction(run: Run) -> None:
    for number, answer in enumerate(("First I look.", "<REDACTED>", "It has shipped.")):
        run.log(
            span_id=ROOT,
            time_ns=run.start_ns + number,
            event_name="claude_code.assistant_response",
            attributes={"response": answer},
        )

    shown = section(run.panel(ROOT), 'data-io="output"')

    assert "First I look." in shown
    assert "It has shipped." in shown
    assert "REDACTED" not in shown


def test_failed_step_takes_its_stack_trace_from_the_log(run: Run) -> None:
    stack = "Traceback (most recent call last):\n" + "".join(f'  File "pay.py", line {line}\n' for line in range(2000))
    attributes = {"exception.type": "Timeout", "exception.message": "no answer", "exception.stacktrace": stack}
    run.log(span_id=TOOL, event_name="exception", attributes=attributes)

    html = run.panel(TOOL)
    link = re.search(r'href="(/traces/[^"]+/spans/[^"]+log%3A[^"]+)"', html)
    assert link is not None
    whole = run.client.get(unescape(link[1]))

    assert "File &quot;pay.py&quot;, line 3" in html
    assert "fail--logged" not in html  # the same exception is not shown twice
    assert whole.content.decode() == stack


def test_exception_of_a_step_that_did_not_fail_is_shown_as_logged(run: Run) -> None:
    attributes = {"exception.type": "RateLimitError", "exception.message": "slow down", "exception.stacktrace": "File a.py"}
    run.log(span_id=CHAT, event_name="gen_ai.client.operation.exception", attributes=attributes)

    html = run.panel(CHAT)
    fail = section(html, 'class="fail fail--logged"')

    assert "RateLimitError" in fail
    assert "slow down" in fail
    assert "File a.py" in fail


def test_evaluations_are_shown_as_scores_of_the_step_and_of_the_trace(run: Run) -> None:
    score = {
        "gen_ai.evaluation.name": "Helpfulness",
        "gen_ai.evaluation.score.value": 0.42,
        "gen_ai.evaluation.score.label": "poor",
        "gen_ai.evaluation.explanation": "It promises too much.",
    }
    late_ns = time.time_ns() + 10**9
    run.log(
        trace_id="", time_ns=late_ns, event_name="gen_ai.evaluation.result", attributes=score | {"gen_ai.response.id": "resp-1"}
    )
    run.log(
        event_name="gen_ai.evaluation.result", attributes={"gen_ai.evaluation.name": "Task", "gen_ai.evaluation.score.value": 1}
    )

    of_step = section(run.panel(CHAT), 'data-io="scores"')
    of_trace = section(run.page(), 'data-io="scores"')

    assert of_step == "Evaluations 1 Helpfulness poor 0.42 It promises too much."
    assert of_trace == "Evaluations 1 Task 1"


def test_annotations_in_attributes_are_scores(client: Client, store: Store) -> None:
    run = Run(
        store,
        client,
        {
            "annotations.10.annotation.name": "Tone", "annotations.10.annotation.label": "rude",
            "annotations.9.annotation.name": "Correct", "annotations.9.annotation.score": 0.75,
            "annotations.9.annotation.explanation": "One figure is wrong.", "annotations.9.annotation.annotator_kind": "HUMAN",
            "annotations.9.annotation.identifier": "ada",
            "trace.evaluations.0.evaluation.name": "Resolved", "trace.evaluations.0.evaluation.score": 1,
            "annotations.x.annotation.name": "no number", f"annotations.{'9' * 5000}.annotation.name": "too long a number",
        },
    )  # fmt: skip

    scores = section(run.panel(CHAT), 'data-io="scores"')

    assert scores == ("Evaluations 3 Correct HUMAN ada 0.75 One figure is wrong. Tone rude Resolved of the trace 1")


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (4, "4"), ("too long", "too long"), (True, "true")])
def test_feedback_span_of_logfire_is_a_score(client: Client, store: Store, value: Any, shown: str) -> None:
    feedback = {"logfire.feedback.name": "helpful", "helpful": value, "logfire.feedback.comment": "Thanks for the link."}

    of_feedback = section(Run(store, client, feedback, scope="logfire.feedback").panel(CHAT), 'data-io="scores"')
    of_other = Run(store, client, feedback).panel(CHAT)

    assert of_feedback == f"Evaluations 1 helpful feedback {shown} Thanks for the link."
    assert 'data-io="scores"' not in of_other


def test_records_change_no_number_of_the_trace(run: Run) -> None:
    def numbers() -> dict[str, Any]:
        trace = run.client.get(f"/api/v1/traces/{run.trace_id}").json()
        return {key: value for key, value in trace.items() if key != "spans"}

    before = numbers()
    usage = {"input_tokens": 500, "output_tokens": 20, "gen_ai.usage.input_tokens": 500, "cost_usd": 0.5, "error.type": "X"}
    for event in ("claude_code.api_request", "gen_ai.client.inference.operation.details", "exception"):
        run.log(span_id=ROOT, event_name=event, severity=21, attributes=usage | {"success": "false"})
    summarize_pending()

    assert numbers() == before


def test_hostile_text_is_shown_and_never_run(run: Run) -> None:
    nasty = "</details><script>alert(1)</script>\u202e\0"
    run.log(span_id=CHAT, event_name=nasty, body=nasty, attributes={nasty: nasty, "exception.type": nasty})
    run.log(span_id=CHAT, event_name="gen_ai.evaluation.result", body=[nasty], attributes={"gen_ai.evaluation.name": [nasty]})
    run.log(span_id=CHAT, event_name="gen_ai.evaluation.result", attributes={"gen_ai.evaluation.score.value": float("nan")})
    run.log(event_name=nasty, body={nasty: {"message": [nasty]}})
    run.log(span_id=CHAT, event_name="gen_ai.choice", body={"message": [[1]], "finish_reason": {"a": 1}})

    for html in (run.page(), run.panel(CHAT)):
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\u2400" in html
        assert "\u202e" not in html


def test_text_of_a_record_is_served_whole_by_its_reference(run: Run) -> None:
    run.log(body="x" * 50_000, attributes={"Big": {"k": "y" * 50_000}})

    html = run.page()
    links = {unescape(link) for link in re.findall(r'href="(/traces/[^"]+/logs/[^"]+/text[^"]+)"', html)}
    texts = sorted((run.client.get(link) for link in links), key=lambda response: response.content)

    assert [(text.status_code, text["Content-Type"]) for text in texts] == [(200, "text/plain; charset=utf-8")] * 2
    assert texts[0].content == b"x" * 50_000 or texts[1].content == b"x" * 50_000
    for path in ("f" * 16 + "/text?ref=body", "nonsense/text?ref=body"):
        assert run.client.get(f"/traces/{run.trace_id}/logs/{path}").status_code == 404


def test_record_that_the_address_names_is_open_wherever_it_stands(run: Run) -> None:
    records = [{"trace_id": run.trace_id, "span_id": CHAT, "time_ns": run.start_ns + number} for number in range(101)]
    insert_logs(run.store, *records, body="again")
    run.log(span_id=CHAT, time_ns=run.start_ns + 500, body="the last one")
    url = f"/traces/{run.trace_id}/logs"
    first = run.client.get(url, headers={"HX-Request": "true"}).content.decode()
    key = re.findall(r'data-record="([^"]+)"', first)[3]
    cursor = re.findall(r"cursor=([^\"]+)", first)[0]
    last = re.findall(r'data-record="([^"]+)"', run.client.get(f"{url}?cursor={cursor}").content.decode())[-1]

    named = run.client.get(url, {"record": key}).content.decode()
    late = run.client.get(url, {"record": last}).content.decode()
    unknown = run.client.get(url, {"record": "1-" + "f" * 16}).content.decode()

    assert re.findall(r'data-record="([^"]+)" open', named) == [key]
    assert "that the link names" not in named
    assert re.findall(r'data-record="([^"]+)" open', late) == [last]
    assert late.index("that the link names") < late.index("the last one")
    assert " open>" not in first + unknown


def test_many_records_are_cut_with_a_way_to_all(run: Run) -> None:
    records = [{"trace_id": run.trace_id, "span_id": CHAT, "time_ns": run.start_ns + number} for number in range(103)]
    insert_logs(run.store, *records, body="again")

    html = run.panel(CHAT)

    assert 'Logs <span class="muted">100+</span>' in html
    assert f"/api/v1/traces/{run.trace_id}/logs" in html


def test_page_is_shown_although_its_logs_cannot_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise StoreUnavailable("the logs are away")

    for name in ("locate_logs", "find_logs_of_step"):
        with monkeypatch.context() as patch:
            patch.setattr(span_views, name, fail)
            html = run.page()

        assert "the logs are away" in html
        assert "execute_tool refund" in html


def test_decisions_of_people_and_failed_requests_of_coding_agents_show_on_the_trace(client: Client, store: Store) -> None:
    run = Run(store, client)
    decision = {"event_name": "claude_code.tool_decision"}
    run.log(**decision, attributes={"decision": "reject", "source": "user_reject"})
    run.log(**decision, attributes={"decision": "accept", "source": "user_temporary"})
    run.log(**decision, attributes={"decision": "accept", "source": "config"})
    run.log(event_name="codex.tool_decision", attributes={"decision": "ApprovedForSession", "source": "User"})
    run.log(event_name="claude_code.api_error", attributes={"status_code": "529"})
    run.log(event_name="claude_code.api_error", attributes={"status_code": "529"})  # sent twice
    run.log(event_name="codex.api_request", attributes={"http.response.status_code": "429", "error.message": "http 429"})
    run.log(event_name="codex.api_request", attributes={"http.response.status_code": "200"})

    text = " ".join(re.sub(r"<[^>]+>", " ", run.page()).split())

    assert "Approvals 1 rejected , 2 accepted by a person, 1 automatic" in text
    assert "Failed requests 2" in text
    assert f"/logs?q=trace%3A{run.trace_id}+event%3A%2Atool_decision" in run.page()


def test_decisions_without_a_trace_id_belong_to_the_run_of_their_session(client: Client, store: Store) -> None:
    run = Run(store, client)
    attributes = {"session.id": f"s-{run.trace_id}", "decision": "reject", "source": "user_reject"}
    run.log(trace_id="", event_name="claude_code.tool_decision", attributes=attributes)

    assert 'id="decisions"' in run.page()


def test_requests_in_records_add_no_tokens_to_a_trace(client: Client, store: Store) -> None:
    run = Run(store, client)
    said = {"model": "claude-sonnet-4-5", "input_tokens": "500", "output_tokens": "50", "cost_usd": "0.01"}
    run.log(event_name="claude_code.api_request", attributes=said)
    summarize_pending()

    trace = client.get(f"/api/v1/traces/{run.trace_id}").json()

    assert (trace["input_tokens"], trace["supplied_cost_usd"]) == (0, None)
    assert 'id="decisions"' not in run.page()


def test_search_within_the_trace_finds_what_its_steps_logged(client: Client, store: Store) -> None:
    run = Run(store, client)
    run.log(span_id=TOOL, body="Gateway said TEAPOT")
    run.log(span_id=CHAT, body="fine", attributes={"hint": "short and stout"})
    run.log(body="a teapot of no step")

    def found(wanted: str) -> list[str]:
        spans: list[str] = client.get(f"/traces/{run.trace_id}/search", {"q": wanted}).json()["spans"]
        return spans

    assert found("teapot") == [TOOL]
    assert found("STOUT") == [CHAT]
    assert found("kettle") == []


def test_message_that_scrolls_can_be_reached_by_keyboard(client: Client, store: Store) -> None:
    run = Run(store, client)
    run.log(span_id=TOOL, event_name="exception", attributes={"exception.type": "Long", "exception.message": "no answer " * 90})
    run.log(span_id=CHAT, event_name="exception", attributes={"exception.type": "Short", "exception.message": "no answer"})

    assert 'class="fail__message" tabindex="0" role="region" aria-label="Error message"' in run.panel(TOOL)
    assert 'class="fail__message">' in run.panel(CHAT)
