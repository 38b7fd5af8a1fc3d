"""Ask 20 million spans every question of bench/questions.py: `python -m bench.query [--traces N] [--only REGEX]`.

Prints a line for each question and time range: rows, milliseconds (first, median, 95th percentile), its floor, and by how much
it raised the memory of the process (MiB). Leaves with 1 when a floor is missed. Writes what it
asks of once; see bench/stored.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.questions import Question
    from bench.stored import Stored

_RUNS, _LEAST_RUNS, _ENOUGH_S = 20, 5, 4.0


@dataclass(frozen=True)
class Answer:
    """What one question cost. `memory_bytes` is the peak of the process while it was answered, less what it held before."""

    name: str
    range: str
    rows: int
    runs: int
    first_ms: float
    median_ms: float
    p95_ms: float
    floor_ms: float | None
    memory_bytes: int
    ok: bool
    problem: str = ""


def measure(question: Question, range_name: str, data: Stored, runs: int) -> Answer:
    """Ask so often, less often when it is slow. What the engine remembers of earlier answers is forgotten before each run."""
    from bench.stored import RANGES

    floor_ms = question.floors_ms[range_name]
    time_range = RANGES[range_name or "10 days"]
    times_ms: list[float] = []
    answer: object = None
    data.store.release_memory()
    before = _reset_peak()
    started = time.perf_counter()
    try:
        while len(times_ms) < min(runs, _LEAST_RUNS) or (len(times_ms) < runs and time.perf_counter() - started < _ENOUGH_S):
            data.store.command("SYSTEM DROP QUERY CONDITION CACHE")
            asked = time.perf_counter()
            answer = question.ask(data, time_range)
            times_ms.append((time.perf_counter() - asked) * 1000)
    except Exception as error:  # the other questions go on
        return Answer(question.name, range_name, 0, len(times_ms), 0, 0, 0, floor_ms, 0, ok=False, problem=str(error)[:200])
    rows = len(answer) if isinstance(answer, (list, dict)) else int(answer is not None)
    median_ms = statistics.median(times_ms)
    problem = "" if rows or question.fruitless else "found nothing"
    p95_ms = statistics.quantiles(times_ms, n=20, method="inclusive")[-1] if len(times_ms) > 1 else median_ms
    return Answer(
        question.name, range_name, rows, len(times_ms), times_ms[0], median_ms, p95_ms, floor_ms, max(0, _peak_bytes() - before),
        ok=not problem and (floor_ms is None or median_ms <= floor_ms), problem=problem,
    )  # fmt: skip


def _reset_peak() -> int:
    """Make the kernel forget the process's peak of memory and return what it holds now, in bytes (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def _peak_bytes() -> int:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


def _print(answer: Answer) -> None:
    floor = "" if answer.floor_ms is None else f"{answer.floor_ms:.0f}"
    verdict = answer.problem or ("" if answer.floor_ms is None else "ok" if answer.ok else "SLOW")
    print(
        f"{answer.name:<55} {answer.range:<8}{answer.rows:>5}{answer.first_ms:>9.1f}{answer.median_ms:>9.1f}{answer.p95_ms:>9.1f}"
        f"{floor:>7}{answer.memory_bytes / 2**20:>7.0f}  {verdict}",
        flush=True,
    )


def ask_all(data: Stored, only: str = "", runs: int = _RUNS) -> Iterator[Answer]:
    """Measure every question whose name matches the expression, of each of its ranges."""
    from bench.questions import QUESTIONS

    for question in QUESTIONS:
        if re.search(only, question.name):
            yield from (measure(question, range_name, data, runs) for range_name in question.floors_ms)


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=1_600_000, help="of 12.5 spans on average")
    parser.add_argument("--only", default="", metavar="REGEX", help="questions whose name this matches")
    parser.add_argument("--runs", type=int, default=_RUNS, help="of each question, at most")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder:
        # Settings want a data folder, and must be read before anything that uses them is imported.
        os.environ["TRACESTORE_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "tracestore.settings"
        answers = _run(arguments.traces, arguments.only, arguments.runs)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(answer) for answer in answers], indent=1) + "\n")
    sys.exit(not all(answer.ok for answer in answers))


def _run(traces: int, only: str, runs: int) -> list[Answer]:
    import django

    django.setup()
    from django.conf import settings

    from bench.stored import open_stored

    caps: dict[str, Any] = {"timeout_s": settings.QUERY_TIMEOUT_S, "memory_bytes": settings.QUERY_MEMORY_BYTES}
    data = open_stored(traces, **caps)
    ((spans, disk_bytes),) = data.store.query_rows(
        "SELECT sumIf(rows, table = 'spans'), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
    )
    print(f"{traces:,} traces, {spans:,} spans over ten days, {disk_bytes / 2**30:.1f} GiB")
    print(f"A query may use {caps['memory_bytes'] / 2**20:.0f} MiB.")
    print(f"{'question':<55} {'range':<8}{'rows':>5}{'first ms':>9}{'median':>9}{'p95':>9}{'floor':>7}{'MiB':>7}")
    answers = []
    for answer in ask_all(data, only, runs):
        _print(answer)
        answers.append(answer)
    slow = [answer for answer in answers if not answer.ok]
    most = max((answer.memory_bytes for answer in answers), default=0)
    print(f"{len(answers)} answers, {len(slow)} below what is asked of them; the most memory for one was {most / 2**20:.0f} MiB")
    data.store.close()
    return answers


if __name__ == "__main__":
    main()
