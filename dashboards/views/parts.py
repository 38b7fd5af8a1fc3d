"""What the views of a part of a trace share: what they do when the store cannot answer, and a text as it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from tracestore.clickhouse.errors import StoreError
from tracestore.web.requests import PageRequest

LOG_LIMIT = 100  # records; the page shows the first ones and says so
View = Callable[..., HttpResponseBase]


def part_view(view: View) -> View:
    """Decorate a view of a step, a record or a tab: GET only, ids in lower case, 503 and why when the store cannot answer."""

    @require_GET
    @wraps(view)
    def guarded(request: PageRequest, **ids: str) -> HttpResponseBase:
        try:
            return view(request, **{name: value.lower() for name, value in ids.items()})
        except StoreError as error:
            return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)

    return guarded


def answer_text(text: str | None) -> HttpResponse:
    """Answer a text as it was sent, 404 for None."""
    if text is None:
        return HttpResponse("There is no such text.", content_type="text/plain; charset=utf-8", status=404)
    return HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
