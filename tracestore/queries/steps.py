"""Reads of `spans` for the story of a run: what many steps said at once, how a step compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.views.lookups import literal
from tracestore.model import Span, SpanEvent, SpanSummary
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.spans import find_trace_times, value_of
from tracestore.semconv.fields import FIELDS
from tracestore.timerange import MAX_NS, NS_PER_S

# A batch of previews must stay light however large the payloads are: a value is cut, and the largest are left out.
_VALUE_CHARS = 100_000
_SPAN_BYTES = 400_000
_EVENT_COUNT, _EVENT_ATTRIBUTES, _EVENT_VALUE_CHARS = 10, 10, 20_000
# Attributes that repeat the whole conversation before each model call; only the first call of a run is read for its input.
_INPUT_KEYS = (
    r"^(gen_ai\.(input\.messages|prompt\b|system_instructions|tool\.definitions)|llm\.(input_messages|prompts|tools|openai\.messages)"
    r"|input\.value|ai\.prompt|langfuse\.observation\.input|traceloop\.entity\.input|mlflow\.spanInputs|request_data|new_context"
    r"|gcp\.vertex\.agent\.llm_request|mastra\.model_(generation|step)\.input|model_request_parameters)"
)
_CONTENT_EVENTS = r"^(gen_ai\.|tool\.output$|claude_code\.|codex\.|exception$)"

# The shortest values first, until the span's bytes are used up; then as they are stored: of equal keys the first one counts.
_CONTENTS = f"""
WITH
    mapKeys(attributes) AS keys, mapValues(attributes) AS texts,
    kind != 'llm' OR has({{with_input:Array(String)}}, lower(hex(span_id))) AS is_input_wanted,
    arraySort(i -> length(texts[i]), arrayFilter(i -> is_input_wanted OR NOT match(keys[i], {literal(_INPUT_KEYS)}),
        arrayEnumerate(keys))) AS wanted,
    arrayCumSum(arrayMap(i -> least(length(texts[i]), {_VALUE_CHARS}), wanted)) AS sums,
    arraySort(arrayFilter((i, sum) -> sum <= {_SPAN_BYTES}, wanted, sums)) AS kept,
    arraySlice(arrayFilter(i -> match(event_names[i], {literal(_CONTENT_EVENTS)}), arrayEnumerate(event_names)),
        -{_EVENT_COUNT}) AS events
SELECT lower(hex(span_id)), arrayMap(i -> keys[i], kept),
    arrayMap(i -> {value_of(f"substringUTF8(texts[i], 1, {_VALUE_CHARS})", "substring(attribute_types, i, 1)")}, kept),
    arrayStringConcat(arrayMap(i -> substring(attribute_types, i, 1), kept)),
    arrayMap(i -> event_times_ns[i], events), arrayMap(i -> event_names[i], events),
    arrayMap(i -> arraySlice(mapKeys(event_attributes[i]), 1, {_EVENT_ATTRIBUTES}), events),
    arrayMap(i -> arrayMap((x, letter) -> {value_of(f"substringUTF8(x, 1, {_EVENT_VALUE_CHARS})", "letter")},
        arraySlice(mapValues(event_attributes[i]), 1, {_EVENT_ATTRIBUTES}),
        arraySlice(splitByString('', event_attribute_types[i]), 1, {_EVENT_ATTRIBUTES})), events),
    arrayMap(i -> substring(event_attribute_types[i], 1, {_EVENT_ATTRIBUTES}), events)
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}}) AND lower(hex(span_id)) IN {{span_ids:Array(String)}}
ORDER BY received_at DESC
LIMIT 1 BY span_id
"""

# Where a tool's arguments stand.
ARGUMENT_KEYS = tuple(
    dict.fromkeys((
        *(source.key for source in FIELDS["tool_arguments"]),
        *("langfuse.observation.input", "tool.parameters", "args"),
    ))
)  # fmt: skip

# The last of several: a call that was tried again was answered then.
_FIND_CALL = f"""
SELECT lower(hex(span_id))
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}}) AND kind = 'tool' AND tool_call_id = {{call_id:String}}
ORDER BY start_time DESC, span_id
LIMIT 1
"""

_HISTORY_S = 7 * 86_400
# Badges: the panel is worth having without them, so they may not keep the machine busy.
_BRIEFLY = "SETTINGS max_execution_time = 3"
# What a step is compared with, by its kind: the column that says which tool, model or agent it is.
_PEERS = {"tool": "tool", "llm": "request_model", "embedding": "request_model", "agent": "agent"}
_HISTORY = f"""
SELECT count(), countIf(duration_ns < {{duration_ns:UInt64}}), countIf(duration_ns = {{duration_ns:UInt64}}),
    if(count() = 0, 0, quantileTDigest(0.5)(duration_ns))
