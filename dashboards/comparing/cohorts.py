"""The page "Compare": two cohorts of traces side by side, B against A."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from urllib.parse import urlencode

from dashboards.comparing.why import points, points_interval
from dashboards.search.query_string import PRESETS, Draft, Search, SearchRefused, describe_range, parse_search, widen_range
from dashboards.templatetags import formatting
from tracestore.language import Query, add_condition, format_filter
from tracestore.queries.cohort_tools import ToolComparison
from tracestore.queries.cohorts import CohortComparison, CohortMetric
from tracestore.queries.versions import ServiceVersion
from tracestore.queries.why.comparison import Comparison
from tracestore.queries.why.values import Difference
from tracestore.statistics.samples import Interval
from tracestore.timerange import parse_time_range

_ROWS = 12


@dataclass(frozen=True)
class CompareSearch:
    """The two queries and their range; `search` carries the times, its query is A."""

    search: Search
    b_text: str
    b: Query

    @property
    def a_text(self) -> str:
        return self.search.text

    @property
    def swapped_href(self) -> str:
        return self.querystring(a=self.b_text, b=self.a_text)

    def querystring(self, **changes: str) -> str:
        """Return `?a=...&b=...&start=...&end=...`."""
        times = {name: changes.pop(name) for name in ("start", "end") if name in changes}
        values = {"a": self.a_text, "b": self.b_text} | changes
        times_text = self.search.querystring(q="", **times).removeprefix("?")
        return "?" + urlencode(values) + (f"&{times_text}" if times_text else "")

    def list_href(self, text: str) -> str:
        """The query string of the trace list for one cohort's query."""
        return self.search.querystring(q=text)

    @property
    def b_href(self) -> str:
        return self.list_href(self.b_text)

    @property
    def graph_parameters(self) -> str:
        """What the agent graph takes."""
        return self.search.querystring(q=self.a_text) + "&" + urlencode({"against": self.b_text})

    @property
    def why_parameters(self) -> str:
        """What the page Why takes: B is the selection."""
        return self.search.querystring(q=self.b_text) + "&" + urlencode({"against": self.a_text})


@dataclass(frozen=True)
class Elsewhere:
    """Where the cohorts are that have no trace in the range: the newest trace of each, None for one without any of any time.

    With both, `href` compares them in the range called `label`, which has traces of both.
    """

    a_newest_ns: int | None
    b_newest_ns: int | None
    href: str = ""
    label: str = ""


def build_elsewhere(asked: CompareSearch, a_newest_ns: int | None, b_newest_ns: int | None, now_ns: int) -> Elsewhere:
    """Offer the smallest range up to now that holds the newest trace of either cohort."""
    if a_newest_ns is None or b_newest_ns is None:
        return Elsewhere(a_newest_ns, b_newest_ns)
    start, end = widen_range(min(a_newest_ns, b_newest_ns), max(a_newest_ns, b_newest_ns), now_ns)
    label = describe_range({"start": start, "end": end})
    return Elsewhere(a_newest_ns, b_newest_ns, asked.querystring(start=start, end=end), label)


def parse_compare(params: Mapping[str, str]) -> CompareSearch:
    """Read `a`, `b`, `start` and `end`. Raises SearchRefused, naming what is wrong with either."""
    times = {name: params.get(name, "") for name in ("start", "end")}
    searches: dict[str, Search] = {}
    problems = []
    for name in ("a", "b"):
        try:
            searches[name] = parse_search(times | {"q": params.get(name, "")})
        except SearchRefused as refused:
            problems += [replace(problem, field=name) if problem.field == "q" else problem for problem in refused.draft.problems]
    if problems:
        raise SearchRefused(Draft(params.get("a", ""), times["start"], times["end"], tuple(dict.fromkeys(problems))))
    return CompareSearch(searches["a"], params.get("b", ""), searches["b"].query)


@dataclass(frozen=True)
class MetricRow:
    """One metric as texts. `trend`: better or worse where the difference is certain, else even."""

    label: str
    a: str
    a_interval: str
    b: str
    b_interval: str
    change: str
    interval: str
    relative: str
    trend: str
    verdict: str


@dataclass(frozen=True)
class ToolRow:
    """How often one tool fails on each side. `trend` as of a MetricRow; `href` of a side lists the traces in which it failed."""

    name: str
    a: str
    a_calls: int
    a_href: str
    b: str
    b_calls: int
    b_href: str
    change: str
    interval: str
    trend: str
    verdict: str


@dataclass(frozen=True)
class ErrorRow:
    """An error type that one cohort alone has."""

    value: str
    count: int
    share: float
    is_significant: bool
    href: str


