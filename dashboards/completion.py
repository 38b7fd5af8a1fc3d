"""What the search bar offers while a person types: names of fields, then values that occur."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tracestore.language import format_filter
from tracestore.language.fields import TRACE_NAMES, Field, FieldType, Known, find_field
from tracestore.model import FacetValue

MAX_ITEMS = 12
_INSIDE_LIST = re.compile(r"""(?P<field>[\w.]+):\((?:[^()"]|"[^"]*")*?(?P<value>"[^"]*|[^\s()":]*)$""")
_VALUE = re.compile(r"""(?:^|[\s(])[-!]?(?P<field>\w+):(?P<value>"[^"]*|[^\s()"]*)$""")
_NAME = re.compile(r"""(?:^|[\s(])[-!]?(?P<name>\w*)$""")
# Quantities have no list of values to offer: show the forms they take.
_QUANTITIES = {
    FieldType.DURATION: (">500ms", ">2s", ">10s", ">1m", "1s..5s"),
    FieldType.COST: (">0.01", ">0.1", ">1"),
    FieldType.COUNT: (">0", ">10", ">100", ">10k"),
}

CountValues = Callable[[str], list[FacetValue]]


@dataclass(frozen=True)
class Item:
    """One offer: `insert` replaces the characters from `start` to the cursor; `more` says that a value comes next."""

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
    """Offer what may stand at `cursor`. `count_values(field)` returns the values that occur, most frequent first, or [].

    `known` are the fields that the query may name, `noun` what it finds.
    """
    before = text[:cursor]
    for pattern in (_INSIDE_LIST, _VALUE):
        if found := pattern.search(before):
            field, start = find_field(found["field"], known), cursor - len(found["value"])
            return Completion(start, _value_offers(field, found["value"], count_values, noun) if field else [])
    if name := _NAME.search(before):
        return Completion(cursor - len(name["name"]), _name_items(name["name"].lower(), known))
    return Completion(cursor, [])


def _name_items(prefix: str, known: Known) -> list[Item]:
    fields = list(dict.fromkeys(known.values()))
    matching = [field for field in fields if any(name.startswith(prefix) for name in (field.name, *field.aliases))]
    return [
        Item(f"{field.name}{'.' if field.type is FieldType.ATTRIBUTE else ':'}", f"{field.name}{_joint(field)}", field.help, True)
        for field in matching[: MAX_ITEMS if prefix else len(fields)]
    ]


def _joint(field: Field) -> str:
    return "." if field.type is FieldType.ATTRIBUTE else ":"


def _value_offers(field: Field, typed: str, count_values: CountValues, noun: str) -> list[Item]:
    prefix = typed.lstrip('"').lower()
    return [item for item in _value_items(field, count_values, noun) if prefix in item.label.lower()][:MAX_ITEMS]


def _value_items(field: Field, count_values: CountValues, noun: str) -> list[Item]:
    if field.type in _QUANTITIES:
        return [Item(text, text, field.help) for text in _QUANTITIES[field.type]]
    if field.type is FieldType.FLAG:
        return [Item(text, text, field.help) for text in ("true", "false")]
    counted = [value for value in count_values(field.name) if value.value]
    choices = [FacetValue(choice, 0, 0) for choice in field.choices if choice not in {value.value for value in counted}]
    return [_value_item(field, value, noun) for value in counted + choices]


def _value_item(field: Field, value: FacetValue, noun: str) -> Item:
    written = format_filter(field.name, value.value).partition(":")[2]  # quoted where the language needs it
    return Item(value.value, written, f"{value.count:,} {noun}{'' if value.count == 1 else 's'}" if value.count else "")
