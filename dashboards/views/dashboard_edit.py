"""The editor of dashboards: a form that the server changes step by step, so that it needs neither a mouse nor a script."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboards.api.dashboard_serializers import PanelSerializer
from dashboards.panels.measures import HEADINGS, MEASURES, Measure
from dashboards.panels.own_dashboards import (
    MAX_METRICS,
    MAX_PANELS,
    DashboardRefused,
    Problem,
    check_panels,
    find_board,
    find_own_boards,
    save_board,
)
from dashboards.panels.panel import KINDS, OFFERED_GROUPINGS, Panel
from dashboards.views.dashboard import answer_panel, answer_tile
from tracestore.models import Dashboard
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_FIRST = Panel("", ("requests",))
PREVIEW_RANGES = {"now-1h": "Last hour", "now-24h": "Last 24 hours", "now-7d": "Last 7 days", "now-30d": "Last 30 days"}
_DEFAULT_RANGE = "now-24h"


@dataclass
class Draft:
    """A panel as it stands in the form. `key` names its fields and stays when it moves; `problems` is field -> message."""

    key: int
    title: str
    metrics: list[str]
    kind: str
    group_by: str
    query: str
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def key_text(self) -> str:
        """For templates, which join no number to a text."""
        return str(self.key)

    @property
    def offered_metrics(self) -> list[str]:
        """The chosen ones, and an empty one for another."""
        return [*self.metrics, ""] if len(self.metrics) < MAX_METRICS else self.metrics

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("title", "metrics", "kind", "group_by", "query")}


@require_http_methods(["GET", "POST"])
def dashboard_edit(request: PageRequest, slug: str = "") -> HttpResponse:
    """The editor of one of the reader's own, or of a new one; `from` names a dashboard to begin with."""
    stored = get_object_or_404(find_own_boards(request.project, request.user), slug=slug) if slug else None
    if request.method == "GET":
        return _render_first(request, stored)
    drafts = _read_drafts(request.POST)
    action, _, key = request.POST.get("do", "save").partition("-")
    if action != "save":
        _change(drafts, action, int(key) if key.isascii() and key.isdigit() and len(key) < 9 else -1)
        return _render(request, stored, drafts)
    try:
        board = save_board(
            request.project, request.user, stored=stored, name=request.POST.get("name", ""),
            panels=[draft.to_json() for draft in drafts], is_shared="shared" in request.POST,
        )  # fmt: skip
    except DashboardRefused as refused:
        return _render(request, stored, drafts, refused.problems)
    return redirect("dashboard", board.slug)


@require_POST
def dashboard_delete(request: PageRequest, slug: str) -> HttpResponse:
    """Delete one of the reader's own."""
    get_object_or_404(find_own_boards(request.project, request.user), slug=slug).delete()
    return redirect("dashboard", "overview")


@fragment_of("dashboard-new")
@require_GET
def dashboard_preview(request: PageRequest) -> HttpResponse:
    """One panel of the form as it would look: a frame that loads itself, or what is wrong."""
    drafts = _read_drafts(request.GET)
    if len(drafts) != 1:
        raise Http404("A preview is of one panel.")
    draft = drafts[0]
    context: dict[str, Any] = {"key": draft.key}
    try:
        (panel,) = check_panels([draft.to_json()])
    except DashboardRefused as refused:
        return render(request, "dashboards/_dashboard_preview.html", context | {"problems": refused.problems})
    parameters = {"definition": json.dumps(panel.to_json()), "start": _read_range(request.GET)}
    context |= {"panel": panel, "src": f"{reverse('dashboard-preview-panel')}?{urlencode(parameters)}"}
    return render(request, "dashboards/_dashboard_preview.html", context)


@fragment_of("dashboard-new")
@require_GET
def preview_panel(request: PageRequest) -> HttpResponse:
    """What a panel shows that is in no dashboard yet: `definition` is its JSON."""
    try:
        given = PanelSerializer(data=json.loads(request.GET.get("definition", "")))
        given.is_valid(raise_exception=False)
        (panel,) = check_panels([given.validated_data]) if not given.errors else (None,)
    except (ValueError, RecursionError):
        panel = None
    if panel is None:
        return JsonResponse({"error": {"message": "This is no panel that can be shown."}}, status=422)
    return answer_tile(request, panel) if panel.kind == "number" else answer_panel(request, panel)


