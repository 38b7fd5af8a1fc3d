"""What a sender says that a call cost, and the tier that decides its price."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.tracestore.semconv.conftest import RowsOf, build_span, store_spans
from tracestore.clickhouse.client import Store

COST_CASES: dict[str, tuple[Any, float | None]] = {
    "number": (0.5, 0.5), "text": ("0.25", 0.25), "zero": (0.0, None), "negative": (-1.0, None), "NaN": (math.nan, None),
    "infinite": (math.inf, None), "word": ("free", None), "absurd": (1e12, None),
}  # fmt: skip
COST_SPANS = {case: build_span({"gen_ai.usage.cost": value}) for case, (value, _) in COST_CASES.items()}


@pytest.mark.parametrize("case", COST_CASES)
def test_supplied_cost_is_a_sane_amount_or_none(rows_of: RowsOf, case: str) -> None:
    assert rows_of(COST_SPANS)[case]["supplied_cost_usd"] == COST_CASES[case][1]


def test_tier_is_the_one_that_served_and_a_batch_is_one(store: Store) -> None:
    asked, served = {"openai.request.service_tier": "flex"}, {"openai.response.service_tier": "Priority"}
    spans = [build_span(asked | served), build_span(asked), build_span({"gen_ai.request.batch": True} | served), build_span()]

    rows = store_spans(store, spans, ("service_tier",))

    assert [row["service_tier"] for row in rows] == ["priority", "flex", "batch", ""]
