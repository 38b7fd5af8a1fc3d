"""The page of all projects: where each is, and making one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dashboards.views.keys import user_of
from tracestore.models import Project
from tracestore.projects import here, make_project, root_of
from tracestore.requests import PageRequest


class ProjectForm(forms.Form):
    """A project as it is typed; without a slug it is made of the name."""

    name = forms.CharField(max_length=128, error_messages={"required": "Give the project a name, such as Shop."})
    slug = forms.CharField(max_length=64, required=False)


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
    projects = Project.objects.annotate(key_count=Count("keys")).order_by("pk")
    context = {"form": form, "rows": [_row(project, project.pk == request.project.pk) for project in projects]}
    return render(request, "dashboards/projects.html", context, status=422 if form.errors else 200)


def _row(project: Project, is_open: bool) -> dict[str, Any]:
    return {
        "project": project,
        "is_open": is_open,
        "root": f"{root_of(project)}/",
        "traces": _address(project, "trace-list"),
        "keys": _address(project, "key-list"),
        "setup": _address(project, "setup"),
    }


def _address(project: Project, name: str) -> str:
    """Return the path of a page in that project, whichever the present request is about."""
    return root_of(project) + reverse(name).removeprefix(here(""))
