"""Tool results stand with the calls they answer."""

from __future__ import annotations

import sys
from types import FrameType

from dashboards.trace.message_cards import ShownMessage, pair_calls
from tracestore.content.message_parts import Part
from tracestore.content.messages import Message


def _call(call_id: str = "", name: str = "search") -> Part:
    return Part("tool_call", "{}", name=name, call_id=call_id)


def _result(text: str, call_id: str = "", name: str = "") -> Part:
    return Part("tool_result", text, name=name, call_id=call_id)


def _shape(shown: list[ShownMessage]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (entry.message.role, [(part.part.kind, part.result.text if part.result else "") for part in entry.parts])
        for entry in shown
    ]


def test_results_move_to_their_calls_and_their_messages_vanish() -> None:
    messages = [
        Message("user", [Part("text", "hello")]),
        Message("assistant", [_call("c1"), _call("c2")]),
        Message("tool", [_result("two", "c2")]),
        Message("tool", [_result("one", "c1")]),
        Message("assistant", [Part("text", "done")]),
    ]

    shown = pair_calls(messages)

    assert _shape(shown) == [
        ("user", [("text", "")]),
        ("assistant", [("tool_call", "one"), ("tool_call", "two")]),
        ("assistant", [("text", "")]),
    ]
    assert [entry.index for entry in shown] == [0, 1, 4]
    assert [part.result_place for part in shown[1].parts] == [(3, 0), (2, 0)]


def test_call_id_that_is_used_again_belongs_to_the_last_call() -> None:
    messages = [
        Message("assistant", [_call("call_0")]),
        Message("tool", [_result("first", "call_0")]),
        Message("assistant", [_call("call_0")]),
        Message("tool", [_result("second", "call_0")]),
    ]

    assert _shape(pair_calls(messages)) == [("assistant", [("tool_call", "first")]), ("assistant", [("tool_call", "second")])]


def test_result_without_an_id_belongs_to_the_first_open_call_of_its_name() -> None:
    messages = [
        Message("assistant", [_call(name="search"), _call(name="refund")]),
        Message("tool", [_result("refunded", name="refund"), _result("found", name="search")]),
    ]

    assert _shape(pair_calls(messages)) == [("assistant", [("tool_call", "found"), ("tool_call", "refunded")])]


def test_what_has_no_partner_stays_where_it_was() -> None:
    messages = [Message("tool", [_result("lost", "c9")]), Message("assistant", [_call("c1")]), Message("user", [])]

    assert _shape(pair_calls(messages)) == [("tool", [("tool_result", "")]), ("assistant", [("tool_call", "")]), ("user", [])]


def test_thousands_of_calls_without_an_answer_are_looked_through_once() -> None:
    """Each result used to look at every call: here a hundred million times."""
    calls = Message("assistant", [_call(f"c{number}") for number in range(10_000)])
    results = Message("tool", [_result("", f"r{number}") for number in range(10_000)])
    looks = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal looks
        looks += event == "call"

    sys.setprofile(count)
    try:
        shown = pair_calls([calls, results])
    finally:
        sys.setprofile(None)

    assert [len(message.parts) for message in shown] == [10_000, 10_000]
    assert looks < 100_000
