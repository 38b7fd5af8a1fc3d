"""Numbers for alert rules: many metrics of many queries in one read, and one metric by up to three fields.

Where `metrics.py` draws one metric over time, here each metric is one number over a whole range, with the number of traces it is
made of. A thousand rules share a few reads of their windows: each adds a condition and some conditional aggregates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError, StoreUnavailable
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.metrics.definitions import READ_APART, MetricError, check_grouped, find_metric
from tracestore.queries.metrics.rollups import rollup_dimension
from tracestore.queries.metrics.series import group_apart, measure_apart, number, query_range
from tracestore.queries.metrics.sources import Reading, find_reading, grouped_reading
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.rollups import MINUTE_S
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import TimeRange

# Groups of one answer at most: those with the greatest (or least) values.
MAX_GROUPS = 200
# One statement answers so many questions; its text is analysed anew each time, and longer than all of its rows are read.
_ASKED_AT_ONCE = 100
_AGGREGATE = re.compile(r"\b(?:count|sum|min|max|avg|any|uniq|quantile)\w*(?=\()")


@dataclass(frozen=True)
class Question:
    """One metric of the traces that match a query. `metric` is one of METRICS, or of RUN_METRICS for the largest single run."""

    query: Query
    metric: str


@dataclass(frozen=True)
class Answer:
    """`value` is None when it has no meaning, such as a rate of no traces; `samples` is the number of traces or calls behind it.

    `labels` are the values of the fields grouped by, in their order; `trace_id` is the run that had the value of a RUN_METRICS.
    """

    value: float | None
    samples: int
    labels: tuple[str, ...] = ()
    trace_id: str = ""


@dataclass(frozen=True)
class RunMetric:
    """A number of a single run; `measure` is SQL over `traces`, None for a run that has none."""

    label: str
    unit: str
    help: str
    measure: str


RUN_METRICS: dict[str, RunMetric] = {
    "run_cost": RunMetric("Cost of a run", "USD", "The dearest run; calls without a price add nothing.", "cost_usd"),
    "run_duration": RunMetric(
        "Duration of a run", "s", "The longest run, still running ones so far.", "toNullable(duration_ns / 1e9)"
    ),
    "run_tokens": RunMetric(
        "Tokens of a run", "tokens", "The run with most input and output tokens.", "toNullable(input_tokens + output_tokens)"
    ),
    "run_spans": RunMetric("Steps of a run", "spans", "The run with most steps.", "toNullable(span_count)"),
}


def answer_questions(
    store: Store, *, project_id: int, time_range: TimeRange, questions: Sequence[Question]
) -> list[Answer | Exception]:
    """Answer each question over the same range, in their order, in one statement per _ASKED_AT_ONCE of them and table.

    A question that cannot be answered is answered by its MetricError or StoreError and does no harm to the others: a
    statement that is too expensive is asked again in halves. Raises StoreUnavailable.
    """
    answers: dict[int, Answer | Exception] = {}
    groups: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        try:
            if question.metric in READ_APART:
                value, samples = measure_apart(
                    store, project_id=project_id, time_range=time_range, query=question.query, metric=question.metric
                )
                answers[index] = Answer(value, samples)
            else:
                groups.setdefault(_table_of(time_range, question), []).append(index)
        except StoreUnavailable:
            raise
        except (MetricError, StoreError) as error:
            answers[index] = error
    for indexes in groups.values():
        for first in range(0, len(indexes), _ASKED_AT_ONCE):
            chunk = indexes[first : first + _ASKED_AT_ONCE]
            answers |= _ask(store, project_id, time_range, {index: questions[index] for index in chunk})
    return [answers[index] for index in range(len(questions))]


def reads_spans(query: Query) -> bool:
    """Tell whether a query asks the spans of traces, which takes longer than their summaries."""
    return "FROM spans" in trace_predicate(query, Params())


def _table_of(time_range: TimeRange, question: Question) -> str:
    """Return what questions must share to be asked together; one that reads spans, which may take long, is asked alone."""
    reading = _reading_of(time_range, question, Params())
    return f"{id(question)}" if "FROM spans" in reading.condition else reading.table


def _reading_of(time_range: TimeRange, question: Question, params: Params) -> Reading:
    if question.metric in RUN_METRICS:
        return Reading("traces", IN_RANGE, trace_predicate(question.query, params), {})
    return find_reading(time_range, question.query, question.metric, params)


def _ask(store: Store, project_id: int, time_range: TimeRange, questions: dict[int, Question]) -> dict[int, Answer | Exception]:
    try:
        return _ask_once(store, project_id, time_range, questions)
    except QueryTooExpensive as error:
        if len(questions) == 1:
            return dict.fromkeys(questions, error)
        items = list(questions.items())
        halves = (dict(items[: len(items) // 2]), dict(items[len(items) // 2 :]))
        return _ask(store, project_id, time_range, halves[0]) | _ask(store, project_id, time_range, halves[1])
    except StoreUnavailable:
        raise
    except StoreError as error:
        return dict.fromkeys(questions, error)


def _ask_once(
    store: Store, project_id: int, time_range: TimeRange, questions: dict[int, Question]
) -> dict[int, Answer | Exception]:
    params = Params()
    # Rules often ask several metrics of one query: its condition is bound and evaluated once.
    readings: dict[tuple[str, str | None, bool], tuple[Reading, str]] = {}
    columns: list[str] = []
    for question in questions.values():
        is_of_run = question.metric in RUN_METRICS
        dimension = None if is_of_run else rollup_dimension(time_range, question.query, question.metric, "", MINUTE_S)
        key = (question.query.text, dimension, is_of_run)
        if key not in readings:
            readings[key] = (_reading_of(time_range, question, params), f"matches{len(readings)}")
        reading, flag = readings[key]
        if is_of_run:
            measure = RUN_METRICS[question.metric].measure
            columns += [
                f"toFloat64(maxOrNullIf({measure}, {flag}))",
                f"countIf({flag})",
                f"lower(hex(argMaxIf(trace_id, {measure}, {flag})))",
            ]
        else:
            parts = _Conditional(reading.parts, flag)
            columns += [
                f"toFloat64({find_metric(question.metric).formula.format_map(parts)})",
                f"toUInt64({samples_of(question.metric, parts)})",
                "''",
            ]
    flags = {flag: reading.condition for reading, flag in readings.values()}
    matches = ", ".join(f"{condition} AS {flag}" for flag, condition in flags.items())
    sql = f"""
