"""Prices of a project's own, as this process knows them: which one a call has. Pure; prices.py reads them from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class CustomPrice:
    """A project's own price, in USD for a million tokens, from a day (days since the Unix epoch) on; see models.ModelPrice."""

    provider: str
    model: str
    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal
    cache_write_usd: Decimal
    from_day: int

    def rates(self) -> tuple[tuple[str, Decimal], ...]:
        """Return (class of token, price), classes in the order of _split_tokens."""
        return (
            ("input", self.input_usd), ("cache read", self.cache_read_usd), ("cache write", self.cache_write_usd),
            ("output", self.output_usd),
        )  # fmt: skip


# By project; whoever can read the database keeps it up to date (prices.py).
_custom: dict[int, tuple[CustomPrice, ...]] = {}


def set_custom_prices(prices: Mapping[int, Sequence[CustomPrice]]) -> None:
    """Let these be the prices of all projects from now on."""
    _custom.clear()
    _custom.update({project_id: tuple(of_project) for project_id, of_project in prices.items()})


def has_custom_prices(project_id: int) -> bool:
    return bool(_custom.get(project_id))


def find_custom_price(project_id: int, provider: str, model: str, day: int) -> CustomPrice | None:
    """Return the project's own price of a model: one for the provider before one for any, the longest name, the latest day."""
    fitting = [
        price
        for price in _custom.get(project_id, ())
        if model and price.from_day <= day and price.provider in ("", provider) and _is_like(model, price.model)
    ]
    return max(
        fitting, key=lambda price: (price.provider, "*" not in price.model, len(price.model), price.from_day), default=None
    )


def _is_like(model: str, pattern: str) -> bool:
    """Tell whether a name fits a pattern in which * stands for any characters; in one pass, whatever the pattern."""
    first, *middle = pattern.split("*")
    if not middle:
        return model == pattern
    last = middle.pop()
    if not model.startswith(first) or not model.endswith(last) or len(model) < len(first) + len(last):
        return False
    at, end = len(first), len(model) - len(last)
    for part in middle:
        found = model.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
