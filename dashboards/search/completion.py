"""What the search bar offers while a person types: names of fields, values that occur, and how spans stand to each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tracestore.language import format_filter
from tracestore.language.fields import (
    COUNT,
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
from tracestore.queries.offers import Wanted, is_of_spans

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
_KEY = re.compile(rf"{_BEFORE}(?:attr|attributes?)\.(?P<key>[^\s()\":*{{}}]*)$")
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
            return self._start(found["key"]), self._keys(found["key"])
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
        if field is None or (key and not total and field.type is not FieldType.ATTRIBUTE):
            return []
        if field.type is FieldType.PRESENCE:
            fields = [other for other in dict.fromkeys(self.known.values()) if _can_be_asked_for(other)]
            return [
                Item(other.name, _joined(other, ""), other.help, other.type is FieldType.ATTRIBUTE)
                for other in fields
                if _begins(other, typed.lower())
            ][:MAX_ITEMS]
        if field.type in _QUANTITIES:
            return _holding([Item(text, text, field.help) for text in _QUANTITIES[field.type]], typed)
        if field.type is FieldType.FLAG:
            return _holding([Item(text, text, field.help) for text in ("true", "false")], typed)
        wanted = Wanted(field.name, key if field.type is FieldType.ATTRIBUTE else "")
        counted = [value for value in self.count_values(wanted) if value.value]
        choices = [FacetValue(choice, 0, 0) for choice in field.choices if choice not in {value.value for value in counted}]
        noun = "span" if self.noun == "trace" and is_of_spans(field.name) else self.noun
        return _holding([_value_item(field.name, value, noun) for value in counted + choices], typed)

    def _keys(self, typed: str) -> list[Item]:
        counted = [value for value in self.count_values(Wanted("attr")) if value.value]
        items = []
        for value in counted:
            written = format_filter(f"attr.{value.value}", "")[len("attr.") : -2]
            items.append(Item(value.value, written, _count(value.count, "span"), True))
        return _holding(items, typed)

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
    return f"{field.name}." if field.type is FieldType.ATTRIBUTE else f"{field.name}{joint}"


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
