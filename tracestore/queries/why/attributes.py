"""What is different about the attributes of some traces' spans: the second half of the answer to "why".

All keys and values of all traces are counted. Each summary of a trace has those of its spans as codes (migration 0062), so no
span is read but those from which the texts of the answer are taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, PROJECT, Params
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.queries.why.fields import Dimension, Number
from tracestore.queries.why.numbers import Shift, build_shifts
from tracestore.queries.why.sides import MIN_SUPPORT, SIDES, Selection, Sides, started_within
from tracestore.queries.why.values import Difference
from tracestore.semconv.errors import HTTP_STATUS_KEYS
from tracestore.semconv.fields import FIELDS
from tracestore.semconv.keys import wanted_keys
from tracestore.statistics.histogram import Histogram, bin_sql
from tracestore.statistics.samples import find_discoveries, share_difference, share_test
from tracestore.summary.attributes import VALUE_BITS
from tracestore.timerange import TimeRange

# A key with more values is content, one with hardly more uses than values an id or a time. Which keys those are is seen in so
# many traces of each side, chosen by chance: of all, ids would take most of the time and memory.
_MOST_VALUES, _LEAST_USES, _TRACES_SEEN = 1000, 3, 50_000
_MOST_KEYS = 1000
_SHOWN, _KEYS = 6, 40
FIRST_TOKEN = Number("ttft", "Time to first token", "ns", "time_to_first_token_ns", "ttft")
# What has a column of its own is compared as such, and how a step went says nothing of why. Of what the view reads for other
# decisions these tell something.
_TELLING_KEYS = {"server.address", "mcp.method.name", "source", *HTTP_STATUS_KEYS}
_RESOURCE_KEYS = {source.key for sources in FIELDS.values() for source in sources if source.form == "resource"}
_KNOWN_KEYS = ({*wanted_keys()} | _RESOURCE_KEYS) - _TELLING_KEYS

COUNT_SIDES = f"""
SELECT countIf(in_selection AND is_noted), countIf(NOT in_selection AND is_noted), count()
FROM (SELECT %(selection)s AS in_selection, notEmpty(attribute_codes) AS is_noted {SIDES})
{FINAL_SETTINGS}
"""
_KEY = f"bitShiftRight(code, {VALUE_BITS})"
FIND_KEYS = f"""
SELECT {_KEY} AS key
FROM
(
    SELECT arrayJoin(attribute_codes) AS code
    FROM (SELECT %(selection)s AS in_selection, trace_id, attribute_codes {SIDES})
    WHERE cityHash64(trace_id) %% if(in_selection, {{selected_step:UInt64}}, {{others_step:UInt64}}) = 0
)
WHERE key != 0 AND key NOT IN (SELECT bitShiftRight(sipHash64(arrayJoin(%(known)s)), {VALUE_BITS}))
GROUP BY key
HAVING (uniqExact(code) AS distinct_values) <= {_MOST_VALUES} AND count() >= {_LEAST_USES} * distinct_values
ORDER BY count() DESC, key
LIMIT {_MOST_KEYS}
{FINAL_SETTINGS}
"""
_IS_TEST = "selected >= {min_support:UInt64} OR others >= {min_support:UInt64}"
COUNT_VALUES = f"""
SELECT countIf({_IS_TEST}) AS tests, groupArraySortedIf({_SHOWN})(
    (-abs(selected / {{selected:Float64}} - others / {{others:Float64}}), code, selected, others, example), {_IS_TEST}) AS best
FROM
(
    SELECT code, countIf(in_selection) AS selected, countIf(NOT in_selection) AS others, any(trace) AS example
    FROM
    (
        SELECT in_selection, (toUnixTimestamp64Nano(start_time), duration_ns, trace_id) AS trace,
            arrayJoin(arrayFilter(code -> {_KEY} IN %(keys)s, attribute_codes)) AS code
        FROM (SELECT %(selection)s AS in_selection, start_time, duration_ns, trace_id, attribute_codes {SIDES})
    )
    GROUP BY code
)
GROUP BY {_KEY} AS key
HAVING tests > 0
ORDER BY best[1].1, key
LIMIT {_KEYS}
{FINAL_SETTINGS}
"""
# As the code of migration 0062.
_KEY_BITS = f"bitShiftLeft(bitShiftRight(sipHash64(k), {VALUE_BITS}), {VALUE_BITS})"
_CODE = f"bitOr({_KEY_BITS}, bitShiftRight(sipHash64(v), {64 - VALUE_BITS}))"
FIND_TEXTS = f"""
SELECT DISTINCT {_CODE} AS code, k, v
FROM
(
    SELECT arrayJoin(arrayConcat(arrayZip(mapKeys(attributes), mapValues(attributes)),
        arrayZip(mapKeys(resource_attributes), mapValues(resource_attributes)))) AS pair, toString(pair.1) AS k, pair.2 AS v
    FROM spans
    WHERE {PROJECT} AND %(slices)s AND trace_id IN (SELECT toFixedString(unhex(arrayJoin(%(traces)s)), 16))
)
WHERE has(%(codes)s, code)
LIMIT %(limit)d
"""
COUNT_FIRST_TOKENS = f"""
SELECT {bin_sql("time_to_first_token_ns")} AS bin, countIf(in_selection), countIf(NOT in_selection)
FROM spans INNER JOIN (SELECT trace_id, %(selection)s AS in_selection {SIDES}) AS sides USING trace_id
WHERE {IN_RANGE} AND time_to_first_token_ns > 0
GROUP BY bin
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class AttributeComparison:
    """Attributes of the spans of `selected` and `others` traces: those whose attributes are noted, `read_share` of all.

    `differences` have what differs most for certain first; their dimension's field is `attr.KEY`. `tests` values were compared.
    """

    selected: int
    others: int
    read_share: float
    differences: list[Difference]
    first_token: Shift | None
    tests: int


