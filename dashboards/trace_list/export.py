"""Traces as CSV and as JSON, in pieces: one page of the list is in memory at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from dashboards.api.serializers import TraceSerializer
from tracestore.model import Page, TraceSummary
from tracestore.timerange import format_time_ns

# One download holds so many; more is for the API, which pages on.
MAX_TRACES = 10_000
PAGE_SIZE = 500
# A spreadsheet takes a cell that begins so for a formula, also behind white space and in its full-width forms
# (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

CSV_COLUMNS = (
    "trace_id", "start_time", "name", "service", "environment", "outcome", "escalated", "has_errors", "duration_ns", "span_count",
    "error_count", "llm_calls", "input_tokens", "cached_input_tokens", "output_tokens", "cost_usd", "versions", "agents",
    "models", "tools", "workflows", "session_id", "user_id", "error_types", "error_message",
    "asked", "answered",
)  # fmt: skip

Pages = Iterator[Page[TraceSummary]]


def stream_csv(pages: Pages) -> Iterator[bytes]:
    """Yield a header and one line per trace; lists are joined by spaces, times are UTC. Text never becomes a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for page in pages:
        writer.writerows([_cells(trace) for trace in page.items])
        yield take(buffer)
    yield take(buffer)


def stream_json(pages: Pages) -> Iterator[bytes]:
    """Yield one object: {"traces": [...], "truncated": bool}, each trace as in the API, one a line."""
    yield b'{"traces": ['
    separator, truncated = "\n", False
    for page in pages:
        lines = [json.dumps(trace, ensure_ascii=False) for trace in TraceSerializer(page.items, many=True).data]
        if lines:
            yield (separator + ",\n".join(lines)).encode("utf-8", "backslashreplace")
            separator = ",\n"
        truncated = bool(page.next_cursor)
    yield f'\n], "truncated": {json.dumps(truncated)}}}\n'.encode()


def take(buffer: io.StringIO) -> bytes:
    """Return what was written since the last time, as UTF-8."""
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "backslashreplace")


def _cells(trace: TraceSummary) -> list[str | int | float | None]:
    values: dict[str, str | list[str]] = {
        "start_time": format_time_ns(trace.start_ns),
        "models": [model.model for model in trace.models],
        "tools": [tool.name for tool in trace.tools],
    }
    return [_cell(values[name] if name in values else getattr(trace, name)) for name in CSV_COLUMNS]


def _cell(value: str | bool | int | float | list[str] | None) -> str | int | float | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(value)
    return defuse(value) if isinstance(value, str) else value


def defuse(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: an apostrophe before what would be one."""
    text = text.replace("\0", "")
    starts_formula = text.lstrip().startswith(_FORMULA_STARTS) or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if starts_formula else text
