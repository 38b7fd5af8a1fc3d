"""Differences of texts: both can be read back from them, and nothing that is equal counts as changed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.comparing.text_diff import MAX_CHARS, MAX_LINES, Piece, TextDiff, diff_texts

_WORDS = ["the ", "order", " was", "\n", "refunded", "é", "{", '"a": 1,\n', "   "]
_TEXTS = st.lists(st.sampled_from(_WORDS), max_size=40).map("".join)


def _read(diff: TextDiff, side: str) -> list[str]:
    return ["".join(piece.text for piece in (hunk.a if side == "a" or hunk.kind == "same" else hunk.b)) for hunk in diff.hunks]


@given(_TEXTS, _TEXTS)
@settings(max_examples=200, deadline=None)
def test_both_texts_stand_in_the_difference(a: str, b: str) -> None:
    diff = diff_texts(a, b)

    assert diff.is_same == (a == b)
    if not diff.is_same:
        skipped = sum(hunk.skipped for hunk in diff.hunks)
        assert skipped or "".join(_read(diff, "a")) == a
        assert skipped or "".join(_read(diff, "b")) == b
        assert any(piece.is_changed for hunk in diff.hunks for piece in (*hunk.a, *hunk.b))


def test_changed_words_are_marked_on_both_sides() -> None:
    [hunk] = diff_texts("Refund order A-17 on Monday.", "Refund order A-18 on Monday.").hunks

    assert hunk.kind == "changed"
    assert hunk.a == [Piece("Refund order A-", False), Piece("17", True), Piece(" on Monday.", False)]
    assert [piece.text for piece in hunk.b if piece.is_changed] == ["18"]


def test_sentences_that_share_only_blanks_are_changed_as_a_whole() -> None:
    [hunk] = diff_texts("quick brown foxes jump", "lazy dogs a lot sleep").hunks

    assert hunk.a == [Piece("quick brown foxes jump", True)]


def test_equal_lines_far_from_a_change_are_skipped() -> None:
    same = "".join(f"line {number}\n" for number in range(50))

    diff = diff_texts(same + "one\n", same + "two\n")

    assert [hunk.kind for hunk in diff.hunks] == ["skipped", "same", "same", "same", "changed"]
    assert diff.hunks[0].skipped == 47


def test_huge_texts_are_cut_and_say_so() -> None:
    long_lines, many_lines = diff_texts("a" * 10**6, "b" * 10**6), diff_texts("a\n" * 5_000, "b\n" * 5_000)

    assert long_lines.hidden_chars == 10**6 - MAX_CHARS
    assert many_lines.hidden_chars == 10_000 - 2 * MAX_LINES


def test_texts_without_any_equal_line_stay_within_bounds() -> None:
    one = "".join(f"{number % 17} {number * 7919 % 1000}\n" for number in range(2_000))
    other = "".join(f"{number % 13} {number * 104729 % 1000}\n" for number in range(2_000))

    diff = diff_texts(one, other)

    assert "".join(_read(diff, "a")).count("\n") + sum(hunk.skipped for hunk in diff.hunks) == 2_000
