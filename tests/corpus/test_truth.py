"""Every recorded framework, replayed over HTTP into a running instance, against what really happened."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter, defaultdict
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ingest.spool.checkpoint import is_drained
from tests.corpus.recordings import END, START, Recording, recordings
from tests.live import LiveServer, get_json

pytestmark = pytest.mark.timeout(900)  # the first waits until all recordings are stored

RECORDINGS = recordings()
SUMMARY_TIMEOUT_S = 300

# What was sent says otherwise or nothing, looked for in every body of every signal: (what we must count all the same, why).
# Everything not listed must be equal to the truth. A model's numbers are [answered calls, input, output, cached input].
_NO_CHOICES = "the answer without choices raised in the framework; its usage is on no span"
_NO_CACHED = "no span, log or metric has a cached count"
NOT_SENT: dict[str, dict[str, tuple[Any, str]]] = {
    "agno-openinference-clean": {
        "tokens": ((204959, 12077), _NO_CHOICES),
        "model gpt-5-mini": ([35, 5772, 4152, 208], _NO_CHOICES),
    },
    "claude-agent-sdk": {
        "failed runs": ({"loop-v2re0b4n9"}, "cut off at its turn limit, of which neither a span nor a log record speaks"),
        "sessions": (0, "the SDK sends session UUIDs of its own"),
        "users": ({"e2c721a1a736444bd692f05d7a7b3aa0574c60ffa60a47de8594fc3d82a87c6c"}, "the SDK sends a hash of the account"),
    },
    "edge-crash": {
        "sessions": (3, "only root spans carry them, and three roots were lost"),
        "users": ({"u-ana", "u-bo", "u-chen"}, "as sessions"),
    },
    "litellm-otel": {
        "failed runs": ({"emptychoice-v3re0fcn15"}, "the proxy's call succeeded; the caller that raised has no span"),
        "sessions": (16, "two sessions are in no body"),
    },
    "logfire": {
        "tokens": ((21832, 5058), _NO_CHOICES),
        "model gpt-5-mini": ([23, 3126, 2223, 752], _NO_CHOICES),
        "sessions": (0, "scrubbed by the SDK"),
    },
    "mastra": {
        "model gpt-4.1": ([48, 9716, 1943, 1456], "a call that the client aborted is a span with status OK and no word of it"),
    },
    "mlflow": {
        "sessions": (0, "only in metrics, which name no trace"),
        "users": (set(), "only in metrics, which name no trace"),
    },
    "openai-agents-openinference": {
        "tokens": ((23826, 8355), "the streamed answer that was cut off raised in the SDK; its usage is on no span"),
        "model gpt-4.1": ([38, 7147, 2446, 848], "the same call"),
        "model gpt-4o-mini": ([38, 4567, 1014, 0], "spans of chat completions carry no cached count"),
    },
    "openlit": {
        "tokens": ((21157, 5048), _NO_CHOICES),
        "model gpt-5-mini": ([23, 2898, 2218, 416], _NO_CHOICES),
    },
    "otel-openai-v2-latest": {
        "model gpt-4o-mini": ([38, 5193, 1168, 0], _NO_CACHED),
        "model gpt-4.1": ([34, 5182, 1100, 0], _NO_CACHED),
        "model gpt-5-mini": ([36, 10943, 3533, 0], _NO_CACHED),
    },
    "otel-openai-v2-stable-grpc": {
        "model gpt-4o-mini": ([38, 5181, 1175, 0], _NO_CACHED),
        "model gpt-4.1": ([34, 5170, 1114, 0], _NO_CACHED),
        "model gpt-5-mini": ([36, 10919, 3512, 0], _NO_CACHED),
    },
    "semantic-kernel": {
        "model gpt-4o-mini": ([44, 6037, 1355, 0], _NO_CACHED),
        "model gpt-4.1": ([48, 8185, 1471, 0], _NO_CACHED),
        "model gpt-5-mini": ([42, 6216, 4052, 0], _NO_CACHED),
        "sessions": (0, "in no body"),
        "users": (set(), "in no body"),
    },
    "smolagents-openinference": {
        "tokens": ((195841, 7842), _NO_CHOICES),
        "model gpt-4o-mini": ([44, 60131, 1891, 14608], "spans of streamed calls carry no cached count"),
        "model gpt-5-mini": ([42, 65027, 4407, 9680], f"{_NO_CHOICES}; spans of streamed calls carry no cached count"),
    },
    "strands": {"versions": ({"v1": 0, "v2": 0, "v3": 0}, "the SDK overwrites service.version; the bodies hold no other")},
}


def _all_traces(base: str) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    url: str | None = f"{base}/api/v1/traces?start={START}&end={END}&limit=1000"
    while url:
        page = get_json(url)
        traces += page["results"]
        url = page["next"]
    return traces


@pytest.fixture(scope="module")
def stored(recorded: LiveServer) -> tuple[LiveServer, dict[str, list[dict[str, Any]]]]:
    """A running instance that holds all recordings, and its traces by source."""
    expected_spans = sum(recording.truth["distinct_spans"] for recording in RECORDINGS)
    deadline = time.monotonic() + SUMMARY_TIMEOUT_S
    traces: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        traces = _all_traces(recorded.url)
        # Log records are stored after the spans that came with them.
        if sum(trace["span_count"] for trace in traces) >= expected_spans and is_drained(recorded.data / "spool"):
            break
        time.sleep(0.5)
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    owner = {trace_id: recording.name for recording in RECORDINGS for trace_id in _trace_ids(recording)}
    for trace in traces:
        by_source[owner[trace["trace_id"]]].append(trace)
    return recorded, by_source


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


def _measure(recording: Recording, traces: list[dict[str, Any]]) -> dict[str, Any]:
    """Return everything that the truth tells of a source, as Tracestore sees it."""
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
    truth, by_id = recording.truth, {trace["trace_id"]: trace for trace in traces}
    # Some frameworks make traces outside any run, when an agent is created.
    runs = {case["case"]: [by_id[trace_id] for trace_id in case["trace_ids"]] for case in recording.cases}
    of_runs = {trace["trace_id"]: trace for run in runs.values() for trace in run}
    versions = Counter(version for trace in of_runs.values() for version in trace["versions"])
    return {
        "traces": len(traces),
        "spans": sum(trace["span_count"] for trace in traces),
        # Of a run that its framework splits over several traces the last one tells: what failed before it was made up for.
        "failed runs": {name for name, run in runs.items() if run and _last(run)["outcome"] == "error"},
        "escalated runs": {name for name, run in runs.items() if any(trace["escalated"] for trace in run)},
        "tokens": (sum(trace["input_tokens"] for trace in traces), sum(trace["output_tokens"] for trace in traces)),
        "versions": {version: versions[version] for version in truth["versions"]},
        "sessions": len({trace["session_id"] for trace in traces} & set(truth["session_ids"])),
        "users": {trace["user_id"] for trace in traces if trace["user_id"]},
        **{f"tool {name}": tools[name] for name in truth["tools"]},
        **{f"model {name}": models[name] for name in truth["models"]},
    }


def _last(run: list[dict[str, Any]]) -> dict[str, Any]:
    return max(run, key=lambda trace: str(trace["start_time"]))


def _truth(recording: Recording) -> dict[str, Any]:
    """Return what really happened, under the names of `_measure`."""
    truth, with_traces = recording.truth, [case for case in recording.cases if case["trace_ids"]]
    return {
        "traces": truth["traces"],
        "spans": truth["distinct_spans"],
        "failed runs": {case["case"] for case in with_traces if case["failed"]},
        "escalated runs": {case["case"] for case in with_traces if case["escalated"]},
        "tokens": (truth["total_input_tokens"], truth["total_output_tokens"]),
        "versions": {version: numbers["traces"] for version, numbers in truth["versions"].items()},
        "sessions": len(truth["session_ids"]),
        "users": set(truth["user_ids"]),
        **{f"tool {name}": [tool["calls"], tool["errors"]] for name, tool in truth["tools"].items()},
        **{
            f"model {name}": [
                model["calls"], model["input_tokens_total"], model["output_tokens"], model["cached_input_tokens"]
            ]
            for name, model in truth["models"].items()
        },
    }  # fmt: skip


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_numbers_agree_with_what_happened(recording: Recording, stored: Any) -> None:
    measured, expected = _measure(recording, stored[1][recording.name]), _truth(recording)
    for what, (ours, reason) in NOT_SENT.get(recording.name, {}).items():
        assert ours != expected[what], f"{what} need not be excepted: {reason}"
        # Runs are listed where we miss them, so that all others are still compared one by one.
        expected[what] = expected[what] - ours if what == "failed runs" else ours

    disagreements = [
        f"{what}: ours {measured[what]}, truth {expected[what]}" for what in expected if measured[what] != expected[what]
    ]

    assert not disagreements, "\n".join(disagreements)


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
            records = get_json(f"{server.url}/api/v1/traces/{trace_id}/logs?limit=1000")["results"]
            assert sum(record["joined_by"] == "trace_id" for record in records) == count[trace_id], (name, trace_id)
        named = set(count) - {""}
        assert named <= {trace["trace_id"] for trace in by_source[name]}


@pytest.mark.parametrize("name", LOGGED)
def test_recorded_logs_are_visible_on_the_trace_page(name: str, stored: Any) -> None:
    server, by_source = stored
    shown = 0
    recorded = _records_by_trace(next(recording for recording in RECORDINGS if recording.name == name))
    for trace in [trace for trace in by_source[name] if trace["trace_id"] in recorded][:12]:
        records = get_json(f"{server.url}/api/v1/traces/{trace['trace_id']}/logs")["results"]
        for span_id in {record["span_id"] for record in records if record["span_id"]}:
            with urllib.request.urlopen(f"{server.url}/traces/{trace['trace_id']}?span={span_id}", timeout=90) as answer:
                page = answer.read().decode()
            logs = page[page.index('id="pane-logs"') :]
            assert all(record["event_name"] in logs for record in records if record["span_id"] == span_id)
            assert "No log record belongs to this step" not in logs
            shown += LOGGED[name][1] in page

    assert shown > 5


def test_every_call_has_a_price(stored: Any) -> None:
    unpriced = {model for traces in stored[1].values() for trace in traces for model in trace["unpriced_models"]}

    assert unpriced == set()
