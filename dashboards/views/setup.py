"""The setup guide: how to point an exporter at this instance, and noticing that one was."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from tracestore.clickhouse.client import Store, get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.keys import DEFAULT_PROJECT_ID
from tracestore.language import Query, parse_query
from tracestore.model import TraceSummary
from tracestore.projects import root_of
from tracestore.queries.traces import find_traces, has_any_trace
from tracestore.timerange import DAY_NS, TimeRange
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# "Ever", for a list that is read in windows: far enough back for any agent, and ahead for clocks that run fast.
_PAST_NS, _FUTURE_NS = 5 * 365 * DAY_NS, 2 * DAY_NS


@dataclass(frozen=True)
class Setup:
    """What the guide fills in: addresses as this browser reaches them, and whether exporters need a key.

    Without a key the addresses name the project; over gRPC only a key does. `project_slug` is "" for the default project.
    """

    endpoint: str
    otlp_endpoint: str
    grpc_endpoint: str
    key_required: bool
    project_slug: str
    key_header: str

    @property
    def traces_url(self) -> str:
        return f"{self.endpoint}/v1/traces"


def build_setup(request: PageRequest) -> Setup:
    """Take the address from the request, which is known to work, not from the settings, which may name the bind address."""
    here = f"{request.scheme}://{request.get_host()}"
    host = urlsplit(here).hostname or "localhost"
    bracketed = f"[{host}]" if ":" in host else host
    root = "" if settings.KEY_REQUIRED else root_of(request.project)
    return Setup(
        endpoint=f"{here}{root}",
        otlp_endpoint=f"http://{bracketed}:{settings.OTLP_HTTP_PORT}{root}",
        grpc_endpoint=f"http://{bracketed}:{settings.OTLP_GRPC_PORT}",
        key_required=settings.KEY_REQUIRED,
        project_slug="" if request.project.pk == DEFAULT_PROJECT_ID else request.project.slug,
        key_header="x-api-key=YOUR_KEY",
    )


@require_GET
def setup(request: PageRequest) -> HttpResponse:
    """The guide as a page of its own: to add another agent later."""
    try:
        has_traces = has_any_trace(get_store(), project_id=request.project.id)
    except StoreError:
        has_traces = False
    return render(request, "dashboards/setup.html", {"setup": build_setup(request), "has_traces": has_traces})


@fragment_of("setup")
@require_GET
def setup_arrived(request: PageRequest) -> HttpResponse:
    """Polled by the guide until the first trace is there, then sends the browser to the list, with a range that holds it."""
    try:
        newest = find_newest_trace(get_store(), project_id=request.project.id, query=parse_query(""))
    except StoreError:
        newest = None
    if newest is None:
        return HttpResponse(status=204)
    now_ns = time.time_ns()
    start = "" if now_ns - DAY_NS < newest.start_ns < now_ns else "&start=now-30d"
    return HttpResponse(headers={"HX-Redirect": f"{reverse('trace-list')}?arrived=1{start}"})


def find_newest_trace(store: Store, *, project_id: int, query: Query) -> TraceSummary | None:
    """Return the newest trace of any time that matches, None when there is none. Raises StoreError."""
    if not has_any_trace(store, project_id=project_id):
        return None
    found = find_traces(store, project_id=project_id, time_range=ever(), query=query, limit=1).items
    return found[0] if found else None


def ever() -> TimeRange:
    """Return a range that holds whatever an agent may have sent."""
    now_ns = time.time_ns()
    return TimeRange(now_ns - _PAST_NS, now_ns + _FUTURE_NS)
