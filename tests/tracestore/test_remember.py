"""What is remembered by names of senders stays small, however long these are."""

from __future__ import annotations

import pytest

from ingest.privacy import _is_id
from tracestore.content.keys import Part, find_part, find_part_in_event
from tracestore.fingerprint import STACK_CHARS, find_own_frames
from tracestore.prices import pricing
from tracestore.prices.catalogue import TokenUsage
from tracestore.prices.pricing import price_call
from tracestore.remember import remember_short


def test_short_names_are_asked_about_once_and_long_ones_are_not_kept() -> None:
    asked = []

    @remember_short(2, longest=4)
    def answer(name: str, other: str) -> int:
        asked.append(name)
        return len(name + other)

    assert [answer("abcd", "x"), answer("abcd", "x"), answer("abcde", "x"), answer("abcde", "x")] == [5, 5, 6, 6]
    assert asked == ["abcd", "abcde", "abcde"]
    assert answer.count == 1


def test_names_of_any_length_are_understood_and_not_kept() -> None:
    name = "k" * 100_000
    before = [kept.count for kept in (find_part, find_part_in_event, _is_id, find_own_frames)]

    assert find_part(f"{name}.content") is Part.CONTENT
    assert find_part_in_event(name, f"{name}.content") is Part.CONTENT
    assert _is_id(f"{name}.id")
    assert find_own_frames("\n" * 3 * STACK_CHARS) == ()

    assert [kept.count for kept in (find_part, find_part_in_event, _is_id, find_own_frames)] == before


def test_price_is_asked_for_by_a_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(pricing, "calculate", lambda sold, tokens, day: asked.append(sold))

    assert price_call("p" * 100_000, "m" * 100_000, TokenUsage(1, 1), 10**18) is None

    assert [max(map(len, sold)) for sold in asked] == [256]
