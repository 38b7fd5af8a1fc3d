"""A metric read by its name, and columns of traces that make one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.model import Series
from tracestore.queries.metrics.series import metric_series, metric_value
from tracestore.statistics.buckets import bucket_of
from tracestore.timerange import NS_PER_S, TimeRange

HOUR_S = 3600
START_S = 1_780_002_000  # a whole hour
START_NS = START_S * NS_PER_S
EIGHT_HOURS = TimeRange(START_NS, START_NS + 8 * HOUR_S * NS_PER_S)
ONE_HOUR = TimeRange(START_NS, START_NS + HOUR_S * NS_PER_S)


def value_of(store: Store, metric: str, text: str = "", time_range: TimeRange = ONE_HOUR) -> float | None:
    return metric_value(store, project_id=1, time_range=time_range, query=parse_query(text), metric=metric)


def series_of(
    store: Store, metric: str, text: str = "", group_by: str = "", time_range: TimeRange = ONE_HOUR, step_s: int = 1800
) -> list[Series]:
    return metric_series(
        store, project_id=1, time_range=time_range, query=parse_query(text), metric=metric, group_by=group_by, step_s=step_s
    )


def model_columns(*usages: tuple[str, int, int, int, float | None]) -> dict[str, Any]:
    """(model, calls, input, output tokens, cost) as the columns of `traces`."""
    names, calls, inputs, outputs, costs = ([usage[place] for usage in usages] for place in range(5))
    return {
        "models.model": names,
        "models.provider": ["openai"] * len(usages),
        "models.calls": calls,
        "models.errors": [0] * len(usages),
        "models.input_tokens": inputs,
        "models.output_tokens": outputs,
        "models.cached_input_tokens": [0] * len(usages),
        "models.cost_usd": costs,
        "llm_calls": sum(calls),
        "input_tokens": sum(inputs),
        "output_tokens": sum(outputs),
        "cost_usd": sum(cost for cost in costs if cost is not None),
    }


def seconds(*values: float) -> list[int]:
    return [int(bucket) for bucket in bucket_of(np.array([int(value * NS_PER_S) for value in values], dtype=np.int64))]
