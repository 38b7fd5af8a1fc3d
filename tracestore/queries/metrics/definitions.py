"""What can be measured, and by what it is grouped."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from tracestore.language.fields import find_field
from tracestore.queries.rollups import PERCENTILES
from tracestore.statistics.buckets import SECONDS_SQL


class MetricError(ValueError):
    """A request for a number that does not exist. `parameter` names the bad argument; `suggestion` may be ""."""

    def __init__(self, parameter: str, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.parameter, self.message, self.suggestion = parameter, message, suggestion


@dataclass(frozen=True)
class Metric:
    """One number that can be asked for. `unit`: traces, ratio (0 to 1), s, USD, tokens, calls, sessions, users, spans, score(s).

    `formula` is SQL over the names of parts.py in braces; `additive` metrics are 0 where there are no traces,
    the others have no value there.
    """

    name: str
    label: str
    unit: str
    help: str
    formula: str
    additive: bool


def _count(name: str, label: str, unit: str, help: str) -> Metric:
    return Metric(name, label, unit, help, f"{{{name}}}", additive=True)


def _ratio(name: str, label: str, unit: str, help: str, formula: str) -> Metric:
    return Metric(name, label, unit, help, formula, additive=False)


def _percentiles(stem: str, label: str, what: str) -> list[Metric]:
    """Return a metric for each of PERCENTILES; {stem} is SQL for their buckets."""
    return [
        _ratio(f"{stem}_p{round(level * 100)}", f"{label} p{round(level * 100)}", "s",
               f"{'Half' if level == 0.5 else f'{level:.0%}'} of {what} Within 0.5%.",
               SECONDS_SQL.format(f"{{{stem}}}[{place}]"))
        for place, level in enumerate(PERCENTILES, 1)
    ]  # fmt: skip


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _count("requests", "Requests", "traces", "Traces that started."),
        _count("failures", "Failures", "traces", "Traces whose outcome is error."),
        _ratio("failure_rate", "Failure rate", "ratio", "Failures per request.", "{failures} / {requests}"),
        _ratio("success_rate", "Success rate", "ratio", "Traces whose outcome is ok, per trace that has ended.",
               "{successes} / ({successes} + {failures})"),
        _count("errors", "Traces with errors", "traces", "Traces in which some step has an error, failed or not."),
        _ratio("error_rate", "Rate of traces with errors", "ratio", "Traces with errors per request.", "{errors} / {requests}"),
        _count("escalations", "Escalations", "traces", "Traces that handed over to a human."),
        _ratio("escalation_rate", "Escalation rate", "ratio", "Escalations per request.", "{escalations} / {requests}"),
        _count("handoffs", "Hand-offs", "traces", "Traces in which an agent handed over to another agent."),
        _ratio("handoff_rate", "Hand-off rate", "ratio", "Hand-offs per request.", "{handoffs} / {requests}"),
        *_percentiles("duration", "Duration", "the finished traces took no longer."),
        *_percentiles("step_duration", "Step duration",
                      "the steps of any kind took no longer; with kind:X in the query, of steps of kind X alone."),
        *_percentiles("tool_duration", "Tool duration",
                      "the tool calls took no longer; with tool:X in the query, of calls of X alone."),
        *_percentiles("model_duration", "Model duration",
                      "the calls of models took no longer; with model:X or provider:X in the query, of calls of X alone."),
        *_percentiles("time_to_first_token", "Time to first token",
                      "the calls of models that tell of it had a first token by then; of X alone as above."),
        _count("cost", "Cost", "USD", "Cost of all model calls that have a price; those without one add nothing."),
        _ratio("cost_per_trace", "Cost per trace", "USD", "Cost per request.", "{cost} / {requests}"),
        _ratio("cost_per_session", "Cost per session", "USD", "Cost of traces that name a session, per session.",
               "{session_cost} / {sessions}"),
        _ratio("cost_per_user", "Cost per user", "USD", "Cost of traces that name a user, per user.", "{user_cost} / {users}"),
        _count("failed_cost", "Cost of failures", "USD", "Cost of the traces whose outcome is error."),
        _count("retried_calls", "Retried calls", "calls",
               "Calls of a tool or model that repeat one that had failed: the same arguments, or the same model."),
        _count("looping_calls", "Looping calls", "calls",
               "Calls of a tool with the same arguments as one before, in a loop of three and more."),
        _count("looping_traces", "Traces with a loop", "traces", "Traces in which an agent called a tool over and over."),
        _count("wasted_tokens", "Wasted tokens", "tokens", "Tokens that retries and loops used."),
        _count("wasted_cost", "Wasted cost", "USD", "Cost of retries and loops; calls without a price add nothing."),
        _ratio("wasted_cost_share", "Share of wasted cost", "ratio", "Wasted cost per cost.", "{wasted_cost} / {cost}"),
        _count("unpriced_traces", "Traces with unpriced calls", "traces", "Traces in which tokens were used that have no price."),
        _count("unpriced_calls", "Unpriced model calls", "calls", "Model calls that used tokens and have no price."),
        _count("tokens", "Tokens", "tokens", "Input and output tokens."),
        _count("input_tokens", "Input tokens", "tokens", "Tokens sent to models, cached ones included."),
        _count("output_tokens", "Output tokens", "tokens", "Tokens written by models, reasoning included."),
        _count("cached_input_tokens", "Cached input tokens", "tokens", "Input tokens that were read from a prompt cache."),
        _count("cache_creation_input_tokens", "Cache creation tokens", "tokens", "Input tokens written to a prompt cache."),
        _count("reasoning_tokens", "Reasoning tokens", "tokens", "Output tokens spent on reasoning."),
        _count("input_audio_tokens", "Audio input tokens", "tokens", "Input tokens that are audio."),
        _count("output_audio_tokens", "Audio output tokens", "tokens", "Output tokens that are audio."),
        _count("tool_calls", "Tool calls", "calls", "Tool calls; with tool:X in the query, calls of X alone."),
        _count("tool_errors", "Tool errors", "calls", "Tool calls that raised; with tool:X in the query, those of X alone."),
        _ratio("tool_success_rate", "Tool success rate", "ratio", "Tool calls that did not raise, per tool call.",
               "1 - {tool_errors} / {tool_calls}"),
        _ratio("tool_run_success_rate", "Runs without a failed tool call", "ratio",
               "Traces in which no tool call raised, per trace that called one; with tool:X in the query, of calls of X alone.",
               "1 - {failed_tool_runs} / {tool_runs}"),
        _count("llm_calls", "Model calls", "calls", "Calls of language models."),
        _count("model_errors", "Failed model calls", "calls",
               "Calls of language models that failed; with model:X or provider:X in the query, calls of X alone."),
        _ratio("model_error_rate", "Model error rate", "ratio",
               "Failed model calls per model call; 1 when the model's API fails entirely.", "{model_errors} / {model_calls}"),
        _count("sessions", "Sessions", "sessions", "Different sessions."),
        _count("users", "Users", "users", "Different users."),
        _ratio("resolution_rate", "Resolution rate", "ratio",
               "Sessions that never went to a person and whose last trace is ok, per session.", "{resolved} / {requests}"),
        *_percentiles("resolution_time", "Time to resolution",
                      "such sessions took no longer from their first trace's start to their last one's end."),
        _count("scores", "Scores", "scores", "Evaluation results with a number, by people or machines."),
        _ratio("score_mean", "Mean score", "score", "Mean of the scores; group by score to tell evaluations apart.",
               "{score_sum} / {scores}"),
        _count("spans", "Spans", "spans", "Steps of all traces."),
    )
}  # fmt: skip

# The values by which one trace counts. A trace with two tools counts in both groups; one without any tool, agent, model,
# workflow or error type counts in no group of that kind, while one without a version, or escalated for no reason, is in group "".
GROUPINGS: dict[str, str] = {
    "version": "if(empty(versions), [''], arrayMap(x -> toString(x), versions))",
    "tool": "arrayMap(x -> toString(x), tools.name)",
    "error": "arrayMap(x -> toString(x), error_types)",
    "agent": "arrayMap(x -> toString(x), agents)",
    "model": "arrayMap(x -> toString(x), models.model)",
    "provider": "arrayMap(x -> toString(x), arrayFilter(x -> x != '', models.provider))",
    "kind": "arrayMap(x -> toString(x), steps.kind)",
    "service": "if(empty(services), [''], arrayMap(x -> toString(x), services))",
    "environment": "[toString(environment)]",
    "outcome": "[toString(outcome)]",
    "workflow": "arrayMap(x -> toString(x), workflows)",
    "prompt": "arrayMap(x -> toString(x), prompts)",
    "user": "if(user_id = '', [], [user_id])",
    "session": "if(session_id = '', [], [session_id])",
    "escalation_reason": "if(escalated AND empty(escalation_reasons), [''], arrayMap(x -> toString(x), escalation_reasons))",
    "handoff_reason": "if(handed_over AND empty(handoff_reasons), [''], arrayMap(x -> toString(x), handoff_reasons))",
    "unpriced_model": "arrayMap(x -> toString(x), unpriced_models)",
    "score": "[score_name]",  # of scores alone
}
OF_SESSION = {name for name in METRICS if name.startswith("resolution_")}
OF_SCORE = {"scores", "score_mean"}
READ_APART = frozenset(OF_SESSION | OF_SCORE)  # made of sessions or scores instead of traces, by reads of their own
OF_WHOLE_TRACE = {
    "reasoning_tokens", "cache_creation_input_tokens", "input_audio_tokens", "output_audio_tokens", "unpriced_calls",
    "retried_calls", "looping_calls", "wasted_tokens", "wasted_cost", "wasted_cost_share",
}  # fmt: skip
# What to ask for instead of what is known of whole traces alone.
_KNOWN_BY_MODEL = {
    "unpriced_calls": "unpriced_model", "retried_calls": "model_errors", "looping_calls": "llm_calls", "wasted_cost": "cost",
    "wasted_cost_share": "cost",
}  # fmt: skip
KEYS = {"service": "service", "version": "version", "environment": "env"}  # grouping -> field of the language


def group_field(group_by: str) -> str:
    """Return the field of the query language that finds the traces of a group."""
    return {"environment": "env", "outcome": "status"}.get(group_by, group_by)


def find_metric(name: str) -> Metric:
    """Return the metric of that name. Raises MetricError with a suggestion."""
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, 1, 0.5)
    raise MetricError("metric", f"There is no metric {name!r}; there are {', '.join(METRICS)}.", near[0] if near else "")


def check_grouped(metric: str, group_by: str) -> None:
    """Raises MetricError, with a suggestion, when this metric is not grouped by that field."""
    check_grouping(group_by)
    if group_by == "score" and metric not in OF_SCORE:
        raise MetricError("group_by", "Only scores are grouped by the name of their evaluation.")
    if metric in OF_WHOLE_TRACE and group_by in ("model", "provider"):
        suggestion = _KNOWN_BY_MODEL.get(metric, "output_tokens")
        raise MetricError("group_by", f"{METRICS[metric].label} are known per trace, not per {group_by}.", suggestion)


def check_grouping(field: str) -> None:
    """Raises MetricError, with a suggestion, when nothing is grouped by that field."""
    if field not in GROUPINGS:
        known = find_field(field)  # `env` and `status` are names that queries use
        near = [name for name in GROUPINGS if known and find_field(name) == known]
        near = near or difflib.get_close_matches(field, GROUPINGS, 1, 0.5)
        raise MetricError(
            "group_by", f"Nothing is grouped by {field!r}; possible are {', '.join(GROUPINGS)}.", near[0] if near else ""
        )
