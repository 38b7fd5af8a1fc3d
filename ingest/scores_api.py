"""REST API that takes scores: what a person or an evaluator says about a trace, a step or a session. docs/api.md."""

from __future__ import annotations

import logging
import math
import re
import time
import uuid
from concurrent.futures import TimeoutError as NotYetStored
from typing import Any

from django.db import DatabaseError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingest.privacy import Cleaner
from ingest.scores import NewScore, build_export
from ingest.service import get_running_ingest
from ingest.spool import SpoolUnwritable
from tracestore.keys import extract_key, recall_key
from tracestore.masked import masked_counts
from tracestore.masking import BadRule, MaskingTooSlow
from tracestore.model import Signal
from tracestore.models import Project
from tracestore.privacy import find_policy
from tracestore.timerange import DAY_NS, TimeError, format_time_ns, parse_time_ns

log = logging.getLogger(__name__)

MAX_SCORES = 1000
_MAX_LABEL = 200
_STORED_WITHIN_S = 30.0
_EARLIEST_NS = 946_684_800 * 10**9  # 2000: what the store takes for a time


class _HexId(serializers.CharField):
    """A trace or span id in hex, in any case; not all zero."""

    def __init__(self, digits: int, **options: Any) -> None:
        super().__init__(**options)
        self._digits = digits

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data).lower()
        if text and (not re.fullmatch(f"[0-9a-f]{{{self._digits}}}", text) or not text.strip("0")):
            raise serializers.ValidationError(f"An id of {self._digits} hex digits, not all zero, is needed.")
        return text


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "boolean"}, {"type": "string", "maxLength": _MAX_LABEL}]})
class _Value(serializers.Field[Any, Any, Any, Any]):
    """A number, true or false, or the name of a category."""

    def to_internal_value(self, data: Any) -> float | bool | str:
        if isinstance(data, bool):
            return data
        if isinstance(data, str):
            label: str = serializers.CharField(max_length=_MAX_LABEL).run_validation(data)
            return label
        try:
            number = float(data)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise serializers.ValidationError("A score is a finite number, true, false, or the name of a category.")
        return number

    def to_representation(self, value: Any) -> Any:
        return value


class ScoreInput(serializers.Serializer[Any]):
    """One score of a trace (`trace_id`), of one of its steps (`span_id` too), or of a session (`session_id`)."""

    id = serializers.CharField(
        required=False, max_length=200, help_text="One that was sent before is replaced, within its trace or session."
    )
    trace_id = _HexId(32, required=False, allow_blank=True, default="")
    span_id = _HexId(16, required=False, allow_blank=True, default="")
    session_id = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000, trim_whitespace=False)
    name = serializers.CharField(max_length=200)
    value = _Value(help_text="true and false count as 1 and 0; a category has no number.")
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000, trim_whitespace=False)
    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name is allowed, if not in the stubs
        required=False, allow_blank=True, default="", max_length=200, help_text="What scored: `human`, `llm`, `code`, a model."
    )
    annotator = serializers.CharField(required=False, allow_blank=True, default="", max_length=200, help_text="Who scored.")
    time = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64,
        help_text="RFC 3339 or Unix nanoseconds; when the score was given. Default: now.",
    )  # fmt: skip

    def to_internal_value(self, data: Any) -> Any:
        """Refuses a misspelt field: what is ignored looks as if it were stored."""
        if isinstance(data, dict):
            for name in data.keys() - self.fields.keys():
                raise serializers.ValidationError(
                    {str(name)[:40]: [f"A score has no such field; it has {', '.join(self.fields)}."]}
                )
        return super().to_internal_value(data)

    def validate_time(self, text: str) -> int:
        now_ns = time.time_ns()
        try:
            time_ns = parse_time_ns(text, now_ns) if text else now_ns
        except TimeError as error:
            raise serializers.ValidationError(str(error)) from None
        if not _EARLIEST_NS <= time_ns <= now_ns + DAY_NS:
            raise serializers.ValidationError("A score was given between 2000 and tomorrow.")
        return time_ns

    def validate(self, attrs: Any) -> Any:
        if not attrs["trace_id"] and not attrs["session_id"]:
            raise serializers.ValidationError({"trace_id": ["Say what is scored: a trace_id or a session_id."]})
        if attrs["span_id"] and not attrs["trace_id"]:
            raise serializers.ValidationError({"span_id": ["A step is named by trace_id and span_id."]})
        return attrs


