"""Queries that show what the language can say: one list for the manual and for the page *Query language*."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """Queries of one form and what they find. Backticks in `meaning` mark text of the language."""

    queries: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Section:
    """Examples of one kind; `slug` names them in the manual and in the page's address."""

    slug: str
    title: str
    examples: tuple[Example, ...]


def _section(slug: str, title: str, *rows: tuple[str | tuple[str, ...], str]) -> Section:
    examples = (Example((queries,) if isinstance(queries, str) else queries, meaning) for queries, meaning in rows)
    return Section(slug, title, tuple(examples))


SECTIONS: tuple[Section, ...] = (
    _section(
        "conditions",
        "Conditions",
        ("tool:refund", "a field with exactly that value; upper and lower case differ"),
        (("version:v3*", "model:*mini*"), "`*` stands for any characters, also none"),
        (("has:user", "user:*"), "traces that have a user at all"),
        (("-has:user", 'user:""'), "traces that have none"),
        (("-env:dev", "NOT env:dev"), "the opposite"),
        ("tool:(refund OR lookup)", "either value"),
        ("tool:(refund lookup)", "both: a trace can use several tools, models, agents or versions"),
        (
            "status:error OR escalated:true",
            "either condition; AND, which may be left out, binds tighter than OR, parentheses group",
        ),
        (
            ("duration:>2s", "duration:1s..5s"),
            "comparisons `>` `>=` `<` `<=`; ranges include both ends, and one end may be left out (`5s..`)",
        ),
        ("cost:>0.5", "US dollars"),
        ("tokens:>10k", "counts, with `k` or `M` if you like"),
        (
            ("refund", '"order 123"'),
            "text anywhere in a span: names, inputs, outputs, attribute values, events, errors; in any case",
        ),
        (('text:"order 123"', "text:ord*123"), "the same, spelled out"),
    ),
    _section(
        "attributes",
        "Any attribute",
        ("attr.customer.tier:gold", "a span, resource or scope attribute; in a list of texts one item is enough, whole"),
        ("attr.http.response.status_code:>=500", "attributes compare as numbers"),
        (("has:attr.customer.tier", "attr.customer.tier:*"), "the attribute is there, whatever its value"),
        ('attr."odd key":x', "quotes around a key that holds spaces, colons or parentheses"),
    ),
    _section(
        "scores",
        "Scores and reviews",
        (("score.review:bad", "score.review:good"), "what people say on the page of a trace; `note` is one without a verdict"),
        ("score.faithfulness:<0.5", "an evaluation by its number; `true` and `false` are 1 and 0"),
        ("score.topic:billing", 'by its label; put quotes around one that looks like a number: `score.stars:"5"`'),
        (("has:score.review", "-has:score"), "reviewed by anybody; without any score at all"),
        ('score."answer relevance":<0.5', "quotes around a name that holds spaces, colons or parentheses"),
        ("tool(search_kb){score:<0.5}", "a score of one call; without a name it is one of any name"),
    ),
    _section(
        "spans",
        "One span that meets everything",
        ("tool(refund){status:error duration:>2s}", "one call of `refund` that failed and took longer than 2 s"),
        ("agent(triage){tokens:>10k}", "a run of the agent `triage` with more than 10,000 tokens"),
        ("llm(gpt-5* OR claude*){has:error}", "a failed call of one of these models; `model(...)` says the same"),
        ('retriever{text:"order 123"}', "a retrieval with that text; without parentheses any name will do"),
        ('span("POST /pay"){attr.http.response.status_code:>=500}', "a span of any kind, by its name"),
        (
            "embedding{duration:>1s} OR guardrail{status:error}",
            "`embedding`, `chain`, `guardrail` and `evaluator` are written so too",
        ),
    ),
    _section(
        "structure",
        "How spans stand to each other",
        ("tool(refund) inside agent(triage)", "a call of `refund` anywhere below a run of `triage`"),
        ("agent(triage) calls tool(refund)", "a call of `refund` whose parent is a run of `triage`"),
        ("tool(refund) then tool(send_email)", "`send_email` starts when a call of `refund` has ended, or later"),
        (
            "tool(refund){status:error} then agent(human*)",
            "what stands between braces holds for that span, here a failed call before a run of another agent",
        ),
        (
            "tool(lookup) inside agent(triage) then tool(refund)",
            "`inside` and `calls` bind tighter than `then`; parentheses group",
        ),
        ("NOT tool(verify) then tool(refund)", "no call of `refund` came after one of `verify`"),
        ("count(tool:search_kb):>3", "more than three spans that meet the condition"),
        ("count(tool(search_kb) inside agent(triage)):0", "none that stands so"),
    ),
    _section(
        "totals",
        "Of the whole trace",
        ("trace.cost:>1", "the cost of the trace; among traces `cost:>1` says the same"),
        ("trace.duration:>30s tool(refund){duration:>2s}", "the trace took longer than 30 s, and one call in it longer than 2 s"),
        ("trace.status:error kind:tool", "asked of spans (`GET /api/v1/spans`): tool calls of failed traces"),
    ),
)
