from __future__ import annotations

import pytest

from alerts.evidence.focus import find_focus, narrow
from alerts.messages.wording import format_range, format_seconds, format_share, format_value
from alerts.rules.units import format_duration_s, format_threshold, parse_duration_s, parse_threshold
from dashboards.templatetags.formatting import duration_s
from tracestore.language import parse_query


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), ("2 days", 172_800), ("0", 0)]
)
def test_duration_is_read_with_and_without_unit(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("seconds", [0, 45, 60, 90, 300, 3600, 86_400, 90_000])
def test_duration_survives_writing_and_reading(seconds: int) -> None:
    assert parse_duration_s(format_duration_s(seconds)) == seconds


def test_bad_duration_is_refused_with_examples() -> None:
    with pytest.raises(ValueError, match="for example 90s, 5m"):
        parse_duration_s("soon")


@pytest.mark.parametrize(
    ("text", "metric", "threshold"),
    [("5", "failure_rate", 0.05), ("5 %", "failure_rate", 0.05), ("2.5", "duration_p95", 2.5), ("2.5s", "duration_p95", 2.5),
     ("$1,200", "cost", 1200), ("40", "requests", 40)],
)  # fmt: skip
def test_threshold_is_typed_in_the_unit_that_people_use(text: str, metric: str, threshold: float) -> None:
    assert parse_threshold(text, metric) == pytest.approx(threshold)
    assert parse_threshold(format_threshold(threshold, metric), metric) == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("text", "metric"), [("x", "cost"), ("-1", "cost"), ("nan", "cost"), ("101", "error_rate"), ("", "cost")]
)
def test_impossible_threshold_is_refused(text: str, metric: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        parse_threshold(text, metric)


@pytest.mark.parametrize(
    ("metric", "query", "comparison", "threshold", "clause"),
    [("failure_rate", "", "above", 0.1, "status:error"), ("failure_rate", "", "below", 0.1, ""),
     ("error_rate", "", "above", 0.1, "has_errors:true"), ("escalations", "", "above", 3, "escalated:true"),
     ("duration_p95", "", "above", 2.5, "duration:>2.5s -status:running"),
     ("cost_per_trace", "", "above", 0.00001, "cost:>0.00001"),
     ("tool_success_rate", "", "below", 0.9, "tool_error:*"),
     ("tool_run_success_rate", "tool:refund", "below", 0.9, "tool_error:refund"),
     ("tool_errors", "tool:refund env:prod", "above", 1, "tool_error:refund"),
     ("model_error_rate", "", "above", 0.1, "llm{status:error}"),
     ("model_error_rate", "", "below", 0.1, ""),
     ("model_errors", 'model:"gpt 5" provider:openai env:prod', "above", 1, 'llm{model:"gpt 5" provider:openai status:error}'),
     ("model_duration_p95", "", "above", 4, "llm{duration:>4s}"),
     ("model_duration_p99", "model:gpt-5 env:prod", "above", 0.5, "llm{model:gpt-5 duration:>0.5s}"),
     ("time_to_first_token_p90", "provider:openai", "above", 2, "llm{provider:openai ttft:>2s}"),
     ("tool_duration_p95", "tool:refund", "above", 2, "tool{tool:refund duration:>2s}"),
     ("tool_duration_p95", "", "below", 2, ""), ("model_duration_p95", "", "above", -1, ""),
     ("requests", "", "above", 100, "")],
)  # fmt: skip
def test_focus_selects_the_traces_behind_a_breach(
    metric: str, query: str, comparison: str, threshold: float, clause: str
) -> None:
    focus = find_focus(metric, parse_query(query), comparison=comparison, threshold=threshold)

    assert focus.query == clause
    parse_query(focus.query)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("failure_rate", 0.17619, "17.62%"), ("failure_rate", 0.05, "5%"), ("duration_p95", 2.41, "2.41 s"),
     ("cost", 12.5, "$12.50"),
     ("cost", 0.00042, "$0.00042"), ("requests", 1234.0, "1,234 traces"), ("requests", 1.0, "1 trace"),
     ("duration_p95", 1.0, "1 s"), ("cost", None, "no data")],
)  # fmt: skip
def test_value_is_said_with_its_unit(metric: str, value: float | None, text: str) -> None:
    assert format_value(metric, value) == text


@pytest.mark.parametrize("seconds", [45, 60, 125, 300, 3605, 3661, 5400, 86_400, 183_600])
def test_durations_read_as_in_the_trace_list(seconds: int) -> None:
    assert format_seconds(seconds) == duration_s(seconds).replace("\u00a0", " ")  # which messages have no need of


def test_shares_and_durations_read_naturally() -> None:
    assert [format_share(share) for share in (0, 0.001, 0.5, 0.999, 1)] == ["0%", "<1%", "50%", ">99%", "100%"]
    assert [format_seconds(seconds) for seconds in (0, 59, 300, 5400, 183_600)] == [
        "0 s",
        "59 s",
        "5 m",
        "1 h 30 m",
        "2 d 03 h",
    ]
    assert format_range(0, 300 * 10**9) == "1970-01-01 00:00:00 to 00:05:00 UTC"


def test_group_narrows_the_query_unless_traces_are_not_asked_for_by_it() -> None:
    assert narrow("env:prod", {"tool": "refund", "outcome": "error"}) == "env:prod tool:refund status:error"
    assert narrow("env:prod", {"score": "helpful"}) == "env:prod"
    assert narrow("env:prod", {"user": "u" * 3000, "tool": "refund"}) == "env:prod tool:refund"
