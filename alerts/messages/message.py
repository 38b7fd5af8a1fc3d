"""What a notification says: which rule, since when, how far past its threshold, why, what it cost and where to look."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.evidence.causes import build_step_sections, describe_cause, shorten
from alerts.evidence.focus import ESCALATED, SLOWER, is_about_cost, traces_path, why_path
from alerts.evidence.model import Distinction, Evidence, Example, SeenError
from alerts.messages.links import ack_url, incident_url
from alerts.messages.notification import Event, Item, Link, Notification, Section, one_line
from alerts.messages.payload import PAYLOAD_VERSION, alert_key, build_frame, build_payload, example_url
from alerts.messages.wording import (
    format_moment,
    format_moment_ns,
    format_range,
    format_seconds,
    format_share,
    format_short_s,
    format_value,
    metric_label,
    sign_of,
)
from alerts.models import Alert, AlertTransition, Delivery, DeliveryEvent, NotificationChannel, RuleKind
from alerts.rules.evaluation import AlertState
from tracestore.timerange import NS_PER_S, TimeRange

_TOOLS_SHOWN = _REASONS_SHOWN = 3


def build_notification(delivery: Delivery, base_url: str, cost_usd: float | None = None) -> Notification:
    """Return the message of one delivery. `cost_usd` is what the traces behind the alert have cost until the transition."""
    alert, transition = delivery.alert, delivery.transition
    if delivery.event == DeliveryEvent.ACKNOWLEDGED:
        return _build_acknowledged(delivery, base_url)
    firing = transition.to_state == AlertState.FIRING
    if alert.is_about_rule:
        return _build_rule_error(delivery, base_url) if firing else _build_rule_repaired(delivery, base_url)
    # A rise to another level has evidence of its own.
    evidence = Evidence.from_json((firing and transition.evidence) or alert.evidence)
    if firing:
        return _build_firing(delivery, evidence, evidence.cost_usd if cost_usd is None else cost_usd, base_url)
    return _build_resolved(delivery, evidence, cost_usd, base_url)


def build_test_notification(channel: NotificationChannel, base_url: str) -> Notification:
    """Return a harmless message that proves the channel works."""
    title = f"[test] Tracestore reaches {one_line(channel.name)}"
    lead = [f"This is a test message. Alerts sent to the channel {one_line(channel.name)} will arrive here."]
    payload = {"version": PAYLOAD_VERSION, "event": Event.TEST, "channel": channel.name}
    links = [Link("Alerts", f"{base_url}/alerts")]
    return Notification(Event.TEST, "info", title, lead, links=links, payload=payload, key=f"tracestore-test-{channel.pk}")


def _build_rule_error(delivery: Delivery, base_url: str) -> Notification:
    """Return what is said of a rule that cannot be evaluated: until it is repaired nobody hears of what it watches."""
    alert, transition = delivery.alert, delivery.transition
    name, severity = one_line(alert.rule_name), transition.severity or alert.severity
    return Notification(
        event=Event.RULE_ERROR,
        severity=severity,
        title=f"[rule error] {name} cannot be evaluated",
        lead=[
            *_said_again(delivery),
            f"{name} cannot be evaluated, so nobody would hear of what it watches.",
            f"The reason: {one_line(transition.reason).rstrip('.') or 'not known'}.",
        ],
        facts=[
            ("Since", format_moment(alert.started_at)),
            ("Metric", metric_label(alert.metric)),
            ("Traces", one_line(alert.query) or "all"),
        ],
        links=_alert_links(alert, base_url),
        payload=build_frame(delivery, Event.RULE_ERROR, base_url) | {"error": transition.reason},
        key=alert_key(alert),
    )


def _build_rule_repaired(delivery: Delivery, base_url: str) -> Notification:
    alert, transition = delivery.alert, delivery.transition
    name, duration = one_line(alert.rule_name), format_seconds((transition.at - alert.started_at).total_seconds())
    return Notification(
        event=Event.RESOLVED,
        severity=alert.severity,
        title=f"[resolved] {name} is evaluated again: after {duration}",
        lead=[f"{name} is evaluated again after {duration}. What happened meanwhile was not looked at."],
        links=_alert_links(alert, base_url),
        payload=build_frame(delivery, Event.RESOLVED, base_url) | {"error": transition.reason},
        key=alert_key(alert),
    )


def _build_firing(delivery: Delivery, evidence: Evidence, cost_usd: float | None, base_url: str) -> Notification:
    alert, transition = delivery.alert, delivery.transition
    value, threshold = (format_value(alert.metric, number) for number in (transition.value, transition.threshold))
    rose = transition.from_state == AlertState.FIRING
    held = f" It had been so for {format_seconds(alert.hold_s)}." if alert.hold_s and not rose else ""
    name, severity = one_line(alert.rule_name), transition.severity or alert.severity
    state = f"is now {severity}" if rose else f"is firing ({severity})"
    cause = describe_cause(evidence, alert.labels)
    breach = f"{value} {sign_of(alert.comparison)} {threshold}" if transition.value is not None else value
    return Notification(
        event=Event.FIRING,
        severity=severity,
        title=f"[{severity}] {name}{_about(alert)}: {metric_label(alert.metric)} {breach}",
        lead=[
            *filter(None, (cause,)),
            *_said_again(delivery),
            f"{name}{_about(alert)} {state}.",
            _describe_breach(alert, transition, evidence) + held,
        ],
        facts=[
            ("Since", format_moment(alert.breach_seen_at())),
            *_silence_facts(evidence),
            *_baseline_facts(alert, transition),
            ("Window", f"{_format_window(transition)} ({format_seconds(alert.window_s)})"),
            ("Traces", one_line(alert.query) or "all"),
            *_cost_facts(evidence, cost_usd),
        ],
        sections=list(_sections(evidence, alert.metric, base_url)),
        links=_links(alert, evidence, base_url, end_ns=evidence.end_ns),
        payload=build_payload(delivery, evidence, cost_usd, base_url),
        key=alert_key(alert),
        cause=cause,
    )


def _build_resolved(delivery: Delivery, evidence: Evidence, cost_usd: float | None, base_url: str) -> Notification:
    alert, transition = delivery.alert, delivery.transition
    name, duration = one_line(alert.rule_name), format_seconds((transition.at - alert.started_at).total_seconds())
    why = (
        f"Reason: {one_line(transition.reason)}."
        if transition.reason
        else f"{metric_label(alert.metric)} is {format_value(alert.metric, transition.value)}; the threshold is "
        f"{alert.comparison} {format_value(alert.metric, alert.threshold)}."
    )
    return Notification(
        event=Event.RESOLVED,
        severity=alert.severity,
        title=f"[resolved] {name}{_about(alert)}: after {duration}",
        lead=[f"{name}{_about(alert)} is resolved after {duration}.", why],
        facts=[
            ("Fired", f"from {format_moment(alert.started_at)} to {format_moment(transition.at)}"),
            ("At worst", format_value(alert.metric, alert.peak_value)),
            ("Traces", one_line(alert.query) or "all"),
            *_cost_facts(evidence, cost_usd),
        ],
        links=_links(alert, evidence, base_url, end_ns=max(transition.window_end_ns, evidence.end_ns)),
        payload=build_payload(delivery, evidence, cost_usd, base_url),
        key=alert_key(alert),
    )


def _build_acknowledged(delivery: Delivery, base_url: str) -> Notification:
    alert = delivery.alert
    return Notification(
        event=Event.ACKNOWLEDGED,
        severity=alert.severity,
        title=f"[acknowledged] {one_line(alert.rule_name)}{_about(alert)}",
        lead=_said_again(delivery),
        links=_alert_links(alert, base_url),
        payload=build_frame(delivery, Event.ACKNOWLEDGED, base_url),
        key=alert_key(alert),
    )


def _said_again(delivery: Delivery) -> list[str]:
    """Return why this is not the first message about the transition, such as an escalation."""
    reason = one_line(delivery.reason)
    return [f"{reason.rstrip('.')}."] if reason else []


def _baseline_facts(alert: Alert, transition: AlertTransition) -> Iterator[tuple[str, str]]:
    if transition.baseline is not None:
        compared = one_line(alert.compared_with)
        if alert.kind == RuleKind.VERSION:
            label = f"Version {compared}" if compared else "The version before"
        else:
            label = compared[:1].upper() + compared[1:] or "Usual at this time"
        yield label, format_value(alert.metric, transition.baseline) + _describe_change(transition)


def _describe_change(transition: AlertTransition) -> str:
    """Return for example ", now 3.2 times as much"."""
    if not transition.baseline or transition.value is None:
        return ""
    return f", now {transition.value / transition.baseline:,.2g} times as much"


def _about(alert: Alert) -> str:
    """Return for example " (tool refund)" when the rule is grouped."""
    labels = ", ".join(f"{one_line(name)} {one_line(str(value)) or '(none)'}" for name, value in alert.labels.items())
    return f" ({labels})" if labels else ""


def _format_window(transition: AlertTransition) -> str:
    return format_range(transition.window_start_ns, transition.window_end_ns)


def _describe_breach(alert: Alert, transition: AlertTransition, evidence: Evidence) -> str:
    """Return the sentence that states value against threshold, with the counts behind it."""
    if transition.value is None:
        return f"{metric_label(alert.metric)} has no data: {one_line(transition.reason) or 'no trace matches'}."
    total = evidence.causes.failing + evidence.causes.others
    if evidence.causes.others:
        counts = f" ({evidence.causes.failing} of {total} traces)"
    else:
        samples = total or transition.samples
        counts = f" ({samples} trace{'' if samples == 1 else 's'})" if samples else ""
    return (
        f"{metric_label(alert.metric)} is {format_value(alert.metric, transition.value)}, {alert.comparison} the threshold of "
        f"{format_value(alert.metric, transition.threshold)}{counts}."
    )


def _silence_facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Where there is no trace, nothing is as telling as when the last one came and which version sent it."""
    if last := evidence.last_before:
        said = ", ".join(shorten(part, 60) for part in (last.name, *last.versions[:1]) if part)
        yield "Last trace", f"{format_moment_ns(last.start_ns)}{f' ({said})' if said else ''}"


