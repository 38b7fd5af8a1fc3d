"""The manual's table of fields is FIELDS; every query that the manual shows parses. UPDATE_SNAPSHOTS=1 writes the table anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tracestore.language import parse_query
from tracestore.language.examples import SECTIONS, Section
from tracestore.language.fields import FIELDS, LOG_FIELDS, FieldType, find_field, suggest_field

MANUAL = Path(__file__).parents[2] / "docs" / "query-language.md"
_TABLE = re.compile(r"(<!-- fields: .*? -->\n)(.*?)(<!-- end of fields -->)", re.DOTALL)


_LOG_TABLE = re.compile(r"(<!-- log fields: .*? -->\n)(.*?)(<!-- end of log fields -->)", re.DOTALL)


def _log_table() -> str:
    lines = ["| field | also | values | asks of a log record | example |", "|---|---|---|---|---|"]
    for field in LOG_FIELDS:
        aliases = ", ".join(f"`{alias}`" for alias in field.aliases)
        values = ", ".join(f"`{choice}`" for choice in field.choices) or str(field.type)
        lines.append(f"| `{field.shown_name}` | {aliases} | {values} | {field.help} | `{field.example}` |")
    return "\n".join(lines) + "\n"


def test_table_of_log_fields_is_current() -> None:
    text = MANUAL.read_text()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        text = _LOG_TABLE.sub(lambda match: match[1] + _log_table() + match[3], text)
        MANUAL.write_text(text)

    match = _LOG_TABLE.search(text)

    assert match
    assert match[2] == _log_table()


def _table() -> str:
    lines = ["| field | also | values | asks of a trace | example | asks of a span |", "|---|---|---|---|---|---|"]
    for field in FIELDS:
        aliases = ", ".join(f"`{alias}`" for alias in field.aliases)
        values = ", ".join(f"`{choice}`" for choice in field.choices) or str(field.type)
        lines.append(f"| `{field.shown_name}` | {aliases} | {values} | {field.help} | `{field.example}` | {field.span_help} |")
    return "\n".join(lines) + "\n"


def test_table_of_fields_is_current() -> None:
    text = MANUAL.read_text()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        text = _TABLE.sub(lambda match: match[1] + _table() + match[3], text)
        MANUAL.write_text(text)

    match = _TABLE.search(text)

    assert match
    assert match[2] == _table()


def _examples(section: Section) -> str:
    rows = [f"| {', '.join(f'`{query}`' for query in example.queries)} | {example.meaning} |" for example in section.examples]
    return "\n".join(["| write | to find |", "|---|---|", *rows]) + "\n"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.slug)
def test_examples_in_the_manual_are_current(section: Section) -> None:
    table = re.compile(rf"(<!-- {section.slug}: .*? -->\n)(.*?)(<!-- end of {section.slug} -->)", re.DOTALL)
    text = MANUAL.read_text()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        text = table.sub(lambda match: match[1] + _examples(section) + match[3], text)
        MANUAL.write_text(text)

    match = table.search(text)

    assert match
    assert match[2] == _examples(section)


def test_every_query_shown_in_the_manual_parses() -> None:
    text = _LOG_TABLE.sub("", _TABLE.sub("", MANUAL.read_text()))
    shown = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    for row in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE):
        shown += re.findall(r"`([^`]+)`", row)

    assert len(shown) > 20
    for query in shown:
        parse_query(query)


def test_every_example_asks_for_its_field() -> None:
    for field in FIELDS:
        if field.type is not FieldType.PRESENCE:  # which asks for another one
            (term,) = parse_query(field.example).terms()
            assert term.field == field.name


def test_names_and_aliases_are_one_field_each() -> None:
    names = [name for field in FIELDS for name in (field.name, *field.aliases)]

    assert len(names) == len(set(names))
    assert all(find_field(name.upper()) is not None for name in names)


def test_suggestions_are_near_or_absent() -> None:
    assert suggest_field("sttaus") == "status"
    assert suggest_field("modl") == "model"
    assert suggest_field("sesion_id") == "session_id"
    assert suggest_field("zzzzzz") == ""
