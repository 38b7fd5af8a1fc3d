"""How much memory it takes to parse a body, told without parsing it."""

from __future__ import annotations

_CONTROL = bytes(range(0x20))


def most_parsing_bytes(body: bytes) -> int:
    """Return what parsing a body of this size may take at most, whatever is in it."""
    return 200 * len(body)


def estimate_parsing_bytes(body: bytes, *, is_json: bool) -> int:
    """Return about how much memory parsing takes, rather too much than too little. Runs at a gigabyte a second.

    The weights are measured (CPython 3.11, upb 7): a body of long texts takes 2 times its size, one of small attributes
    13 (JSON) or 3 (Protobuf) times, one made for the purpose 30 to 90 times.
    """
    if is_json:
        # Objects, arrays, strings and other values, each as Python's object and as the bytes that it is encoded to.
        text = len(body) * (3 if body.isascii() else 6)
        return text + 150 * body.count(b"{") + 100 * body.count(b"[") + 20 * body.count(b'"') + 180 * body.count(b",")
    # Each message has its length before it, below 0x20 where it is small; tags of spans and envelopes are below 0x20 too.
    return 4 * len(body) + 80 * (len(body) - len(body.translate(None, _CONTROL)))
