"""Query tree -> WHERE condition over `traces` or over `spans`. Users' text reaches the engine as bound values only.

A condition refers to {project_id:UInt32}, {start_ns:Int64} and {end_ns:Int64}, which the statement binds anyway.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tracestore.clickhouse.attributes import encode_list_item
from tracestore.clickhouse.client import SHORTEST_IN_WORD
from tracestore.clickhouse.part_contents import ATTRIBUTE_MAPS, find_ngrams, lacks_keys, lacks_ngrams, parts_where
from tracestore.language.fields import LEVELS
from tracestore.language.tree import And, Count, Flag, Interval, Node, Not, Or, Pattern, Query, Related, Spans, Term
from tracestore.queries.structure import Structure

_PROJECT = "project_id = {project_id:UInt32}"
_START, _END = "fromUnixTimestamp64Nano({start_ns:Int64})", "fromUnixTimestamp64Nano({end_ns:Int64})"
IN_RANGE = f"{_PROJECT} AND start_time >= {_START} AND start_time < {_END}"
# A trace and those of its spans that start later than this after it do not find each other.
REACH_DAYS = 7
_REACH_NS = REACH_DAYS * 86_400 * 10**9
# The last moment at which a trace of the range still ran: exact, so that a search does not read days of spans in vain.
_LAST_END = (
    f"(SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, {_REACH_NS}))))"
    f" FROM traces WHERE {IN_RANGE})"
)
_REACH_OF_TRACES = f"{_PROJECT} AND start_time >= {_START} AND start_time <= {_LAST_END}"
_SPANS_OF_TRACES = f"SELECT trace_id FROM spans WHERE {_REACH_OF_TRACES}"
_TRACES_OF_SPANS = (
    "SELECT trace_id FROM traces FINAL"
    f" WHERE {_PROJECT} AND start_time >= {_START} - toIntervalDay({REACH_DAYS}) AND start_time < {_END}"
)
# From the first start to the last end of the traces that ran in the range: where other spans of a span's trace are looked for.
_RAN = (
    f"FROM traces WHERE {_PROJECT} AND start_time >= {_START} - toIntervalDay({REACH_DAYS}) AND start_time < {_END}"
    f" AND toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, {_REACH_NS})) >= {{start_ns:Int64}}"
)
_REACH_OF_SPANS = (
    f"{_PROJECT} AND start_time >= least({_START}, ifNull((SELECT minOrNull(start_time) {_RAN}), {_START}))"
    f" AND start_time <= greatest({_END}, (SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time)"
    f" + toInt64(least(duration_ns, {_REACH_NS})))) {_RAN}))"
)

Compile = Callable[[Term, "Params"], str]
CompileSpans = Callable[[Spans | Related | Count, "Params"], str]


class Params:
    """The values of one statement, each bound under a name of its own.

    `word_lookups` counts the parts of the condition that the index of words answers: with any of them a long range is as cheap as
    a short one. `key_checks` counts those that look for the key of an attribute among those of whole parts.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.word_lookups = self.key_checks = 0
        self._names = itertools.count(1)

    def bind(self, value: Any, type_name: str) -> str:
        """Keep `value` and return the placeholder that stands for it, such as {p0:String}."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"{{{name}:{type_name}}}"

    def unique(self, stem: str) -> str:
        """Return a name that no other part of the statement has."""
        return f"{stem}{next(self._names)}"


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
        lambda expression, interval: _between(expression, interval, "UInt64", params),
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


def _text_column(column: str) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        return _matches(column, _pattern(term), params)

    return compile_term


def _none_when_empty(compile_present: Compile) -> Compile:
    """`model:""` asks for traces without any model: for the opposite of `model:*`, where several values may stand."""

    def compile_term(term: Term, params: Params) -> str:
        pattern = _pattern(term)
        if pattern.is_exact and not pattern.text:
            return f"(NOT {compile_present(replace(term, value=Pattern(('', ''))), params)})"
        return compile_present(term, params)

    return compile_term


def _array_column(column: str) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        pattern = _pattern(term)
        if pattern.is_presence:
            return f"notEmpty({column})"
        if pattern.is_exact and not pattern.text:
            return f"empty({column})"
        if pattern.is_exact:
            return f"has({column}, {params.bind(pattern.text, 'String')})"
        return f"arrayExists(x -> {_matches('x', pattern, params)}, {column})"

    return compile_term


def _number_column(column: str, type_name: str) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        return _between(column, _interval(term), type_name, params)

    return compile_term


def _nullable_number_column(column: str, type_name: str) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        # NOT of NULL is NULL: without this neither `cost:>1` nor `-cost:>1` would match an unpriced trace.
        return f"ifNull({_between(column, _interval(term), type_name, params)}, false)"

    return compile_term


def _flag_column(column: str) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        assert isinstance(term.value, Flag)
        return f"({column} = {'true' if term.value.value else 'false'})"

    return compile_term


def _trace_id(term: Term, params: Params) -> str:
    pattern = _pattern(term)
    if pattern.is_exact:
        return f"(trace_id = unhex({params.bind(pattern.text, 'String')}))"
    return f"startsWith(lower(hex(trace_id)), {params.bind(pattern.parts[0], 'String')})"


def _failed_tool_of_trace(term: Term, params: Params) -> str:
    condition = "y > 0" if (pattern := _pattern(term)).is_presence else f"y > 0 AND {_matches('x', pattern, params)}"
    return f"arrayExists((x, y) -> {condition}, `tools.name`, `tools.errors`)"


def _failed_tool_of_span(term: Term, params: Params) -> str:
    return f"(is_error AND {_matches('tool', _pattern(term), params)})"


def _model_of_span(term: Term, params: Params) -> str:
    pattern = _pattern(term)
    return f"({_matches('request_model', pattern, params)} OR {_matches('response_model', pattern, params)})"


def _model_of_trace(term: Term, params: Params) -> str:
    """`models` of a trace names what was asked for; which model answered only the spans know."""
    answered = _through_spans(_text_column("response_model"))
    return f"({_array_column('`models.model`')(term, params)} OR {answered(term, params)})"


def _prompt_of_span(term: Term, params: Params) -> str:
    pattern = _pattern(term)
    versioned = "concat(prompt_name, '@', prompt_version)"
    return f"({_matches('prompt_name', pattern, params)} OR prompt_version != '' AND {_matches(versioned, pattern, params)})"


def _prompt_of_trace(term: Term, params: Params) -> str:
    """`prompts` holds name or name@version; a name alone matches every version."""
    pattern = _pattern(term)
    if pattern.is_presence or not pattern.text:
        return _array_column("prompts")(term, params)
    anywhere = f"arrayExists(x -> {_matches('x', pattern, params)}, prompts)"
    versioned = Pattern((*pattern.parts[:-1], pattern.parts[-1] + "@", ""))
    any_version = f"arrayExists(x -> {_matches('x', versioned, params)}, prompts)"
    return f"({anywhere} OR {any_version})"


def _status_of_span(term: Term, params: Params) -> str:
    status = _pattern(term).text
    if status == "running":
        return _through_trace(_text_column("outcome"))(term, params)
    return "is_error" if status == "error" else "(NOT is_error)"


# Terms over contents


# All texts of a span in lower case, as the index of their words has them (migration 0055).
_WORDS_OF_SPAN = "lower(concat({}))".format(
    ", '\\n', ".join(
        [
            *("name", "status_message", "error_type", "error_message", "arrayStringConcat(event_names, '\\n')"),
            *(f"arrayStringConcat(mapValues({column}), '\\n')" for column in ATTRIBUTE_MAPS),
            "arrayStringConcat(arrayFlatten(event_attributes.values), '\\n')",
        ]
    )
)
# The index cuts texts at ASCII characters that are neither letters nor digits. Of a text that may begin and end amid words it
# knows the words that such characters enclose, else a run of letters and digits that some word holds.
_WORD = re.compile(r"[0-9A-Za-z]+")
_CUT = r"[\x00-/:-@\[-`{-\x7f]"
_WHOLE_WORD = re.compile(f"(?<={_CUT})[0-9A-Za-z]+(?={_CUT})")
# In all alphabets i, k and s have equals in other case that are not ASCII: dotted and dotless i, the Kelvin sign, the long s.
_WORD_OF_ANY_CASE = re.compile(r"[0-9A-HJLMN-RT-Za-hjlmn-rt-z]+")
# Looking through the dictionary of a part, or the spans of a frequent word, takes as long for an hour as for the day of the part:
# below these ranges texts and values are read. The dictionary of a busy day is what reading an hour of it takes.
_SHORT_FOR_DICTIONARY_NS, _SHORT_FOR_VALUES_NS = 3600 * 10**9, 12 * 3600 * 10**9
# Each costs the planner up to ten milliseconds, and an attribute of a trace takes three or six: a query of fifty terms has better
# left most of them to reading.
_MOST_LOOKUPS = 24
# Of other keys the name of the subcolumn is written with escapes.
_PLAIN_KEY = re.compile(r"[0-9A-Za-z_.:/-]+")
_RANGE_NS = "{end_ns:Int64} - {start_ns:Int64}"


def _search_in(columns: Sequence[str], value_arrays: Sequence[str], *, is_indexed: bool = False) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        pattern = _pattern(term)
        found = _finder(pattern, params)
        anywhere = [found(column) for column in columns]
        anywhere += [f"arrayExists(x -> {found('x')}, {values})" for values in value_arrays]
        # greatest() for OR, because ClickHouse uses indexes only in conditions of up to 32 parts.
        any_of = f"(greatest({', '.join(anywhere)}))"
        if not is_indexed or params.word_lookups >= _MOST_LOOKUPS:
            return any_of
        if not pattern.is_exact or not pattern.text.isascii():
            return _in_some_word(any_of, _find_runs(pattern, _WORD_OF_ANY_CASE), _SHORT_FOR_DICTIONARY_NS, params)
        if words := _lowered(_WHOLE_WORD.findall(pattern.text)):
            return f"({any_of} AND {_has_words(words, params)})"
        runs = _find_runs(pattern, _WORD)
        return _in_some_word(any_of, runs, _SHORT_FOR_DICTIONARY_NS, params, is_all=runs == [pattern.text])

    return compile_term


def _find_runs(pattern: Pattern, run: re.Pattern[str]) -> list[str]:
    return [found for part in pattern.parts for found in run.findall(part)]


def _in_some_word(condition: str, runs: Sequence[str], short_ns: int, params: Params, *, is_all: bool = False) -> str:
    """Add to a condition what the index knows of a pattern without a whole word: that words of the span hold its `runs`.

    N-grams tell parts without them, the dictionary of the others the words, in ranges from `short_ns` on. A run that `is_all` is
    found by the dictionary alone.
    """
    longest = max(runs, key=len, default="")
    if len(longest) < SHORTEST_IN_WORD:
        return condition
    params.word_lookups += 1
    some_word = f"{_WORDS_OF_SPAN} LIKE {params.bind(f'%{longest.lower()}%', 'String')}"
    is_short = f"{_RANGE_NS} < {short_ns}"
    met = f"if({is_short}, {condition}, {some_word})" if is_all else f"({condition} AND ({is_short} OR {some_word}))"
    ngrams = sorted({ngram for run in runs for ngram in find_ngrams(run)})
    if not ngrams:
        return met
    return f"({met} AND _part NOT IN {parts_where(lacks_ngrams(params.bind(ngrams, 'Array(UInt32)')))})"


def _lowered(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({word.lower() for word in words}))


def _has_words(words: tuple[str, ...], params: Params) -> str:
    """Return a condition that the index of words answers: that a span holds all of these whole words in lower case."""
    params.word_lookups += 1
    return f"hasAllTokens({_WORDS_OF_SPAN}, {params.bind(list(words), 'Array(String)')})"


_search = _search_in(
    ("name", "status_message", "error_type", "error_message"),
    (
        "event_names",
        *(f"mapValues({column})" for column in ATTRIBUTE_MAPS),
        "arrayFlatten(arrayMap(m -> mapValues(m), event_attributes))",
    ),
    is_indexed=True,
)


def _severity(term: Term, params: Params) -> str:
    # SeverityNumber comes in steps of four, from 1 on (opentelemetry/proto/logs/v1/logs.proto).
    lowest = 1 + 4 * LEVELS.index(_pattern(term).text)
    return f"(severity_number >= {lowest} AND severity_number < {lowest + 4})"


def _finder(pattern: Pattern, params: Params) -> Callable[[str], str]:
    """Return how to ask whether an expression holds the pattern anywhere, in any case."""
    if pattern.is_exact and pattern.text.isascii():
        needle = params.bind(pattern.text, "String")
        return lambda expression: f"positionCaseInsensitive({expression}, {needle}) > 0"
    like = params.bind("%" + "%".join(_escape_like(part) for part in pattern.parts) + "%", "String")
    return lambda expression: f"({expression} ILIKE {like})"


def _attribute(term: Term, params: Params, columns: Sequence[str] = ATTRIBUTE_MAPS) -> str:
    """True when the span, its resource or its scope has the attribute with that value."""
    key = params.bind(term.key, "String")
    test = _attribute_test(term, params)
    conditions = []
    for column in columns:
        present = f"mapContains({column}, {key})"
        if test is None:
            conditions.append(present)
            continue
        # By its name: beside the index of words, which names whole maps, ClickHouse would read all keys for one in brackets.
        is_plain = _PLAIN_KEY.fullmatch(term.key)
        value = params.bind(f"{column}.key_{term.key}", "Identifier") if is_plain else f"{column}[{key}]"
        # One key's values are read alone; asking for the key as well reads all keys.
        conditions.append(test(value) if _is_never_empty(term) else f"{present} AND {test(value)}")
    return "(" + " OR ".join(conditions) + ")"


def _attribute_of_trace(term: Term, params: Params) -> str:
    """True when a span of the trace has it. A read for each map: resources and scopes rarely have the keys of spans."""
    reads = (f"trace_id IN ({_SPANS_OF_TRACES} AND {_attribute_of_span(term, params, (column,))})" for column in ATTRIBUTE_MAPS)
    return f"({' OR '.join(reads)})"


def _attribute_of_span(term: Term, params: Params, columns: Sequence[str] = ATTRIBUTE_MAPS) -> str:
    """As `_attribute`, with what the index of words knows of the value: its whole words, as a text or as an item of a list."""
    condition = _attribute(term, params, columns)
    if params.key_checks < _MOST_LOOKUPS:
        params.key_checks += 1
        condition = f"({condition} AND _part NOT IN {parts_where(lacks_keys(params.bind([term.key], 'Array(String)'), columns))})"
    if not isinstance(term.value, Pattern) or term.value.is_presence or params.word_lookups >= _MOST_LOOKUPS:
        return condition
    # What stands for * is neither a letter nor a cut: the words beside it may be parts of longer ones.
    stored = ["\n" + "\x80".join(term.value.parts) + "\n"]
    if term.value.is_exact:
        stored.append(encode_list_item(term.value.text).decode("latin-1") + "\n")
    wanted = {_lowered(_WHOLE_WORD.findall(text)) for text in stored}
    if () in wanted:
        return _in_some_word(condition, _find_runs(term.value, _WORD), _SHORT_FOR_VALUES_NS, params)
    known = " OR ".join(_has_words(words, params) for words in sorted(wanted))
    return f"({condition} AND ({_RANGE_NS} < {_SHORT_FOR_VALUES_NS} OR {known}))"


def _is_never_empty(term: Term) -> bool:
    """Tell whether no match is the empty text, which a Map returns for a key that it lacks."""
    return isinstance(term.value, Interval) or any(_pattern(term).parts)


def _attribute_test(term: Term, params: Params) -> Callable[[str], str] | None:
    if isinstance(term.value, Interval):
        interval = _between("toFloat64OrNull({})", term.value, "Float64", params)
        return lambda value: f"ifNull({interval.replace('{}', value)}, false)"
    pattern = _pattern(term)
    if pattern.is_presence:
        return None
    same = _matches("{}", pattern, params)
    if pattern.is_exact and pattern.text:
        # A list is stored as its serialized message, in which each item stands with its length before it.
        same = f"({same} OR position({{}}, unhex({params.bind(encode_list_item(pattern.text).hex(), 'String')})) > 0)"
    return lambda value: same.replace("{}", value)


# Terms that belong to the other table


def _through_spans(compile_span: Compile) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        return f"(trace_id IN ({_SPANS_OF_TRACES} AND {compile_span(term, params)}))"

    return compile_term


def _through_trace(compile_trace: Compile) -> Compile:
    def compile_term(term: Term, params: Params) -> str:
        return f"(trace_id IN ({_TRACES_OF_SPANS} AND {compile_trace(term, params)}))"

    return compile_term


# Comparisons


def _pattern(term: Term) -> Pattern:
    assert isinstance(term.value, Pattern)
    return term.value


def _interval(term: Term) -> Interval:
    assert isinstance(term.value, Interval)
    return term.value


def _matches(column: str, pattern: Pattern, params: Params) -> str:
    if pattern.is_presence:
        return f"({column} != '')"
    if pattern.is_exact:
        return f"({column} = {params.bind(pattern.text, 'String')})"
    return f"({column} LIKE {params.bind('%'.join(_escape_like(part) for part in pattern.parts), 'String')})"


def _between(column: str, interval: Interval, type_name: str, params: Params) -> str:
    if interval.low is not None and interval.low == interval.high:
        return f"({column} = {params.bind(interval.low, type_name)})"
    conditions = []
    if interval.low is not None:
        conditions.append(f"{column} {'>=' if interval.includes_low else '>'} {params.bind(interval.low, type_name)}")
    if interval.high is not None:
        conditions.append(f"{column} {'<=' if interval.includes_high else '<'} {params.bind(interval.high, type_name)}")
    return "(" + " AND ".join(conditions) + ")"


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_FIRST_TOKEN_NS = "nullIf(time_to_first_token_ns, 0)"

_TRACE_TERMS: dict[str, Compile] = {
    "status": _text_column("outcome"),
    "version": _array_column("versions"),
    "tool": _array_column("`tools.name`"),
    "tool_error": _none_when_empty(_failed_tool_of_trace),
    "error": _array_column("error_types"),
    "fingerprint": _text_column("error_fingerprint"),
    "agent": _array_column("agents"),
    "model": _none_when_empty(_model_of_trace),
    "provider": _array_column("`models.provider`"),
    "service": _array_column("services"),
    "env": _text_column("environment"),
    "user": _text_column("user_id"),
    "session": _text_column("session_id"),
    "name": _text_column("name"),
    "trace": _trace_id,
    "workflow": _array_column("workflows"),
    "prompt": _prompt_of_trace,
    "tag": _through_spans(_array_column("tags")),
    "agent_id": _through_spans(_text_column("agent_id")),
    "kind": _through_spans(_text_column("kind")),
    "span": _through_spans(_text_column("name")),
    "duration": _number_column("duration_ns", "UInt64"),
    "cost": _nullable_number_column("cost_usd", "Float64"),
    "cost_difference": _nullable_number_column("abs(cost_difference_usd)", "Float64"),
    "ttft": _through_spans(_nullable_number_column(_FIRST_TOKEN_NS, "UInt64")),
    "tokens": _number_column("input_tokens + output_tokens", "UInt64"),
    "input_tokens": _number_column("input_tokens", "UInt64"),
    "output_tokens": _number_column("output_tokens", "UInt64"),
    "retries": _number_column("retried_calls", "UInt64"),
    "loops": _number_column("loops", "UInt64"),
    "wasted_tokens": _number_column("wasted_tokens", "UInt64"),
    "wasted_cost": _number_column("wasted_cost_usd", "Float64"),
    "spans": _number_column("span_count", "UInt64"),
    "errors": _number_column("error_count", "UInt64"),
    "has_errors": _flag_column("has_errors"),
    "escalated": _flag_column("escalated"),
    "escalation_reason": _array_column("escalation_reasons"),
    "handed_over": _flag_column("handed_over"),
    "handoff_reason": _array_column("handoff_reasons"),
    "unpriced_model": _array_column("unpriced_models"),
    "rule": _text_column("outcome_rule"),
    "text": _through_spans(_search),
    "attr": _attribute_of_trace,
}

_THROUGH_SPANS = frozenset({"model", "tag", "agent_id", "kind", "span", "ttft", "text", "attr"})

_SPAN_TERMS: dict[str, Compile] = {
    "status": _status_of_span,
    "version": _text_column("version"),
    "tool": _text_column("tool"),
    "tool_error": _none_when_empty(_failed_tool_of_span),
    "error": _text_column("error_type"),
    "fingerprint": _through_trace(_text_column("error_fingerprint")),
    "agent": _text_column("agent"),
    "model": _none_when_empty(_model_of_span),
    "provider": _text_column("provider"),
    "service": _text_column("service"),
    "env": _text_column("environment"),
    "name": _text_column("name"),
    "trace": _trace_id,
    "workflow": _text_column("workflow"),
    "prompt": _prompt_of_span,
    "tag": _array_column("tags"),
    "agent_id": _text_column("agent_id"),
    "kind": _text_column("kind"),
    "span": _text_column("name"),
    "duration": _number_column("duration_ns", "UInt64"),
    "ttft": _nullable_number_column(_FIRST_TOKEN_NS, "UInt64"),
    "tokens": _number_column("input_tokens + output_tokens", "UInt64"),
    "input_tokens": _number_column("input_tokens", "UInt64"),
    "output_tokens": _number_column("output_tokens", "UInt64"),
    "text": _search,
    "attr": _attribute_of_span,
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
    "event": _text_column("event_name"),
    "service": _text_column("service"),
    "session": _text_column("session_id"),
    "trace": _trace_id,
    "scope": _text_column("scope_name"),
    "text": _search_in(("body", "event_name", "severity_text"), [f"mapValues({column})" for column in ATTRIBUTE_MAPS]),
    "attr": _attribute,
}


def _log_term(term: Term, params: Params) -> str:
    return _LOG_TERMS[term.field](term, params)


def _trace_term(term: Term, params: Params) -> str:
    return _TRACE_TERMS[term.field](term, params)


def _span_term(term: Term, params: Params) -> str:
    if term.of_trace:
        return _through_trace(_TRACE_TERMS[term.field])(term, params)
    return _SPAN_TERMS[term.field](term, params)
