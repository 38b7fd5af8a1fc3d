"""Prices of a project's own: kept in the database, and known to this process within seconds."""

from __future__ import annotations

import time
from datetime import date

from tracestore.models import ModelPrice
from tracestore.prices.custom import CustomPrice, set_custom_prices

_FRESH_S = 5.0
_EPOCH = date(1970, 1, 1)


class _Loaded:
    """When this process read the prices last."""

    at_s = float("-inf")


def load_prices(*, now: bool = False) -> None:
    """Let `pricing` know all prices of all projects, when it was told more than five seconds ago or `now` is asked for."""
    if not now and time.monotonic() - _Loaded.at_s < _FRESH_S:
        return
    prices: dict[int, list[CustomPrice]] = {}
    for row in ModelPrice.objects.all():
        read = row.input_usd if row.cache_read_usd is None else row.cache_read_usd
        written = row.input_usd if row.cache_write_usd is None else row.cache_write_usd
        from_day = (row.from_day - _EPOCH).days
        price = CustomPrice(row.provider, row.model, row.input_usd, row.output_usd, read, written, from_day)
        prices.setdefault(row.project_id, []).append(price)
    set_custom_prices(prices)
    _Loaded.at_s = time.monotonic()
