"""Two traces as one list of rows, with what differs in each, and the texts of two steps side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from dashboards.comparing.alignment import Alignment, align_waterfalls, find_subject
from dashboards.comparing.text_diff import TextDiff, diff_texts
from dashboards.text import make_visible
from dashboards.trace.content import Content
from dashboards.trace.waterfall import Row, Waterfall
from tracestore.content.payload_readers import Payload
from tracestore.model import Span, SpanSummary
from tracestore.queries.digests import Digest

# Rows that are the same and stand further from any difference than this are folded, when there are at least _FOLD_ROWS.
_CONTEXT_ROWS = 2
_FOLD_ROWS = 4
# Style sheets know that many depths.
_MAX_DEPTH = 12
_NOTABLE_NS, _NOTABLE_RATIO = 100_000_000, 1.5
_NO_DIGEST = Digest(0, 0)


@dataclass(frozen=True)
class Compared:
    """One row: a step of A, of B, or one of each. `differences` are words for what differs between the two."""

    index: int
    a: Row[SpanSummary] | None
    b: Row[SpanSummary] | None
    differences: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """a (only in A), b (only in B), changed or same."""
        if self.a is None or self.b is None:
            return "a" if self.b is None else "b"
        return "changed" if self.differences else "same"

    @property
    def is_consequence(self) -> bool:
        """True when the step was asked the same and only ended otherwise."""
        return self.state == "changed" and not {"input", "model", "name", "tool", "agent"} & set(self.differences)

    @property
    def shown(self) -> Row[SpanSummary]:
        """The row that names the step: B's, where there is one."""
        row = self.b or self.a
        assert row is not None
        return row

    @property
    def depth(self) -> int:
        return min(self.shown.depth, _MAX_DEPTH)

    @property
    def renamed_from(self) -> str:
        """A's name of a step that B calls otherwise, else ""."""
        if self.a is None or self.b is None or self.a.span is None or self.b.span is None:
            return ""
        return self.a.span.name if self.a.span.name != self.b.span.name else ""

    @property
    def subject(self) -> str:
        """What the step is about, with A's where that differs; "" when the names say it."""
        if self.renamed_from:
            return ""
        subjects = [find_subject(row.span) for row in (self.a, self.b) if row is not None and row.span is not None]
        name = self.shown.span.name if self.shown.span else ""
        return " → ".join(dict.fromkeys(subject for subject in subjects if subject not in name))

    @property
    def pace(self) -> str:
        """warn when B took notably longer, ok when notably less, else ""."""
        if self.a is None or self.b is None:
            return ""
        before, after = self.a.duration_ns, self.b.duration_ns
        if abs(after - before) < _NOTABLE_NS or max(before, after) < _NOTABLE_RATIO * min(before, after):
            return ""
        return "warn" if after > before else "ok"

    @property
    def duration_difference_ns(self) -> int | None:
        return None if self.a is None or self.b is None else self.b.duration_ns - self.a.duration_ns

    @property
    def a_tokens(self) -> int | None:
        return _count_tokens(self.a)

    @property
    def b_tokens(self) -> int | None:
        return _count_tokens(self.b)

    @property
    def has_tokens(self) -> bool:
        return bool(self.a_tokens or self.b_tokens)

    @property
    def a_cost_usd(self) -> float | None:
        return self.a.span.cost_usd if self.a is not None and self.a.span is not None else None

    @property
    def b_cost_usd(self) -> float | None:
        return self.b.span.cost_usd if self.b is not None and self.b.span is not None else None

    @property
    def has_cost(self) -> bool:
        return self.a_cost_usd is not None or self.b_cost_usd is not None

    @property
    def tokens_difference(self) -> int | None:
        before, after = self.a_tokens, self.b_tokens
        return None if before is None or after is None else after - before

    @property
    def cost_difference_usd(self) -> float | None:
        before, after = self.a_cost_usd, self.b_cost_usd
        return None if before is None or after is None else after - before


def _count_tokens(row: Row[SpanSummary] | None) -> int | None:
    return None if row is None or row.span is None else row.span.input_tokens + row.span.output_tokens


