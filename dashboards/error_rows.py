"""An error as the pages and the API show it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dashboards.text import preview, split_stacktrace
from dashboards.trends import TrendBar, build_trend
from tracestore.errors import TrackedError
from tracestore.timerange import TimeRange

_MESSAGE_CHARS = 300
# What stands for a message where no span of a failed trace has an error: the rule that decided so.
_RULES = {"interrupted": ("Interrupted", "The process stopped in the middle of the run.")}


@dataclass(frozen=True)
class ErrorRow:
    """One row: `title` is the type, `message` a line of the newest one's."""

    fingerprint: str
    title: str
    message: str
    state: str
    is_new: bool
    resolved_version: str
    changed_by: str
    changed_at: datetime | None
    traces: int
    users: int
    first_seen_ns: int
    last_ns: int
    versions: list[str]
    tools: list[str]
    trend: list[TrendBar]
    trace_id: str
    failing_span_id: str


def build_error_row(error: TrackedError, time_range: TimeRange) -> ErrorRow:
    """Return the row of an error over a range."""
    group = error.group
    title, said = _RULES.get(group.rule, ("", ""))
    if not said:
        title = "Error" if group.error_type in ("", "unknown") else group.error_type
        message = split_stacktrace(group.message)[0]
        # Some dialects write the type before the message.
        said = message.removeprefix(f"{group.error_type}: ") or "The sender recorded no message."
    return ErrorRow(
        fingerprint=group.fingerprint,
        title=title,
        message=preview(said, _MESSAGE_CHARS),
        state=error.state,
        is_new=group.is_new,
        resolved_version=error.resolved_version,
        changed_by=error.changed_by,
        changed_at=error.changed_at,
        traces=group.traces,
        users=group.users,
        first_seen_ns=group.first_seen_ns,
        last_ns=group.last_ns,
        versions=group.versions,
        tools=group.tools,
        trend=build_trend(group.trend, time_range),
        trace_id=group.trace_id,
        failing_span_id=group.failing_span_id,
    )
