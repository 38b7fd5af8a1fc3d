"""A cache for what is told by names of senders, who may make names of any length: it keeps none that is long."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
_LONGEST = 512


class RememberShort(Generic[Answer]):
    """A function of texts whose answers are kept, `most` of them; those to a text of more than `longest` characters are not."""

    def __init__(self, function: Callable[..., Answer], most: int, longest: int) -> None:
        self._function, self._longest = function, longest
        self._kept = lru_cache(most)(function)

    def __call__(self, *texts: str) -> Answer:
        return (self._kept if max(map(len, texts)) <= self._longest else self._function)(*texts)

    @property
    def count(self) -> int:
        """How many answers are kept at the moment."""
        return self._kept.cache_info().currsize


def remember_short(most: int, longest: int = _LONGEST) -> Callable[[Callable[..., Answer]], RememberShort[Answer]]:
    """Decorate a function of texts."""
    return lambda function: RememberShort(function, most, longest)
