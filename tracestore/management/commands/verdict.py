"""Tell a deploy pipeline by exit status whether a version is worse than another."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError, parse_query
from tracestore.management.projects import get_project
from tracestore.queries.metrics.definitions import MetricError
from tracestore.timerange import TimeError, parse_time_range
from tracestore.verdict import DEFAULT_METRICS, JUDGED, MINIMUM_SAMPLES, Outcome, find_judged, judge_version

EXIT_STATUS = {Outcome.PASS: 0, Outcome.WORSE: 1, Outcome.NOT_ENOUGH_DATA: 2}
_UNKNOWN = 2
_ANSWER_TIMEOUT_S = 60


class Command(BaseCommand):
    help = (
        "Say whether a version is worse than another. Exits with 0 when it is not, 1 when it is, 2 when that cannot be told:"
        " too few traces, a wrong argument, no answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("version", help="the version to judge")
        parser.add_argument("against", help="the version to compare with")
        parser.add_argument("--url", default="", help="ask this running instance; without it the store of this installation")
        parser.add_argument("--key", default="", help="API key for --url")
        parser.add_argument("--project", default="default", help="slug of the project, without --url; default: default")
        parser.add_argument("--query", default="", help="only these traces, such as `env:production`")
        parser.add_argument("--start", default="", help="such as now-1h; default: 24 hours before the end")
        parser.add_argument("--end", default="", help="default: now")
        parser.add_argument("--metrics", default=",".join(DEFAULT_METRICS), help=f"with commas between: {', '.join(JUDGED)}")
        parser.add_argument("--min-samples", type=int, default=MINIMUM_SAMPLES, help="traces of each version; default: 100")
        parser.add_argument("--tolerance", type=float, default=0.0, help="accepted: 0.1 is a tenth more than the other version")
        parser.add_argument("--json", action="store_true", help="print the answer of the API instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        answer = _ask_instance(options) if options["url"] else _ask_store(options)
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=1))
        else:
            self.stdout.write("\n".join(_lines(answer)))
        sys.exit(EXIT_STATUS[Outcome(answer["decision"])])


def _ask_store(options: dict[str, Any]) -> dict[str, Any]:
    project = get_project(options, returncode=_UNKNOWN)
    if options["min_samples"] < 2 or not options["tolerance"] >= 0:
        raise CommandError("--min-samples is 2 or more, --tolerance 0 or more.", returncode=_UNKNOWN)
    try:
        return judge_version(
            get_store(), project_id=project.pk, time_range=parse_time_range(options["start"], options["end"]),
            version=options["version"], against=options["against"], query=parse_query(options["query"]),
            metrics=find_judged(options["metrics"].split(",")), minimum_samples=options["min_samples"],
            tolerance=options["tolerance"],
        ).to_json()  # fmt: skip
    except (QueryError, MetricError, TimeError) as error:
        raise CommandError(str(error), returncode=_UNKNOWN) from None
    except StoreError as error:
        advice = "An embedded store that a running instance holds is asked through it: --url http://localhost:8000."
        raise CommandError(f"{error}\n{advice}", returncode=_UNKNOWN) from None


def _ask_instance(options: dict[str, Any]) -> dict[str, Any]:
    if not options["url"].startswith(("http://", "https://")):
        raise CommandError("--url begins with http:// or https://.", returncode=_UNKNOWN)
    parameters = {
        "against": options["against"], "q": options["query"], "start": options["start"], "end": options["end"],
        "metrics": options["metrics"], "min_samples": options["min_samples"], "tolerance": options["tolerance"],
    }  # fmt: skip
    address = f"{options['url'].rstrip('/')}/api/v1/versions/{quote(options['version'], safe='')}/verdict?{urlencode(parameters)}"
    headers = {"Authorization": f"Bearer {options['key']}"} if options["key"] else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_ANSWER_TIMEOUT_S) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise CommandError(f"{options['url']} answers {error.code}: {_refusal(error)}", returncode=_UNKNOWN) from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{options['url']} does not answer: {error}", returncode=_UNKNOWN) from None
    if answer.get("decision") not in list(Outcome):
        raise CommandError(f"{options['url']} is no Tracestore.", returncode=_UNKNOWN)
    return answer


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return error.reason


def _lines(answer: dict[str, Any]) -> list[str]:
    head = (
        f"{answer['version']} against {answer['against']}: {answer['decision'].replace('_', ' ')}"
        f" ({answer['traces']:,} and {answer['against_traces']:,} traces)"
    )
    return [head, *(_line(metric) for metric in answer["results"])]


def _line(metric: dict[str, Any]) -> str:
    unit, difference = metric["unit"], metric["difference"]
    values = f"{_show(metric['value'], unit)} against {_show(metric['against_value'], unit)}"
    interval = f"{_show(difference['low'], unit)} to {_show(difference['high'], unit)}" if difference else "unknown"
    samples = f"{metric['samples']:,} and {metric['against_samples']:,} samples"
    decision = metric["decision"].replace("_", " ")
    return f"  {metric['name']:<18} {decision:<16} {values}; difference {interval}; {samples}"


def _show(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    return {"ratio": f"{100 * value:.2f} %", "ns": f"{value / 1e9:.3f} s"}.get(unit, f"{value:.6f} {unit}")