def _render_first(request: PageRequest, stored: Dashboard | None) -> HttpResponse:
    if stored:
        panels: Iterable[dict[str, Any]] = stored.panels
        return _render(request, stored, [Draft(key, **panel) for key, panel in enumerate(panels)])
    source = find_board(request.project, request.user, request.GET.get("from", ""))
    panels = [panel.to_json() for panel in (source.panels if source else (_FIRST,))]
    drafts = [Draft(key, **panel) for key, panel in enumerate(panels)]
    return _render(request, None, drafts, name=f"{source.name} (copy)"[:80] if source else "")


def _render(
    request: PageRequest, stored: Dashboard | None, drafts: list[Draft], problems: Iterable[Problem] = (), name: str = ""
) -> HttpResponse:
    own_problems: dict[str, str] = {}
    for problem in problems:
        where = own_problems if problem.panel is None else drafts[problem.panel].problems
        where[problem.field] = problem.message + (f" Use {problem.suggestion}?" if problem.suggestion else "")
    is_posted = request.method == "POST"
    context = {
        "stored": stored,
        "name": request.POST.get("name", "") if is_posted else stored.name if stored else name,
        "is_shared": "shared" in request.POST if is_posted else bool(stored and stored.is_shared),
        "can_share": request.user.is_authenticated and (stored is None or stored.owner_id is not None),
        "drafts": drafts,
        "problems": own_problems,
        "is_refused": bool(problems),
        "kinds": KINDS,
        "groupings": OFFERED_GROUPINGS,
        "measures": _offered_measures(),
        "most_panels": MAX_PANELS,
        "ranges": PREVIEW_RANGES,
        "range": _read_range(request.POST),
    }
    return render(request, "dashboards/dashboard_edit.html", context, status=422 if problems else 200)


def _offered_measures() -> list[tuple[str, list[Measure]]]:
    """(heading, measures), by unit."""
    units = dict.fromkeys([*HEADINGS, *(measure.unit for measure in MEASURES.values())])
    found = [(HEADINGS.get(unit, unit.capitalize()), [one for one in MEASURES.values() if one.unit == unit]) for unit in units]
    return [(heading, measures) for heading, measures in found if measures]


def _read_drafts(form: QueryDict) -> list[Draft]:
    """Return the panels of the form in their order."""
    keys = list(dict.fromkeys(key for key in form.getlist("panel") if key.isascii() and key.isdigit() and len(key) < 9))
    return [
        Draft(
            int(key),
            title=form.get(f"title-{key}", ""),
            metrics=[name for name in form.getlist(f"metric-{key}") if name],
            kind=form.get(f"kind-{key}", "line"),
            group_by=form.get(f"group_by-{key}", ""),
            query=form.get(f"query-{key}", ""),
        )
        for key in keys[: MAX_PANELS + 1]
    ]


def _read_range(form: QueryDict) -> str:
    chosen = form.get("range", "")
    return chosen if chosen in PREVIEW_RANGES else _DEFAULT_RANGE


def _change(drafts: list[Draft], action: str, key: int) -> None:
    """Add a panel, or copy, move or remove the one with `key`; what cannot be done is not done."""
    fresh = max((draft.key for draft in drafts), default=-1) + 1
    place = next((at for at, draft in enumerate(drafts) if draft.key == key), None)
    if action == "add" and len(drafts) < MAX_PANELS:
        drafts.append(Draft(fresh, **_FIRST.to_json()))
    if place is None:
        return
    if action == "remove":
        del drafts[place]
    elif action == "copy" and len(drafts) < MAX_PANELS:
        drafts.insert(place + 1, Draft(fresh, **drafts[place].to_json()))
    elif action == "up" and place:
        drafts.insert(place - 1, drafts.pop(place))
    elif action == "down":
        drafts.insert(place + 1, drafts.pop(place))
