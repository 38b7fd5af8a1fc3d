"""What spans say whose name is a message template, as Logfire's are: `handle ticket {user_id}` says "handle ticket u-17".

Lists, filters and metrics group by the template; where one run is looked at its steps have their own words. Attributes are heavy:
ask only for traces in which a name can be a template.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracestore.clickhouse.client import Store
from tracestore.model import Span
from tracestore.queries.predicates import IN_RANGE
from tracestore.queries.spans import find_trace_times

# Beyond these the names stay templates.
MOST_SPANS = 5_000
_MESSAGE_CHARS = 500

_MESSAGES = f"""
SELECT lower(hex(span_id)), leftUTF8(attributes['logfire.msg'], {_MESSAGE_CHARS}) AS message
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}}) AND position(name, '{{') > 0
    AND attributes['logfire.msg_template'] = name AND message != ''
ORDER BY received_at DESC
LIMIT 1 BY span_id
LIMIT {MOST_SPANS}
"""


def name_of(span: Span) -> str:
    """Return the name of a span, or what it says when that is a template."""
    said = span.attributes.get("logfire.msg")
    is_template = "{" in span.summary.name and span.attributes.get("logfire.msg_template") == span.summary.name
    return said[:_MESSAGE_CHARS] if is_template and isinstance(said, str) and said else span.summary.name


def find_messages(store: Store, *, project_id: int, trace_id: str, names: Iterable[str]) -> dict[str, str]:
    """Return by span id what the spans of a trace say that are named by a template; nothing is read when none of `names` is one.

    Raises TraceNotFound or StoreError.
    """
    if not any("{" in name for name in names):
        return {}
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    rows = store.query_rows(
        _MESSAGES, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns
    )
    return dict(rows)
