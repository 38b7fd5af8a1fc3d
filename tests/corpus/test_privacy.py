"""Every recording with and without "do not store content": numbers, outcomes and names are the same, and the content is gone."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.corpus.recordings import END, START, recordings, replay
from tests.live import LiveServer, get_json, start_server

RECORDINGS = recordings()
SUMMARY_TIMEOUT_S = 300
# What says whether a trace is whole counts values that their sender cut off; without content there are none. Reasons are content.
_VARYING = ("error_message", "completeness", "escalation_reasons", "handoff_reasons")
# Calls are the same by their arguments: without those repeats of tools are not found, and none is made up.
_REPEATS = ("retried_calls", "loops", "looping_calls", "wasted_tokens", "wasted_cost_usd")


def _read_traces(server: LiveServer, expected_spans: int) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + SUMMARY_TIMEOUT_S
    while True:
        traces: dict[str, dict[str, Any]] = {}
        url: str | None = f"{server.url}/api/v1/traces?start={START}&end={END}&limit=1000"
        while url:
            page = get_json(url)
            traces |= {trace["trace_id"]: trace for trace in page["results"]}
            url = page["next"]
        if sum(trace["span_count"] for trace in traces.values()) >= expected_spans:
            return {key: {k: v for k, v in trace.items() if k not in _VARYING} for key, trace in traces.items()}
        assert time.monotonic() < deadline, "not all spans were summarised"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def servers(recorded: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, LiveServer]]:
    """Two instances that hold all recordings, the second one without content and texts of errors."""
    private = start_server(tmp_path_factory.mktemp("private"))
    settings = json.dumps({"store_content": False, "store_error_texts": False}).encode()
    request = urllib.request.Request(
        private.url + "/api/v1/privacy", data=settings, headers={"content-type": "application/json"}, method="PATCH"
    )
    urllib.request.urlopen(request, timeout=90).close()
    for recording in RECORDINGS:
        assert set(replay(recording, private.otlp_url)) == {200}, recording.name
    yield recorded, private
    private.stop()


@pytest.mark.timeout(900)
def test_traces_are_the_same_without_content(servers: tuple[LiveServer, LiveServer]) -> None:
    expected_spans = sum(recording.truth["distinct_spans"] for recording in RECORDINGS)
    whole, private = (_read_traces(server, expected_spans) for server in servers)

    assert {(trace["asked"], trace["answered"]) for trace in private.values()} == {("", "")}
    for traces in (whole, private):
        for trace in traces.values():
            del trace["error_fingerprint"]  # made of the message, which is content
            del trace["asked"], trace["answered"]
    # Tools that stand only in answers of models, and what their names say, go with the content.
    asked = {
        trace_id for trace_id, trace in whole.items() if trace["tools"] and not any(tool["calls"] for tool in trace["tools"])
    }
    for trace_id in asked:
        for trace in (whole[trace_id], private[trace_id]):
            del trace["tools"], trace["escalated"], trace["handed_over"]
    repeats = {
        trace_id: [(trace.pop(name), private[trace_id].pop(name)) for name in _REPEATS] for trace_id, trace in whole.items()
    }
    differences = {
        trace_id: {name: (trace[name], private[trace_id][name]) for name in trace if trace[name] != private[trace_id][name]}
        for trace_id, trace in whole.items()
        if trace != private[trace_id]
    }

    assert differences == {}
    assert {trace_id: pairs for trace_id, pairs in repeats.items() if any(without > told for told, without in pairs)} == {}
    assert any(told for pairs in repeats.values() for told, _ in pairs)
    assert len(whole) == len(private) > 1000
    assert len(asked) < len(whole) / 10


def test_nothing_of_the_content_is_found_any_more(servers: tuple[LiveServer, LiveServer]) -> None:
    # An order's number stands in prompts, arguments, results, answers and messages of errors, and nowhere else.
    whole, private = (
        get_json(f"{server.url}/api/v1/traces?start={START}&end={END}&q=%22A-1099%22")["results"] for server in servers
    )

    assert len(whole) > 10
    assert private == []
