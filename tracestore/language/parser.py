"""Tokens -> tree, by recursive descent:

either    = all { "OR" all }
all       = condition { [ "AND" ] condition }
condition = ( "NOT" | "-" ) condition | "(" either ")" | FIELD value | WORD | STRING
value     = WORD | STRING | "(" either ")"        inside these parentheses every word is a value of the field
"""

from __future__ import annotations

import re
from dataclasses import replace

from tracestore.language.errors import QueryError
from tracestore.language.fields import LOG_NAMES, TRACE_NAMES, Field, FieldType, Known, find_field, suggest_field
from tracestore.language.lexer import Token, TokenKind, tokenize
from tracestore.language.tree import And, Node, Not, Or, Query, Term
from tracestore.language.values import parse_value

MAX_LENGTH = 2000
MAX_DEPTH = 20
# Each condition may become a subquery; more than this would exceed what one SQL statement may hold.
MAX_TERMS = 50
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


class _Parser:
    def __init__(self, text: str, tokens: list[Token], known: Known) -> None:
        self.text = text
        self.known = known
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.terms = 0

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
        if not any(token.kind is TokenKind.FIELD for token in self.tokens):
            return
        for token in self.tokens:
            word = self.text[token.start : token.end]
            if token.kind is TokenKind.WORD and word in _OTHER_OPERATORS:
                operator = _OTHER_OPERATORS[word]
                capitals = " in capitals" if word.isalpha() else ""
                message = f'Write {operator}{capitals} to combine conditions, or "{word}" in quotes to search for it.'
                raise QueryError(message, token.start, len(word), operator)

    def _either(self, field: tuple[Field, str] | None) -> Node:
        items = [self._all(field)]
        while self._accept(TokenKind.OR):
            items.append(self._all(field))
        return items[0] if len(items) == 1 else Or(tuple(items), items[0].start, items[-1].end)

    def _all(self, field: tuple[Field, str] | None) -> Node:
        items = [self._condition(field)]
        while (token := self._peek()) and token.kind not in (TokenKind.OR, TokenKind.CLOSE):
            self._accept(TokenKind.AND)
            items.append(self._condition(field))
        return items[0] if len(items) == 1 else And(tuple(items), items[0].start, items[-1].end)

    def _condition(self, field: tuple[Field, str] | None) -> Node:
        token = self._peek()
        if token is None or token.kind in (TokenKind.AND, TokenKind.OR, TokenKind.CLOSE):
            raise self._missing_condition(token)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError(f"Parentheses and NOT nest at most {MAX_DEPTH} deep.", token.start, token.end - token.start)
        self.at += 1
        node = self._start_condition(token, field)
        self.depth -= 1
        return node

    def _start_condition(self, token: Token, field: tuple[Field, str] | None) -> Node:
        if token.kind in (TokenKind.NOT, TokenKind.MINUS):
            item = self._condition(field)
            return Not(item, token.start, item.end)
        if token.kind is TokenKind.OPEN:
            return self._group(token, field)
        if token.kind is TokenKind.FIELD:
            return self._field(token)
        if field is None:
            self._refuse_comparison_without_colon(token)
        return self._term(field or (_TEXT, ""), token, token.start)

    def _refuse_comparison_without_colon(self, token: Token) -> None:
        """`duration>2s` or `tool = x` would search for that text and find nothing: say how it is written."""
        match = _WITHOUT_COLON.match(self.text, token.start) if token.kind is TokenKind.WORD else None
        if match and find_field(match[1], self.known):
            sign = "-" if match[2] == "!=" else ""
            operator = match[2] if match[2][0] in "<>" else ""
            message = f"A colon follows the name of a field; put quotes around {match[0][:40]} to search for it as text."
            suggestion = f"{sign}{match[1]}:{operator}{match[3]}" if match[3] else ""
            raise QueryError(message, token.start, len(match[0]), suggestion)

    def _group(self, opening: Token, field: tuple[Field, str] | None, start: int | None = None) -> Node:
        node = self._either(field)
        closing = self._accept(TokenKind.CLOSE)
        if closing is None:
            raise QueryError("This ( is never closed.", opening.start, 1)
        # The parentheses belong to the node, so that cutting it out of the text takes them along.
        return replace(node, start=opening.start if start is None else start, end=closing.end)

    def _field(self, token: Token) -> Node:
        field = self._find_field(token)
        value = self._peek()
        if value is None or value.start != token.end or value.kind not in (TokenKind.WORD, TokenKind.STRING, TokenKind.OPEN):
            written = self.text[token.start : token.end]
            message = f"Write a value right after {written} without a space between, such as {field.example}."
            raise QueryError(message, token.start, token.end - token.start)
        self.at += 1
        if value.kind is TokenKind.OPEN:
            return self._group(value, (field, token.key), token.start)
        return self._term((field, token.key), value, token.start)

    def _find_field(self, token: Token) -> Field:
        field = find_field(token.text, self.known)
        if field is None:
            message = f"There is no field “{token.text[:40]}”." if token.text else "A field's name comes before the colon."
            suggestion = _suggest_name(token.text, self.known)
            if not suggestion:
                message += " Put quotes around a text that holds a colon."
            raise QueryError(message, token.start, token.end - token.start - 1, suggestion)
        if field.type is FieldType.ATTRIBUTE and not token.key:
            message = f"Name the attribute after attr and a dot, such as {field.example}."
            raise QueryError(message, token.start, token.end - token.start)
        return field

    def _term(self, field: tuple[Field, str], token: Token, start: int) -> Term:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise QueryError(f"A query has at most {MAX_TERMS} conditions.", token.start, token.end - token.start)
        return Term(field[0].name, field[1], parse_value(field[0], token), start, token.end)

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
    if find_field(name, known) or (head and head.type is FieldType.ATTRIBUTE):
        meant = name
    else:
        meant = f"attr.{name}" if _ATTRIBUTE_NAME.fullmatch(name) else suggest_field(name, known)
    return meant and ("-" if name != written else "") + meant


_found = find_field("text")
assert _found is not None
_TEXT: Field = _found
