"""Query text -> tokens. The only place that knows quotes, escapes and where a word ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from tracestore.language.errors import QueryError
from tracestore.language.fields import COUNT, GROUP_NAMES, KEYED, find_field, suggest


class TokenKind(Enum):
    """What a token is."""

    OPEN = auto()
    CLOSE = auto()
    OPEN_BRACE = auto()
    CLOSE_BRACE = auto()
    GROUP = auto()  # a name that an opening parenthesis or brace follows; `text` is the name in lower case
    MINUS = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    FIELD = auto()  # a name and its colon; `text` is the name
    WORD = auto()
    STRING = auto()


@dataclass(frozen=True)
class Token:
    """A token and where it stands. `text` has quotes and escapes resolved; `parts` is it cut at its wildcards."""

    kind: TokenKind
    start: int
    end: int
    text: str = ""
    parts: tuple[str, ...] = ()
    key: str = ""  # of a FIELD token that names an attribute or a score


_OPERATORS = {"AND": TokenKind.AND, "OR": TokenKind.OR, "NOT": TokenKind.NOT}
_LONE_MINUS = re.compile(r"-(?:\s+(\S+)|\s*$)")
# A text between the quotes of a shell or of a word processor, which are not ours. An apostrophe within a word is none.
_OTHER_QUOTES = re.compile(r"""['`‘’“”„«](.*?)['`‘’“”»](?=[\s)}]|$)""", re.DOTALL)


_GROUP = re.compile(r"([A-Za-z_]+)(?=[({])")


class _Inside(Enum):
    """What an open parenthesis or brace holds."""

    CONDITIONS = auto()
    VALUES = auto()  # of a field
    NAMES = auto()  # values too: of a group of spans
    COUNTED = auto()  # conditions, after which a colon and a number come
    BRACES = auto()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.tokens: list[Token] = []
        self.open: list[_Inside] = []
        self.names_end = -1  # where the parenthesis of a group's names closed last

    def run(self) -> list[Token]:
        while self.at < len(self.text):
            character = self.text[self.at]
            if character.isspace():
                self.at += 1
            elif character == "(":
                self.open.append(self._opened())
                self._add(TokenKind.OPEN, self.at + 1)
            elif character == ")":
                self._close()
            elif character == "{" and self._after_group():
                self.open.append(_Inside.BRACES)
                self._add(TokenKind.OPEN_BRACE, self.at + 1)
            elif character == "}" and _Inside.BRACES in self.open:
                while self.open.pop() is not _Inside.BRACES:
                    pass  # parentheses that were not closed: the parser will say so
                self._add(TokenKind.CLOSE_BRACE, self.at + 1)
            elif character == "-" and not self._after_field():
                self._refuse_lone_minus()
                self._add(TokenKind.MINUS, self.at + 1)
            elif character == '"':
                text, end = self._read_string(self.at)
                self._add(TokenKind.STRING, end, text, (text,))
                self._expect_end_of_word()
            else:
                self._read_word()
        return self.tokens

    def _add(self, kind: TokenKind, end: int, text: str = "", parts: tuple[str, ...] = (), key: str = "") -> None:
        self.tokens.append(Token(kind, self.at, end, text, parts, key))
        self.at = end

    def _after_field(self) -> bool:
        return bool(self.tokens) and self.tokens[-1].kind is TokenKind.FIELD and self.tokens[-1].end == self.at

    def _in_values(self) -> bool:
        return bool(self.open) and self.open[-1] in (_Inside.VALUES, _Inside.NAMES)

    def _opened(self) -> _Inside:
        """Return what the parenthesis that opens here holds."""
        last = self.tokens[-1] if self.tokens else None
        if last and last.kind is TokenKind.GROUP:
            return _Inside.COUNTED if last.text == COUNT.name else _Inside.NAMES
        return _Inside.VALUES if self._after_field() or self._in_values() else _Inside.CONDITIONS

    def _close(self) -> None:
        closed = self.open.pop() if self.open and self.open[-1] is not _Inside.BRACES else None
        self._add(TokenKind.CLOSE, self.at + 1)
        if closed is _Inside.NAMES:
            self.names_end = self.at
        if closed is _Inside.COUNTED and self.text[self.at : self.at + 1] == ":":
            self._add(TokenKind.FIELD, self.at + 1, COUNT.name)

    def _after_group(self) -> bool:
        """Tell whether a brace here opens the conditions of a group of spans."""
        last = self.tokens[-1] if self.tokens else None
        if last is None or (last.kind is not TokenKind.GROUP and last.end != self.names_end):
            return False
        if last.end != self.at:
            message = "The { stands right after the ), without a space between. Put quotes around a text that starts with {."
            raise QueryError(message, self.at, 1)
        return True

    def _read_string(self, start: int) -> tuple[str, int]:
        """Return the text between the quotes that open at `start`, and the position after the closing one."""
        characters: list[str] = []
        at = start + 1
        while at < len(self.text):
            character = self.text[at]
            if character == '"':
                return "".join(characters), at + 1
            if character == "\\" and self.text[at + 1 : at + 2] in ('"', "\\"):
                at += 1
                character = self.text[at]
            characters.append(character)
            at += 1
        raise QueryError('This quote is never closed. End the text with ".', start, len(self.text) - start)

    def _refuse_lone_minus(self) -> None:
        """`- env:dev` would search for a dash and demand what it was meant to exclude."""
        match = _LONE_MINUS.match(self.text, self.at)
        if match:
            message = "A dash stands right before what it excludes. Put quotes around it to search for a dash."
            raise QueryError(message, self.at, match.end() - self.at, f"-{match[1]}" if match[1] else '"-"')

    def _refuse_other_quotes(self) -> None:
        """`tool:'x'` would ask for a tool whose name holds the quotes, and find nothing."""
        if match := _OTHER_QUOTES.match(self.text, self.at):
            message = 'Quotes are written ". Put them around a text that holds quotes of another kind.'
            raise QueryError(message, self.at, match.end() - self.at, quote(match[1]))

    def _read_word(self) -> None:
        """Read a word, or a field name when it meets a colon where one may stand."""
        self._refuse_other_quotes()
        may_name_field = not self._after_field() and not self._in_values()
        if may_name_field and (group := _GROUP.match(self.text, self.at)) and group[1].lower() in GROUP_NAMES:
            self._add(TokenKind.GROUP, group.end(), group[1].lower())
            return
        start = at = self.at
        parts = [""]
        ends = '()"}' if _Inside.BRACES in self.open else '()"'
        while at < len(self.text) and not self.text[at].isspace() and self.text[at] not in ends:
            character = self.text[at]
            if character == "\\":
                if at + 1 >= len(self.text):
                    raise QueryError("A backslash needs a character to escape. Write two for a backslash itself.", at, 1)
                parts[-1] += self.text[at + 1]
                at += 2
                continue
            if character == ":" and may_name_field:
                self._add_field("*".join(parts), at + 1)
                return
            if character == "*":
                parts.append("")
            else:
                parts[-1] += character
            at += 1
        if may_name_field and self.text[start:at].lower() in KEYED and self.text[at : at + 1] == '"':
            self._read_quoted_key(KEYED[self.text[start:at].lower()], at)
            return
        operator = _OPERATORS.get(self.text[start:at]) if not self._after_field() else None
        self._add(operator or TokenKind.WORD, at, "*".join(parts), tuple(parts))
        if not operator:
            self._refuse_unknown_group(may_name_field)
            self._expect_end_of_word()

    def _read_quoted_key(self, field: str, at: int) -> None:
        key, end = self._read_string(at)
        if self.text[end : end + 1] != ":":
            noun = "An attribute" if field == "attr" else "A score"
            raise QueryError(f"{noun}'s name is followed by a colon and a value.", self.at, end - self.at)
        self._add(TokenKind.FIELD, end + 1, field, key=key)

    def _add_field(self, name: str, end: int) -> None:
        for prefix, field in KEYED.items():
            if name.lower().startswith(prefix):
                self._add(TokenKind.FIELD, end, field, key=name[len(prefix) :])
                return
        self._add(TokenKind.FIELD, end, name)

    def _refuse_unknown_group(self, may_name_group: bool) -> None:
        last = self.tokens[-1]
        if not may_name_group or self.text[self.at : self.at + 1] != "(":
            return
        if meant := suggest(last.text.lower(), GROUP_NAMES):
            raise QueryError(f"There are no spans “{last.text[:40]}”.", last.start, last.end - last.start, meant)
        if find_field(last.text):
            message = (
                f"A colon follows the field {last.text}. Only spans are written with parentheses alone, such as tool(refund)."
            )
            raise QueryError(message, last.start, last.end - last.start, f"{last.text}:")

    def _expect_end_of_word(self) -> None:
        ends = ")}" if _Inside.BRACES in self.open else ")"
        if self.at < len(self.text) and not self.text[self.at].isspace() and self.text[self.at] not in ends:
            last = self.tokens[-1]
            raise QueryError("Leave a space here, or put quotes around the whole text.", last.start, self.at + 1 - last.start)


def quote(text: str) -> str:
    """Return `text` as a STRING token that means it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def tokenize(text: str) -> list[Token]:
    """Cut `text` into tokens. Raises QueryError."""
    return _Lexer(text).run()
