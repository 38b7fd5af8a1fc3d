from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from alerts.on_call.quiet import Quiet

START = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTLY = Quiet(START, None, frozenset({5}), time(23, 0), 3 * 3600, "Europe/Vienna")  # Saturdays 23:00 to 02:00


def test_silence_holds_from_its_start_until_before_its_end() -> None:
    silence = Quiet(START, START + timedelta(hours=2))

    held = [silence.holds(START + timedelta(minutes=minutes)) for minutes in (-1, 0, 119, 120)]

    assert held == [False, True, True, False]
    assert silence.until(START) == START + timedelta(hours=2)
    assert silence.last_end(START + timedelta(hours=1)) is None
    assert silence.last_end(START + timedelta(hours=2)) == START + timedelta(hours=2)
    assert silence.next_start(START - timedelta(days=1)) == START


def test_silence_without_end_has_none() -> None:
    silence = Quiet(START)

    assert silence.holds(START + timedelta(days=20_000))
    assert silence.until(START) is None
    assert silence.last_end(START + timedelta(days=100)) is None


@pytest.mark.parametrize(
    ("moment", "held"),
    [
        ("2026-11-21T21:59:59", False),  # Saturday, 22:59:59 in Vienna
        ("2026-11-21T22:00:00", True),
        ("2026-11-22T00:59:59", True),  # Sunday by then: the window began on Saturday
        ("2026-11-22T01:00:00", False),
        ("2026-11-22T22:30:00", False),
        ("2026-07-18T21:00:00", True),  # the wall clock is an hour earlier in UTC in summer
        ("2026-07-18T20:59:59", False),
    ],
)
def test_weekly_window_follows_the_wall_clock_of_its_zone(moment: str, held: bool) -> None:
    assert NIGHTLY.holds(datetime.fromisoformat(moment + "+00:00")) is held


def test_weekly_window_says_when_it_ended_and_comes_again() -> None:
    sunday = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert NIGHTLY.last_end(sunday) == datetime(2026, 11, 22, 1, tzinfo=UTC)
    assert NIGHTLY.next_start(sunday) == datetime(2026, 11, 28, 22, tzinfo=UTC)
    assert NIGHTLY.until(datetime(2026, 11, 22, tzinfo=UTC)) == datetime(2026, 11, 22, 1, tzinfo=UTC)


def test_weekly_window_stays_within_its_own_dates() -> None:
    ended = Quiet(START, datetime(2026, 11, 21, 23, tzinfo=UTC), frozenset({5}), time(23), 3 * 3600, "Europe/Vienna")

    assert ended.holds(datetime(2026, 11, 21, 22, 30, tzinfo=UTC))
    assert not ended.holds(datetime(2026, 11, 21, 23, 30, tzinfo=UTC))
    assert not ended.holds(datetime(2026, 11, 28, 22, 30, tzinfo=UTC))


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_window_over_a_change_of_clocks_lasts_its_length(day: datetime) -> None:
    window = Quiet(START, None, frozenset({6}), time(2, 30), 3600, "Europe/Vienna")

    minutes = sum(window.holds(day + timedelta(minutes=minute)) for minute in range(24 * 60))

    assert minutes == 60
