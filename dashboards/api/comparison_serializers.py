"""What `why` and `compare` of the REST API take and give. Shares and rates are 0 to 1; an interval is at 95 %."""

from __future__ import annotations

import math
from typing import Any

from rest_framework import serializers

from dashboards.api.parameter_serializers import RangeParameters
from tracestore.verdict import DEFAULT_METRICS, JUDGED, MINIMUM_SAMPLES, Decision, Outcome


class WhyParameters(RangeParameters):
    """A selection against others."""

    against = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False,
        help_text="Query text of the others; traces of `q` do not count as such. Empty: all other traces of the range.",
    )  # fmt: skip
    selected_from = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64, help_text="The selection starts here at the earliest."
    )
    selected_to = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64, help_text="The selection starts before this."
    )
    attributes = serializers.BooleanField(
        required=False, default=False, help_text="Compare attributes of spans instead of fields of traces. Slower, and capped."
    )


class CompareParameters(RangeParameters):
    """Two cohorts."""

    q = None  # type: ignore[assignment]  # two queries take its place
    a = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        trim_whitespace=False,
        help_text="Query of cohort A, such as `version:v2`.",
    )
    b = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        trim_whitespace=False,
        help_text="Query of cohort B, such as `version:v3`.",
    )


class IntervalSerializer(serializers.Serializer[Any]):
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True, help_text="null when the data give no bound.")
    high = serializers.FloatField(allow_null=True)


class DifferenceSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(source="dimension.field", help_text="Name in the query language.")
    value = serializers.CharField(help_text="Empty: traces that have none.")
    symptom = serializers.BooleanField(source="dimension.is_symptom", help_text="Tells how a trace went rather than why.")
    selected = serializers.IntegerField(help_text="Traces of the selection that have the value.")
    others = serializers.IntegerField()
    selected_share = serializers.FloatField()
    other_share = serializers.FloatField()
    difference = IntervalSerializer(help_text="Of the shares, with Newcombe's interval.")
    lift = serializers.FloatField(allow_null=True, help_text="How many times as frequent; null when the others have none.")
    significant = serializers.BooleanField(source="is_significant", help_text="Among all of its field (Benjamini-Hochberg, 5 %).")


class _MemberSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(source="dimension.field")
    value = serializers.CharField()


class PairSerializer(serializers.Serializer[Any]):
    first = _MemberSerializer()
    second = _MemberSerializer()
    selected = serializers.IntegerField(help_text="Traces of the selection that have both.")
    others = serializers.IntegerField()
    selected_share = serializers.FloatField()
    other_share = serializers.FloatField()
    both_rate = serializers.FloatField(help_text="Share of the selection among the traces that have both.")
    first_rate = serializers.FloatField(help_text="The same among those that have the first alone.")
    second_rate = serializers.FloatField()
    neither_rate = serializers.FloatField()
    excess = IntervalSerializer(help_text="What the rate of both has beyond the sum of the two.")


class _QuantilesSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="Traces that have the number.")
    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)


class ShiftSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(source="number.name")
    unit = serializers.CharField(source="number.unit")
    selected = _QuantilesSerializer(help_text="Off by 1.6 % at most.")
    others = _QuantilesSerializer()
    distance = serializers.FloatField(help_text="Of Kolmogorov and Smirnov, 0 to 1.")
    significant = serializers.BooleanField(source="is_significant")


class WhySerializer(serializers.Serializer[Any]):
    selected = serializers.IntegerField(help_text="Traces of the selection.")
    others = serializers.IntegerField(help_text="Traces to compare with.")
    tests = serializers.IntegerField(help_text="Values compared.")
    read_share = serializers.FloatField(
        help_text="Part of the traces that was compared: below 1 only for attributes of traces summarised by older versions."
    )
    results = DifferenceSerializer(many=True, help_text="What differs most for certain first.")
    pairs = PairSerializer(many=True)
    numbers = ShiftSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Always null.")


class CohortMetricSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    unit = serializers.CharField()
    a = IntervalSerializer(allow_null=True)
    b = IntervalSerializer(allow_null=True)
    difference = IntervalSerializer(allow_null=True, help_text="B less A.")
    significant = serializers.BooleanField(source="is_significant", help_text="Among all metrics (Bonferroni, 5 %).")
    rise = serializers.ChoiceField(choices=("better", "worse", "neutral"), help_text="What it means that B has more.")


class ToolComparisonSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    a_traces = serializers.IntegerField(help_text="Traces of A that called the tool.")
    b_traces = serializers.IntegerField()
    a_calls = serializers.IntegerField()
    b_calls = serializers.IntegerField()
    a = IntervalSerializer(allow_null=True, help_text="Failed calls over calls, 0 to 1; null when A never calls it.")
    b = IntervalSerializer(allow_null=True)
    difference = IntervalSerializer(allow_null=True, help_text="B less A.")
    significant = serializers.BooleanField(source="is_significant", help_text="Among all tools of both (Bonferroni, 5 %).")


class CompareSerializer(serializers.Serializer[Any]):
    a_traces = serializers.IntegerField()
    b_traces = serializers.IntegerField()
    shared = serializers.IntegerField(help_text="Traces that belong to both and count on both sides.")
    results = CohortMetricSerializer(many=True)
    tools = ToolComparisonSerializer(many=True, help_text="What certainly fails more often in B first.")
    new_errors = DifferenceSerializer(many=True, help_text="Error types of B that A does not have; B is the selection.")
    gone_errors = DifferenceSerializer(many=True, help_text="Error types of A that B does not have.")
    differences = DifferenceSerializer(many=True, help_text="Values that are certain to differ; B is the selection.")
    next = serializers.CharField(allow_null=True, help_text="Always null.")


class VerdictParameters(RangeParameters):
    """A version against another."""

    against = serializers.CharField(max_length=500, trim_whitespace=False, help_text="The version to compare with.")
    metrics = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=500,
        help_text="Judged ones, with commas between: " + ", ".join(f"`{name}`" for name in JUDGED)
        + f". Default: `{','.join(DEFAULT_METRICS)}`.",
    )  # fmt: skip
    min_samples = serializers.IntegerField(
        required=False, default=MINIMUM_SAMPLES, min_value=2, max_value=10**9,
        help_text="Traces of each version that a metric needs before it is decided on.",
    )  # fmt: skip
    tolerance = serializers.FloatField(
        required=False, default=0.0, min_value=0, max_value=100,
        help_text="What part of the other version's value more is accepted: 0.1 is a tenth.",
    )  # fmt: skip

    def validate_tolerance(self, value: float) -> float:
        if not math.isfinite(value):  # compares as neither too small nor too large
            raise serializers.ValidationError("must be a number.")
        return value


class _MetricVerdictSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field of that name stands in the answer
    unit = serializers.CharField(help_text="ratio (0 to 1), ns or USD.")
    value = serializers.FloatField(allow_null=True, help_text="Of the version.")
    against_value = serializers.FloatField(allow_null=True)
    difference = IntervalSerializer(allow_null=True, help_text="`value` less `against_value`, at the level `confidence`.")
    samples = serializers.IntegerField(help_text="Traces of the version that have this number.")
    against_samples = serializers.IntegerField()
    decision = serializers.ChoiceField(choices=[choice.value for choice in Decision])


class VerdictSerializer(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=[choice.value for choice in Outcome])
    version = serializers.CharField()
    against = serializers.CharField()
    query = serializers.CharField()
    start = serializers.DateTimeField(help_text="With nine decimals.")
    end = serializers.DateTimeField()
    traces = serializers.IntegerField(help_text="Of the version.")
    against_traces = serializers.IntegerField()
    shared = serializers.IntegerField(help_text="Traces that ran both versions and count on both sides.")
    minimum_samples = serializers.IntegerField()
    tolerance = serializers.FloatField()
    confidence = serializers.FloatField(help_text="Of each difference: 95 % for all of them together (Bonferroni).")
    results = _MetricVerdictSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Always null.")