class ScoreListInput(serializers.Serializer[Any]):
    """Several scores, stored all or none."""

    scores = serializers.ListField(child=ScoreInput(), allow_empty=False, max_length=MAX_SCORES)


class ScoreOutput(serializers.Serializer[Any]):
    """A score as it was stored. `value` is null for a category, `label` is "" for a number."""

    id = serializers.CharField(source="score_id")
    trace_id = serializers.CharField()
    span_id = serializers.CharField()
    session_id = serializers.CharField()
    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    label = serializers.CharField()  # type: ignore[assignment]  # as in ScoreInput
    comment = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # as in ScoreInput
    annotator = serializers.CharField()
    time = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_time(self, score: NewScore) -> str:
        return format_time_ns(score.time_ns)


class ScoreListOutput(serializers.Serializer[Any]):
    results = ScoreOutput(many=True)


class Unavailable(exceptions.APIException):
    """Nothing can be stored now; the message says why."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = 2


def _build_score(given: dict[str, Any]) -> NewScore:
    value = given["value"]
    label = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else ""
    return NewScore(
        score_id=given.get("id") or uuid.uuid4().hex,
        value=None if isinstance(value, str) else float(value),
        label=label,
        time_ns=given["time"],
        **{name: given[name] for name in ("trace_id", "span_id", "session_id", "name", "comment", "source", "annotator")},
    )


class ScoreView(APIView):
    """Where scores are sent."""

    @extend_schema(
        operation_id="create_scores", tags=["scores"], summary="Score traces, steps or sessions",
        request=ScoreListInput, responses={201: ScoreListOutput},
        examples=[
            OpenApiExample(
                "A thumbs-up of a user",
                {"scores": [{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "name": "helpful", "value": True}]},
                request_only=True,
            )
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Answers once the scores are on stable storage: `{"scores": [...]}`, or a single score by itself."""
        is_list = isinstance(request.data, dict) and "scores" in request.data
        data = (ScoreListInput if is_list else ScoreInput)(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data["scores"] if is_list else [data.validated_data]
        scores = [_build_score(item) for item in given]
        _store(request, scores)
        return Response(ScoreListOutput({"results": scores}).data, status=status.HTTP_201_CREATED)


def _store(request: Request, scores: list[NewScore]) -> None:
    """Spool the scores as log records of the project, past its privacy rules. Raises Unavailable."""
    ingest = get_running_ingest()
    if ingest is None:
        raise Unavailable("This process stores nothing; send scores to the address that takes OTLP over HTTP.")
    if refusal := ingest.refusal():
        raise Unavailable(refusal)
    project: Project = request._request.project  # type: ignore[attr-defined]
    export = build_export(scores)
    try:
        policy = find_policy(project.pk)
    except (DatabaseError, BadRule):
        log.exception("scores: the privacy rules of project %d cannot be read", project.pk)
        raise Unavailable("The server cannot read the project's privacy rules now.") from None
    cleaner = Cleaner(policy) if policy is not None else None
    if cleaner:
        try:
            cleaner.clean(export)
        except MaskingTooSlow:
            raise serializers.ValidationError("The project's privacy rules take too long for this. Send fewer scores.") from None
    known, key_name = recall_key(extract_key({name.lower(): value for name, value in request.headers.items()}))
    stored = ingest.accept(
        project.pk, export.SerializeToString(), Signal.LOGS, ingest_key=key_name if known else "", spans=len(scores)
    )
    try:
        stored.result(_STORED_WITHIN_S)
    except SpoolUnwritable as error:
        raise Unavailable(str(error)) from None
    except NotYetStored:
        raise Unavailable("The disk takes too long. The scores may be stored: send them again with the same ids.") from None
    if cleaner:
        masked_counts.note(project.pk, cleaner.counts)
    ingest.count(Signal.LOGS, accepted=len(scores), rejected=0, message="")
