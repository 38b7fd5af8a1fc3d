"""Query tree -> WHERE condition over `traces` or over `spans`. Users' text reaches the engine as bound values only.

A condition refers to {project_id:UInt32}, {start_ns:Int64} and {end_ns:Int64}, which the statement binds anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from tracestore.clickhouse.part_contents import ATTRIBUTE_MAPS
from tracestore.language.fields import LEVELS
from tracestore.language.tree import And, Count, Node, Not, Or, Pattern, Query, Related, Spans, Term
from tracestore.queries.conditions import (
    END,
    IN_RANGE,
    PROJECT,
    START,
    Compile,
    Params,
    array_column,
    between,
    flag_column,
    matches,
    none_when_empty,
    nullable_number_column,
    number_column,
    pattern_of,
    text_column,
)
from tracestore.queries.score_terms import score_of_span, score_of_trace
from tracestore.queries.search_terms import attribute_of_span, has_attribute, search_in, search_span
from tracestore.queries.structure import Structure

# A trace and those of its spans that start later than this after it do not find each other.
REACH_DAYS = 7
_REACH_NS = REACH_DAYS * 86_400 * 10**9
# The last moment at which a trace of the range still ran: exact, so that a search does not read days of spans in vain.
_LAST_END = (
    f"(SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, {_REACH_NS}))))"
    f" FROM traces WHERE {IN_RANGE})"
)
_REACH_OF_TRACES = f"{PROJECT} AND start_time >= {START} AND start_time <= {_LAST_END}"
_SPANS_OF_TRACES = f"SELECT trace_id FROM spans WHERE {_REACH_OF_TRACES}"
_TRACES_OF_SPANS = (
    "SELECT trace_id FROM traces FINAL"
    f" WHERE {PROJECT} AND start_time >= {START} - toIntervalDay({REACH_DAYS}) AND start_time < {END}"
)
# From the first start to the last end of the traces that ran in the range: where other spans of a span's trace are looked for.
_RAN = (
    f"FROM traces WHERE {PROJECT} AND start_time >= {START} - toIntervalDay({REACH_DAYS}) AND start_time < {END}"
    f" AND toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, {_REACH_NS})) >= {{start_ns:Int64}}"
)
_REACH_OF_SPANS = (
    f"{PROJECT} AND start_time >= least({START}, ifNull((SELECT minOrNull(start_time) {_RAN}), {START}))"
    f" AND start_time <= greatest({END}, (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time)"
    f" + toInt64(least(duration_ns, {_REACH_NS})))) {_RAN}))"
)

CompileSpans = Callable[[Spans | Related | Count, Params], str]


def trace_predicate(query: Query, params: Params) -> str:
    """Return the condition over `traces` (read with FINAL) that `query` means. An empty query is `true`."""
    return _compile(query.root, params, _trace_term, lambda node, params: _spans_of_trace(node, params, query))


def span_predicate(query: Query, params: Params) -> str:
    """Return the condition over `spans` that `query` means. An empty query is `true`."""
    return _compile(query.root, params, _span_term, _spans_of_span)


def log_predicate(query: Query, params: Params) -> str:
    """Return the condition over `logs` that `query` (of parse_log_query) means. An empty query is `true`."""
    return _compile(query.root, params, _log_term, None)


def _compile(node: Node | None, params: Params, compile_term: Compile, compile_spans: CompileSpans | None) -> str:
    if node is None:
        return "true"
    if isinstance(node, Term):
        return compile_term(node, params)
    if isinstance(node, Not):
        return f"NOT {_compile(node.item, params, compile_term, compile_spans)}"
    if isinstance(node, And | Or):
        word = " AND " if isinstance(node, And) else " OR "
        return "(" + word.join(_compile(item, params, compile_term, compile_spans) for item in node.items) + ")"
    assert compile_spans is not None  # the parser refuses spans in a query over log records
    return compile_spans(node, params)


def _structure(reach: str, params: Params, only: str = "") -> Structure:
    def of_span(node: Spans | Related | Count, params: Params) -> str:
        assert not isinstance(node, Count)  # only a trace has one
        return structure.of_span(node)

    structure = Structure(
        reach,
        only,
        lambda node: _compile(node, params, _span_term, of_span),
        lambda expression, interval: between(expression, interval, "UInt64", params),
        params.unique,
    )
    return structure


def _spans_of_trace(node: Spans | Related | Count, params: Params, query: Query) -> str:
    only = ""
    if isinstance(node, Related) and (demands := [item for item in query.conditions if _is_of_summary(item)]):
        # Relations read spans several times over: only those of traces that meet what else the query demands of their summary.
        narrowed = " AND ".join(_compile(item, params, _trace_term, None) for item in demands)
        only = f" AND trace_id IN (SELECT trace_id FROM traces WHERE {IN_RANGE} AND {narrowed})"
    return _structure(_REACH_OF_TRACES, params, only).of_trace(node)


def _is_of_summary(node: Node) -> bool:
    """Tell whether a condition can be decided by the row of `traces` alone."""
    if isinstance(node, Term):
        return node.field not in _THROUGH_SPANS
    if isinstance(node, Not):
        return _is_of_summary(node.item)
    return isinstance(node, And | Or) and all(_is_of_summary(item) for item in node.items)


def _spans_of_span(node: Spans | Related | Count, params: Params) -> str:
    structure = _structure(_REACH_OF_SPANS, params)
    return structure.of_trace(node) if isinstance(node, Count) else structure.of_span(node)


# Terms over columns


def _trace_id(term: Term, params: Params) -> str:
    pattern = pattern_of(term)
    if pattern.is_exact:
        return f"(trace_id = unhex({params.bind(pattern.text, 'String')}))"
    return f"startsWith(lower(hex(trace_id)), {params.bind(pattern.parts[0], 'String')})"


def _failed_tool_of_trace(term: Term, params: Params) -> str:
    condition = "y > 0" if (pattern := pattern_of(term)).is_presence else f"y > 0 AND {matches('x', pattern, params)}"
    return f"arrayExists((x, y) -> {condition}, `tools.name`, `tools.errors`)"


def _failed_tool_of_span(term: Term, params: Params) -> str:
    return f"(is_error AND {matches('tool', pattern_of(term), params)})"


def _model_of_span(term: Term, params: Params) -> str:
    pattern = pattern_of(term)
    return f"({matches('request_model', pattern, params)} OR {matches('response_model', pattern, params)})"


def _model_of_trace(term: Term, params: Params) -> str:
    """`models` of a trace names what was asked for; which model answered only the spans know."""
    answered = _through_spans(text_column("response_model"))
    return f"({array_column('`models.model`')(term, params)} OR {answered(term, params)})"


def _prompt_of_span(term: Term, params: Params) -> str:
    pattern = pattern_of(term)
    versioned = "concat(prompt_name, '@', prompt_version)"
    return f"({matches('prompt_name', pattern, params)} OR prompt_version != '' AND {matches(versioned, pattern, params)})"


def _prompt_of_trace(term: Term, params: Params) -> str:
    """`prompts` holds name or name@version; a name alone matches every version."""
    pattern = pattern_of(term)
    if pattern.is_presence or not pattern.text:
        return array_column("prompts")(term, params)
    anywhere = f"arrayExists(x -> {matches('x', pattern, params)}, prompts)"
    versioned = Pattern((*pattern.parts[:-1], pattern.parts[-1] + "@", ""))
    any_version = f"arrayExists(x -> {matches('x', versioned, params)}, prompts)"
    return f"({anywhere} OR {any_version})"


def _status_of_span(term: Term, params: Params) -> str:
    status = pattern_of(term).text
    if status == "running":
        return _through_trace(text_column("outcome"))(term, params)
    return "is_error" if status == "error" else "(NOT is_error)"


def _severity(term: Term, params: Params) -> str:
    # SeverityNumber comes in steps of four, from 1 on (opentelemetry/proto/logs/v1/logs.proto).
    lowest = 1 + 4 * LEVELS.index(pattern_of(term).text)
    return f"(severity_number >= {lowest} AND severity_number < {lowest + 4})"


# Terms that belong to the other table


def _attribute_of_trace(term: Term, params: Params) -> str:
    """True when a span of the trace has it. A read for each map: resources and scopes rarely have the keys of spans."""
    reads = (f"trace_id IN ({_SPANS_OF_TRACES} AND {attribute_of_span(term, params, (column,))})" for column in ATTRIBUTE_MAPS)
    return f"({' OR '.join(reads)})"


def _through_spans(compile_span: Compile) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        return f"(trace_id IN ({_SPANS_OF_TRACES} AND {compile_span(term, params)}))"

    return compile_term


def _through_trace(compile_trace: Compile) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        return f"(trace_id IN ({_TRACES_OF_SPANS} AND {compile_trace(term, params)}))"

    return compile_term


_FIRST_TOKEN_NS = "nullIf(time_to_first_token_ns, 0)"

_TRACE_TERMS: dict[str, Compile] = {
    "status": text_column("outcome"),
    "version": array_column("versions"),
    "tool": array_column("`tools.name`"),
    "tool_error": none_when_empty(_failed_tool_of_trace),
    "error": array_column("error_types"),
    "fingerprint": text_column("error_fingerprint"),
    "agent": array_column("agents"),
    "model": none_when_empty(_model_of_trace),
    "provider": array_column("`models.provider`"),
    "service": array_column("services"),
    "env": text_column("environment"),
    "user": text_column("user_id"),
    "session": text_column("session_id"),
    "name": text_column("name"),
    "trace": _trace_id,
    "workflow": array_column("workflows"),
    "prompt": _prompt_of_trace,
    "tag": _through_spans(array_column("tags")),
    "agent_id": _through_spans(text_column("agent_id")),
    "kind": _through_spans(text_column("kind")),
    "span": _through_spans(text_column("name")),
    "duration": number_column("duration_ns", "UInt64"),
    "cost": nullable_number_column("cost_usd", "Float64"),
    "cost_difference": nullable_number_column("abs(cost_difference_usd)", "Float64"),
    "ttft": _through_spans(nullable_number_column(_FIRST_TOKEN_NS, "UInt64")),
    "tokens": number_column("input_tokens + output_tokens", "UInt64"),
    "input_tokens": number_column("input_tokens", "UInt64"),
    "output_tokens": number_column("output_tokens", "UInt64"),
    "retries": number_column("retried_calls", "UInt64"),
    "loops": number_column("loops", "UInt64"),
    "wasted_tokens": number_column("wasted_tokens", "UInt64"),
    "wasted_cost": number_column("wasted_cost_usd", "Float64"),
    "spans": number_column("span_count", "UInt64"),
    "errors": number_column("error_count", "UInt64"),
    "has_errors": flag_column("has_errors"),
    "escalated": flag_column("escalated"),
    "escalation_reason": array_column("escalation_reasons"),
    "handed_over": flag_column("handed_over"),
    "handoff_reason": array_column("handoff_reasons"),
    "unpriced_model": array_column("unpriced_models"),
    "rule": text_column("outcome_rule"),
    "text": _through_spans(search_span),
    "attr": _attribute_of_trace,
    "score": score_of_trace,
}

_THROUGH_SPANS = frozenset({"model", "tag", "agent_id", "kind", "span", "ttft", "text", "attr"})

_SPAN_TERMS: dict[str, Compile] = {
    "status": _status_of_span,
    "version": text_column("version"),
    "tool": text_column("tool"),
    "tool_error": none_when_empty(_failed_tool_of_span),
    "error": text_column("error_type"),
    "fingerprint": _through_trace(text_column("error_fingerprint")),
    "agent": text_column("agent"),
    "model": none_when_empty(_model_of_span),
    "provider": text_column("provider"),
    "service": text_column("service"),
    "env": text_column("environment"),
    "name": text_column("name"),
    "trace": _trace_id,
    "workflow": text_column("workflow"),
    "prompt": _prompt_of_span,
    "tag": array_column("tags"),
    "agent_id": text_column("agent_id"),
    "kind": text_column("kind"),
    "span": text_column("name"),
    "duration": number_column("duration_ns", "UInt64"),
    "ttft": nullable_number_column(_FIRST_TOKEN_NS, "UInt64"),
    "tokens": number_column("input_tokens + output_tokens", "UInt64"),
    "input_tokens": number_column("input_tokens", "UInt64"),
    "output_tokens": number_column("output_tokens", "UInt64"),
    "text": search_span,
    "attr": attribute_of_span,
    "score": score_of_span,
} | {
    # Facts of the whole trace: only its summary has them, or only some of its spans carry the attribute.
    name: _through_trace(_TRACE_TERMS[name])
    for name in (
        "user", "session", "cost", "cost_difference", "retries", "loops", "wasted_tokens", "wasted_cost", "spans", "errors",
        "has_errors", "escalated", "escalation_reason", "handed_over", "handoff_reason", "unpriced_model", "rule",
    )
}  # fmt: skip


_LOG_TERMS: dict[str, Compile] = {
    "severity": _severity,
    "event": text_column("event_name"),
    "service": text_column("service"),
    "session": text_column("session_id"),
    "trace": _trace_id,
    "scope": text_column("scope_name"),
    "text": search_in(("body", "event_name", "severity_text"), [f"mapValues({column})" for column in ATTRIBUTE_MAPS]),
    "attr": has_attribute,
}


def _log_term(term: Term, params: Params) -> str:
    return _LOG_TERMS[term.field](term, params)


def _trace_term(term: Term, params: Params) -> str:
    return _TRACE_TERMS[term.field](term, params)


def _span_term(term: Term, params: Params) -> str:
    if term.of_trace:
        return _through_trace(_TRACE_TERMS[term.field])(term, params)
    return _SPAN_TERMS[term.field](term, params)
