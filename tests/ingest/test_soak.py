"""The faults of `make soak` that no other test has, once each, under the load of real exporters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import soak

FAULTS = ("freeze", "full disk", "kill")


@pytest.mark.timeout(900)
def test_faults_under_load_cost_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    report = soak(tmp_path, seconds=0, seed=1, faults=FAULTS, pause_s=0.02)

    assert report.problems == [], report.describe()
    assert set(report.faults) == set(FAULTS)
    assert min(report.acknowledged.values()) > 0, report.describe()
