"""The page of a project's keys: what there is, making one, taking one back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from dashboards.templatetags.formatting import ago
from dashboards.views.setup import build_setup
from tracestore.keys import DEFAULT_PROJECT_ID, make_key, revoke_keys
from tracestore.models import IngestKey
from tracestore.timerange import ns_of
from tracestore.web.requests import PageRequest


class KeyForm(forms.Form):
    """A name is all that a key is asked for: it opens its project, whole and alone."""

    name = forms.CharField(max_length=128, error_messages={"required": "Say who uses the key: an agent, a pipeline, a person."})


def user_of(request: PageRequest) -> str:
    """Return who makes a change, for lists and the log; where nobody logs in, that it was made in a browser."""
    return request.user.get_username() if request.user.is_authenticated else "browser"


@require_http_methods(["GET", "POST"])
def key_list(request: PageRequest) -> HttpResponse:
    """The page, or the answer to a new key: the key itself, which is shown nowhere else."""
    form = KeyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            key, secret = make_key(request.project, form.cleaned_data["name"], by=user_of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            # The answer itself shows it, without a redirect: it must be kept nowhere on its way to the page.
            response = render(request, "dashboards/key_made.html", {"key": key, "secret": secret, "setup": build_setup(request)})
            response["Cache-Control"] = "no-store"
            return response
    is_default = request.project.pk == DEFAULT_PROJECT_ID
    context = {
        "form": form,
        "rows": [_row(key) for key in IngestKey.objects.filter(project=request.project).order_by("name", "pk")],
        "key_required": settings.KEY_REQUIRED,
        "is_default": is_default,
        "has_api_key": is_default and bool(settings.API_KEY),
        "has_password": is_default and bool(settings.ADMIN_PASSWORD),
    }
    return render(request, "dashboards/keys.html", context, status=422 if form.errors else 200)


@require_POST
def key_revoke(request: PageRequest, key_id: int) -> HttpResponse:
    """Take a key back. One that is gone already, as after a second click, needs no more."""
    revoke_keys(IngestKey.objects.filter(project=request.project, pk=key_id), by=user_of(request))
    return redirect("key-list")


def _row(key: IngestKey) -> dict[str, Any]:
    """Return the key with the time of its last use (ns, None for none) and what to ask before it is revoked."""
    used_ns = ns_of(key.last_used_at) if key.last_used_at else None
    used = f"It was last used {ago(used_ns)}." if used_ns else "No use of it is known."
    if settings.KEY_REQUIRED:
        stops = "What still presents it is refused within a second: exporters get 401 and drop what they send."
    else:
        stops = "What still presents it counts as sent without a key from then on: no key is demanded here."
    return {"key": key, "used_ns": used_ns, "question": f"Revoke the key {key.name}? {used} {stops}"}
