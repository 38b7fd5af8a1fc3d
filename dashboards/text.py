"""Text from strangers made fit to read: control characters visible, JSON indented, long texts cut. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Long enough for nearly every message, short enough that a page of them stays quick; the rest is a click away.
EXCERPT_CHARS = 20_000

# Control characters except tab and newline, what reorders or hides text (bidirectional controls, zero-width space, byte
# order mark), and lone surrogates, which no encoding can carry. The zero-width joiners stay: emoji and several scripts need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def _name_character(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\\u{code:04x}"


def make_visible(text: str) -> str:
    """Return text in which nothing is invisible or reorders its neighbours: NUL becomes the sign for it, U+202E its escape."""
    return _INVISIBLE.sub(_name_character, text.replace("\r\n", "\n"))


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a text; `hidden_chars` more exist."""

    text: str
    total_chars: int

    @property
    def hidden_chars(self) -> int:
        return self.total_chars - len(self.text)


def cut_text(text: str, limit: int = EXCERPT_CHARS) -> Excerpt:
    """Return the first `limit` characters; a text only slightly longer stays whole, as a link would cost more than it saves."""
    return Excerpt(text if len(text) <= limit + limit // 10 else text[:limit], len(text))


# Nothing here crosses more than one line: over a run of white space it would look at each rest of the run again.
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):|\n[^\S\n]+at \S+ \(|\nStack trace:")


def split_stacktrace(message: str) -> tuple[str, str]:
    """Return the message without the stack trace that some senders append to it, and that stack trace ("" if none)."""
    match = _TRACEBACK.search(message, 0, EXCERPT_CHARS)
    said = message[: match.start()].rstrip() if match else ""
    return (said, message[match.start() :].strip("\n")) if match and said else (message, "")


def preview(text: str, limit: int = 160) -> str:
    """Return one line that tells what a text is about."""
    line = " ".join(text[: limit * 4].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
