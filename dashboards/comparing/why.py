"""The page "Why": a comparison as sentences, bars and links, and the questions next to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from dashboards.comparing.why_search import WhySearch
from dashboards.templatetags import formatting
from dashboards.text import make_visible
from tracestore.language import add_condition, format_filter
from tracestore.queries.why.attributes import AttributeComparison
from tracestore.queries.why.comparison import Comparison
from tracestore.queries.why.numbers import Quantiles, Shift
from tracestore.queries.why.pairs import Pair
from tracestore.queries.why.values import Difference
from tracestore.statistics.histogram import Bar
from tracestore.statistics.samples import Interval

# Shares of fewer traces say little, whatever their interval.
FEW = 10
_ROWS = 6
_ATTRIBUTES = 12
_LINE_HEIGHT = 40
# (condition, what a trace did that meets it)
_VERBS = {
    "status:error": "failed",
    "status:running": "are running",
    "has_errors:true": "contain errors",
    "escalated:true": "were escalated",
}
_PHRASES = {
    "version": "ran version {}",
    "tool": "used the tool {}",
    "model": "asked the model {}",
    "agent": "ran the agent {}",
    "prompt": "used the prompt {}",
    "workflow": "ran the workflow {}",
    "service": "went through the service {}",
    "env": "ran in {}",
    "provider": "called the provider {}",
    "name": "are named {}",
    "user": "came from the user {}",
    "session": "belong to the session {}",
    "loops": "had loops: {}",
}


@dataclass(frozen=True)
class Link:
    """A question next to this one."""

    label: str
    href: str
    is_on: bool
    icon: str = ""
    condition: str = ""


@dataclass(frozen=True)
class ValueRow:
    """One value of a field. Widths are shares in percent of each side; links list its traces, narrow or exclude on both sides."""

    value: str
    selected: int
    others: int
    selected_share: float
    other_share: float
    points: str
    interval: str
    lift: str
    is_significant: bool
    along_with: str
    href: str
    narrow_href: str
    exclude_href: str

    @property
    def selected_width(self) -> float:
        return round(100 * self.selected_share, 1)

    @property
    def other_width(self) -> float:
        return round(100 * self.other_share, 1)


@dataclass(frozen=True)
class Group:
    """The values of one field, what the selection has more of first."""

    heading: str
    rows: list[ValueRow]


@dataclass(frozen=True)
class PairRow:
    """Two values that together say more than each alone. `href` lists the traces that have both."""

    first: str
    second: str
    pair: Pair
    points: str
    interval: str
    href: str


@dataclass(frozen=True)
class ShiftRow:
    """A number on both sides as text and as two lines over a logarithmic axis from `low` to `high`."""

    label: str
    selected: tuple[str, str]
    others: tuple[str, str]
    change: str
    distance: str
    is_significant: bool
    selected_line: str
    other_line: str
    width: int
    low: str
    high: str


@dataclass(frozen=True)
class Answer:
    """Everything below the search bar. `finding` is the sentence about the strongest difference, "" when there is none."""

    selected: int
    others: int
    verb: str
    where: str
    finding: str
    change: str
    tests: int
    groups: list[Group]
    symptoms: list[Group]
    alike: list[str]
    pairs: list[PairRow]
    shifts: list[ShiftRow]
    presets: list[Link]
    rivals: list[Link]
    list_href: str

    @property
    def total(self) -> int:
        return self.selected + self.others

    @property
    def too_few(self) -> str:
        """Which side is too small for conclusions, "" when none is."""
        if self.selected < FEW:
            return "selected"
        return "to compare with" if self.others < FEW else ""


def build_answer(why: WhySearch, comparison: Comparison) -> Answer:
    """Put a comparison into words, bars and links."""
    causes = [found for found in comparison.differences if not found.dimension.is_symptom]
    symptoms = [found for found in comparison.differences if found.dimension.is_symptom]
    more = [found for found in causes if found.is_significant and found.difference.value > 0]
    # What they have says more than what they lack, which often only tells one kind of sender from another.
    strongest = next((found for found in more if found.value), more[0] if more else None)
    if strongest:  # its field stands first: on a phone only the first ones show
        causes.sort(key=lambda found: found.dimension.field != strongest.dimension.field)
    same_place = bool(why.context) and why.against_text.strip() == why.context
    return Answer(
        selected=comparison.selected,
        others=comparison.others,
        verb=_VERBS.get(why.question, "") if why.question == why.search.text.strip() or same_place else "",
        where=why.against_text.strip(),
        finding=_describe(strongest) if strongest else "",
        change=_describe_change(strongest) if strongest else "",
        tests=comparison.tests,
        groups=_build_groups(why, causes),
        symptoms=_build_groups(why, symptoms),
        alike=_find_alike(causes),
        pairs=[_build_pair(why, pair) for pair in comparison.pairs[:5]],
        shifts=[_build_shift(shift) for shift in comparison.shifts],
        presets=_build_presets(why, comparison.all_p95),
        rivals=_build_rivals(why),
        list_href=why.search.href,
    )


@dataclass(frozen=True)
class AttributeAnswer:
    """What is different about attributes of `selected` and `others` traces, `read_share` of those in the range."""

    selected: int
    others: int
    read_share: float
    groups: list[Group]
    more: int
    first_token: ShiftRow | None
    tests: int


def build_attributes(why: WhySearch, comparison: AttributeComparison) -> AttributeAnswer:
    """Put the comparison of attributes into bars and links."""
    groups = _build_groups(why, comparison.differences)
    return AttributeAnswer(
        selected=comparison.selected,
        others=comparison.others,
        read_share=comparison.read_share,
        groups=groups[:_ATTRIBUTES],
        more=max(0, len(groups) - _ATTRIBUTES),
        first_token=_build_shift(comparison.first_token) if comparison.first_token else None,
        tests=comparison.tests,
    )


def points(value: float) -> str:
    """A difference of shares in percentage points: +77, −3.2, 0."""
    number = abs(value) * 100
    text = f"{number:.0f}" if number >= 9.95 else f"{number:.1f}"
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text


def points_interval(interval: Interval) -> str:
    """72 to 81."""
    low, high = (bound if bound is not None else side for bound, side in ((interval.low, -1.0), (interval.high, 1.0)))
    return f"{points(low).removeprefix('+')} to {points(high).removeprefix('+')}"


def _describe(found: Difference) -> str:
    """For example "97% of them ran version v3; of the rest 20%"."""
    value = make_visible(found.value)
    phrase = _PHRASES[found.dimension.field].format(value) if value else f"have no {found.dimension.label.lower()}"
    return f"{formatting.ratio(found.selected_share)} of them {phrase}; of the rest {formatting.ratio(found.other_share)}"


def _describe_change(found: Difference) -> str:
    return f"{points(found.difference.value)} points (95% CI {points_interval(found.difference)})"


def _build_groups(why: WhySearch, differences: Iterable[Difference]) -> list[Group]:
    """Return the fields with a value that differs for certain, in the order of their best one."""
    fields: dict[str, list[Difference]] = {}
    for found in differences:
        fields.setdefault(found.dimension.field, []).append(found)
    groups = []
    for items in fields.values():
        if any(item.is_significant for item in items):
            shown = sorted(items[:_ROWS], key=lambda item: -item.difference.value)
            groups.append(Group(items[0].dimension.label, [_build_row(why, item) for item in shown]))
    return groups


def _find_alike(differences: Iterable[Difference]) -> list[str]:
    """The labels of fields in which both sides are alike."""
    by_label = groupby(sorted(differences, key=lambda found: found.dimension.label), key=lambda found: found.dimension.label)
    return [label for label, found in by_label if not any(item.is_significant for item in found)]


def _build_row(why: WhySearch, found: Difference) -> ValueRow:
    field = found.dimension.field
    wanted, unwanted = (format_filter(field, found.value, negate) for negate in (False, True))
    return ValueRow(
        value=found.value,
        selected=found.selected,
        others=found.others,
        selected_share=found.selected_share,
        other_share=found.other_share,
        points=points(found.difference.value),
        interval=points_interval(found.difference),
        lift=_times(found.lift) if found.is_significant else "",
        is_significant=found.is_significant,
        along_with=_name(found.along_with) if found.along_with else "",
        href=why.search.querystring(q=add_condition(why.search.text, wanted)),
        narrow_href=_on_both_sides(why, wanted),
        exclude_href=_on_both_sides(why, unwanted),
    )


def _on_both_sides(why: WhySearch, condition: str) -> str:
    return why.querystring(q=add_condition(why.search.text, condition), against=add_condition(why.against_text, condition))


def _name(found: Difference) -> str:
    return (
        f"{found.dimension.label.lower()} {make_visible(found.value)}" if found.value else f"no {found.dimension.label.lower()}"
    )


def _times(lift: float | None) -> str:
    """How many times as frequent: 4.9×; "only here" when the rest has none; "" for what is rarer than in the rest."""
    if lift is None:
        return "only here"
    return "" if lift < 1.05 else f"{lift:.1f}×" if lift < 9.95 else f"{lift:,.0f}×"


def _build_pair(why: WhySearch, pair: Pair) -> PairRow:
    filters = [format_filter(found.dimension.field, found.value) for found in (pair.first, pair.second)]
    return PairRow(
        first=_name(pair.first),
        second=_name(pair.second),
        pair=pair,
        points=points(pair.excess.value),
        interval=points_interval(pair.excess),
        href=why.search.querystring(q=add_condition(add_condition(why.search.text, filters[0]), filters[1])),
    )


def _build_shift(shift: Shift) -> ShiftRow:
    show = {"ns": formatting.duration_ns, "USD": formatting.cost_usd, "tokens": formatting.tokens}.get(
        shift.number.unit, formatting.count
    )

    def texts(side: Quantiles) -> tuple[str, str]:
        return show(side.p50), show(side.p95)

    most = max((max(bar.share, bar.other_share) for bar in shift.bars), default=0.0) or 1.0
    change = _times(shift.selected.p50 / shift.others.p50) if shift.selected.p50 and shift.others.p50 else ""
    return ShiftRow(
        label=shift.number.label,
        selected=texts(shift.selected),
        others=texts(shift.others),
        change=change,
        distance=f"{shift.distance:.2f}",
        is_significant=shift.is_significant,
        selected_line=_line(shift.bars, most, is_selected=True),
        other_line=_line(shift.bars, most, is_selected=False),
        width=max(1, len(shift.bars)),
        low=show(shift.bars[0].low) if shift.bars else "",
        high=show(shift.bars[-1].high) if shift.bars else "",
    )


def _line(bars: list[Bar], most: float, *, is_selected: bool) -> str:
    """The points of a stepped polyline; x counts bars, y goes down from the top."""
    steps = []
    for index, bar in enumerate(bars):
        share = bar.share if is_selected else bar.other_share
        y = round(_LINE_HEIGHT * (1 - share / most), 1)
        steps += [f"{index},{y}", f"{index + 1},{y}"]
    return " ".join(steps)


def _build_presets(why: WhySearch, all_p95: Mapping[str, float]) -> list[Link]:
    """Return questions often asked, each about the same place: within the conditions that say where to look."""
    questions = [("Failing", "status:error", "error"), ("Escalated", "escalated:true", "escalated")]
    if "duration" in all_p95:
        threshold = _decimal(all_p95["duration"] / 1e9)
        questions.append((f"Slowest 5% (over {formatting.duration_s(float(threshold))})", f"duration:>{threshold}s", "clock"))
    if "cost" in all_p95:
        threshold = _decimal(all_p95["cost"])
        questions.append((f"Costliest 5% (over {formatting.cost_usd(float(threshold))})", f"cost:>{threshold}", "coin"))
    questions.append(("Contains errors", "has_errors:true", "alert"))
    return [
        Link(
            label,
            why.querystring(q=add_condition(why.context, condition), against=why.context),
            is_on=why.question == condition,
            icon=icon,
            condition=condition,
        )
        for label, condition, icon in questions
    ]


def _decimal(number: float) -> str:
    """Three significant digits without an exponent: 4.21, 0.0381, 1230."""
    return f"{float(f'{number:.3g}'):.12f}".rstrip("0").rstrip(".")


def _build_rivals(why: WhySearch) -> list[Link]:
    """What to compare with: everything else, or only what fits the conditions that say where to look."""
    against = why.against_text.strip()
    links = [Link("everything else", why.querystring(against=""), is_on=not against)]
    if why.context and why.question:
        links.append(Link(f"other traces with {why.context}", why.querystring(against=why.context), is_on=against == why.context))
    if against and against != (why.context if why.question else ""):
        links.append(Link(against, why.querystring(), is_on=True))
    return links
