"""Evaluate a thousand alert rules over 20 million stored spans in one pass: `python -m bench.alerts [--rules N] [--traces N]`.

The rules are of every kind, over many queries, metrics and windows, a few of them with groups. Prints what each kind costs and
the seconds of the whole pass, as one worker makes it: elapsed, and of processors; and those of the evidence of one alert that
fires. Leaves with 1 when the median pass takes longer than the floor. What is asked is written once; see bench/stored.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.stored import Stored

_FLOOR_S = 10.0
_PASSES = 3
_WINDOWS_S = (300, 300, 300, 900, 3600, 86_400)
_QUERIES = (
    "", *(f"version:v{version}" for version in range(1, 6)), *(f"agent:agent-{agent}" for agent in range(8)),
    *(f"tool:tool-{tool}" for tool in range(20)), *(f"version:v3 agent:agent-{agent}" for agent in range(8)),
    *(f"env:staging tool:tool-{tool}" for tool in range(8)), "status:error version:v3 tool:tool-7",
)  # fmt: skip
# Of a hundred rules; a grouped one and a version guard each read by themselves.
_KINDS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("threshold", 78, {}),
    ("baseline", 8, {"kind": "baseline", "threshold": 1e6, "baseline_weeks": 1, "window_s": 3600}),
    ("budget", 6, {"kind": "budget", "metric": "cost", "threshold": 1e6}),
    ("run", 5, {"kind": "run", "metric": "run_cost", "threshold": 10.0}),
    (
        "grouped",
        2,
        {"group_by": ["tool"], "metric": "tool_success_rate", "comparison": "below", "threshold": 0.0, "window_s": 300},
    ),
    ("version", 1, {"kind": "version", "metric": "failure_rate", "threshold": 0.5, "window_s": 86_400}),
)
_METRICS = (("failure_rate", 1.0), ("duration_p95", 1e4), ("requests", 1e9), ("cost", 1e6), ("tool_errors", 1e6))


def build_rules(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Return (kind, values of AlertRule) of so many rules, none of which fires: an alert's evidence is no part of the pass."""
    kinds = [(name, values) for name, share, values in _KINDS for _ in range(share)]
    rules = []
    for number, (kind, values), query, window_s, (metric, threshold) in zip(
        range(count), cycle(kinds[::7] + kinds), cycle(_QUERIES), cycle(_WINDOWS_S), cycle(_METRICS), strict=False
    ):
        defaults = {"name": f"Rule {number}", "query": query, "window_s": window_s, "metric": metric, "threshold": threshold}
        rules.append((kind, defaults | values))
    return rules


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--traces", type=int, default=1_600_000, help="of 12.5 spans on average")
    parser.add_argument("--floor", type=float, default=_FLOOR_S, metavar="SECONDS", help="for the median pass")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder:
        # Settings want a data folder, and must be read before anything that uses them is imported.
        os.environ["TRACESTORE_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "tracestore.settings"
        os.environ["TRACESTORE_LOG_LEVEL"] = "WARNING"
        median_s = _run(arguments.rules, arguments.traces)
    print(f"median pass {median_s:.2f} s, floor {arguments.floor:g} s: {'ok' if median_s <= arguments.floor else 'SLOW'}")
    sys.exit(median_s > arguments.floor)


def _run(count: int, traces: int) -> float:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from bench.stored import open_stored

    call_command("migrate", verbosity=0)
    data = open_stored(traces, timeout_s=settings.QUERY_TIMEOUT_S, memory_bytes=settings.QUERY_MEMORY_BYTES)
    ((spans,),) = data.store.query_rows(
        "SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'spans'"
    )
    kinds = _save(build_rules(count))
    print(f"{traces:,} traces, {spans:,} spans; {count:,} rules: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}")
    passes = [_pass(data, place) for place in range(_PASSES)]
    for place, kind in enumerate(kinds, _PASSES):
        _print(kind, _pass(data, place, kind))
    for window_s in sorted({*_WINDOWS_S}):
        seconds, processor_s = _time_evidence(data, window_s)
        print(f"evidence of a window of {window_s:>5} s {seconds:>8.2f} s, of processors {processor_s:.2f} s", flush=True)
    for place, figures in enumerate(passes, 1):
        _print(f"pass {place}", figures)
    data.store.close()
    return sorted(seconds for seconds, *_ in passes)[_PASSES // 2]


def _time_evidence(data: Stored, window_s: int) -> tuple[float, float]:
    """Return the elapsed seconds, and those of processors, of explaining an alert about the failures of a tool."""
    from alerts.evidence.gathering import collect_evidence
    from alerts.models import AlertRule
    from bench.stored import END_NS, PROJECT_ID
    from tracestore.timerange import NS_PER_S, TimeRange

    rule = AlertRule(project_id=PROJECT_ID, query="tool:tool-7", metric="failure_rate", threshold=0.05, window_s=window_s)
    started, used = time.perf_counter(), time.process_time()
    collect_evidence(data.store, rule, TimeRange(END_NS - window_s * NS_PER_S, END_NS))
    return time.perf_counter() - started, time.process_time() - used


def _print(name: str, figures: tuple[float, float, int]) -> None:
    seconds, processor_s, evaluated = figures
    print(f"{name:<10} {evaluated:>5} rules {seconds:>8.2f} s, of processors {processor_s:.2f} s", flush=True)


def _save(rules: list[tuple[str, dict[str, Any]]]) -> Counter[str]:
    from alerts.models import AlertRule
    from bench.stored import PROJECT_ID
    from tracestore.models import Project

    project, _ = Project.objects.get_or_create(pk=PROJECT_ID, defaults={"slug": "default", "name": "Default"})
    AlertRule.objects.bulk_create(AlertRule(project=project, labels={"kind": kind}, **values) for kind, values in rules)
    return Counter(kind for kind, _ in rules)


def _pass(data: Stored, place: int, kind: str = "") -> tuple[float, float, int]:
    """Evaluate all rules, or those of one kind; return elapsed seconds, those of processors, and how many were evaluated."""
    from alerts.models import AlertRule
    from alerts.rules import evaluator
    from bench.stored import END_NS
    from tracestore.timerange import NS_PER_S

    now = datetime.fromtimestamp(END_NS // NS_PER_S, UTC) - timedelta(minutes=1) + timedelta(seconds=15 * place)
    AlertRule.objects.update(next_evaluation_at=now, enabled=not kind)
    if kind:
        AlertRule.objects.filter(labels__kind=kind).update(enabled=True)
    data.store.command("SYSTEM DROP QUERY CONDITION CACHE")
    started, used = time.perf_counter(), time.process_time()
    evaluator.evaluate_due(now, data.store)
    seconds, processor_s = time.perf_counter() - started, time.process_time() - used
    failed = AlertRule.objects.exclude(last_error="").first()
    if failed:
        raise SystemExit(f"{failed.name} cannot be evaluated: {failed.last_error}")
    return seconds, processor_s, AlertRule.objects.filter(last_evaluated_at=now).count()


if __name__ == "__main__":
    main()
