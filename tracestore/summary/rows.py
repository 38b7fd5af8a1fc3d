"""The columns of `traces` from columns of spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracestore.fingerprint import fingerprint, normalize_message
from tracestore.queries.summaries import MAX_ERRORS
from tracestore.queries.tool_requests import ToolRequest
from tracestore.statistics.buckets import bucket_of
from tracestore.summary.attributes import codes_by_trace
from tracestore.summary.calls import ToolCalls, find_calls, find_tool_calls
from tracestore.summary.columns import (
    Buckets,
    Ints,
    Names,
    SpanColumns,
    distinct_by_trace,
    first_by_trace,
    group_by_trace,
    ids_of,
    sum_by_trace,
)
from tracestore.summary.costs import price_by_trace
from tracestore.summary.outcomes import ESCALATION_TOOL, Outcomes, decide_outcomes
from tracestore.summary.repeats import LOOP, RETRY, Repeats, find_repeats
from tracestore.summary.requests import ReadRequests, ReadSignal, find_requested, find_signal

if TYPE_CHECKING:
    import pyarrow

# (ids of trace and span in one, first and last start in ns) -> message and stack trace by id, as queries.summaries.read_errors.
ReadErrors = Callable[[list[bytes], int, int], dict[bytes, tuple[str, str]]]
ReadReasons = Callable[[list[bytes], int, int], dict[bytes, str]]
_REASON_CHARS = 100
_REASONS = 50  # of one trace


def _read_no_errors(_ids: list[bytes], _first_ns: int, _last_ns: int) -> dict[bytes, tuple[str, str]]:
    return {}


def _read_no_reasons(_ids: list[bytes], _first_ns: int, _last_ns: int) -> dict[bytes, str]:
    return {}


def _read_no_requests(_ids: list[bytes], _first_ns: int, _last_ns: int, _deadline_s: float) -> dict[bytes, list[ToolRequest]]:
    return {}


def build_rows(
    spans: SpanColumns, *, now_ns: int, running_timeout_ns: int, read_errors: ReadErrors = _read_no_errors,
    read_reasons: ReadReasons = _read_no_reasons, read_requests: ReadRequests = _read_no_requests,
    read_signal: ReadSignal = find_signal, project_id: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return the columns of `traces` (without project and bookkeeping) as arrays, one entry per trace, plus `start_ns`."""
    calls, tools = find_calls(spans), find_tool_calls(spans)
    repeats = find_repeats(spans, calls, tools, spans.numbers("arguments_hash"))
    requested = find_requested(spans, calls.is_call, read_requests, read_signal)
    outcomes = decide_outcomes(spans, tools, now_ns=now_ns, running_timeout_ns=running_timeout_ns)
    start = spans.numbers("start_ns")
    end = start + spans.numbers("duration_ns")
    count, trace = spans.trace_count, spans.trace
    start_ns = start[spans.first]
    end_ns = np.zeros(count, dtype=np.int64)
    np.maximum.at(end_ns, trace, end)
    everything = np.ones(spans.count, dtype=bool)
    tool = spans.labels("tool")
    escalations = (tools.is_call & ~tools.failed & tool.matching(ESCALATION_TOOL.search)) | spans.labels("signal").where(
        "human_escalation"
    )
    handoffs = spans.labels("signal").where("agent_handoff")
    escalated, handed_over = np.zeros((2, count), dtype=bool)
    escalated[trace[escalations]] = True
    escalated[list(requested.escalations)] = True
    handed_over[trace[handoffs]] = True
    handed_over[list(requested.handoffs)] = True
    error_count = sum_by_trace(spans, spans.mask("is_error").astype(np.int64), everything)
    durations = bucket_of(spans.numbers("duration_ns"))
    cause = np.where(outcomes.failing >= 0, outcomes.failing, outcomes.root)
    return {
        "trace_id": spans.first_trace_ids(),
        "start_ns": start_ns,
        "duration_ns": np.maximum(end_ns - start_ns, 0),
        "name": spans.labels("name").take(outcomes.root),
        "service": spans.labels("service").take(outcomes.root),
        "services": distinct_by_trace(spans, spans.labels("service")),
        "outcome": outcomes.outcome,
        "outcome_rule": outcomes.rule,
        "has_errors": error_count > 0,
        "escalated": escalated,
        "handed_over": handed_over,
        "handoff_reasons": _reasons(spans, np.flatnonzero(handoffs), read_reasons, requested.handoffs),
        "escalation_reasons": _reasons(spans, np.flatnonzero(escalations), read_reasons, requested.escalations),
        "span_count": np.bincount(trace, minlength=count),
        "error_count": error_count,
        "orphan_count": sum_by_trace(spans, spans.is_orphan.astype(np.int64), everything),
        "root_span_id": spans.span_ids_at(outcomes.root),
        "failing_span_id": spans.span_ids_at(outcomes.failing),
        "error_types": distinct_by_trace(spans, spans.labels("error_type"), leading=outcomes.failing),
        "error_message": first_by_trace(spans, spans.labels("error_message"), cause),
        "error_fingerprint": _fingerprints(spans, outcomes, read_errors),
        "workflows": distinct_by_trace(spans, spans.labels("workflow")),
        "agents": distinct_by_trace(spans, spans.labels("agent")),
        "versions": distinct_by_trace(spans, spans.labels("version")),
        "environment": first_by_trace(spans, spans.labels("environment"), outcomes.root),
        "prompts": _prompts(spans),
        "session_id": first_by_trace(spans, spans.labels("session_id"), outcomes.root),
        "user_id": first_by_trace(spans, spans.labels("user_id"), outcomes.root),
        "llm_calls": sum_by_trace(spans, calls.is_call.astype(np.int64), everything),
        "llm_errors": sum_by_trace(spans, (calls.is_call & spans.mask("is_error")).astype(np.int64), everything),
        "input_tokens": sum_by_trace(spans, spans.numbers("input_tokens"), calls.counts_usage),
        "output_tokens": sum_by_trace(spans, spans.numbers("output_tokens"), calls.counts_usage),
        "cached_input_tokens": sum_by_trace(spans, spans.numbers("cache_read_tokens"), calls.counts_usage),
        "cache_creation_input_tokens": sum_by_trace(spans, spans.numbers("cache_write_tokens"), calls.counts_usage),
        "reasoning_tokens": sum_by_trace(spans, spans.numbers("reasoning_tokens"), calls.counts_usage),
        "cache_creation_1h_input_tokens": sum_by_trace(spans, spans.numbers("cache_write_1h_tokens"), calls.counts_usage),
        "input_audio_tokens": sum_by_trace(spans, spans.numbers("input_audio_tokens"), calls.counts_usage),
        "output_audio_tokens": sum_by_trace(spans, spans.numbers("output_audio_tokens"), calls.counts_usage),
        **price_by_trace(spans, calls, durations, project_id, repeats.wasted),
        **_repeats_by_trace(spans, repeats),
        **_tools_by_trace(spans, tools, durations, requested.tools),
        **_steps_by_trace(spans, durations),
        "attribute_codes": codes_by_trace(spans),
    }


