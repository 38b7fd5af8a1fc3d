"""Liveness and readiness, for supervisors and load balancers (no login) and for the heartbeat."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.http import require_safe

from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.keys import DEFAULT_PROJECT_ID, extract_key, find_key
from tracestore.process.liveness import find_stopped
from tracestore.web.guessing import TooManyGuesses


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process is up."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Spans can be stored, summarised and read: 200, or 503 with the reasons why not.

    Strangers learn which part it is: what a database says of itself names addresses and users, and sometimes what was sent.
    """
    reasons = find_reasons(evaluation=False)
    if reasons and not _may_read_reasons(request):
        reasons = dict.fromkeys(reasons, "Not well. Send a key of the default project to read why.")
    return JsonResponse({"status": "unavailable" if reasons else "ok", "reasons": reasons}, status=503 if reasons else 200)


def _may_read_reasons(request: HttpRequest) -> bool:
    if not settings.KEY_REQUIRED and not settings.LOGIN_REQUIRED:
        return True
    key = extract_key({name.lower(): value for name, value in request.headers.items()})
    try:
        opened = find_key(key, request.META.get("REMOTE_ADDR", "")) if key is not None else None
    except (DatabaseError, TooManyGuesses):
        return False
    return opened is not None and opened.project_id == DEFAULT_PROJECT_ID


def find_reasons(*, evaluation: bool = True) -> dict[str, str]:
    """Return why this process does not do its work, by part; empty while all is well. With `evaluation`, of alert rules as well.

    A load balancer must not take the pages away because a rule is late.
    """
    reasons = {}
    try:
        get_store().query_rows("SELECT 1")
    except StoreError as error:
        reasons["clickhouse"] = str(error)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        reasons["database"] = str(error)
    ingest = import_string("ingest.service.get_running_ingest")()
    if ingest is not None:
        status = ingest.status()
        if status.refusal or status.drain_error:
            reasons["ingest"] = status.refusal or status.drain_error
    reasons |= find_stopped()
    if evaluation and "database" not in reasons:
        late = import_string("alerts.rules.lateness.find_late_rules")(timezone.now())
        if late:
            reasons["evaluation"] = late
    return reasons
