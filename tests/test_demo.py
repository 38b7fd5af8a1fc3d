"""The invented week: what the generator promises, and that a running instance finds in it what the story says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from demo import story
from demo.__main__ import send_week
from demo.progress import Progress
from demo.send import Sender, SendError
from demo.spans import NS_PER_S
from demo.week import Turn, generate_week
from tests.live import ROOT, LiveServer, free_port, start_server

NOW_NS = 1_790_000_000 * NS_PER_S
TRACES = 400


def fixed_ids() -> Any:
    count = 0

    def new_id(size: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(size, "big")

    return new_id


@pytest.fixture(scope="module")
def week() -> list[Turn]:
    return list(generate_week(TRACES, seed=3, now_ns=NOW_NS))


def spans_of(turn: Turn) -> list[Span]:
    return [span for resource in turn.resource_spans for scope in resource.scope_spans for span in scope.spans]


def keys_of(span: Span) -> set[str]:
    return {attribute.key for attribute in span.attributes}


def refund_failure_rate(week: list[Turn], version: str) -> float:
    turns = [turn for turn in week if turn.version == version and "refund" in turn.tools]
    return sum(turn.failed for turn in turns) / max(len(turns), 1)


def test_as_many_traces_as_asked_for(week: list[Turn]) -> None:
    assert len(week) == TRACES
    assert len({turn.trace_id for turn in week}) == TRACES


def test_same_seed_and_moment_tell_the_same_story() -> None:
    first, second = (list(generate_week(20, seed=5, now_ns=NOW_NS, new_id=fixed_ids())) for _ in range(2))

    assert first == second


def test_ids_differ_between_runs() -> None:
    first, second = (list(generate_week(20, seed=5, now_ns=NOW_NS)) for _ in range(2))

    assert not {turn.trace_id for turn in first} & {turn.trace_id for turn in second}
    assert not {turn.session_id for turn in first} & {turn.session_id for turn in second}


def test_every_span_lies_within_the_week_that_ends_now(week: list[Turn]) -> None:
    for turn in week:
        for span in spans_of(turn):
            assert NOW_NS - 7 * story.DAY_S * NS_PER_S <= span.start_time_unix_nano <= span.end_time_unix_nano <= NOW_NS


def test_third_version_fails_at_refunds_far_more_often(week: list[Turn]) -> None:
    assert refund_failure_rate(week, "v3") > 0.2
    assert refund_failure_rate(week, "v3") > 5 * max(refund_failure_rate(week, "v1"), refund_failure_rate(week, "v2"))


def test_versions_follow_each_other(week: list[Turn]) -> None:
    production = [turn for turn in sorted(week, key=lambda turn: turn.start_ns) if turn.environment == "prod"]

    assert [production[0].version, production[-1].version] == ["v1", "v3"]
    assert {turn.version for turn in week} == {"v1", "v2", "v3"}


def test_week_shows_every_feature_that_it_is_there_to_show(week: list[Turn]) -> None:
    spans = [span for turn in week for span in spans_of(turn)]
    keys = set().union(*(keys_of(span) for span in spans))

    assert {
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.reasoning.output_tokens", "gen_ai.response.time_to_first_chunk",
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions", "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result", "gen_ai.prompt.version", "gen_ai.conversation.id", "user.id", "gen_ai.retrieval.documents",
    } <= keys  # fmt: skip
    assert set(story.TOOLS) == {tool for turn in week for tool in turn.tools}
    assert {turn.environment for turn in week} == {"prod", "staging"}
    assert any(len(turn.resource_spans) == 2 for turn in week)
    assert any(all(span.parent_span_id for span in spans_of(turn)) for turn in week), "no interrupted run"
    assert any(not turn.failed and any(span.status.code == 2 for span in spans_of(turn)) for turn in week), "no recovered run"
    assert len({turn.session_id for turn in week}) < TRACES


def test_messages_are_json_of_the_current_conventions(week: list[Turn]) -> None:
    for turn in week[:50]:
        for span in spans_of(turn):
            for attribute in span.attributes:
                if attribute.key in ("gen_ai.input.messages", "gen_ai.output.messages"):
                    for message in json.loads(attribute.value.string_value):
                        assert message["role"] in ("user", "assistant", "tool")
                        assert all(part["type"] in ("text", "tool_call", "tool_call_response") for part in message["parts"])


def test_exceptions_carry_type_message_and_stack(week: list[Turn]) -> None:
    events = [event for turn in week for span in spans_of(turn) for event in span.events]

    assert events
    for event in events:
        values = {attribute.key: attribute.value.string_value for attribute in event.attributes}
        assert event.name == "exception"
        assert values["exception.type"]
        assert "Traceback" in values["exception.stacktrace"]


def test_progress_is_plain_lines_when_output_is_no_terminal() -> None:
    output = io.StringIO()
    progress = Progress(200, "traces", output)

    for done in range(0, 201, 50):
        progress.show(done)
    progress.finish()

    assert (
        output.getvalue() == " 25%  50 of 200 traces\n 50%  100 of 200 traces\n 75%  150 of 200 traces\n100%  200 of 200 traces\n"
    )


class _Receiver(BaseHTTPRequestHandler):
    """Answers what `answers` lists, one after the other."""

    answers: list[tuple[int, dict[str, str]]] = []
    keys: list[str | None] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.keys.append(self.headers["x-api-key"])
        status, headers = self.answers.pop(0)
        self.send_response(status)
        for name, value in {"content-length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep test output clean."""


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    _Receiver.answers, _Receiver.keys = [], []
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_sender_waits_when_the_receiver_is_busy(receiver: HTTPServer) -> None:
    _Receiver.answers = [(503, {"retry-after": "1"}), (200, {})]
    started = time.monotonic()

    with Sender("127.0.0.1", receiver.server_port, "k-1") as sender:
        sender.send([])

    assert time.monotonic() - started >= 1
    assert _Receiver.keys == ["k-1", "k-1"]


