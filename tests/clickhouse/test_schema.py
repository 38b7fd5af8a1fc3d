"""The engine's copy of the schema of OTLP, which a full disk can leave empty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.live import ROOT

# A process of its own: the copy lies in the working directory, and the engine looks for it once.
_SCRIPT = """
import os, time
from pathlib import Path
import django
django.setup()
from tests.ingest.conftest import build_request, build_span
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.migrate import migrate
store = Store(path=str(Path("clickhouse").absolute()))
migrate(store)
def insert(batch_seq):
    body = build_request(build_span()).SerializeToString()
    insert_batch(store, [(1, time.time_ns(), body)], writer="schema", batch_seq=batch_seq)
insert(1)
[copy] = Path("__cache__").glob("*.proto")
os.truncate(copy, 0)
store.command("SYSTEM DROP FORMAT SCHEMA CACHE FOR Protobuf")  # what was read of it, as after a start
try:
    insert(2)
except StoreUnavailable as error:
    print(str(error).partition(",")[0])
insert(2)
print(store.query_rows("SELECT count() FROM spans"), flush=True)
os._exit(0)
"""


def test_schema_that_a_full_disk_cut_off_is_written_again(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tracestore.settings",
        "TRACESTORE_DATA": str(tmp_path),
    }

    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250, check=False
    )

    assert result.stdout.splitlines() == ["ClickHouse has lost the schema of OTLP", "[(2,)]"], result.stderr
