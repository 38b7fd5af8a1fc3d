"""A project's privacy settings: remembered for seconds, forgotten on a change, never guessed when they cannot be read."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from tracestore.models import Privacy, Project
from tracestore.privacy import policy
from tracestore.privacy.counts import MaskedCounts, MaskedSum, find_masked
from tracestore.privacy.masking import BadRule
from tracestore.privacy.policy import find_policy, forget_policies, get_privacy, save_privacy
from tracestore.timerange import NS_PER_S, TimeRange


@pytest.fixture
def project(db: None) -> Project:
    forget_policies()
    return Project.objects.create(slug="shop", name="Shop")


def test_project_without_settings_has_no_policy(project: Project) -> None:
    assert find_policy(project.pk) is None

    save_privacy(get_privacy(project))

    assert find_policy(project.pk) is None


def test_policy_holds_presets_rules_and_switches(project: Project) -> None:
    row = get_privacy(project)
    row.presets, row.rules, row.stores_content = ["email"], [{"name": "x", "pattern": "a+b"}], False
    save_privacy(row)

    policy = find_policy(project.pk)

    assert policy is not None
    assert [rule.name for rule in policy.masker.rules] == ["x", "email"]
    assert (policy.stores_content, policy.stores_error_texts, policy.masker.hash_key) == (False, True, b"")


def test_change_counts_at_once_here_and_what_did_not_change_is_not_compiled_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "_KNOWN_S", 3600)
    row = get_privacy(project)
    row.presets = ["email"]
    save_privacy(row)
    first = find_policy(project.pk)

    assert find_policy(project.pk) is first
    assert asyncio.run(policy.find_policy_async(project.pk)) is first  # without asking the database
    row.presets = ["card"]
    save_privacy(row)
    changed = find_policy(project.pk)

    assert changed is not None
    assert [rule.name for rule in changed.masker.rules] == ["card"]


def test_what_is_remembered_grows_old_after_seconds(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(policy, "_KNOWN_S", 3600)
    find_policy(project.pk)
    monkeypatch.setattr(policy, "find_policy", asked.append)

    asyncio.run(policy.find_policy_async(project.pk))
    late = time.monotonic() + policy._KNOWN_S + 1
    monkeypatch.setattr("tracestore.privacy.policy.time.monotonic", lambda: late)
    asyncio.run(policy.find_policy_async(project.pk))

    assert asked == [project.pk]


def test_rule_that_cannot_be_used_is_neither_saved_nor_ignored(project: Project) -> None:
    row = get_privacy(project)
    row.rules = [{"name": "x", "pattern": "("}]

    with pytest.raises(BadRule):
        save_privacy(row)
    assert not Privacy.objects.exists()
    row.save()  # as an older or newer version of Tracestore might have
    with pytest.raises(BadRule):
        find_policy(project.pk)


def test_masked_values_are_summed_by_rule_and_project(db: None) -> None:
    counts = MaskedCounts()
    for project_id, masked in ((1, {"email": 2, "card": 1}), (1, {"email": 3}), (2, {"email": 9})):
        counts.note(project_id, masked)
        counts.flush()
    now_ns = time.time_ns()

    def find(start_ns: int, end_ns: int) -> list[MaskedSum]:
        return find_masked(project_id=1, time_range=TimeRange(start_ns, end_ns))

    assert find(now_ns - 3600 * NS_PER_S, now_ns + NS_PER_S) == [MaskedSum("email", 5), MaskedSum("card", 1)]
    assert find(now_ns - 7300 * NS_PER_S, now_ns - 7200 * NS_PER_S) == []


def test_metrics_tell_no_names_of_own_rules() -> None:
    def counted(rule: str) -> float | None:
        return REGISTRY.get_sample_value("tracestore_ingest_masked_values_total", {"rule": rule})

    before = counted("own") or 0.0

    MaskedCounts().note(1, {"patient_number": 2, "case_number": 1})

    assert counted("own") == before + 3
    assert counted("patient_number") is None
