"""Time to first token, from attributes in any unit, moments and events."""

from __future__ import annotations

import json
import math

import pytest

from tests.tracestore.semconv.conftest import START_NS, Row, RowsOf, build_span, first_token_value

FIRST_TOKEN_CASES: dict[str, tuple[Row, int]] = {
    "event": (build_span(events=[("llm.content.completion.chunk", {})], event_ns=START_NS + 40), 40),
    "other event": (build_span(events=[("gen_ai.choice", {})], event_ns=START_NS + 40), 0),  # the whole answer, at its end
    "attribute before event": (
        build_span({"ttft_ms": 3}, events=[("ai.stream.firstChunk", {})], event_ns=START_NS + 40),
        3_000_000,
    ),
    "Strands means milliseconds": (
        build_span({"gen_ai.server.time_to_first_token": 29}, scope="strands.telemetry.tracer"),
        29_000_000,
    ),
    "text": (build_span({"gen_ai.response.time_to_first_chunk": "0.5"}), 500_000_000),
    "quoted time": (build_span({"langfuse.observation.completion_start_time": json.dumps(first_token_value("at"))}), 250_000_000),
    "time before the start": (build_span({"mastra.completion_start_time": "2020-01-01T00:00:00Z"}), 0),
    "nonsense": (build_span({"ttft_ms": "soon"}), 0),
    "negative": (build_span({"ttft_ms": -5}), 0),
    "not a number": (build_span({"gen_ai.response.time_to_first_chunk": math.nan}), 0),
    "longer than any call": (build_span({"gen_ai.response.time_to_first_chunk": 1e300}), 0),
    "year 9999": (build_span({"mastra.completion_start_time": "9999-12-31T23:59:59Z"}), 0),
    "not said": (build_span({"gen_ai.operation.name": "chat"}), 0),
}


@pytest.mark.parametrize("case", FIRST_TOKEN_CASES)
def test_time_to_first_token_is_in_nanoseconds(rows_of: RowsOf, case: str) -> None:
    assert rows_of(FIRST_TOKEN_CASES)[case]["time_to_first_token_ns"] == FIRST_TOKEN_CASES[case][1]
