"""The page of all projects: where each is, how long it keeps what it has, and making one; and that of one: its name, its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Count, Q
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from dashboards.views.keys import user_of
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.clickhouse.removal import count_rows
from tracestore.jobs.removal import delete_project
from tracestore.keys import DEFAULT_PROJECT_ID
from tracestore.models import Project, Removal
from tracestore.projects import in_this_project, make_project, rename_project, root_of, set_retention_days
from tracestore.web.requests import PageRequest


class ProjectForm(forms.Form):
    """A project as it is typed; without a slug it is made of the name."""

    name = forms.CharField(max_length=128, error_messages={"required": "Give the project a name, such as Shop."})
    slug = forms.CharField(max_length=64, required=False)


class RetentionForm(forms.Form):
    """How many days a project keeps; empty as many as the server."""

    days = forms.IntegerField(required=False, error_messages={"invalid": "Give a whole number of days, or none."})


class NameForm(forms.Form):
    """What a project is called."""

    name = forms.CharField(max_length=128, error_messages={"required": "A project has a name, such as Shop."})


class DeletionForm(forms.Form):
    """The slug of the project that is to go, typed to confirm it."""

    slug = forms.CharField(required=False)


# Heading of the confirmation -> the table whose rows are counted, or how the project's rows of the relational database are named.
_STORED = {"traces": "traces", "spans": "spans", "log records": "logs", "scores": "scores"}
_KEPT = {
    "keys": "keys", "alert rules": "alert_rules", "channels": "notification_channels", "incidents": "incidents",
    "dashboards": "dashboards", "saved views": "saved_views", "own prices": "model_prices", "mapping rules": "mapping_rules",
}  # fmt: skip
_TOLD_FOR = timedelta(days=7)


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


@require_http_methods(["GET", "POST"])
def project_detail(request: PageRequest, project_id: int) -> HttpResponse:
    """The page of one project; a post renames it."""
    project = get_object_or_404(Project, pk=project_id)
    form = NameForm(request.POST if request.method == "POST" else {"name": project.name})
    if request.method == "POST" and form.is_valid():
        try:
            rename_project(project, form.cleaned_data["name"], by=user_of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("project-list")
    return _show_one(request, project, form, DeletionForm())


@require_POST
def project_delete(request: PageRequest, project_id: int) -> HttpResponse:
    """Delete a project whose slug was typed, and go to the list in the default one: this one may have been open."""
    project = get_object_or_404(Project, pk=project_id)
    deletion = DeletionForm(request.POST)
    if deletion.is_valid():
        try:
            delete_project(project, typed=deletion.cleaned_data["slug"], by=user_of(request))
        except ValidationError as error:
            deletion.add_error(None if project.pk == DEFAULT_PROJECT_ID else "slug", error.messages[0])
        else:
            return HttpResponseRedirect(_address(Project.objects.get(pk=DEFAULT_PROJECT_ID), "project-list"))
    return _show_one(request, project, NameForm({"name": project.name}), deletion)


def _show_one(request: PageRequest, project: Project, form: NameForm, deletion: DeletionForm) -> HttpResponse:
    context = {
        "project": project,
        "form": form,
        "deletion": deletion,
        "is_default": project.pk == DEFAULT_PROJECT_ID,
        "contents": _count_contents(project),
        "key_required": settings.KEY_REQUIRED,
    }
    return render(request, "dashboards/project.html", context, status=422 if form.errors or deletion.errors else 200)


def _count_contents(project: Project) -> list[tuple[str, int | None]]:
    """Return what a project has, in words and numbers; None where the store cannot be asked."""
    rows: dict[str, int] = {}
    with suppress(StoreError):
        rows = count_rows(get_store(), project.pk)
    stored = [(words, rows.get(table)) for words, table in _STORED.items()]
    return [*stored, *((words, getattr(project, name).count()) for words, name in _KEPT.items())]


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
        "removals": Removal.objects.filter(~Q(status=Removal.Status.DONE) | Q(ended_at__gt=timezone.now() - _TOLD_FOR)).order_by(
            "-pk"
        ),
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
