"""The page of all projects: where each is, how long it keeps what it has, and making one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from dashboards.views.keys import user_of
from tracestore.models import Project
from tracestore.projects import in_this_project, make_project, root_of, set_retention_days
from tracestore.web.requests import PageRequest


class ProjectForm(forms.Form):
    """A project as it is typed; without a slug it is made of the name."""

    name = forms.CharField(max_length=128, error_messages={"required": "Give the project a name, such as Shop."})
    slug = forms.CharField(max_length=64, required=False)


class RetentionForm(forms.Form):
    """How many days a project keeps; empty as many as the server."""

    days = forms.IntegerField(required=False, error_messages={"invalid": "Give a whole number of days, or none."})


@require_http_methods(["GET", "POST"])
def project_list(request: PageRequest) -> HttpResponse:
    """The page; a new project leads to its own setup guide."""
    form = ProjectForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = make_project(form.cleaned_data["name"], form.cleaned_data["slug"], by=user_of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return HttpResponseRedirect(_address(made, "setup"))
    return _show(request, form)


@require_POST
def project_retention(request: PageRequest, project_id: int) -> HttpResponse:
    """Set how many days a project keeps."""
    project = get_object_or_404(Project, pk=project_id)
    form = RetentionForm(request.POST)
    if form.is_valid():
        try:
            set_retention_days(project, form.cleaned_data["days"], by=user_of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("project-list")
    return _show(request, ProjectForm(), {project.pk: form})


def _show(request: PageRequest, form: ProjectForm, refused: Mapping[int, RetentionForm] | None = None) -> HttpResponse:
    """The page, with what is wrong with a new project, or with the days of one (`refused`, by project id)."""
    refused = refused or {}
    projects = Project.objects.annotate(key_count=Count("keys")).order_by("pk")
    context = {
        "form": form,
        "rows": [_row(project, project.pk == request.project.pk, refused.get(project.pk)) for project in projects],
        "server_days": settings.RETENTION_DAYS,
    }
    return render(request, "dashboards/projects.html", context, status=422 if form.errors or refused else 200)


def _row(project: Project, is_open: bool, refused: RetentionForm | None) -> dict[str, Any]:
    return {
        "project": project,
        "is_open": is_open,
        "days": refused["days"].value() if refused else project.retention_days,
        "problems": refused.errors.get("days", []) if refused else [],
        "root": f"{root_of(project)}/",
        "traces": _address(project, "trace-list"),
        "keys": _address(project, "key-list"),
        "setup": _address(project, "setup"),
    }


def _address(project: Project, name: str) -> str:
    """Return the path of a page in that project, whichever the present request is about."""
    return root_of(project) + reverse(name).removeprefix(in_this_project(""))