@dataclass(frozen=True)
class Fold:
    """Rows [start, end) that are the same on both sides and not shown."""

    start: int
    end: int

    @property
    def count(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Comparison:
    """All rows of two traces. `is_partial` is as in Alignment."""

    rows: list[Compared]
    is_partial: bool

    @property
    def first(self) -> Compared | None:
        """The first row that differs, None when none does; not one that differs only by what a step below it led to."""
        for row in self.rows:
            if row.state != "same" and not (row.is_consequence and self._differs_below(row)):
                return row
        return None

    def find(self, side: str, span_id: str) -> Compared | None:
        """Return the row of a step of the trace `side`, "a" or "b"."""
        for row in self.rows:
            step = row.a if side == "a" else row.b
            if step is not None and step.span is not None and step.span.span_id == span_id:
                return row
        return None

    def _differs_below(self, row: Compared) -> bool:
        following = self.rows[row.index + 1 :]
        below = takewhile(lambda other: other.shown.depth > row.shown.depth, following)
        return any(other.state != "same" for other in below)

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows by state."""
        return {state: self.count(state) for state in ("same", "changed", "a", "b")}


def compare_waterfalls(
    a: Waterfall[SpanSummary], b: Waterfall[SpanSummary], said_a: Mapping[str, Digest], said_b: Mapping[str, Digest]
) -> Comparison:
    """Align two traces; `said_*` by span id."""
    alignment: Alignment = align_waterfalls(a, b, said_a, said_b)
    rows = []
    for index, pair in enumerate(alignment.pairs):
        row_a, row_b = a.rows[pair.a] if pair.a is not None else None, b.rows[pair.b] if pair.b is not None else None
        rows.append(Compared(index, row_a, row_b, tuple(_find_differences(row_a, row_b, said_a, said_b))))
    return Comparison(rows, alignment.is_partial)


def _find_differences(
    a: Row[SpanSummary] | None, b: Row[SpanSummary] | None, said_a: Mapping[str, Digest], said_b: Mapping[str, Digest]
) -> Iterator[str]:
    """Yield what differs besides times: those of two runs are never the same."""
    if a is None or b is None or a.span is None or b.span is None:
        return
    one, other = a.span, b.span
    if one.is_error != other.is_error:
        yield "fails" if other.is_error else "no longer fails"
    elif (one.error_type, one.error_message) != (other.error_type, other.error_message):
        yield "error"
    if find_subject(one) != find_subject(other) or one.response_model != other.response_model:
        yield {"llm": "model"}.get(other.kind, other.kind)
    elif one.name != other.name:
        yield "name"
    digest, other_digest = said_a.get(one.span_id, _NO_DIGEST), said_b.get(other.span_id, _NO_DIGEST)
    if digest.input != other_digest.input:
        yield "input"
    if digest.output != other_digest.output:
        yield "output"
    is_same_text = digest == other_digest
    if is_same_text and (one.input_tokens, one.output_tokens) != (other.input_tokens, other.output_tokens):
        yield "tokens"
    if one.finish_reason != other.finish_reason:
        yield "finish reason"


def fold_rows(rows: Sequence[Compared]) -> list[Compared | Fold]:
    """Return the rows with long stretches of same ones folded, but for those beside a difference."""
    entries: list[Compared | Fold] = []
    for is_same, members in groupby(rows, key=lambda row: row.state == "same"):
        group = list(members)
        before = _CONTEXT_ROWS if entries else 0
        after = _CONTEXT_ROWS if group[-1].index < rows[-1].index else 0
        if not is_same or len(group) - before - after < _FOLD_ROWS:
            entries += group
            continue
        entries += group[:before]
        entries.append(Fold(group[before].index, group[len(group) - after - 1].index + 1))
        entries += group[len(group) - after :]
    return entries


@dataclass(frozen=True)
class Section:
    """One kind of text of two steps; `reference` finds the whole text of either on the trace page."""

    title: str
    diff: TextDiff
    a_text: str
    has_a: bool
    has_b: bool


def build_sections(a: Content | None, b: Content | None, error_a: str, error_b: str) -> list[Section]:
    """Compare what two steps say, part by part; a side without the step is None. Parts that both lack are left out."""
    said_a, said_b = _read_texts(a, error_a), _read_texts(b, error_b)
    sections = []
    for title in dict.fromkeys((*said_a, *said_b)):
        one, other = (make_visible(said.get(title, "")) for said in (said_a, said_b))
        if one or other:
            sections.append(Section(title, diff_texts(one, other), one, bool(one), bool(other)))
    return sections


def describe_error(span: Span | None) -> str:
    """Return type and message of a step's error, "" without one."""
    if span is None or not span.summary.is_error:
        return ""
    summary = span.summary
    return "\n".join(text for text in (summary.error_type, summary.error_message or summary.status_message) if text)


def _read_texts(content: Content | None, error: str) -> dict[str, str]:
    texts = {"Error": error}
    if content is None:
        return texts
    texts["Instructions"] = "\n\n".join(part.text for part in content.instructions)
    for title, payload in (
        ("Arguments", content.arguments),
        ("Input", content.input),
        ("Result", content.result),
        ("Output", content.output),
    ):
        texts[title] = _read_payload(payload)
    texts["Documents"] = "\n\n".join(f"[{document.document_id}]\n{document.text}" for document in content.documents)
    texts["Tools offered"] = "\n".join(f"{tool.name}: {tool.description}" for tool in content.tools)
    return texts


def _read_payload(payload: Payload | None) -> str:
    """Return messages as text, without the ids of calls: each run makes new ones."""
    if payload is None:
        return ""
    if not payload.messages:
        return payload.text
    lines = []
    for message in payload.messages:
        lines.append(f"[{message.role or 'message'}]")
        for part in message.parts:
            head = {"tool_call": f"calls {part.name}", "tool_result": f"{part.name} returned".strip()}.get(part.kind, "")
            lines += [text for text in (head, part.text) if text]
        lines.append("")
    return "\n".join(lines)
