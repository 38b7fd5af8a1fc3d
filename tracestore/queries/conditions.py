"""What WHERE conditions are made of: bound values, the range of a read, and comparisons of a column with a term of a query."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tracestore.language.tree import Flag, Interval, Pattern, Term

PROJECT = "project_id = {project_id:UInt32}"
START, END = "fromUnixTimestamp64Nano({start_ns:Int64})", "fromUnixTimestamp64Nano({end_ns:Int64})"
IN_RANGE = f"{PROJECT} AND start_time >= {START} AND start_time < {END}"


Compile = Callable[[Term, "Params"], str]  # a term of a query -> the condition that it means


class Params:
    """The values of one statement, each bound under a name of its own.

    `word_lookups` counts the parts of the condition that the index of words answers, `score_lookups` those that `scores` answers:
    with any of them a long range is as cheap as a short one. `key_checks` counts those that look for the key of an attribute
    among those of whole parts.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.word_lookups = self.key_checks = self.score_lookups = 0
        self._names = itertools.count(1)

    def bind(self, value: Any, type_name: str) -> str:
        """Keep `value` and return the placeholder that stands for it, such as {p0:String}."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"{{{name}:{type_name}}}"

    @property
    def are_looked_up(self) -> bool:
        """Whether an index answers a part of the condition, however long the range is."""
        return self.word_lookups + self.score_lookups > 0

    def unique(self, stem: str) -> str:
        """Return a name that no other part of the statement has."""
        return f"{stem}{next(self._names)}"


def text_column(column: str) -> Compile:
    """A term asks for the text of a column."""

    def compile_term(term: Term, params: Params) -> str:
        return matches(column, pattern_of(term), params)

    return compile_term


def none_when_empty(compile_present: Compile) -> Compile:
    """`model:""` asks for traces without any model: for the opposite of `model:*`, where several values may stand."""

    def compile_term(term: Term, params: Params) -> str:
        if term.value == Pattern(("",)):
            return f"(NOT {compile_present(replace(term, value=Pattern(('', ''))), params)})"
        return compile_present(term, params)

    return compile_term


def array_column(column: str) -> Compile:
    """A term asks whether one of the texts of a column fits; for "", whether there is none."""

    def compile_term(term: Term, params: Params) -> str:
        pattern = pattern_of(term)
        if pattern.is_presence:
            return f"notEmpty({column})"
        if pattern.is_exact and not pattern.text:
            return f"empty({column})"
        if pattern.is_exact:
            return f"has({column}, {params.bind(pattern.text, 'String')})"
        return f"arrayExists(x -> {matches('x', pattern, params)}, {column})"

    return compile_term


def number_column(column: str, type_name: str) -> Compile:
    """A term asks for an interval of numbers, whose bounds bind as ClickHouse's `type_name`."""

    def compile_term(term: Term, params: Params) -> str:
        return between(column, interval_of(term), type_name, params)

    return compile_term


def nullable_number_column(column: str, type_name: str) -> Compile:
    """As number_column, where an unknown number (NULL) lies in no interval."""

    def compile_term(term: Term, params: Params) -> str:
        # NOT of NULL is NULL: without this neither `cost:>1` nor `-cost:>1` would match an unpriced trace.
        return f"ifNull({between(column, interval_of(term), type_name, params)}, false)"

    return compile_term


def flag_column(column: str) -> Compile:
    """Return the compiler of a field that is true or false, as a column is."""

    def compile_term(term: Term, params: Params) -> str:
        assert isinstance(term.value, Flag)
        return f"({column} = {'true' if term.value.value else 'false'})"

    return compile_term


def pattern_of(term: Term) -> Pattern:
    assert isinstance(term.value, Pattern)
    return term.value


def interval_of(term: Term) -> Interval:
    assert isinstance(term.value, Interval)
    return term.value


def matches(column: str, pattern: Pattern, params: Params) -> str:
    """Return the condition that an expression of type String fits a pattern; a pattern of `*` alone asks for any text but ""."""
    if pattern.is_presence:
        return f"({column} != '')"
    if pattern.is_exact:
        return f"({column} = {params.bind(pattern.text, 'String')})"
    return f"({column} LIKE {params.bind('%'.join(escape_like(part) for part in pattern.parts), 'String')})"


def between(column: str, interval: Interval, type_name: str, params: Params) -> str:
    """Return the condition that a number lies in an interval; `type_name` is ClickHouse's, of the bounds."""
    if interval.low is not None and interval.low == interval.high:
        return f"({column} = {params.bind(interval.low, type_name)})"
    conditions = []
    if interval.low is not None:
        conditions.append(f"{column} {'>=' if interval.includes_low else '>'} {params.bind(interval.low, type_name)}")
    if interval.high is not None:
        conditions.append(f"{column} {'<=' if interval.includes_high else '<'} {params.bind(interval.high, type_name)}")
    return "(" + " AND ".join(conditions) + ")"


def escape_like(text: str) -> str:
    """Return the text as a pattern of LIKE that only it fits."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
