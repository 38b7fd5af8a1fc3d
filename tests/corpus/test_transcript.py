"""The recorded frameworks as transcripts: each step is told once, turns add up to what the run used, loops are found."""

from __future__ import annotations

from collections import Counter

import pytest

from dashboards.trace.transcript import Item, build_transcript
from dashboards.views.transcript import read_repeats
from tests.corpus.recordings import recordings
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.model import Signal, SpanSummary
from tracestore.queries.traces import get_trace

RECORDINGS = {recording.name: recording for recording in recordings() if recording.trace_requests()}
_RECEIVED_NS = 1_795_000_000 * 10**9
_COUNTED = """
SELECT retried_calls, loops, wasted_tokens FROM traces FINAL WHERE project_id = 1 AND trace_id = unhex({trace_id:String})
"""
# Where arguments stand on the calls of the model alone, or where each call of the model is a trace of its own.
NO_ARGUMENTS = ("openlit", "litellm-otel")


@pytest.mark.django_db
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_runs_are_told_right(store: Store, name: str) -> None:
    recording = RECORDINGS[name]
    for signal, bodies in ((Signal.TRACES, recording.trace_requests()), (Signal.LOGS, recording.log_requests())):
        if bodies:
            insert_batch(store, [(1, _RECEIVED_NS, body) for body in bodies], writer=f"story-{name}", batch_seq=1, signal=signal)
    summarize_pending()

    # A run of each scenario, to be quick.
    for case in {case["scenario"]: case for case in recording.cases}.values():
        for trace_id in case["trace_ids"][:1]:
            trace = get_trace(store, project_id=1, trace_id=trace_id)
            story = build_transcript(trace.spans)
            told = Counter(span.span_id for item in story.walk() for span in _spans(item))
            turns = [item.usage for item in story.walk() if item.kind in ("turn", "embedding")]
            used = (sum(turn.input_tokens for turn in turns), sum(turn.output_tokens for turn in turns))
            found = read_repeats(store, 1, trace, story)

            assert set(told.values()) == {1}, case["case"]
            # Two instrumentations of one call may disagree about its output by a token.
            assert used[0] == trace.summary.input_tokens, case["case"]
            assert abs(used[1] - trace.summary.output_tokens) <= len(turns), case["case"]
            # What metrics count is what the page tells, but for arguments in log records.
            if not recording.log_requests():
                counted = store.query_rows(_COUNTED, trace_id=trace_id)
                assert counted == [(found.retries, found.loops, found.wasted.tokens)], case["case"]
            assert found.loops == (case["scenario"] == "loop" and name not in NO_ARGUMENTS), case["case"]


def _spans(item: Item) -> list[SpanSummary]:
    return [*([] if item.kind == "folded" else [item.span]), *item.details, *item.folded]
