"""Fields that serializers of the REST API share."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tracestore.timerange import format_time_ns


@extend_schema_field({"type": "string", "format": "date-time", "example": "2026-11-20T08:30:00.000000001Z"})
class TimeField(serializers.Field[int, Any, str, Any]):
    """Nanoseconds since the Unix epoch as RFC 3339 in UTC with nine decimals."""

    def to_representation(self, value: int) -> str:
        return format_time_ns(value)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class AttributesField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """Attributes with their types: text, numbers, booleans, lists, maps. NaN and infinities, which JSON lacks, become texts."""

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return {key: _to_json(item) for key, item in value.items()}


@extend_schema_field({})
class BodyField(serializers.Field[Any, Any, Any, Any]):
    """Any value, as attributes have them."""

    def to_representation(self, value: Any) -> Any:
        return _to_json(value)


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        # The spelling of the Protobuf JSON mapping, which OTLP/JSON uses.
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value
