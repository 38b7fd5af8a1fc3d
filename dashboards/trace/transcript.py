"""The steps of a run as a story: turns of the model, tool calls, hand-offs, agents within agents. Pure.

What frameworks wrap around a run (chains, graph nodes, HTTP, databases) is passed through when something of the story lies below
it and folded into one line when not. A second span about the same model or tool call counts as a detail of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tracestore.model import SpanSummary
from tracestore.summary.outcomes import ESCALATION_TOOL

_STORY = frozenset(("agent", "llm", "tool", "retriever", "embedding", "guardrail", "evaluator"))
_SIGNALS = {
    "agent_handoff": "handoff",
    "human_escalation": "escalation",
    "human_approval_requested": "approval",
    "human_approval_decided": "approval",
    "human_wait": "approval",
}
# What a step below one of these kinds must be, so that the step is a group of its own and not a card with details.
_OPENS = {
    "tool": ("agent", "llm"),
    "retriever": ("agent", "llm", "tool"),
    "embedding": ("agent", "llm", "tool"),
    "guardrail": ("agent", "llm", "tool"),
    "evaluator": ("agent", "llm", "tool"),
}


@dataclass
class Usage:
    """Tokens and list price; `cost_usd` is None when nothing has a price."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None

    def add(self, other: Usage) -> None:
        """Add another's numbers to these."""
        self.input_tokens += other.input_tokens
        self.cached_input_tokens += other.cached_input_tokens
        self.output_tokens += other.output_tokens
        if other.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + other.cost_usd

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


@dataclass(eq=False)  # an item is itself, however alike another is
class Item:
    """A card of the transcript, or with `kind` "folded" a line for steps that tell nothing (`folded`).

    `kind` is turn, tool, agent, handoff, escalation, approval, error, folded or the kind of the step. `items` is what happened
    inside a group, in order; `details` are steps about the same call and plumbing below it. A group's usage is that of its turns.
    """

    kind: str
    span: SpanSummary
    usage: Usage = field(default_factory=Usage)
    items: list[Item] = field(default_factory=list)
    folded: list[SpanSummary] = field(default_factory=list)
    details: list[SpanSummary] = field(default_factory=list)
    error_count: int = 0

    @property
    def span_id(self) -> str:
        return self.span.span_id

    @property
    def is_group(self) -> bool:
        return bool(self.items)

    def walk(self) -> Iterator[Item]:
        """Return this item and all within it, in order."""
        stack = [self]
        while stack:
            item = stack.pop()
            yield item
            stack += reversed(item.items)

    @property
    def step_count(self) -> int:
        """How many cards stand inside a group, at any depth."""
        return sum(item.kind != "folded" for item in self.walk()) - 1

    def turns(self) -> list[Item]:
        """Return the model calls of this item and within it, in order."""
        return [item for item in self.walk() if item.kind == "turn"]


@dataclass
class Transcript:
    """The story of a trace. `main` is the step that stands for all of it (its input and output frame the story), if one does.

    `inner` is the innermost of agents that hold nothing but each other: it tells what `main` does not.
    """

    items: list[Item]
    main: SpanSummary | None
    inner: SpanSummary | None = None

    def walk(self) -> Iterator[Item]:
        """Return all items, groups before what is in them."""
        for item in self.items:
            yield from item.walk()

    def find_group(self, span_id: str) -> Item | None:
        """Return the group of this step."""
        return next((item for item in self.walk() if item.is_group and item.span_id == span_id), None)

    def find_path(self, span_id: str) -> list[Item]:
        """Return the items from the top down to the one that shows this step, itself or as a detail; [] when none does."""
        for top in self.items:
            stack = [[top]]
            while stack:
                path = stack.pop()
                item = path[-1]
                if item.span_id == span_id or any(span.span_id == span_id for span in (*item.details, *item.folded)):
                    return path
                stack += [[*path, inner] for inner in reversed(item.items)]
        return []


