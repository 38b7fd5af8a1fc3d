"""The decision alone: what was observed and a condition in, state and transition out.

Pure, so that live evaluation, preview and backtest cannot differ: all of them take `step` and nothing else. Times are
nanoseconds since the Unix epoch; values and thresholds are in the metric's unit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from tracestore.timerange import NS_PER_S

FLAP_WINDOW_S = 3600


class AlertState(StrEnum):
    """A rule is inactive, pending or firing. Resolved is where a transition out of firing leads; the rule is then inactive."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Comparison(StrEnum):
    """On which side of the threshold a value breaches. A value equal to the threshold never does."""

    ABOVE = "above"
    BELOW = "below"


class NoData(StrEnum):
    """What a window without a value, or with too few samples, counts as: a good one, none at all, or a breach."""

    OK = "ok"
    KEEP = "keep"
    ALERT = "alert"


@dataclass(frozen=True)
class Level:
    """Past `threshold` an alert has `severity`."""

    severity: str
    threshold: float


@dataclass(frozen=True)
class Condition:
    """When to fire and when to stop.

    `levels` go from the mildest to the gravest. A level is met while `breaches_needed` of the last `of_evaluations` breach it,
    and in force once it has been met for `hold_s`. Firing ends when fewer than `breaches_needed` of them are bad, which is to say
    past `recovery_threshold`, by default the mildest level's own. With `relative` all thresholds are changes against the
    observation's baseline: 0.5 is half as much again, or half as little for "below". Who has not looked for more than
    `longest_gap_s` has not seen the condition hold.
    """

    comparison: str
    levels: tuple[Level, ...]
    recovery_threshold: float | None = None
    hold_s: int = 0
    breaches_needed: int = 1
    of_evaluations: int = 1
    min_samples: int = 0
    no_data: str = NoData.OK.value
    relative: bool = False
    longest_gap_s: float = float("inf")

    def stepping(self, step_s: int) -> Condition:
        """Return the condition for one evaluation every `step_s`.

        A hold shorter than a step counts as none: live evaluations, which come far more often, would have seen it pass.
        """
        return replace(self, hold_s=self.hold_s - self.hold_s % step_s, longest_gap_s=float("inf"))


@dataclass(frozen=True)
class Wait:
    """What was seen decides nothing before `until_ns`, when more has been received; None while nothing can be."""

    until_ns: int | None


@dataclass(frozen=True)
class Observation:
    """What one evaluation saw at `at_ns`: None is no data; `samples` is how many traces the value is made of.

    `baseline` is what to compare with and `margin` how far from it chance alone leads, both in the metric's unit. `might_be` is
    what the value may have been where part of the window could not be received, and `settled_at_ns` from when on that is of no
    account; None where all could, the latter also where nobody can tell.
    """

    value: float | None
    samples: int
    at_ns: int
    baseline: float | None = None
    margin: float = 0.0
    might_be: float | None = None
    settled_at_ns: int | None = None


@dataclass(frozen=True)
class InstanceState:
    """What is remembered of one rule and group between evaluations.

    `state` is never resolved; `severity` is that of the level in force, "" unless firing. `ranks` are the verdicts of the last
    evaluations, oldest first (0 good, 1 past the recovery threshold alone, 2 past the first level, 3 past the second),
    `met_since_ns` is since when each level is met, None when it is not, and `fired_at_ns` when it began to fire of late. `wait`
    is set where the last observation left open whether it is good, as part of its window could not be received.
    """

    state: AlertState = AlertState.INACTIVE
    severity: str = ""
    since_ns: int = 0
    ranks: tuple[int, ...] = ()
    met_since_ns: tuple[int | None, ...] = ()
    observed_at_ns: int | None = None
    fired_at_ns: tuple[int, ...] = ()
    wait: Wait | None = None

    def has_fired_lately(self, at_ns: int) -> bool:
        """True when it has begun to fire within the FLAP_WINDOW_S before `at_ns`, so that it is remembered."""
        return bool(_of_late(self.fired_at_ns, at_ns))


@dataclass(frozen=True)
class Transition:
    """A change of state, or of severity within firing. `threshold` is that of the level, absolute; None without a baseline."""

    from_state: AlertState
    to_state: AlertState
    severity: str
    at_ns: int
    threshold: float | None


def is_past(value: float, threshold: float, comparison: str) -> bool:
    return value > threshold if comparison == Comparison.ABOVE else value < threshold


def has_data(observation: Observation, condition: Condition) -> bool:
    """False when there is no value, or one of fewer samples than the condition demands."""
    return observation.value is not None and observation.samples >= condition.min_samples


def absolute_threshold(threshold: float, observation: Observation, condition: Condition) -> float | None:
    """Return the value that must be passed at this observation; None when there is nothing to compare with.

    A change only counts when it is farther from the baseline than chance leads.
    """
    if not condition.relative:
        return threshold
    base = observation.baseline
    if base is None:
        return None
    if condition.comparison == Comparison.ABOVE:
        return max(base * (1 + threshold), base + observation.margin)
    return min(base * (1 - threshold), base - observation.margin)


