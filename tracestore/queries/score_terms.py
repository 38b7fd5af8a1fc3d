"""Conditions on scores: the traces or spans that an evaluation or a review is about, looked up in `scores` alone."""

from __future__ import annotations

from tracestore.language.tree import Interval, Pattern, Term
from tracestore.queries.conditions import PROJECT, START, Params, between, matches, none_when_empty
from tracestore.semconv.scores import REVIEW

_ZERO_TRACE = "toFixedString('', 16)"
# What is found in a window of a list must not depend on its end: scores count whenever they were told. A record's time comes from
# the clock of another machine, which may be a little behind that of the run.
_TOLD = f"{PROJECT} AND time >= {START} - toIntervalDay(1)"
_VERDICT = f"if(name = '{REVIEW}' AND isNotNull(value), if(assumeNotNull(value) > 0, 'good', 'bad'), '')"
# What a score says in a word, "" for a number.
SAID = f"if({_VERDICT} != '', {_VERDICT}, label)"
_FLAGS = {"true": "1", "false": "0"}
# Of each id what was told last, where that meets the condition: first which traces are in question, mostly few. To group by 64
# bits of an id takes half as long as by its text.
_HOLDING = f"""
SELECT %(columns)s FROM
(
    SELECT any(%(key)s) AS about, argMax((%(condition)s, span_id, time), (time, received_at)) AS last
    FROM scores
    WHERE {_TOLD} AND %(about)s AND %(key)s IN (SELECT %(key)s FROM scores WHERE {_TOLD} AND %(about)s AND %(condition)s)
    GROUP BY sipHash64(%(key)s, id)
)
WHERE last.1
"""
_OF_TRACE = {"about": f"trace_id != {_ZERO_TRACE}", "key": "trace_id", "columns": "about"}
_OF_SPAN = _OF_TRACE | {"columns": "about, last.2"}
_OF_SESSION = {
    "about": f"trace_id = {_ZERO_TRACE} AND session_id != ''", "key": "session_id",
    "columns": "about AS session_id, last.3 AS told_at",
}  # fmt: skip
# A score of a session is about its last run by then.
_LAST_RUN = f"""
SELECT run_id FROM (%(holding)s) AS told
ASOF INNER JOIN
(
    SELECT session_id, start_time, trace_id AS run_id FROM traces
    WHERE {PROJECT} AND start_time >= {START}
        AND session_id IN (SELECT session_id FROM scores WHERE {_TOLD} AND %(about)s AND %(condition)s)
) AS run
ON told.session_id = run.session_id AND told.told_at >= run.start_time
"""


@none_when_empty
def score_of_trace(term: Term, params: Params) -> str:
    """Return the condition that a score of the trace, of one of its spans, or of its session by then, fits the term."""
    condition = _condition(term, params)
    of_trace = _HOLDING % (_OF_TRACE | {"condition": condition})
    told = _OF_SESSION | {"condition": condition}
    of_session = _LAST_RUN % (told | {"holding": _HOLDING % told})
    return f"(trace_id IN ({of_trace} UNION ALL {of_session}))"


@none_when_empty
def score_of_span(term: Term, params: Params) -> str:
    """Return the condition that a score of the span itself fits the term."""
    # The trace or session as a whole stands as a span of zeros, which no stored span has.
    holding = _HOLDING % (_OF_SPAN | {"condition": _condition(term, params)})
    return f"((trace_id, span_id) IN ({holding}))"


def _condition(term: Term, params: Params) -> str:
    """Return the condition on one row of `scores`, never NULL."""
    params.score_lookups += 1
    conditions = ["NOT is_withdrawn"]
    if term.key:
        conditions.append(f"name = {params.bind(term.key, 'String')}")
    if isinstance(term.value, Interval):
        conditions.append(f"ifNull({between('value', term.value, 'Float64', params)}, false)")
    elif isinstance(term.value, Pattern) and not term.value.is_presence:
        conditions.append(_says(term.value, params))
    return f"({' AND '.join(conditions)})"


def _says(pattern: Pattern, params: Params) -> str:
    """A text is a label; of a review also its verdict; true and false are 1 and 0."""
    ways = [matches("label", pattern, params), matches(_VERDICT, pattern, params)]
    if pattern.is_exact and pattern.text in _FLAGS:
        ways.append(f"ifNull(value = {_FLAGS[pattern.text]}, false)")
    return f"({' OR '.join(ways)})"