def build_transcript(spans: Sequence[SpanSummary]) -> Transcript:
    """Return the story of these steps (in any order): branches in the order in which they began, one after the other."""
    steps = _order(spans)
    top = _Builder(steps).build()
    main: SpanSummary | None = None
    inner: SpanSummary | None = None
    cards = [item for item in top if item.kind != "folded"]
    while len(cards) == 1 and cards[0].kind == "agent" and cards[0].is_group:
        main, inner = main or cards[0].span, cards[0].span if main else None
        place = top.index(cards[0])
        top = [*top[:place], *cards[0].items, *top[place + 1 :]]
        cards = [item for item in cards[0].items if item.kind != "folded"]
    roots = [step.span for step in steps if step.parent < 0]
    if main is None and len(roots) == 1 and len(cards) != 1:
        main = roots[0]
    return Transcript(top, main, inner)


@dataclass(slots=True)
class _Step:
    """A span, the place of its parent (-1 for a root or an orphan), and what lies below it: kinds of story, an error."""

    span: SpanSummary
    parent: int
    below: set[str] = field(default_factory=set)
    has_error_below: bool = False


def _order(spans: Sequence[SpanSummary]) -> list[_Step]:
    """Return the steps depth first, siblings in start order. Of a ring of parents the earliest step is a root."""
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns, span.span_id))
    ids = {span.span_id for span in ordered}
    children: dict[str, list[SpanSummary]] = {}
    for span in ordered:
        parent = span.parent_span_id if span.parent_span_id in ids and span.parent_span_id != span.span_id else ""
        children.setdefault(parent, []).append(span)
    steps: list[_Step] = []
    placed: set[str] = set()
    for root in [*children.pop("", []), *ordered]:  # what no root leads to lies in a ring
        stack = [(root, -1)]
        while stack:
            span, parent_place = stack.pop()
            if span.span_id in placed:
                continue
            placed.add(span.span_id)
            stack += [(child, len(steps)) for child in reversed(children.get(span.span_id, []))]
            steps.append(_Step(span, parent_place))
    return steps