def judge(observation: Observation, condition: Condition) -> int | None:
    """Return the observation's rank (see `InstanceState.ranks`); None when it says nothing.

    Where part of the window could not be received it says only what is so whatever that part held.
    """
    if observation.might_be is not None:
        if not has_data(observation, condition):
            return None
        seen = replace(observation, might_be=None)
        rank = judge(seen, condition)
        return rank if rank == judge(replace(seen, value=observation.might_be), condition) else None
    if not has_data(observation, condition):
        ranks = {NoData.OK.value: 0, NoData.KEEP.value: None, NoData.ALERT.value: 1 + len(condition.levels)}
        return ranks[condition.no_data]
    if condition.relative and observation.baseline is None:
        return None if condition.no_data == NoData.KEEP else 0
    passed = sum(_passes(level.threshold, observation, condition) for level in condition.levels)
    if passed:
        return 1 + passed
    recovery = condition.recovery_threshold
    return 1 if recovery is not None and _passes(recovery, replace(observation, margin=0.0), condition) else 0


def _passes(threshold: float, observation: Observation, condition: Condition) -> bool:
    limit = absolute_threshold(threshold, observation, condition)
    return limit is not None and observation.value is not None and is_past(observation.value, limit, condition.comparison)


def step(state: InstanceState, observation: Observation, condition: Condition) -> tuple[InstanceState, Transition | None]:
    """Take one observation. A firing instance never falls back to pending, and its severity only rises until it is resolved."""
    at_ns = observation.at_ns
    if state.observed_at_ns is not None and abs(at_ns - state.observed_at_ns) > condition.longest_gap_s * NS_PER_S:
        state = replace(state, ranks=(), met_since_ns=(), since_ns=at_ns if state.state == AlertState.PENDING else state.since_ns)
    rank = judge(observation, condition)
    is_open = rank is None and observation.might_be is not None
    state = replace(state, observed_at_ns=at_ns, wait=Wait(observation.settled_at_ns) if is_open else None)
    if rank is None:
        return state, None
    ranks = (*state.ranks, rank)[-condition.of_evaluations :]
    before = state.met_since_ns or (None,) * len(condition.levels)
    met = tuple(
        (at_ns if since is None else since) if sum(r >= 2 + index for r in ranks) >= condition.breaches_needed else None
        for index, since in enumerate(before)
    )
    in_force = max((i for i, since in enumerate(met) if since is not None and _held(since, at_ns, condition)), default=-1)
    state = replace(state, ranks=ranks, met_since_ns=met)
    if state.state == AlertState.FIRING:
        return _step_firing(state, observation, condition, in_force)
    if in_force >= 0:
        fired = (*_of_late(state.fired_at_ns, at_ns), at_ns)
        return _move(replace(state, fired_at_ns=fired), AlertState.FIRING, in_force, observation, condition)
    wanted = AlertState.PENDING if any(r >= 2 for r in ranks) else AlertState.INACTIVE
    if wanted == state.state:
        return state, None
    return _move(state, wanted, max(0, max(ranks) - 2), observation, condition)


def _step_firing(
    state: InstanceState, observation: Observation, condition: Condition, in_force: int
) -> tuple[InstanceState, Transition | None]:
    severities = [level.severity for level in condition.levels]
    index = severities.index(state.severity) if state.severity in severities else 0
    if in_force > index:
        return _move(state, AlertState.FIRING, in_force, observation, condition)
    if sum(rank >= 1 for rank in state.ranks) < condition.breaches_needed:
        return _move(state, AlertState.RESOLVED, index, observation, condition)
    return state, None


def _move(
    state: InstanceState, to_state: AlertState, index: int, observation: Observation, condition: Condition
) -> tuple[InstanceState, Transition]:
    level = condition.levels[index]
    threshold = absolute_threshold(level.threshold, observation, condition)
    transition = Transition(state.state, to_state, level.severity, observation.at_ns, threshold)
    moved = replace(state, state=to_state, severity=level.severity if to_state == AlertState.FIRING else "")
    if to_state == AlertState.RESOLVED:  # what was counted for this episode does not count for the next
        moved = replace(moved, state=AlertState.INACTIVE, ranks=(), met_since_ns=())
    if state.state != to_state:
        moved = replace(moved, since_ns=observation.at_ns)
    return moved, transition


def _held(since_ns: int, at_ns: int, condition: Condition) -> bool:
    return at_ns - since_ns >= condition.hold_s * NS_PER_S


def _of_late(times_ns: tuple[int, ...], at_ns: int) -> tuple[int, ...]:
    return tuple(time_ns for time_ns in times_ns if 0 <= at_ns - time_ns <= FLAP_WINDOW_S * NS_PER_S)


@dataclass(frozen=True)
class Episode:
    """A stretch in which a rule fires: [start_ns, end_ns), end None while it lasts.

    `peak` is the value farthest past the threshold, None for an alert about missing data; `severity` the gravest it had.
    """

    start_ns: int
    end_ns: int | None
    peak: float | None
    severity: str


def replay(observations: Iterable[Observation], condition: Condition) -> list[Episode]:
    """Run the state machine over observations, oldest first; return the firing episodes."""
    state = InstanceState()
    episodes: list[Episode] = []
    for observation in observations:
        state, transition = step(state, observation, condition)
        if transition and transition.to_state == AlertState.RESOLVED:
            episodes[-1] = replace(episodes[-1], end_ns=observation.at_ns)
        elif state.state == AlertState.FIRING:
            if transition and transition.from_state != AlertState.FIRING:
                episodes.append(Episode(observation.at_ns, None, None, state.severity))
            peak = farther(episodes[-1].peak, observation.value, condition.comparison)
            episodes[-1] = replace(episodes[-1], peak=peak, severity=state.severity)
    return episodes


def farther(peak: float | None, value: float | None, comparison: str) -> float | None:
    """Return whichever lies farther on the breaching side; None is nearest."""
    if peak is None or value is None:
        return value if peak is None else peak
    return max(peak, value) if comparison == Comparison.ABOVE else min(peak, value)
