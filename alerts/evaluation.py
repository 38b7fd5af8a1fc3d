"""The decision alone: value, threshold and hold in, state out. Pure, so that live evaluation and replay cannot differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tracestore.timerange import NS_PER_S


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


def is_breached(value: float | None, *, comparison: str, threshold: float) -> bool:
    """No data (None) is not a breach: silence must not page anyone about a rate that nobody can compute."""
    if value is None:
        return False
    return value > threshold if comparison == Comparison.ABOVE else value < threshold


def next_state(state: str, *, breached: bool, breached_for_s: float, hold_s: int) -> AlertState:
    """Firing resolves on the first good evaluation; it never falls back to pending."""
    if not breached:
        return AlertState.RESOLVED if state == AlertState.FIRING else AlertState.INACTIVE
    return AlertState.FIRING if state == AlertState.FIRING or breached_for_s >= hold_s else AlertState.PENDING


@dataclass(frozen=True)
class Episode:
    """A stretch in which a rule fires: [start_ns, end_ns), end None while it lasts. `peak` is the worst value."""

    start_ns: int
    end_ns: int | None
    peak: float


def replay(
    points: Iterable[tuple[int, float | None]], *, step_s: int, comparison: str, threshold: float, hold_s: int
) -> list[Episode]:
    """Run the state machine over past buckets, oldest first, one evaluation at the end of each; return the firing episodes.

    A hold shorter than a step counts as none: live evaluations, which come far more often, would have seen it pass.
    """
    hold_s -= hold_s % step_s
    step_ns = step_s * NS_PER_S
    state: AlertState = AlertState.INACTIVE
    breached_since_ns = 0
    episodes: list[Episode] = []
    for bucket_ns, value in points:
        now_ns = bucket_ns + step_ns
        breached = is_breached(value, comparison=comparison, threshold=threshold)
        if state in (AlertState.INACTIVE, AlertState.RESOLVED):
            breached_since_ns = now_ns
        before = state
        state = next_state(state, breached=breached, breached_for_s=(now_ns - breached_since_ns) / NS_PER_S, hold_s=hold_s)
        if state == AlertState.FIRING and value is not None:
            if before != AlertState.FIRING:
                episodes.append(Episode(now_ns, None, value))
            else:
                farther = max if comparison == Comparison.ABOVE else min
                episodes[-1] = Episode(episodes[-1].start_ns, None, farther(episodes[-1].peak, value))
        elif state == AlertState.RESOLVED:
            episodes[-1] = Episode(episodes[-1].start_ns, now_ns, episodes[-1].peak)
    return episodes
