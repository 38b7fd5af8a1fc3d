from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.rules.evaluation import AlertState, Condition, Episode, InstanceState, Level, Observation, judge, replay, step
from tracestore.timerange import NS_PER_S

MINUTE_NS = 60 * NS_PER_S
ABOVE_5 = Condition("above", (Level("critical", 5),))
BELOW_5 = replace(ABOVE_5, comparison="below")
TWO_LEVELS = Condition("above", (Level("warning", 2), Level("critical", 5)))


def look(*values: float | None, every_s: int = 60, samples: int = 100) -> list[Observation]:
    """One observation after each step, the first at the end of the first."""
    return [Observation(value, samples, (index + 1) * every_s * NS_PER_S) for index, value in enumerate(values)]


def walk(condition: Condition, observations: list[Observation]) -> list[str]:
    """Return the transitions as words, such as "2 critical": when (in steps), and what."""
    state, said = InstanceState(), []
    for index, observation in enumerate(observations, 1):
        state, transition = step(state, observation, condition)
        if transition:
            firing = transition.to_state == AlertState.FIRING
            said.append(f"{index} {transition.severity if firing else transition.to_state}")
    return said


@pytest.mark.parametrize(
    ("value", "condition", "rank"),
    [(6, ABOVE_5, 2), (5, ABOVE_5, 0), (4, ABOVE_5, 0), (4, BELOW_5, 2), (5, BELOW_5, 0), (None, ABOVE_5, 0), (None, BELOW_5, 0)],
)  # fmt: skip
def test_value_breaches_only_past_its_threshold_and_no_data_is_good(value: float | None, condition: Condition, rank: int) -> None:
    assert judge(look(value)[0], condition) == rank


def test_breach_without_hold_fires_at_once_and_resolves_on_the_first_good_evaluation() -> None:
    assert walk(ABOVE_5, look(1, 6, 9, 5)) == ["2 critical", "4 resolved"]


def test_breach_with_hold_waits_as_pending() -> None:
    held = replace(ABOVE_5, hold_s=120)

    assert walk(held, look(6, 6, 6, 6)) == ["1 pending", "3 critical"]
    assert walk(held, look(6, 6, 1, 6)) == ["1 pending", "3 inactive", "4 pending"]


def test_hold_starts_again_when_nobody_looked() -> None:
    condition = replace(ABOVE_5, hold_s=120, longest_gap_s=90)
    observations = look(6, 6)
    late = replace(observations[1], at_ns=60 * MINUTE_NS)

    state, _ = step(InstanceState(), observations[0], condition)
    state, transition = step(state, late, condition)

    assert (transition, state.state, state.since_ns) == (None, AlertState.PENDING, late.at_ns)


def test_severity_rises_within_an_episode_and_never_falls() -> None:
    assert walk(TWO_LEVELS, look(1, 3, 6, 3, 6, 1)) == ["2 warning", "3 critical", "6 resolved"]


def test_graver_level_waits_for_its_own_hold() -> None:
    assert walk(replace(TWO_LEVELS, hold_s=60), look(3, 6, 6, 6)) == ["1 pending", "2 warning", "3 critical"]


def test_recovery_threshold_keeps_it_firing_until_it_is_passed() -> None:
    condition = replace(ABOVE_5, recovery_threshold=2)

    assert walk(condition, look(4, 6, 4, 3, 2)) == ["2 critical", "5 resolved"]


def test_n_of_m_fires_on_enough_breaches_and_resolves_on_too_few() -> None:
    condition = replace(ABOVE_5, breaches_needed=2, of_evaluations=3)

    assert walk(condition, look(6, 1, 6, 1, 1, 1, 6)) == ["1 pending", "3 critical", "4 resolved", "7 pending"]


def test_too_few_samples_are_no_data() -> None:
    condition = replace(ABOVE_5, min_samples=20)

    assert walk(condition, look(9, 9, samples=19)) == []
    assert walk(condition, look(9, samples=20)) == ["1 critical"]


@pytest.mark.parametrize(
    ("policy", "said"),
    [("ok", ["1 critical", "2 resolved"]), ("keep", ["1 critical", "3 resolved"]), ("alert", ["1 critical", "3 resolved"])],
)
def test_no_data_while_firing_follows_the_policy(policy: str, said: list[str]) -> None:
    assert walk(replace(ABOVE_5, no_data=policy), look(6, None, 1)) == said


def test_no_data_fires_when_it_is_a_breach() -> None:
    assert walk(replace(TWO_LEVELS, no_data="alert"), look(None, 1)) == ["1 critical", "2 resolved"]


def test_change_is_judged_against_the_baseline_and_what_chance_leads_to() -> None:
    doubled = Condition("above", (Level("warning", 1.0),), relative=True)
    seen = Observation(25, 100, MINUTE_NS, baseline=10, margin=5)

    state, transition = step(InstanceState(), seen, doubled)

    assert state.state == AlertState.FIRING
    assert transition is not None
    assert transition.threshold == 20
    assert judge(replace(seen, margin=16), doubled) == 0
    assert judge(replace(seen, baseline=None), doubled) == 0
    assert judge(Observation(4, 100, 1, baseline=10), replace(doubled, comparison="below", levels=(Level("info", 0.5),))) == 2


def test_recovery_from_a_change_does_not_wait_for_what_chance_leads_to() -> None:
    risen = Condition("above", (Level("warning", 1.0),), recovery_threshold=0.5, relative=True)
    seen = Observation(16, 100, MINUTE_NS, baseline=10, margin=8)

    assert judge(seen, risen) == 1  # above 15, where it recovers, though chance alone leads to 18
    assert judge(replace(seen, value=15), risen) == 0


def test_beginning_to_fire_is_remembered_for_an_hour() -> None:
    (observation,) = look(6)

    state, _ = step(InstanceState(), observation, ABOVE_5)

    assert state.has_fired_lately(observation.at_ns + 3600 * NS_PER_S)
    assert not state.has_fired_lately(observation.at_ns + 3601 * NS_PER_S)


def test_replay_finds_each_episode_with_its_worst_value() -> None:
    assert replay(look(1, 6, 9, 1, None, 7), ABOVE_5) == [
        Episode(2 * MINUTE_NS, 4 * MINUTE_NS, 9, "critical"),
        Episode(6 * MINUTE_NS, None, 7, "critical"),
    ]


def test_replay_with_hold_skips_a_breach_that_is_too_short() -> None:
    condition = replace(ABOVE_5, hold_s=120).stepping(60)

    assert replay(look(6, 1, 6, 6, 6, 1), condition) == [Episode(5 * MINUTE_NS, 6 * MINUTE_NS, 6, "critical")]


def test_replay_below_keeps_the_lowest_value_as_worst() -> None:
    assert [episode.peak for episode in replay(look(3, 1, 2), BELOW_5)] == [1]


def test_replay_takes_a_hold_within_one_step_as_held() -> None:
    episodes = replay(look(1, 6, 1), replace(ABOVE_5, hold_s=30).stepping(60))

    assert [episode.start_ns for episode in episodes] == [2 * MINUTE_NS]
