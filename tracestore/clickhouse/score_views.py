"""The generated views `spans` -> `scores` and `logs` -> `scores`: every evaluation result, whoever tells it and where.

The page of a trace reads the same from spans and records (dashboards/logs.py); a test compares both.
"""

from __future__ import annotations

from tracestore import semconv
from tracestore.clickhouse.lookups import literal

_EVENT = literal(semconv.EVALUATION_EVENT)
_TRACE, _SPAN = "lower(hex(trace_id))", "lower(hex(span_id))"
_PREFIX = f"extract(k, {literal(semconv.ANNOTATION_FIELD)})"
# What a result says, in the order of the tuples below.
_SAID = ("name", "value", "label", "comment", "source", "annotator", "error_type")
SCORE_COLUMNS = f"project_id, time, trace_id, span_id, session_id, id, {', '.join(_SAID)}, is_withdrawn, received_at"


def _number(text: str) -> str:
    """Return a text as a number, true and false as 1 and 0; NULL for any other text, NaN and infinities."""
    return f"multiIf({text} = 'true', 1., {text} = 'false', 0., isFinite(toFloat64OrNull({text})), toFloat64OrNull({text}), NULL)"


def _derived_id(*parts: str) -> str:
    """Return what names a result that has no id of its own, as semconv.derive_score_id does."""
    joined = f"arrayStringConcat([{', '.join(parts)}], char(31))"
    return f"substring(lower(hex(SHA256({joined}))), 1, {semconv.SCORE_ID_DIGITS})"


def _given_id(fields: str) -> str:
    return f"firstNonDefault({', '.join(f'{fields}[{literal(key)}]' for key in semconv.SCORE_IDS)}, '')"


def _said_by_event(fields: str) -> str:
    """Return what an event gen_ai.evaluation.result says, in the order of _SAID."""
    value, *others = (
        f"{fields}[{literal(key)}]"
        for key in (
            "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label", "gen_ai.evaluation.explanation",
            "gen_ai.evaluation.evaluator.source", semconv.SCORE_ANNOTATOR, "error.type",
        )
    )  # fmt: skip
    return ", ".join((f"{fields}['gen_ai.evaluation.name']", _number(value), *others))


def _columns(first: int) -> str:
    # Lists and maps are stored as bytes.
    return ", ".join(
        f"{f'told.{place}' if name == 'value' else f'toValidUTF8(told.{place})'} AS {name}"
        for place, name in enumerate(_SAID, first)
    )


def logs_to_scores(source: str = "logs") -> str:
    """Return the SELECT of `scores` from a table expression over `logs`."""
    return f"""
SELECT project_id, time, trace_id, span_id, session_id,
    if(given_id != '', toValidUTF8(given_id), leftPad(lower(hex(record_id)), 16, '0')) AS id,
    {_columns(1)}, attributes[{literal(semconv.SCORE_WITHDRAWN)}] = 'true' AS is_withdrawn, received_at
FROM
(
    SELECT *, {_given_id("attributes")} AS given_id, ({_said_by_event("attributes")}) AS told
    FROM {source}
    WHERE event_name = {_EVENT}
)
"""


def spans_to_scores(source: str = "spans") -> str:
    """Return the SELECT of `scores` from a table expression over `spans`.

    A result is told by an event, by OpenInference's annotations in attributes, or by a span of its own (Logfire's feedback).
    """
    return f"""
SELECT project_id, start_time AS time, if(told.1, toFixedString('', 16), trace_id) AS trace_id, span_id,
    if(told.1, session_id, '') AS session_id, toValidUTF8(told.2) AS id, {_columns(3)}, false AS is_withdrawn, received_at
FROM
(
    SELECT project_id, start_time, trace_id, span_id, session_id, received_at,
        arrayJoin(arrayConcat({_events()}, {_annotations()}, {_feedback()})) AS told
    FROM {source}
    WHERE has(event_names, {_EVENT})
        OR arrayExists(k -> k = {literal(semconv.FEEDBACK_NAME)} OR {_PREFIX} != '', mapKeys(attributes))
)
"""


def _events() -> str:
    derived = _derived_id("'event'", _TRACE, _SPAN, "toString(n)")
    return f"""
        arrayMap((m, n) -> (false, if({_given_id("m")} != '', {_given_id("m")}, {derived}), {_said_by_event("m")}),
            arrayFilter((m, name) -> name = {_EVENT}, event_attributes, event_names) AS results, arrayEnumerate(results))"""


def _annotations() -> str:
    """Those of a trace or session are repeated on its spans: one result by what they are about and where they stand."""
    said = {
        name: f"attributes[concat(p, '{name}')]"
        for name in ("name", "score", "label", "explanation", "annotator_kind", "identifier")
    }
    of_session = "startsWith(p, 'session.') AND session_id != ''"
    about = f"multiIf({of_session}, session_id, match(p, '^(trace|session)[.]'), {_TRACE}, concat({_TRACE}, {_SPAN}))"
    derived = _derived_id("'annotation'", about, "p", said["name"], said["identifier"])
    return f"""
        arrayMap(p -> ({of_session}, {derived}, {said["name"]}, {_number(said["score"])}, {said["label"]}, {said["explanation"]},
                {said["annotator_kind"]}, {said["identifier"]}, ''),
            arrayDistinct(arrayFilter(p -> p != '', arrayMap(k -> toString({_PREFIX}), mapKeys(attributes)))))"""


def _feedback() -> str:
    name = f"attributes[{literal(semconv.FEEDBACK_NAME)}]"
    value, letter = f"attributes[{name}]", f"substring(attribute_types, indexOf(mapKeys(attributes), {name}), 1)"
    comment = f"attributes[{literal(semconv.FEEDBACK_COMMENT)}]"
    return f"""
        arrayFilter(result -> result.3 != '' AND endsWith(scope_name, {literal(semconv.FEEDBACK_SCOPE)}),
            [(false, {_derived_id("'feedback'", _TRACE, _SPAN, name)}, {name},
                if({letter} IN ('i', 'd', 'b'), {_number(value)}, NULL), if({letter} IN ('i', 'd'), '', {value}), {comment},
                'feedback', '', '')])"""
