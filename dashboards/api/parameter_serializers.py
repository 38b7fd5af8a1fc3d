"""What requests to the REST API may say: queries, time ranges, pages."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from tracestore.errors import STATES
from tracestore.queries.errors import MAX_GROUPS, SORTS
from tracestore.queries.facets import FACET_NAMES
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS

MAX_LIMIT = 1000
_TIME_HELP = "RFC 3339 (UTC when no zone is given), Unix nanoseconds, or `now-15m` (s, m, h, d, w)."
_QUERY_HELP = "Query text, for example `status:error version:v3 tool:refund`. Empty matches everything."


class RangeParameters(serializers.Serializer[Any]):
    """A query and a time range: the last 24 hours without `start` and `end`."""

    # Kept as it came: an error's position counts its characters. The language bounds its length.
    q = serializers.CharField(required=False, allow_blank=True, default="", trim_whitespace=False, help_text=_QUERY_HELP)
    start = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64,
        help_text=f"Included. {_TIME_HELP} Default: 24 hours before `end`.",
    )  # fmt: skip
    end = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64, help_text=f"Not included. {_TIME_HELP} Default: now."
    )


class PageParameters(serializers.Serializer[Any]):
    """A page of a list."""

    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=MAX_LIMIT, help_text="Items on one page.")
    cursor = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=20_000,
        help_text="That of `next` of the page before, or all of `next`. Goes with the same other parameters.",
    )  # fmt: skip


class SearchParameters(PageParameters, RangeParameters):
    """A page of what a query finds."""


class LogSearchParameters(SearchParameters):
    """A page of log records that a query finds."""

    q = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False,
        help_text="Query text over log records, for example `severity:error event:claude_code.*`. Empty matches everything.",
    )  # fmt: skip


class MetricParameters(RangeParameters):
    """A metric over time."""

    metric = serializers.CharField(max_length=64, help_text="One of: " + ", ".join(f"`{name}`" for name in METRICS) + ".")
    group_by = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64,
        help_text="One series per value, the ten with most traces. One of: " + ", ".join(f"`{name}`" for name in GROUPINGS) + ".",
    )  # fmt: skip
    step = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=16,
        help_text="Width of a point: seconds, or `30s`, `5m`, `1h`, `1d`. Default: cuts the range into at most 120 points.",
    )  # fmt: skip


class FacetParameters(RangeParameters):
    """The values of a field."""

    field = serializers.CharField(max_length=64, help_text="One of: " + ", ".join(f"`{name}`" for name in FACET_NAMES) + ".")
    limit = serializers.IntegerField(required=False, default=12, min_value=1, max_value=MAX_LIMIT, help_text="Values returned.")


class ErrorParameters(RangeParameters):
    """Failures by error."""

    state = serializers.ChoiceField(choices=STATES, required=False, allow_blank=True, default="", help_text="Errors in it alone.")
    sort = serializers.ChoiceField(choices=tuple(SORTS), required=False, default="traces", help_text="Most, or latest, first.")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=MAX_GROUPS, help_text="Errors returned.")
