"""When a silence holds: once, or every week at the same hours of a time zone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Quiet:
    """From `starts_at` until `ends_at` (None: for ever); with `weekdays` (0 is Monday) only for `length_s` from `time_of_day` on.

    The hours are those of the wall clock in `zone`: a window at 02:00 stays at 02:00 when clocks change. One that begins in the
    hour that a change skips begins as much later; one that begins in the hour that comes twice begins at the first.
    """

    starts_at: datetime
    ends_at: datetime | None = None
    weekdays: frozenset[int] = frozenset()
    time_of_day: time = time(0)
    length_s: int = 0
    zone: str = "UTC"

    def holds(self, moment: datetime) -> bool:
        return any(start <= moment < end for start, end in self._stretches(moment))

    def until(self, moment: datetime) -> datetime | None:
        """Return the end of the stretch that holds at this moment; None for no end, or when none holds."""
        return next((end for start, end in self._stretches(moment) if start <= moment < end and end < _NEVER), None)

    def last_end(self, moment: datetime) -> datetime | None:
        """Return when the latest stretch that is over by this moment ended."""
        return max((end for start, end in self._stretches(moment) if start < end <= moment), default=None)

    def next_start(self, moment: datetime) -> datetime | None:
        """Return when the next stretch begins, None when there is none within the coming week."""
        return min((start for start, end in self._stretches(moment) if start > moment and start < end), default=None)

    def _stretches(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield those of the week before and the week after."""
        ends_at = self.ends_at or _NEVER.replace(tzinfo=self.starts_at.tzinfo)
        if not self.weekdays:
            yield self.starts_at, ends_at
            return
        zone = ZoneInfo(self.zone)
        today = moment.astimezone(zone).date()
        for days in range(-9, 9):
            date = today + timedelta(days=days)
            if date.weekday() in self.weekdays:
                start = datetime.combine(date, self.time_of_day, zone).astimezone(self.starts_at.tzinfo)
                end = start + timedelta(seconds=self.length_s)
                yield max(start, self.starts_at), min(end, ends_at)


_NEVER = datetime.max.replace(tzinfo=ZoneInfo("UTC")) - timedelta(days=2)
