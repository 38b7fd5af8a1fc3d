"""Log records made ready for the trace page: rows, what they say about a step, and evaluation results. Pure.

Sources: OpenTelemetry's semantic conventions for exceptions and for GenAI events, Claude Code's and Codex's manuals of telemetry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboards.text import preview
from dashboards.trace.attributes import Attribute, attribute_text, build_attributes
from tracestore.content.values import decode_value, is_structured, to_text
from tracestore.language import format_filter, format_presence
from tracestore.model import LogRecord, Span, SpanEvent
from tracestore.semconv.scores import (
    ANNOTATION_FIELD,
    EVALUATION_EVENT,
    FEEDBACK_COMMENT,
    FEEDBACK_NAME,
    FEEDBACK_SCOPE,
    SCORE_ANNOTATOR,
    SCORE_IDS,
    SCORE_WITHDRAWN,
    derive_score_id,
)

_ANNOTATION = re.compile(ANNOTATION_FIELD)
_WARN, _ERROR = 13, 17  # SeverityNumber, from which on
_LEVELS = ((_ERROR, "error"), (_WARN, "warn"), (9, "info"), (5, "debug"), (1, "trace"))
# What tells most about a record that has no text of its own: first what speaks for itself, then what needs its name beside it.
_SAYING = (
    "exception.message", "error.message", "error", "gen_ai.evaluation.name", "gen_ai.evaluation.score.label", "prompt",
    "response", "content", "message",
)  # fmt: skip
_TELLING = (
    "tool_name", "gen_ai.tool.name", "decision", "success", "gen_ai.response.model", "model", "plugin.name", "status_code",
    "duration_ms",
)  # fmt: skip
_TELLING_COUNT = 4


@dataclass(frozen=True)
class LogRow:
    """One record. `offset_ns` counts from the start of the step or trace; `level` is "" when nothing tells it.

    `text` is the body unless the event's name says the same; Exceptions have a stack trace, or "".
    """

    record: LogRecord
    name: str
    level: str
    offset_ns: int
    summary: str
    text: str
    is_json: bool
    attributes: list[Attribute]
    exception_type: str
    exception_message: str
    stacktrace: str

    @property
    def key(self) -> str:
        """What names the record in an address: its time in ns and its id."""
        return f"{self.record.time_ns}-{self.record.record_id}"

    @property
    def is_exception(self) -> bool:
        return bool(self.exception_type or self.stacktrace)


@dataclass(frozen=True)
class Score:
    """One evaluation result. `value` is text as sent, "" when absent; `score_id` is what the API withdraws it by.

    `span_id` is the step that it was told of, "" for none; None for one of the whole trace or session that any step may repeat.
    """

    score_id: str
    name: str
    value: str
    label: str
    explanation: str
    evaluator: str
    error_type: str
    span_id: str | None

    @property
    def query(self) -> str:
        """What finds the traces with a score of this name."""
        return format_presence(self._field)

    @property
    def label_query(self) -> str:
        """What finds the traces with this label under this name."""
        return format_filter(self._field, self.label)

    @property
    def _field(self) -> str:
        return f"score.{self.name}" if self.name else "score"


def build_log_rows(records: Sequence[LogRecord], start_ns: int) -> list[LogRow]:
    """Return a row for each record, offsets from `start_ns`."""
    return [_row(record, start_ns) for record in records]


def _row(record: LogRecord, start_ns: int) -> LogRow:
    said = read_fields(record)
    body = "" if record.body is None else to_text(record.body)
    name = record.event_name
    text = "" if body == name else body
    is_json = is_structured(record.body)
    return LogRow(
        record=record,
        name=name,
        level=find_level(record),
        offset_ns=record.time_ns - start_ns,
        summary=(_summary(said) if is_json or not text else "") or preview(text),
        text=text,
        is_json=is_json,
        attributes=build_attributes("attribute", record.attributes, queryable=True),
        exception_type=attribute_text(said.get("exception.type")),
        exception_message=attribute_text(said.get("exception.message")),
        stacktrace=attribute_text(said.get("exception.stacktrace")),
    )


def read_fields(record: LogRecord) -> dict[str, Any]:
    """Return what a record says by name: its attributes, and the fields of its body, where older events have them."""
    body = decode_value(record.body)
    return {**body, **record.attributes} if isinstance(body, dict) else record.attributes


def find_level(record: LogRecord) -> str:
    """Return error, warn, info, debug or trace: by severity, else by what kind of event it is; "" when nothing tells."""
    if record.severity_number:
        return next(level for lowest, level in _LEVELS if record.severity_number >= lowest)
    said = read_fields(record)
    failed = said.get("success") in (False, "false") or any(said.get(key) for key in ("exception.type", "error.type", "error"))
    return "error" if failed or record.event_name.endswith("exception") else ""


def _summary(said: Mapping[str, Any]) -> str:
    found = [attribute_text(said[key])[:200] for key in _SAYING if said.get(key) not in (None, "")]
    found += [f"{key} {attribute_text(said[key])[:200]}" for key in _TELLING if said.get(key) not in (None, "")]
    return preview(" · ".join(found[:_TELLING_COUNT]))


def find_record_text(record: LogRecord, reference: str) -> str | None:
    """Return a text of a record whole: `body`, or `attribute:<key>` also of the fields of its body; None when there is none."""
    if reference == "body":
        return None if record.body is None else to_text(record.body)
    kind, _, key = reference.partition(":")
    said = read_fields(record)
    return attribute_text(said[key]) if kind == "attribute" and key in said else None


def as_span(span: Span, records: Sequence[LogRecord]) -> Span:
    """Return a span that has only what the records say, as its events: so content is read from both in the same way."""
    events = [SpanEvent(record.time_ns, record.event_name, read_fields(record), 0) for record in records if record.event_name]
    return replace(span, attributes={}, events=events)


def read_scores(span: Span | None, records: Sequence[LogRecord]) -> list[Score]:
    """Return the evaluation results in a span's events and attributes, and in log records; of equal ids the last one.

    One that was withdrawn is left out. clickhouse/views/score_views.py reads the same for metrics and lists.
    """
    scores = [*_event_scores(span), *_annotations(span), *_feedback(span)] if span is not None else []
    told = {score.score_id: score for score in scores}
    for record in sorted(records, key=lambda record: (record.time_ns, record.received_ns)):
        if record.event_name == EVALUATION_EVENT:
            said = read_fields(record)
            score = _score(said, _given_id(said) or record.record_id, record.span_id)
            # In its place, not at the end: a result keeps its place when it is changed.
            told[score.score_id] = score
            if attribute_text(said.get(SCORE_WITHDRAWN)) == "true":
                del told[score.score_id]
    return list(told.values())


def is_told_by(record: LogRecord, evaluation: str) -> bool:
    """True when the record is a result of the evaluation of this name."""
    return record.event_name == EVALUATION_EVENT and read_fields(record).get("gen_ai.evaluation.name") == evaluation


def _given_id(said: Mapping[str, Any]) -> str:
    return next((attribute_text(said[key]) for key in SCORE_IDS if said.get(key)), "")


def _event_scores(span: Span) -> list[Score]:
    ids = (span.summary.trace_id, span.summary.span_id)
    told = [event.attributes for event in span.events if event.name == EVALUATION_EVENT]
    return [
        _score(said, _given_id(said) or derive_score_id("event", *ids, str(number)), span.summary.span_id)
        for number, said in enumerate(told, 1)
    ]


def _annotations(span: Span) -> list[Score]:
    """Return the annotations and evaluations that OpenInference writes into attributes, those of trace and session too."""
    found: dict[str, dict[str, str]] = {}
    for key, value in span.attributes.items():
        if match := _ANNOTATION.fullmatch(key):
            text = f"{value:.4g}" if isinstance(value, float) else attribute_text(value)
            found.setdefault(match[1], {})[key.removeprefix(match[1])] = text
    scores = []
    for prefix, said in sorted(found.items(), key=lambda item: _order(item[0])):
        scope = prefix.partition(".")[0]
        about = {"trace": span.summary.trace_id, "session": span.summary.session_id or span.summary.trace_id}.get(
            scope, span.summary.trace_id + span.summary.span_id
        )
        names = ("name", "score", "label", "explanation", "annotator_kind", "identifier")
        name, value, label, explanation, kind, identifier = (said.get(part, "") for part in names)
        by = " ".join(filter(None, (f"of the {scope}" if scope in ("trace", "session") else "", kind, identifier)))
        score_id = derive_score_id("annotation", about, prefix, name, identifier)
        told_of = None if scope in ("trace", "session") else span.summary.span_id
        scores.append(Score(score_id, name, value, label, explanation, by, "", told_of))
    return scores


def _order(prefix: str) -> tuple[str, str, int]:
    """Return what sorts annotations: those of the step first, then by number."""
    *scope, noun, number, _, _ = prefix.split(".")
    return "".join(scope), noun, int(number)


def _feedback(span: Span) -> list[Score]:
    """Return what a feedback span of Logfire says of the step above it: a number, a verdict or a text."""
    name = attribute_text(span.attributes.get(FEEDBACK_NAME))
    if not name or not span.summary.scope_name.endswith(FEEDBACK_SCOPE):
        return []
    value = span.attributes.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = f"{value:.4g}" if isinstance(value, float) else attribute_text(value)
    comment = attribute_text(span.attributes.get(FEEDBACK_COMMENT))
    score_id = derive_score_id("feedback", span.summary.trace_id, span.summary.span_id, name)
    return [Score(score_id, name, text if number else "", "" if number else text, comment, "feedback", "", span.summary.span_id)]


def _score(values: Mapping[str, Any], score_id: str, span_id: str) -> Score:
    def text(name: str) -> str:
        value = values.get(f"gen_ai.evaluation.{name}")
        return f"{value:.4g}" if isinstance(value, float) else attribute_text(value)

    annotator = attribute_text(values.get(SCORE_ANNOTATOR))
    evaluator = " ".join(filter(None, (_name_evaluator(text("evaluator.source")), text("evaluator.version"), annotator)))
    error_type = attribute_text(values.get("error.type"))
    return Score(
        score_id, text("name"), text("score.value"), text("score.label"), text("explanation"), evaluator, error_type, span_id
    )


def _name_evaluator(source: str) -> str:
    """Return the name in a source as pydantic-evals writes it, a JSON object with all arguments; any other as it is."""
    specification = decode_value(source)
    name = specification.get("name") if isinstance(specification, dict) else None
    return name if isinstance(name, str) and name else source