def _cost_facts(evidence: Evidence, cost_usd: float | None) -> Iterator[tuple[str, str]]:
    if cost_usd:
        yield "Cost so far", f"{format_value('cost', cost_usd)} for these {evidence.noun}"


def _sections(evidence: Evidence, metric: str, base_url: str) -> Iterator[Section]:
    noun = f"{evidence.causes.failing} {evidence.noun}"
    yield from build_step_sections(evidence)
    if evidence.distinctions:
        than = f"the {evidence.compared} others" if evidence.earlier_start_ns is None else f"the {evidence.compared} before"
        heading = f"What differs about these {noun} from {than}" if evidence.compared else f"What these {noun} have in common"
        yield Section(heading, [_distinction_item(found, evidence) for found in evidence.distinctions], numbered=True)
    errors = [_error_item(error, base_url) for error in evidence.errors]
    if evidence.causes.failing_tools:
        tools = ", ".join(f"{one_line(tool.value)} {tool.failing}" for tool in evidence.causes.failing_tools[:_TOOLS_SHOWN])
        errors.append(Item(f"Failed tools: {tools}"))
    if errors:
        yield Section("How they failed", errors)
    if evidence.reasons:
        reasons = [Item(f"{shorten(reason, 120)}: {count}") for reason, count in list(evidence.reasons.items())[:_REASONS_SHOWN]]
        yield Section("Why they were handed over", reasons)
    if evidence.examples:
        told = [_example_item(example, _figure_of(example, evidence, metric), base_url) for example in evidence.examples]
        yield Section(_examples_heading(evidence), told)


