"""Parts of pages have addresses of their own. Whoever opens one of them in a browser gets the page that holds the part."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.vary import vary_on_headers

View = Callable[..., HttpResponseBase]


def fragment_of(page: str, *ids: str, anchor: str = "", **added: str) -> Callable[[View], Any]:
    """Decorate a view that answers with a part of the page named `page`.

    `ids` are the parameters of the path that the page's path has, too. `added` are parameters of the query that restore the view,
    in which `{name}` stands for a parameter of the path; those of the request are kept. `anchor` is where the part stands.
    """

    def decorate(view: View) -> View:
        @vary_on_headers("Accept", "HX-Request")  # one URL, two answers: caches must not mix them
        @wraps(view)
        def answer(request: HttpRequest, **path: object) -> HttpResponseBase:
            if not _is_opened(request):
                return view(request, **path)
            query = request.GET.copy()
            for name, value in added.items():
                query[name] = value.format(**path)
            target = reverse(page, kwargs={name: path[name] for name in ids})
            return HttpResponseRedirect(f"{target}{'?' if query else ''}{query.urlencode()}{'#' if anchor else ''}{anchor}")

        return answer

    return decorate


def _is_opened(request: HttpRequest) -> bool:
    """Scripts of pages ask for anything; a browser that opens an address names HTML first."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "") and "HX-Request" not in request.headers
