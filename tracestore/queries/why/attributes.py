"""What is different about the attributes of some traces' spans: the second, slower half of the answer to "why".

All keys are looked at, which costs as much as reading all attributes, contents included. Beyond a cap the keys and values that
differ are therefore looked for in slices spread evenly over the range, all traces that start in them on both sides, and what is
found is then counted in all spans: that reads a few keys of the maps, a third of the cost. Where the time does not suffice for
this either, the counts are those of the slices. The answer says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.clickhouse.part_contents import lacks_keys, parts_where
from tracestore.histogram import Histogram, bin_sql
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.queries.why.fields import Dimension, Number
from tracestore.queries.why.numbers import Shift, build_shifts
from tracestore.queries.why.sides import MIN_SUPPORT, Selection, started_within
from tracestore.queries.why.values import Difference
from tracestore.semconv.errors import HTTP_STATUS_KEYS
from tracestore.semconv.fields import FIELDS
from tracestore.semconv.keys import wanted_keys
from tracestore.statistics import find_discoveries, share_difference, share_test
from tracestore.timerange import TimeRange

# About half a second of reading at 2 KB a span on two cores.
SPAN_CAP = 200_000
_SLICES = 24
# A value longer than this is content, and so is a key with more values; one with hardly more uses than values is an id or a time.
_LONGEST_VALUE, _MOST_VALUES, _LEAST_USES = 100, 1000, 3
_SHOWN, _KEYS = 6, 40
# How long after its first span an example is searched for the span that has the value.
_EXAMPLE_NS = 3600 * 10**9
_VALUE_BITS = 36
# What both sides hold nearly alike tells nothing, however certain, and is what takes longest to count where most spans hold it:
# shares that are less than five points apart, of which the larger is less than half as much again.
_LEAST_DIFFERENCE, _LEAST_LIFT = 0.05, 1.5
# Keys whose values are counted in all spans; each is a look-up in both maps.
_COUNTED_KEYS, _MASK_BITS = 12, 64
_Rows = list[tuple[Any, ...]]
FIRST_TOKEN = Number("ttft", "Time to first token", "ns", "time_to_first_token_ns", "ttft")
# What has a column of its own is compared as such, and how a step went says nothing of why. Of what the view reads for other
# decisions these tell something.
_TELLING_KEYS = {"server.address", "mcp.method.name", "source", *HTTP_STATUS_KEYS}
_RESOURCE_KEYS = {source.key for sources in FIELDS.values() for source in sources if source.form == "resource"}
_KNOWN_KEYS = ({*wanted_keys()} | _RESOURCE_KEYS) - _TELLING_KEYS

_COUNT_SPANS = f"SELECT sum(span_count) FROM traces FINAL WHERE {IN_RANGE} {FINAL_SETTINGS}"
_SIDES = f"""
    SELECT trace_id, %(selection)s AS in_selection
    FROM traces FINAL
    WHERE {IN_RANGE} AND %(slices)s AND (in_selection OR (%(against)s))
