"""REST API of scores: what a person or an evaluator says about a trace, a step or a session. docs/api.md."""

from __future__ import annotations

import logging
import math
import os
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import TimeoutError as NotYetStored
from dataclasses import replace
from functools import cache, partial
from itertools import count
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingest.privacy import Cleaner
from ingest.scores import build_export
from ingest.service import Ingest, get_running_ingest
from ingest.spool.queue import SpoolUnwritable
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch, stamp
from tracestore.keys import extract_key, recall_key
from tracestore.model import Score, Signal
from tracestore.privacy.counts import masked_counts
from tracestore.privacy.masking import BadRule, MaskingTooSlow
from tracestore.privacy.policy import find_policy
from tracestore.process import telemetry
from tracestore.queries.paging import read_cursor
from tracestore.queries.scores import find_scores, find_scores_of_id
from tracestore.timerange import DAY_NS, NS_PER_S, TimeError, TimeRange, format_time_ns, parse_time_ns
from tracestore.web.rest import StrictSerializer, checked, next_page_url, project_of

log = logging.getLogger(__name__)

MAX_SCORES = 1000
_MAX_LABEL = 200
_STORED_WITHIN_S = 30.0
_QUERYABLE_WITHIN_S = 10.0
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


class ScoreInput(StrictSerializer):
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
    def get_time(self, score: Score) -> str:
        return format_time_ns(score.time_ns)


class ScoreListOutput(serializers.Serializer[Any]):
    results = ScoreOutput(many=True)


class ScorePageOutput(ScoreListOutput):
    next = serializers.URLField(allow_null=True)


class ScoreParameters(StrictSerializer):
    """Which scores are listed."""

    trace_id = _HexId(32, required=False, allow_blank=True, default="", help_text="Of a trace and its steps.")
    session_id = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=1000, trim_whitespace=False, help_text="Of a session as a whole."
    )
    name = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=200, help_text="Of one evaluation, such as `helpful`."
    )
    start = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64,
        help_text="Included: when the score was given. Default: 24 hours before `end`; of a trace or session all of them.",
    )  # fmt: skip
    end = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64, help_text="Not included. Default: tomorrow."
    )
    limit = serializers.IntegerField(
        required=False, default=50, min_value=1, max_value=MAX_SCORES, help_text="Items on one page."
    )
    cursor = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=20_000,
        help_text="That of `next` of the page before, or all of `next`. Goes with the same other parameters.",
    )  # fmt: skip

    def validate(self, attrs: Any) -> Any:
        """Returns `time_range` in place of `start` and `end`."""
        now_ns, times = time.time_ns(), {}
        for name in ("start", "end"):
            try:
                times[name] = parse_time_ns(attrs[name], now_ns) if attrs[name] else None
            except TimeError as error:
                raise serializers.ValidationError({name: [f"{error}."]}) from None
        # A score may be given as of a day ahead.
        end_ns = times["end"] if times["end"] is not None else now_ns + DAY_NS + NS_PER_S
        first_ns = 0 if attrs["trace_id"] or attrs["session_id"] else max(0, min(end_ns, now_ns) - DAY_NS)
        try:
            attrs["time_range"] = TimeRange(first_ns if times["start"] is None else times["start"], end_ns)
        except TimeError:
            raise serializers.ValidationError({"start": ["`start` must lie before `end`."]}) from None
        return attrs


class Unavailable(exceptions.APIException):
    """Nothing can be stored now; the message says why."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = 2


def _build_score(given: dict[str, Any]) -> Score:
    value = given["value"]
    label = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else ""
    return Score(
        score_id=given.get("id") or uuid.uuid4().hex,
        value=None if isinstance(value, str) else float(value),
        label=label,
        time_ns=given["time"],
        **{name: given[name] for name in ("trace_id", "span_id", "session_id", "name", "comment", "source", "annotator")},
    )


class ScoreView(APIView):
    """Where scores are sent and listed."""

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
        data = checked((ScoreListInput if is_list else ScoreInput)(data=request.data))
        given = data["scores"] if is_list else [data]
        scores = [_build_score(item) for item in given]
        _refuse_repeated(scores)
        _store(request, scores)
        return Response(ScoreListOutput({"results": scores}).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="list_scores", tags=["scores"], summary="List scores", parameters=[ScoreParameters],
        responses={200: ScorePageOutput},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Those that count, newest first, whoever sent them and how; one that was replaced or withdrawn is left out."""
        given = checked(ScoreParameters(data=request.query_params))
        page = find_scores(
            get_store(), project_id=project_of(request).pk, cursor=read_cursor(given["cursor"]),
            **{name: given[name] for name in ("time_range", "trace_id", "session_id", "name", "limit")},
        )  # fmt: skip
        times = {"start": str(given["time_range"].start_ns), "end": str(given["time_range"].end_ns)}
        following = next_page_url(request, cursor=page.next_cursor, **times) if page.next_cursor else None
        return Response({"results": ScoreOutput(page.items, many=True).data, "next": following})


