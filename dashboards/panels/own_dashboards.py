"""Dashboards that people make: one's own, and those that others share. What may stand in one is decided here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from dashboards.panels.builtin import BUILT_IN
from dashboards.panels.measures import MEASURES, find_measure
from dashboards.panels.panel import KINDS, OFFERED_GROUPINGS, Panel, read_panel
from dashboards.text import make_visible
from dashboards.trace_list.saved_views import Reader
from tracestore.language import QueryError, parse_query
from tracestore.models import Dashboard, Project
from tracestore.queries.metrics.definitions import MetricError

MAX_DASHBOARDS, MAX_PANELS, MAX_METRICS = 100, 24, 6
MAX_NAME_CHARACTERS, MAX_QUERY_CHARACTERS = 80, 2_000
MAX_SLUG_CHARACTERS = 64
# Addresses that mean something else under /dashboards/.
RESERVED = {*BUILT_IN, "new", "preview", "versions"}
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Problem:
    """What is wrong with one field; `panel` counts from 0, None for the dashboard itself. A query's error has a suggestion."""

    field: str
    message: str
    panel: int | None = None
    suggestion: str = ""


class DashboardRefused(ValueError):
    """A dashboard that cannot be kept: every problem, with what to do about it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Board:
    """A dashboard as it is shown. `stored` is None for one of ours; `is_own` when the reader may change it."""

    slug: str
    name: str
    panels: tuple[Panel, ...]
    help: str = ""
    stored: Dashboard | None = None
    is_own: bool = False


def find_boards(project: Project, reader: Reader) -> QuerySet[Dashboard]:
    """Return what the reader may open, by name: own dashboards, shared ones, and those of an instance without logins."""
    visible = Q(is_shared=True) | Q(owner=None) | Q(owner=reader.pk)
    return Dashboard.objects.filter(visible, project=project).select_related("owner")


def find_own_boards(project: Project, reader: Reader) -> QuerySet[Dashboard]:
    """Return what the reader may change and delete. What nobody owns is everybody's."""
    return Dashboard.objects.filter(Q(owner=None) | Q(owner=reader.pk), project=project)


def find_board(project: Project, reader: Reader, slug: str) -> Board | None:
    """Return one of ours or a stored one that the reader may open."""
    if slug in BUILT_IN:
        ours = BUILT_IN[slug]
        return Board(ours.slug, ours.name, ours.panels, ours.help)
    stored = find_boards(project, reader).filter(slug=slug).first()
    return as_board(stored, reader) if stored else None


def as_board(stored: Dashboard, reader: Reader) -> Board:
    """Return a stored dashboard as the reader sees it."""
    panels = tuple(read_panel(panel) for panel in stored.panels)
    return Board(stored.slug, stored.name, panels, stored=stored, is_own=stored.owner_id in (None, reader.pk))


def save_board(
    project: Project, reader: Reader, *, name: str, panels: Sequence[Mapping[str, Any]], is_shared: bool, slug: str = "",
    stored: Dashboard | None = None,
) -> Dashboard:  # fmt: skip
    """Keep a dashboard, a new one unless `stored` is given. Its address is made of its name, or is `slug`, and then stays.

    Raises DashboardRefused.
    """
    problems: list[Problem] = []
    name = " ".join(name.split())
    if message := _check_name(name, "The dashboard"):
        problems.append(Problem("name", message))
    if slug and (not _SLUG.fullmatch(slug) or len(slug) > MAX_SLUG_CHARACTERS):
        problems.append(Problem("slug", "A slug has small letters, digits and single hyphens between them, at most 64."))
    elif slug and (slug in RESERVED or _is_taken(project, slug, stored)):
        problems.append(Problem("slug", f"The address {slug} is taken."))
    checked: tuple[Panel, ...] = ()
    try:
        checked = check_panels(panels)
    except DashboardRefused as refused:
        problems += refused.problems
    if stored is None and find_own_boards(project, reader).count() >= MAX_DASHBOARDS:
        problems.append(Problem("name", f"There are {MAX_DASHBOARDS} dashboards already. Delete one that nobody needs."))
    if problems:
        raise DashboardRefused(problems)
    board = stored or Dashboard(project=project, owner_id=reader.pk)
    board.name, board.is_shared = name, is_shared
    board.panels = [panel.to_json() for panel in checked]
    board.slug = slug or board.slug or _free_slug(project, name)
    try:
        with transaction.atomic():
            board.save()
    except IntegrityError:
        # Somebody took the address a moment ago.
        raise DashboardRefused([Problem("slug", f"The address {board.slug} is taken. Try again.")]) from None
    return board


