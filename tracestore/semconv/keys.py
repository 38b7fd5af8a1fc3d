"""Every name that some canonical column reads."""

from __future__ import annotations

from tracestore.semconv.errors import FAILED_ANSWER_KEY, HTTP_STATUS_KEYS
from tracestore.semconv.fields import FIELDS, USAGE_TEXTS
from tracestore.semconv.kinds import EVENT_SPAN_KEY, KINDS
from tracestore.semconv.signals import HANDOFF_SOURCES, HANDOFF_TARGETS, SIGNAL_KEY

# Read for a decision, not for a column of their own.
OTHER_KEYS = (
    "success", "langfuse.observation.level", "gen_ai.tool.status", "logfire.span_type", "name", "error.type",
    "lk.function_tool.is_error", "genkit:state", "tool.result_status", "genkit:name", "haystack.component.type",
    "haystack.tool.error", "tool.status", "tool.success", "agentops.session.end_state", "langsmith.metadata.is_error",
    "mcp.method.name", "server.address", "langsmith.trace.name", "langsmith.span.parent_id", "gen_ai.request.batch",
    "pydantic_ai.tool.deferral.name", "source", "decision", EVENT_SPAN_KEY, SIGNAL_KEY, *HANDOFF_TARGETS,
    *HANDOFF_SOURCES, *HTTP_STATUS_KEYS, FAILED_ANSWER_KEY,
)  # fmt: skip


def wanted_keys() -> list[str]:
    """Return every span attribute that some canonical column reads, by name."""
    keys = {source.key for sources in FIELDS.values() for source in sources if source.form not in ("resource", "told")}
    return sorted(keys | {source.key for source, _ in KINDS} | set(USAGE_TEXTS) | set(OTHER_KEYS))
