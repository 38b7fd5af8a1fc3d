"""What the REST API gives. Texts that are absent are "", numbers that are unknown are null."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dashboards.api.fields import AttributesField, BodyField, TimeField
from tracestore.errors import STATES
from tracestore.language.fields import KINDS, OUTCOMES
from tracestore.model import Span, Trace
from tracestore.timerange import format_time_ns

_SUPPLIED_HELP = "As the spans themselves report it."
_COMPARED_HELP = "`cost_usd` of the calls that also report a cost; null when none does."
_DIFFERENCE_HELP = "What these calls report more than we compute; below zero: less."
_1H_HELP = "Part of `cache_creation_input_tokens`: kept for an hour."


class ToolUsageSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    calls = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # hides Serializer.errors, which only inputs use


class ModelUsageSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    provider = serializers.CharField()
    calls = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # hides Serializer.errors, which only inputs use
    input_tokens = serializers.IntegerField(help_text="Cached ones included.")
    output_tokens = serializers.IntegerField(help_text="Reasoning included.")
    cached_input_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(allow_null=True, help_text="null when the model has no known price.")
    supplied_cost_usd = serializers.FloatField(allow_null=True, help_text=_SUPPLIED_HELP)
    compared_cost_usd = serializers.FloatField(allow_null=True, help_text=_COMPARED_HELP)
    cost_difference_usd = serializers.FloatField(allow_null=True, help_text=_DIFFERENCE_HELP)


class TraceSummarySerializer(serializers.Serializer[Any]):
    trace_id = serializers.CharField(help_text="32 hexadecimal digits.")
    name = serializers.CharField()
    service = serializers.CharField(help_text="Of the root span.")
    services = serializers.ListField(child=serializers.CharField())
    outcome = serializers.ChoiceField(choices=OUTCOMES, help_text="How the trace ended for the one who asked.")
    outcome_rule = serializers.CharField(help_text="The rule that decided `outcome`.")
    has_errors = serializers.BooleanField(help_text="Some span is an error, whether or not the trace failed.")
    escalated = serializers.BooleanField(help_text="The run was handed to a person.")
    escalation_reasons = serializers.ListField(child=serializers.CharField(), help_text="Why, where it says so.")
    handed_over = serializers.BooleanField(help_text="An agent handed over to another agent.")
    handoff_reasons = serializers.ListField(child=serializers.CharField(), help_text="Why, where it says so.")
    start_time = TimeField(source="start_ns")
    duration_ns = serializers.IntegerField()
    span_count = serializers.IntegerField()
    error_count = serializers.IntegerField(help_text="Spans that are errors.")
    orphan_count = serializers.IntegerField(help_text="Spans whose parent has not arrived.")
    root_span_id = serializers.CharField()
    failing_span_id = serializers.CharField(help_text="The span to look at first; empty when nothing failed.")
    error_types = serializers.ListField(child=serializers.CharField())
    error_message = serializers.CharField()
    error_fingerprint = serializers.CharField(help_text="Names the error it failed with; empty when it did not fail.")
    workflows = serializers.ListField(child=serializers.CharField())
    agents = serializers.ListField(child=serializers.CharField())
    versions = serializers.ListField(child=serializers.CharField())
    environment = serializers.CharField()
    prompts = serializers.ListField(child=serializers.CharField())
    session_id = serializers.CharField()
    user_id = serializers.CharField()
    llm_calls = serializers.IntegerField()
    retried_calls = serializers.IntegerField(help_text="Calls of a tool or model that repeat one that had failed.")
    loops = serializers.IntegerField(help_text="How often a tool was called three times and more with the same arguments.")
    looping_calls = serializers.IntegerField(help_text="Calls in such loops, each without the first.")
    input_tokens = serializers.IntegerField(help_text="Cached and cache-writing ones included.")
    output_tokens = serializers.IntegerField(help_text="Reasoning included.")
    cached_input_tokens = serializers.IntegerField()
    cache_creation_input_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    cache_creation_1h_input_tokens = serializers.IntegerField(help_text=_1H_HELP)
    input_audio_tokens = serializers.IntegerField(help_text="Part of `input_tokens`.")
    output_audio_tokens = serializers.IntegerField(help_text="Part of `output_tokens`.")
    wasted_tokens = serializers.IntegerField(help_text="Tokens that retries and loops used.")
    cost_usd = serializers.FloatField(allow_null=True, help_text="Computed from prices; null when no call of it has a price.")
    wasted_cost_usd = serializers.FloatField(
        help_text="Part of `cost_usd`: of retries and loops. Calls without a price add nothing."
    )
    supplied_cost_usd = serializers.FloatField(allow_null=True, help_text=_SUPPLIED_HELP)
    compared_cost_usd = serializers.FloatField(allow_null=True, help_text=_COMPARED_HELP)
    cost_difference_usd = serializers.FloatField(allow_null=True, help_text=_DIFFERENCE_HELP)
    unpriced_models = serializers.ListField(child=serializers.CharField())
    tools = ToolUsageSerializer(many=True)
    models = ModelUsageSerializer(many=True)


class TraceSerializer(TraceSummarySerializer):
    asked = serializers.CharField(
        help_text="The beginning of what the run was asked; empty where no span tells, and for a moment."
    )
    answered = serializers.CharField(help_text="The beginning of what the run answered, likewise.")


class TrendSerializer(serializers.Serializer[Any]):
    time = TimeField(source="start_ns", help_text="Start of the bucket.")
    count = serializers.IntegerField()


class ErrorRowSerializer(serializers.Serializer[Any]):
    fingerprint = serializers.CharField(help_text="Names the error; `fingerprint:NAME` finds its traces.")
    title = serializers.CharField(help_text="Type of the error.")
    message = serializers.CharField(help_text="Of the newest trace, in one line.")
    state = serializers.ChoiceField(choices=STATES)
    is_new = serializers.BooleanField(help_text="Not seen in the 90 days before the range.")
    resolved_version = serializers.CharField(help_text="Empty when it was resolved as of a moment, or is not.")
    changed_by = serializers.CharField(help_text="Who set the state; empty without login.")
    changed_at = serializers.DateTimeField(allow_null=True)
    traces = serializers.IntegerField()
    users = serializers.IntegerField()
    first_seen = TimeField(source="first_seen_ns")
    last_seen = TimeField(source="last_ns")
    versions = serializers.ListField(child=serializers.CharField())
    tools = serializers.ListField(child=serializers.CharField(), help_text="Tools that failed in one of the traces.")
    trend = TrendSerializer(many=True, help_text="Buckets without a failure are left out.")
    trace_id = serializers.CharField(help_text="The newest trace.")
    failing_span_id = serializers.CharField(help_text="Its failing step.")


class SpanSerializer(serializers.Serializer[Any]):
    trace_id = serializers.CharField()
    span_id = serializers.CharField(help_text="16 hexadecimal digits.")
    parent_span_id = serializers.CharField(help_text="Empty for a root; the parent may be absent.")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS, help_text="Kind of the step.")
    span_kind = serializers.CharField(help_text="OpenTelemetry's SpanKind.")
    start_time = TimeField(source="start_ns")
    duration_ns = serializers.IntegerField()
    status = serializers.CharField(help_text="OpenTelemetry's status code.")
    status_message = serializers.CharField()
    is_error = serializers.BooleanField()
    error_type = serializers.CharField()
    error_message = serializers.CharField()
    service = serializers.CharField()
    environment = serializers.CharField()
    scope_name = serializers.CharField()
    agent = serializers.CharField()
    agent_id = serializers.CharField(help_text="As its platform or framework calls it; some make up one for each run.")
    version = serializers.CharField()
    workflow = serializers.CharField()
    tool = serializers.CharField()
    tool_call_id = serializers.CharField()
    request_model = serializers.CharField()
    response_model = serializers.CharField()
    provider = serializers.CharField()
    finish_reason = serializers.CharField()
    service_tier = serializers.CharField(help_text="The tier that the provider served a model call in; its price depends on it.")
    time_to_first_token_ns = serializers.IntegerField(allow_null=True, help_text="null when the sender did not say.")
    prompt_name = serializers.CharField()
    prompt_version = serializers.CharField()
    session_id = serializers.CharField()
    user_id = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    signal = serializers.CharField(help_text="What the span says about the run, such as an escalation.")
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    cache_creation_input_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    cache_creation_1h_input_tokens = serializers.IntegerField(help_text=_1H_HELP)
    input_audio_tokens = serializers.IntegerField(help_text="Part of `input_tokens`.")
    output_audio_tokens = serializers.IntegerField(help_text="Part of `output_tokens`.")
    cost_usd = serializers.FloatField(allow_null=True)
    supplied_cost_usd = serializers.FloatField(allow_null=True, help_text=_SUPPLIED_HELP)
    cost_difference_usd = serializers.FloatField(
        allow_null=True, help_text="What the span reports more than we compute; null unless both are known."
    )


class _GapSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=["no_root", "orphans", "dropped", "truncated", "duplicates"])
    count = serializers.IntegerField(help_text="Spans; for `dropped` what was left out, for `duplicates` copies.")
    message = serializers.CharField(help_text="What is missing, and what to do about it.")


class CompletenessSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["complete", "incomplete"])
    reasons = _GapSerializer(many=True, help_text="Duplicates alone leave a trace complete.")


class TraceDetailSerializer(TraceSummarySerializer):
    completeness = CompletenessSerializer()
    spans = SpanSerializer(many=True, help_text="In start order, without attributes.")
    truncated = serializers.BooleanField(help_text="True when the trace has more spans than are listed.")

    def to_representation(self, instance: Trace) -> dict[str, Any]:
        return TraceSummarySerializer(instance.summary).data | {
            "spans": SpanSerializer(instance.spans, many=True).data,
            "truncated": instance.truncated,
        }


class SpanEventSerializer(serializers.Serializer[Any]):
    time = TimeField(source="time_ns")
    name = serializers.CharField()
    attributes = AttributesField()
    dropped_attributes_count = serializers.IntegerField()


class SpanLinkSerializer(serializers.Serializer[Any]):
    trace_id = serializers.CharField()
    span_id = serializers.CharField()
    trace_state = serializers.CharField()
    attributes = AttributesField()


class LogRecordSerializer(serializers.Serializer[Any]):
    record_id = serializers.CharField(help_text="16 hexadecimal digits, made from what was sent.")
    time = TimeField(source="time_ns", help_text="When it happened, else when it was observed, else when it was received.")
    trace_id = serializers.CharField(help_text="As sent; empty for a record that names no trace.")
    span_id = serializers.CharField(help_text="The span it belongs to; empty for the trace as a whole.")
    joined_by = serializers.ChoiceField(
        choices=("trace_id", "response_id", "session_id", ""),
        help_text="What connects the record with its trace; empty for none.",
    )
    severity_number = serializers.IntegerField(help_text="OpenTelemetry's SeverityNumber; 0 when not given.")
    severity_text = serializers.CharField()
    event_name = serializers.CharField()
    body = BodyField()
    service = serializers.CharField()
    session_id = serializers.CharField()
    response_id = serializers.CharField()
    tool_call_id = serializers.CharField()
    attributes = AttributesField()
    resource_attributes = AttributesField()
    scope_name = serializers.CharField()
    scope_version = serializers.CharField()
    scope_attributes = AttributesField()
    resource_schema_url = serializers.CharField()
    scope_schema_url = serializers.CharField()
    flags = serializers.IntegerField()
    dropped_attributes_count = serializers.IntegerField()
    reported_time_ns = serializers.IntegerField(help_text="As sent; 0 when absent.")
    observed_time_ns = serializers.IntegerField(help_text="As sent; 0 when absent.")
    received_time = TimeField(source="received_ns")


class _SpanRestSerializer(serializers.Serializer[Any]):
    attributes = AttributesField()
    resource_attributes = AttributesField()
    scope_version = serializers.CharField()
    scope_attributes = AttributesField()
    events = SpanEventSerializer(many=True)
    links = SpanLinkSerializer(many=True)
    trace_state = serializers.CharField()
    flags = serializers.IntegerField()
    resource_schema_url = serializers.CharField()
    scope_schema_url = serializers.CharField()
    dropped_attributes_count = serializers.IntegerField()
    dropped_events_count = serializers.IntegerField()
    dropped_links_count = serializers.IntegerField()
    reported_start_ns = serializers.IntegerField(help_text="As sent; `start_time` is this unless it is absurd.")
    reported_end_ns = serializers.IntegerField(help_text="As sent.")
    received_time = TimeField(source="received_ns")


class SpanDetailSerializer(_SpanRestSerializer, SpanSerializer):
    def to_representation(self, instance: Span) -> dict[str, Any]:
        return {**SpanSerializer(instance.summary).data, **_SpanRestSerializer(instance).data}


_POINTS = {
    "type": "array",
    "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": {}},
    "example": [["2026-11-20T08:30:00.000000000Z", 0.04], ["2026-11-20T08:35:00.000000000Z", None]],
}


class MetricSeriesSerializer(serializers.Serializer[Any]):
    group = serializers.CharField(help_text="Value of `group_by`; empty without one.")
    points = serializers.SerializerMethodField(help_text="[start of the step, value or null], oldest first.")

    @extend_schema_field(_POINTS)
    def get_points(self, series: Any) -> list[tuple[str, float | None]]:
        return [(format_time_ns(start_ns), value) for start_ns, value in series.points]


class FacetValueSerializer(serializers.Serializer[Any]):
    value = serializers.CharField()
    count = serializers.IntegerField(help_text="Traces that have the value.")
    failed = serializers.IntegerField(help_text="Those of them that failed.")


class TracePageSerializer(serializers.Serializer[Any]):
    results = TraceSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last.")


class SpanPageSerializer(serializers.Serializer[Any]):
    results = SpanSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last.")


class LogPageSerializer(serializers.Serializer[Any]):
    results = LogRecordSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last.")


class MetricResultSerializer(serializers.Serializer[Any]):
    metric = serializers.CharField()
    unit = serializers.CharField()
    group_by = serializers.CharField()
    step_s = serializers.IntegerField()
    results = MetricSeriesSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="Always null: all series are here.")


class FacetResultSerializer(serializers.Serializer[Any]):
    results = FacetValueSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="Always null.")


class ErrorResultSerializer(serializers.Serializer[Any]):
    trend_step_s = serializers.IntegerField(help_text="Width of a bucket of `trend`.")
    results = ErrorRowSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Always null.")


class _ErrorSerializer(serializers.Serializer[Any]):
    parameter = serializers.CharField(allow_null=True, help_text="The parameter at fault.")
    message = serializers.CharField()
    suggestion = serializers.CharField(allow_null=True, help_text="What may have been meant.")
    position = serializers.IntegerField(required=False, help_text="Where in the query text, in characters.")
    length = serializers.IntegerField(required=False, help_text="How many characters of the query text are at fault.")


class ErrorSerializer(serializers.Serializer[Any]):
    error = _ErrorSerializer()