@dataclass(frozen=True)
class ShareRow:
    """One value of a field that the cohorts have unlike often."""

    field: str
    value: str
    a_count: int
    b_count: int
    a_share: float
    b_share: float
    points: str
    interval: str
    a_href: str
    b_href: str

    @property
    def a_width(self) -> float:
        return round(100 * self.a_share, 1)

    @property
    def b_width(self) -> float:
        return round(100 * self.b_share, 1)


@dataclass(frozen=True)
class CompareAnswer:
    """Everything below the two queries."""

    a_traces: int
    b_traces: int
    shared: int
    metrics: list[MetricRow]
    tools: list[ToolRow]
    more_tools: int
    new_errors: list[ErrorRow]
    gone_errors: list[ErrorRow]
    differences: list[ShareRow]
    tests: int


def new_errors(comparison: Comparison) -> list[Difference]:
    """The error types of B, the selection, that A does not have."""
    return [found for found in _errors(comparison) if found.selected and not found.others]


def gone_errors(comparison: Comparison) -> list[Difference]:
    """The error types of A that B, the selection, does not have."""
    return [found for found in _errors(comparison) if found.others and not found.selected]


def _errors(comparison: Comparison) -> list[Difference]:
    return [found for found in comparison.differences if found.dimension.field == "error"]


def build_compare(
    asked: CompareSearch, cohorts: CohortComparison, tools: Sequence[ToolComparison], comparison: Comparison
) -> CompareAnswer:
    """`comparison` is of B as the selection against A."""
    return CompareAnswer(
        a_traces=cohorts.a_traces,
        b_traces=cohorts.b_traces,
        shared=cohorts.shared,
        metrics=[_build_metric(metric) for metric in cohorts.metrics],
        tools=[_build_tool(asked, tool) for tool in tools[:_ROWS]],
        more_tools=max(0, len(tools) - _ROWS),
        new_errors=[_build_error(asked, found, in_b=True) for found in new_errors(comparison)],
        gone_errors=[_build_error(asked, found, in_b=False) for found in gone_errors(comparison)],
        differences=[_build_share(asked, found) for found in comparison.differences if _is_told_here(found)][:_ROWS],
        tests=comparison.tests,
    )


Option = tuple[str, str, bool]


def version_options(values: Sequence[ServiceVersion], chosen: str) -> list[tuple[str, list[Option]]]:
    """Return (service, options) for a picker of versions, an option being (query, label, whether it is the chosen one).

    Where traces began in several services, the query of an option names its service, too: versions of two have nothing to do with
    each other. Else the group has no name, as the first one has with a chosen query that is no option.
    """
    chosen = chosen.strip()
    groups: dict[str, list[Option]] = {}
    queries = [version_query(values, value) for value in values]
    if chosen and chosen not in queries:
        groups[""] = [(chosen, chosen, True)]
    for value, query in zip(values, queries, strict=True):
        label = f"{value.version} ({value.count:,} trace{'' if value.count == 1 else 's'})"
        groups.setdefault(value.service if _has_services(values) else "", []).append((query, label, query == chosen))
    return list(groups.items())


def _is_told_here(found: Difference) -> bool:
    """Errors of one side alone and failed tools have tables of their own, and the rule of an outcome follows from these."""
    if found.dimension.field in ("tool_error", "rule"):
        return False
    return found.is_significant and not (found.dimension.field == "error" and not (found.selected and found.others))


def version_query(values: Sequence[ServiceVersion], value: ServiceVersion) -> str:
    """Return the query that stands for one of these versions."""
    version = format_filter("version", value.version)
    return f"{format_filter('service', value.service)} {version}" if value.service and _has_services(values) else version


def choose_versions(values: Sequence[ServiceVersion]) -> tuple[str, str] | None:
    """Return the queries of two versions of one service, the newest and the one before it, the older first.

    Of the first service that has two; two that ran in one trace are of different things.
    """
    for newer, older in combinations(values, 2):
        if older.service == newer.service and older.version not in newer.beside:
            return version_query(values, older), version_query(values, newer)
    return None


def longer_ranges(search: Search) -> list[tuple[str, str]]:
    """(label, href) of the presets of days that reach further back than this range: where another version may have run."""
    days = [(start, label) for start, label in PRESETS if start.endswith("d")]
    return [
        (label, search.querystring(q="", start=start, end=""))
        for start, label in days
        if parse_time_range(start, "").start_ns < search.time_range.start_ns
    ]


def _has_services(values: Sequence[ServiceVersion]) -> bool:
    return len({value.service for value in values}) > 1


_FORMATS = {"ratio": formatting.ratio, "ns": formatting.duration_ns, "USD": formatting.cost_usd, "tokens": formatting.tokens}


def format_number(value: float, unit: str) -> str:
    """One number with its unit; calls and spans with one decimal, as they are means."""
    return _FORMATS[unit](value) if unit in _FORMATS else f"{value:,.1f}"


