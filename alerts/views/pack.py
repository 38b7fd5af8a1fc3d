"""The page that adds the ready-made rules."""

from __future__ import annotations

import logging

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from alerts.models import NotificationChannel
from alerts.rules.pack import DAILY_BUDGET_USD, USER_QUOTA_USD, add_pack, build_pack, find_missing, suggest_budgets
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.models import Project
from tracestore.web.requests import PageRequest

logger = logging.getLogger(__name__)


class PackForm(forms.Form):
    """What the rules of the pack cannot know of themselves; what is left out is suggested by the past."""

    daily_budget_usd = forms.FloatField(label="Budget of a day", min_value=0.01, max_value=1e9, required=False)
    user_quota_usd = forms.FloatField(label="Quota of a user and month", min_value=0.01, max_value=1e9, required=False)
    channels = forms.ModelMultipleChoiceField(
        NotificationChannel.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: object, project: Project, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        field: forms.ModelMultipleChoiceField[NotificationChannel] = self.fields["channels"]  # type: ignore[assignment]
        field.queryset = NotificationChannel.objects.filter(project=project)


@require_http_methods(["GET", "POST"])
def pack(request: PageRequest) -> HttpResponse:
    """POST adds the rules that are missing; with an empty body by what the past suggests and for all channels (`all` is "1")."""
    daily_usd, user_usd = _suggest(request.project)
    suggested = {"daily_budget_usd": daily_usd, "user_quota_usd": user_usd}
    channels = NotificationChannel.objects.filter(project=request.project, enabled=True)
    form = PackForm(request.POST or None, project=request.project, initial=suggested | {"channels": channels})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        chosen = channels if request.POST.get("all") == "1" else given["channels"]
        budgets = {name: given[name] or suggested[name] for name in suggested}
        add_pack(request.project, chosen, timezone.now(), **budgets)
        return redirect("alert-rule-list")
    missing = {item.slug for item in find_missing(request.project)}
    context = {"form": form, "items": [(item, item.slug in missing) for item in build_pack()], "missing": len(missing)}
    return render(request, "alerts/pack.html", context, status=422 if form.errors else 200)


def _suggest(project: Project) -> tuple[float, float]:
    try:
        return suggest_budgets(get_store(), project.pk, timezone.now())
    except StoreError as error:  # rules can be added without it
        logger.warning("no budgets could be suggested for project %s: %s", project.slug, error)
        return DAILY_BUDGET_USD, USER_QUOTA_USD
