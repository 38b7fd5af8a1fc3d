"""The decisions of on-call, without a database."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from alerts.on_call.matcher import alert_facts, parse_matcher
from alerts.on_call.paging import Candidate, RoutePlan, Step, Turn, choose_incident, due_at, group_key, is_flapping, plan_turns

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
FACTS = alert_facts(rule="Refunds", severity="critical", metric="failure_rate", labels={"tool": "refund"})
CHAT, PHONE, BOSS = 1, 2, 3


def route(matcher: str, *steps: tuple[int, set[int]], repeat_s: int = 0, goes_on: bool = False) -> RoutePlan:
    return RoutePlan(parse_matcher(matcher), tuple(Step(after_s, frozenset(to)) for after_s, to in steps), repeat_s, goes_on)


@pytest.mark.parametrize(
    ("routes", "own", "expected"),
    [
        ([], set(), {}),
        ([], {CHAT}, {CHAT: Turn(0, 0)}),
        ([route("severity:warning", (0, {PHONE}))], {CHAT}, {CHAT: Turn(0, 0)}),
        ([route("severity:critical", (0, {PHONE}), (600, {BOSS}))], set(), {PHONE: Turn(0, 0), BOSS: Turn(600, 0)}),
        # The first match ends the search ...
        ([route("tool:refund", (0, {PHONE})), route("", (0, {BOSS}))], set(), {PHONE: Turn(0, 0)}),
        # ... unless it goes on.
        (
            [route("tool:refund", (0, {PHONE}), goes_on=True), route("", (60, {BOSS}))],
            set(),
            {PHONE: Turn(0, 0), BOSS: Turn(60, 0)},
        ),
        # Named twice: the earlier step, the shorter repeat.
        (
            [route("", (300, {PHONE}), repeat_s=900, goes_on=True), route("", (60, {PHONE}), repeat_s=1800)],
            set(),
            {PHONE: Turn(60, 900)},
        ),
        # The rule's own channels repeat as the routes do.
        ([route("", (600, {BOSS, CHAT}), repeat_s=1800)], {CHAT}, {CHAT: Turn(0, 1800), BOSS: Turn(600, 1800)}),
    ],
)
def test_turns(routes: list[RoutePlan], own: set[int], expected: dict[int, Turn]) -> None:
    assert plan_turns(FACTS, routes, own) == expected


def test_turn_comes_after_its_pause_then_every_interval_then_never() -> None:
    assert due_at(Turn(600, 0), since=NOW, told_at=None) == NOW + timedelta(minutes=10)
    assert due_at(Turn(600, 1800), since=NOW, told_at=NOW) == NOW + timedelta(minutes=30)
    assert due_at(Turn(0, 0), since=NOW, told_at=NOW) is None


def test_adding_a_route_at_the_end_never_delays_anyone() -> None:
    draw = random.Random(5)
    for _ in range(300):
        routes = [
            route(
                draw.choice(["", "severity:critical", "severity:info"]),
                *((draw.randrange(0, 900, 60), set(draw.sample(range(6), 2))) for _ in range(draw.randrange(3))),
                repeat_s=draw.choice([0, 600, 3600]), goes_on=draw.random() < 0.5,
            )
            for _ in range(draw.randrange(1, 5))
        ]  # fmt: skip
        own = set(draw.sample(range(6), draw.randrange(3)))

        before, after = plan_turns(FACTS, routes[:-1], own), plan_turns(FACTS, routes, own)

        assert before.keys() <= after.keys()
        assert all(after[channel].after_s <= turn.after_s for channel, turn in before.items())
        assert own <= {channel for channel, turn in after.items() if turn.after_s == 0}


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ([], "{}"),
        (["rule"], '{"rule":"Refunds"}'),
        (["tool", "severity"], '{"severity":"critical","tool":"refund"}'),
        (["region"], '{"region":""}'),
        (["*"], '{"tool":"refund"}'),
    ],
)
def test_group_key(names: list[str], key: str) -> None:
    assert group_key(names, FACTS, {"tool": "refund"}) == key


def candidate(pk: int, began_ago_m: int, *, ended_ago_m: int | None = None, key: str = "{}", members: str = "") -> Candidate:
    ended_at = None if ended_ago_m is None else NOW - timedelta(minutes=ended_ago_m)
    return Candidate(pk, key, frozenset(members.split()), NOW - timedelta(minutes=began_ago_m), ended_at)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([], None),
        ([candidate(1, 5)], 1),
        ([candidate(1, 10)], 1),
        ([candidate(1, 11)], None),
        ([candidate(1, -1)], 1),  # the clock was set back a little ...
        ([candidate(1, -11)], None),  # ... or a lot
        ([candidate(1, 5, key='{"rule":"x"}')], None),
        # The same alert again, however long the incident has been open.
        ([candidate(1, 500, members="me")], 1),
        ([candidate(1, 500, members="me"), candidate(2, 1)], 1),
        ([candidate(1, 500, ended_ago_m=15, members="me")], 1),
        ([candidate(1, 500, ended_ago_m=16, members="me")], None),
        # An open incident before one that is over.
        ([candidate(1, 1, ended_ago_m=0), candidate(2, 9)], 2),
        ([candidate(1, 9), candidate(2, 4)], 2),
    ],
)
def test_choice_of_incident(candidates: list[Candidate], chosen: int | None) -> None:
    assert choose_incident(candidates, key="{}", identity="me", now=NOW, window=timedelta(minutes=10)) == chosen


def test_three_starts_within_an_hour_are_flapping() -> None:
    minutes_ago = [timedelta(minutes=minutes) for minutes in (0, 30, 60, 61)]
    starts = [NOW - ago for ago in minutes_ago]

    assert is_flapping(starts[:3], NOW)
    assert not is_flapping([starts[0], starts[1], starts[3]], NOW)
    assert not is_flapping(starts[:2], NOW)


def test_clock_that_was_set_back_makes_no_outage_of_what_is_still_to_come() -> None:
    later = NOW + timedelta(hours=2)
    ended_later = Candidate(1, "k", frozenset({"r"}), NOW, later)

    assert choose_incident([ended_later], key="k", identity="r", now=NOW, window=timedelta(minutes=10)) is None
    assert not is_flapping([NOW, NOW - timedelta(minutes=1), later], NOW)