"""
COUNT_SIDES = f"SELECT countIf(in_selection), countIf(NOT in_selection) FROM ({_SIDES}) {FINAL_SETTINGS}"
# The upper bits of a code are a hash of the key, the lower ones of the value; 0 is what is not compared.
_CODE = (
    f"bitOr(bitShiftLeft(bitShiftRight(sipHash64(k), {_VALUE_BITS}), {_VALUE_BITS}),"
    f" bitShiftRight(sipHash64(v), {64 - _VALUE_BITS}))"
)
# A list or a map is stored as its serialized message, which begins with a line feed (tag 1 of length-delimited type).
_COMPARED = f"length(v) BETWEEN 1 AND {_LONGEST_VALUE} AND NOT startsWith(v, '\\n') AND k NOT IN %(known)s"
_MAPS = ("attributes", "resource_attributes")
_CODES = "arrayFilter(code -> code != 0, arrayConcat({}))".format(
    ", ".join(f"arrayMap((k, v) -> if({_COMPARED}, {_CODE}, 0), mapKeys({column}), mapValues({column}))" for column in _MAPS)
)
COUNT_ATTRIBUTES = f"""
SELECT key, distinct_values, uses, tests, best
FROM
(
    SELECT bitShiftRight(code, {_VALUE_BITS}) AS key, count() AS distinct_values, sum(selected + others) AS uses,
        countIf(selected >= {{min_support:UInt64}} OR others >= {{min_support:UInt64}}) AS tests,
        groupArraySortedIf({_SHOWN})(
            (-abs(selected / {{selected:Float64}} - others / {{others:Float64}}), code, selected, others,
                example.1, lower(hex(example.2))),
            selected >= {{min_support:UInt64}} OR others >= {{min_support:UInt64}}
        ) AS best
    FROM
    (
        SELECT code, countIf(in_selection) AS selected, countIf(NOT in_selection) AS others,
            min((start_ns, trace_id)) AS example
        FROM
        (
            SELECT trace_id, any(in_selection) AS in_selection, min(toUnixTimestamp64Nano(start_time)) AS start_ns,
                groupUniqArrayArray(codes) AS codes
            FROM
            (
                SELECT trace_id, start_time, in_selection, {_CODES} AS codes
                FROM spans INNER JOIN ({_SIDES}) AS sides USING trace_id
                WHERE {IN_RANGE} AND %(slices)s
            )
            GROUP BY trace_id
        )
        ARRAY JOIN codes AS code
        GROUP BY code
    )
    GROUP BY key
)
WHERE tests > 0 AND distinct_values <= {_MOST_VALUES} AND uses >= {_LEAST_USES} * distinct_values
ORDER BY tupleElement(best[1], 1), key
LIMIT {_KEYS}
{FINAL_SETTINGS}
"""
FIND_TEXTS = f"""
SELECT DISTINCT {_CODE} AS code, k, v
FROM
(
    SELECT arrayJoin(arrayConcat(arrayZip(mapKeys(attributes), mapValues(attributes)),
        arrayZip(mapKeys(resource_attributes), mapValues(resource_attributes)))) AS pair, toString(pair.1) AS k, pair.2 AS v
    FROM spans
    WHERE {IN_RANGE} AND %(slices)s AND lower(hex(trace_id)) IN %(traces)s
)
WHERE has(%(codes)s, code)
LIMIT %(limit)d
"""
# A bit for each value that is counted: spans without any need no group. One read for each map: resources rarely have the keys of
# spans, and parts that do not are not read.
COUNT_FOUND = f"""
SELECT place, countIf(in_selection), countIf(NOT in_selection)
FROM
(
    SELECT arrayJoin(places) AS place, in_selection
    FROM
    (
        SELECT trace_id, %(places)s AS places
        FROM (%(reads)s)
        GROUP BY trace_id
    ) AS found
    ANY INNER JOIN ({_SIDES}) AS sides USING trace_id
)
GROUP BY place
{FINAL_SETTINGS}
"""
COUNT_FIRST_TOKENS = f"""
SELECT {bin_sql("time_to_first_token_ns")} AS bin, countIf(in_selection), countIf(NOT in_selection)
FROM spans INNER JOIN ({_SIDES}) AS sides USING trace_id
WHERE {IN_RANGE} AND %(slices)s AND time_to_first_token_ns > 0
GROUP BY bin
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class AttributeComparison:
    """Attributes of the spans of `selected` and `others` traces, which are all of the range when `read_share` is 1.

    `differences` have what differs most for certain first; their dimension's field is `attr.KEY`. `tests` values were compared.
    They were looked for in `searched_share` of the range; `more_keys` that differ there were not counted.
    """

    selected: int
    others: int
    read_share: float
    differences: list[Difference]
    first_token: Shift | None
    tests: int
    searched_share: float = 1.0
    more_keys: int = 0


@dataclass(frozen=True)
class _Scope:
    """What every statement here is bound to; `slices` are the parts of the range that are read."""

    store: Store
    project_id: int
    time_range: TimeRange
    selection: Selection
    against: Query
    slices: list[TimeRange]

    def read(self, sql: str, params: Params | None = None, filled: Mapping[str, str] | None = None, **more: Any) -> _Rows:
        """Run a template of this module, filled with the sides and with `filled`, whose values are in `params`."""
        params = params or Params()
        demanded = {term.key for term in self.selection.query.terms() if term.field == "attr"}
        parts = {
            "selection": self.selection.predicate(params),
            "against": trace_predicate(self.against, params),
            "known": params.bind(sorted(_KNOWN_KEYS | demanded), "Array(String)"),
            "slices": started_within(self.slices, params),
        }
        scope = {"project_id": self.project_id, "start_ns": self.time_range.start_ns, "end_ns": self.time_range.end_ns}
        return self.store.query_rows(sql % {**parts, **(filled or {})}, **scope, **more, **params.values)


