"""Searches of the trace list that are kept under a name: one's own, and those that others share."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, parse_qsl, urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet

from dashboards.search.query_string import MAX_QUERY_CHARACTERS, SearchRefused, parse_search
from dashboards.text import make_visible
from dashboards.trace_list.columns import find_unknown
from tracestore.models import Project, SavedView

Reader = User | AnonymousUser

MAX_NAME_CHARACTERS = 80
# Of one owner: a menu of more is no help.
MAX_VIEWS = 200
_KEPT = ("q", "start", "end", "sort", "cols")


class ViewRefused(ValueError):
    """A view that cannot be kept; the message says what to do."""


class NameTaken(ViewRefused):
    """The reader has a view of that name, which shows something else: `view`."""

    def __init__(self, view: SavedView) -> None:
        super().__init__(f"There is a view named {view.name} already.")
        self.view = view


def find_views(project: Project, reader: Reader) -> QuerySet[SavedView]:
    """Return what the reader may open, by name: own views, shared ones, and those of an instance without logins."""
    visible = Q(is_shared=True) | Q(owner=None) | Q(owner=reader.pk)
    return SavedView.objects.filter(visible, project=project).select_related("owner")


def find_own_views(project: Project, reader: Reader) -> QuerySet[SavedView]:
    """Return what the reader may rename and delete. What nobody owns is everybody's."""
    return SavedView.objects.filter(Q(owner=None) | Q(owner=reader.pk), project=project)


def save_view(
    project: Project, reader: Reader, name: str, querystring: str, *, is_shared: bool, replaces: bool = False
) -> SavedView:
    """Keep a search. Raises ViewRefused; of these NameTaken, unless it `replaces` one's own view of that name."""
    name, querystring = _read_name(name), clean_querystring(querystring)
    own = SavedView.objects.filter(project=project, owner=reader.pk)
    twin = own.filter(name=name).first()
    if twin is not None and twin.querystring != querystring and not replaces:
        raise NameTaken(twin)
    if own.exclude(name=name).count() >= MAX_VIEWS:
        raise ViewRefused(f"You have {MAX_VIEWS} views already. Delete one that nobody needs.")
    view, _ = SavedView.objects.update_or_create(
        project=project, owner_id=reader.pk, name=name, defaults={"querystring": querystring, "is_shared": is_shared}
    )
    return view


def change_view(view: SavedView, name: str, *, is_shared: bool, seen_name: str) -> None:
    """Rename a view that the reader saw as `seen_name`, share it or take it back. Raises ViewRefused."""
    name = _read_name(name)
    if view.name not in (seen_name, name):
        raise ViewRefused(
            f"The view {seen_name} has been renamed to {view.name} in the meantime. If {name} is better, change it again."
        )
    twins = SavedView.objects.filter(project=view.project_id, owner=view.owner_id, name=name).exclude(pk=view.pk)
    if twins.exists():
        raise ViewRefused(f"There is a view named {name} already. Choose another name, or delete that one first.")
    view.name, view.is_shared = name, is_shared
    view.save(update_fields=["name", "is_shared"])


def find_problems(view: SavedView) -> list[str]:
    """Say what of a view this version does not understand any more, a sentence each."""
    params = {name: values[-1] for name, values in parse_qs(view.querystring).items()}
    problems = []
    try:
        parse_search(params)
    except SearchRefused as refused:
        problems = [problem.message for problem in refused.draft.problems]
    columns, order = find_unknown(params)
    if columns:
        problems.append(f"There is no column {' nor '.join(columns)} any more: the others are shown.")
    if order:
        problems.append(f"The order {order} is none any more: the newest come first.")
    return problems


def clean_querystring(text: str) -> str:
    """Return the parts of a query string that describe a search, or raise ViewRefused when one is absurdly long."""
    try:
        pairs: Sequence[tuple[str, str]] = parse_qsl(text.removeprefix("?"), max_num_fields=50)
    except ValueError:
        raise ViewRefused("This address is not one of the trace list.") from None
    kept = {name: value for name, value in pairs if name in _KEPT}
    if any(len(value) > MAX_QUERY_CHARACTERS for value in kept.values()):
        raise ViewRefused(f"The query is longer than {MAX_QUERY_CHARACTERS:,} characters.")
    return urlencode(kept)


def _read_name(text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise ViewRefused("Give the view a name.")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ViewRefused(f"A name has at most {MAX_NAME_CHARACTERS} characters; this one has {len(name)}.")
    if make_visible(name) != name:
        raise ViewRefused("A name has no control characters.")
    return name
