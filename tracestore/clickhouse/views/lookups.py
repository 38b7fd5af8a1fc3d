"""Canonical fields as SQL: how the view finds the attributes that tracestore/semconv/ names, without a look-up by name for each.

A span's wanted attributes become two short arrays, `slots` (numbers) and `vs` (values), sorted by slot. The names that a field
tries one after the other share a run of slots, numbered in their order of precedence; so a field's first value is the first
entry of its run, `vs[indexOf(runs, 7)]`: one comparison of small integers (measured: docs/performance.md). What a usage text
tells and what the resource says stands behind them, under slots of their own names in the same runs. What a project's own
rules say (mapping.py) stands in front, and so wins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import combinations_with_replacement, groupby

from tracestore.semconv.fields import FIELDS, MAPPED_FIELDS, USAGE_TEXTS
from tracestore.semconv.keys import OTHER_KEYS
from tracestore.semconv.kinds import KINDS, SPAN_KINDS
from tracestore.semconv.signals import SIGNAL_KEY
from tracestore.semconv.sources import ABSENT, EVENT_NAME, SCRUBBED_PREFIX, UNNAMED_EVENT, Source

# As much of a usage text as is read, from either end.
_USAGE_TEXT_BYTES = 65_536
RUN = 64  # slots a run of names may have
# Sources that have a slot of their own. Neighbours in the order of precedence share a run when their values stand in this order.
_NAMES = ("mapped", "plain", "told", "resource")
_PREFIXED = ("mapped", "told", "resource")
_JOINED = set(combinations_with_replacement(_NAMES, 2))


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literals(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def _name(source: Source) -> str:
    """Return what the slot of a source is called: the span's attribute, the resource's, of a usage text or a rule's."""
    return f"{source.form}:{source.key}" if source.form in _PREFIXED else source.key


def _sources(field: str) -> tuple[Source, ...]:
    """Return where a field may stand, in order of precedence: a project's own rules come first."""
    mapped = (Source(field, "mapped"),) if field in MAPPED_FIELDS.values() else ()
    return mapped + FIELDS[field]


@cache
def slots() -> dict[str, int]:
    """Return a slot number for every name that some canonical column reads; slot // RUN is its run.

    A name that an earlier field has taken keeps its slot, and splits the run of the later one. So does a name after one of the
    resource, whose values stand behind all others.
    """
    kinds = (Source("kind", "mapped"), *(source for source, _ in KINDS))
    others = tuple(Source(key) for key in OTHER_KEYS)
    texts = tuple(Source(key) for key in USAGE_TEXTS)
    slots: dict[str, int] = {}
    run, number, previous = 0, 0, ""
    for sources in [*map(_sources, FIELDS), kinds, texts, *((other,) for other in others)]:
        previous = ""
        for source in sources:
            form = "" if _name(source) in slots else source.form
            joined = (previous, form) in _JOINED
            previous = form
            if form:
                run, number = (run, number + 1) if joined else (run + 1, 0)
                slots[_name(source)] = run * RUN + number
    return slots


def at(key: str) -> str:
    """Return the column (of the layer `picked`) with one attribute's text, '' when absent."""
    return f"at_{slots()[key]}"


def has_any(sources: Iterable[Source]) -> str:
    """Return the expression over `picked` for whether one of these is present."""
    return f"hasAny(slots, {[slots()[_name(source)] for source in sources]})"