def compare_attributes(
    store: Store, *, project_id: int, time_range: TimeRange, selection: Selection, against: Query, span_cap: int = SPAN_CAP
) -> AttributeComparison:
    """Compare attributes of spans, by traces that have a value on some span. All keys are read of about `span_cap` spans, those
    that differ of all.

    Keys that have a column of their own, contents, ids and times are left out. Raises QueryTooExpensive, StoreUnavailable or
    StoreError.
    """
    whole = _Scope(store, project_id, time_range, selection, against, [time_range])
    [(spans,)] = whole.read(_COUNT_SPANS)
    share = min(1.0, span_cap / max(spans, 1))
    scope = replace(whole, slices=cut_slices(time_range, share))
    [(selected, others)] = scope.read(COUNT_SIDES)
    if not selected or not others:
        return AttributeComparison(selected, others, share, [], None, 0)
    rows = scope.read(COUNT_ATTRIBUTES, min_support=MIN_SUPPORT, selected=selected, others=others)
    tests = sum(row[3] for row in rows)
    # Traces arrive between the reads: no side has a value more often than it has traces.
    best = [
        (distance, code, min(a, selected), min(b, others), start_ns, trace_id)
        for row in rows
        for distance, code, a, b, start_ns, trace_id in row[4]
    ]
    differences = _find_texts(scope, best, selected, others, tests)
    found = AttributeComparison(selected, others, share, differences, None, tests, share)
    try:
        if share < 1:
            return _count_all(whole, found)
    except QueryTooExpensive:
        pass  # the slices are the answer
    return replace(found, first_token=_compare_first_tokens(scope))


def _compare_first_tokens(scope: _Scope) -> Shift | None:
    bins = scope.read(COUNT_FIRST_TOKENS)
    sides = Histogram({number: a for number, a, _ in bins}), Histogram({number: b for number, _, b in bins})
    return next(iter(build_shifts([FIRST_TOKEN], {FIRST_TOKEN.name: sides})), None)


def _count_all(whole: _Scope, found: AttributeComparison) -> AttributeComparison:
    """Count in all of the range the telling values of those keys that differ in the part that was searched."""
    telling = [item for item in found.differences if _is_telling(item)]
    differing = list(dict.fromkeys(item.dimension.label for item in telling if item.is_significant))
    keys = differing[:_COUNTED_KEYS]
    wanted = [item for item in telling if item.dimension.label in keys]
    [(selected, others)] = whole.read(COUNT_SIDES)
    params = Params()
    counts = {place: (a, b) for place, a, b in whole.read(COUNT_FOUND, params, _build_masks(wanted, params))} if wanted else {}
    found_in = [counts.get(place, (0, 0)) for place in range(len(wanted))]
    sides = [(min(a, selected), min(b, others)) for a, b in found_in]  # as above
    stands = find_discoveries([share_test(a, selected, b, others) for a, b in sides], tests=max(found.tests, len(wanted)))
    differences = [
        _measure(item.dimension, item.value, (a, selected), (b, others), stands_out)
        for item, (a, b), stands_out in zip(wanted, sides, stands, strict=True)
    ]
    return AttributeComparison(
        selected, others, 1.0, _order(differences), _compare_first_tokens(whole), found.tests, found.searched_share,
        len(differing) - len(keys),
    )  # fmt: skip


def _is_telling(found: Difference) -> bool:
    rarer, larger = sorted((found.selected_share, found.other_share))
    return larger - rarer >= _LEAST_DIFFERENCE or larger >= _LEAST_LIFT * rarer


