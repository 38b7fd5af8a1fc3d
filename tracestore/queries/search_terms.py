"""Terms over what spans and log records hold: texts and attributes, and what the index of words knows of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tracestore.clickhouse.attributes import encode_list_item
from tracestore.clickhouse.client import SHORTEST_IN_WORD
from tracestore.clickhouse.part_contents import ATTRIBUTE_MAPS, find_ngrams, lacks_keys, lacks_ngrams, parts_where
from tracestore.language.tree import Interval, Pattern, Term
from tracestore.queries.conditions import Compile, Params, between, escape_like, matches, pattern_of

# All texts of a span in lower case, as the index of their words has them (migration 0055).
_WORDS_OF_SPAN = "lower(concat({}))".format(
    ", '\\n', ".join(
        [
            *("name", "status_message", "error_type", "error_message", "arrayStringConcat(event_names, '\\n')"),
            *(f"arrayStringConcat(mapValues({column}), '\\n')" for column in ATTRIBUTE_MAPS),
            "arrayStringConcat(arrayFlatten(event_attributes.values), '\\n')",
        ]
    )
)
# The index cuts texts at ASCII characters that are neither letters nor digits. Of a text that may begin and end amid words it
# knows the words that such characters enclose, else a run of letters and digits that some word holds.
_WORD = re.compile(r"[0-9A-Za-z]+")
_CUT = r"[\x00-/:-@\[-`{-\x7f]"
_WHOLE_WORD = re.compile(f"(?<={_CUT})[0-9A-Za-z]+(?={_CUT})")
# In all alphabets i, k and s have equals in other case that are not ASCII: dotted and dotless i, the Kelvin sign, the long s.
_WORD_OF_ANY_CASE = re.compile(r"[0-9A-HJLMN-RT-Za-hjlmn-rt-z]+")
# Looking through the dictionary of a part, or the spans of a frequent word, takes as long for an hour as for the day of the part:
# below these ranges texts and values are read. The dictionary of a busy day is what reading an hour of it takes.
_SHORT_FOR_DICTIONARY_NS, _SHORT_FOR_VALUES_NS = 3600 * 10**9, 12 * 3600 * 10**9
# Each costs the planner up to ten milliseconds, and an attribute of a trace takes three or six: a query of fifty terms has better
# left most of them to reading.
_MOST_LOOKUPS = 24
# Of other keys the name of the subcolumn is written with escapes.
_PLAIN_KEY = re.compile(r"[0-9A-Za-z_.:/-]+")
_RANGE_NS = "{end_ns:Int64} - {start_ns:Int64}"


def search_in(columns: Sequence[str], value_arrays: Sequence[str], *, is_indexed: bool = False) -> Compile:
    """A term asks for a text anywhere, in any case: in one of these columns, or in an item of these arrays of texts.

    `is_indexed`: together they are what the index of words holds, which then leaves out the spans without these words.
    """

    def compile_term(term: Term, params: Params) -> str:
        pattern = pattern_of(term)
        found = _finder(pattern, params)
        anywhere = [found(column) for column in columns]
        anywhere += [f"arrayExists(x -> {found('x')}, {values})" for values in value_arrays]
        # greatest() for OR, because ClickHouse uses indexes only in conditions of up to 32 parts.
        any_of = f"(greatest({', '.join(anywhere)}))"
        if not is_indexed or params.word_lookups >= _MOST_LOOKUPS:
            return any_of
        if not pattern.is_exact or not pattern.text.isascii():
            return _in_some_word(any_of, _find_runs(pattern, _WORD_OF_ANY_CASE), _SHORT_FOR_DICTIONARY_NS, params)
        if words := _lowered(_WHOLE_WORD.findall(pattern.text)):
            return f"({any_of} AND {_has_words(words, params)})"
        runs = _find_runs(pattern, _WORD)
        return _in_some_word(any_of, runs, _SHORT_FOR_DICTIONARY_NS, params, is_all=runs == [pattern.text])

    return compile_term


def _find_runs(pattern: Pattern, run: re.Pattern[str]) -> list[str]:
    return [found for part in pattern.parts for found in run.findall(part)]


def _in_some_word(condition: str, runs: Sequence[str], short_ns: int, params: Params, *, is_all: bool = False) -> str:
    """Add to a condition what the index knows of a pattern without a whole word: that words of the span hold its `runs`.

    N-grams tell parts without them, the dictionary of the others the words, in ranges from `short_ns` on. A run that `is_all` is
    found by the dictionary alone.
    """
    longest = max(runs, key=len, default="")
    if len(longest) < SHORTEST_IN_WORD:
        return condition
    params.word_lookups += 1
    some_word = f"{_WORDS_OF_SPAN} LIKE {params.bind(f'%{longest.lower()}%', 'String')}"
    is_short = f"{_RANGE_NS} < {short_ns}"
    met = f"if({is_short}, {condition}, {some_word})" if is_all else f"({condition} AND ({is_short} OR {some_word}))"
    ngrams = sorted({ngram for run in runs for ngram in find_ngrams(run)})
    if not ngrams:
        return met
    return f"({met} AND _part NOT IN {parts_where(lacks_ngrams(params.bind(ngrams, 'Array(UInt32)')))})"


def _lowered(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({word.lower() for word in words}))


def _has_words(words: tuple[str, ...], params: Params) -> str:
    """Return a condition that the index of words answers: that a span holds all of these whole words in lower case."""
    params.word_lookups += 1
    return f"hasAllTokens({_WORDS_OF_SPAN}, {params.bind(list(words), 'Array(String)')})"


search_span = search_in(
    ("name", "status_message", "error_type", "error_message"),
    (
        "event_names",
        *(f"mapValues({column})" for column in ATTRIBUTE_MAPS),
        "arrayFlatten(arrayMap(m -> mapValues(m), event_attributes))",
    ),
    is_indexed=True,
)


def _finder(pattern: Pattern, params: Params) -> Callable[[str], str]:
    """Return how to ask whether an expression holds the pattern anywhere, in any case."""
    if pattern.is_exact and pattern.text.isascii():
        needle = params.bind(pattern.text, "String")
        return lambda expression: f"positionCaseInsensitive({expression}, {needle}) > 0"
    like = params.bind("%" + "%".join(escape_like(part) for part in pattern.parts) + "%", "String")
    return lambda expression: f"({expression} ILIKE {like})"


def has_attribute(term: Term, params: Params, columns: Sequence[str] = ATTRIBUTE_MAPS) -> str:
    """True when the span, its resource or its scope has the attribute with that value."""
    test = _attribute_test(term, params)
    # One key's values are read alone; asking for the key as well reads all keys.
    asks_for_key = test is None or not _is_never_empty(term)
    is_plain = _PLAIN_KEY.fullmatch(term.key)
    key = params.bind(term.key, "String") if asks_for_key or not is_plain else ""
    conditions = []
    for column in columns:
        tests = [f"mapContains({column}, {key})"] if asks_for_key else []
        if test is not None:
            # By its name: beside the index of words, which names whole maps, ClickHouse would read all keys for one in brackets.
            tests.append(test(params.bind(f"{column}.key_{term.key}", "Identifier") if is_plain else f"{column}[{key}]"))
        conditions.append(" AND ".join(tests))
    return "(" + " OR ".join(conditions) + ")"


def attribute_of_span(term: Term, params: Params, columns: Sequence[str] = ATTRIBUTE_MAPS) -> str:
    """As `has_attribute`, with what the index of words knows of the value: its whole words, as a text or as an item of a list."""
    condition = has_attribute(term, params, columns)
    if params.key_checks < _MOST_LOOKUPS:
        params.key_checks += 1
        condition = f"({condition} AND _part NOT IN {parts_where(lacks_keys(params.bind([term.key], 'Array(String)'), columns))})"
    if not isinstance(term.value, Pattern) or term.value.is_presence or params.word_lookups >= _MOST_LOOKUPS:
        return condition
    # What stands for * is neither a letter nor a cut: the words beside it may be parts of longer ones.
    stored = ["\n" + "\x80".join(term.value.parts) + "\n"]
    if term.value.is_exact:
        stored.append(encode_list_item(term.value.text).decode("latin-1") + "\n")
    wanted = {_lowered(_WHOLE_WORD.findall(text)) for text in stored}
    if () in wanted:
        return _in_some_word(condition, _find_runs(term.value, _WORD), _SHORT_FOR_VALUES_NS, params)
    known = " OR ".join(_has_words(words, params) for words in sorted(wanted))
    return f"({condition} AND ({_RANGE_NS} < {_SHORT_FOR_VALUES_NS} OR {known}))"


def _is_never_empty(term: Term) -> bool:
    """Tell whether no match is the empty text, which a Map returns for a key that it lacks."""
    return isinstance(term.value, Interval) or any(pattern_of(term).parts)


def _attribute_test(term: Term, params: Params) -> Callable[[str], str] | None:
    if isinstance(term.value, Interval):
        interval = between("toFloat64OrNull({})", term.value, "Float64", params)
        return lambda value: f"ifNull({interval.replace('{}', value)}, false)"
    pattern = pattern_of(term)
    if pattern.is_presence:
        return None
    same = matches("{}", pattern, params)
    if pattern.is_exact and pattern.text:
        # A list is stored as its serialized message, in which each item stands with its length before it.
        same = f"({same} OR position({{}}, unhex({params.bind(encode_list_item(pattern.text).hex(), 'String')})) > 0)"
    return lambda value: same.replace("{}", value)
