"""Spans of whole traces in, one summary row per trace out. Pure, and computed on columns: no Python loop over spans.

The three questions that no span answers alone are decided here, from all spans of a trace, again whenever one arrives late:
which token counts are the same tokens reported twice, whether the run failed, and whether it went to a human.
docs/outcome.md explains the rules to users.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tracestore.model import Outcome

if TYPE_CHECKING:
    import pyarrow

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Which rule decided the outcome -> the sentence that the trace page shows.
OUTCOME_RULES = {
    "root_error": "The root span reports an error.",
    "unrecovered_error": "A step failed and no step succeeded after it, although the root span does not report an error.",
    "interrupted": "Steps arrived but the agent span above them never did: the process stopped in the middle of the run.",
    "recovered": "Steps failed, but the run went on after them and its root span reports no error.",
    "no_error": "No span reports an error.",
    "running": "The root span has not arrived yet.",
}

# Tools that hand the conversation to a person. Matched on the tool's name; asking about escalations is not one, nor is calming
# somebody down, asking for higher privileges, or writing for human readers.
ESCALATION_TOOL = re.compile(
    r"^(?!(get|list|check|find|search|read|show|view|is|should)([_-]|(?-i:[A-Z]))).*?("
    r"(?<!de)(?<!de[_-])escalat(?!ed)|(to|with|for|ask|call)[_-]?human(?!i[sz]|s|[_-]?read)"
    r"|human[_-]?(agent|support|handoff|operator|help)|live[_-]?agent|handoff_to_user"
    r"|(transfer|handoff|hand_off)_to_(operator|agent_desk|support_desk|representative)|page[_-]?on[_-]?call)",
    re.IGNORECASE,
)

# flags bits 8 and 9 of a span: is it known whether the parent is remote, and is it (opentelemetry/proto/trace/v1/trace.proto).
_PARENT_KNOWN, _PARENT_REMOTE = 0x100, 0x200


# Parts of a call's tokens that have a price of their own: of two spans about one call the one that knows some of them counts.
_DETAILS = (
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cache_write_1h_tokens", "input_audio_tokens",
    "output_audio_tokens",
)  # fmt: skip


class Labels:
    """A text column as codes into its distinct values; code of the empty text is `empty`, -1 when it does not occur."""

    def __init__(self, codes: Ints, distinct: pyarrow.Array) -> None:
        import pyarrow

        self.codes = codes
        self._distinct = distinct
        self.empty: int = distinct.index(pyarrow.scalar(b"", type=distinct.type)).as_py()

    @cached_property
    def texts(self) -> pyarrow.Array:
        """The distinct values as text; what is not UTF-8 is replaced."""
        import pyarrow

        try:
            return self._distinct.cast(pyarrow.string())
        except pyarrow.ArrowInvalid:
            return pyarrow.array([value.decode(errors="replace") for value in self._distinct.to_pylist()], type=pyarrow.string())

    @cached_property
    def values(self) -> list[str]:
        return list(self.texts.to_pylist())

    @cached_property
    def present(self) -> Mask:
        return np.asarray(self.codes != self.empty, dtype=np.bool_)

    def where(self, *wanted: str) -> Mask:
        return self.matching(lambda value: value in wanted)

    def matching(self, test: Callable[[str], Any]) -> Mask:
        passes = np.fromiter((bool(test(value)) for value in self.values), dtype=np.bool_, count=len(self.values))
        return np.asarray(passes[self.codes], dtype=np.bool_)

    def take(self, positions: Ints) -> pyarrow.Array:
        """Return the text at each position, the empty text for -1."""
        import pyarrow

        codes = pyarrow.array(self.codes[positions], mask=positions < 0) if len(self.codes) else pyarrow.nulls(0, pyarrow.int64())
        return self.texts.take(codes).fill_null("")


class SpanColumns:
    """The spans of some traces as columns, spans of one trace together and in start order."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table.combine_chunks()
        self._labels: dict[str, Labels] = {}
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self.count = table.num_rows
        self.trace_ids = self._fixed("trace_id", 16)
        starts = np.ones(self.count, dtype=bool)
        starts[1:] = self.trace_ids[1:] != self.trace_ids[:-1]
        self.first = np.flatnonzero(starts)  # position of each trace's first span
        self.trace = np.cumsum(starts) - 1  # trace number of each span
        self.trace_count = len(self.first)
        self.parent, self.is_orphan = self._link_parents()

    def _fixed(self, name: str, width: int) -> npt.NDArray[np.void]:
        column = self._table.column(name)
        chunk = column.chunk(0) if column.num_chunks else column.combine_chunks()
        raw = np.frombuffer(chunk.buffers()[1], dtype=f"V{width}") if self.count else np.empty(0, dtype=f"V{width}")
        return raw[chunk.offset : chunk.offset + self.count]

    def numbers(self, name: str) -> Ints:
        return self._array(name, np.int64)

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """Return a nullable number column, NaN for null."""
        return self._array(name, np.float64)

    def mask(self, name: str) -> Mask:
        return self._array(name, np.bool_)

    def _array(self, name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = np.asarray(self._table.column(name).to_numpy(zero_copy_only=False), dtype=dtype)
        return self._arrays[name]

    def labels(self, name: str) -> Labels:
        if name not in self._labels:
            self._labels[name] = self._read_labels(name)
        return self._labels[name]

    def _read_labels(self, name: str) -> Labels:
        import pyarrow

        column = self._table.column(name)
        if not pyarrow.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pyarrow.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pyarrow.array([], type=column.type)
        return Labels(column.indices.to_numpy(zero_copy_only=False).astype(np.int64), column.dictionary)

    def first_trace_ids(self) -> pyarrow.Array:
        """Return each trace's id."""
        import pyarrow

        ids = self.trace_ids[self.first]
        return pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(16), len(ids), [None, pyarrow.py_buffer(ids.tobytes())])

    def raw_ids(self, name: str) -> npt.NDArray[np.uint64]:
        """Return a column of 8-byte ids as the numbers that these bytes are here."""
        return self._fixed(name, 8).view("u8")

    def ids_at(self, name: str, positions: Ints) -> pyarrow.Array:
        """Return the 8-byte id at each position, zeros for -1."""
        import pyarrow

        ids = self.raw_ids(name)[positions] if self.count else np.empty(0, dtype="u8")
        return pyarrow.FixedSizeBinaryArray.from_buffers(
            pyarrow.binary(8), len(positions), [None, pyarrow.py_buffer(np.where(positions >= 0, ids, 0).astype("u8"))]
        )

    def _link_parents(self) -> tuple[Ints, Mask]:
        """Return each span's parent as a position (-1: none here) and which spans name a parent that is not here."""
        ids = self._fixed("span_id", 8).view("u8")
        parents = self._fixed("parent_span_id", 8).view("u8")
        names_parent = parents != 0
        # Ranks instead of the 64-bit ids leave room for the trace number in one sortable key.
        values, ranks = np.unique(np.concatenate([ids, parents]), return_inverse=True)
        keys = self.trace * len(values) + ranks[: self.count]
        wanted = self.trace * len(values) + ranks[self.count :]
        order = np.argsort(keys, kind="stable")
        places = np.minimum(np.searchsorted(keys[order], wanted), max(self.count - 1, 0))
        found = names_parent & (keys[order][places] == wanted) if self.count else names_parent
        return np.where(found, order[places] if self.count else -1, -1), names_parent & ~found


