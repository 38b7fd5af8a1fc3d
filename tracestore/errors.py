"""What the team has decided about errors, and whether what has happened since contradicts it.

An error is open until somebody resolves it, in a version or as of now, or ignores it. A resolved one that is seen again where it
should be gone is regressed, which nobody decides: it is read from the traces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.models import ErrorState
from tracestore.queries.errors import MAX_GROUPS, ErrorGroup, find_errors, find_versions_after
from tracestore.storable import storable
from tracestore.timerange import TimeRange, ns_of

REGRESSED = "regressed"
# open holds regressed ones too: both ask for work.
STATES = ("open", REGRESSED, "resolved", "ignored")


@dataclass(frozen=True)
class TrackedErrors:
    """Errors in the order asked for. `is_cut` says that there are more than were looked at."""

    items: list[TrackedError]
    is_cut: bool


@dataclass(frozen=True)
class TrackedError:
    """An error with its state, one of STATES. `changed_at` is None, and the rest "", while nobody has decided anything."""

    group: ErrorGroup
    state: str
    resolved_version: str = ""
    changed_by: str = ""
    changed_at: datetime | None = None


def find_tracked_errors(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, sort: str = "traces", step_s: int | None = None,
    states: Collection[str] = STATES, limit: int = MAX_GROUPS,
) -> TrackedErrors:  # fmt: skip
    """Return the errors of the range that match and are in one of these states; the first MAX_GROUPS errors are looked at.

    Raises QueryTooExpensive or StoreUnavailable.
    """
    groups = find_errors(
        store, project_id=project_id, time_range=time_range, query=query, sort=sort, limit=MAX_GROUPS, step_s=step_s
    )
    rows = ErrorState.objects.filter(project_id=project_id, fingerprint__in=[group.fingerprint for group in groups])
    decided = {row.fingerprint: row for row in rows}
    resolved = {name: ns_of(row.changed_at) for name, row in decided.items() if row.status == ErrorState.Status.RESOLVED}
    seen_after = find_versions_after(store, project_id=project_id, after_ns=resolved, end_ns=time_range.end_ns)
    tracked = [_track(group, decided.get(group.fingerprint), seen_after.get(group.fingerprint, set())) for group in groups]
    return TrackedErrors([error for error in tracked if error.state in states][:limit], len(groups) >= MAX_GROUPS)


def _track(group: ErrorGroup, row: ErrorState | None, versions_after: set[str]) -> TrackedError:
    if row is None:
        return TrackedError(group, ErrorState.Status.OPEN.value)
    state = row.status
    if state == ErrorState.Status.RESOLVED and has_regressed(row.resolved_version, row.seen_versions, versions_after):
        state = REGRESSED
    return TrackedError(group, state, row.resolved_version, row.changed_by, row.changed_at)


def has_regressed(resolved_version: str, seen_versions: Iterable[str], versions_after: Collection[str]) -> bool:
    """Tell whether a resolved error was seen again where it should be gone; `versions_after` are those that had it since.

    Versions have no order. Those that had the error before go on having it until they are switched off; the version it is
    resolved in, or one that was not there yet, must not. Resolved as of now, every later trace contradicts.
    """
    if not resolved_version:
        return bool(versions_after)
    return bool(set(storable(list(versions_after))) - (set(seen_versions) - {resolved_version}))


def change_state(
    store: Store, *, project_id: int, fingerprint: str, status: ErrorState.Status, resolved_version: str, changed_by: str,
    now: datetime,
) -> bool:  # fmt: skip
    """Keep what somebody has decided about an error; a version matters to a resolved one alone.

    Returns False for an error of which nothing is stored.
    """
    seen = find_versions_after(store, project_id=project_id, after_ns={fingerprint: 0}, end_ns=ns_of(now))
    if fingerprint not in seen:
        return False
    ErrorState.objects.update_or_create(
        project_id=project_id,
        fingerprint=fingerprint,
        defaults={
            "status": status,
            "resolved_version": resolved_version.strip()[:128] if status == ErrorState.Status.RESOLVED else "",
            "seen_versions": storable(sorted(seen[fingerprint])),
            "changed_by": changed_by[:150],
            "changed_at": now,
        },
    )
    return True
