"""Tokens -> tree, by recursive descent:

either    = all { "OR" all }
all       = condition { [ "AND" ] condition }
condition = ( "NOT" | "-" ) condition | "(" either ")" | FIELD value | WORD | STRING | count | spans
value     = WORD | STRING | "(" either ")"        inside these parentheses every word is a value of the field
count     = "count" "(" either ")" ":" WORD       what stands in these parentheses, and in braces, asks one span
spans     = nested [ "then" spans ]               "then", "inside" and "calls" are words anywhere else
nested    = ( group | "(" spans ")" ) [ ( "inside" | "calls" ) nested ]
group     = NAME [ "(" either ")" ] [ "{" [ either ] "}" ]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tracestore.language.errors import QueryError
from tracestore.language.fields import (
    COUNT,
    LOG_NAMES,
    TRACE_NAMES,
    Field,
    FieldType,
    Known,
    SpanGroup,
    find_field,
    find_group,
    suggest_field,
)
from tracestore.language.lexer import Token, TokenKind, quote, tokenize
from tracestore.language.tree import (
    And,
    Count,
    Interval,
    Node,
    Not,
    Or,
    Pattern,
    Query,
    Related,
    Relation,
    Spans,
    SpanSet,
    Term,
)
from tracestore.language.values import parse_presence, parse_value

MAX_LENGTH = 2000
MAX_DEPTH = 20
# Each condition may become a subquery; more than this would exceed what one SQL statement may hold.
MAX_TERMS = 50
# Each relation reads the spans of the range again.
MAX_RELATIONS = 8
_TRACE_PREFIX = "trace."
_ENDS = (TokenKind.OR, TokenKind.CLOSE, TokenKind.CLOSE_BRACE)
_ATTRIBUTE_NAME = re.compile(r"[a-zA-Z_]\w*(\.\w+)+")
_WITHOUT_COLON = re.compile(r"([a-zA-Z_]+)\s*(!=|==|=|>=|<=|>|<)\s*([^\s()]*)")
_OTHER_OPERATORS = {"and": "AND", "&&": "AND", "&": "AND", "or": "OR", "||": "OR", "|": "OR", "not": "NOT", "!": "NOT"}
_OTHER_MINUS = "!–—−"


def parse_log_query(text: str) -> Query:
    """Return the meaning of `text` over log records, which have fields of their own. Raises QueryError."""
    return parse_query(text, LOG_NAMES)


def parse_query(text: str, known: Known = TRACE_NAMES) -> Query:
    """Return the meaning of `text`, which may name the `known` fields. Raises QueryError, and nothing else, whatever the text."""
    if len(text) > MAX_LENGTH:
        message = f"A query has at most {MAX_LENGTH} characters; this one has {len(text)}."
        raise QueryError(message, MAX_LENGTH, len(text) - MAX_LENGTH)
    for position, character in enumerate(text):
        if "\ud800" <= character <= "\udfff" or character == "\0":
            raise QueryError("This character is not text.", position, 1)
    return Query(text, _Parser(text, tokenize(text), known).run())


@dataclass(frozen=True)
class _Target:
    """The field that values belong to. `key` is that of an attribute, or the name of a score."""

    field: Field
    key: str = ""
    of_trace: bool = False


class _Parser:
    def __init__(self, text: str, tokens: list[Token], known: Known) -> None:
        self.text = text
        self.known = known
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.terms = 0
        self.relations = 0
        self.asks_span = False
        self.in_braces = False

    def run(self) -> Node | None:
        if not self.tokens:
            return None
        self._refuse_other_operators()
        root = self._either(None)
        if token := self._peek():
            raise QueryError("This ) closes nothing.", token.start, 1)
        return root

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _accept(self, *kinds: TokenKind) -> Token | None:
        token = self._peek()
        if token is None or token.kind not in kinds:
            return None
        self.at += 1
        return token

    def _refuse_other_operators(self) -> None:
        """`status:error or tool:x` would search for the word "or" and find nothing: say so. Among mere words it is a word."""
        if not any(token.kind in (TokenKind.FIELD, TokenKind.GROUP) for token in self.tokens):
            return
        for token in self.tokens:
            word = self.text[token.start : token.end]
            if token.kind is TokenKind.WORD and word in _OTHER_OPERATORS:
                operator = _OTHER_OPERATORS[word]
                capitals = " in capitals" if word.isalpha() else ""
                message = f'Write {operator}{capitals} to combine conditions, or "{word}" in quotes to search for it.'
                raise QueryError(message, token.start, len(word), operator)

    def _either(self, field: _Target | None) -> Node:
        items = [self._all(field)]
        while self._accept(TokenKind.OR):
            items.append(self._all(field))
        return items[0] if len(items) == 1 else Or(tuple(items), items[0].start, items[-1].end)

    def _all(self, field: _Target | None) -> Node:
        items = [self._condition(field)]
        while (token := self._peek()) and token.kind not in _ENDS:
            self._accept(TokenKind.AND)
            items.append(self._condition(field))
        return items[0] if len(items) == 1 else And(tuple(items), items[0].start, items[-1].end)

    def _condition(self, field: _Target | None, *, is_nested: bool = False) -> Node:
        token = self._peek()
        if token is None or token.kind is TokenKind.AND or token.kind in _ENDS:
            raise self._missing_condition(token)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError(f"Parentheses and NOT nest at most {MAX_DEPTH} deep.", token.start, token.end - token.start)
        self.at += 1
        node = self._start_condition(token, field)
        if isinstance(node, Spans | Related):
            node = self._relate(node, is_nested)
        elif field is None:
            self._refuse_relation_of_conditions(node)
        self.depth -= 1
        return node

    def _start_condition(self, token: Token, field: _Target | None) -> Node:
        if token.kind in (TokenKind.NOT, TokenKind.MINUS):
            item = self._condition(field)
            return Not(item, token.start, item.end)
        if token.kind is TokenKind.OPEN:
            return self._group(token, field)
        if token.kind is TokenKind.FIELD:
            return self._field(token)
        if token.kind is TokenKind.GROUP:
            return self._count(token) if token.text == COUNT.name else self._spans(token)
        if field is None:
            self._refuse_comparison_without_colon(token)
        return self._term(field or _Target(_TEXT), token, token.start)

    def _refuse_comparison_without_colon(self, token: Token) -> None:
        """`duration>2s` or `tool = x` would search for that text and find nothing: say how it is written."""
        match = _WITHOUT_COLON.match(self.text, token.start) if token.kind is TokenKind.WORD else None
        if match and find_field(match[1], self.known):
            sign = "-" if match[2] == "!=" else ""
            operator = match[2] if match[2][0] in "<>" else ""
            message = f"A colon follows the name of a field; put quotes around {match[0][:40]} to search for it as text."
            suggestion = f"{sign}{match[1]}:{operator}{match[3]}" if match[3] else ""
            raise QueryError(message, token.start, len(match[0]), suggestion)

    def _group(self, opening: Token, field: _Target | None, start: int | None = None) -> Node:
        node = self._either(field)
        closing = self._accept(TokenKind.CLOSE)
        if closing is None:
            raise QueryError("This ( is never closed.", opening.start, 1)
        # The parentheses belong to the node, so that cutting it out of the text takes them along.
        return replace(node, start=opening.start if start is None else start, end=closing.end)

    def _field(self, token: Token) -> Node:
        target = self._find_field(token)
        value = self._peek()
        if value is None or value.start != token.end or value.kind not in (TokenKind.WORD, TokenKind.STRING, TokenKind.OPEN):
            written = self.text[token.start : token.end]
            message = f"Write a value right after {written} without a space between, such as {target.field.example}."
            raise QueryError(message, token.start, token.end - token.start)
        self.at += 1
        if value.kind is TokenKind.OPEN:
            return self._group(value, target, token.start)
        return self._term(target, value, token.start)

    def _find_field(self, token: Token) -> _Target:
        if self.known is TRACE_NAMES and token.text.lower().startswith(_TRACE_PREFIX):
            return self._find_total(token)
        field = find_field(token.text, self.known)
        if field is None:
            name = f"{token.text}.{token.key}" if token.key else token.text
            message = f"There is no field “{name[:40]}”." if name else "A field's name comes before the colon."
            suggestion = _suggest_name(name, self.known)
            if not suggestion:
                message += " Put quotes around a text that holds a colon."
            raise QueryError(message, token.start, token.end - token.start - 1, suggestion)
        has_dot = self.text[token.start : token.end].endswith((".:", '."":'))
        if not token.key and (field.needs_key or (field.takes_key and has_dot)):
            noun = "attribute" if field.needs_key else "score"
            message = f"Name the {noun} after {field.name} and a dot, such as {field.example}."
            raise QueryError(message, token.start, token.end - token.start)
        return _Target(field, token.key)

    def _find_total(self, token: Token) -> _Target:
        name = token.text[len(_TRACE_PREFIX) :]
        field = find_field(name)
        if field is None or not field.has_total:
            message = f"A whole trace has no “{name[:40]}”; what it has is written like trace.cost:>1 or trace.status:error."
            near = "" if field else suggest_field(name)
            raise QueryError(message, token.start, token.end - token.start - 1, near and _TRACE_PREFIX + near)
        return _Target(field, of_trace=True)

    def _term(self, target: _Target, token: Token, start: int) -> Term:
        self._count_term(token)
        field, key, value = target.field, target.key, None
        if field.type is FieldType.PRESENCE:
            field, key, value = parse_presence(token, self.known)
        if self.asks_span and (target.of_trace or field.is_of_trace):
            message = f"One span has no {field.name}, only its trace: write it outside, such as trace.{field.example}."
            raise QueryError(message, start, token.end - start)
        value = value or parse_value(field, token)
        if self.asks_span and field.name == "status" and value == Pattern(("running",)):
            raise QueryError("A span that is stored has ended: ask its trace for status:running.", start, token.end - start)
        return Term(field.name, key, value, target.of_trace, start, token.end)

    def _count_term(self, token: Token) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise QueryError(f"A query has at most {MAX_TERMS} conditions.", token.start, token.end - token.start)

    def _spans(self, token: Token) -> Spans:
        """Read a group such as `tool(refund){status:error}`: the conditions that one span meets."""
        group = self._expect_group(token)
        self._count_term(token)
        conditions: list[Node] = []
        if group.kind:
            conditions.append(Term("kind", "", Pattern((group.kind,)), False, token.start, token.end))
        if opening := self._accept(TokenKind.OPEN):
            field = find_field(group.field)
            assert field is not None
            conditions.append(self._one_name(self._group(opening, _Target(field))))
        if (opening := self._peek()) and opening.kind is TokenKind.OPEN_BRACE:
            conditions += self._braces(opening)
        where = None if not conditions else conditions[0]
        if len(conditions) > 1:
            where = And(tuple(conditions), conditions[0].start, conditions[-1].end)
        return Spans(where, token.start, self.tokens[self.at - 1].end)

    def _expect_group(self, token: Token) -> SpanGroup:
        if self.known is not TRACE_NAMES:
            raise QueryError(
                "A log record has no spans. Put quotes around a text that holds parentheses.", token.start, len(token.text)
            )
        if self.in_braces:
            message = (
                "Braces hold conditions on one span. Write spans beside each other, such as tool(refund) inside agent(triage)."
            )
            raise QueryError(message, token.start, len(token.text))
        group = find_group(token.text)
        assert group is not None
        return group

    def _one_name(self, names: Node) -> Node:
        """`tool(refund order)` would ask for a span with two names, and find nothing."""
        terms = names.items if isinstance(names, And) else ()
        if sum(isinstance(term, Term) for term in terms) > 1:
            message = "A span has one name: write OR between several, or quotes around a name that holds spaces."
            words = self.text[terms[0].start : terms[-1].end]
            suggestion = quote(words) if '"' not in words else ""
            raise QueryError(message, terms[0].start, terms[-1].end - terms[0].start, suggestion)
        return names

    def _braces(self, opening: Token) -> list[Node]:
        self.at += 1
        if self._accept(TokenKind.CLOSE_BRACE):
            return []
        asked_span, self.asks_span, self.in_braces = self.asks_span, True, True
        node = self._either(None)
        self.asks_span, self.in_braces = asked_span, False
        if token := self._accept(TokenKind.CLOSE):
            raise QueryError("This ) closes nothing.", token.start, 1)
        if not self._accept(TokenKind.CLOSE_BRACE):
            raise QueryError("This { is never closed.", opening.start, 1)
        return [node]

    def _count(self, token: Token) -> Count:
        """Read `count(CONDITIONS):NUMBER`."""
        if self.known is not TRACE_NAMES or self.asks_span:
            where = "A log record has no spans" if self.known is not TRACE_NAMES else "Only a trace has spans to count"
            raise QueryError(f"{where}. Put quotes around a text that holds parentheses.", token.start, len(token.text))
        opening = self._accept(TokenKind.OPEN)
        if opening is None:
            raise QueryError(f"What to count stands between parentheses, such as {COUNT.example}.", token.start, len(token.text))
        self._count_term(token)
        self.asks_span = True
        node = self._group(opening, None)
        self.asks_span = False
        colon, value = self._accept(TokenKind.FIELD), self._accept(TokenKind.WORD)
        if colon is None or colon.start != node.end or value is None or value.start != colon.end:
            message = f"Compare the count with a number right after it, such as {COUNT.example}."
            raise QueryError(message, token.start, node.end - token.start)
        interval = parse_value(COUNT, value)
        assert isinstance(interval, Interval)
        return Count(node, interval, token.start, value.end)

    def _relate(self, left: SpanSet, is_nested: bool) -> SpanSet:
        """Read `inside agent(triage) then tool(email)` after spans; a nested part ends before `then`."""
        while relation := self._accept_relation(is_nested):
            word = self.tokens[self.at - 1]
            self.relations += 1
            if self.relations > MAX_RELATIONS:
                message = f"A query has at most {MAX_RELATIONS} of inside, then and calls."
                raise QueryError(message, word.start, word.end - word.start)
            right = self._condition(None, is_nested=relation is not Relation.THEN)
            if not isinstance(right, Spans | Related):
                message = (
                    f"Spans follow {relation}, such as {relation} agent(triage). Put quotes around {relation} to search for it."
                )
                raise QueryError(message, word.start, right.end - word.start)
            left = Related(relation, left, right, left.start, right.end)
        return left

    def _accept_relation(self, is_nested: bool = False) -> Relation | None:
        token = self._peek()
        word = self.text[token.start : token.end].lower() if token and token.kind is TokenKind.WORD else ""
        if word not in tuple(Relation) or (is_nested and word == Relation.THEN):
            return None
        self.at += 1
        return Relation(word)

    def _refuse_relation_of_conditions(self, node: Node) -> None:
        """`tool:a then tool:b` would search for the word "then"."""
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        if following is None or following.kind not in (TokenKind.FIELD, TokenKind.GROUP) or not isinstance(node, Term):
            return
        relation = self._accept_relation()
        if relation is None or (node.field == "text" and following.kind is TokenKind.FIELD):
            self.at -= relation is not None
            return
        group, written = find_group(node.field), self.text[node.start : node.end]
        is_group = group is not None and group.field == node.field and not written.startswith("(")
        suggestion = f"{node.field}({written.partition(':')[2]})" if is_group else ""
        message = (
            f"Spans stand before and after {relation}, such as tool(refund) {relation} agent(triage)."
            f" Put quotes around {relation} to search for the word."
        )
        raise QueryError(message, node.start, node.end - node.start, suggestion)

    def _missing_condition(self, token: Token | None) -> QueryError:
        before = self.tokens[self.at - 1] if self.at else None
        if token and token.kind is TokenKind.CLOSE and before and before.kind is TokenKind.OPEN:
            return QueryError("There is nothing between these parentheses.", before.start, token.end - before.start)
        if before and before.kind is not TokenKind.CLOSE:
            word = self.text[before.start : before.end]
            return QueryError(f"A condition is missing after {word}.", before.start, before.end - before.start)
        found = token or self.tokens[-1]
        word = self.text[found.start : found.end]
        return QueryError(f"A condition is missing before {word}.", found.start, found.end - found.start)


def _suggest_name(written: str, known: Known) -> str:
    """Return the field, attribute or exclusion that was probably meant, "" when none is near."""
    name = written.lstrip(_OTHER_MINUS)
    head = find_field(name.partition(".")[0], known)
    if find_field(name, known) or (head and head.takes_key):
        meant = name
    else:
        meant = f"attr.{name}" if _ATTRIBUTE_NAME.fullmatch(name) else suggest_field(name, known)
    return meant and ("-" if name != written else "") + meant


_found = find_field("text")
assert _found is not None
_TEXT: Field = _found
