"""Liveness and readiness for supervisors and load balancers; no login."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_safe

from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.liveness import find_stopped


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process is up."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Spans can be stored, summarised and read: 200, or 503 with the reasons why not."""
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
    return JsonResponse({"status": "unavailable" if reasons else "ok", "reasons": reasons}, status=503 if reasons else 200)
