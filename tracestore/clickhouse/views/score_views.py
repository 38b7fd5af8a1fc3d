"""The generated views `spans` -> `scores` and `logs` -> `scores`: every evaluation result, whoever tells it and where.

The page of a trace reads the same from spans and records (dashboards/trace/logs.py); a test compares both. ClickHouse analyses a
view anew at each insert: what is made of all results in the same way stands once, after they were joined.
"""

from __future__ import annotations

from tracestore.clickhouse.views.lookups import literal
from tracestore.semconv.scores import (
    ANNOTATION_FIELD,
    ANNOTATION_MARKS,
    EVALUATION_EVENT,
    FEEDBACK_COMMENT,
    FEEDBACK_NAME,
    FEEDBACK_SCOPE,
    SCORE_ANNOTATOR,
    SCORE_ID_DIGITS,
    SCORE_IDS,
    SCORE_WITHDRAWN,
)

_EVENT = literal(EVALUATION_EVENT)
_TRACE, _SPAN = "lower(hex(trace_id))", "lower(hex(span_id))"
# What a result says, each member a text. In the tuples below its own id comes before, or "".
_SAID = ("name", "value", "label", "comment", "source", "annotator", "error_type")
SCORE_COLUMNS = f"project_id, time, trace_id, span_id, session_id, id, {', '.join(_SAID)}, is_withdrawn, received_at"
_EVENT_KEYS = (
    "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label", "gen_ai.evaluation.explanation",
    "gen_ai.evaluation.evaluator.source", SCORE_ANNOTATOR, "error.type",
)  # fmt: skip


def _told(fields: str) -> str:
    """Return id and _SAID of an event gen_ai.evaluation.result."""
    ids = ", ".join(f"{fields}[{literal(key)}]" for key in SCORE_IDS)
    return ", ".join((f"firstNonDefault({ids}, '')", *(f"{fields}[{literal(key)}]" for key in _EVENT_KEYS)))


def _columns(derived_id: str) -> str:
    """Return the columns id and _SAID from a tuple `told`; `derived_id` is for a result that has none of its own."""
    # Lists and maps are stored as bytes, which need not be text.
    columns = {name: f"toValidUTF8(told.{place})" for place, name in enumerate(_SAID, 2)}
    number = "toFloat64OrNull(transform(told.3, ['true', 'false'], ['1', '0']))"
    columns |= {"id": f"if(told.1 != '', toValidUTF8(told.1), {derived_id})", "value": f"if(isFinite({number}), {number}, NULL)"}
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def logs_to_scores(source: str = "logs") -> str:
    """Return the SELECT of `scores` from a table expression over `logs`."""
    return f"""
SELECT project_id, time, trace_id, span_id, session_id, {_columns("leftPad(lower(hex(record_id)), 16, '0')")},
    attributes[{literal(SCORE_WITHDRAWN)}] = 'true' AS is_withdrawn, received_at
FROM
(
    SELECT *, ({_told("attributes")}) AS told
    FROM {source}
    WHERE event_name = {_EVENT}
)
"""


def spans_to_scores(source: str = "spans") -> str:
    """Return the SELECT of `scores` from a table expression over `spans`.

    A result is told by an event, by OpenInference's annotations in attributes, or by a span of its own (Logfire's feedback).
    """
    # As derive_score_id does.
    derived = f"substring(lower(hex(SHA256(arrayStringConcat(told.9, char(31))))), 1, {SCORE_ID_DIGITS})"
    marks = ", ".join(literal(mark) for mark in ANNOTATION_MARKS)
    return f"""
SELECT project_id, start_time AS time, if(told.10, toFixedString('', 16), trace_id) AS trace_id, span_id,
    if(told.10, session_id, '') AS session_id, {_columns(derived)}, false AS is_withdrawn, received_at
FROM
(
    SELECT project_id, start_time, trace_id, span_id, session_id, received_at,
        arrayJoin(arrayConcat({_events()}, {_annotations()}, {_feedback()})) AS told
    FROM {source}
    WHERE has(event_names, {_EVENT}) OR mapContains(attributes, {literal(FEEDBACK_NAME)})
        OR multiSearchAny(arrayStringConcat(mapKeys(attributes)), [{marks}])
)
"""


def _events() -> str:
    return f"""
        arrayMap((m, n) -> ({_told("m")}, ['event', {_TRACE}, {_SPAN}, toString(n)], false),
            arrayFilter((m, name) -> name = {_EVENT}, event_attributes, event_names) AS results, arrayEnumerate(results))"""


def _annotations() -> str:
    """Those of a trace or session are repeated on its spans: one result by what they are about and where they stand."""
    name, value, label, comment, source, annotator = (
        f"attributes[concat(p, '{member}')]"
        for member in ("name", "score", "label", "explanation", "annotator_kind", "identifier")
    )
    about = f"multiIf(of_session, session_id, match(p, '^(trace|session)[.]'), {_TRACE}, concat({_TRACE}, {_SPAN}))"
    return f"""
        arrayMap((p, of_session) -> ('', {name}, {value}, {label}, {comment}, {source}, {annotator}, '',
                ['annotation', {about}, p, {name}, {annotator}], of_session),
            arrayDistinct(arrayFilter(p -> p != '', arrayMap(k -> extract(k, {literal(ANNOTATION_FIELD)}),
                CAST(mapKeys(attributes), 'Array(String)')))) AS prefixes,
            arrayMap(p -> startsWith(p, 'session.') AND session_id != '', prefixes))"""


def _feedback() -> str:
    name, comment = (f"attributes[{literal(key)}]" for key in (FEEDBACK_NAME, FEEDBACK_COMMENT))
    letter = "substring(attribute_types, indexOf(mapKeys(attributes), name), 1)"
    return f"""
        arrayMap((name, text, letter) -> ('', name, if(letter IN ('i', 'd', 'b'), text, ''), if(letter IN ('i', 'd'), '', text),
                {comment}, 'feedback', '', '', ['feedback', {_TRACE}, {_SPAN}, name], false),
            if({name} != '' AND endsWith(scope_name, {literal(FEEDBACK_SCOPE)}), [{name}], []) AS names,
            arrayMap(name -> attributes[name], names), arrayMap(name -> {letter}, names))"""
