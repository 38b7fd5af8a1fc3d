"""What a message says, apart from how a channel shows it. Pure data: no models, no store, no channel.

Every text is one line of plain text: names and messages come from traces and may hold anything, and a line break would forge a
header or a line of ours. `one_line` makes them so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Event(StrEnum):
    """What a message is about."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    RULE_ERROR = "rule_error"
    REPORT = "report"
    TEST = "test"


@dataclass(frozen=True)
class Item:
    """One line of a section. `mark` is a word that stands out, such as "new"; `detail` is said more quietly."""

    text: str
    detail: str = ""
    url: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Section:
    """Items under a heading; `numbered` when their order means something."""

    heading: str
    items: list[Item]
    numbered: bool = False


@dataclass(frozen=True)
class Link:
    """Where to look or what to do. One that `stands_out` is needed at once: a mail shows it above the reasons, as the first."""

    label: str
    url: str
    stands_out: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG; `alt` says what it shows."""

    alt: str
    png: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Notification:
    """One message, in parts that each channel puts together in its own form.

    `cause` is the likely cause in a line, "" where nothing is likely: what a phone shows beside the title. `lead` are the
    sentences that matter, the cause the first of them, `facts` pairs of label and text, `links` the most useful first. `payload`
    is what programs get, and `key` the same for all messages about one alert, so that a receiver can tell them for one; "" for
    none.
    """

    event: Event
    severity: str
    title: str
    lead: list[str]
    facts: list[tuple[str, str]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    payload: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    cause: str = ""


def one_line(text: str) -> str:
    return " ".join(text.split())