def _runs(field: str) -> list[list[Source]]:
    """Cut a field's sources into runs of names that one look-up covers, and single others.

    A look-up covers whole runs: names that stand among those of another field are single.
    """
    runs: list[list[Source]] = []
    for source in _sources(field):
        previous = runs[-1][-1] if runs else None
        if previous is not None and slots()[_name(source)] == slots()[_name(previous)] + 1 and source.form in _NAMES:
            runs[-1].append(source)
        else:
            runs.append([source])
    sizes = Counter(slot // RUN for slot in slots().values())
    cut: list[list[Source]] = []
    for run in runs:
        of, number = divmod(slots()[_name(run[0])], RUN)
        cut += [run] if number == 0 and len(run) == sizes[of] else [[source] for source in run]
    return cut


def _candidate(run: list[Source]) -> str:
    """Return the expression over `picked` for the first value of a run."""
    source = run[0]
    match source.form:
        case "json":
            return ".".join((f"json_{slots()[source.key]}", *(f"`{step}`" for step in source.path)))
        case "pattern":
            return f"extract({at(source.key)}, {literal(source.path[0])})"
        case _:
            return at(_name(source)) if len(run) == 1 else f"run_{slots()[_name(source)] // RUN}"


def first_of(values: list[str]) -> str:
    """Return the SQL expression for the first of these expressions that is not '', else the last of them."""
    if len(values) == 1:
        return values[0]
    return f"multiIf({', '.join(f'{value} != {chr(39) * 2}, {value}' for value in values[:-1])}, {values[-1]})"


def candidates(field: str) -> list[str]:
    """Return the expressions for a field's values, '' when absent, in order of precedence; of a run of names the first value."""
    return [_candidate(run) for run in _runs(field)]


def first(field: str) -> str:
    """Return the expression for a field's first non-empty value."""
    return first_of(candidates(field))


def first_slot(field: str) -> str:
    """Return the expression over `picked` for the slot of the value that `first` gives of a field of one run."""
    (run,) = _runs(field)
    return f"slots[indexOf(runs, {slots()[_name(run[0])] // RUN})]"


def winner(field: str) -> str:
    """Return the expression for where `first(field)` comes from: the slot's number, a JSON member's path, "" for nowhere."""
    branches = []
    for run in _runs(field):
        source, value = run[0], _candidate(run)
        place = literal(str(slots()[source.key]) if source.form == "pattern" else ".".join((source.key, *source.path)))
        if source.form in _NAMES:
            place = literal(str(slots()[_name(source)]))
        if len(run) > 1:
            place = f"toString(slots[indexOf(runs, {slots()[_name(source)] // RUN})])"
        branches.append(f"{value} != '', {place}")
    return f"multiIf({', '.join(branches)}, '')"


def _json_type(paths: Iterable[tuple[str, ...]]) -> str:
    """Return the Tuple type that reads all these paths of a JSON object as text in one pass."""
    members = []
    for step, group in groupby(sorted(set(paths)), key=lambda path: path[0]):
        below = [path[1:] for path in group if path[1:]]
        members.append(f"`{step}` {_json_type(below) if below else 'String'}")
    return f"Tuple({', '.join(members)})"


def picked(layers_above: str, *, by_rules: bool) -> str:
    """Return the columns that these layers read of single attributes, first values of runs and JSON objects."""
    columns = {}
    rules_only = {slot for name, slot in slots().items() if name.startswith("mapped:")}
    for slot in _named("at", layers_above):
        columns[f"at_{slot}"] = f"vs[indexOf(slots, {slot})]" if by_rules or slot not in rules_only else "''"
    for run in _named("run", layers_above):
        columns[f"run_{run}"] = f"vs[indexOf(runs, {run})]"
    for slot in _named("json", layers_above):
        paths = [source.path for source in _all_sources() if source.form == "json" and slots()[source.key] == slot]
        columns[f"json_{slot}"] = f"JSONExtract(vs[indexOf(slots, {slot})], {literal(_json_type(paths))})"
    return ", ".join(f"{value} AS {name}" for name, value in columns.items())


def _named(prefix: str, sql: str) -> list[int]:
    return sorted({int(number) for number in re.findall(rf"\b{prefix}_(\d+)\b", sql)})


def _all_sources() -> list[Source]:
    return [source for sources in FIELDS.values() for source in sources]


def is_present(value: str) -> str:
    return f"if({value} IN ('', {literals(ABSENT)}), false, NOT startsWith({value}, {literal(SCRUBBED_PREFIX)}))"


def declared_kind() -> str:
    """Return the expression for the kind that the first known value of a kind attribute declares.

    Of a value that is a JSON object, its `type` counts.
    """
    pairs = {f"{slots()['mapped:kind']}={kind}": kind for kind in SPAN_KINDS}
    pairs |= {f"{slots()[source.key]}={value}": kind for source, kinds in KINDS for value, kind in kinds.items()}
    word = "if(startsWith(t.2, '{'), JSONExtractString(t.2, 'type'), substringIndex(t.2, ' ', 1))"
    return (
        f"arrayFirst(x -> x != '', arrayMap(t -> transform(concat(toString(t.1), '=', lower({word})), "
        f"[{literals(pairs)}], [{literals(pairs.values())}], ''), arrayFilter(t -> t.1 IN ({_kind_slots()}), wanted)))"
    )


def _kind_slots() -> str:
    return ", ".join(str(slots()[name]) for name in ("mapped:kind", *(source.key for source, _ in KINDS)))


def name_of_event(name: str, attributes: str) -> str:
    """Return the expression for what an event is called: as it says, or in an attribute where nobody named it."""
    said = f"{attributes}[{literal(EVENT_NAME)}]"
    return f"multiIf({said} = '', {name}, {name} = '', {said}, match({name}, {literal(UNNAMED_EVENT)}), {said}, {name})"


def json_member(key: str, *path: str) -> str:
    """Return the expression over `picked` for the text at a path of an attribute's JSON, '' when absent."""
    return _candidate([Source(key, "json", path)])


def _pairs(attributes: str, numbers: dict[str, int]) -> str:
    """Return the expression for the array of (slot, value) of a map's attributes that have a slot, by slot."""
    slot = f"transform(k, [{literals(numbers)}], {list(numbers.values())}, 0)"
    pairs = f"arrayZip(arrayMap(k -> {slot}, mapKeys({attributes})), mapValues({attributes}))"
    return f"arraySort(t -> t.1, arrayFilter(t -> t.1 > 0, {pairs}))"


def _present(pairs: str) -> str:
    """Return the expression for those of an array of (slot, value) that say something, without JSON's quotes."""
    unquoted = "if(if(startsWith(t.2, '\"'), isValidJSON(t.2), false), JSONExtractString(t.2), t.2)"
    return f"arrayFilter(t -> {is_present('t.2')}, arrayMap(t -> (t.1, {unquoted}), {pairs}))"


def wanted(*, by_rules: bool) -> str:
    """Return the expression for the (slot, value) of what rules say and of a span's wanted attributes."""
    numbers = {name: slot for name, slot in slots().items() if name.partition(":")[0] not in _PREFIXED}
    pairs = _pairs("attributes", numbers)
    return _present(f"arrayConcat({mapped()}, {pairs})" if by_rules else pairs)


def resource_wanted() -> str:
    """Return the expression for the (slot, value) of a resource's wanted attributes."""
    return _present(_pairs("resource_attributes", _slots_of("resource:")))


def sdk() -> str:
    """Return the expression for the SDK as its resource names it: "opentelemetry python 1.45.0", "" when it does not."""
    parts = ", ".join(
        f"substring(resource_attributes['telemetry.sdk.{part}'], 1, 64)" for part in ("name", "language", "version")
    )
    return f"arrayStringConcat(arrayFilter(x -> x != '', [{parts}]), ' ')"


def _slots_of(prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): slot for name, slot in slots().items() if name.startswith(prefix)}