def test_refused_key_is_explained(receiver: HTTPServer) -> None:
    _Receiver.answers = [(401, {})]

    with Sender("127.0.0.1", receiver.server_port, "") as sender, pytest.raises(SendError, match="set TRACESTORE_API_KEY"):
        sender.send([])


def run_demo(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command for one trace with this environment alone."""
    return subprocess.run(
        [sys.executable, "-m", "demo", "--traces", "1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_command_sends_to_an_instance_that_was_started_with_a_password(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", TRACESTORE_ADMIN_PASSWORD="pässword")
    environment = {
        "PATH": "/usr/bin:/bin",
        "TRACESTORE_OTLP_HTTP_PORT": server.otlp_url.rpartition(":")[2],
        "TRACESTORE_ADMIN_PASSWORD": "pässword",
        "TRACESTORE_DATA": str(server.data),
    }

    try:
        done = run_demo(environment)
    finally:
        server.stop()

    assert (done.returncode, done.stderr) == (0, "")


def test_command_says_so_when_nothing_listens() -> None:
    environment = {"PATH": "/usr/bin:/bin", "TRACESTORE_OTLP_HTTP_PORT": str(free_port())}

    done = run_demo(environment)

    assert done.returncode == 1
    assert done.stderr.startswith("demo: Nothing listens at http://127.0.0.1:")
    assert "make up" in done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("demo"))
    yield server
    server.stop()


def find_span_counts(server: LiveServer, query: str) -> dict[str, int]:
    """Return how many spans each trace that matches has, by trace id; the week began a while ago by now."""
    url = f"{server.url}/api/v1/traces?{urlencode({'q': query, 'start': 'now-8d', 'limit': 100})}"
    found: dict[str, int] = {}
    while url:
        with urllib.request.urlopen(url, timeout=90) as answer:
            page = json.load(answer)
        found |= {trace["trace_id"]: trace["span_count"] for trace in page["results"]}
        url = page["next"]
    return found


def find_trace_ids(server: LiveServer, query: str) -> set[str]:
    return set(find_span_counts(server, query))


def wait_for(server: LiveServer, *, traces: int = 0, spans: int = 0) -> None:
    """Wait until the list shows that much: a trace shows as soon as its first batch is in, and is judged again with the next."""
    deadline = time.monotonic() + 150
    while len(found := find_span_counts(server, "")) < traces or sum(found.values()) < spans:
        assert time.monotonic() < deadline, "the traces did not arrive"
        time.sleep(0.3)


def test_instance_finds_exactly_the_traces_the_story_is_about(server: LiveServer) -> None:
    host, port = server.otlp_url.removeprefix("http://").split(":")
    turns = list(generate_week(250, seed=7, now_ns=time.time_ns()))

    with Sender(host, int(port), "") as sender:
        for turn in turns:
            sender.send(turn.resource_spans)
    wait_for(server, traces=len(turns), spans=sum(turn.span_count for turn in turns))

    failing_refunds = {turn.trace_id for turn in turns if turn.failed and turn.version == "v3" and "refund" in turn.tools}
    assert failing_refunds
    assert find_trace_ids(server, "status:error version:v3 tool:refund") == failing_refunds
    assert find_trace_ids(server, "status:error") == {turn.trace_id for turn in turns if turn.failed}
    assert find_trace_ids(server, "escalated:true") == {turn.trace_id for turn in turns if "escalate_to_human" in turn.tools}


def test_week_can_be_sent_twice(server: LiveServer) -> None:
    host, port = server.otlp_url.removeprefix("http://").split(":")
    before = len(find_trace_ids(server, ""))

    for _ in range(2):
        with Sender(host, int(port), "") as sender:
            send_week(sender, trace_count=15, seed=1, now_ns=time.time_ns(), output=io.StringIO())

    wait_for(server, traces=before + 30)
