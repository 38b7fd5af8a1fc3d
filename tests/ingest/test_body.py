"""The memory that bodies share, and what their encoding may cost."""

from __future__ import annotations

import gzip

import pytest

from ingest.receivers.body import Allowance, Corrupt, MemoryBudget, NoMemory, inflate


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


def test_body_of_more_than_a_thousand_gzip_members_is_refused() -> None:
    member = gzip.compress(b"x")
    with Allowance(MemoryBudget(), max_body_bytes=2000) as allowance:
        assert inflate(member * 1000, "gzip", allowance) == b"x" * 1000
        with pytest.raises(Corrupt, match="more than 1000 members"):
            inflate(member * 1001, "gzip", allowance)
