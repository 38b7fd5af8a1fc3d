"""Silences and maintenance windows: list, editor, ending one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.forms.silences import SilenceForm
from alerts.models import Silence
from alerts.on_call.silences import end_silence, find_matching, list_silences
from alerts.views.editing import answer_editor, delete_one, find_or_new
from alerts.views.incidents import actor_of
from tracestore.web.requests import PageRequest

_SHOWN = 100


@require_GET
def silence_list(request: PageRequest) -> HttpResponse:
    return render(request, "alerts/silence_list.html", {"rows": list_silences(request.project.pk, timezone.now())})


@require_http_methods(["GET", "POST"])
def silence_edit(request: PageRequest, silence_id: int | None = None) -> HttpResponse:
    """The editor of a silence, or of a new one, whose matcher may arrive in the query string; below it what it suppressed."""
    silence = find_or_new(request, Silence, silence_id)
    initial = {"matcher": request.GET.get("matcher", "")[:500]}
    form = SilenceForm(request.POST or None, silence=silence, now=timezone.now(), initial=initial)
    context: dict[str, Any] = {"silence": silence if silence.pk else None}
    if silence.pk:
        context["suppressions"] = silence.suppressions.select_related("alert")[:_SHOWN]
    if "matcher" not in form.errors:
        context["matching"] = find_matching(request.project.pk, str(form["matcher"].value() or ""))[:_SHOWN]
    return answer_editor(request, form, lambda: form.save(actor_of(request)), "alerts/silence_edit.html", context, "silence-list")


@require_POST
def silence_end(request: PageRequest, silence_id: int) -> HttpResponse:
    end_silence(get_object_or_404(Silence, pk=silence_id, project=request.project), timezone.now())
    return redirect("silence-list")


@require_POST
def silence_delete(request: PageRequest, silence_id: int) -> HttpResponse:
    return delete_one(request, Silence, silence_id, "silence-list")
