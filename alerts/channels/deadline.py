"""Bounds an attempt as a whole. Timeouts of sockets bound each read, and a receiver may send a byte every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable

from alerts.channels.base import ChannelError

_abandoned: list[tuple[int, threading.Thread]] = []  # with the channel whose receiver holds it
_changing = threading.Lock()  # of the list: several deliveries are under way at a time


def call_within(limit_s: float, channel_id: int, call: Callable[[], None]) -> None:
    """Run an attempt on a thread of its own and leave it behind when it takes longer. Raises what it raises, or ChannelError.

    A thread cannot be ended from outside, so a channel that holds one gets no other until that one is let go: what a receiver
    can tie up is one thread, not one for each attempt.
    """
    with _changing:
        _abandoned[:] = [held for held in _abandoned if held[1].is_alive()]
        is_held = any(holder == channel_id for holder, _ in _abandoned)
    if is_held:
        raise ChannelError("The receiver still holds an earlier attempt.", permanent=False, silent=True)
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            call()
        except BaseException as error:  # carried over to the thread that waits
            failures.append(error)

    thread = threading.Thread(target=attempt, name=f"delivery to channel {channel_id}", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        with _changing:
            _abandoned.append((channel_id, thread))
        raise ChannelError(f"The receiver did not finish within {limit_s:g} s.", permanent=False, silent=True)
    if failures:
        raise failures[0]
