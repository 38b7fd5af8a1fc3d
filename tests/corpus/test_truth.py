"""Every recorded framework, replayed over HTTP into a running instance, against what really happened."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.corpus.recordings import END, START, Recording, recordings, replay
from tests.live import LiveServer, start_server

RECORDINGS = recordings()
SUMMARY_TIMEOUT_S = 90

# What a source's spans do not say, so that no reading of them can agree with the truth. Everything not listed must be equal.
NOT_IN_THE_SPANS: dict[str, dict[str, str]] = {
    "agno-openinference-clean": {"tokens": "one streamed call has no usage on any span", "models": "the same call"},
    "claude-agent-sdk": {
        "failed": "one of seven failed runs (an endless loop cut off) has no error on any span",
        "sessions": "the SDK sends its own session UUIDs",
        "users": "the SDK sends a hash of the user",
    },
    "edge-crash": {"sessions": "only the root spans carry them and three roots were lost", "users": "as sessions"},
    "langfuse": {},
    "litellm-otel": {
        "failed": "runs are split over several traces; the trace that failed is one of them",
        "escalated": "as failed",
        "sessions": "some traces of split runs carry none",
    },
    "logfire": {
        "tokens": "one streamed call has no usage on any span",
        "models": "the same call",
        "sessions": "scrubbed by the SDK",
    },
    "mastra": {"calls": "failed model calls are not marked as failed"},
    "mlflow": {"sessions": "not sent", "users": "not sent"},
    "openai-agents-openinference": {
        "tokens": "one streamed call has no usage on any span",
        "models": "the same call; chat completions carry no cached tokens",
    },
    "openlit": {"tokens": "one streamed call has no usage on any span", "models": "the same call"},
    "otel-openai-v2-latest": {"failed": "embeddings of failed runs are traces of their own", "cached": "not sent"},
    "otel-openai-v2-stable-grpc": {"failed": "embeddings of failed runs are traces of their own", "cached": "not sent"},
    "semantic-kernel": {"sessions": "not sent", "users": "not sent", "cached": "not sent"},
    "smolagents-openinference": {"tokens": "one call has no usage on any span", "models": "the same call", "cached": "not sent"},
    "strands": {"versions": "the SDK overwrites service.version with its own"},
    "traceloop-langgraph": {"versions": "creating an agent makes traces outside any run"},
}


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def _all_traces(base: str) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    url: str | None = f"{base}/api/v1/traces?start={START}&end={END}&limit=1000"
    while url:
        page = _get(url)
        traces += page["results"]
        url = page["next"]
    return traces


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, dict[str, list[dict[str, Any]]]]]:
    """A running instance that holds all recordings, and its traces by source."""
    server = start_server(tmp_path_factory.mktemp("corpus"))
    for recording in RECORDINGS:
        assert set(replay(recording, server.otlp_url)) == {200}, recording.name
    expected_spans = sum(recording.truth["distinct_spans"] for recording in RECORDINGS)
    deadline = time.monotonic() + SUMMARY_TIMEOUT_S
    traces: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        traces = _all_traces(server.url)
        if sum(trace["span_count"] for trace in traces) >= expected_spans:
            break
        time.sleep(0.5)
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    owner = {trace_id: recording.name for recording in RECORDINGS for trace_id in _trace_ids(recording)}
    for trace in traces:
        by_source[owner[trace["trace_id"]]].append(trace)
    yield server, by_source
    server.stop()


def _trace_ids(recording: Recording) -> set[str]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = set()
    for body in recording.trace_requests():
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                found |= {span.trace_id.hex() for span in scope_spans.spans}
    for case in recording.cases:
        found |= set(case["trace_ids"])
    return found


def _measure(traces: list[dict[str, Any]]) -> dict[str, Any]:
    tools: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    models: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for trace in traces:
        for tool in trace["tools"]:
            tools[tool["name"]][0] += tool["calls"]
            tools[tool["name"]][1] += tool["errors"]
        for model in trace["models"]:
            numbers = (
                model["calls"] - model["errors"],
                model["input_tokens"],
                model["output_tokens"],
                model["cached_input_tokens"],
            )
            models[model["model"]] = [a + b for a, b in zip(models[model["model"]], numbers, strict=True)]
    return {
        "traces": len(traces),
        "spans": sum(trace["span_count"] for trace in traces),
        "failed": sum(trace["outcome"] == "error" for trace in traces),
        "escalated": sum(trace["escalated"] for trace in traces),
        "tokens": (sum(trace["input_tokens"] for trace in traces), sum(trace["output_tokens"] for trace in traces)),
        "tools": dict(tools),
        "models": dict(models),
        "versions": Counter(version for trace in traces for version in trace["versions"]),
        "sessions": {trace["session_id"] for trace in traces if trace["session_id"]},
        "users": {trace["user_id"] for trace in traces if trace["user_id"]},
    }


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_numbers_agree_with_what_happened(recording: Recording, stored: Any) -> None:
    truth = recording.truth
    exempt = NOT_IN_THE_SPANS.get(recording.name, {})

    measured = _measure(stored[1][recording.name])

    disagreements = {}

    def compare(what: str, ours: Any, theirs: Any) -> None:
        if what not in exempt and ours != theirs:
            disagreements[what] = (ours, theirs)

    compare("traces", measured["traces"], truth["traces"])
    compare("spans", measured["spans"], truth["distinct_spans"])
    compare("failed", measured["failed"], truth["failed_distinct_trace_ids"])
    compare("escalated", measured["escalated"], truth["escalated_distinct_trace_ids"])
    compare("tokens", measured["tokens"], (truth["total_input_tokens"], truth["total_output_tokens"]))
    for name, tool in truth["tools"].items():
        compare(f"tool {name}", measured["tools"].get(name, [0, 0]), [tool["calls"], tool["errors"]])
    for name, model in truth["models"].items():
        ours = measured["models"].get(name, [0, 0, 0, 0])
        theirs = [model["calls"], model["input_tokens_total"], model["output_tokens"], model["cached_input_tokens"]]
        if "models" in exempt:
            continue
        if "cached" in exempt:
            ours, theirs = ours[:3], theirs[:3]
        if "calls" in exempt:
            ours, theirs = ours[1:], theirs[1:]
        compare(f"model {name}", ours, theirs)
    compare(
        "versions",
        {v: measured["versions"][v] for v in truth["versions"]},
        {v: n["traces"] for v, n in truth["versions"].items()},
    )
    compare("sessions", measured["sessions"] & set(truth["session_ids"]), set(truth["session_ids"]))
    compare("users", measured["users"], set(truth["user_ids"]))
    assert not disagreements, "\n".join(f"{what}: ours {ours}, truth {theirs}" for what, (ours, theirs) in disagreements.items())


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_a_run_is_called_failed_when_it_failed(recording: Recording, stored: Any) -> None:
    """Run by run, not in sums: of runs with a single trace of their own, at most the known few are judged wrongly."""
    outcome = {trace["trace_id"]: trace["outcome"] for trace in stored[1][recording.name]}
    single = [case for case in recording.cases if len(case["trace_ids"]) == 1]

    wrong = [case["case"] for case in single if (outcome[case["trace_ids"][0]] == "error") != case["failed"]]

    assert len(wrong) <= {"claude-agent-sdk": 1, "litellm-otel": 1}.get(recording.name, 0), wrong


def _records_by_trace(recording: Recording) -> Counter[str]:
    """Return how many log records name each trace, "" for none."""
    requests = map(ExportLogsServiceRequest.FromString, recording.log_requests())
    scopes = [scope for request in requests for resource in request.resource_logs for scope in resource.scope_logs]
    return Counter(record.trace_id.hex() for scope in scopes for record in scope.log_records)


# source -> records, and what of them a trace page shows as content that no span has
LOGGED = {
    "claude-agent-sdk": (536, "claude_code.assistant_response event, logged"),
    "mastra": (30, ""),
    "openlit": (127, ""),
    "otel-openai-v2-latest": (115, ""),
}


def test_every_recorded_log_stands_with_its_trace(stored: Any) -> None:
    """Their numbers are compared with the truth above: the records repeat tokens and costs of the same calls."""
    server, by_source = stored
    counts = {recording.name: _records_by_trace(recording) for recording in RECORDINGS}

    assert {name: count.total() for name, count in counts.items() if count} == {name: n for name, (n, _) in LOGGED.items()}
    for name, count in counts.items():
        for trace_id in [trace["trace_id"] for trace in by_source[name] if trace["trace_id"] in count]:
            records = _get(f"{server.url}/api/v1/traces/{trace_id}/logs?limit=1000")["results"]
            assert sum(record["joined_by"] == "trace_id" for record in records) == count[trace_id], (name, trace_id)
        named = set(count) - {""}
        assert named <= {trace["trace_id"] for trace in by_source[name]}


@pytest.mark.parametrize("name", LOGGED)
def test_recorded_logs_are_visible_on_the_trace_page(name: str, stored: Any) -> None:
    server, by_source = stored
    shown = 0
    recorded = _records_by_trace(next(recording for recording in RECORDINGS if recording.name == name))
    for trace in [trace for trace in by_source[name] if trace["trace_id"] in recorded][:12]:
        records = _get(f"{server.url}/api/v1/traces/{trace['trace_id']}/logs")["results"]
        for span_id in {record["span_id"] for record in records if record["span_id"]}:
            with urllib.request.urlopen(f"{server.url}/traces/{trace['trace_id']}?span={span_id}", timeout=60) as answer:
                page = answer.read().decode()
            logs = page[page.index('id="pane-logs"') :]
            assert all(record["event_name"] in logs for record in records if record["span_id"] == span_id)
            assert "No log record belongs to this step" not in logs
            shown += LOGGED[name][1] in page

    assert shown > 5


def test_every_call_has_a_price(stored: Any) -> None:
    unpriced = {model for traces in stored[1].values() for trace in traces for model in trace["unpriced_models"]}

    assert unpriced == set()
