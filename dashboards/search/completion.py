"""What the search bar offers while a person types: names of fields, values that occur, and how spans stand to each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tracestore.language import format_filter, format_presence
from tracestore.language.fields import (
    COUNT,
    KEYED,
    SPAN_GROUPS,
    TRACE_NAMES,
    Field,
    FieldType,
    Known,
    SpanGroup,
    find_field,
    find_group,
)
from tracestore.language.tree import Relation
from tracestore.model import FacetValue
from tracestore.queries.offers import Wanted, noun_of

MAX_ITEMS = 12
_VALUE_TEXT = r"""(?P<value>"[^"]*|[^\s()":{}]*)$"""
_OPEN_LIST = r"""\((?:[^()"]|"[^"]*")*?"""
_GROUP_NAME = "|".join(name for group in SPAN_GROUPS for name in (group.name, *group.aliases))
_BEFORE = r"(?:^|[\s({])[-!]?"
_INSIDE_LIST = re.compile(rf"(?<![\w.])(?P<field>[\w.]+):{_OPEN_LIST}{_VALUE_TEXT}")
_INSIDE_NAMES = re.compile(rf"{_BEFORE}(?P<group>{_GROUP_NAME}){_OPEN_LIST}{_VALUE_TEXT}", re.IGNORECASE)
_VALUE = re.compile(rf"""{_BEFORE}(?P<field>[\w.]+):(?P<value>"[^"]*|[^\s()"]*)$""")
_COUNTED = re.compile(r"\):(?P<value>[^\s()]*)$")
_NAME = re.compile(rf"{_BEFORE}(?P<name>[\w.]*)$")
_KEY = re.compile(rf"{_BEFORE}(?P<field>{'|'.join(map(re.escape, KEYED))})(?P<key>[^\s()\":*{{}}]*)$", re.IGNORECASE)
# Spans end here: what may follow is a brace, or how they stand to others.
_AFTER_SPANS = re.compile(
    rf"""{_BEFORE}(?:{_GROUP_NAME})(?P<names>\((?:[^()"]|"[^"]*")*\))?(?P<braces>\{{(?:[^{{}}"]|"[^"]*")*\}})?"""
    r"(?P<space>\s*)(?P<word>\w*)$",
    re.IGNORECASE,
)
_AFTER_RELATION = re.compile(rf"[)}}]\s+(?:{'|'.join(Relation)})\s+(?P<word>\w*)$", re.IGNORECASE)
_IN_BRACES = re.compile(rf"(?:{_GROUP_NAME}|\))\{{(?:[^{{}}\"]|\"[^\"]*\")*$", re.IGNORECASE)
_RELATIONS = {
    Relation.INSIDE: "anywhere below the spans that follow",
    Relation.THEN: "and later, when they have ended, the spans that follow",
    Relation.CALLS: "as the parent of the spans that follow",
}
# Quantities have no list of values to offer: show the forms they take.
_QUANTITIES = {
    FieldType.DURATION: (">500ms", ">2s", ">10s", ">1m", "1s..5s"),
    FieldType.COST: (">0.01", ">0.1", ">1"),
    FieldType.COUNT: (">0", ">10", ">100", ">10k"),
}
_SCORES = ("<0.5", ">=0.5", "0..1")
_TRACE_PREFIX = "trace."

CountValues = Callable[[Wanted], list[FacetValue]]


@dataclass(frozen=True)
class Item:
    """One offer: `insert` replaces the characters from `start` to the cursor; `more` says that the word goes on."""

    label: str
    insert: str
    help: str
    more: bool = False


@dataclass(frozen=True)
class Completion:
    """Offers for the word that ends at the cursor and begins at `start`."""

    start: int
    items: list[Item]


def complete(text: str, cursor: int, count_values: CountValues, known: Known = TRACE_NAMES, noun: str = "trace") -> Completion:
    """Offer what may stand at `cursor`. `count_values(wanted)` returns the values that occur, most frequent first, or [].

    `known` are the fields that the query may name, `noun` what it finds.
    """
    offers = _Offers(text[:cursor], text[cursor:], count_values, known, noun)
    start, items = offers.find()
    return Completion(start, items)


@dataclass(frozen=True)
class _Offers:
    before: str
    after: str
    count_values: CountValues
    known: Known
    noun: str

    def find(self) -> tuple[int, list[Item]]:
        of_traces = self.known is TRACE_NAMES
        if of_traces and (found := _INSIDE_NAMES.search(self.before)):
            return self._names(found["group"], found["value"])
        if of_traces and (found := _COUNTED.search(self.before)):
            forms = (">0", ">1", ">3", ">10", "0")
            return self._start(found["value"]), _beginning([Item(form, form, COUNT.help) for form in forms], found["value"])
        if of_traces and (found := _AFTER_SPANS.search(self.before)) and (found["names"] or found["braces"]):
            return self._after_spans(found)
        for pattern in (_INSIDE_LIST, _VALUE):
            if found := pattern.search(self.before):
                return self._start(found["value"]), self._values(found["field"], found["value"])
        if found := _KEY.search(self.before):
            return self._start(found["key"]), self._keys(KEYED[found["field"].lower()], found["key"])
        if of_traces and (found := _AFTER_RELATION.search(self.before)):
            return self._start(found["word"]), [_group_item(group) for group in _groups(found["word"])]
        if found := _NAME.search(self.before):
            return self._start(found["name"]), self._fields(found["name"].lower())
        return len(self.before), []

    def _start(self, typed: str) -> int:
        return len(self.before) - len(typed)

    def _fields(self, prefix: str) -> list[Item]:
        of_traces, in_braces = self.known is TRACE_NAMES, _IN_BRACES.search(self.before) is not None
        fields = list(dict.fromkeys(self.known.values()))
        if in_braces:
            fields = [field for field in fields if not field.is_of_trace]
        if of_traces and prefix.startswith(_TRACE_PREFIX):
            prefix = prefix.removeprefix(_TRACE_PREFIX)
            totals = [field for field in fields if field.has_total and _begins(field, prefix)]
            return [Item(f"trace.{field.name}:", f"trace.{field.name}:", field.help, True) for field in totals][:MAX_ITEMS]
        items = [_field_item(field) for field in fields if _begins(field, prefix)]
        if of_traces and not in_braces:
            items += [_group_item(group) for group in _groups(prefix)]
            if COUNT.name.startswith(prefix):
                items.append(Item("count(", "count(", COUNT.help, True))
        return items[: MAX_ITEMS if prefix else len(items)]

    def _names(self, name: str, typed: str) -> tuple[int, list[Item]]:
        """Offer names for a group of spans, with the parenthesis that closes them."""
        group = find_group(name)
        field = find_field(group.field) if group else None
        if group is None or field is None:
            return len(self.before), []
        wanted = Wanted(field.name, kind=group.kind if field.name == "span" else "")
        noun = "span" if field.name == "span" else self.noun
        close = "" if self.after.lstrip().startswith((")", "OR")) else ")"
        items = [_value_item(field.name, value, noun, close) for value in self.count_values(wanted) if value.value]
        return self._start(typed), _holding(items, typed)

    def _values(self, name: str, typed: str) -> list[Item]:
        prefix, _, key = name.partition(".")
        total = key if self.known is TRACE_NAMES and prefix.lower() == "trace" else ""
        field = find_field(total or (prefix if key else name), self.known)
        if field is None or (key and not total and not field.takes_key):
            return []
        if field.type is FieldType.PRESENCE:
            if (head := typed.lstrip('"').partition(".")[0] + ".").lower() in KEYED and "." in typed:
                return self._keys(KEYED[head.lower()], typed.partition(".")[2], "has:")
            fields = [other for other in dict.fromkeys(self.known.values()) if _can_be_asked_for(other)]
            return [
                Item(other.name, _joined(other, ""), other.help, other.takes_key)
                for other in fields
                if _begins(other, typed.lower())
            ][:MAX_ITEMS]
        if field.type in _QUANTITIES:
            return _holding([Item(text, text, field.help) for text in _QUANTITIES[field.type]], typed)
        if field.type is FieldType.FLAG:
            return _holding([Item(text, text, field.help) for text in ("true", "false")], typed)
        of_score = field.type is FieldType.SCORE
        wanted = Wanted(field.name, key if field.takes_key else "", labels=of_score)
        counted = [value for value in self.count_values(wanted) if value.value]
        choices = [FacetValue(choice, 0, 0) for choice in field.choices if choice not in {value.value for value in counted}]
        noun = noun_of(field.name) if self.noun == "trace" else self.noun
        items = [_value_item(field.name, value, noun) for value in counted + choices]
        if of_score:
            items += [Item(text, text, "a number") for text in _SCORES]
        return _holding(items, typed)

    def _keys(self, field: str, typed: str, has: str = "") -> list[Item]:
        """Offer keys of attributes or names of scores: after `has` as the whole of what it asks for, else with the colon."""
        if field not in self.known:
            return []
        noun = noun_of(field) if self.noun == "trace" else self.noun
        items = []
        for value in self.count_values(Wanted(field)):
            name = f"{field}.{value.value}"
            written = format_presence(name)[len(has) :] if has else format_filter(name, "")[len(field) + 1 : -2]
            items.append(Item(value.value, written, _count(value.count, noun), not has))
        return _holding([item for item in items if item.label], typed)

    def _after_spans(self, found: re.Match[str]) -> tuple[int, list[Item]]:
        word, space = found["word"].lower(), found["space"]
        relations = [
            Item(relation, f"{'' if space else ' '}{relation} ", help, True)
            for relation, help in _RELATIONS.items()
            if relation.startswith(word)
        ]
        if space:
            return self._start(found["word"]), (relations + self._fields(word))[: MAX_ITEMS if word else None]
        if word:
            return len(self.before), []
        braces = [] if found["braces"] else [Item("{", "{", "conditions that the same span meets", True)]
        return len(self.before), braces + relations


def _begins(field: Field, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in (field.name, *field.aliases))


def _groups(prefix: str) -> Iterable[SpanGroup]:
    return [group for group in SPAN_GROUPS if any(name.startswith(prefix.lower()) for name in (group.name, *group.aliases))]


def _can_be_asked_for(field: Field) -> bool:
    fixed = (FieldType.CHOICE, FieldType.FLAG, FieldType.ID, FieldType.SEARCH, FieldType.PRESENCE)
    return field.type not in fixed and field.name != "duration"


def _joined(field: Field, joint: str) -> str:
    """A dot where a key may follow; a score of any name is asked for without one, but not offered so."""
    return f"{field.name}." if field.needs_key or (field.takes_key and joint) else f"{field.name}{joint}"


def _field_item(field: Field) -> Item:
    return Item(_joined(field, ":"), _joined(field, ":"), field.help, True)


def _group_item(group: SpanGroup) -> Item:
    return Item(f"{group.name}(", f"{group.name}(", group.help, True)


def _beginning(items: list[Item], typed: str) -> list[Item]:
    return [item for item in items if item.label.startswith(typed)]


def _holding(items: list[Item], typed: str) -> list[Item]:
    prefix = typed.lstrip('"').lower()
    return [item for item in items if prefix in item.label.lower()][:MAX_ITEMS]


def _value_item(field: str, value: FacetValue, noun: str, close: str = "") -> Item:
    written = format_filter(field, value.value).partition(":")[2]  # quoted where the language needs it
    return Item(value.value, written + close, _count(value.count, noun), bool(close))


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else ""