def _fingerprints(spans: SpanColumns, outcomes: Outcomes, read_errors: ReadErrors) -> pyarrow.Array:
    """Return per trace the fingerprint of the error it failed with, "" when it did not fail."""
    import pyarrow

    failed = np.flatnonzero(outcomes.failing >= 0)
    result = [""] * spans.trace_count
    types, messages = spans.labels("error_type"), spans.labels("error_message")
    for first in range(0, len(failed), MAX_ERRORS):  # stack traces are long: only so many at a time
        traces = failed[first : first + MAX_ERRORS]
        at = outcomes.failing[traces]
        start_ns, is_error = spans.numbers("start_ns")[at], spans.mask("is_error")[at]
        ids = ids_of(spans, at)
        told = read_errors(ids, int(start_ns.min()), int(start_ns.max()))
        known = zip(
            traces.tolist(), ids, is_error.tolist(), types.take(at).to_pylist(), messages.take(at).to_pylist(), strict=True
        )
        for trace, span_id, says_why, error_type, message in known:
            if says_why:
                result[trace] = fingerprint(error_type, *told.get(span_id, (message, "")))
            else:  # only how the trace looks says that it failed
                result[trace] = fingerprint(outcomes.rule[trace], "")
    return pyarrow.array(result, type=pyarrow.string())