def usage_text() -> str:
    """Return the expression over `wanted` for the text that may tell the usage of a model call, '' for none."""
    numbers = ", ".join(str(slots()[key]) for key in USAGE_TEXTS)
    # Providers tell the usage behind the answer, Haystack before it.
    ends = f"concat(left(t.2, {_USAGE_TEXT_BYTES}), ' ', right(t.2, {_USAGE_TEXT_BYTES}))"
    read = f"if(length(t.2) > {2 * _USAGE_TEXT_BYTES}, {ends}, t.2)"
    return f"arrayStringConcat(arrayMap(t -> {read}, arrayFilter(t -> t.1 IN ({numbers}), wanted)), ' ')"


def told() -> str:
    """Return the expression for the array of (slot, number) of the members of `usage_text` that some field reads."""
    names = _slots_of("told:")
    # A backslash before the quote: JSON within a string, which is what somebody said and not what the call used.
    pattern = rf"""[{{,(\s]["']?({"|".join(names)})["']?\s*[:=]\s*([0-9]+)"""
    slot = f"transform(t[1], [{literals(names)}], {list(names.values())}, 0)"
    return (
        f"if(if(position(usage_text, 'oken') > 0, declared_kind IN ('llm', 'embedding', ''), false), "
        f"arrayMap(t -> ({slot}, t[2]), extractAllGroupsVertical(usage_text, {literal(pattern)})), [])"
    )


def target_slots() -> dict[str, int]:
    """Return the slot of what each target of a project's rules (mapping.py) puts its value into."""
    fields = {target: slots()[f"mapped:{field}"] for target, field in MAPPED_FIELDS.items()}
    return fields | {
        "kind": slots()["mapped:kind"],
        "error_type": slots()["error.type"],
        "signal": slots()[SIGNAL_KEY],
    }


# What a project's rules look like in the view: (key of an attribute or "" for the span's name, target, pattern, constant), and
# for calls of tools (pattern of the tool's name, signal).
MAPPING_TYPE = "Tuple(Array(Tuple(String, String, String, String)), Array(Tuple(String, String)))"


def mapping_texts() -> str:
    """Return the expression for the (key, text) that rules look at; none, at no cost, in a project without rules."""
    maps = ", ".join(f"arrayZip(mapKeys({column}), mapValues({column}))" for column in ("attributes", "resource_attributes"))
    return f"if(empty(mapping.1), [], arrayConcat([('', name)], {maps}))"


def mapping_found() -> str:
    """Return the expression for the texts that some rule names. Two passes, because a lambda copies what it captures."""
    return "CAST(arrayFilter(t -> has(mapping_keys, t.1), texts), 'Map(String, String)')"


def rule_value(rule: str) -> str:
    """Return the expression for what a rule says of a span, "" for nothing."""
    text = f"found[{rule}.1]"
    return f"multiIf({text} = '', '', NOT match({text}, {rule}.3), '', {rule}.4 = '', {text}, {rule}.4)"


def mapped() -> str:
    """Return the expression for the array of (slot, value) of what rules say, in their order."""
    targets = target_slots()
    slot = f"transform(r.2, [{literals(targets)}], {list(targets.values())}, 0)"
    return f"arrayMap(r -> ({slot}, {rule_value('r')}), arrayFilter(r -> has(mapping_keys, r.1), rules))"


def tool_signal(tool_rules: str) -> str:
    """Return the expression for the signal that a rule gives to a call of `tool`."""
    return f"arrayFirst(r -> match(tool, r.1), {tool_rules}).2"
