"""What was decided about an error, against what happened since."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.errors import TrackedError, change_state, find_tracked_errors, has_regressed
from tracestore.language import parse_query
from tracestore.models import ErrorState
from tracestore.timerange import NS_PER_S, TimeRange

TIMEOUT = "a" * 12


@pytest.mark.parametrize(
    ("version", "seen", "after", "regressed"),
    [
        ("v4", {"v2", "v3"}, set(), False),
        ("v4", {"v2", "v3"}, {"v3"}, False),  # an old version that still runs
        ("v4", {"v2", "v3"}, {"v3", "v4"}, True),
        ("v4", {"v2", "v3"}, {"v5"}, True),
        ("v3", {"v2", "v3"}, {"v3"}, True),  # the very version that should not have it
        ("v4", {"v3"}, {""}, True),
        ("v4", {"v3", ""}, {""}, False),
        ("", {"v3"}, {"v3"}, True),
        ("", {"v3"}, set(), False),
    ],
)
def test_resolved_error_has_regressed_where_it_should_be_gone(
    version: str, seen: set[str], after: set[str], regressed: bool
) -> None:
    assert has_regressed(version, seen, after) is regressed


def _insert_failure(store: Store, start_ns: int, version: str) -> None:
    insert_traces(store, outcome="error", error_fingerprint=TIMEOUT, start_ns=start_ns, versions=[version])


def _find(store: Store, **options: Any) -> list[TrackedError]:
    now_ns = time.time_ns()
    time_range = TimeRange(now_ns - 3600 * NS_PER_S, now_ns + 3600 * NS_PER_S)
    return find_tracked_errors(store, project_id=1, time_range=time_range, query=parse_query(""), **options).items


def _resolve(store: Store, version: str, fingerprint: str = TIMEOUT) -> bool:
    return change_state(
        store, project_id=1, fingerprint=fingerprint, status=ErrorState.Status.RESOLVED, resolved_version=version,
        changed_by="ada", now=datetime.now(UTC),
    )  # fmt: skip


@pytest.mark.usefixtures("default_project")
def test_error_goes_from_open_to_resolved_to_regressed(store: Store) -> None:
    now_ns = time.time_ns()
    _insert_failure(store, now_ns - 600 * NS_PER_S, "v2")
    assert [error.state for error in _find(store)] == ["open"]

    assert _resolve(store, "v3")
    [resolved] = _find(store)
    _insert_failure(store, now_ns + 60 * NS_PER_S, "v2")
    still = [error.state for error in _find(store)]
    _insert_failure(store, now_ns + 90 * NS_PER_S, "v3")
    after = [error.state for error in _find(store)]

    assert (resolved.state, resolved.resolved_version, resolved.changed_by) == ("resolved", "v3", "ada")
    assert resolved.changed_at is not None
    assert still == ["resolved"]
    assert after == ["regressed"]


@pytest.mark.usefixtures("default_project")
def test_states_choose_the_errors_and_ignored_stays_ignored(store: Store) -> None:
    _insert_failure(store, time.time_ns() - 600 * NS_PER_S, "v2")
    change_state(
        store, project_id=1, fingerprint=TIMEOUT, status=ErrorState.Status.IGNORED, resolved_version="v3", changed_by="",
        now=datetime.now(UTC),
    )  # fmt: skip
    _insert_failure(store, time.time_ns() + 60 * NS_PER_S, "v9")

    assert _find(store, states=("open", "regressed")) == []
    assert [(error.state, error.resolved_version) for error in _find(store, states=("ignored",))] == [("ignored", "")]


@pytest.mark.usefixtures("default_project")
def test_nothing_is_kept_about_an_error_that_nobody_has_seen(store: Store) -> None:
    assert not _resolve(store, "v3", "f" * 12)
    assert not ErrorState.objects.exists()