def _reasons(spans: SpanColumns, handing_over: Ints, read_reasons: ReadReasons, requested: dict[int, list[str]]) -> pyarrow.Array:
    """Return per trace the first _REASONS reasons of its spans at these places and of what its models asked for.

    Without the values that vary.
    """
    import pyarrow

    result: list[list[str]] = [[] for _ in range(spans.trace_count)]

    def add(trace: int, told: str) -> None:
        reason = normalize_message(told)[:_REASON_CHARS]
        if reason and len(result[trace]) < _REASONS and reason not in result[trace]:
            result[trace].append(reason)

    for first in range(0, len(handing_over), MAX_ERRORS):
        at = handing_over[first : first + MAX_ERRORS]
        start_ns = spans.numbers("start_ns")[at]
        ids = ids_of(spans, at)
        told = read_reasons(ids, int(start_ns.min()), int(start_ns.max()))
        for trace, span_id in zip(spans.trace[at].tolist(), ids, strict=True):
            add(trace, told.get(span_id, ""))
    for trace, reasons in requested.items():
        for reason in reasons:
            add(trace, reason)
    return pyarrow.array(result, type=pyarrow.list_(pyarrow.string()))


def _prompts(spans: SpanColumns) -> pyarrow.Array:
    """Return per trace the prompts as name or name@version."""
    names, versions = spans.labels("prompt_name"), spans.labels("prompt_version")
    members = np.flatnonzero(names.present)
    pairs, pair = np.unique(names.codes[members] * max(len(versions.values), 1) + versions.codes[members], return_inverse=True)
    prompts = Names()
    numbers = prompts.number(
        f"{name}@{version}" if version else name
        for name, version in (
            (names.values[code // len(versions.values)], versions.values[code % len(versions.values)]) for code in pairs.tolist()
        )
    )[pair]
    groups = group_by_trace(spans, members, numbers)
    return groups.lists(prompts.take(numbers[np.searchsorted(members, groups.first)]))


def _tools_by_trace(
    spans: SpanColumns, tools: ToolCalls, durations: Buckets, requested: dict[int, list[str]]
) -> dict[str, pyarrow.Array]:
    labels = spans.labels("tool")
    members = np.flatnonzero(tools.is_call)
    groups = group_by_trace(spans, members, labels.codes[members])
    columns = {
        "tools.name": groups.lists(labels.take(groups.first)),
        "tools.calls": groups.lists(groups.sums(np.ones(len(members), dtype=np.int64))),
        "tools.errors": groups.lists(groups.sums(tools.failed[members].astype(np.int64))),
        "tools.durations": groups.lists_of(durations[members], np.ones(len(members), dtype=bool)),
    }
    # Of what models asked for nobody says that it ran.
    asked: dict[str, dict[int, list[Any]]] = {
        "tools.name": requested,
        "tools.calls": {trace: [0] * len(names) for trace, names in requested.items()},
        "tools.errors": {trace: [0] * len(names) for trace, names in requested.items()},
        "tools.durations": {trace: [[]] * len(names) for trace, names in requested.items()},
    }
    return {name: _with_lists(column, asked[name]) for name, column in columns.items()} if requested else columns


def _with_lists(column: pyarrow.Array, lists: dict[int, list[Any]]) -> pyarrow.Array:
    """Return a column of lists with these in place of the empty ones that stand there."""
    import pyarrow

    return pyarrow.array([lists.get(n, old) for n, old in enumerate(column.to_pylist())], type=column.type)


def _steps_by_trace(spans: SpanColumns, durations: Buckets) -> dict[str, Any]:
    """Return how long steps took by kind. Spans of no kind, HTTP requests and the like, are no steps of an agent."""
    kinds = spans.labels("kind")
    members = np.flatnonzero(~kinds.where("other", ""))
    groups = group_by_trace(spans, members, kinds.codes[members])
    return {
        "steps.kind": groups.lists(kinds.take(groups.first)),
        "steps.durations": groups.lists_of(durations[members], np.ones(len(members), dtype=bool)),
    }


def _repeats_by_trace(spans: SpanColumns, repeats: Repeats) -> dict[str, Any]:
    loops, looping_calls = repeats.count_by_trace(spans, LOOP)
    _, retried_calls = repeats.count_by_trace(spans, RETRY)
    tokens = spans.numbers("input_tokens") + spans.numbers("output_tokens")
    return {
        "retried_calls": retried_calls,
        "loops": loops,
        "looping_calls": looping_calls,
        "wasted_tokens": sum_by_trace(spans, tokens, repeats.wasted),
    }