def mark_ancestors(parent: Ints, seeds: Mask, barrier: Mask | None = None) -> Mask:
    """Return which spans have a seed below them; a barrier is marked itself but passes nothing on to its own ancestors.

    Each span is visited once, so a cycle of parents ends too.
    """
    marked = np.zeros(len(parent), dtype=bool)
    frontier = np.unique(parent[seeds])
    frontier = frontier[frontier >= 0]
    while frontier.size:
        fresh = frontier[~marked[frontier]]
        marked[fresh] = True
        passing = fresh if barrier is None else fresh[~barrier[fresh]]
        frontier = np.unique(parent[passing])
        frontier = frontier[frontier >= 0]
    return marked


def nearest_ancestor(parent: Ints, start: Ints, target: Mask, *, max_steps: int = 64) -> Ints:
    """Return for each span of `start` the position of its nearest ancestor in `target`, -1 when there is none within reach."""
    current = parent[start]
    for _ in range(max_steps):
        climbing = (current >= 0) & ~target[np.maximum(current, 0)]
        if not climbing.any():
            break
        current[climbing] = parent[current[climbing]]
    return np.where((current >= 0) & target[np.maximum(current, 0)], current, -1)


@dataclass(frozen=True)
class Calls:
    """Which spans stand for a model call, and which carry token counts that are nobody else's.

    `account` is the position of the span whose model a call belongs to: its own, or the enclosing one that has its tokens.
    """

    is_call: Mask
    counts_usage: Mask
    account: Ints


