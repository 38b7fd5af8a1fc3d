"""What `bench.query` asks. A new question is one entry of QUESTIONS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from string import Template

from bench.stored import SENTENCE, Stored
from dashboards.panels.builtin import BUILT_IN
from dashboards.panels.panel import Panel, Scope, build_chart, chart_range, whole_range
from dashboards.panels.tiles import build_table
from dashboards.trace_list.volume import BUCKETS
from tracestore.language import Query, parse_log_query, parse_query
from tracestore.model import Series
from tracestore.queries.agents import find_agent_graph
from tracestore.queries.cohorts import compare_cohorts
from tracestore.queries.errors import find_errors
from tracestore.queries.events import find_event_marks
from tracestore.queries.facets import FACETS, count_facet
from tracestore.queries.logs import find_logs, find_logs_of_trace
from tracestore.queries.metrics.series import metric_series, metric_values
from tracestore.queries.outliers import find_outliers
from tracestore.queries.quality import compare_costs, count_orphans, count_stored, find_intake, whole_minutes
from tracestore.queries.spans import find_spans, get_span
from tracestore.queries.traces import find_traces, get_trace, has_any_trace
from tracestore.queries.unpriced_models import find_unpriced_models
from tracestore.queries.versions import find_first_seen
from tracestore.queries.why.attributes import compare_attributes
from tracestore.queries.why.comparison import find_differences
from tracestore.queries.why.sides import Selection
from tracestore.timerange import TimeRange

# Answers something that len() counts, or one value. The range is of RANGES, the longest one for questions that name none.
Ask = Callable[[Stored, TimeRange], object]
DAY, ALL, ANY = "1 day", "10 days", ""


@dataclass(frozen=True)
class Question:
    """`floors_ms`: the ranges that it is asked of (ANY: none) -> what its median must stay under, None for no floor.

    A question must find something in the data of stored.py, unless it says that it is `fruitless`: reading all for nothing.
    """

    name: str
    ask: Ask
    floors_ms: dict[str, float | None]
    fruitless: bool = False


def both(day_ms: float | None, all_ms: float | None) -> dict[str, float | None]:
    return {DAY: day_ms, ALL: all_ms}


def traces(text: str, sort: str = "") -> Ask:
    """The first page of the trace list."""
    return lambda data, time_range: (
        find_traces(
            data.store, project_id=data.project_id, time_range=time_range, query=parse_query(_fill_in(text, data)), sort=sort
        ).items
    )


def spans(text: str) -> Ask:
    return lambda data, time_range: (
        find_spans(data.store, project_id=data.project_id, time_range=time_range, query=parse_query(_fill_in(text, data))).items
    )


def logs(text: str) -> Ask:
    return lambda data, time_range: (
        find_logs(
            data.store, project_id=data.project_id, time_range=time_range, query=parse_log_query(_fill_in(text, data))
        ).items
    )


def facet(field: str, text: str) -> Ask:
    return lambda data, time_range: count_facet(
        data.store, project_id=data.project_id, time_range=time_range, query=parse_query(_fill_in(text, data)), field=field
    )


def volume(text: str) -> Ask:
    """The histogram above the list."""

    def ask(data: Stored, time_range: TimeRange) -> object:
        return [
            point
            for metric in ("requests", "failures")
            for series in _series(data, time_range, text, metric, "", time_range.step_s(BUCKETS), 1)
            for point in series.points
        ]

    return ask


def panel(shown: Panel, text: str = "", group_by: str = "") -> Ask:
    """A panel of a dashboard as its page asks for it."""

    def ask(data: Stored, time_range: TimeRange) -> object:
        def read(metric: str, grouping: str, query: Query, among: TimeRange, step_s: int, groups: int) -> list[Series]:
            return metric_series(
                data.store, project_id=data.project_id, time_range=among, query=query, metric=metric, group_by=grouping,
                step_s=step_s, max_groups=groups,
            )  # fmt: skip

        if shown.kind == "table":
            return build_table(shown, Scope(text, whole_range(time_range), 60, group_by), read).rows
        charted, step_s = chart_range(time_range)
        return build_chart(shown, Scope(text, charted, step_s, group_by), read)["queries"]

    return ask


def _overview(title: str) -> Panel:
    return next(one for one in BUILT_IN["overview"].panels if one.title == title)


def _first_seen(data: Stored, time_range: TimeRange) -> object:
    return find_first_seen(data.store, project_id=data.project_id, time_range=time_range, query=parse_query(""))


def tiles(text: str = "") -> Ask:
    """Every tile of the dashboard."""

    def ask(data: Stored, time_range: TimeRange) -> object:
        charted, _ = chart_range(time_range)
        return metric_values(
            data.store,
            project_id=data.project_id,
            time_range=charted,
            query=parse_query(text),
            metrics=[shown.metrics[0] for shown in BUILT_IN["overview"].panels if shown.kind == "number"],
        )

    return ask


def _series(data: Stored, time_range: TimeRange, text: str, metric: str, group_by: str, step_s: int, groups: int) -> list[Series]:
    return metric_series(
        data.store, project_id=data.project_id, time_range=time_range, query=parse_query(_fill_in(text, data)), metric=metric,
        group_by=group_by, step_s=step_s, max_groups=groups,
    )  # fmt: skip


def _fill_in(text: str, data: Stored) -> str:
    """Put values of the example trace into a query that names one, such as user:$user_id."""
    return Template(text).substitute(vars(data.example))


def why(text: str) -> Ask:
    return lambda data, time_range: (
        find_differences(
            data.store, project_id=data.project_id, time_range=time_range, selection=Selection(parse_query(text)),
            against=parse_query(""),
        ).differences
    )  # fmt: skip


def why_by_attribute(text: str) -> Ask:
    return lambda data, time_range: (
        compare_attributes(
            data.store, project_id=data.project_id, time_range=time_range, selection=Selection(parse_query(text)),
            against=parse_query(""),
        ).selected
    )  # fmt: skip


def agents(text: str) -> Ask:
    return lambda data, time_range: (
        find_agent_graph(data.store, project_id=data.project_id, time_range=time_range, query=parse_query(text)).edges
    )


def _versions(data: Stored, time_range: TimeRange) -> object:
    return compare_cohorts(
        data.store, project_id=data.project_id, time_range=time_range, a=parse_query("version:v2"), b=parse_query("version:v3")
    ).metrics


def _errors(data: Stored, time_range: TimeRange) -> object:
    return find_errors(data.store, project_id=data.project_id, time_range=time_range, query=parse_query(""))


def _outliers(data: Stored, time_range: TimeRange) -> object:
    step_s = time_range.step_s(BUCKETS)
    return find_outliers(data.store, project_id=data.project_id, time_range=time_range, query=parse_query(""), step_s=step_s)


def _has_any_trace(data: Stored, _: TimeRange) -> object:
    return has_any_trace(data.store, project_id=data.project_id)


def _trace(data: Stored, _: TimeRange) -> object:
    return get_trace(data.store, project_id=data.project_id, trace_id=data.example.trace_id).spans


def _span(data: Stored, _: TimeRange) -> object:
    return get_span(data.store, project_id=data.project_id, trace_id=data.example.trace_id, span_id=data.example.span_id)


def _event_marks(data: Stored, _: TimeRange) -> object:
    return find_event_marks(data.store, project_id=data.project_id, trace_id=data.example.trace_id)


def _logs_of_trace(data: Stored, _: TimeRange) -> object:
    return find_logs_of_trace(data.store, project_id=data.project_id, trace_id=data.example.trace_id).items


def _unpriced(data: Stored, time_range: TimeRange) -> object:
    return find_unpriced_models(data.store, project_id=data.project_id, time_range=time_range, query=parse_query(""))


def _intake(data: Stored, time_range: TimeRange) -> object:
    return find_intake(data.store, project_id=data.project_id, arrived=whole_minutes(time_range))


def _stored(data: Stored, time_range: TimeRange) -> object:
    return count_stored(data.store, project_id=data.project_id, arrived=whole_minutes(time_range))


def _orphans(data: Stored, time_range: TimeRange) -> object:
    return count_orphans(data.store, project_id=data.project_id, arrived=whole_minutes(time_range))


def _costs(data: Stored, time_range: TimeRange) -> object:
    return compare_costs(data.store, project_id=data.project_id, time_range=time_range)


QUESTIONS: tuple[Question, ...] = (
    Question("traces: everything", traces(""), both(60, 200)),
    Question("traces: failing, of v3, that used tool-7 (the sentence)", traces(SENTENCE), both(60, 200)),
    Question(
        "traces: the sentence, for a tool that nothing used",
        traces("status:error version:v3 tool:none"),
        both(60, 200),
        fruitless=True,
    ),
    Question("traces: slow and costly", traces("duration:>20s cost:>0.01"), both(100, 300)),
    Question("traces: of one user", traces("user:$user_id"), both(100, 300)),
    Question("traces: of one session", traces("session:$session_id"), both(100, 300)),
    Question("traces: a failed tool", traces("tool_error:tool-11"), both(60, 200)),
    Question("traces: model asked or answering", traces("model:model-1"), both(100, 300)),
    Question("traces: model that answered, with a wildcard", traces("model:*2026-06*"), both(100, 300)),
    Question("traces: kind of a step", traces("kind:tool"), both(100, 300)),
    Question("traces: name of a span", traces('span:"execute_tool tool-7"'), both(300, 300)),
    Question("traces: attribute, frequent value", traces("attr.customer.tier:gold"), both(300, 300)),
    Question("traces: attribute, one hit", traces("attr.order.id:$order_id"), both(300, 300)),
    Question("traces: attribute, a number", traces("attr.http.response.status_code:>=500"), both(300, 300)),
    Question("traces: attribute of the resource", traces("attr.host.name:host-13"), both(300, 300)),
    Question("traces: attribute that nothing has", traces("attr.no.such:x"), both(300, 300), fruitless=True),
    Question("traces: attribute that nothing has, as a number", traces("attr.no.such:>5"), both(300, 300), fruitless=True),
    Question("traces: attribute that nothing has, a frequent word", traces("attr.no.such:gold"), both(300, 300), fruitless=True),
    Question("traces: part of a value, one hit", traces("attr.order.id:*$order_id"), both(300, 300)),
    Question("traces: part of a value that nothing has", traces("attr.customer.tier:*platin*"), both(300, 300), fruitless=True),
    Question("traces: text, frequent", traces("order"), both(500, 500)),
    Question("traces: text, one hit", traces('"order $order_id?"'), both(500, 500)),
    Question("traces: text that nothing holds", traces("xyzzy"), both(500, 500), fruitless=True),
    # All pieces of it stand in the ids of every day.
    Question("traces: part of an id that nothing holds", traces("0badc0ffee5"), both(500, 500), fruitless=True),
    Question("spans: everything", spans(""), both(60, 200)),
    Question("spans: the sentence", spans(SENTENCE), both(60, 200)),
    Question("spans: text, one hit", spans('"order $order_id?"'), both(500, 500)),
    Question("logs: everything", logs(""), both(60, 200)),
    Question("logs: errors", logs("severity:error"), both(60, 200)),
    Question("logs: text, one hit", logs('"order $order_id?"'), both(500, 500)),
    *(Question(f"facet {field}", facet(field, ""), both(100, 400)) for field in FACETS if field != "workflow"),
    *(Question(f"facet {field} of the sentence", facet(field, SENTENCE), both(60, 200)) for field in ("status", "tool", "user")),
    Question("volume", volume(""), both(100, 200)),
    Question("volume of the sentence", volume(SENTENCE), both(100, 300)),
    Question("volume of an attribute: of one span in 300", volume("attr.http.response.status_code:503"), both(None, None)),
    Question("volume of an attribute: of one trace in three", volume("attr.customer.tier:gold"), both(None, None)),
    Question("volume of a text, frequent", volume("order"), both(None, None)),
    Question("trace: by its id", _trace, {ANY: 25}),
    Question("trace: a step with all its attributes", _span, {ANY: 25}),
    Question("trace: events of its steps", _event_marks, {ANY: 25}),
    Question("trace: log records", _logs_of_trace, {ANY: 100}),
    Question("project: has any trace", _has_any_trace, {ANY: 10}),
    *(
        # A table reads each of its metrics. The data names no workflow, and escalates for no reason.
        Question(
            f"dashboard {board.slug}: {shown.title}",
            panel(shown),
            both(*((800, 2000) if shown.kind == "table" else (200, 400))),
            fruitless=bool(shown.group_by),
        )
        for board in BUILT_IN.values()
        for shown in board.panels
        if shown.kind != "number"
    ),
    *(
        Question(f"dashboard: {title} by version", panel(_overview(title), group_by="version"), both(200, 400))
        for title in ("Requests", "Duration")
    ),
    Question("dashboard: duration of the sentence", panel(_overview("Duration"), SENTENCE), both(200, 400)),
    Question("dashboard: new versions", _first_seen, both(200, 400), fruitless=True),
    Question("dashboard: tiles", tiles(), both(200, 400)),
    Question("dashboard: tiles of the sentence", tiles(SENTENCE), both(200, 400)),
    Question("dashboard: models without a price", _unpriced, both(100, 300), fruitless=True),
    Question("why: failing", why("status:error"), both(1000, 1000)),
    Question("why: the sentence", why(SENTENCE), both(1000, 1000)),
    Question("why: failing, by attribute", why_by_attribute("status:error"), both(1000, 1000)),
    Question("compare: two versions", _versions, both(1000, 1000)),
    Question("errors", _errors, both(200, 1000), fruitless=True),
    Question("agents: of the sentence", agents(SENTENCE), both(1000, 3000)),
    Question("outliers", _outliers, both(200, 500)),
    Question("traces: dearest first", traces("", "-cost"), both(200, 500)),
    Question("structure: one span", traces("tool(tool-7){status:error}"), both(300, 500)),
    Question("structure: inside", traces("tool(tool-7) inside agent{}"), both(300, 500)),
    Question("structure: then", traces("tool(tool-7) then llm{}"), both(300, 500)),
    Question("structure: calls", traces("agent{} calls tool(tool-7){status:error}"), both(300, 500)),
    Question("structure: count", traces("count(tool:tool-7):>=1"), both(300, 500)),
    Question("quality: arrivals", _intake, both(100, 200)),
    Question("quality: spans stored", _stored, both(None, None)),
    Question("quality: orphans", _orphans, both(None, None), fruitless=True),
    Question("quality: costs compared", _costs, both(None, None), fruitless=True),
)
