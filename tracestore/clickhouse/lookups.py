"""Canonical fields as SQL: how the view finds the attributes that semconv.py names, without a look-up by name for each.

A span's wanted attributes become two short arrays, `slots` (numbers) and `vs` (values), sorted by slot. The names that a field
tries one after the other share a run of slots, numbered in their order of precedence; so a field's first value is the first
entry of its run, `vs[indexOf(runs, 7)]`: one comparison of small integers (measured: docs/performance.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from itertools import groupby

from tracestore import semconv
from tracestore.semconv import Source

# Content of tool calls is looked at only in tool spans, and there in place: not copied into the small arrays.
_CONTENT_FIELDS = ("tool_arguments", "tool_result")
_FIELDS = {field: sources for field, sources in semconv.FIELDS.items() if field not in _CONTENT_FIELDS}
RUN = 64  # slots a run of names may have


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literals(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


@cache
def slots() -> dict[str, int]:
    """Return a slot number for every span attribute that some canonical column reads; slot // RUN is its run.

    A name that an earlier field has taken keeps its slot, and splits the run of the later one.
    """
    kinds = tuple(source for source, _ in semconv.KINDS)
    others = tuple(Source(key) for key in semconv.OTHER_KEYS)
    slots: dict[str, int] = {}
    run = 1
    for sources in [*_FIELDS.values(), kinds, *((other,) for other in others)]:
        for joined, group in groupby(sources, key=lambda source: source.form == "plain" and source.key not in slots):
            for number, source in enumerate(group):
                if source.form == "resource" or source.key in slots:
                    continue
                slots[source.key] = run * RUN + (number if joined else 0)
                run += not joined
            run += 1
    return slots


def at(key: str) -> str:
    """Return the column (of the layer `picked`) with one attribute's text, '' when absent."""
    return f"at_{slots()[key]}"


def _runs(field: str) -> list[list[Source]]:
    """Cut a field's sources into runs of plain names that one look-up covers, runs of resource attributes, and single others."""
    runs: list[list[Source]] = []
    for source in _FIELDS[field]:
        previous = runs[-1][-1] if runs else None
        if previous is not None and source.form == previous.form and _follows(previous, source):
            runs[-1].append(source)
        else:
            runs.append([source])
    return runs


def _follows(previous: Source, source: Source) -> bool:
    return source.form == "resource" or (source.form == "plain" and slots()[source.key] == slots()[previous.key] + 1)


def _candidate(field: str, run: list[Source]) -> str:
    """Return the expression over `picked` for the first value of a run."""
    source = run[0]
    match source.form:
        case "resource":
            return f"resource_{field}"
        case "json":
            return ".".join((f"json_{slots()[source.key]}", *(f"`{step}`" for step in source.path)))
        case "quoted":
            return f"trim(BOTH '\"' FROM {at(source.key)})"
        case "pattern":
            return f"extract({at(source.key)}, {literal(source.path[0])})"
        case _:
            return at(source.key) if len(run) == 1 else f"run_{slots()[source.key] // RUN}"


def first_of(candidates: list[str]) -> str:
    if len(candidates) == 1:
        return candidates[0]
    return f"multiIf({', '.join(f'{value} != {chr(39) * 2}, {value}' for value in candidates[:-1])}, {candidates[-1]})"


def first(field: str) -> str:
    """Return the expression for a field's first non-empty value."""
    return first_of([_candidate(field, run) for run in _runs(field)])


def _json_type(paths: Iterable[tuple[str, ...]]) -> str:
    """Return the Tuple type that reads all these paths of a JSON object as text in one pass."""
    members = []
    for step, group in groupby(sorted(set(paths)), key=lambda path: path[0]):
        below = [path[1:] for path in group if path[1:]]
        members.append(f"`{step}` {_json_type(below) if below else 'String'}")
    return f"Tuple({', '.join(members)})"


def picked(layers_above: str) -> str:
    """Return the columns that these layers read of single attributes, first values of runs and JSON objects."""
    columns = {}
    for slot in _named("at", layers_above):
        columns[f"at_{slot}"] = f"vs[indexOf(slots, {slot})]"
    for run in _named("run", layers_above):
        columns[f"run_{run}"] = f"vs[indexOf(runs, {run})]"
    for slot in _named("json", layers_above):
        paths = [source.path for source in _all_sources() if source.form == "json" and slots()[source.key] == slot]
        columns[f"json_{slot}"] = f"JSONExtract(vs[indexOf(slots, {slot})], {literal(_json_type(paths))})"
    return ", ".join(f"{value} AS {name}" for name, value in columns.items())


def _named(prefix: str, sql: str) -> list[int]:
    return sorted({int(number) for number in re.findall(rf"\b{prefix}_(\d+)\b", sql)})


def _all_sources() -> list[Source]:
    return [source for sources in _FIELDS.values() for source in sources]


def is_present(value: str) -> str:
    return f"{value} NOT IN ('', {literals(semconv.ABSENT)}) AND NOT startsWith({value}, {literal(semconv.SCRUBBED_PREFIX)})"


def resource_fields() -> dict[str, str]:
    """Return, by field that a resource attribute can fill, the expression over the resource's attributes `r`."""
    return {
        field: first_of([f"r[{literal(source.key)}]" for source in run])
        for field in _FIELDS
        for run in _runs(field)
        if run[0].form == "resource"
    }


def content(field: str) -> str:
    """Return the expression for a tool call's arguments or result, read from the whole attributes."""
    return first_of([f"attributes[{literal(source.key)}]" for source in semconv.FIELDS[field]])


def declared_kind() -> str:
    """Return the expression for the kind that the first known value of a kind attribute declares."""
    pairs = {f"{slots()[source.key]}={value}": kind for source, kinds in semconv.KINDS for value, kind in kinds.items()}
    return (
        "arrayFirst(x -> x != '', arrayMap(t -> transform(concat(toString(t.1), '=', lower(trim(BOTH '\"' FROM t.2))), "
        f"[{literals(pairs)}], [{literals(pairs.values())}], ''), arrayFilter(t -> t.1 IN ({_kind_slots()}), wanted)))"
    )


def _kind_slots() -> str:
    return ", ".join(str(slots()[source.key]) for source, _ in semconv.KINDS)


def json_member(key: str, *path: str) -> str:
    """Return the expression over `picked` for the text at a path of an attribute's JSON, '' when absent."""
    return _candidate("", [Source(key, "json", path)])


def wanted() -> str:
    """Return the expression for the array of (slot, value) of a span's wanted attributes that are present, by slot."""
    numbers = f"transform(k, [{literals(slots())}], {list(slots().values())}, 0)"
    pairs = f"arrayZip(arrayMap(k -> {numbers}, mapKeys(attributes)), mapValues(attributes))"
    return f"arraySort(t -> t.1, arrayFilter(t -> {is_present('t.2')}, arrayFilter(t -> t.1 > 0, {pairs})))"
