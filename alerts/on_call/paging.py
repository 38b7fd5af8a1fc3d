"""Who is told of an alert, and when. Pure: times, routes and what was sent in; channels out.

A route has steps: channels told at once, and others after so long without an acknowledgement (escalation). A channel hears of an
incident once per severity, when its step has come, and again every repeat interval until someone acknowledges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.on_call.matcher import Matcher
from alerts.rules.evaluation import FLAP_WINDOW_S

FLAPS = 3
SEVERITIES = ("info", "warning", "critical")
# An alert that begins again so soon after its incident ended belongs to the same outage.
REOPEN_WITHIN = timedelta(minutes=15)
# A flapping incident ends when it has been quiet for so long.
FLAPPING_HOLD = timedelta(minutes=15)


def severity_rank(severity: str) -> int:
    """Return 0 for info up to 2 for critical."""
    return SEVERITIES.index(severity)


@dataclass(frozen=True)
class Turn:
    """When a channel is told: so many seconds after the alert began, then every `repeat_s` (0: never again)."""

    after_s: int
    repeat_s: int


@dataclass(frozen=True)
class Step:
    """Channels (by id) that are told after so many seconds without an acknowledgement."""

    after_s: int
    channels: frozenset[int]


@dataclass(frozen=True)
class RoutePlan:
    """A route as the decision needs it. `goes_on`: the routes after it are asked too."""

    matcher: Matcher
    steps: tuple[Step, ...]
    repeat_s: int = 0
    goes_on: bool = False


def plan_turns(facts: Mapping[str, str], routes: Iterable[RoutePlan], own_channels: Iterable[int]) -> dict[int, Turn]:
    """Return each channel's turn for one alert: the rule's own channels at once, and those of the routes that match it.

    The first route that matches ends the search unless it goes on. Named twice, a channel takes the earlier step and the
    shorter repeat; the rule's own channels repeat as the matching routes do.
    """
    matched = []
    for route in routes:
        if route.matcher.matches(facts):
            matched.append(route)
            if not route.goes_on:
                break
    shortest_s = _shortest(route.repeat_s for route in matched)
    turns = {channel: Turn(0, shortest_s) for channel in own_channels}
    for route in matched:
        for step in route.steps:
            for channel in step.channels:
                known = turns.get(channel)
                turn = Turn(step.after_s, route.repeat_s)
                if known:
                    turn = Turn(min(known.after_s, turn.after_s), _shortest((known.repeat_s, turn.repeat_s)))
                turns[channel] = turn
    return turns


def _shortest(intervals_s: Iterable[int]) -> int:
    return min((interval for interval in intervals_s if interval), default=0)


def due_at(turn: Turn, *, since: datetime, told_at: datetime | None) -> datetime | None:
    """Return when a channel is to be told next of an alert that has called since `since`; None for never."""
    if told_at is None:
        return since + timedelta(seconds=turn.after_s)
    return told_at + timedelta(seconds=turn.repeat_s) if turn.repeat_s else None


def group_key(names: Sequence[str], facts: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """Return what alerts of one incident have in common, as canonical JSON: the values of `names`, of which `*` is all labels."""
    values = {name: facts.get(name, "") for name in names if name != "*"}
    if "*" in names:
        values |= {name: str(value) for name, value in labels.items()}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Candidate:
    """An incident that an alert might join. `members` are the identities of its alerts; `ended_at` None while one of them fires.

    `shares_cause` says whether a cause that the alert names was named by one of them.
    """

    incident_id: int
    key: str
    members: frozenset[str]
    last_began_at: datetime
    ended_at: datetime | None
    shares_cause: bool = False


def choose_incident(candidates: Iterable[Candidate], *, key: str, identity: str, now: datetime, window: timedelta) -> int | None:
    """Return the incident that an alert beginning now belongs to, None for a new one.

    First one that has known this very alert (the same rule and labels) and is open, or ended at most REOPEN_WITHIN ago; then
    one of the same key in which an alert began at most `window` ago. What has ended only comes back with its cause: another
    fault is another incident. Of several the latest, and open ones before ended ones.
    """

    def is_alike(one: Candidate) -> bool:
        return one.key == key and abs(now - one.last_began_at) <= window and (one.ended_at is None or one.shares_cause)

    fitting = [
        (identity in one.members, one.ended_at is None, one.last_began_at, one.incident_id)
        for one in candidates
        # Either way: the clock may have been set back.
        if (one.ended_at is None or abs(now - one.ended_at) <= REOPEN_WITHIN) and (identity in one.members or is_alike(one))
    ]
    return max(fitting)[-1] if fitting else None


def is_flapping(starts: Iterable[datetime], now: datetime) -> bool:
    """An alert flaps when it has begun at least FLAPS times within FLAP_WINDOW_S."""
    return sum(timedelta(0) <= now - start <= timedelta(seconds=FLAP_WINDOW_S) for start in starts) >= FLAPS
