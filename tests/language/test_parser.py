"""Query text -> tree, and every way of refusing one."""

from __future__ import annotations

import pytest

from tracestore.language import QueryError, parse_query
from tracestore.language.fields import find_field
from tracestore.language.tree import And, Count, Flag, Interval, Node, Not, Or, Pattern, Related, Relation, Spans, Term

_MS, _S = 10**6, 10**9


def _term(field: str, value: str, key: str = "") -> Term:
    return Term(field, key, Pattern(tuple(value.split("*"))))


def _spans(kind: str, *conditions: Node) -> Spans:
    items = ([_term("kind", kind)] if kind else []) + list(conditions)
    return Spans(None if not items else items[0] if len(items) == 1 else And(tuple(items)))


def _text(value: str) -> Term:
    return Term("text", "", Pattern((value,)))


def _tool(name: str) -> Spans:
    return _spans("tool", _term("tool", name))


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", None),
        (" \n\t", None),
        ("status:error", _term("status", "error")),
        ("STATUS:Error", _term("status", "error")),
        ("outcome:ok", _term("status", "ok")),
        ("status:error version:v3 tool:refund", And((_term("status", "error"), _term("version", "v3"), _term("tool", "refund")))),
        ("status:error AND tool:a", And((_term("status", "error"), _term("tool", "a")))),
        ("tool:a tool:b OR tool:c", Or((And((_term("tool", "a"), _term("tool", "b"))), _term("tool", "c")))),
        ("tool:a (tool:b OR tool:c)", And((_term("tool", "a"), Or((_term("tool", "b"), _term("tool", "c")))))),
        ("-env:dev", Not(_term("env", "dev"))),
        ("NOT environment:dev", Not(_term("env", "dev"))),
        ("NOT (tool:a OR tool:b)", Not(Or((_term("tool", "a"), _term("tool", "b"))))),
        ("--tool:a", Not(Not(_term("tool", "a")))),
        ("tool:(a OR b)", Or((_term("tool", "a"), _term("tool", "b")))),
        ("tool:(a b)", And((_term("tool", "a"), _term("tool", "b")))),
        ("tool:(a -b)", And((_term("tool", "a"), Not(_term("tool", "b"))))),
        ("tool:((a))", _term("tool", "a")),
        ("tool:(a:b OR \"c d\")", Or((_term("tool", "a:b"), _term("tool", "c d")))),
        ("order", _text("order")),
        ("lost order", And((_text("lost"), _text("order")))),
        ('"lost order"', _text("lost order")),
        ('text:"order 123"', _text("order 123")),
        ("don't 'tis", And((_text("don't"), _text("'tis")))),
        ("user:o'brien", _term("user", "o'brien")),
        (r"tool:\'x'", _term("tool", "'x'")),
        ("R & D || x", And((_text("R"), _text("&"), _text("D"), _text("||"), _text("x")))),
        ('version:"=v3"', _term("version", "=v3")),
        ("cats or dogs", And((_text("cats"), _text("or"), _text("dogs")))),
        (r'"a \"b\" \\ \n"', _text(r'a "b" \ \n')),
        ("tool:re*nd", _term("tool", "re*nd")),
        ('tool:"re*nd"', Term("tool", "", Pattern(("re*nd",)))),
        (r"tool:re\*nd", Term("tool", "", Pattern(("re*nd",)))),
        (r"tool:a\ b*", Term("tool", "", Pattern(("a b", "")))),
        ("user:*", Term("user", "", Pattern(("", "")))),
        ('user:""', _term("user", "")),
        ("tool:AND", _term("tool", "AND")),
        ("tool:-x", _term("tool", "-x")),
        ("a-b", _text("a-b")),
        ("a \"-\" b", And((_text("a"), _text("-"), _text("b")))),
        ("attr.http.url:https://example.com/a?b=c", _term("attr", "https://example.com/a?b=c", "http.url")),
        ('attr."odd key: (x)":y', _term("attr", "y", "odd key: (x)")),
        ("attr.Case.Matters:*", Term("attr", "Case.Matters", Pattern(("", "")))),
        ("attr.code:>=500", Term("attr", "code", Interval(500.0, None))),
        ("attr.score:-1.5..1e3", Term("attr", "score", Interval(-1.5, 1000.0))),
        ("score.review:bad", _term("score", "bad", "review")),
        ('SCORES."answer relevance":<0.5', Term("score", "answer relevance", Interval(None, 0.5, includes_high=False))),
        ("score.stars:4", Term("score", "stars", Interval(4.0, 4.0))),
        ('score.stars:"4"', _term("score", "4", "stars")),
        ("score:>=-1", Term("score", "", Interval(-1.0, None))),
        ("has:(score OR score.review)", Or((Term("score", "", Pattern(("", ""))), Term("score", "review", Pattern(("", "")))))),
        ("tool(a){score.x:1..2}", _spans("tool", _term("tool", "a"), Term("score", "x", Interval(1.0, 2.0)))),
        ("attr.file:..", _term("attr", "..", "file")),
        ("attr.path:a..b", _term("attr", "a..b", "path")),
        ('attr.raw:">5"', _term("attr", ">5", "raw")),
        ("duration:>2s", Term("duration", "", Interval(2 * _S, None, includes_low=False))),
        ("duration:<=1.5ms", Term("duration", "", Interval(None, 1_500_000))),
        ("latency:1s..5m", Term("duration", "", Interval(_S, 300 * _S))),
        ("duration:350ms", Term("duration", "", Interval(350 * _MS, 350 * _MS))),
        ("duration:..1h", Term("duration", "", Interval(None, 3600 * _S))),
        ("cost:>0.5", Term("cost", "", Interval(0.5, None, includes_low=False))),
        ("cost:<$2", Term("cost", "", Interval(None, 2.0, includes_high=False))),
        ("tokens:>10k", Term("tokens", "", Interval(10_000, None, includes_low=False))),
        ("tokens:1.5M..", Term("tokens", "", Interval(1_500_000, None))),
        ("escalated:true", Term("escalated", "", Flag(True))),
        ("has_errors:NO", Term("has_errors", "", Flag(False))),
        ("trace:4bf92f3577b34da6a3ce929d0e0e4736", _term("trace", "4bf92f3577b34da6a3ce929d0e0e4736")),
        ("trace:4BF9*", _term("trace", "4bf9*")),
        ("has:user", Term("user", "", Pattern(("", "")))),
        ("-has:(cost OR attr.k)", Not(Or((Term("cost", "", Interval(0.0, None)), Term("attr", "k", Pattern(("", ""))))))),
        ('has:"attr.k k"', Term("attr", "k k", Pattern(("", "")))),
        ("has:tokens", Term("tokens", "", Interval(1, None))),
        ("trace.cost:>1", Term("cost", "", Interval(1.0, None, includes_low=False), True)),
        ("TRACE.latency:1s", Term("duration", "", Interval(_S, _S), True)),
        ("tool(refund)", _spans("tool", _term("tool", "refund"))),
        ("Tool{}", _spans("tool")),
        ("span{}", _spans("")),
        ("model(a*)", _spans("llm", _term("model", "a*"))),
        ("retriever(a OR -b)", _spans("retriever", Or((_term("span", "a"), Not(_term("span", "b")))))),
        ("tool(a){status:error x}", _spans("tool", _term("tool", "a"), And((_term("status", "error"), _text("x"))))),
        ("span{attr.k:a}", _spans("", _term("attr", "a", "k"))),
        ("tool{(a OR b)} c}d", And((_spans("tool", Or((_text("a"), _text("b")))), _text("c}d")))),
        ('tool("a b"){"}"}', _spans("tool", _term("tool", "a b"), _text("}"))),
        ("tool:a{b", _term("tool", "a{b")),
        ("-tool(a)", Not(_tool("a"))),
        ("tool(a) inside agent{}", Related(Relation.INSIDE, _tool("a"), _spans("agent"))),
        ("tool(a) then tool(b) then tool(c)",
         Related(Relation.THEN, _tool("a"), Related(Relation.THEN, _tool("b"), _tool("c")))),
        ("tool(a) inside tool(b) then tool(c)",
         Related(Relation.THEN, Related(Relation.INSIDE, _tool("a"), _tool("b")), _tool("c"))),
        ("tool(a) then tool(b) calls tool(c)",
         Related(Relation.THEN, _tool("a"), Related(Relation.CALLS, _tool("b"), _tool("c")))),
        ("(tool(a) then tool(b)) inside tool(c)",
         Related(Relation.INSIDE, Related(Relation.THEN, _tool("a"), _tool("b")), _tool("c"))),
        ("NOT tool(a) THEN tool(b) c", And((Not(Related(Relation.THEN, _tool("a"), _tool("b"))), _text("c")))),
        ('tool(a) "then" tool(b)', And((_tool("a"), _text("then"), _tool("b")))),
        ("and then inside calls", And((_text("and"), _text("then"), _text("inside"), _text("calls")))),
        ("then tool(a)", And((_text("then"), _tool("a")))),
        ("count(tool:a):>3", Count(_term("tool", "a"), Interval(3, None, includes_low=False))),
        ("count(tool(a) inside tool(b)):0 x",
         And((Count(Related(Relation.INSIDE, _tool("a"), _tool("b")), Interval(0, 0)), _text("x")))),
    ],
)  # fmt: skip
def test_text_means_tree(text: str, root: Node | None) -> None:
    assert parse_query(text).root == root