@dataclass(frozen=True)
class _Found:
    """How many traces of each side have what a code stands for, and one of them: its start and duration in ns, its id in hex."""

    code: int
    selected: int
    others: int
    start_ns: int
    duration_ns: int
    trace_id: str


def compare_attributes(
    store: Store, *, project_id: int, time_range: TimeRange, selection: Selection, against: Query
) -> AttributeComparison:
    """Compare attributes of spans, by traces that have a value on some span.

    Keys that have a column of their own, contents, ids and times are left out. Raises QueryTooExpensive, StoreUnavailable or
    StoreError.
    """
    sides = Sides(store, project_id, time_range, selection, against)
    [(selected, others, traces)] = sides.read(COUNT_SIDES, Params(), {})
    share = (selected + others) / max(traces, 1)
    if not selected or not others:
        return AttributeComparison(selected, others, share, [], None, 0)
    params = Params()
    demanded = {term.key for term in selection.query.terms() if term.field == "attr"}
    known = params.bind(sorted(_KNOWN_KEYS | demanded), "Array(String)")
    steps = {"selected_step": 1 + selected // _TRACES_SEEN, "others_step": 1 + others // _TRACES_SEEN}
    keys = [key for (key,) in sides.read(FIND_KEYS, params, {"known": known}, **steps)]
    params = Params()
    rows = sides.read(
        COUNT_VALUES, params, {"keys": params.bind(keys, "Array(UInt64)")},
        min_support=MIN_SUPPORT, selected=selected, others=others,
    )  # fmt: skip
    # Traces arrive between the reads: no side has a value more often than it has traces.
    found = [
        _Found(code, min(a, selected), min(b, others), start_ns, duration_ns, bytes(trace_id).hex())
        for _, best in rows
        for _, code, a, b, (start_ns, duration_ns, trace_id) in best
    ]
    tests = sum(tests for tests, _ in rows)
    bins = sides.read(COUNT_FIRST_TOKENS, Params(), {})
    histograms = Histogram({number: a for number, a, _ in bins}), Histogram({number: b for number, _, b in bins})
    first_token = next(iter(build_shifts([FIRST_TOKEN], {FIRST_TOKEN.name: histograms})), None)
    return AttributeComparison(selected, others, share, _measure(sides, found, selected, others, tests), first_token, tests)


def _measure(sides: Sides, found: list[_Found], selected: int, others: int, tests: int) -> list[Difference]:
    """Return how the traces with each value, of all of either side, differ in share, in words."""
    if not found:
        return []
    stands = find_discoveries([share_test(one.selected, selected, one.others, others) for one in found], tests=tests)
    texts = _find_texts(sides, found)
    differences = [
        Difference(
            dimension=Dimension(f"attr.{texts[one.code][0]}", texts[one.code][0], "attributes"),
            value=texts[one.code][1],
            selected=one.selected,
            others=one.others,
            selected_share=one.selected / selected,
            other_share=one.others / others,
            difference=share_difference(one.selected, selected, one.others, others),
            is_significant=stands_out,
        )
        for one, stands_out in zip(found, stands, strict=True)
        if one.code in texts
    ]
    return _order(differences)


def _order(differences: Iterable[Difference]) -> list[Difference]:
    return sorted(differences, key=lambda found: (-found.difference.least, -abs(found.difference.value), found.value))


def _find_texts(sides: Sides, found: list[_Found]) -> dict[int, tuple[str, str]]:
    """Return key and value that these codes stand for, as one trace each tells them that has them."""
    params = Params()
    slices = {TimeRange(one.start_ns, one.start_ns + one.duration_ns + 1) for one in found}
    parts: dict[str, Any] = {
        "slices": started_within(sorted(slices, key=lambda part: part.start_ns), params),
        "traces": params.bind(sorted({one.trace_id for one in found}), "Array(String)"),
        "codes": params.bind([one.code for one in found], "Array(UInt64)"),
        "limit": len(found),
    }
    return {code: (key, value) for code, key, value in sides.read(FIND_TEXTS, params, parts)}
