"""What steps say of their content, for jobs that look at many: the attributes and events that can hold it, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import PlainText, Store
from tracestore.clickhouse.views.lookups import literal, literals
from tracestore.model import SpanEvent
from tracestore.queries.spans import value_of
from tracestore.queries.summaries import NEWEST_OF_SPANS

# Python's own parser takes a quarter of a second for 60 KB.
_MAX_REPR_BYTES, _REPR = 8192, r"^\s*(\{|\[\{?)'"


@dataclass(frozen=True)
class StepContent:
    """What the readers of content look at (content.payloads.Telling)."""

    attributes: dict[str, Any]
    events: list[SpanEvent]
    scope_name: str


def contents_sql(keys: Iterable[str], prefixes: str, events: Iterable[str], *, max_bytes: int, words: Iterable[str] = ()) -> str:
    """Return the statement that reads attributes of these names, or that match the pattern, and these events of spans.

    Longer ones are left alone, which are not worth the memory of a thousand of them, and all attributes or all events of a span
    that are twice as long together. With `words`, only spans are read in whose names and values one of them stands.
    """
    is_short = f"length(t.2) <= {max_bytes}"
    is_content = (
        f"multiIf(length(t.2) > {max_bytes}, false, "
        f"if(length(t.2) > {_MAX_REPR_BYTES}, match(t.2, {literal(_REPR)}), false), false, "
        f"t.1 IN ({literals(dict.fromkeys(keys))}), true, "
        f"match(t.1, {literal(prefixes)}))"
    )
    has_word = f"arrayExists(t -> multiSearchAny(concat(t.1, t.2), [{literals(words)}]), {{everything}})" if words else "true"
    return f"""
SELECT trace_id, span_id, scope_name, arrayMap(t -> t.1, found), arrayMap(t -> {value_of("t.2", "t.3")}, found),
    arrayStringConcat(arrayMap(t -> t.3, found)),
    arrayMap(e -> e.1, events), arrayMap(e -> arrayMap(t -> t.1, e.2), events),
    arrayMap(e -> arrayMap(t -> {value_of("t.2", "t.3")}, e.2), events),
    arrayMap(e -> arrayStringConcat(arrayMap(t -> t.3, e.2)), events)
FROM
(
    SELECT trace_id, span_id, scope_name, {_entries("attributes", "attribute_types", is_content)} AS all_found,
        arrayFilter(e -> e.1 IN ({literals(events)}), arrayMap((n, m, letters) -> (n, {_entries("m", "letters", is_short)}),
            event_names, event_attributes, event_attribute_types)) AS all_events,
        if(arraySum(t -> length(t.2), all_found) > {2 * max_bytes}, [], all_found) AS found,
        if(arraySum(e -> arraySum(t -> length(t.2), e.2), all_events) > {2 * max_bytes}, [], all_events) AS events
    {NEWEST_OF_SPANS}
)
WHERE {has_word.format(everything="arrayConcat(found, arrayFlatten(arrayMap(e -> e.2, events)))")}
"""


def _entries(column: str, types: str, condition: str) -> str:
    """Return those entries of a map that meet the condition on `t`, as (key, value, letter of its type)."""
    letters = f"arrayMap(i -> substring({types}, i, 1), arrayEnumerate(mapKeys({column})))"
    return f"arrayFilter(t -> {condition}, arrayZip(mapKeys({column}), mapValues({column}), {letters}))"


def read_contents(
    store: Store, sql: str, *, project_id: int, span_ids: list[bytes], min_start_ns: int, max_start_ns: int
) -> Iterable[tuple[bytes, StepContent]]:
    """Return by trace id and span id, raw and joined, what `sql` (of contents_sql) finds of at most 2,600 spans.

    Decoded one by one, as they are asked for. Raises QueryTooExpensive or StoreUnavailable.
    """
    rows = store.query_rows(
        sql, project_id=project_id, min_start_ns=min_start_ns, max_start_ns=max_start_ns,
        span_ids=PlainText(b"".join(span_ids).hex()),
    )  # fmt: skip
    return ((bytes(trace_id) + bytes(span_id), _decode(*said)) for trace_id, span_id, *said in rows)


def _decode(
    scope_name: str, keys: list[str], values: list[str], types: str,
    event_names: list[str], event_keys: list[list[str]], event_values: list[list[str]], event_types: list[str],
) -> StepContent:  # fmt: skip
    recorded = zip(event_names, event_keys, event_values, event_types, strict=True)
    events = [SpanEvent(0, name, decode_attributes(*attributes), 0) for name, *attributes in recorded]  # type: ignore[arg-type]
    return StepContent(decode_attributes(keys, values, types), events, scope_name)
