"""Dead letters on the data quality page: the list, and asking for a replay."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.service import get_running_ingest
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_SHOWN = 50


def _find(request: PageRequest) -> tuple[DeadLetters, list[DeadLetter]]:
    """Return the folder, and what of it belongs to the project that is looked at."""
    letters = DeadLetters(settings.DATA / "dead-letters")
    project_id = request.project.id
    return letters, [letter for letter in letters.find() if letter.project_id == project_id]


def _render(request: PageRequest, found: list[DeadLetter], status: int = 200, **context: Any) -> HttpResponse:
    newest = found[::-1][:_SHOWN]
    context |= {
        "letters": newest,
        "total": len(found),
        "hidden": len(found) - len(newest),
        "waiting": sum(letter.replay for letter in found),
        "replayable": sum(letter.is_request and not letter.replay for letter in found),
        "ingest_runs_here": get_running_ingest() is not None,
    }
    return render(request, "ingest/_dead_letters.html", context, status=status)


@fragment_of("data-quality", anchor="dead-letters")
@require_GET
def dead_letter_list(request: PageRequest) -> HttpResponse:
    """The fragment, newest refusal first; it reloads itself while a replay is under way."""
    return _render(request, _find(request)[1])


@require_POST
def dead_letter_replay(request: PageRequest) -> HttpResponse:
    """Ask for the replay of one (`name`) or of all (`all`): what `manage.py replay_dead_letters` does."""
    letters, found = _find(request)
    names = [letter.name for letter in found if letter.is_request]
    if "all" not in request.POST:
        names = [name for name in names if name == request.POST.get("name", "")]
        if not names:
            return _render(request, found, status=422, problem="There is no such dead letter any more: it was replayed.")
    for name in names:
        letters.request_replay(name)
    if not request.headers.get("HX-Request"):
        return redirect("data-quality")
    return _render(request, _find(request)[1])
