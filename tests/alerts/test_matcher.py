from __future__ import annotations

import pytest

from alerts.on_call.matcher import MatcherError, alert_facts, parse_matcher

FACTS = alert_facts(rule="Refunds fail", severity="critical", metric="failure_rate", labels={"tool": "refund", "team": "Pay"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("severity:critical", True),
        ("severity:warning", False),
        ('rule:"refunds fail"', True),
        ("rule:refunds*", True),
        ("rule:*fail", True),
        ("rule:*unds*", True),
        ("rule:*unds", False),
        ("rule:ref*fun*ail", False),
        ("tool:refund team:pay", True),
        ("tool:refund team:core", False),
        ("-team:core", True),
        ("-team:pay", False),
        ("region:*", False),
        ("-region:*", True),
        ("team:*", True),
        ('region:""', True),
        ("metric:failure_rate", True),
        (r'rule:"a \"quoted\" name"', False),
    ],
)
def test_matcher(text: str, expected: bool) -> None:
    assert parse_matcher(text).matches(FACTS) is expected


@pytest.mark.parametrize("text", ["refund", "tool:", "tool=refund", 'rule:"open', "tool:refund,team:pay x", "x" * 501, ":a"])
def test_what_is_no_matcher_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(MatcherError, match=r"\.$"):
        parse_matcher(text)


def test_label_cannot_pass_for_the_severity() -> None:
    facts = alert_facts(rule="r", severity="info", metric="m", labels={"severity": "critical"})

    assert not parse_matcher("severity:critical").matches(facts)


def test_many_stars_come_to_an_end() -> None:
    """A regular expression would go back and forth for longer than anyone waits."""
    facts = alert_facts(rule="a" * 128, severity="info", metric="m", labels={})

    assert not parse_matcher("rule:" + "a*" * 100 + "b").matches(facts)
