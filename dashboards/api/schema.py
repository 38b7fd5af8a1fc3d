"""What the OpenAPI description says of every endpoint alike: summary, tag, ids in the path, and the answers that are errors."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import SAFE_METHODS

from dashboards.api.serializers import ErrorSerializer

_PATH_PARAMETERS = {
    "trace_id": "32 hexadecimal digits.",
    "span_id": "16 hexadecimal digits.",
    "score_id": "The id of the score, as it was sent or answered.",
    "slug": "The dashboard's name in addresses.",
    "version": "The version to judge, as `service.version` says it.",
}


class ApiSchema(AutoSchema):
    """Adds to each operation what its view does not say itself."""

    def get_summary(self) -> str:
        """Say the name of the operation in words: list_alert_rules is "List alert rules"."""
        name: str = self.get_operation_id()
        return name.replace("_", " ").capitalize()

    def get_tags(self) -> list[str]:
        """Group by what stands after the version of the API."""
        return [self.path.split("/")[3]]

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]  # a part has no types
        for parameter in found:
            name = parameter["name"]
            parameter["description"] = _PATH_PARAMETERS.get(name) or f"As `id` of the {name.removesuffix('_id')} in a list."
        return found

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        errors = ["400", "401", "429", "503"]
        if "{" in self.path:
            errors.append("404")
        if self.method not in SAFE_METHODS:
            errors.append("409")
        for code in errors:
            if code not in bodies:
                bodies[code] = self._get_response_for_code(ErrorSerializer, code)  # type: ignore[no-untyped-call]
        return dict(sorted(bodies.items()))
