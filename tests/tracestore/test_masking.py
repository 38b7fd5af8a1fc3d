"""Presets find what they say and spare what traces need; own rules are checked; no text or pattern costs more than its size."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from tracestore.privacy.masking import MAX_RULES, PRESETS, BadRule, MaskingTooSlow, build_masker, build_rule

ALL = build_masker(PRESETS, ())


def mask(text: str, *presets: str, rules: tuple[tuple[str, str], ...] = (), **options: Any) -> str:
    return build_masker(presets or PRESETS, rules, **options).mask(text.encode(), Counter()).decode()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Write to jane.doe+x@mail.example.co.uk, please", "Write to [email], please"),
        ("jürgen@müller.de; иван@почта.рф", "[email]; [email]"),
        ("请联系jane@example.com吧", "请联系[email]吧"),
        ('{"a": "x\\njane@example.com\\n"}', '{"a": "x\\n[email]\\n"}'),
        ('"\\u00e9jane@example.com"', '"\\u00e9[email]"'),
        ("4111111111111111 4111111111111111", "[card] [card]"),
        ("4111-1111-1111-1111, 5555 5555 5555 4444", "[card], [card]"),
        ("amex 378282246310005 or 3782 822463 10005", "amex [card] or [card]"),
        ("ref 5234 4111111111111111", "ref 5234 [card]"),
        ('{"card": 6011111111111117, "exp": "12/27"}', '{"card": [card], "exp": "12/27"}'),
        ("+49 (0)30 901820-0, 0049 30 901820", "[phone], [phone]"),
        ("(415) 555-2671, 1-415-555-2671, 415.555.2671", "[phone], [phone], [phone]"),
        ('"call\\n\\u002B14155552671"', '"call\\n[phone]"'),
        ("key sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "key [api_key]"),
        ("AKIAIOSFODNN7EXAMPLE ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[api_key] [api_key]"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv xoxb-1234567890-abcdef", "[api_key] [api_key]"),
        ('"\\nsk-abcdefghijklmnopqrstuvwx"', '"\\n[api_key]"'),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN", "[token]"),
        ("Authorization: Bearer abcdef1234567890abcdef", "Authorization: Bearer [token]"),
        ("postgres://app:s3cret!@db:5432/x", "postgres://app:[token]@db:5432/x"),
        ("password=hunter22&x=1, 'api_key': 'abcdefgh'", "password=[secret]&x=1, 'api_key': '[secret]'"),
        ('{\\"client_secret\\": \\"abcdefgh\\"}', '{\\"client_secret\\": \\"[secret]\\"}'),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[private_key]\nrest"),
        ('"-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B\\n"', '"[private_key]"'),
    ],
)
def test_preset_replaces_what_it_names(text: str, stored: str) -> None:
    assert mask(text) == stored


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_example_of_a_preset_is_masked_by_it_alone(preset: Any) -> None:
    assert f"[{preset.name}]" in mask(preset.example, preset.name)


@pytest.mark.parametrize(
    "text",
    [
        "1763733600 1763733600000 1763733600000000 1763733600000000000",  # s, ms, µs, ns
        "+1763733600000 -1763733600000",  # in a diff
        "2026-11-21T13:43:48.123456+00:00 2026-11-21 20261121134348",
        "550e8400-e29b-41d4-a716-446655440000 12345678-4111-4111-4111-123456789012",
        "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709 v1.2.3-rc.4+build.5 sha256:9f86d081884c7d65",
        '{"prompt_tokens": 6301, "completion_tokens": 170, "total_tokens": 6471, "cost": 0.00123456789012345}',
        "gpt-4o-mini-2024-07-18 claude-sonnet-4-5-20250929 gemini-2.5-pro-preview-05-06 text-embedding-3-large",
        "chatcmpl-8f593b252a564eb3858179aed1abc call_7028fb51ea9749eb954f toolu_4b33d1472e8245b0b9f776 run-1234567890123456",
        "4111111111111112 4111111111111116 1234567812345670 4111-1111-1111-1111-1",  # wrong check digits, no network, too long
        "sizes 512 768 1024, [512, 768, 1024], 192.168.100.200:8080, 10.0.0.1, 0.4155552671, 3.141592653589793",
        "task-abcdefghijklmnopqrstuvwxyz0123 risk-abcdefghijklmnopqrstuvwxyz basic understanding-of-physics",
        "\\n@app.route('/x') react@18.2.0 max_tokens=4096 password: '' token count",
        "https://api.openai.com/v1/chat/completions?order=4111111111111112 C:\\new\\table",
    ],
)
def test_numbers_and_ids_that_traces_need_survive_every_preset(text: str) -> None:
    assert mask(text) == text


_SECRETS = ("jane@example.com", "4111 1111 1111 1111", "+49 30 901820", "sk-proj-4f9a8b7c6d5e4f3a2b1c", "Bearer 7d1c0a9e5b3f42e8")
_AROUND = st.text(alphabet=st.sampled_from('ab1 \\"\n\t{}[]:,/@.+-_é\u4e2d😀'), max_size=12)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(_AROUND, st.sampled_from(_SECRETS), _AROUND), min_size=1, max_size=4), st.integers(0, 2), st.booleans())
def test_json_stays_json_however_deep_it_is_quoted(parts: list[tuple[str, str, str]], depth: int, ascii_only: bool) -> None:
    text = json.dumps({"messages": ["".join(part) for part in parts]}, ensure_ascii=ascii_only)
    for _ in range(depth):
        text = json.dumps({"inner": text}, ensure_ascii=ascii_only)

    document = json.loads(mask(text))

    for _ in range(depth):
        document = json.loads(document["inner"])
    assert len(document["messages"]) == len(parts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5), st.sampled_from(_SECRETS), st.integers(0, 4))
def test_search_over_joined_texts_misses_none_that_a_single_search_finds(texts: list[str], secret: str, at: int) -> None:
    texts[at % len(texts)] = f"{texts[at % len(texts)]} {secret}"

    joined = ALL.find_suspects("\n".join(texts).encode("utf-8", "replace"))

    for text in texts:
        assert {rule.pattern for rule in ALL.find_suspects(text.encode("utf-8", "replace"))} <= {rule.pattern for rule in joined}


def test_own_rule_replaces_its_group_alone_and_comes_before_presets() -> None:
    rules = (("customer", "(?i)customer (?P<secret>[0-9]+)"), ("work_mail", "[a-z]+@corp\\.example"))

    stored = mask("Customer 1234 has joe@corp.example and joe@home.example", "email", rules=rules)

    assert stored == "Customer [customer] has [work_mail] and [email]"


def test_line_anchors_of_an_own_rule_hold_in_every_line() -> None:
    assert mask("a\nname: Joe\nb", "email", rules=(("name", "^name: .+$"),)) == "a\n[name]\nb"


@pytest.mark.parametrize(
    ("name", "pattern", "said"),
    [
        ("Name", "a", "lower-case"),
        ("email", "a", "choose another"),
        ("content", "a", "choose another"),
        ("x", "", "1 to 500"),
        ("x", "a" * 501, "1 to 500"),
        ("x", "(", "missing ): \\(."),
        ("x", "[", "missing ]"),
        ("x", "a)|(b", "unexpected )"),
        ("x", "a*", "empty text"),
        ("x", "a|", "empty text"),
        ("x", r"(?<=a)b", "look-behind"),
        ("x", r"(a)\1", "no pattern that RE2 understands"),
        ("x", r"\Aa", "^ and $"),
        ("x", r"a\z", "^ and $"),
        ("x", r"(?-m)^a", "^ and $"),
        ("x", "(?P<other>a)", "named secret"),
        ("x", "(?P<secret>a)|(?P<secret>b)", "named secret"),
        ("x", "((a{50}){20}){20}", "repetition"),
        ("x", r"\pL{1000}", "too large"),
        ("x", "\ud800", "half a character"),
    ],
)
def test_rule_that_cannot_be_used_is_refused_with_the_reason(name: str, pattern: str, said: str) -> None:
    with pytest.raises(BadRule, match=said.replace("^", r"\^").replace("$", r"\$").replace(")", r"\)").replace("]", r"\]")):
        build_rule(name, pattern)


def test_rules_are_limited_in_number_and_have_names_of_their_own() -> None:
    with pytest.raises(BadRule, match="at most"):
        build_masker((), [(f"r{number}", "a+b") for number in range(MAX_RULES + 1)])
    with pytest.raises(BadRule, match="same name"):
        build_masker((), [("a", "x"), ("a", "y")])
    with pytest.raises(BadRule, match="no preset"):
        build_masker(["mail"], ())


# Each of these takes a backtracking engine longer than the universe has existed.
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a+)+$b", "a" * 200_000),
        (r"(x+x+)+y", "x" * 200_000),
        (r"(\w+\s?)+!", "word " * 40_000),
        (r"([a-zA-Z]+)*\d", "q" * 200_000),
    ],
)
@pytest.mark.timeout(120)
def test_catastrophic_pattern_ends_as_soon_as_any_other(pattern: str, text: str) -> None:
    assert mask(text, "email", rules=(("hostile", pattern),)) == text


@pytest.mark.parametrize(
    "piece",
    ["a", "@", "a@", "sk-", "task-", "4", "4111 ", "+4", "eyJ.", "-----BEGIN PRIVATE KEY-----", "\\", "bearer ", "password="],
)
@pytest.mark.timeout(120)
def test_text_made_to_be_slow_is_not(piece: str) -> None:
    assert len(mask(piece * (200_000 // len(piece)))) <= 250_000 * 2


def test_search_that_fails_without_a_word_leaves_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2's set matches nothing when it runs out of memory, although one of its patterns matches everything."""
    masker = build_masker(["email"], (("explodes", "[ab]*a[ab]{60}c"),))
    monkeypatch.setitem(masker.__dict__, "_set", re2.Set.SearchSet())

    assert masker.mask(b"abab jane@example.com", Counter()) == b"abab [email]"


def test_long_text_is_searched_rule_by_rule_until_time_is_up() -> None:
    masker = build_masker(["email"], ())
    text = b"x " * 50_000 + b"jane@example.com"

    assert masker.mask(text, Counter()).endswith(b"x [email]")
    with pytest.raises(MaskingTooSlow):
        masker.mask(text, Counter(), until_s=0)