class _Builder:
    """One pass over the steps, parents before children; no recursion, since a chain of steps may be thousands deep."""

    def __init__(self, steps: list[_Step]) -> None:
        self.steps = steps
        self.top: list[Item] = []
        # Where the children of a step go: a list of items, or the item that they are only details of.
        self.places: list[tuple[list[Item], Item | None]] = []
        self.parents: list[tuple[Item, Item | None]] = []
        self.group_of: dict[int, Item] = {}
        self._look_below()

    def _look_below(self) -> None:
        """Tell each step what lies below it; of a tool only others than itself."""
        for step in reversed(self.steps):
            if step.parent < 0:
                continue
            above, span = self.steps[step.parent], step.span
            above.below |= step.below
            above.has_error_below |= step.has_error_below or span.is_error
            is_same = span.kind == above.span.kind == "tool" and above.span.tool == span.tool
            if span.kind in _STORY and not is_same:
                above.below.add(span.kind)
            if span.signal in _SIGNALS:
                above.below.add("signal")

    def build(self) -> list[Item]:
        """Return the items at the top."""
        for step in self.steps:
            items, owner = self.places[step.parent] if step.parent >= 0 else (self.top, None)
            self.places.append(self._place(step, items, owner))
        self._add_up()
        return self.top

    def _place(self, step: _Step, items: list[Item], owner: Item | None) -> tuple[list[Item], Item | None]:
        span, below = step.span, step.below
        if owner is not None:
            (owner.folded if owner.kind == "folded" else owner.details).append(span)
            return items, owner
        if span.kind == "agent" and not self._is_same_agent(span, items):
            item = self._append(items, "agent", span)
            return self._open(item)
        if span.kind == "llm" and below & {"llm", "tool", "agent"}:
            # A call that holds the loop of calls and tools is a frame; one that holds only its tools is the call itself.
            if "llm" in below and below & {"tool", "agent"}:
                return items, None
            item = self._append(items, "turn", span)
            return (items, None) if "llm" not in below else (items, item)
        if span.kind in _STORY and span.kind != "agent":
            item = self._append(items, self._kind_of(span), span)
            return self._open(item) if below & set(_OPENS.get(span.kind, ())) else (items, item)
        if span.signal in _SIGNALS:
            self._append(items, _SIGNALS[span.signal], span)
            return items, None
        if below:
            if span.is_error and not step.has_error_below:
                self._append(items, "error", span)
            return items, None
        last = items[-1] if items else None
        if last is None or last.kind != "folded":
            last = self._append(items, "folded", span)
        last.folded.append(span)
        return items, last

    def _is_same_agent(self, span: SpanSummary, items: list[Item]) -> bool:
        """Tell whether a span is one more about the agent it runs in: some frameworks have one for each round, often nameless."""
        group = self.group_of.get(id(items))
        return group is not None and group.kind == "agent" and span.agent in ("", group.span.agent)

    def _kind_of(self, span: SpanSummary) -> str:
        if span.signal in _SIGNALS:
            return _SIGNALS[span.signal]
        if span.kind == "tool" and ESCALATION_TOOL.match(span.tool):
            return "escalation"
        return "turn" if span.kind == "llm" else span.kind

    def _append(self, items: list[Item], kind: str, span: SpanSummary) -> Item:
        item = Item(kind, span)
        items.append(item)
        self.parents.append((item, self.group_of.get(id(items))))
        return item

    def _open(self, item: Item) -> tuple[list[Item], Item | None]:
        self.group_of[id(item.items)] = item
        return item.items, None

    def _add_up(self) -> None:
        """Fill in usage and errors, groups after what is in them."""
        for item, _ in self.parents:
            if item.kind in ("turn", "embedding"):
                item.usage = _usage_of_call([item.span, *item.details])
        copies = {id(item) for items in (self.top, *(item.items for item, _ in self.parents)) for item in _take_copies(items)}
        for item, group in reversed(self.parents):
            if id(item) in copies:
                continue
            spans = [*([] if item.kind == "folded" else [item.span]), *item.details, *item.folded]
            item.error_count += sum(span.is_error for span in spans)
            if not item.usage.tokens:
                # An agent that has no turns of its own here may still say what it used.
                item.usage = _usage_of(item.span)
            if group is not None:
                group.usage.add(item.usage)
                group.error_count += item.error_count


def _take_copies(items: list[Item]) -> list[Item]:
    """Make a turn that repeats the one before it a detail of that, and return those.

    A copy is of another instrumentation, to the same model and over before the other is; or it has the same usage and takes no
    time: a log record in the form of a span. The summary of a trace has the same rules (tracestore/summary/calls.py).
    """
    copies = []
    last: Item | None = None
    for item in list(items):
        if item.kind == "folded":
            continue
        if item.kind == "turn" and last is not None and _is_copy(last, item):
            last.details += [item.span, *item.details]
            items.remove(item)
            copies.append(item)
            continue
        last = item if item.kind == "turn" else None
    return copies


def _is_copy(turn: Item, other: Item) -> bool:
    if turn.is_group or other.is_group:
        return False
    one, two = turn.span, other.span
    if one.scope_name != two.scope_name:
        ends_within = two.start_ns + two.duration_ns <= one.start_ns + one.duration_ns
        return ends_within and one.request_model == two.request_model
    is_same = turn.usage.tokens and _numbers(turn.usage) == _numbers(other.usage)
    return bool(is_same) and 0 in (one.duration_ns, two.duration_ns)


def _numbers(usage: Usage) -> tuple[int, int]:
    return usage.input_tokens, usage.output_tokens


def _usage_of(span: SpanSummary) -> Usage:
    return Usage(span.input_tokens, span.cached_input_tokens, span.output_tokens, span.cost_usd)


def _usage_of_call(spans: list[SpanSummary]) -> Usage:
    """Return the usage of the outermost span about a call that has any."""
    return _usage_of(next((span for span in spans if span.input_tokens or span.output_tokens), spans[0]))