def _examples_heading(evidence: Evidence) -> str:
    if evidence.last_before:
        return "The last trace before"
    if any(example.telling_span_id for example in evidence.examples):
        return f"Examples, opened {'where they were handed over' if evidence.noun == ESCALATED.noun else 'at the slowest step'}"
    return "Examples, opened at the failing step" if any(example.failing_span_id for example in evidence.examples) else "Examples"


def _distinction_item(found: Distinction, evidence: Evidence) -> Item:
    """Return for example "Version v3: 35 (95%), against 20 (12%) of the others"."""
    what = "With a loop" if found.is_loop else f"{found.label} {shorten(found.value, 120) or '(none)'}"
    text = f"{what}: {found.failing} ({format_share(found.failing_share)})"
    if evidence.compared:
        text += f", against {found.others} ({format_share(found.other_share)})"
    chance = "may be chance: too few traces" if evidence.compared and not found.least else ""
    return Item(text, detail=chance)


def _error_item(error: SeenError, base_url: str) -> Item:
    said = ": ".join(part for part in (shorten(error.error_type, 80), shorten(error.message, 120)) if part)
    seen = f"first seen {format_moment_ns(error.first_seen_ns)}"
    if error.first_version:
        seen += f" in version {one_line(error.first_version)[:60]}"
    counted = f"{error.traces} trace{'s' if error.traces != 1 else ''}"
    return Item(
        f"{said or 'Failed without saying why'}: {counted}", seen, f"{base_url}/errors/{error.fingerprint}",
        "new" if error.is_new else "",
    )  # fmt: skip


