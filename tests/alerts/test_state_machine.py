"""The state machine against a plain model: the same rules, told from the whole history each time and without any memory."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alerts.rules.evaluation import AlertState, Condition, InstanceState, Level, NoData, Observation, Transition, step
from tracestore.timerange import NS_PER_S

VALUES = st.one_of(st.none(), st.integers(0, 12).map(float))


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    comparison = draw(st.sampled_from(["above", "below"]))
    mild, grave, recovery = sorted(draw(st.lists(st.integers(0, 12), min_size=3, max_size=3)))
    if comparison == "below":
        levels = (Level("warning", float(grave)), Level("critical", float(mild)))
        recovered = float(max(grave, recovery))
    else:
        levels = (Level("warning", float(grave)), Level("critical", float(recovery)))
        recovered = float(mild)
    evaluations = draw(st.integers(1, 5))
    return Condition(
        comparison=comparison,
        levels=levels if draw(st.booleans()) else levels[:1],
        recovery_threshold=draw(st.sampled_from([None, recovered])),
        hold_s=draw(st.sampled_from([0, 0, 30, 60, 95])),
        breaches_needed=draw(st.integers(1, evaluations)),
        of_evaluations=evaluations,
        min_samples=draw(st.sampled_from([0, 10])),
        no_data=draw(st.sampled_from([policy.value for policy in NoData])),
        longest_gap_s=draw(st.sampled_from([100, 10**9])),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Observation]:
    at_s, observations = 1_000_000, []
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(st.sampled_from([15, 15, 15, 30, 200]))
        observations.append(Observation(draw(VALUES), draw(st.sampled_from([0, 9, 10, 500])), at_s * NS_PER_S))
    return observations


def bad(value: float, threshold: float, condition: Condition) -> bool:
    return value > threshold if condition.comparison == "above" else value < threshold


class Model:
    """Keeps every verdict ever made, with its time, and looks back over them; a level is an index into the condition's."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.state, self.level = "inactive", -1
        self.verdicts: list[tuple[int, int, bool]] = []  # time, levels breached, recovered
        self.seen_at: int | None = None

    def observe(self, observation: Observation) -> tuple[str, str, str] | None:
        condition, at_s = self.condition, observation.at_ns // NS_PER_S
        if self.seen_at is not None and at_s - self.seen_at > condition.longest_gap_s:
            self.verdicts = []
        self.seen_at = at_s
        if observation.value is None or observation.samples < condition.min_samples:
            if condition.no_data == "keep":
                return None
            self.verdicts.append(
                (at_s, len(condition.levels) if condition.no_data == "alert" else 0, condition.no_data != "alert")
            )
        else:
            breached = [bad(observation.value, level.threshold, condition) for level in condition.levels]
            limit = condition.recovery_threshold
            stays = any(breached) or (limit is not None and bad(observation.value, limit, condition))
            self.verdicts.append((at_s, sum(breached), not stays))
        return self.decide(at_s)

    def decide(self, at_s: int) -> tuple[str, str, str] | None:
        needed, before = self.condition.breaches_needed, self.state
        reached = max((level for level in range(len(self.condition.levels)) if self.held(level, at_s)), default=-1)
        window = self.verdicts[-self.condition.of_evaluations :]
        if before == "firing":
            if reached > self.level:
                self.level = reached
                return before, "firing", self.condition.levels[reached].severity
            if sum(not recovered for _, _, recovered in window) < needed:
                ended, self.state, self.level, self.verdicts = self.level, "inactive", -1, []
                return before, "resolved", self.condition.levels[ended].severity
            return None
        if reached >= 0:
            self.state, self.level = "firing", reached
            return before, "firing", self.condition.levels[reached].severity
        self.state = "pending" if any(breached for _, breached, _ in window) else "inactive"
        return (before, self.state, "") if self.state != before else None

    def held(self, level: int, at_s: int) -> bool:
        """Met now, and at every verdict since one that is at least the hold ago."""
        since = None
        for end in range(len(self.verdicts), 0, -1):
            window = self.verdicts[max(0, end - self.condition.of_evaluations) : end]
            if sum(breached > level for _, breached, _ in window) < self.condition.breaches_needed:
                break
            since = self.verdicts[end - 1][0]
        return since is not None and at_s - since >= self.condition.hold_s


def told(transition: Transition | None) -> tuple[str, str, str] | None:
    if transition is None:
        return None
    loud = {transition.from_state, transition.to_state} & {AlertState.FIRING}
    return transition.from_state.value, transition.to_state.value, transition.severity if loud else ""


@given(conditions(), histories())
def test_machine_does_what_a_model_with_perfect_memory_does(condition: Condition, history: list[Observation]) -> None:
    model, state = Model(condition), InstanceState()

    for observation in history:
        state, transition = step(state, observation, condition)

        assert told(transition) == model.observe(observation)
        assert state.state.value == model.state
        assert state.severity == (condition.levels[model.level].severity if model.level >= 0 else "")


@given(conditions(), histories())
def test_memory_is_bounded_and_transitions_form_a_chain(condition: Condition, history: list[Observation]) -> None:
    state, last = InstanceState(), AlertState.INACTIVE

    for observation in history:
        state, transition = step(state, observation, condition)

        assert len(state.ranks) <= condition.of_evaluations
        assert len(state.met_since_ns) <= len(condition.levels)
        if transition:
            assert transition.from_state == last
            assert transition.to_state != AlertState.PENDING or transition.from_state == AlertState.INACTIVE
            last = AlertState.INACTIVE if transition.to_state == AlertState.RESOLVED else transition.to_state
        assert state.state == last


@given(conditions(), histories())
def test_without_a_hold_and_with_one_evaluation_only_the_last_value_counts(
    condition: Condition, history: list[Observation]
) -> None:
    simple = replace(
        condition, hold_s=0, breaches_needed=1, of_evaluations=1, recovery_threshold=None, no_data="ok", min_samples=0
    )
    state = InstanceState()

    for observation in history:
        state, _ = step(state, observation, simple)

        breached = observation.value is not None and bad(observation.value, simple.levels[0].threshold, simple)
        assert (state.state == AlertState.FIRING) is breached
