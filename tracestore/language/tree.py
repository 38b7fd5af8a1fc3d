"""The tree that a query text means. Positions count characters of the text and do not take part in comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
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
    """One condition. `field` is a canonical name of FIELDS; `key` is the attribute's key when it is `attr`, else ""."""

    field: str
    key: str
    value: Value
    start: int = dataclasses.field(default=0, compare=False)
    end: int = dataclasses.field(default=0, compare=False)


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


Node: TypeAlias = Term | Not | And | Or


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
        """Every term of the tree, in the order of the text."""
        waiting: list[Node] = [self.root] if self.root is not None else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, Term):
                yield node
            elif isinstance(node, Not):
                waiting.append(node.item)
            else:
                waiting.extend(reversed(node.items))
