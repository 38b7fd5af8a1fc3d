"""Dashboards as the REST API takes and gives them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from dashboards.panels.measures import MEASURES
from dashboards.panels.own_dashboards import MAX_METRICS
from dashboards.panels.panel import KINDS, OFFERED_GROUPINGS


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


class PanelSerializer(serializers.Serializer[Any]):
    """One panel. What its values may be is checked with those of the whole dashboard."""

    title = serializers.CharField(required=False, allow_blank=True, default="", help_text="Made of its metrics when empty.")
    metrics = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=MAX_METRICS,
        help_text=f"Of one unit, except in a table. Each one of: {_listed(MEASURES)}.",
    )  # fmt: skip
    kind = serializers.CharField(required=False, default="line", max_length=16, help_text=f"One of: {_listed(KINDS)}.")
    group_by = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64,
        help_text=f"Empty follows what the reader of the page groups by. One of: {_listed(OFFERED_GROUPINGS)}.",
    )  # fmt: skip
    query = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False,
        help_text="Of which traces, beside the query of the page; empty for all.",
    )  # fmt: skip


class DashboardInput(serializers.Serializer[Any]):
    """What a client may set."""

    name = serializers.CharField(max_length=1_000)
    slug = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=1_000, help_text="Its address; made of the name when empty."
    )
    panels = PanelSerializer(many=True)
    shared = serializers.BooleanField(required=False, default=False, help_text="Whether others may open it.")


class DashboardSerializer(serializers.Serializer[Any]):
    """A dashboard: one of ours (`built_in`, which cannot be changed) or one that somebody made."""

    slug = serializers.CharField()
    name = serializers.CharField()
    panels = PanelSerializer(many=True)
    shared = serializers.BooleanField()
    built_in = serializers.BooleanField()
    owner = serializers.CharField(help_text="User name; empty for what is everybody's.")
    url = serializers.CharField(help_text="Path of its page.")
    updated_at = serializers.DateTimeField(allow_null=True)


class DashboardListSerializer(serializers.Serializer[Any]):
    """All dashboards; `next` is always null, for they are few."""

    results = DashboardSerializer(many=True)
    next = serializers.CharField(allow_null=True)
