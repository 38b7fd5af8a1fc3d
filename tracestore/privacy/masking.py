"""Finding and replacing what must not be stored in a text: presets, own rules, and a set of both. Pure.

Patterns run on RE2, whose time grows with the text alone, so no rule and no text can hang the server. Texts are UTF-8 bytes.
Inside JSON that stands in a string (tool arguments, messages) a match never splits an escape sequence, and a placeholder
holds nothing that would need one: JSON that was valid stays valid under every preset.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import re2

MAX_RULES, MAX_PATTERN_CHARACTERS, MAX_NAME_CHARACTERS = 32, 500, 40
# The group that is replaced where a rule has one; else the whole match is.
SECRET = "secret"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
# A program of some thousand instructions: RE2 takes that long for a byte where it cannot build an automaton.
_MAX_PROGRAM_MEM, _MAX_MEM, _MAX_SET_MEM = 128 * 2**10, 8 * 2**20, 16 * 2**20
# Longer texts are searched rule by rule, so that time is looked at in between.
_SET_BYTES = 64 * 2**10
_RESTART_BYTES = 64
_HASH_DIGITS = 10
# A letter or digit before a secret is part of it, unless it ends an escape sequence of JSON: "\nsk-..." in a string.
_START = rb"(?:^|[^0-9A-Za-z_]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
_NUMBER_START = rb"(?:^|[^0-9A-Za-z_.\-+/#]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
_ESCAPED = re.compile(rb'["\\/bfnrt]|u[0-9A-Fa-f]{4}')

# (text, start, end of a match) -> what of it is to be replaced, None for nothing
Confirm = Callable[[bytes, int, int], tuple[int, int] | None]


class MaskingTooSlow(Exception):
    """The rules take too long for a text. Only own rules do whose automaton does not fit into memory, in long texts."""


class BadRule(ValueError):
    """A rule that cannot be used; the message is for who wrote it."""


@dataclass(frozen=True)
class Rule:
    """What to look for. `spares_ids`: not applied to attributes that hold ids."""

    name: str
    pattern: bytes
    confirm: Confirm | None = None
    spares_ids: bool = False

    @cached_property
    def compiled(self) -> Any:
        return _compile(self.pattern, _MAX_MEM)

    @cached_property
    def group(self) -> int:
        return next(iter(self.compiled.groupindex.values()), 0)


@dataclass(frozen=True)
class Preset:
    """Rules that Tracestore brings along under one name, with what the Privacy page says about them."""

    name: str
    label: str
    help: str
    example: str
    rules: tuple[Rule, ...]


def _options(max_mem: int) -> Any:
    options = re2.Options()
    options.max_mem = max_mem
    options.log_errors = False
    return options


def _compile(pattern: bytes, max_mem: int) -> Any:
    return re2.compile(_multiline(pattern), _options(max_mem))


def _multiline(pattern: bytes) -> bytes:
    return b"(?m:" + pattern + b")"


def build_rule(name: str, pattern: str) -> Rule:
    """Return a rule of somebody's own. Raises BadRule, with a message that says what to change."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARACTERS:
        raise BadRule(
            f"A rule's name is 1 to {MAX_NAME_CHARACTERS} lower-case letters, digits, - and _, a letter first: it becomes the "
            f"placeholder, as in [customer_number]. {name[:60]!r} is not."
        )
    if name in PRESETS or name in ("content", "error_text", "redacted"):
        raise BadRule(f"{name!r} is the name of something else that is left out: choose another.")
    if not pattern or len(pattern) > MAX_PATTERN_CHARACTERS:
        raise BadRule(f"A pattern has 1 to {MAX_PATTERN_CHARACTERS} characters; this one has {len(pattern)}.")
    if re.search(r"(?<!\\)(?:\\\\)*\\[AzZ]", pattern) or re.search(r"\(\?[a-zA-Z]*-[a-zA-Z]*m", pattern):
        raise BadRule("Write ^ and $ for the start and end of a line, not \\A, \\z or (?-m).")
    if re.search(r"\(\?<?[=!]", pattern):
        raise BadRule("RE2 has no look-ahead and look-behind. Put what is to be replaced into a group: (?P<secret>...).")
    try:
        encoded = pattern.encode()
        # As it was typed first: messages then quote no bracket of ours, and `a)|(b` does not borrow them.
        re2.compile(encoded, _options(_MAX_PROGRAM_MEM))
        compiled = _compile(encoded, _MAX_PROGRAM_MEM)
    except UnicodeEncodeError:
        raise BadRule("The pattern holds half a character.") from None
    except re2.error as error:
        raise BadRule(f"This is no pattern that RE2 understands: {_describe(error)}.") from None
    if set(compiled.groupindex) - {SECRET.encode()} or encoded.count(_GROUP) != len(compiled.groupindex):
        raise BadRule(f"A group may be named {SECRET} alone, once: (?P<{SECRET}>...) holds what is replaced.")
    if compiled.search(b"") is not None:
        raise BadRule("The pattern matches the empty text, so it would match everywhere. Put + where it has *.")
    return Rule(name, encoded)


