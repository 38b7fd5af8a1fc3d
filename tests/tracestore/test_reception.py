"""When spans could be received, from what processes noted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from tracestore.intake import reception
from tracestore.intake.reception import Attendance, find_gaps
from tracestore.models import Reception
from tracestore.timerange import NS_PER_S, TimeRange, moment_of, ns_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def note(began_s: float, seen_s: float, stored_s: float | None = None) -> None:
    """A process that received from one number of seconds before NOW to another."""
    began, seen, stored = (NOW - timedelta(seconds=s) for s in (began_s, seen_s, seen_s if stored_s is None else stored_s))
    Reception.objects.create(began_at=began, seen_at=seen, stored_until=stored)


def gaps(length_s: int = 3600) -> list[tuple[int, int]]:
    """Return the gaps of the time before NOW, in seconds before NOW."""
    found = find_gaps(TimeRange(ns_of(NOW) - length_s * NS_PER_S, ns_of(NOW)), NOW)
    return [((ns_of(NOW) - start) // NS_PER_S, (ns_of(NOW) - end) // NS_PER_S) for start, end in found.stretches]


def test_before_the_first_note_nothing_is_a_gap() -> None:
    assert gaps() == []

    note(600, 1)

    assert gaps() == []


def test_time_between_two_processes_is_a_gap_until_exporters_have_tried_again() -> None:
    note(5000, 900)
    note(600, 1)

    assert gaps() == [(900, 540)]


def test_gap_that_began_before_the_range_is_known() -> None:
    note(9000, 8000)
    note(600, 1)

    assert gaps() == [(3600, 540)]


def test_one_of_two_processes_is_enough() -> None:
    note(5000, 900)
    note(5000, 1)
    note(600, 1)

    assert gaps() == []


def test_time_since_the_last_note_is_a_gap_when_it_is_late() -> None:
    note(5000, 15)
    assert gaps() == []

    Reception.objects.update(seen_at=NOW - timedelta(seconds=25))

    assert gaps() == [(25, 0)]


def test_what_waits_in_the_spool_cannot_be_seen_yet() -> None:
    note(5000, 2, stored_s=300)

    assert gaps() == [(300, 0)]


def test_spool_of_a_process_that_is_gone_is_not_waited_for() -> None:
    note(5000, 900, stored_s=2000)
    note(5000, 2)

    assert gaps() == []


def test_notes_of_one_process_are_one_row_while_it_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal, clock = "", NOW
    monkeypatch.setattr(timezone, "now", lambda: clock)
    attendance = Attendance(lambda: refusal, lambda: None)

    for _ in range(4):
        attendance.note()
        clock += timedelta(seconds=10)
    refusal = "The spool is full."
    for _ in range(4):
        attendance.note()
        clock += timedelta(seconds=10)
    refusal = ""
    attendance.note()

    rows = [(row.began_at, row.seen_at) for row in Reception.objects.order_by("pk")]
    assert rows == [(NOW, NOW + timedelta(seconds=30)), (NOW + timedelta(seconds=80), NOW + timedelta(seconds=80))]


def test_old_notes_are_forgotten() -> None:
    now = timezone.now()
    Reception.objects.create(began_at=now - timedelta(weeks=30), seen_at=now - timedelta(weeks=20), stored_until=now)

    Attendance(lambda: "", lambda: moment_of(1)).note()

    assert Reception.objects.get().stored_until == moment_of(1)


def test_database_that_is_away_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    attendance = Attendance(lambda: "", lambda: None)

    def fail(**_: object) -> None:
        raise OperationalError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Reception.objects, "create", fail)
        attendance.note()
        attendance.note()
    attendance.note()

    assert [record.message for record in caplog.records] == ["reception: what is received cannot be noted: disk full"]
    assert Reception.objects.count() == 1


def test_what_had_waited_long_gets_its_time_to_be_summarised(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = NOW
    oldest: datetime | None = NOW - timedelta(minutes=10)
    monkeypatch.setattr(timezone, "now", lambda: clock)
    attendance = Attendance(lambda: "", lambda: oldest)

    attendance.note()
    oldest = None
    noted = []
    for _ in range(8):
        clock += timedelta(seconds=10)
        attendance.note()
        noted.append(Reception.objects.get().stored_until)

    assert noted[:6] == [NOW - timedelta(minutes=10)] * 6
    assert noted[6:] == [NOW + timedelta(seconds=70), NOW + timedelta(seconds=80)]


def test_what_goes_on_for_long_is_no_gap_that_anyone_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "_STARTED", NOW - timedelta(minutes=14))
    note(5000, 1200)
    assert gaps() == [(1200, 0)]  # a start after a downtime: watched for a quarter of an hour at most so far

    monkeypatch.setattr(reception, "_STARTED", NOW - timedelta(hours=2))
    assert gaps() == []

    Reception.objects.update(seen_at=NOW, stored_until=NOW - timedelta(minutes=20))
    assert gaps() == []

    Reception.objects.update(stored_until=NOW - timedelta(minutes=14))
    assert gaps() == [(840, 0)]
