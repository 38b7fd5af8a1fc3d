"""Bodies inflated and parsed, in threads where they are large, and never more at once than there is memory for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ingest.otlp.memory import estimate_parsing_bytes, most_parsing_bytes
from ingest.receivers.body import Allowance, MemoryBudget, TooLarge, inflate
from ingest.receivers.refusing import Refused

# Larger bodies are inflated and parsed in a thread; below this the hand-over costs more than the work.
_INLINE_BYTES, _INLINE_COMPRESSED_BYTES = 64 * 2**10, 4 * 2**10
# In bodies of the largest size: what all requests in threads may take together to parse, and what one of them may.
_ALL_PARSING, _ONE_PARSING = 4, 32

_parsing_budget = MemoryBudget()  # of its own: beside small requests a large one must still find room
_workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="otlp")
# Of their own, so that costly rules of one project hold up no other.
_cleaners = ThreadPoolExecutor(max_workers=2, thread_name_prefix="otlp-clean")
_CLEANER_WAIT_S = 8.0  # for one of them; exporters give a whole export 10 s, and what they gave up must hold up no other
_CLEANING = 3  # copies of a body's texts that cleaning makes beside what parsing makes


async def parse_body(
    parse: Callable[[bytes], Any], body: bytes, encoding: str, is_json: bool, allowance: Allowance, *, cleans: bool = False
) -> Any:
    """Inflate and parse, each here when it is short, else in a thread, where it does not hold up other requests.

    `cleans`: parsing applies a project's rules too, which takes a thread whatever the size.
    """
    loop = asyncio.get_running_loop()
    if cleans:
        parse = partial(_parse_unless_late, parse, time.monotonic() + _CLEANER_WAIT_S)
    if encoding == "identity" or len(body) <= _INLINE_COMPRESSED_BYTES:
        content = inflate(body, encoding, allowance)
    else:
        content = await loop.run_in_executor(_workers, inflate, body, encoding, allowance)
    pool = _cleaners if cleans else _workers
    if len(content) <= _INLINE_BYTES:
        return await loop.run_in_executor(pool, parse, content) if cleans else parse(content)
    extra = _CLEANING * len(content) if cleans else 0
    return await loop.run_in_executor(pool, _parse_large, parse, content, is_json, extra, allowance.max_body_bytes)


def _parse_unless_late(parse: Callable[[bytes], Any], until_s: float, content: bytes) -> Any:
    """Parse unless the wait for a thread was too long. Raises Refused."""
    if time.monotonic() > until_s:
        raise Refused(503, "The server is busy applying privacy rules.")
    return parse(content)


def _parse_large(parse: Callable[[bytes], Any], content: bytes, is_json: bool, extra_bytes: int, max_body_bytes: int) -> Any:
    """Parse when there is memory for it. Raises NoMemory, or TooLarge when even a lone request would take too much."""
    room = _ALL_PARSING * max_body_bytes
    size = most_parsing_bytes(content) + extra_bytes
    # Where there is room for the worst body of this size, nobody needs to look: that takes as long as parsing.
    if not _parsing_budget.take_if_free(size, room):
        size = estimate_parsing_bytes(content, is_json=is_json) + extra_bytes
        if size > _ONE_PARSING * max_body_bytes:
            raise TooLarge
        _parsing_budget.take(size, room)
    try:
        return parse(content)
    finally:
        _parsing_budget.give_back(size)