class ScoreDetailView(APIView):
    """Where one score is withdrawn."""

    @extend_schema(operation_id="withdraw_score", tags=["scores"], summary="Withdraw a score", responses={204: None})
    def delete(self, request: Request, score_id: str) -> Response:
        """It counts no more, in whichever trace or session it has this id; the log records that told it stay."""
        ingest = _find_ingest()
        # What was acknowledged may not be stored yet: without this a score withdrawn at once would stay.
        if ingest is not None and not ingest.wait_until_stored(_QUERYABLE_WITHIN_S):
            raise Unavailable("Scores that were sent before are not stored yet, so this one cannot be looked up now.")
        found = find_scores_of_id(get_store(), project_id=project_of(request).pk, score_id=score_id)
        if not found:
            raise Http404("There is no score with this id, or it is withdrawn already.")
        # At the time of what it takes away: it is found wherever that would be, and comes after it by arrival.
        _store(request, [replace(score, value=None, label="", comment="", is_withdrawn=True) for score in found], is_new=False)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _refuse_repeated(scores: list[Score]) -> None:
    """Raises ValidationError when two scores of one request would replace each other: which one is meant to count?"""
    seen = set()
    for place, score in enumerate(scores):
        about = (score.trace_id or f"session {score.session_id}", score.score_id)
        if about in seen:
            raise serializers.ValidationError({"scores": {str(place): {"id": ["The same id stands twice in this request."]}}})
        seen.add(about)


def _find_ingest() -> Ingest | None:
    """Return the ingest of this process, None where there is none and a ClickHouse server takes scores. Raises Unavailable."""
    ingest = get_running_ingest()
    if ingest is None:
        if not settings.CLICKHOUSE_URL:  # the embedded engine loses what it has not written out yet: that needs the spool
            raise Unavailable("This process stores nothing; send scores to the address that takes OTLP over HTTP.")
        return None
    if refusal := ingest.refusal():
        raise Unavailable(refusal)
    return ingest


def _store(request: Request, scores: list[Score], *, is_new: bool = True) -> None:
    """Store the scores as log records of the project, new ones past its privacy rules. Raises Unavailable."""
    ingest, project = _find_ingest(), project_of(request)
    export = build_export(scores)
    try:
        policy = find_policy(project.pk)
    except (DatabaseError, BadRule):
        log.exception("scores: the privacy rules of project %d cannot be read", project.pk)
        raise Unavailable("The server cannot read the project's privacy rules now.") from None
    # What stands in the store already has passed them, and an id must stay the same.
    cleaner = Cleaner(policy) if policy is not None and is_new else None
    if cleaner:
        try:
            cleaner.clean(export)
        except MaskingTooSlow:
            raise serializers.ValidationError("The project's privacy rules take too long for this. Send fewer scores.") from None
    known, key_name = recall_key(extract_key({name.lower(): value for name, value in request.headers.items()}))
    write = _insert if ingest is None else partial(_spool, ingest)
    write(project.pk, export.SerializeToString(), key_name if known else "", len(scores))
    if cleaner:
        masked_counts.note(project.pk, cleaner.counts)
        if ingest is None:  # no thread writes them
            masked_counts.flush()


@cache
def _writer(process_id: int) -> tuple[str, Iterator[int]]:
    """Return what names the inserts of this process, and their numbers: a fork must not go on with those of its parent."""
    return f"scores-{process_id}-{uuid.uuid4().hex}", count(1)


def _spool(ingest: Ingest, project_id: int, payload: bytes, ingest_key: str, scores: int) -> None:
    """Keep the scores on stable storage; they are in the store soon. Raises Unavailable."""
    stored = ingest.accept(project_id, payload, Signal.LOGS, ingest_key=ingest_key, spans=scores)
    try:
        stored.result(_STORED_WITHIN_S)
    except SpoolUnwritable as error:
        raise Unavailable(str(error)) from None
    except NotYetStored:
        raise Unavailable("The disk takes too long. The scores may be stored: send them again with the same ids.") from None
    ingest.count(Signal.LOGS, accepted=scores, rejected=0, message="")


def _insert(project_id: int, payload: bytes, ingest_key: str, scores: int) -> None:
    """Insert the scores into the ClickHouse server, without a spool: a person waits for the answer. Raises Unavailable."""
    record = (project_id, time.time_ns(), stamp(payload, ingest_key=ingest_key, spans=scores))
    writer, batch_seqs = _writer(os.getpid())
    try:
        insert_batch(get_store(), [record], signal=Signal.LOGS, writer=writer, batch_seq=next(batch_seqs))
    except StoreUnavailable as error:
        raise Unavailable(f"The scores may not be stored, send them again with the same ids: {error}") from None
    telemetry.LOG_RECORDS.labels("accepted").inc(scores)
