from __future__ import annotations

import pytest

from alerts.evaluation import AlertState, Episode, is_breached, next_state, replay
from tracestore.timerange import NS_PER_S

MINUTE_NS = 60 * NS_PER_S


@pytest.mark.parametrize(
    ("value", "comparison", "breached"),
    [(6, "above", True), (5, "above", False), (4, "above", False), (4, "below", True), (5, "below", False),
     (None, "above", False), (None, "below", False)],
)  # fmt: skip
def test_value_breaches_only_past_its_threshold_and_no_data_never(value: float | None, comparison: str, breached: bool) -> None:
    assert is_breached(value, comparison=comparison, threshold=5) is breached


def test_breach_without_hold_fires_at_once() -> None:
    assert next_state("inactive", breached=True, breached_for_s=0, hold_s=0) is AlertState.FIRING


def test_breach_with_hold_waits_as_pending() -> None:
    assert next_state("inactive", breached=True, breached_for_s=0, hold_s=60) is AlertState.PENDING
    assert next_state("pending", breached=True, breached_for_s=59.9, hold_s=60) is AlertState.PENDING


def test_pending_rule_fires_once_its_hold_is_over() -> None:
    assert next_state("pending", breached=True, breached_for_s=60, hold_s=60) is AlertState.FIRING


def test_pending_rule_falls_back_to_inactive_on_first_good_evaluation() -> None:
    assert next_state("pending", breached=False, breached_for_s=30, hold_s=60) is AlertState.INACTIVE


def test_firing_rule_resolves_on_first_good_evaluation() -> None:
    assert next_state("firing", breached=False, breached_for_s=0, hold_s=60) is AlertState.RESOLVED


def test_firing_rule_stays_firing_whatever_the_hold() -> None:
    assert next_state("firing", breached=True, breached_for_s=0, hold_s=600) is AlertState.FIRING


def points(*values: float | None) -> list[tuple[int, float | None]]:
    return [(index * MINUTE_NS, value) for index, value in enumerate(values)]


def test_replay_finds_each_episode_with_its_worst_value() -> None:
    episodes = replay(points(1, 6, 9, 1, None, 7), step_s=60, comparison="above", threshold=5, hold_s=0)

    assert episodes == [Episode(2 * MINUTE_NS, 4 * MINUTE_NS, 9), Episode(6 * MINUTE_NS, None, 7)]


def test_replay_with_hold_skips_a_breach_that_is_too_short() -> None:
    episodes = replay(points(6, 1, 6, 6, 6, 1), step_s=60, comparison="above", threshold=5, hold_s=120)

    assert episodes == [Episode(5 * MINUTE_NS, 6 * MINUTE_NS, 6)]


def test_replay_below_keeps_the_lowest_value_as_worst() -> None:
    episodes = replay(points(3, 1, 2), step_s=60, comparison="below", threshold=5, hold_s=0)

    assert [episode.peak for episode in episodes] == [1]


def test_replay_takes_a_hold_within_one_step_as_held() -> None:
    episodes = replay(points(1, 6, 1), step_s=60, comparison="above", threshold=5, hold_s=30)

    assert [episode.start_ns for episode in episodes] == [2 * MINUTE_NS]
