"""How the cost of a span grows with its size and its attributes: `python -m bench.spans`.

Checks and inserts spans of many shapes into a private embedded store and prints processor time, on one thread and without merges
or summaries. Batches are of 32 MiB or 16,384 spans, whichever is less; the smallest shows what an insert costs whatever is in it.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.bodies import build_text

_SPANS_A_REQUEST = 256
_BATCH_BYTES, _BATCH_SPANS = 32 * 2**20, 16_384
_RUNS = 3
# (attributes, bytes of all their values) of the spans of one table.
_SHAPES = ((5, 200), (20, 200), (20, 1_750), (20, 7_000), (20, 28_000), (60, 1_750), (200, 1_750))
_KNOWN = ("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")


def _build_request(attributes: int, value_bytes: int, seed: int) -> bytes:
    chance = random.Random(seed)
    now_ns = time.time_ns()
    spans = []
    for number in range(_SPANS_A_REQUEST):
        names = [*_KNOWN, *(f"app.attribute_{index}" for index in range(attributes - len(_KNOWN)))]
        words = max(1, value_bytes // attributes // 6)
        attributes_of_span = [KeyValue(key=name, value=AnyValue(string_value=build_text(chance, words))) for name in names]
        start_ns = now_ns - chance.randrange(10**9)
        spans.append(
            Span(
                trace_id=chance.randbytes(16),
                span_id=chance.randbytes(8),
                name=f"step {number % 8}",
                start_time_unix_nano=start_ns,
                end_time_unix_nano=start_ns + chance.randrange(10**9),
                attributes=attributes_of_span,
            )
        )
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


def _least_cpu_s(run: Callable[[], object]) -> float:
    """Return the least processor time of the process that a run takes."""
    costs = []
    for _ in range(_RUNS):
        before_s = time.process_time()
        run()
        costs.append(time.process_time() - before_s)
    return min(costs)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder:
        os.environ["TRACESTORE_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "tracestore.settings"
        import django

        django.setup()
        from ingest.otlp.check import check_protobuf
        from tracestore.clickhouse.client import Store
        from tracestore.clickhouse.landing import Record, insert_batch
        from tracestore.clickhouse.migrate import migrate

        store = Store(path=str(Path(folder) / "clickhouse"))
        migrate(store)
        store.command("SYSTEM STOP MERGES")
        numbers = iter(range(1, 10**6))

        def insert(requests: list[bytes]) -> None:
            records: list[Record] = [(1, time.time_ns(), request) for request in requests]
            insert_batch(store, records, writer="bench", batch_seq=next(numbers))

        tiny = _build_request(5, 200, 0)
        print(f"an insert of {_SPANS_A_REQUEST} small spans: {_least_cpu_s(lambda: insert([tiny])) * 1000:.0f} ms")
        print("attributes  bytes a span  check us/span  insert us/span  disk bytes/span")
        for attributes, value_bytes in _SHAPES:
            distinct = [_build_request(attributes, value_bytes, seed) for seed in range(4)]
            size = len(distinct[0])
            count = max(1, min(_BATCH_BYTES // size, _BATCH_SPANS // _SPANS_A_REQUEST))
            requests = [_build_request(attributes, value_bytes, seed) for seed in range(count)]
            spans = count * _SPANS_A_REQUEST
            check_s = _least_cpu_s(lambda requests=requests: [check_protobuf(request) for request in requests])  # type: ignore[misc]
            store.command("TRUNCATE TABLE spans")
            insert_s = _least_cpu_s(lambda requests=requests: insert(requests))  # type: ignore[misc]
            ((disk_bytes, rows),) = store.query_rows(
                "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND table = 'spans'"
            )
            costs = f"{check_s / spans * 1e6:>13.1f}  {insert_s / spans * 1e6:>14.1f}"
            print(f"{attributes:>10}  {size // _SPANS_A_REQUEST:>12}  {costs}  {disk_bytes / rows:>15.0f}", flush=True)
        store.close()


if __name__ == "__main__":
    main()
