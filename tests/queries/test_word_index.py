"""The index of words only leaves out what cannot match: whatever is found without it is found with it.

Every span has a month of its own and so a part and an index of its own: a word that the index should know and does not
would hide it.
"""

from __future__ import annotations

from typing import Any

from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.part_contents import PartContents
from tracestore.language import parse_query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import span_predicate
from tracestore.timerange import DAY_NS


def quote(text: str) -> str:
    """Return the text as the query language writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_SENTENCE = "Where is order 1234567? It was_sent on 12.05., 100% sure"
_QUOTED = """o'Brien "x" \\ y"""
# Its length, 0x65 + 65 * 128, is E5 41 before it in a list: with its o what looks like a character of three bytes.
_ITEM = "orderly" + "-" * (0x65 + 65 * 128 - 7)
_LONG = "Akkusativ " + "x" * 55  # its length, 65, is an A before it in a list
# A span's content -> queries that find it and no other span here.
_CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"attributes": {"k": "gold"}}, ["attr.k:gold", "attr.k:gol*", "attr.k:*old", "attr.k:g*ld"]),
    ({"attributes": {"k": _QUOTED}}, [f"attr.k:{quote(_QUOTED)}", quote(_QUOTED[1:])]),
    ({"attributes": {"k": "100%_sure"}}, ['attr.k:"100%_sure"', "attr.k:*%_sure", '"00%_sur"']),
    ({"attributes": {"k": "naïve Köln 77 ß"}}, ['attr.k:"naïve Köln 77 ß"', "attr.k:*Köln*", '"VE KÖLN 77"', '"ln 77 "']),
    ({"attributes": {"k": "--"}}, ['attr.k:"--"']),
    ({"attributes": {"k": 4711}}, ["attr.k:4711"]),
    ({"attributes": {"k": ["alpha", "beta gamma", "ñandú 9"]}}, ["attr.k:alpha", 'attr.k:"beta gamma"', 'attr.k:"ñandú 9"']),
    ({"attributes": {"k": ["first", _LONG, "z" * 70, "y" * 200, "é" * 80]}},
     [f'attr.k:"{_LONG}"', f"attr.k:{'z' * 70}", f"attr.k:{'y' * 200}", f"attr.k:{'é' * 80}", "attr.k:first"]),
    ({"attributes": {"k": [_ITEM]}}, ["orderly", "rderl"]),
    ({"attributes": {"k": ""}, "name": "nothing in it"}, ['attr.k:""', '"nothing in it"', '"thing IN i"']),
    (
        {"attributes": {"other": _SENTENCE}},
        [
            '"order 1234567?"', '"ORDER 1234567? it"', '"der 1234567? I"', "1234567", "34567", "ord*34567",
            '"was_sent on 12.05., 100%"', f'attr.other:"{_SENTENCE}"',
        ],
    ),
    ({"attributes": {"other": "one line\nthe next\tof them"}}, ['"the next"']),
    ({"attributes": {"other": "étage42 12 été"}}, ['"tage42 12 é"', '"E42 12 "']),
    ({"attributes": {"other": "xKELVIN K 273 x"}}, ['"kelvin k 273"', '"N K 2"']),
    ({"attributes": {"other": "Straſse İzmir ısı K größe"}}, ['"zmir ısı"', '"größe"', "größ*", "zm*größe"]),
    ({"name": "POST /pay/card 99"}, ['"post /pay/card"', '"/pay/card 9"']),
    ({"events": [("Gave up at last", {"exception.message": "no Answer from db-7 in time"})]},
     ['"gave UP at"', '"no answer from db-7"', '"swer from db"']),
]  # fmt: skip
# Letters that may be equal to others in some case: found or not, with the index as without it.
_FOLDED = ['"strasse İ"', '"STRASSE* GRÖ"', '"izmir ı"', "iz*größe", '"k größe"', "k*größe", "s*größe", "ı*K"]
_MONTH_NS = 31 * DAY_NS


def _find(store: Store, query: str, start_ns: int = T0 - DAY_NS, end_ns: int = T0 + (len(_CASES) + 3) * _MONTH_NS) -> list[str]:
    params = Params()
    condition = span_predicate(parse_query(query), params)
    sql = f"SELECT lower(hex(span_id)) FROM spans WHERE {IN_RANGE} AND {condition}"
    return [span_id for (span_id,) in store.query_rows(sql, project_id=1, start_ns=start_ns, end_ns=end_ns, **params.values)]


def _build_index(store: Store) -> None:
    store.command("ALTER TABLE spans MATERIALIZE INDEX words SETTINGS mutations_sync = 1")


def _note_contents(store: Store) -> int:
    """Note those of all parts, and return how many that were."""
    contents = PartContents(least_spans=1)
    return sum(1 for _ in iter(lambda: contents.tend(store), ""))


def _plan(store: Store, query: str) -> str:
    params = Params()
    condition = span_predicate(parse_query(query), params)
    plan = store.query_rows(
        f"EXPLAIN indexes = 1 SELECT name FROM spans WHERE {IN_RANGE} AND {condition}",
        project_id=1, start_ns=T0 - DAY_NS, end_ns=T0 + DAY_NS, **params.values,
    )  # fmt: skip
    return "\n".join(line for (line,) in plan)