def _drop_repeated(
    keep: Mask, keys: Ints, has_key: Mask, preferred: Mask, same: Callable[[Ints, Ints], Mask] | None = None
) -> Mask:
    """Among kept spans with equal keys leave one: a preferred one if any, the last to start (the innermost) of those.

    `same` tells for (left, repeated) positions whether the key is to be believed.
    """
    members = np.flatnonzero(keep & has_key)
    order = members[np.lexsort((-members, ~preferred[members], keys[members]))]
    repeats = np.zeros(len(order), dtype=bool)
    repeats[1:] = keys[order][1:] == keys[order][:-1]
    if same is not None:
        left = order[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(order))))]
        repeats &= same(left, order)
    result = keep.copy()
    result[order[repeats]] = False
    return result


def find_calls(spans: SpanColumns) -> Calls:
    """Decide which spans are model calls and whose usage counts, so that no token is counted twice.

    An agent or chain span may repeat the sum of the calls below it, a framework's span the numbers of the SDK span inside it:
    the deepest counts. But a call that runs a tool or another agent below itself (streamed calls of the Vercel AI SDK do)
    reports its own tokens, so tools and agents are barriers between calls. Two instrumentations of one call that are siblings
    share the provider's response id, or lie inside each other's time. Of two spans about one call the one that knows its parts
    (_DETAILS) or, where neither does, its model counts: vLLM's own span tells the tokens and no model.
    """
    kind = spans.labels("kind")
    model_call = kind.where("llm", "embedding")
    barrier = kind.where("tool", "agent")
    tokens_in, tokens_out = spans.numbers("input_tokens"), spans.numbers("output_tokens")
    has_usage = (tokens_in + tokens_out) > 0

    response_id = spans.labels("response_id")
    response_keys = spans.trace * max(len(response_id.values), 1) + response_id.codes
    detailed = np.zeros(spans.count, dtype=bool)
    for name in _DETAILS:
        detailed |= spans.numbers(name) > 0

    start, end = spans.numbers("start_ns"), spans.numbers("start_ns") + spans.numbers("duration_ns")

    def same_answer(left: Ints, right: Ints) -> Mask:
        # Some SDKs send one placeholder as the id of every answer: calls apart in time with other tokens are others.
        overlap = (start[left] <= end[right]) & (start[right] <= end[left])
        equal = (tokens_in[left] == tokens_in[right]) & (tokens_out[left] == tokens_out[right])
        return np.asarray(overlap | equal | ~has_usage[left] | ~has_usage[right], dtype=np.bool_)

    usage_calls = model_call & has_usage
    counted = usage_calls & ~mark_ancestors(spans.parent, usage_calls, barrier)
    has_model = spans.labels("request_model").present | spans.labels("response_model").present
    plain = np.flatnonzero(counted & ~detailed)
    outer = nearest_ancestor(spans.parent, plain, usage_calls | barrier)
    equal = (tokens_in[outer] == tokens_in[plain]) & (tokens_out[outer] == tokens_out[plain])
    shared = response_id.present[plain] & (response_keys[outer] == response_keys[plain])
    knows_more = (outer >= 0) & usage_calls[outer] & (detailed[outer] | (has_model[outer] & ~has_model[plain])) & (shared | equal)
    counted[plain[knows_more]], counted[outer[knows_more]] = False, True
    counted = _drop_repeated(counted, response_keys, response_id.present, detailed, same_answer)
    named = _drop_unnamed_copies(spans, counted, response_id.present)
    unnamed_copy = counted & ~named
    counted = named
    counted = _drop_enclosed_siblings(spans, counted, same_usage=True)
    aggregate = has_usage & ~model_call
    counted |= aggregate & ~mark_ancestors(spans.parent, has_usage)
    counted = _drop_repeated(counted, response_keys, response_id.present, model_call, same_answer)

    is_call = model_call & ~mark_ancestors(spans.parent, model_call, barrier) & ~unnamed_copy
    is_call = _drop_repeated(is_call, response_keys, response_id.present, counted, same_answer)
    # A call takes time. Zero-length spans are log records of a call that has a span of its own.
    model = spans.labels("request_model")
    keys = spans.trace * len(model.values) + model.codes if spans.count else spans.trace
    timed = spans.numbers("duration_ns") > 0
    is_call &= timed | ~np.isin(keys, keys[is_call & timed])
    account = np.arange(spans.count)
    inner = np.flatnonzero(is_call & ~counted)
    owner = nearest_ancestor(spans.parent, inner, (model_call & counted) | barrier)
    owned = (owner >= 0) & (model_call & counted)[owner]
    account[inner[owned]] = owner[owned]
    return Calls(_drop_enclosed_siblings(spans, is_call), counted, account)


