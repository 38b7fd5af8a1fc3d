"""What was refused is counted, bounded and kept."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError

from tracestore.intake import refusals as module
from tracestore.intake.refusals import Refusals, find_refusals
from tracestore.models import Refusal
from tracestore.timerange import DAY_NS, TimeRange

pytestmark = pytest.mark.django_db


def lately() -> TimeRange:
    return TimeRange(time.time_ns() - DAY_NS, time.time_ns() + 10**9)


def note(refusals: Refusals, reason: str = "http_401", **overrides: object) -> None:
    values: dict[str, object] = {"project_id": 1, "ingest_key": "", "sdk": "", "spans": 0, "sample": ""}
    refusals.note(reason, **values | overrides)  # type: ignore[arg-type]


def test_counts_of_several_writes_add_up() -> None:
    refusals = Refusals()

    note(refusals, "bad_span_id", spans=3, sdk="opentelemetry python 1.45.0", sample="first")
    refusals.flush()
    note(refusals, "bad_span_id", spans=2, sdk="opentelemetry python 1.45.0", sample="second")
    refusals.flush()

    [found] = find_refusals(project_id=1, time_range=lately())
    assert (found.reason, found.requests, found.spans, found.sample) == ("bad_span_id", 2, 5, "second")
    assert found.first_ns <= found.last_ns


def test_projects_and_ranges_are_kept_apart() -> None:
    refusals = Refusals()
    note(refusals, project_id=2)
    refusals.flush()

    now_ns = time.time_ns()

    assert find_refusals(project_id=1, time_range=lately()) == []
    assert find_refusals(project_id=2, time_range=TimeRange(now_ns - 3 * DAY_NS, now_ns - 2 * DAY_NS)) == []
    assert len(find_refusals(project_id=2, time_range=lately())) == 1


def test_hours_of_one_sender_become_one_row() -> None:
    now = datetime.now(UTC)
    for hours, count in ((0, 1), (1, 4), (2, 5)):
        seen = now - timedelta(hours=hours)
        Refusal.objects.create(
            project_id=1, hour=seen.replace(minute=0, second=0, microsecond=0), reason="http_413", ingest_key="k", sdk="s",
            requests=count, first_seen=seen, last_seen=seen, sample=f"{hours} hours ago",
        )  # fmt: skip

    [found] = find_refusals(project_id=1, time_range=lately())

    assert (found.requests, found.sample) == (10, "0 hours ago")
    assert found.last_ns - found.first_ns == pytest.approx(2 * 3600 * 10**9, abs=10**6)


def test_a_flood_of_unknown_keys_fills_neither_memory_nor_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_IN_MEMORY", 20)
    monkeypatch.setattr(module, "_MOST_ROWS_AN_HOUR", 5)
    refusals = Refusals()

    for number in range(100):
        note(refusals, ingest_key=f"unknown, sha256 {number:08x}", sdk=f"bot/{number}")
    in_memory = len(refusals._counts)
    refusals.flush()

    assert in_memory <= 21
    assert Refusal.objects.count() <= 6
    assert sum(row.requests for row in find_refusals(project_id=1, time_range=lately())) == 100


def test_hostile_texts_fit_every_database() -> None:
    refusals = Refusals()

    note(refusals, sdk="curl\x00\ud800" + "x" * 1000, sample="a\x00b" * 1000)
    refusals.flush()

    [found] = find_refusals(project_id=1, time_range=lately())
    assert "\x00" not in found.sdk + found.sample
    assert len(found.sdk) <= 128
    assert len(found.sample) <= 320


def test_counts_outlive_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals()
    note(refusals)

    def fail(*_: object) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_add", fail)
        refusals.flush()
    note(refusals)
    refusals.flush()

    [found] = find_refusals(project_id=1, time_range=lately())
    assert found.requests == 2


def test_old_rows_are_dropped() -> None:
    old = datetime.now(UTC) - timedelta(days=40)
    Refusal.objects.create(project_id=1, hour=old, reason="http_400", first_seen=old, last_seen=old)
    refusals = Refusals()

    note(refusals)
    refusals.flush()

    assert [row.reason for row in Refusal.objects.all()] == ["http_401"]
