"""What `why` and `compare` of the REST API take and give. Shares and rates are 0 to 1; an interval is at 95 %."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from dashboards.serializers import RangeParameters


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
    read_share = serializers.FloatField(help_text="Part of the range that was read: below 1 only for attributes of many spans.")
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


class CompareSerializer(serializers.Serializer[Any]):
    a_traces = serializers.IntegerField()
    b_traces = serializers.IntegerField()
    shared = serializers.IntegerField(help_text="Traces that belong to both and count on both sides.")
    results = CohortMetricSerializer(many=True)
    new_errors = DifferenceSerializer(many=True, help_text="Error types of B that A does not have; B is the selection.")
    gone_errors = DifferenceSerializer(many=True, help_text="Error types of A that B does not have.")
    differences = DifferenceSerializer(many=True, help_text="Values that are certain to differ; B is the selection.")
    next = serializers.CharField(allow_null=True, help_text="Always null.")