def _drop_unnamed_copies(spans: SpanColumns, counted: Mask, has_id: Mask) -> Mask:
    """Drop usage without a response id that equals, to the token, that of a call with one by another instrumentation."""
    scope, model = spans.labels("scope_name").codes, spans.labels("request_model").codes
    members = np.flatnonzero(counted)
    # Only a trace that has both kinds can have such a copy; most have none.
    has_named, has_unnamed = np.zeros((2, spans.trace_count), dtype=bool)
    has_named[spans.trace[members[has_id[members]]]] = True
    has_unnamed[spans.trace[members[~has_id[members]]]] = True
    members = members[(has_named & has_unnamed)[spans.trace[members]]]
    if not members.size:
        return counted
    tokens = (spans.numbers("input_tokens")[members], spans.numbers("output_tokens")[members])
    usage = np.stack([spans.trace[members], model[members], *tokens], axis=1)
    _, groups = np.unique(usage, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    named = has_id[members]
    result = counted.copy()
    for group in np.intersect1d(groups[named], groups[~named]).tolist():
        twins = members[groups == group]
        named_scopes = set(scope[twins[has_id[twins]]].tolist())
        spare = int(has_id[twins].sum())
        copies = [position for position in twins[~has_id[twins]].tolist() if scope[position] not in named_scopes]
        result[copies[:spare]] = False
    return result


def _drop_enclosed_siblings(spans: SpanColumns, is_call: Mask, *, same_usage: bool = False) -> Mask:
    """Drop a call within the time of a sibling call of another instrumentation to the same model: it is the same call.

    With `same_usage` only one that reports the same tokens, too.
    """
    members = np.flatnonzero(is_call & (spans.parent >= 0))
    if not members.size:
        return is_call
    start, end = spans.numbers("start_ns"), spans.numbers("start_ns") + spans.numbers("duration_ns")
    scope, model = spans.labels("scope_name").codes, spans.labels("request_model").codes
    order = members[np.lexsort((-end[members], start[members], model[members], spans.parent[members]))]
    outer, inner = order[:-1], order[1:]
    same = (spans.parent[outer] == spans.parent[inner]) & (model[outer] == model[inner]) & (scope[outer] != scope[inner])
    if same_usage:
        for name in ("input_tokens", "output_tokens"):
            same &= spans.numbers(name)[outer] == spans.numbers(name)[inner]
    result = is_call.copy()
    result[inner[same & (end[inner] <= end[outer])]] = False
    return result


@dataclass(frozen=True)
class ToolCalls:
    """Which spans stand for one execution of a tool, which of those failed, and which for a call that was refused."""

    is_call: Mask
    failed: Mask
    refused: Mask


def find_tool_calls(spans: SpanColumns) -> ToolCalls:
    """Count each execution of a tool once: not again for a span of the same tool inside it, nor for a repeated call id."""
    kind, tool = spans.labels("kind"), spans.labels("tool")
    is_tool = kind.where("tool")
    members = np.flatnonzero(is_tool)
    enclosing = nearest_ancestor(spans.parent, members, kind.where("tool", "agent", "llm"))
    nested = (enclosing >= 0) & is_tool[enclosing] & (tool.codes[enclosing] == tool.codes[members])
    is_call = is_tool.copy()
    is_call[members[nested]] = False

    call_id = spans.labels("tool_call_id")
    errors = spans.mask("is_error")
    keys = (spans.trace * max(len(call_id.values), 1) + call_id.codes) * max(len(tool.values), 1) + tool.codes
    is_call = _drop_repeated(is_call, keys, call_id.present, errors)

    # An error on a helper span inside (an execution step, an HTTP request that nothing handled) is the tool's error
    # only when the tool span's own status was left unset: a tool that says ok has dealt with it.
    failed = errors & is_tool
    owners = _owning_tools(spans, is_tool, errors & kind.where("other"))
    failed[owners[~spans.labels("status").where("ok")[owners]]] = True
    refused = spans.labels("signal").where("refused_call")
    refused[_owning_tools(spans, is_tool, refused & kind.where("other"))] = True
    refused &= is_call
    is_call &= ~refused
    return ToolCalls(is_call, failed & is_call, refused)


def _owning_tools(spans: SpanColumns, is_tool: Mask, helpers: Mask) -> Ints:
    """Return the positions of the tool spans that these helper spans belong to."""
    owners = nearest_ancestor(spans.parent, np.flatnonzero(helpers), ~spans.labels("kind").where("other"))
    owners = owners[owners >= 0]
    return owners[is_tool[owners]]


@dataclass(frozen=True)
class Outcomes:
    """Per trace: outcome, the rule that decided it, and the position of the failing span (-1 when it did not fail)."""

    outcome: list[str]
    rule: list[str]
    failing: Ints
    root: Ints


def decide_outcomes(spans: SpanColumns, tools: ToolCalls, *, now_ns: int, running_timeout_ns: int) -> Outcomes:
    """Decide for each trace whether the run failed.

    Status alone is no witness: roots stay OK above failed agents, and error spans occur in runs that recovered. So a run
    failed when its root says so, when the last thing that happened in it was a failure, or when it stopped in the middle.
    """
    count, trace = spans.trace_count, spans.trace
    start = spans.numbers("start_ns")
    end = start + spans.numbers("duration_ns")
    kind = spans.labels("kind")
    errors = spans.mask("is_error") | tools.failed

    is_root = (spans.parent < 0) & ~spans.is_orphan
    flags = spans.numbers("flags")
    remote = ((flags & _PARENT_REMOTE) != 0) | spans.labels("span_kind").where("server", "consumer")
    # A parent elsewhere may belong to a caller who does not report here: its child is the root as far as we can know.
    # Steps whose local parent is missing are different: agent and chain spans end last, so theirs is still open, or lost.
    is_step = kind.where("llm", "tool", "embedding", "retriever", "guardrail")
    stands_in = spans.is_orphan & (remote | ~is_step)
    has_root = np.zeros(count, dtype=bool)
    has_root[trace[is_root]] = True
    has_stand_in = np.zeros(count, dtype=bool)
    has_stand_in[trace[stands_in]] = True

    top = np.where(has_root[trace], is_root, np.where(has_stand_in[trace], stands_in, spans.parent < 0))
    root = np.full(count, -1, dtype=np.int64)
    tops = np.flatnonzero(top)[::-1]
    root[trace[tops]] = tops  # reversed: the earliest wins
    missing = root < 0  # only possible when all parents form cycles
    root[missing] = spans.first[missing]

    # Did a step succeed after an error? Steps that started once it was over.
    succeeded = is_step & ~errors
    last_success = np.full(count, -1, dtype=np.int64)
    np.maximum.at(last_success, trace[succeeded], start[succeeded])
    # Helper spans (HTTP, database) fail and are retried without anybody asking; their fate shows in the step above them.
    matters = errors & (~kind.where("other") | top)
    unrecovered = matters & (last_success[trace] < end)

    root_error = np.zeros(count, dtype=bool)
    root_error[trace[top & errors & (is_root | stands_in)]] = True
    any_unrecovered = np.zeros(count, dtype=bool)
    any_unrecovered[trace[unrecovered]] = True
    any_error = np.zeros(count, dtype=bool)
    any_error[trace[errors]] = True
    last_end = np.zeros(count, dtype=np.int64)
    np.maximum.at(last_end, trace, end)

    rootless = ~has_root & ~has_stand_in
    recent = last_end > now_ns - running_timeout_ns
    # A caller elsewhere may never report here: only a parent that lives in this process is worth waiting for.
    expects_more = np.zeros(count, dtype=bool)
    expects_more[trace[spans.is_orphan & ~remote]] = True
    awaited = ~has_root & recent & (expects_more | rootless)
    conditions = [root_error & ~awaited, awaited, any_unrecovered, rootless, any_error]
    rules = ["root_error", "running", "unrecovered_error", "interrupted", "recovered"]
    rule = np.select(conditions, rules, default="no_error").tolist()
    outcome_of = {"running": Outcome.RUNNING, "recovered": Outcome.OK, "no_error": Outcome.OK}
    failing = _find_failing(spans, errors, unrecovered, end)
    last_span = _last_by_trace(trace, end, np.ones(spans.count, dtype=bool), count)
    failing = np.where(np.array(rule) == "interrupted", last_span, failing)
    failed = np.isin(rule, ["root_error", "unrecovered_error", "interrupted"])
    failing = np.where(failed, np.where(failing >= 0, failing, root), -1)
    return Outcomes([outcome_of.get(name, Outcome.ERROR).value for name in rule], rule, failing, root)


def _last_by_trace(trace: Ints, end: Ints, candidates: Mask, count: int) -> Ints:
    """Return per trace the position of the candidate that ended last, -1 when it has none."""
    result = np.full(count, -1, dtype=np.int64)
    members = np.flatnonzero(candidates)
    members = members[np.argsort(end[members], kind="stable")]
    result[trace[members]] = members
    return result


def _find_failing(spans: SpanColumns, errors: Mask, unrecovered: Mask, end: Ints) -> Ints:
    """Return per trace the first cause: the error span with no error below it, unrecovered ones first, the last one of those."""
    deepest = errors & ~mark_ancestors(spans.parent, errors)
    steps = deepest & ~spans.labels("kind").where("other")
    result = np.full(spans.trace_count, -1, dtype=np.int64)
    # A helper's error points at the step above it, when that is an error too; else the helper is all there is.
    below_step = nearest_ancestor(spans.parent, np.flatnonzero(deepest & ~steps), errors & ~spans.labels("kind").where("other"))
    steps[below_step[below_step >= 0]] = True
    for candidates in (steps & unrecovered, deepest & unrecovered, unrecovered, steps, deepest):
        last = _last_by_trace(spans.trace, end, candidates, spans.trace_count)
        result = np.where(result >= 0, result, last)
    return result


@dataclass(frozen=True)
class Groups:
    """Members (positions of spans) with equal codes in one trace, groups in the order of their first member.

    `first` are the positions of the first members, `of` is the group of each member, and the groups of trace number i are
    offsets[i] to offsets[i + 1].
    """

    first: Ints
    of: Ints
    offsets: Ints

    def lists(self, values: pyarrow.Array | npt.NDArray[Any]) -> pyarrow.Array:
        """Return per trace the list of its groups' values; `values` has one for each group."""
        import pyarrow

        return pyarrow.ListArray.from_arrays(self.offsets.astype(np.int32), values)

    def lists_of(self, values: npt.NDArray[Any], which: Mask) -> pyarrow.Array:
        """Return per trace, for each group, the list of its members' values; only members in the mask count."""
        import pyarrow

        members = np.flatnonzero(which)
        order = members[np.argsort(self.of[members], kind="stable")]
        sizes = np.bincount(self.of[order], minlength=len(self.first))
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        return self.lists(pyarrow.ListArray.from_arrays(ends, pyarrow.array(values[order])))

    def sums(self, values: Ints) -> Ints:
        """Return the sum of each group; `values` has one for each member."""
        result = np.zeros(len(self.first), dtype=np.int64)
        np.add.at(result, self.of, values)
        return result


def group_by_trace(spans: SpanColumns, members: Ints, codes: Ints) -> Groups:
    """Group these spans by trace and code. `members` ascend, `codes` has a number from 0 for each of them."""
    keys = spans.trace[members] * (int(codes.max(initial=0)) + 1) + codes
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    first = members[first[order]]
    sizes = np.bincount(spans.trace[first], minlength=spans.trace_count)
    return Groups(first, rank[group], np.concatenate([[0], np.cumsum(sizes)]))


def distinct_by_trace(spans: SpanColumns, labels: Labels, leading: Ints | None = None) -> pyarrow.Array:
    """Return per trace the distinct non-empty values, in the order of their first appearance.

    The value at the trace's position in `leading` comes first, where it has one (-1 has none).
    """
    # A value that the span before has as well has appeared already: most columns are the same all over a trace.
    fresh = labels.present.copy()
    fresh[1:] &= (labels.codes[1:] != labels.codes[:-1]) | (spans.trace[1:] != spans.trace[:-1])
    members = np.flatnonzero(fresh)
    groups = group_by_trace(spans, members, labels.codes[members])
    first = groups.first
    if leading is not None:
        trace = spans.trace[first]
        leads = (leading[trace] >= 0) & (labels.codes[first] == labels.codes[leading[trace]])
        first = first[np.lexsort((first, ~leads, trace))]
    return groups.lists(labels.take(first))


def first_by_trace(spans: SpanColumns, labels: Labels, root: Ints) -> pyarrow.Array:
    """Return per trace the root's value, else the first non-empty one."""
    members = np.flatnonzero(labels.present)[::-1]
    chosen = np.full(spans.trace_count, -1, dtype=np.int64)
    chosen[spans.trace[members]] = members
    return labels.take(np.where(labels.present[root], root, chosen))


def sum_by_trace(spans: SpanColumns, values: Ints, mask: Mask) -> Ints:
    """Return per trace the sum over the masked spans."""
    result = np.zeros(spans.trace_count, dtype=np.int64)
    np.add.at(result, spans.trace[mask], values[mask])
    return result
