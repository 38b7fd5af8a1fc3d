"""The generated view raw OTLP -> `spans`, with canonical columns from tracestore/semconv/.

Every expression is total: no value that passed the Protobuf parser can make the insert fail.

ClickHouse analyses a view anew for every insert, which takes longer the more is written out. So what several expressions
need is a column of the layer below, and a layer hardly uses aliases of its own. Conditions are joined by if and multiIf instead
of AND and OR: the optimizer of logical expressions compares their operands by hashes, and the hash of a column is that of all
the layers below (100 ms of 220 ms an insert). What a project's own rules (mapping.py) ask for is written out in a view of its
own, which reads the requests of projects that have rules.
"""

from __future__ import annotations

from tracestore.clickhouse.views.lookups import (
    MAPPING_TYPE,
    RUN,
    at,
    declared_kind,
    literal,
    mapping_found,
    picked,
    resource_wanted,
    rule_value,
    told,
    usage_text,
    wanted,
    winner,
)
from tracestore.clickhouse.views.span_columns import layers
from tracestore.clickhouse.views.span_source import carried, given, spans_of
from tracestore.semconv.fields import MAPPED_FIELDS


def otlp_to_spans(table: str = "otlp_traces", *, by_rules: bool = False) -> str:
    """Return the SELECT of the view that turns a row of otlp_traces (one request) into rows of spans.

    With rules it reads otlp_mapped_traces, where each request has the rules of its project.
    """
    return _read(spans_of(table, by_rules=by_rules), by_rules=by_rules)


def stored_to_spans(source: str) -> str:
    """Return the SELECT that reads stored spans once more, by the rules in the parameter `mapping`, as the view would today.

    `source` is a table expression over `spans`. A nanosecond is added to received_at, so that of two copies the new one counts.
    """
    return _read(_stored(source), by_rules=True)


def _stored(source: str) -> str:
    columns = {name: name for name in carried()} | {"received_at": "addNanoseconds(received_at, 1)"}
    return f"""{given(columns, by_rules=True)}
        FROM
        (
            SELECT *, {resource_wanted()} AS resource_wanted, transform(status, ['ok', 'error'], [1, 2], 0) AS status_code,
                toUnixTimestamp64Nano(start_time) AS start_ns,
                JSONExtract({{mapping:String}}, {literal(MAPPING_TYPE)}) AS mapping
            FROM {source}
        )"""


def why_otlp(table: str) -> str:
    """Return the SELECT of `_why` for the spans of requests with rules."""
    return _why(spans_of(table, by_rules=True))


def why_stored(source: str) -> str:
    """Return the SELECT of `_why` for stored spans; see stored_to_spans."""
    return _why(_stored(source))


def _why(rows: str) -> str:
    """Return the SELECT of where each mapped field of a span has its value from, and of what each rule says of the span.

    One column a target of MAPPED_FIELDS, with a slot's number, a JSON member's path or ""; `rule_values` has a text a rule.
    """
    winners = ", ".join(f"{winner(field)} AS {target}" for target, field in MAPPED_FIELDS.items())
    return f"""
SELECT {winners}, arrayMap(r -> {rule_value("r")}, rules) AS rule_values
FROM (SELECT *, {picked(winners, by_rules=True)} FROM ({_slotted(rows, by_rules=True)}))
"""


def _read(rows: str, *, by_rules: bool) -> str:
    """Return the SELECT of rows of spans from one that begins with `given`."""
    (outer, *inner), ended = layers(by_rules=by_rules), f"{at('logfire.span_type')} != 'pending_span'"
    opened, closed = "\n    FROM\n    (\n    ".join(inner), "    )\n" * len(inner)
    return f"""
{outer}
FROM
(
    {opened}
    FROM
    (
        SELECT *, {picked(f"{outer} {opened} {ended}", by_rules=by_rules)}
        FROM
        (
        {_slotted(rows, by_rules=by_rules)}
        )
        -- Logfire sends a span once when it starts (pending) and once when it ends; only the second counts.
        WHERE {ended}
{closed})
"""


def _slotted(rows: str, *, by_rules: bool) -> str:
    """Return the SELECT of what `given` has, and of the attributes that some column reads, by slot (lookups.py)."""
    read_rules = f" EXCEPT (texts, mapping_keys), {mapping_found()} AS found" if by_rules else ""
    return f"""
            SELECT *, arrayConcat(wanted.1, told.1, resource_wanted.1) AS slots,
                arrayConcat(wanted.2, told.2, resource_wanted.2) AS vs,
                arrayMap(slot -> intDiv(slot, {RUN}), slots) AS runs
            FROM
            (
                SELECT *, {told()} AS told
                FROM
                (
                    SELECT *, {usage_text()} AS usage_text, {declared_kind()} AS declared_kind
                    FROM
                    (
                        SELECT *{read_rules}, {wanted(by_rules=by_rules)} AS wanted
                        FROM
                        (
                        {rows}
                        )
                    )
                )
            )"""
