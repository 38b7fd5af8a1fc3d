"""What `/agents` of the REST API takes and gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dashboards.api.parameter_serializers import RangeParameters
from tracestore.agent_graph import Edge


class AgentParameters(RangeParameters):
    """A selection, and perhaps a second one."""

    against = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False,
        help_text="A second query over the same time, to compare with; its graph is in `against`.",
    )  # fmt: skip


class AgentNodeKeySerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(help_text="`agent`, `model`, `tool`, `service` or `person`.")
    name = serializers.CharField(help_text="Empty for a person.")


class _CountedCallsSerializer(serializers.Serializer[Any]):
    calls = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # hides Serializer.errors, which only inputs use
    failure_rate = serializers.FloatField(allow_null=True, help_text="Errors per call; null without calls.")
    trace_count = serializers.IntegerField(help_text="Traces in which it occurs; approximate in the ten thousands.")
    p95_ns = serializers.FloatField(allow_null=True, help_text="Approximate; null where no span tells.")
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(allow_null=True)


class AgentNodeSerializer(_CountedCallsSerializer, AgentNodeKeySerializer):
    pass


class AgentEdgeSerializer(_CountedCallsSerializer):
    caller = serializers.SerializerMethodField()
    callee = serializers.SerializerMethodField()
    is_handoff = serializers.BooleanField(help_text="The caller passes the conversation on instead of calling.")

    @extend_schema_field(AgentNodeKeySerializer)
    def get_caller(self, edge: Edge) -> dict[str, str]:
        return {"kind": edge.caller[0], "name": edge.caller[1]}

    @extend_schema_field(AgentNodeKeySerializer)
    def get_callee(self, edge: Edge) -> dict[str, str]:
        return {"kind": edge.callee[0], "name": edge.callee[1]}


class AgentGraphSerializer(serializers.Serializer[Any]):
    trace_count = serializers.IntegerField(help_text="Traces that were counted.")
    failed_count = serializers.IntegerField()
    escalated_count = serializers.IntegerField()
    span_count = serializers.IntegerField()
    sampled_one_in = serializers.IntegerField(help_text="1: every matching trace was counted; else about one in so many.")
    is_cut = serializers.BooleanField(help_text="There are more pairs than were counted.")
    nodes = AgentNodeSerializer(many=True)
    edges = AgentEdgeSerializer(many=True)


class AgentResultSerializer(AgentGraphSerializer):
    against = AgentGraphSerializer(allow_null=True, help_text="The graph of `against`; null without it.")