SELECT tuple({", ".join(columns)})
FROM (SELECT *, {matches} FROM {reading.table} FINAL WHERE {reading.in_range})
{FINAL_SETTINGS}
"""
    row = query_range(store, sql, project_id, time_range, params)[0][0]
    answers: dict[int, Answer | Exception] = {}
    for place, (index, question) in enumerate(questions.items()):
        value, samples, trace_id = row[3 * place : 3 * place + 3]
        found = bool(samples) and question.metric in RUN_METRICS
        answers[index] = Answer(number(value), int(samples), trace_id=trace_id if found else "")
    return answers


class _Conditional(dict[str, str]):
    """Parts of a formula over the rows of one question alone, made when they are asked for."""

    def __init__(self, parts: Mapping[str, str], flag: str) -> None:
        super().__init__()
        self._parts, self._flag = parts, flag

    def __missing__(self, name: str) -> str:
        self[name] = only_if(self._parts[name], self._flag)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts


def samples_of(metric: str, parts: Mapping[str, str]) -> str:
    """What is measured of calls is made of calls, everything else of traces."""
    if metric == "tool_run_success_rate":
        return parts["tool_runs"]
    of = metric.partition("_")[0]
    return parts[f"{of}_calls"] if of in ("tool", "model") and f"{of}_calls" in parts else parts["requests"]


def only_if(part: str, flag: str) -> str:
    """Return an aggregate over those rows alone where `flag` holds: `sum(x)` becomes `sumIf(x, flag)`.

    `part` holds one call of an aggregate function, perhaps with parameters, perhaps with arithmetic around it.
    """
    match = _AGGREGATE.search(part)
    assert match, f"no aggregate in {part!r}"
    end = _closing(part, match.end())
    name, parameters = match[0], ""
    if part[end : end + 1] == "(":  # quantile(0.9)(x): the first pair of brackets holds parameters
        parameters, start, end = part[match.end() : end], end, _closing(part, end)
    else:
        start = match.end()
    arguments = part[start + 1 : end - 1]
    if name.endswith("If"):
        called = f"{name}{parameters}({arguments} AND {flag})"
    else:
        called = f"{name}If{parameters}({arguments}{', ' if arguments else ''}{flag})"
    return part[: match.start()] + called + part[end:]


def _closing(text: str, start: int) -> int:
    """Return the place after the bracket that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place + 1
    raise ValueError(f"unbalanced brackets in {text!r}")


def check_groups(metric: str, group_by: Sequence[str]) -> None:
    """Raises MetricError for a field that this metric is not grouped by."""
    for field in group_by:
        check_grouped(metric, field)
    if len(group_by) > 1 and metric in READ_APART:
        raise MetricError("group_by", "Numbers of sessions and scores are grouped by one field.")


def find_groups(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    question: Question,
    group_by: Sequence[str],
    descending: bool = True,
    limit: int = MAX_GROUPS,
) -> list[Answer]:
    """Return the answer of each group of up to three fields, the greatest values first (or the least), at most `limit` of them.

    A trace with two tools counts in both groups; one without any in none. Raises MetricError or StoreError.
    """
    check_groups(question.metric, group_by)
    if question.metric in READ_APART:
        found = group_apart(
            store, project_id=project_id, time_range=time_range, query=question.query, metric=question.metric,
            group_by=group_by[0], descending=descending, limit=limit,
        )  # fmt: skip
        return [Answer(value, samples, (group,)) for group, value, samples in found]
    params = Params()
    condition, arrays, parts = grouped_reading(question.query, group_by, params)
    names = [f"group{index}" for index in range(len(group_by))]
    groups = ", ".join(f"arrayJoin({array}) AS {name}" for array, name in zip(arrays, names, strict=True))
    if question.metric in RUN_METRICS:
        measure = RUN_METRICS[question.metric].measure
        value, trace = f"maxOrNull({measure})", f"lower(hex(argMax(trace_id, {measure})))"
    else:
        value, trace = find_metric(question.metric).formula.format(**parts), "''"
    sql = f"""
SELECT {", ".join(names)}, toFloat64({value}) AS value, toUInt64({samples_of(question.metric, parts)}) AS samples, {trace}
FROM (SELECT *, {groups} FROM traces FINAL WHERE {IN_RANGE} AND {condition})
GROUP BY {", ".join(names)}
ORDER BY value {"DESC" if descending else "ASC"} NULLS LAST, samples DESC, {", ".join(names)}
LIMIT {params.bind(limit, "UInt32")}
{FINAL_SETTINGS}
"""
    rows = query_range(store, sql, project_id, time_range, params)
    width = len(names)
    return [
        Answer(number(row[width]), int(row[width + 1]), tuple(str(label) for label in row[:width]), row[width + 2])
        for row in rows
    ]
