from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from dashboards.templatetags import comparing, formatting
from dashboards.templatetags.comparing import changed_items

S = 1_000_000_000


def test_axis_has_seconds_only_where_it_is_short() -> None:
    moment_ns = 1_800_000_000 * S

    assert [formatting.axis_time_ns(moment_ns, seconds) for seconds in (900, 86_400)] == ["Jan 15 08:00:00", "Jan 15 08:00"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ns"),
        (850, "850 ns"),
        (3_200, "3.2 µs"),
        (5_900_000, "5.9 ms"),
        (45_000_000, "45 ms"),
        (1_240_000_000, "1.24 s"),
        (12_340_000_000, "12.3 s"),
        (59_990_000_000, "1 m"),
        (125 * S, "2 m 05 s"),
        (1800 * S, "30 m"),
        (11_520 * S, "3 h 12 m"),
        (100 * 3600 * S, "4 d 04 h"),
    ],
)
def test_duration_has_two_units_at_most(value: int | None, text: str) -> None:
    assert formatting.duration_ns(value) == text.replace(" ", "\u00a0")  # no line ends between a number and its unit


def test_points_of_a_column_stand_below_each_other() -> None:
    durations = (None, 45_000_000, 4 * S, 12_340_000_000, 59_990_000_000, 59_996_000_000, 125 * S)
    costs = (None, 0.0, 0.000_04, 0.000_17, 0.01, 0.392, 0.999_996, 1.27)

    assert [formatting.duration_cell(value).replace("\u00a0", " ") for value in durations] == [
        "–", "45 ms", "4.00 s", "12.34 s", "59.99 s", "1 m", "2 m 05 s",
    ]  # fmt: skip
    assert [formatting.cost_cell(value) for value in costs] == [
        "–", "$0", "$0.000040", "$0.00017", "$0.01000", "$0.39200", "$1.000", "$1.27",
    ]  # fmt: skip


def test_differences_of_a_column_have_the_same_decimals() -> None:
    durations = (None, 0, 45_000_000, -4 * S, 12_340_000_000)
    costs = (None, 0.0, 0.000_004, 0.000_006, -0.01, 0.392, -1.27)

    assert [comparing.signed_duration_cell(value).replace("\u00a0", " ") for value in durations] == [
        "–", "±0", "+45 ms", "−4.00 s", "+12.34 s",
    ]  # fmt: skip
    assert [comparing.signed_cost_cell(value) for value in costs] == [
        "–", "±0", "±0", "+$0.00001", "−$0.01000", "+$0.39200", "−$1.27",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "$0"),
        (0.000_000_04, "<$0.000001"),
        (0.0042, "$0.0042"),
        (0.000_83, "$0.00083"),
        (0.137, "$0.137"),
        (1.27, "$1.27"),
        (12_340.4, "$12,340"),
    ],
)
def test_cost_keeps_two_significant_digits(value: float | None, text: str) -> None:
    assert formatting.cost_usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (950, "950"), (3_140, "3.1k"), (24_400, "24k"), (999_700, "1M"), (1_240_000, "1.2M")],
)
def test_tokens_are_rounded_to_their_magnitude(value: int | None, text: str) -> None:
    assert formatting.tokens(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0%"), (0.0004, "<0.1%"), (0.042, "4.2%"), (0.57, "57%"), (0.9996, "99.9%"), (1, "100%")]
)
def test_ratio_never_rounds_a_flaw_away(value: float | None, text: str) -> None:
    assert formatting.ratio(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "now"),
        (12, "12\u00a0s ago"),
        (300, "5\u00a0m ago"),
        (7200, "2\u00a0h ago"),
        (3 * 86_400, "3\u00a0d ago"),
        (-300, "in 5\u00a0m"),
    ],
)
def test_ago_says_how_long_before_now(seconds: float, text: str) -> None:
    now_ns = 1_800_000_000 * S

    assert formatting.ago(now_ns - int(seconds * S), now_ns) == text


def test_moment_stands_beside_how_long_ago_it_was() -> None:
    html = formatting.time_ago(1_795_163_400_123_456_789)

    assert html.startswith('<time datetime="2026-11-20T08:30:00.123456789Z" title="2026-11-20 08:30:00.123 UTC">')
    assert html.endswith("</time>")


def test_moments_are_written_in_utc() -> None:
    assert formatting.time_ns(1_795_163_400_123_456_789) == "2026-11-20 08:30:00.123"


def test_control_and_direction_characters_become_visible() -> None:
    assert formatting.visible("a\x07\u202eexe\u200b") == "a␇\\u202eexe\\u200b"


def test_excerpt_is_one_line_and_says_that_it_was_cut() -> None:
    assert formatting.excerpt("one\n  two three", 9) == "one two…"
    assert formatting.excerpt("one\ntwo", 20) == "one two"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("PaymentGatewayTimeout", "Payment<wbr>Gateway<wbr>Timeout"),
        ("errors.HTTPError_v2", "errors.<wbr>HTTPError_<wbr>v2"),
        ("lookup_order, <b>", "lookup_<wbr>order, &lt;b&gt;"),
        ("", ""),
    ],
)
def test_identifier_breaks_between_its_words(text: str, html: str) -> None:
    assert formatting.breakable(text) == html


@pytest.mark.parametrize(
    ("difference", "compared", "text", "is_marked"),
    [
        (None, None, "–", False),
        (0.0, 1.0, "the same", False),
        (1e-12, 0.5, "the same", False),
        (0.00009, 0.0001, "+$0.000090 (+90%)", False),
        (0.0002, 0.5, "+$0.00020 (<0.1%)", False),
        (-0.25, 0.5, "−$0.250 (−50%)", True),
        (0.25, 0.0, "+$0.250", True),
        (0.4965, 0.0035, "+$0.496 (+14,186%)", True),
    ],
)
def test_cost_difference_has_sign_unit_and_share(
    difference: float | None, compared: float | None, text: str, is_marked: bool
) -> None:
    compared_costs = SimpleNamespace(cost_difference_usd=difference, compared_cost_usd=compared)

    assert formatting.cost_difference(compared_costs) == text
    assert formatting.costs_disagree(compared_costs) is is_marked


@pytest.mark.parametrize(
    ("message", "error_type", "text"),
    [
        ("Timeout: no answer", "Timeout", "no answer"),
        ("Timeout: no answer", "errors.Timeout", "no answer"),
        ("errors.Timeout: no answer", "errors.Timeout", "no answer"),
        ("Timeout: ", "Timeout", "Timeout: "),
        ("Timeouts: none", "Timeout", "Timeouts: none"),
        (": no answer", "", ": no answer"),
    ],
)
def test_message_does_not_repeat_the_type_beside_it(message: str, error_type: str, text: str) -> None:
    assert formatting.after_type(message, error_type) == text


def test_long_lists_are_compared_at_once() -> None:
    tools = [f"tool {number}" for number in range(50_000)]
    started = time.process_time()

    said = changed_items(["old", *tools], [*tools, "new"])

    assert said == "+new −old"
    assert time.process_time() - started < 5  # each against each takes a minute
