"""Attributes that a merge has split into buckets are the ones that were sent, in their order: their types stand beside them."""

from __future__ import annotations

from typing import Any

from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.queries.spans import get_span


def test_merge_keeps_attributes_their_order_and_types(store: Store, send_spans: SendSpans) -> None:
    attributes: dict[str, Any] = {
        f"key.{number}": value for number, value in enumerate((1, "two", 3.5, True, ["a", "b"], b"\xfe", None) * 5)
    }
    repeated = [("twice", "first"), *attributes.items(), ("twice", "last")]
    for number in range(3):  # a part each
        send_spans({"trace_id": "a" * 32, "span_id": f"{number + 1:016x}", "start_ns": T0 + number, "attributes": repeated})
    before = get_span(store, project_id=1, trace_id="a" * 32, span_id=f"{2:016x}")

    # Parts of so few spans are of another form: this table has the form of large ones.
    store.command("CREATE TABLE wide_spans AS spans")
    try:
        store.command("ALTER TABLE wide_spans MODIFY SETTING min_bytes_for_wide_part = 0")
        for number in range(3):
            store.command(
                "INSERT INTO wide_spans SELECT * FROM spans WHERE span_id = unhex({id:String})", id=f"{number + 1:016x}"
            )
        store.command("OPTIMIZE TABLE wide_spans FINAL")
        store.command("OPTIMIZE TABLE spans FINAL")
        maps = "toString(attributes), toString(mapKeys(attributes)), attribute_types, attributes['twice'], attributes['key.3']"
        merged = store.query_rows(f"SELECT {maps} FROM wide_spans ORDER BY span_id")
        ((setting,),) = store.query_rows("SELECT engine_full FROM system.tables WHERE name = 'wide_spans'")

        assert "map_serialization_version = 'with_buckets'" in setting
        assert merged == store.query_rows(f"SELECT {maps} FROM spans ORDER BY span_id")
        assert {row[3:] for row in merged} == {("last", "true")}
        assert get_span(store, project_id=1, trace_id="a" * 32, span_id=f"{2:016x}") == before
        assert list(before.attributes) == ["twice", *attributes]
    finally:
        store.command("DROP TABLE wide_spans SYNC")
