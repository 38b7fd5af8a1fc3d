"""How many spans a second this machine takes: `python -m bench.ingest [--spans 1000000] [--connections 8] [--json FILE]`.

Starts a private instance and sends requests of 512 spans (bodies.py) from a process of its own (load.py): first as fast as they
are acknowledged, then, when all is stored, at half that rate, then nothing. Reports what was acknowledged, how soon all of it
could be queried, answer times, memory and disk. Generator and server share the machine's cores. At the end the stored spans
are counted: every acknowledged one, once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.bodies import SPANS_A_REQUEST, build_body
from bench.load import Generator, Load, generator
from ingest.spool.checkpoint import is_drained
from tests.live import LiveServer, start_server

_DRAIN_TIMEOUT_S = 1800
_SETTLE_S = 20
_REST_S, _IDLE_S = 60, 20  # idle is a minute after the last request
_COUNT = """
SELECT (SELECT uniqExact(trace_id, span_id) FROM spans), sum(rows), sum(bytes_on_disk)
FROM system.parts WHERE active AND table = 'spans'
"""


@dataclass(frozen=True)
class Result:
    """Rates in spans a second. `queryable` counts until the last acknowledged span was in ClickHouse; CPU of the server alone.

    `disk_bytes_a_span` is what the parts of `spans` hold, indexes included.
    """

    body_bytes_a_span: float
    acknowledged_spans: int
    stored_spans: int
    acknowledged_a_second: float
    queryable_a_second: float
    refused_requests: int
    full_rate_p50_ms: float
    full_rate_p99_ms: float
    half_rate_p50_ms: float
    half_rate_p99_ms: float
    cpu_us_a_span: float
    peak_rss_mib: float
    idle_rss_mib: float
    idle_cpu_percent: float
    disk_bytes_a_span: float


def status_mib(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(next(line.split()[1] for line in status.splitlines() if line.startswith(field))) / 1024)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_drained(server: LiveServer) -> None:
    deadline = time.monotonic() + _DRAIN_TIMEOUT_S
    while not is_drained(server.data / "spool"):
        if time.monotonic() > deadline:
            raise TimeoutError("the spool was not drained in time")
        time.sleep(0.02)


def count_stored(data: Path) -> list[int]:
    """Return distinct spans, rows and bytes on disk of a stopped instance, read in a process of its own."""
    program = (
        "import sys, clickhouse_connect as c; "
        "print(*c.get_client(interface='chdb', path=sys.argv[1]).query(sys.argv[2]).result_rows[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(data / "clickhouse"), _COUNT], capture_output=True, text=True, check=True, timeout=300
    )
    return [int(number) for number in done.stdout.split()]


def measure(server: LiveServer, load: Generator, *, spans: int, connections: int) -> Result:
    """Load the server in three phases and return the figures; the server is stopped at the end."""
    pid, cpu_before_s, started = server.process.pid, _cpu_s(server.process.pid), time.monotonic()
    load.start(Load(server.otlp_url, connections, seconds=_DRAIN_TIMEOUT_S, spans=spans, spans_a_second=0, first_number=0))
    full = load.wait(_DRAIN_TIMEOUT_S + 60)
    wait_until_drained(server)
    stored_s, cpu_s, peak_rss_mib = time.monotonic() - started, _cpu_s(pid) - cpu_before_s, status_mib(pid, "VmHWM")
    time.sleep(_SETTLE_S)
    rate = full.spans / full.took_s / 2
    after = full.spans // SPANS_A_REQUEST + full.refused + 1000
    load.start(Load(server.otlp_url, connections, seconds=10, spans=10**9, spans_a_second=rate, first_number=after))
    half = load.wait(120)
    wait_until_drained(server)
    time.sleep(_REST_S)
    idle_before_s = _cpu_s(pid)
    time.sleep(_IDLE_S)
    idle_cpu_s, idle_rss_mib = _cpu_s(pid) - idle_before_s, status_mib(pid, "VmRSS")
    server.stop(60)
    stored, rows, disk_bytes = count_stored(server.data)
    return Result(
        body_bytes_a_span=round(len(build_body(0)) / SPANS_A_REQUEST),
        acknowledged_spans=full.spans + half.spans,
        stored_spans=stored,
        acknowledged_a_second=round(full.spans / full.took_s),
        queryable_a_second=round(full.spans / stored_s),
        refused_requests=full.refused + half.refused,
        full_rate_p50_ms=full.percentile_ms(50),
        full_rate_p99_ms=full.percentile_ms(99),
        half_rate_p50_ms=half.percentile_ms(50),
        half_rate_p99_ms=half.percentile_ms(99),
        cpu_us_a_span=round(cpu_s / full.spans * 1e6, 1),
        peak_rss_mib=peak_rss_mib,
        idle_rss_mib=idle_rss_mib,
        idle_cpu_percent=round(idle_cpu_s / _IDLE_S * 100, 1),
        disk_bytes_a_span=round(disk_bytes / rows),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder, generator() as load:
        server = start_server(Path(folder))
        try:
            result = measure(server, load, spans=options.spans, connections=options.connections)
        finally:
            server.kill()
    for name, value in asdict(result).items():
        print(f"{name:>22}  {value:,}")
    if options.json:
        options.json.write_text(json.dumps(asdict(result) | {"cores": os.cpu_count()}, indent=2))


if __name__ == "__main__":
    main()
