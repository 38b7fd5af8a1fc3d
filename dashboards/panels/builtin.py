"""The dashboards that every project has. A panel more is a line more; a test looks up every metric and grouping named here."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.panels.panel import Panel


@dataclass(frozen=True)
class BuiltIn:
    """`help` is the sentence under its name in menus and in the manual."""

    slug: str
    name: str
    help: str
    panels: tuple[Panel, ...]


def _number(metric: str, title: str = "", query: str = "") -> Panel:
    return Panel(title, (metric,), "number", query=query)


_TOKENS = ("uncached_input_tokens", "cached_input_tokens", "output_tokens")
_OF_VERSIONS = ("requests", "failure_rate", "escalation_rate", "duration_p95", "cost_per_trace")
_OF_TOOLS = ("tool_calls", "tool_errors", "tool_success_rate", "tool_duration_p50", "tool_duration_p95", "failure_rate")
_OF_MODELS = ("llm_calls", "model_error_rate", "model_duration_p95", "time_to_first_token_p95", "tokens", "cost")
_DURATIONS = ("duration_p95", "duration_p50", "duration_p99")

BUILT_IN: dict[str, BuiltIn] = {
    dashboard.slug: dashboard
    for dashboard in (
        BuiltIn("overview", "Overview", "Traffic, failures, latency, cost and tools at a glance.", (
            _number("requests"),
            _number("failure_rate"),
            _number("duration_p95"),
            _number("cost"),
            _number("escalation_rate"),
            Panel("Requests", ("requests",)),
            Panel("Failure rate", ("failure_rate",)),
            Panel("Error types", ("requests",), "stacked", "error"),
            Panel("Duration", _DURATIONS),
            Panel("Cost", ("cost",), "stacked"),
            Panel("Tokens", _TOKENS, "stacked"),
            Panel("Escalation rate", ("escalation_rate",)),
            Panel("Tool success rate by tool", ("tool_success_rate",), "line", "tool"),
        )),
        BuiltIn("cost", "Cost", "What is spent on which model, agent, version and user.", (
            _number("cost"),
            _number("cost_per_trace"),
            _number("tokens"),
            _number("failed_cost"),
            _number("wasted_cost"),
            _number("unpriced_calls"),
            Panel("Cost by model", ("cost",), "stacked", "model"),
            Panel("Cost per trace", ("cost_per_trace",)),
            Panel("Tokens", _TOKENS, "stacked"),
            Panel("Cost per trace by version", ("cost_per_trace",), "line", "version"),
            Panel("Cost by agent", ("cost",), "bar", "agent"),
            Panel("Cost by workflow", ("cost",), "bar", "workflow"),
            # A trace with two prompts costs the same in both, so they do not add up.
            Panel("Cost of traces by prompt", ("cost",), "line", "prompt"),
            Panel("Wasted by retries and loops", ("wasted_cost",), "stacked", "agent"),
            Panel("Cost per session and user", ("cost_per_session", "cost_per_user")),
            Panel("Traces with unpriced calls by model", ("unpriced_traces",), "bar", "unpriced_model"),
            Panel("Users by cost", ("cost", "requests", "cost_per_trace"), "table", "user"),
            Panel("Models by cost", ("cost", "llm_calls", "input_tokens", "output_tokens"), "table", "model"),
        )),
        BuiltIn("latency", "Latency", "How long runs take, and who makes them slow.", (
            _number("duration_p50"),
            _number("duration_p95"),
            _number("duration_p99"),
            _number("tool_duration_p95"),
            _number("model_duration_p95"),
            _number("time_to_first_token_p95"),
            Panel("Duration", _DURATIONS),
            Panel("Time to first token", ("time_to_first_token_p95", "time_to_first_token_p50", "time_to_first_token_p99")),
            Panel("Step duration p95 by kind", ("step_duration_p95",), "line", "kind"),
            Panel("Duration p95 by version", ("duration_p95",), "line", "version"),
            Panel("Duration p95 by agent", ("duration_p95",), "line", "agent"),
            Panel("Model call duration p95 by model", ("model_duration_p95",), "line", "model"),
            Panel("Tool duration p95 by tool", ("tool_duration_p95",), "line", "tool"),
            Panel("Duration p95 by workflow", ("duration_p95",), "bar", "workflow"),
            Panel("Workflows", ("requests", "duration_p50", "duration_p95", "duration_p99"), "table", "workflow"),
        )),
        BuiltIn("tools", "Tools", "How often tools are called and how often they fail.", (
            _number("tool_calls"),
            _number("tool_errors"),
            _number("tool_success_rate"),
            _number("tool_duration_p95"),
            _number("requests", "Traces with a failed tool", "tool_error:*"),
            Panel("Tool calls by tool", ("tool_calls",), "stacked", "tool"),
            Panel("Tool success rate by tool", ("tool_success_rate",), "line", "tool"),
            Panel("Tool errors by tool", ("tool_errors",), "stacked", "tool"),
            Panel("Tool success rate by version", ("tool_success_rate",), "line", "version"),
            Panel("Tool duration p95 by tool", ("tool_duration_p95",), "line", "tool"),
            Panel("Traces with a failed tool by version", ("requests",), "stacked", "version", "tool_error:*"),
            Panel("Tools", _OF_TOOLS, "table", "tool"),
        )),
        BuiltIn("models", "Models", "Calls, tokens and cost by model, and how traces that use it fare.", (
            _number("llm_calls"),
            _number("model_error_rate"),
            _number("model_duration_p95"),
            _number("time_to_first_token_p95"),
            _number("tokens"),
            _number("cost"),
            Panel("Model calls by model", ("llm_calls",), "stacked", "model"),
            Panel("Cost by model", ("cost",), "stacked", "model"),
            Panel("Input tokens by model", ("input_tokens",), "stacked", "model"),
            Panel("Output tokens by model", ("output_tokens",), "stacked", "model"),
            Panel("Model error rate by model", ("model_error_rate",), "line", "model"),
            Panel("Call duration p95 by model", ("model_duration_p95",), "line", "model"),
            Panel("Time to first token p95 by model", ("time_to_first_token_p95",), "line", "model"),
            Panel("Calls by provider", ("llm_calls",), "bar", "provider"),
            Panel("Models", _OF_MODELS, "table", "model"),
        )),
        BuiltIn("versions", "Versions", "How versions differ in failures, latency, cost and escalations.", (
            _number("requests"),
            _number("failure_rate"),
            _number("cost_per_trace"),
            _number("duration_p95"),
            Panel("Requests by version", ("requests",), "stacked", "version"),
            Panel("Failure rate by version", ("failure_rate",), "line", "version"),
            Panel("Duration p95 by version", ("duration_p95",), "line", "version"),
            Panel("Cost per trace by version", ("cost_per_trace",), "line", "version"),
            Panel("Escalation rate by version", ("escalation_rate",), "line", "version"),
            Panel("Tool success rate by version", ("tool_success_rate",), "line", "version"),
            Panel("Versions", _OF_VERSIONS, "table", "version"),
        )),
        BuiltIn("escalations", "Escalations", "Where people have to take over.", (
            _number("escalations"),
            _number("escalation_rate"),
            _number("handoffs"),
            _number("handoff_rate"),
            _number("failures", "Failed and escalated", "escalated:true"),
            _number("cost", "Cost of escalated traces", "escalated:true"),
            Panel("Escalations by reason", ("escalations",), "stacked", "escalation_reason"),
            Panel("Hand-offs by reason", ("handoffs",), "stacked", "handoff_reason"),
            Panel("Escalation and hand-off rate", ("escalation_rate", "handoff_rate")),
            Panel("Escalation rate by version", ("escalation_rate",), "line", "version"),
            Panel("Escalation rate by agent", ("escalation_rate",), "line", "agent"),
            Panel("Escalations by workflow", ("escalations",), "bar", "workflow"),
            Panel("Errors in escalated traces", ("escalations",), "bar", "error", "escalated:true"),
            Panel("Workflows", ("requests", "escalations", "escalation_rate", "failure_rate"), "table", "workflow"),
        )),
        BuiltIn("users", "Users", "Who uses the agents most, at what cost, and who meets failures.", (
            _number("users"),
            _number("sessions"),
            _number("cost_per_user"),
            _number("cost_per_session"),
            _number("failure_rate", "Their failure rate", "has:user"),
            _number("escalation_rate", "Their escalation rate", "has:user"),
            Panel("Requests of the busiest users", ("requests",), "stacked", "user", "has:user"),
            Panel("Cost of the busiest users", ("cost",), "stacked", "user", "has:user"),
            Panel("Failure rate of the busiest users", ("failure_rate",), "bar", "user", "has:user"),
            Panel("Escalation rate of the busiest users", ("escalation_rate",), "bar", "user", "has:user"),
            Panel("Resolution rate of sessions", ("resolution_rate",)),
            Panel("Time to resolution", ("resolution_time_p95", "resolution_time_p50")),
            Panel("Users", ("requests", "failure_rate", "escalation_rate", "duration_p95", "cost"), "table", "user", "has:user"),
        )),
    )
}  # fmt: skip
