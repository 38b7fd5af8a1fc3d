"""What the evidence of an alert names as its likely cause: in a line, in rows, and as what tells two faults apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alerts.evidence.focus import LOOPING
from alerts.evidence.model import Evidence
from alerts.evidence.steps import Loop, SlowSteps, StepGrowth
from alerts.messages.notification import Item, Section, one_line
from alerts.messages.wording import format_mean, format_range, format_short_s
from tracestore.queries.why.fields import DIMENSIONS

_STEP_WORDS = {"llm": "model", "embedding": "embedding model"}
# What a step and a field of the query language have in common, by the step's kind.
_FIELDS = {"llm": "model", "embedding": "model"}


@dataclass(frozen=True)
class NamedCause:
    """What at least half of the traces behind an alert share. `subject` is the field and value that it is about."""

    subject: tuple[str, str]
    text: str


def name_causes(evidence: Evidence, labels: Mapping[str, str]) -> list[NamedCause]:
    """Return what is likely, the most telling first; without what the alert's labels, and so its title, say already."""
    found = [cause for cause in name_step_causes(evidence) if cause.subject[1] not in labels.values()]
    if not evidence.causes.failing:  # not counted in time
        return found
    half, named, subjects = evidence.causes.failing / 2, set(labels.values()), {cause.subject for cause in found}
    for one in evidence.distinctions:
        is_news = one.value and one.value not in named and (one.field, one.value) not in subjects and not one.is_loop
        if evidence.compared and one.explains_most and is_news:
            label = one.label.lower() if one.field in DIMENSIONS else one.label
            found.append(NamedCause((one.field, one.value), f"{label} {shorten(one.value, 60)}"))
            break
    tools = (tool.value for tool in evidence.causes.failing_tools if tool.failing >= half and tool.value not in named)
    found += [NamedCause(("tool", tool), f"failing tool {shorten(tool, 60)}") for tool in tools][:1]
    for error in (error for error in evidence.errors if error.traces >= half):
        said = ": ".join(part for part in (shorten(error.error_type, 60), shorten(error.message, 100)) if part)
        text = f"{'new error' if error.is_new else 'error'} {said or 'without a message'}"
        found.append(NamedCause(("error", error.fingerprint), text))
        break
    reasons = (reason for reason, count in evidence.reasons.items() if count >= half)
    return found + [NamedCause(("reason", reason), f"reason {shorten(reason, 60)}") for reason in reasons][:1]


def describe_cause(evidence: Evidence, labels: Mapping[str, str]) -> str:
    """Return the causes in one line; "" for none.

    For example "Likely cause: version v3; failing tool refund; new error TimeoutError: refund timed out" or "Likely cause: tool
    search_kb took 6.1 s of 8 s on average, 0.4 s before".
    """
    causes = name_causes(evidence, labels)
    return f"Likely cause: {'; '.join(cause.text for cause in causes)}" if causes else ""


def find_subjects(evidence: Evidence, labels: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return all that a message with this evidence names, the labels of its group included."""
    return {cause.subject for cause in name_causes(evidence, labels)} | set(labels.items())


def name_step_causes(evidence: Evidence) -> list[NamedCause]:
    """Return the step that takes the time, and the loop, where there is one."""
    return [*_slow_step(evidence), *_loop(evidence)]


def _slow_step(evidence: Evidence) -> Iterator[NamedCause]:
    if evidence.steps and (step := evidence.steps.named):
        before = f", {format_short_s(step.seconds_before)} before" if evidence.steps.traces_before else ""
        took = f"{format_short_s(step.seconds)} of {format_short_s(evidence.steps.duration_s)} on average"
        yield NamedCause((_FIELDS.get(step.kind, step.kind), step.name), f"{_step_name(step)} took {took}{before}")


def _step_name(step: StepGrowth) -> str:
    return f"{_STEP_WORDS.get(step.kind, step.kind)} {shorten(step.name, 60) or '(no name)'}"


def _loop(evidence: Evidence) -> Iterator[NamedCause]:
    """Name the loop, where loops are what the traces have in common or what the rule is about."""
    if not (evidence.noun == LOOPING.noun or any(found.is_loop and found.explains_most for found in evidence.distinctions)):
        return
    loop = next((loop for loop in evidence.loops if 2 * loop.traces >= loop.looked_at), None)
    if loop:
        yield NamedCause(("tool", loop.tool), f"a loop of {shorten(loop.tool, 60)}, {format_mean(loop.calls)} calls a run")
    else:
        yield NamedCause(("loops", ""), "loops of several tools" if evidence.loops else "calls in loops")


def build_step_sections(evidence: Evidence) -> Iterator[Section]:
    """Yield where the time of slow traces went, and what came again and again."""
    if evidence.steps and evidence.steps.top:
        yield _time_section(evidence.steps, evidence.noun)
    if evidence.loops:
        yield Section("What came again with the same arguments", [_loop_item(loop) for loop in evidence.loops])


def _time_section(steps: SlowSteps, noun: str) -> Section:
    heading = f"Where the time of {_part(steps.traces, steps.total)} {noun} went, on average"
    if steps.traces_before:
        when = format_range(steps.start_ns, steps.end_ns)
        heading += f", against {_part(steps.traces_before, steps.total_before)} from {when}"

    def item(what: str, now: tuple[float, float], before: tuple[float, float]) -> Item:
        against = f", against {_time_and_calls(*before)}" if steps.traces_before else ""
        return Item(f"{what}: {_time_and_calls(*now)}{against}")

    items = [
        item(_capitalize(_step_name(step)), (step.seconds, step.calls), (step.seconds_before, step.calls_before))
        for step in steps.top
    ]
    return Section(heading, [*items, item("A whole run", (steps.duration_s, 0), (steps.duration_before_s, 0))])


def _time_and_calls(seconds: float, calls: float) -> str:
    """Return for example "6.1 s in 10.2 calls"."""
    if not calls:
        return format_short_s(seconds)
    counted = format_mean(calls)
    return f"{format_short_s(seconds)} in {counted} call{'' if counted == '1' else 's'}"


def _part(looked_at: int, total: int) -> str:
    """Return for example "23", or "300 of 1,204" where not all were looked at."""
    return f"{looked_at:,}" if looked_at == total else f"{looked_at:,} of {total:,}"


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def _loop_item(loop: Loop) -> Item:
    return Item(
        f"{shorten(loop.tool, 60)}: {format_mean(loop.calls)} calls a run, "
        f"in {loop.traces:,} of {loop.looked_at:,} traces with a loop"
    )


def shorten(text: str, most: int) -> str:
    """Return the text in one line, cut off with a mark where it is longer than `most` characters."""
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