def test_terms_know_their_place_in_the_text() -> None:
    text = 'status:error  -tool:"a b" (version:v3 OR x)'

    places = [text[term.start : term.end] for term in parse_query(text).terms()]

    assert places == ["status:error", 'tool:"a b"', "version:v3", "x"]


@pytest.mark.parametrize(
    ("text", "underlined", "suggestion", "says"),
    [
        ("verson:v3", "verson", "version", "no field"),
        ("tol:refund", "tol", "tool", "no field"),
        ("http://example.com", "http", "", "Put quotes around"),
        (":x", "", "", "before the colon"),
        ("gen_ai.request.model:x", "gen_ai.request.model", "attr.gen_ai.request.model", "no field"),
        ("x duration>2s", "duration>2s", "duration:>2s", "A colon follows"),
        ("status=error", "status=error", "status:error", "A colon follows"),
        ("env!=dev", "env!=dev", "-env:dev", "A colon follows"),
        ("status:eror", "eror", "error", "status is ok, error or running"),
        ("status:failed", "failed", "error", "status is"),
        ("kind:tol", "tol", "tool", "kind is"),
        ("escalated:tru", "tru", "true", "true or false"),
        ("duration:>2", ">2", ">2s", "its unit"),
        ("duration:5s..1s", "5s..1s", "1s..5s", "smaller end"),
        ("duration:soon", "soon", "", "a number and a unit"),
        ("duration:9999999999h", "9999999999h", "", "smaller number"),
        ("duration:..", "..", "", "at least one end"),
        ("cost:cheap", "cheap", "", "USD"),
        ("tokens:1.5", "1.5", "", "whole number"),
        ("attr.code:>high", ">high", "", "compared with a number"),
        ("tool:>a", ">a", "", "cannot compare"),
        ("trace:xyz", "xyz", "", "32 hexadecimal digits"),
        ("trace:4bf9", "4bf9", "", "32 hexadecimal digits"),
        ("text:*", "*", "", "text to search for"),
        ('""', '""', "", "text to search for"),
        ("attr:x", "attr:", "", "Name the attribute"),
        ("attr.:x", "attr.:", "", "Name the attribute"),
        ("status:", "status:", "", "right after status:"),
        ("status: error", "status:", "", "without a space"),
        ("status:)", "status:", "", "right after"),
        ("(status:error", "(", "", "never closed"),
        ("status:error)", ")", "", "closes nothing"),
        ("tool:()", "()", "", "nothing between"),
        ("OR tool:a", "OR", "", "missing before OR"),
        ("tool:a OR", "OR", "", "missing after OR"),
        ("tool:a AND OR b", "AND", "", "missing after AND"),
        ("NOT", "NOT", "", "missing after NOT"),
        ('"open', '"open', "", "never closed"),
        ('a"b"', 'a"', "", "Leave a space"),
        ("name:f(x)", "f(", "", "Leave a space"),
        ("a\\", "\\", "", "backslash"),
        ("status:error or tool:a", "or", "OR", "in capitals"),
        ("status:error || tool:a", "||", "OR", "Write OR to combine"),
        ("tool:(a & b)", "&", "AND", "Write AND to combine"),
        ("tool:'x'", "'x'", '"x"', "Quotes are written"),
        ("tool:('order 1' OR b)", "'order 1'", '"order 1"', "Quotes are written"),
        ("“lost order” status:ok", "“lost order”", '"lost order"', "Quotes are written"),
        (r"""error:'a "b\' x""", r"""'a "b\'""", r'''"a \"b\\"''', "Quotes are written"),
        ("-", "-", '"-"', "right before what it excludes"),
        ("a - b", "- b", "-b", "right before what it excludes"),
        ("- env:dev", "- env:dev", "-env:dev", "right before what it excludes"),
        ("tool:(a -  b)", "-  b)", "-b)", "right before what it excludes"),
        ("!tool:a", "!tool", "-tool", "no field"),
        ("–tol:a", "–tol", "-tool", "no field"),
        ("!attr.k:a", "!attr.k", "-attr.k", "no field"),
        ("agent.name:a", "agent.name", "attr.agent.name", "no field"),
        ("tool = refund", "tool = refund", "tool:refund", "A colon follows"),
        ("(env != dev)", "env != dev", "-env:dev", "A colon follows"),
        ("tool=", "tool=", "", "A colon follows"),
        ("version:=v3", "=v3", "v3", "directly"),
        ("env:!dev", "!dev", "", "excludes a value"),
        ("attr.k:!=x", "!=x", "", "excludes a value"),
        ("duration:>2min", ">2min", ">2m", "a number and a unit"),
        ('attr."k" x', 'attr."k"', "", "followed by a colon"),
        ("\ud800", "\ud800", "", "not text"),
        ("has:usr", "usr", "user", "no field"),
        ("has:attr", "attr", "", "Name the attribute"),
        ("has:us*", "us*", "", "takes the name of one"),
        ("has:status", "status", "", "cannot ask for status"),
        ("has:duration", "duration", "", "cannot ask for duration"),
        ("trace.cst:>1", "trace.cst", "trace.cost", "whole trace"),
        ("trace.kind:tool", "trace.kind", "", "whole trace"),
        ("tol(refund)", "tol", "tool", "no spans"),
        ("version(v3)", "version", "version:", "A colon follows"),
        ("tool(a b)", "a b", '"a b"', "one name"),
        ("tool()", "()", "", "nothing between"),
        ("tool(a", "(", "", "never closed"),
        ("tool(a){b", "{", "", "never closed"),
        ("tool(a) {b}", "{", "", "without a space"),
        ("tool{a) }", ")", "", "closes nothing"),
        ("tool{(a }", "(", "", "never closed"),
        ("tool{a OR}", "OR", "", "missing after OR"),
        ("tool{x cost:>1}", "cost:>1", "", "One span has no cost"),
        ("tool{trace.tokens:>1}", "trace.tokens:>1", "", "One span has no tokens"),
        ("tool{status:running}", "status:running", "", "ended"),
        ("tool{agent(a)}", "agent", "", "Write spans beside each other"),
        ("tool(a) or tool(b)", "or", "OR", "in capitals"),
        ("tool:a inside agent:b", "tool:a", "tool(a)", "Spans stand before and after inside"),
        ("(version:v3) then tool(b)", "(version:v3)", "", "Spans stand before and after then"),
        ("tool(a) inside agent:b", "inside agent:b", "", "Spans follow inside"),
        ("tool(a) inside -agent(b)", "inside -agent(b)", "", "Spans follow inside"),
        ("tool(a) then", "then", "", "missing after then"),
        ("count(tool:a)", "count(tool:a)", "", "Compare the count"),
        ("count(tool:a): >3", "count(tool:a)", "", "Compare the count"),
        ("count(tool:a):(1 OR 2)", "count(tool:a)", "", "Compare the count"),
        ("count(tool:a):>x", ">x", "", "whole number"),
        ("count{tool:a}", "count", "", "between parentheses"),
        ("count(user:u):>1", "user:u", "", "One span has no user"),
        ("count(count(a):>1):>1", "count", "", "Only a trace"),
    ],
)
def test_bad_text_is_refused_with_a_sentence_and_a_place(text: str, underlined: str, suggestion: str, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)

    error = caught.value
    assert says in str(error)
    assert str(error)[-1] in ".?"
    assert str(error)[0].isupper() or find_field(str(error).split()[0]) or str(error).startswith("count is")
    assert text[error.position : error.position + error.length] == underlined
    assert error.suggestion == suggestion
    assert (f"Did you mean {suggestion}?" in str(error)) == bool(suggestion)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x" * 2001, "at most 2000 characters"),
        ("(" * 30 + "a" + ")" * 30, "at most 20 deep"),
        ("-" * 30 + "a", "at most 20 deep"),
        ("tool:" + "(" * 30 + "a" + ")" * 30, "at most 20 deep"),
        ("a " * 51, "at most 50 conditions"),
        (" then ".join(["tool(a)"] * 10), "at most 8 of inside"),
        (" inside ".join(["span{}"] * 60), "at most 8 of inside"),
        ("tool{" + "(" * 30 + "a" + ")" * 30 + "}", "at most 20 deep"),
        ("tool{} " * 51, "at most 50 conditions"),
        ("span{} " * 60, "at most 50 conditions"),
    ],
)
def test_size_of_a_query_is_bounded(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        parse_query(text)


def test_suggestion_in_its_place_makes_a_good_query() -> None:
    text = "verson:v3 tool:refund"

    with pytest.raises(QueryError) as caught:
        parse_query(text)
    error = caught.value
    mended = text[: error.position] + error.suggestion + text[error.position + error.length :]

    assert parse_query(mended) == parse_query("version:v3 tool:refund")