def _build_metric(metric: CohortMetric) -> MetricRow:
    difference = metric.difference
    trend = "even"
    if metric.is_significant and difference and metric.rise != "neutral":
        trend = metric.rise if difference.value > 0 else {"worse": "better", "better": "worse"}[metric.rise]
    return MetricRow(
        label=metric.label,
        a=format_number(metric.a.value, metric.unit) if metric.a else formatting.NONE,
        a_interval=_interval(metric.a, metric.unit),
        b=format_number(metric.b.value, metric.unit) if metric.b else formatting.NONE,
        b_interval=_interval(metric.b, metric.unit),
        change=_change(difference, metric.unit),
        interval=_change_interval(difference, metric.unit),
        relative="" if metric.unit == "ratio" else _relative(metric.a, difference),
        trend=trend,
        verdict=_verdict(metric, trend),
    )


def _build_tool(asked: CompareSearch, tool: ToolComparison) -> ToolRow:
    trend = "even"
    if tool.is_significant and tool.difference:
        trend = "worse" if tool.difference.value > 0 else "better"
    verdict = trend if trend != "even" else "no certain difference"
    if tool.difference is None:
        verdict = "only in B" if tool.b else "only in A"
    elif tool.difference.low is None and tool.difference.high is None:
        verdict = "too few calls"
    failed = format_filter("tool_error", tool.name)
    return ToolRow(
        name=tool.name,
        a=formatting.ratio(tool.a.value) if tool.a else formatting.NONE,
        a_calls=tool.a_calls,
        a_href=asked.list_href(add_condition(asked.a_text, failed)) if tool.a and tool.a.value else "",
        b=formatting.ratio(tool.b.value) if tool.b else formatting.NONE,
        b_calls=tool.b_calls,
        b_href=asked.list_href(add_condition(asked.b_text, failed)) if tool.b and tool.b.value else "",
        change=_change(tool.difference, "ratio") if tool.difference else "",
        interval=_change_interval(tool.difference, "ratio"),
        trend=trend,
        verdict=verdict,
    )


def _verdict(metric: CohortMetric, trend: str) -> str:
    if metric.difference is None:
        return "not known"
    if metric.difference.low is None and metric.difference.high is None:
        return "too few traces"
    return trend if trend != "even" else "different" if metric.is_significant else "no certain difference"


def _interval(interval: Interval | None, unit: str) -> str:
    if interval is None or (interval.low is None and interval.high is None):
        return ""
    low, high = (
        formatting.NONE if bound is None else format_number(max(0.0, bound), unit) for bound in (interval.low, interval.high)
    )
    return f"{low} to {high}"


def _signed(value: float, unit: str) -> str:
    """What rounds to nothing has no sign."""
    number = format_number(abs(value), unit)
    return ("+" if value > 0 else "−") + number if any(digit in number for digit in "123456789") else number


def _change(difference: Interval | None, unit: str) -> str:
    if difference is None:
        return formatting.NONE
    return f"{points(difference.value)} points" if unit == "ratio" else _signed(difference.value, unit)


def _change_interval(difference: Interval | None, unit: str) -> str:
    if difference is None or (difference.low is None and difference.high is None):
        return ""
    if unit == "ratio":
        return points_interval(difference)
    low, high = (formatting.NONE if bound is None else _signed(bound, unit) for bound in (difference.low, difference.high))
    return f"{low} to {high}"


def _relative(a: Interval | None, difference: Interval | None) -> str:
    """By what part of A: +12%."""
    if a is None or difference is None or not a.value or not difference.value:
        return ""
    return ("+" if difference.value > 0 else "−") + formatting.ratio(abs(difference.value) / a.value)


def _build_error(asked: CompareSearch, found: Difference, *, in_b: bool) -> ErrorRow:
    text = add_condition(asked.b_text if in_b else asked.a_text, format_filter(found.dimension.field, found.value))
    return ErrorRow(
        value=found.value,
        count=found.selected if in_b else found.others,
        share=found.selected_share if in_b else found.other_share,
        is_significant=found.is_significant,
        href=asked.list_href(text),
    )


def _build_share(asked: CompareSearch, found: Difference) -> ShareRow:
    condition = format_filter(found.dimension.field, found.value)
    return ShareRow(
        field=found.dimension.label,
        value=found.value,
        a_count=found.others,
        b_count=found.selected,
        a_share=found.other_share,
        b_share=found.selected_share,
        points=points(found.difference.value),
        interval=points_interval(found.difference),
        a_href=asked.list_href(add_condition(asked.a_text, condition)),
        b_href=asked.list_href(add_condition(asked.b_text, condition)),
    )
