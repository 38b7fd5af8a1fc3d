"""Prices of a project's own: which of them holds, that all ways to a cost agree, and that history follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from django.core.management import call_command

from tests.factories import default_project
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.recompute import recompute_pending
from tracestore.jobs.summarize import summarize_pending
from tracestore.language import parse_query
from tracestore.models import ModelPrice
from tracestore.prices import stored
from tracestore.prices.catalogue import TOKEN_CLASSES, Sold, TokenUsage
from tracestore.prices.custom import find_custom_price
from tracestore.prices.pricing import explain_call, price_call, price_calls
from tracestore.prices.stored import load_prices
from tracestore.queries.metrics.series import metric_value
from tracestore.queries.spans import get_span
from tracestore.queries.tree import find_steps
from tracestore.timerange import NS_PER_S, TimeRange

pytestmark = pytest.mark.django_db

START_NS = 1_790_000_000 * NS_PER_S
DAY = START_NS // (86_400 * NS_PER_S)
TRACE_ID, SPAN_ID = "cd" * 16, "2" * 16


@pytest.fixture(autouse=True)
def _no_prices_are_left() -> Iterator[None]:
    default_project()
    yield
    ModelPrice.objects.all().delete()
    load_prices(now=True)


def price(model: str, usd: str = "2", **more: object) -> ModelPrice:
    values = {"project_id": 1, "model": model, "input_usd": usd, "output_usd": "8"} | more
    return ModelPrice.objects.create(**values)


def test_nearest_price_holds() -> None:
    for model, more in (
        ("house-*", {}), ("house-7b", {}), ("house-7b", {"provider": "acme"}), ("*", {}),
        ("house-7b", {"from_day": date(2100, 1, 1)}),
    ):  # fmt: skip
        price(model, **more)
    load_prices(now=True)

    def found(provider: str, model: str, project_id: int = 1) -> tuple[str, str] | None:
        custom = find_custom_price(project_id, provider, model, DAY)
        return (custom.provider, custom.model) if custom else None

    assert found("acme", "house-7b") == ("acme", "house-7b")
    assert found("other", "house-7b") == ("", "house-7b")
    assert found("acme", "house-70b") == ("", "house-*")
    assert found("acme", "gpt-4o") == ("", "*")
    assert found("acme", "") is None
    assert found("acme", "house-7b", project_id=2) is None


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [("a*b*c", "a-b-c", True), ("a*b*c", "a-c-b", False), ("ab*ba", "aba", False), ("a.c", "abc", False), ("*x*", "axa", True)],
)
def test_star_stands_for_any_characters(pattern: str, model: str, fits: bool) -> None:
    price(pattern)
    load_prices(now=True)

    assert (find_custom_price(1, "", model, DAY) is not None) == fits


def test_every_class_of_token_has_its_price() -> None:
    price("house-7b", cache_read_usd="0.5")
    load_prices(now=True)
    usage = TokenUsage(1_000_000, 500_000, 200_000, 100_000)

    cost = price_call("acme", "house-7b", usage, START_NS, project_id=1)
    explained = explain_call("acme", "house-7b", usage, START_NS, project_id=1)
    columns = {name: np.array([0, count]) for name, count in zip(TOKEN_CLASSES, usage, strict=True)}
    both = price_calls([Sold("acme", "house-7b")], np.array([0, 0]), columns, np.array([START_NS, START_NS]), 1)

    # 700,000 plain input, 200,000 read, 100,000 written at the price of input, 500,000 output.
    assert cost == pytest.approx(1.4 + 0.1 + 0.2 + 4)
    assert explained is not None
    assert explained.total_usd == Decimal("5.7")
    assert [line.token_class for line in explained.lines] == ["input", "cache read", "cache write", "output"]
    assert np.isnan(both[0])
    assert both[1] == pytest.approx(cost)
    assert price_call("acme", "house-7b", usage, START_NS) is None
    assert price_call("acme", "house-7b", usage, START_NS, "batch", project_id=1) == cost


def test_price_named_later_reaches_history_steps_and_metrics(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    call = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "house-7b", "gen_ai.provider.name": "acme",
        "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0,
    }  # fmt: skip
    body = build_request({"trace_id": TRACE_ID, "span_id": SPAN_ID, "start_ns": START_NS, "name": "chat", "attributes": call})
    insert_batch(store, [(1, time.time_ns(), body)], writer="prices", batch_seq=time.time_ns())
    summarize_pending()
    an_hour = TimeRange(START_NS - NS_PER_S, START_NS + 3600 * NS_PER_S)

    def ask(metric: str) -> float | None:
        return metric_value(store, project_id=1, time_range=an_hour, query=parse_query(""), metric=metric)

    assert (ask("cost"), ask("unpriced_calls")) == (0, 1)

    price("house-*", usd="3")
    monkeypatch.setattr(stored._Loaded, "at_s", float("-inf"))
    call_command("reprice", "--no-wait")
    recompute_pending()

    assert ask("cost") == pytest.approx(3)
    assert ask("unpriced_calls") == 0
    assert get_span(store, project_id=1, trace_id=TRACE_ID, span_id=SPAN_ID).summary.cost_usd == pytest.approx(3)
    assert find_steps(store, project_id=1, trace_id=TRACE_ID, limit=5)[0].cost_usd == pytest.approx(3)