FROM spans
WHERE {IN_RANGE} AND kind = {{kind:String}} AND %s = {{subject:String}}
{_BRIEFLY}
"""


@dataclass(frozen=True)
class History:
    """How long a step took among those of the seven days up to it: `faster` took less, `equal` (itself included) as long.

    `subject` is the tool, model or agent that they share, or the step's name.
    """

    subject: str
    count: int
    faster: int
    equal: int
    median_ns: float

    @property
    def percentile(self) -> int:
        """Return the share of steps that took less time, of those that took as long the half, in whole percent."""
        return (100 * self.faster + 50 * self.equal) // max(1, self.count)

    @property
    def is_slowest(self) -> bool:
        """True when every other one took less."""
        return self.equal == 1 and self.faster == self.count - 1


def find_step_contents(
    store: Store, *, project_id: int, trace_id: str, steps: Sequence[SpanSummary], with_input: Sequence[str]
) -> dict[str, Span]:
    """Return what these steps said, by span id: long values are cut, the largest left out, resource and scope not read.

    Of model calls the input is read for those in `with_input` alone. Raises TraceNotFound, QueryTooExpensive or StoreUnavailable.
    """
    if not steps:
        return {}
    by_id = {step.span_id: step for step in steps}
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    rows = store.query_rows(
        _CONTENTS, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns,
        span_ids=list(by_id), with_input=list(with_input),
    )  # fmt: skip
    return {
        span_id: _build_span(by_id[span_id], decode_attributes(*attributes), events)
        for span_id, *attributes, events in ((*row[:4], row[4:]) for row in rows)
    }


def _build_span(summary: SpanSummary, attributes: dict[str, object], events: tuple[list[object], ...]) -> Span:
    return Span(
        summary, attributes, {}, "", {},
        [
            SpanEvent(min(time_ns, MAX_NS), name, decode_attributes(*values), 0)
            for time_ns, name, *values in zip(*events, strict=True)
        ],
        [], "", 0, "", "", 0, 0, 0, 0, 0, 0,
    )  # fmt: skip


def find_call(store: Store, *, project_id: int, trace_id: str, call_id: str) -> str:
    """Return the span id of the tool call that a model asked for under this id, "" when it has no step. Raises TraceNotFound."""
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    rows = store.query_rows(
        _FIND_CALL, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns,
        call_id=call_id,
    )  # fmt: skip
    return str(rows[0][0]) if rows else ""


def get_history(store: Store, *, project_id: int, step: SpanSummary) -> History:
    """Compare a step with those of its kind and subject in the seven days up to its start. Raises QueryTooExpensive after 3 s."""
    column = _PEERS.get(step.kind, "name")
    subject = str(getattr(step, column)) or step.name
    column = column if getattr(step, column) else "name"
    end_ns = step.start_ns + 1
    rows = store.query_rows(
        _HISTORY % column, project_id=project_id, start_ns=max(0, end_ns - _HISTORY_S * NS_PER_S), end_ns=end_ns, kind=step.kind,
        subject=subject, duration_ns=step.duration_ns,
    )  # fmt: skip
    return History(subject, *rows[0])
