"""The same requests against Tracestore and Arize Phoenix, one after the other on this machine: `make bench-rivals`.

Phoenix comes from its Python package (RIVALS holds its environment) and runs on its default, SQLite. Both get bodies.py's
requests from load.py; Phoenix fewer of them, because it takes minutes for what Tracestore stores in a second. Prints spans a
second acknowledged and queryable, bytes on disk and memory of each, and the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.ingest import count_stored, status_mib, wait_until_drained
from bench.load import Generator, Load, generator
from tests.live import free_port, start_server

_CONNECTIONS = 8
_START_S = 120
_QUERYABLE_S = 900


@dataclass(frozen=True)
class Figures:
    """Rates in spans a second; `queryable` counts until the last acknowledged span could be read from the database."""

    acknowledged_spans: int
    queryable_spans: int
    acknowledged_a_second: float
    queryable_a_second: float
    disk_bytes_a_span: float
    peak_rss_mib: float


def measure_tracestore(load: Generator, folder: Path, spans: int) -> Figures:
    server = start_server(folder)
    try:
        started = time.monotonic()
        load.start(Load(server.otlp_url, _CONNECTIONS, seconds=_QUERYABLE_S, spans=spans, spans_a_second=0, first_number=0))
        answers = load.wait(_QUERYABLE_S + 60)
        wait_until_drained(server)
        taken_s, peak_rss_mib = time.monotonic() - started, status_mib(server.process.pid, "VmHWM")
        server.stop(60)
    finally:
        server.kill()
    stored, rows, disk_bytes = count_stored(folder)
    return Figures(
        answers.spans,
        stored,
        round(answers.spans / answers.took_s),
        round(stored / taken_s),
        round(disk_bytes / rows),
        peak_rss_mib,
    )


@contextlib.contextmanager
def _phoenix(program: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the address and process id of a started Phoenix."""
    port = free_port()
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([program, "serve"], env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError((folder / "server.log").read_text()[-2000:]) from None
                time.sleep(0.2)
        yield url, process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _count_in_sqlite(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])


def measure_phoenix(load: Generator, program: Path, folder: Path, spans: int) -> Figures:
    """Load Phoenix and wait until its database holds all that it acknowledged, or no more spans come."""
    database = folder / "phoenix.db"
    with _phoenix(program, folder) as (url, pid):
        started = time.monotonic()
        load.start(Load(url, _CONNECTIONS, seconds=_QUERYABLE_S, spans=spans, spans_a_second=0, first_number=0))
        answers = load.wait(_QUERYABLE_S + 60)
        stored, last_change = 0, time.monotonic()
        while stored < answers.spans and time.monotonic() - last_change < 60 and time.monotonic() - started < _QUERYABLE_S:
            time.sleep(0.5)
            if (count := _count_in_sqlite(database)) > stored:
                stored, last_change = count, time.monotonic()
        peak_rss_mib = status_mib(pid, "VmHWM")
    disk_bytes = sum(path.stat().st_size for path in folder.glob("phoenix.db*"))
    return Figures(
        answers.spans, stored, round(answers.spans / answers.took_s), round(stored / (last_change - started)),
        round(disk_bytes / max(stored, 1)), peak_rss_mib,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--phoenix", type=Path, required=True, help="the phoenix program of an environment that has arize-phoenix"
    )
    parser.add_argument("--spans", type=int, default=500_000, help="sent to Tracestore")
    parser.add_argument("--phoenix-spans", type=int, default=10_240)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder, generator() as load:
        ours, theirs = Path(folder) / "tracestore", Path(folder) / "phoenix"
        theirs.mkdir()
        figures = {
            "tracestore": asdict(measure_tracestore(load, ours, options.spans)),
            "phoenix": asdict(measure_phoenix(load, options.phoenix, theirs, options.phoenix_spans)),
        }
    print(f"{'':>22}  {'tracestore':>12}  {'phoenix':>12}  {'ratio':>8}")
    for name, value in figures["tracestore"].items():
        rival = figures["phoenix"][name]
        ratio = "" if name.endswith("_spans") or not rival else f"{value / rival:8.2f}"
        print(f"{name:>22}  {value:>12,}  {rival:>12,}  {ratio}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
