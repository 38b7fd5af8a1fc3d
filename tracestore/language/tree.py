"""The tree that a query text means. Positions count characters of the text and do not take part in comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True)
class Pattern:
    """Text with wildcards between its parts: ("v3",) is exactly v3, ("v", "") is v*, ("", "") is * and asks for presence."""

    parts: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        return len(self.parts) == 1

    @property
    def is_presence(self) -> bool:
        return len(self.parts) > 1 and not any(self.parts)

    @property
    def text(self) -> str:
        """The text of an exact pattern."""
        return "*".join(self.parts)


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high` (None: unbounded) in the field's base unit: nanoseconds, USD, or a plain count."""

    low: int | float | None
    high: int | float | None
    includes_low: bool = True
    includes_high: bool = True


@dataclass(frozen=True)
class Flag:
    """true or false."""

    value: bool


Value: TypeAlias = Pattern | Interval | Flag


@dataclass(frozen=True)
class Term:
    """One condition. `field` is a canonical name of FIELDS; `key` is the attribute's key when it is `attr`, the name when it is
    `score` ("" for a score of any name), else "".

    `of_trace` asks the whole trace, also where a span is asked: `trace.duration`.
    """

    field: str
    key: str
    value: Value
    of_trace: bool = False
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)

    @property
    def full_name(self) -> str:
        """The field with its key, such as attr.customer.tier."""
        return f"{self.field}.{self.key}" if self.key else self.field


@dataclass(frozen=True)
class Not:
    """The opposite of `item`."""

    item: Node
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class And:
    """All of `items`, of which there are at least two."""

    items: tuple[Node, ...]
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class Or:
    """Any of `items`, of which there are at least two."""

    items: tuple[Node, ...]
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class Spans:
    """The spans that meet all of `where` (None: any span), whose terms ask one span."""

    where: Node | None
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


class Relation(StrEnum):
    """How a span stands to another one of its trace."""

    INSIDE = "inside"  # at any depth below it
    THEN = "then"  # the other starts when it has ended, or later
    CALLS = "calls"  # it is the other's parent


@dataclass(frozen=True)
class Related:
    """Those of the spans `left` that stand so to at least one of the spans `right`."""

    relation: Relation
    left: SpanSet
    right: SpanSet
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class Count:
    """How many spans of a trace meet `where`, whose terms ask one span."""

    where: Node
    value: Interval
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


SpanSet: TypeAlias = Spans | Related
Node: TypeAlias = Term | Not | And | Or | Spans | Related | Count


@dataclass(frozen=True)
class Query:
    """A parsed query. `root` is None for the empty text, which everything matches."""

    text: str = dataclasses.field(compare=False)
    root: Node | None

    @property
    def conditions(self) -> tuple[Node, ...]:
        """The conditions that must all hold, in the order of the text."""
        if self.root is None:
            return ()
        return self.root.items if isinstance(self.root, And) else (self.root,)

    def terms(self) -> Iterator[Term]:
        """Every term of the tree, those that ask single spans included, in the order of the text."""
        waiting: list[Node | None] = [self.root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Term):
                yield node
            elif isinstance(node, Not):
                waiting.append(node.item)
            elif isinstance(node, Spans | Count):
                waiting.append(node.where)
            elif isinstance(node, Related):
                waiting += (node.right, node.left)
            elif node is not None:
                waiting.extend(reversed(node.items))