def check_panels(panels: Sequence[Mapping[str, Any]]) -> tuple[Panel, ...]:
    """Return panels from what a form or the API gave, each with its title. Raises DashboardRefused, naming all that is wrong."""
    if not panels:
        raise DashboardRefused([Problem("panels", "Add a panel.")])
    if len(panels) > MAX_PANELS:
        raise DashboardRefused([Problem("panels", f"A dashboard has at most {MAX_PANELS} panels; this one has {len(panels)}.")])
    problems: list[Problem] = []
    checked = []
    for index, given in enumerate(panels):
        found = list(_check_panel(given, index))
        problems += found
        if not found:
            checked.append(_build_panel(given))
    if problems:
        raise DashboardRefused(problems)
    return tuple(checked)


def _check_panel(given: Mapping[str, Any], index: int) -> list[Problem]:
    metrics, kind, group_by, query = given["metrics"], given["kind"], given["group_by"], given["query"]
    problems = []

    def refuse(field: str, message: str, suggestion: str = "") -> None:
        problems.append(Problem(field, message, index, suggestion))

    if given["title"].strip() and (message := _check_name(" ".join(given["title"].split()), "A panel")):
        refuse("title", message)
    if kind not in KINDS:
        refuse("kind", f"There is no kind {kind!r}; there are {', '.join(KINDS)}.")
    if not metrics:
        refuse("metrics", "Choose a metric.")
    elif len(metrics) > MAX_METRICS:
        refuse("metrics", f"A panel shows at most {MAX_METRICS} metrics.")
    else:
        if message := _check_metrics(metrics, kind):
            refuse("metrics", message)
    if group_by and group_by not in OFFERED_GROUPINGS:
        refuse("group_by", f"Nothing is grouped by {group_by!r}; possible are {', '.join(OFFERED_GROUPINGS)}.")
    elif group_by and kind == "number":
        refuse("group_by", "A number has no groups. Choose another kind, or group by nothing.")
    if len(query) > MAX_QUERY_CHARACTERS:
        refuse("query", f"The query is longer than {MAX_QUERY_CHARACTERS:,} characters.")
    else:
        try:
            parse_query(query)
        except QueryError as error:
            refuse("query", error.message, error.suggestion)
    return problems


def _check_metrics(metrics: Sequence[str], kind: str) -> str:
    """Return what is wrong with the metrics of a panel, "" for nothing."""
    for name in metrics:
        if name not in MEASURES:
            try:
                find_measure(name)
            except MetricError as error:
                return f"There is no metric {name!r}. Did you mean {error.suggestion}?" if error.suggestion else error.message
    if len(set(metrics)) < len(metrics):
        return "A metric stands in a panel once."
    if kind == "number" and len(metrics) > 1:
        return "A number shows one metric."
    if kind != "table" and len({find_measure(name).unit for name in metrics}) > 1:
        return "Metrics of different units share no axis. Choose a table, or a panel for each."
    return ""


def _build_panel(given: Mapping[str, Any]) -> Panel:
    metrics, group_by = tuple(given["metrics"]), given["group_by"]
    title = " ".join(given["title"].split()) or ", ".join(find_measure(name).label for name in metrics[:2])
    if not given["title"].strip() and group_by:
        title = f"{title} by {group_by}"
    return Panel(title[:MAX_NAME_CHARACTERS], metrics, given["kind"], group_by, given["query"].strip())


def _check_name(name: str, what: str) -> str:
    if not name:
        return f"{what} needs a name."
    if len(name) > MAX_NAME_CHARACTERS:
        return f"A name has at most {MAX_NAME_CHARACTERS} characters; this one has {len(name)}."
    return "A name has no control characters." if make_visible(name) != name else ""


def _is_taken(project: Project, slug: str, stored: Dashboard | None) -> bool:
    others = Dashboard.objects.filter(project=project, slug=slug)
    return (others.exclude(pk=stored.pk) if stored else others).exists()


def _free_slug(project: Project, name: str) -> str:
    """Return the name as an address, with a number where that is taken. Names of no Latin letter become "dashboard"."""
    first = slugify(name.replace("_", "-"))[: MAX_SLUG_CHARACTERS - 4].strip("-") or "dashboard"
    taken = {*RESERVED, *Dashboard.objects.filter(project=project, slug__startswith=first).values_list("slug", flat=True)}
    numbered = (f"{first}-{number}" for number in range(2, len(taken) + 3))
    return first if first not in taken else next(slug for slug in numbered if slug not in taken)
