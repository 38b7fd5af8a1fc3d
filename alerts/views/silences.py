"""Silences and maintenance windows: list, editor, ending one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.models import Silence
from alerts.on_call_forms import SilenceForm
from alerts.requests import AlertRequest
from alerts.silences import end_silence, find_matching, list_silences
from alerts.views.incidents import actor_of

_SHOWN = 100


@require_GET
def silence_list(request: AlertRequest) -> HttpResponse:
    return render(request, "alerts/silence_list.html", {"rows": list_silences(request.project.pk, timezone.now())})


@require_http_methods(["GET", "POST"])
def silence_edit(request: AlertRequest, silence_id: int | None = None) -> HttpResponse:
    """The editor of a silence, or of a new one, whose matcher may arrive in the query string; below it what it suppressed."""
    silence = (
        get_object_or_404(Silence, pk=silence_id, project=request.project) if silence_id else Silence(project=request.project)
    )
    initial = {"matcher": request.GET.get("matcher", "")[:500]}
    form = SilenceForm(request.POST or None, silence=silence, now=timezone.now(), initial=initial)
    if request.method == "POST" and form.is_valid():
        form.save(actor_of(request))
        return redirect("silence-list")
    context: dict[str, Any] = {"form": form, "silence": silence if silence.pk else None}
    if silence.pk:
        context["suppressions"] = silence.suppressions.select_related("alert")[:_SHOWN]
    if "matcher" not in form.errors:
        context["matching"] = find_matching(request.project.pk, str(form["matcher"].value() or ""))[:_SHOWN]
    return render(request, "alerts/silence_edit.html", context, status=422 if form.errors else 200)


@require_POST
def silence_end(request: AlertRequest, silence_id: int) -> HttpResponse:
    end_silence(get_object_or_404(Silence, pk=silence_id, project=request.project), timezone.now())
    return redirect("silence-list")


@require_POST
def silence_delete(request: AlertRequest, silence_id: int) -> HttpResponse:
    get_object_or_404(Silence, pk=silence_id, project=request.project).delete()
    return redirect("silence-list")