def _describe(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if "too large" in text:
        return "it is too large, because of its repetitions"
    return text.rstrip(".")[:200]


def _trim(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the match without halves of escape sequences: `\\n` before an address, a backslash at its end."""
    if start and text[start - 1] == 0x5C and (escaped := _ESCAPED.match(text, start)):
        start = min(escaped.end(), end)
    backslashes = end - start - len(text[start:end].rstrip(b"\\"))
    return start, end - backslashes % 2


def _is_word(text: bytes, at: int) -> bool:
    return at < len(text) and (text[at : at + 1].isalnum() or text[at] == 0x5F)


def _confirm_email(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """An escape sequence before the sign is no address: `\\n@app.route` in a program."""
    start, end = _trim(text, start, end)
    return (start, end) if start < end and text[start] != 0x40 else None


# Leading digits by length (ISO/IEC 7812 ranges of the large networks). No Visa of 13: times in milliseconds have as many.
_CARDS = (
    ({16, 19}, re.compile(r"4")),
    ({16}, re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720")),
    ({15}, re.compile(r"3[47]")),
    ({14}, re.compile(r"30[0-5]|3[689]")),
    ({16, 17, 18, 19}, re.compile(r"6011|64[4-9]|65|62|35(?:2[89]|[3-8])|50|5[678]|6[37]")),
)
_CARD_GROUPS = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)}


def _confirm_card(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """The longest start of the match that is the number of a card: its network's digits and length, and the check digit."""
    for stop in range(end, start + 13, -1):
        if _is_word(text, stop) or (text[stop : stop + 1] in (b"-", b".") and _is_word(text, stop + 1)):
            continue
        groups = re.split(r"[ -]", text[start:stop].decode())
        digits = "".join(groups)
        if not groups[-1] or (len(groups) > 1 and tuple(map(len, groups)) not in _CARD_GROUPS):
            continue
        if any(len(digits) in lengths and prefix.match(digits) for lengths, prefix in _CARDS) and _passes_luhn(digits):
            return start, stop
    return None


def _passes_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(sum(divmod(2 * number, 10)) for number in numbers[1::2])) % 10 == 0


def _confirm_phone(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    if _is_word(text, end) or (text[end : end + 1] in (b"-", b".", b":") and _is_word(text, end + 1)):
        return None
    shown = re.sub(r"^(\\+u002[Bb]|%2[Bb])", "+", text[start:end].decode())
    digits = re.sub(r"\D", "", shown)
    if shown.startswith("+"):
        # North America and Russia have one length each; a time in ms after a plus sign has another.
        right_length = len(digits) == 11 if digits[0] in "17" else 8 <= len(digits) <= 15
        return (start, end) if right_length else None
    if shown.startswith("00"):  # written without a break it may as well be a number with leading zeros
        return (start, end) if not shown.isdigit() and 10 <= len(digits) <= 17 else None
    return start, end


def _confirm_token(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Words follow "bearer" too; a token has digits."""
    return (start, end) if re.search(rb"[0-9]", text[start:end]) else None


_GROUP = b"(?P<%s>" % SECRET.encode()
_SECRET = _GROUP + b"%s)"
# Letters of alphabets that put spaces between words: an address within Chinese text ends where that begins.
_LETTERS = rb"A-Za-z\x{C0}-\x{24F}\x{370}-\x{52F}"
_EMAIL = (
    rb"[" + _LETTERS + rb"0-9._%+\-]+@(?:[" + _LETTERS + rb"0-9\-]+\.)+(?:[" + _LETTERS + rb"]{2,24}|xn--[A-Za-z0-9\-]{2,59})"
)
_CARD = _NUMBER_START + _SECRET % rb"[2-6][0-9]{3}(?:[ \-]?[0-9]){10,15}"
_PHONE = _NUMBER_START + _SECRET % (
    rb"(?:\+|\\+u002[Bb]|%2[Bb])[1-9](?:[ ().\-/]{0,2}[0-9]){7,14}"
    rb"|00[1-9](?:[ ().\-/]{0,2}[0-9]){7,14}"
    rb"|(?:1[ .\-])?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .\-][0-9]{4}"
    rb"|(?:1-)?[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}|(?:1\.)?[2-9][0-9]{2}\.[2-9][0-9]{2}\.[0-9]{4}"
)
# As their makers document them: OpenAI, Anthropic, OpenRouter, Langfuse and others (sk-), Stripe, AWS, GitHub, GitLab, Google,
# Slack, Hugging Face, Groq, xAI, Perplexity, Replicate, Tavily, LangSmith, SendGrid, npm, PyPI, DigitalOcean, Twilio, Telegram,
# Databricks, Shopify, Notion, Linear, Pinecone, Fireworks, Azure.
_API_KEY = _START + _SECRET % b"|".join(
    (
        rb"sk-[A-Za-z0-9_\-]{20,}", rb"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}", rb"whsec_[A-Za-z0-9+/=]{20,}",
        rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", rb"gh[pousr]_[A-Za-z0-9]{30,}", rb"github_pat_[A-Za-z0-9_]{22,}",
        rb"gl(?:pat|rt|dt|ptt)-[A-Za-z0-9_\-]{20,}", rb"AIza[0-9A-Za-z_\-]{35}", rb"ya29\.[0-9A-Za-z_\-]{20,}",
        rb"GOCSPX-[A-Za-z0-9_\-]{20,}", rb"xox[abeoprs]-[A-Za-z0-9\-]{10,}", rb"xapp-[A-Za-z0-9\-]{10,}",
        rb"https://hooks\.slack\.com/services/[A-Za-z0-9/]{20,}", rb"hf_[A-Za-z0-9]{30,}", rb"gsk_[A-Za-z0-9]{40,}",
        rb"xai-[A-Za-z0-9]{40,}", rb"pplx-[A-Za-z0-9]{32,}", rb"r8_[A-Za-z0-9]{30,}", rb"tvly-[A-Za-z0-9\-]{20,}",
        rb"lsv2_(?:pt|sk)_[A-Za-z0-9_]{20,}", rb"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}", rb"npm_[A-Za-z0-9]{36}",
        rb"pypi-[A-Za-z0-9_\-]{50,}", rb"do[opr]_v1_[a-f0-9]{64}", rb"SK[0-9a-f]{32}", rb"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",
        rb"dapi[0-9a-f]{32}", rb"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}", rb"ntn_[A-Za-z0-9]{40,}", rb"lin_api_[A-Za-z0-9]{30,}",
        rb"pcsk_[A-Za-z0-9_]{40,}", rb"fw_[A-Za-z0-9]{20,}", rb"AccountKey=[A-Za-z0-9+/=]{40,}",
    )
)  # fmt: skip
_TOKEN_CHARACTERS = rb"(?:[A-Za-z0-9._~+=\-]|\\?/)"
_JWT = _START + _SECRET % rb"eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){2,4}"
_BEARER = _START + rb"(?i:bearer|basic) {1,2}" + _SECRET % (_TOKEN_CHARACTERS + rb"{16,}")
_URL_PASSWORD = rb"[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@\"'\\]*:" + _SECRET % rb"[^\s/@\"'\\]+" + rb"@"
_PRIVATE_KEY = (
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:[^\"]*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|(?:[A-Za-z0-9+/=]{16,}|\s|\\+[nrt])*)"
)
_ASSIGNMENT = (
    rb"(?i:api[_\-]?key|apikey|access[_\-]?key|access[_\-]?token|auth[_\-]?token|refresh[_\-]?token|session[_\-]?token"
    rb"|client[_\-]?secret|secret[_\-]?key|secret[_\-]?access[_\-]?key|private[_\-]?key|password|passwd|passphrase)"
    rb"(?:\\*[\"'])?\s{0,4}(?:[:=]|=>)\s{0,4}(?:\\*[\"'])?" + _SECRET % rb"[^\s\"'\\,;&<>(){}\[\]]{6,}"
)


def _preset(name: str, label: str, help_text: str, example: str, *patterns: bytes, **options: Any) -> Preset:
    return Preset(name, label, help_text, example, tuple(Rule(name, pattern, **options) for pattern in patterns))


# In the order in which they are applied.
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _preset(
            "private_key", "Private keys", "PEM blocks, with line breaks or with \\n.",
            "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B\\n-----END PRIVATE KEY-----", _PRIVATE_KEY,
        ),
        _preset(
            "api_key", "API keys",
            "By their prefixes: OpenAI, Anthropic, AWS, GitHub, GitLab, Google, Slack, Stripe, Hugging Face and 20 more.",
            "OPENAI_API_KEY=sk-proj-4f9a8b7c6d5e4f3a2b1c", _API_KEY,
        ),
        _preset("token", "Tokens", "JWT, what follows Bearer or Basic, passwords in addresses (postgres://app:…@db).",
            "Authorization: Bearer 7d1c0a9e5b3f42e8", _JWT, _BEARER, _URL_PASSWORD, confirm=_confirm_token,
        ),
        _preset("secret", "Assigned secrets", "What stands after password, api_key, client_secret and the like, with = or :",
            '{"password": "correct-horse-battery"}', _ASSIGNMENT,
        ),
        _preset(
            "email", "E-mail addresses", "Any address with a domain.", "Write to jane.doe@example.com", _EMAIL,
            confirm=_confirm_email,
        ),
        _preset(
            "card", "Payment cards", "14 to 19 digits, in groups or not, that a network issues and whose check digit is right.",
            "Paid with 4111 1111 1111 1111", _CARD, confirm=_confirm_card, spares_ids=True,
        ),
        _preset(
            "phone", "Phone numbers", "International ones (+49, 0049), and North American ones with dashes, dots or brackets.",
            "Call +49 30 901820 or (415) 555-2671", _PHONE, confirm=_confirm_phone,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Masker:
    """Rules that are applied together, in their order. With `hash_key`, equal values get equal placeholders."""

    rules: tuple[Rule, ...]
    hash_key: bytes = b""

    @cached_property
    def _set(self) -> Any:
        """All rules at once; before them a pattern that matches everything, so that no match at all means a failure."""
        patterns = re2.Set.SearchSet(_options(_MAX_SET_MEM))
        for pattern in (b"", *(_multiline(rule.pattern) for rule in self.rules)):
            patterns.Add(pattern)
        patterns.Compile()
        return patterns

    def find_suspects(self, text: bytes) -> list[Rule]:
        """Return the rules that may match in this text, or in one of several that are joined by line breaks. Fast."""
        matched = self._set.Match(text) if len(text) <= _SET_BYTES else []
        if not matched:  # or RE2 ran out of memory for its automaton, which it tells in no other way
            return list(self.rules)
        return [self.rules[index - 1] for index in sorted(matched) if index]

    def mask(self, text: bytes, counts: Counter[str], *, spares_ids: bool = False, until_s: float = math.inf) -> bytes:
        """Return the text with placeholders; add to `counts` how many there are, by rule.

        `spares_ids`: the text is an id, so rules that would take one for something else are left out. Raises
        MaskingTooSlow when the monotonic clock has passed `until_s`.
        """
        for rule in self.find_suspects(text):
            if time.monotonic() > until_s:
                raise MaskingTooSlow
            if not (rule.spares_ids and spares_ids):
                text = self._replace(rule, text, counts)
        return text

    def _replace(self, rule: Rule, text: bytes, counts: Counter[str]) -> bytes:
        pieces: list[bytes] = []
        at = done = 0
        while at <= len(text) and (match := rule.compiled.search(text, at)) is not None:
            start, end = match.span(rule.group)
            if start < 0:  # the group took no part
                start, end = match.span()
            found = rule.confirm(text, start, end) if rule.confirm else _trim(text, start, end)
            if found is None or found[0] >= found[1]:
                # A short match may hide another; a long one is not looked at twice, so that time grows with the text alone.
                at = max(at + 1, start + 1 if end - start <= _RESTART_BYTES else end)
                continue
            pieces += (text[done : found[0]], self._placeholder(rule.name, text[found[0] : found[1]]))
            at = done = found[1]
            counts[rule.name] += 1
        return b"".join((*pieces, text[done:])) if pieces else text

    def _placeholder(self, name: str, value: bytes) -> bytes:
        if not self.hash_key:
            return f"[{name}]".encode()
        digest = hmac.new(self.hash_key, name.encode() + b"\0" + value, hashlib.sha256).hexdigest()
        return f"[{name}:{digest[:_HASH_DIGITS]}]".encode()


def build_masker(presets: Iterable[str], rules: Iterable[tuple[str, str]], *, hash_key: bytes = b"") -> Masker:
    """Return the masker of these presets and own rules (name, pattern); own ones come first. Raises BadRule."""
    own = [build_rule(name, pattern) for name, pattern in rules]
    if len(own) > MAX_RULES:
        raise BadRule(f"A project has at most {MAX_RULES} rules of its own.")
    if len({rule.name for rule in own}) < len(own):
        raise BadRule("Two rules have the same name.")
    wanted = set(presets)
    if unknown := wanted - PRESETS.keys():
        raise BadRule(f"There is no preset {sorted(unknown)[0][:60]!r}; there are {', '.join(PRESETS)}.")
    chosen = [rule for preset in PRESETS.values() if preset.name in wanted for rule in preset.rules]
    return Masker((*own, *chosen), hash_key)
