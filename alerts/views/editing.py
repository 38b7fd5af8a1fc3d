"""What lists and editors of one shape have in common: a page of a list, and making, changing and deleting one of a project's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render

from tracestore.web.requests import PageRequest

PAGE_SIZE = 30
_Kind = TypeVar("_Kind", bound=Model)


def find_page(request: PageRequest, found: QuerySet[_Kind]) -> Page[_Kind]:
    """Return the page that the address asks for (`?page=`); of a number that is none the first or the last."""
    return Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))


def find_or_new(request: PageRequest, kind: type[_Kind], pk: int | None) -> _Kind:
    """Return the project's own, or an unsaved one without `pk`. Raises Http404."""
    return get_object_or_404(kind, pk=pk, project=request.project) if pk else kind(project=request.project)


def answer_editor(
    request: PageRequest, form: forms.BaseForm, save: Callable[[], object], page: str, context: dict[str, Any], listed_at: str
) -> HttpResponse:
    """Save what is valid and go to the list (the name of its URL), or show the editor with what is wrong."""
    if request.method == "POST" and form.is_valid():
        save()
        return redirect(listed_at)
    return render(request, page, context | {"form": form}, status=422 if form.errors else 200)


def delete_one(request: PageRequest, kind: type[_Kind], pk: int, listed_at: str) -> HttpResponseRedirect:
    get_object_or_404(kind, pk=pk, project=request.project).delete()
    return redirect(listed_at)
