"""Leases in rows of the relational database: `lease_until` keeps two workers from the same job."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from tracestore.models import JobCursor, Recomputation, Reread


def is_free(now: datetime, length: timedelta) -> Q:
    """Return the condition that nobody holds a row whose leases are that long at most.

    One that ends later than any can means that the clock was set back meanwhile.
    """
    return Q(lease_until=None) | Q(lease_until__lt=now) | Q(lease_until__gt=now + length)


def release_leases() -> None:
    """Free every row. For a start where no other worker can exist: a process that was killed could not free its own."""
    for held in (JobCursor, Reread, Recomputation):
        held._default_manager.update(lease_until=None)