def _figure_of(example: Example, evidence: Evidence, metric: str) -> str:
    """Return by what an example stands out: what a dear one cost, how long a slow one took; "" for others."""
    if is_about_cost(metric) and example.cost_usd is not None:
        return format_value("cost", example.cost_usd)
    return format_short_s(example.duration_ns / NS_PER_S) if evidence.noun == SLOWER.noun else ""


def _example_item(example: Example, figure: str, base_url: str) -> Item:
    said = ": ".join(part for part in (", ".join(example.error_types), shorten(example.error_message, 120)) if part)
    parts = (example.name or "(no name)", ", ".join(example.versions), figure, said)
    return Item(" | ".join(one_line(part) for part in parts if part), url=example_url(example, base_url))


def _links(alert: Alert, evidence: Evidence, base_url: str, *, end_ns: int) -> list[Link]:
    """Return where exactly these traces are, up to `end_ns`, first."""
    time_range = TimeRange(evidence.start_ns, end_ns)
    links = [Link(f"See exactly these {evidence.noun}", base_url + traces_path(evidence.query, time_range))]
    if evidence.causes.others:
        links.append(
            Link("All differences", base_url + why_path(evidence.query, evidence.among or alert.query, evidence.time_range))
        )
    if alert.trace_id:
        run = next((example for example in evidence.examples if example.trace_id == alert.trace_id), None)
        links.insert(0, Link("The run", example_url(run, base_url) if run else f"{base_url}/traces/{alert.trace_id}"))
    return links + _alert_links(alert, base_url)


def _alert_links(alert: Alert, base_url: str) -> list[Link]:
    links = [Link("Incident", incident_url(alert))] if alert.incident_id else []
    if links and alert.resolved_at is None:
        links.insert(0, Link("Acknowledge", ack_url(alert), stands_out=True))
    links.append(Link("Alert", f"{base_url}/alerts/{alert.pk}"))
    if alert.rule_id:
        links.append(Link("Rule", f"{base_url}/alerts/rules/{alert.rule_id}"))
    return links