def _build_masks(wanted: Sequence[Difference], params: Params) -> dict[str, str]:
    """Return the parts of COUNT_FOUND: a word of 64 bits for each 64 values, in which a value's bit is its place in `wanted`."""
    keys = {label: params.bind(label, "String") for label in dict.fromkeys(item.dimension.label for item in wanted)}
    all_keys = params.bind(list(keys), "Array(String)")
    tests = [f"%s[{keys[item.dimension.label]}] = {params.bind(item.value, 'String')}" for item in wanted]
    words: list[list[str]] = [[] for _ in range(-(-len(wanted) // _MASK_BITS))]
    for number, word in enumerate(words):
        members: dict[str, list[tuple[str, int]]] = {}
        for bit, item in enumerate(wanted[number * _MASK_BITS : (number + 1) * _MASK_BITS]):
            members.setdefault(item.dimension.label, []).append((item.value, 1 << bit))
        for key, bits in members.items():
            values = params.bind([value for value, _ in bits], "Array(String)")
            masks = params.bind([mask for _, mask in bits], "Array(UInt64)")
            word.append(f"transform(%s[{keys[key]}], {values}, {masks}, toUInt64(0))")
    names = [f"bits_{number}" for number in range(len(words))]
    masks_sql = ", ".join(f"{_any_bit(word)} AS {name}" for name, word in zip(names, words, strict=True))
    read = f"SELECT trace_id, {masks_sql} FROM spans WHERE {IN_RANGE} AND ({' OR '.join(tests)}) AND _part NOT IN "
    places = (
        f"arrayMap(bit -> toUInt32(bit) + {number * _MASK_BITS}, bitPositionsToArray(groupBitOr({name})))"
        for number, name in enumerate(names)
    )
    return {
        "reads": " UNION ALL ".join(
            read.replace("%s", column) + parts_where(lacks_keys(all_keys, (column,))) for column in _MAPS
        ),
        "places": f"arrayConcat({', '.join(places)})",
    }


def _any_bit(masks: Sequence[str]) -> str:
    return reduce(lambda one, other: f"bitOr({one}, {other})", masks)


def _measure(
    dimension: Dimension, value: str, selected: tuple[int, int], others: tuple[int, int], stands_out: bool
) -> Difference:
    """Return how the traces with a value, of all of either side, differ in share."""
    return Difference(
        dimension=dimension,
        value=value,
        selected=selected[0],
        others=others[0],
        selected_share=selected[0] / selected[1],
        other_share=others[0] / others[1],
        difference=share_difference(*selected, *others),
        is_significant=stands_out,
    )


def _order(differences: Iterable[Difference]) -> list[Difference]:
    return sorted(differences, key=lambda found: (-found.difference.least, -abs(found.difference.value), found.value))


def cut_slices(time_range: TimeRange, share: float) -> list[TimeRange]:
    """Return parts of the range, evenly spread, that make up `share` of it."""
    length_ns = time_range.end_ns - time_range.start_ns
    if share >= 1 or length_ns < _SLICES:
        return [time_range]
    starts_ns = [time_range.start_ns + length_ns * at // _SLICES for at in range(_SLICES)]
    return [TimeRange(start_ns, start_ns + max(1, int(length_ns / _SLICES * share))) for start_ns in starts_ns]


def _find_texts(
    scope: _Scope, best: list[tuple[float, int, int, int, int, str]], selected: int, others: int, tests: int
) -> list[Difference]:
    """Look up what the codes stand for in one trace each that has them, from its first span of the range on."""
    if not best:
        return []
    stands = find_discoveries([share_test(a, selected, b, others) for _, _, a, b, _, _ in best], tests=tests)
    params = Params()
    starts_ns = sorted({start_ns for *_, start_ns, _ in best})
    parts = {
        "slices": started_within([TimeRange(start_ns, start_ns + _EXAMPLE_NS) for start_ns in starts_ns], params),
        "traces": params.bind(sorted({trace_id for *_, trace_id in best}), "Array(String)"),
        "codes": params.bind([code for _, code, *_ in best], "Array(UInt64)"),
        "limit": len(best),
    }
    bounds = {"project_id": scope.project_id, "start_ns": scope.time_range.start_ns, "end_ns": scope.time_range.end_ns}
    texts = {code: (key, value) for code, key, value in scope.store.query_rows(FIND_TEXTS % parts, **bounds, **params.values)}
    differences = [
        _measure(
            Dimension(f"attr.{texts[code][0]}", texts[code][0], "attributes"),
            texts[code][1],
            (a, selected),
            (b, others),
            stands_out,
        )
        for (_, code, a, b, _, _), stands_out in zip(best, stands, strict=True)
        if code in texts
    ]
    return _order(differences)