def _index_bytes(store: Store) -> int:
    sql = "SELECT data_compressed_bytes FROM system.data_skipping_indices WHERE table = 'spans' AND name = 'words'"
    return int(store.query_rows(sql)[0][0])


def test_what_is_found_is_the_same_with_and_without_the_index(store: Store, send_spans: SendSpans) -> None:
    spans = [
        {"span_id": f"{number + 1:016x}", "start_ns": T0 + number * _MONTH_NS, **content}
        for number, (content, _) in enumerate(_CASES)
    ]
    send_spans(*spans)
    others = len(_CASES) + 1
    send_spans(
        {"span_id": f"{others:016x}", "start_ns": T0 + others * _MONTH_NS},
        resource={"host.name": "Host-13 b", "list": ["r 1"]}, scope_attributes={"level": "deep 5 down"},
    )  # fmt: skip
    expected = {query: [f"{number + 1:016x}"] for number, (_, queries) in enumerate(_CASES) for query in queries}
    for query in ('attr.host.name:"Host-13 b"', '"host-13 B"', 'attr.list:"r 1"', 'attr.level:"deep 5 down"', '"deep 5 DOWN"'):
        expected[query] = [f"{others:016x}"]
    for query in ("attr.k:silver", 'attr.k:"gold "', "attr.k:beta", '"order 7654321?"', '"order 123456? i"', "attr.k:Gold"):
        expected[query] = []

    asked = [*expected, *_FOLDED]
    without = {query: _find(store, query) for query in asked}
    built_by_inserts = _index_bytes(store)
    _build_index(store)
    built = _index_bytes(store)
    indexed = {query: _find(store, query) for query in asked}
    noted = _note_contents(store)
    narrowed = {query: _find(store, query) for query in asked}

    assert {query: without[query] for query in expected} == expected
    assert indexed == without
    assert narrowed == without
    assert noted == len(_CASES) + 1
    assert built > built_by_inserts == 0
    assert _find(store, 'NOT attr.k:gold "nothing in it"') == ["000000000000000a"]
    for number, (_, queries) in enumerate(_CASES):  # within an hour
        start_ns = T0 + number * _MONTH_NS
        found = {query: _find(store, query, start_ns, start_ns + DAY_NS // 24) for query in queries}
        assert found == {query: [f"{number + 1:016x}"] for query in queries}


def test_indexed_parts_without_the_words_are_not_read(store: Store, send_spans: SendSpans) -> None:
    send_spans({"attributes": {"order.id": "1", "k": "v", "l": ["x"]}, "events": [("gone", {"a": "b"})], "error": True})
    _build_index(store)

    for query in (
        "attr.order.id:1234567", 'attr.k:"some value"', '"order 1234567?"', '"could not be 77 reached"', "attr.k:*,some,*",
        "unheard", "unheard.of", '"of? unheard"',
    ):  # fmt: skip
        plan = _plan(store, query)
        assert "Granules: 0" in plan.split("ReadFromMergeTree")[1].split("Indexes")[0], f"{query}\n{plan}"


def test_parts_without_the_key_or_the_pieces_of_words_are_not_opened(store: Store, send_spans: SendSpans) -> None:
    expected = {
        "attr.k:*ilve*": True,
        "attr.k:*ilvr*": False,
        "ilver": True,
        "ilvr": False,
        "attr.k:*": True,
        "attr.number:>=7": True,
        "attr.host.name:host": True,
        "attr.scoped:*": True,
        "attr.other:*": False,
        "attr.other:silver": False,
        "attr.other:>=7": False,
        "NOT attr.other:silver": True,
    }
    send_spans({"attributes": {"k": "silver", "number": 7}}, resource={"host.name": "host"}, scope_attributes={"scoped": 1})
    _build_index(store)

    before = {query: _reads_the_part(store, query) for query in expected}
    _note_contents(store)
    after = {query: _reads_the_part(store, query) for query in expected}

    assert before == dict.fromkeys(expected, True)
    assert after == expected


def _reads_the_part(store: Store, query: str) -> bool:
    return "Parts: 1/1" in _plan(store, query).split("ReadFromMergeTree")[1]


def test_spans_of_parts_with_and_without_the_index_are_found_together(store: Store, send_spans: SendSpans) -> None:
    contents: list[dict[str, Any]] = [
        {"attributes": {"order.id": "1234567"}},
        {"attributes": {"order.id": "7"}},
        {"name": "order 1234567 is late"},
    ]
    store.hold_merges(["spans"], True)
    try:
        for number in range(6):
            send_spans({"span_id": f"{number + 1:016x}", "start_ns": T0 + number, **contents[number % 3]})
            if number == 2:
                store.hold_merges(["spans"], False)
                _build_index(store)
                store.hold_merges(["spans"], True)

        found = {
            query: sorted(_find(store, query)) for query in ("attr.order.id:1234567", "1234567", "23456", '"order 1234567 is"')
        }
    finally:
        store.hold_merges(["spans"], False)

    first, third, fourth, sixth = (f"{number:016x}" for number in (1, 3, 4, 6))
    assert found == {
        "attr.order.id:1234567": [first, fourth],
        "1234567": [first, third, fourth, sixth],
        "23456": [first, third, fourth, sixth],
        '"order 1234567 is"': [third, sixth],
    }
