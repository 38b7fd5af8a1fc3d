"""The memory that bodies share."""

from __future__ import annotations

import pytest

from ingest.body import Allowance, MemoryBudget, NoMemory


def test_what_a_thread_takes_after_its_request_has_gone_is_refused() -> None:
    budget = MemoryBudget()
    allowance = Allowance(budget, max_body_bytes=100)
    with allowance:
        allowance.take(60)

    with pytest.raises(NoMemory):
        allowance.take(60)

    with Allowance(budget, max_body_bytes=100) as other:  # everything came back
        other.take(150)
        other.take(150)
        with pytest.raises(NoMemory):
            other.take(1)
