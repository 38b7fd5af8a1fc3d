"""Silences as a page lists them: what holds now, what comes, what is over, and what each kept from being told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count

from alerts.messages.wording import format_seconds
from alerts.models import Alert, Silence
from alerts.on_call.matcher import format_term, parse_matcher
from alerts.on_call.telling import facts_of

SHOWN_FOR = timedelta(days=30)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class SilenceRow:
    """`state` is active, pending (it will hold again) or ended; `when` says its times, `next_at` when that changes."""

    silence: Silence
    state: str
    when: str
    next_at: datetime | None
    suppressed: int


def list_silences(project_id: int, now: datetime) -> list[SilenceRow]:
    """Return those that hold first, then those to come, then those that ended within SHOWN_FOR."""
    silences = Silence.objects.filter(project_id=project_id).exclude(ends_at__lt=now - SHOWN_FOR)
    rows = [_row(silence, now) for silence in silences.annotate(suppressed=Count("suppressions"))]
    return sorted(rows, key=lambda row: ("active", "pending", "ended").index(row.state))


def _row(silence: Silence, now: datetime) -> SilenceRow:
    quiet = silence.to_quiet()
    suppressed: int = getattr(silence, "suppressed", 0)
    if quiet.holds(now):
        return SilenceRow(silence, "active", describe_times(silence), quiet.until(now), suppressed)
    if silence.ends_at is None or silence.ends_at > now:
        return SilenceRow(silence, "pending", describe_times(silence), quiet.next_start(now), suppressed)
    return SilenceRow(silence, "ended", describe_times(silence), None, suppressed)


def describe_times(silence: Silence) -> str:
    """Return for example "Sat, Sun from 02:00 for 2 h, Europe/Vienna" or "2026-11-21 20:00 to 22:00 UTC"."""
    if silence.weekdays and silence.time_of_day is not None:
        days = ", ".join(DAYS[day] for day in sorted(silence.weekdays))
        until = f", until {_wall(silence.ends_at, silence.time_zone)}" if silence.ends_at else ""
        return f"{days} from {silence.time_of_day:%H:%M} for {format_seconds(silence.length_s)}, {silence.time_zone}{until}"
    start = _wall(silence.starts_at, silence.time_zone)
    if silence.ends_at is None:
        return f"from {start} {silence.time_zone} on"
    end = _wall(silence.ends_at, silence.time_zone)
    return f"{start} to {end[11:] if end[:10] == start[:10] else end} {silence.time_zone}"


def _wall(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def end_silence(silence: Silence, now: datetime) -> None:
    """End it now. What it holds back and still fires is told within seconds."""
    if silence.ends_at is None or silence.ends_at > now:
        silence.ends_at = max(now, silence.starts_at)
        silence.save(update_fields=["ends_at"])


def find_matching(project_id: int, matcher: str) -> list[Alert]:
    """Return the firing alerts that a matcher is about."""
    parsed = parse_matcher(matcher)
    firing = Alert.objects.filter(project_id=project_id, resolved_at=None).select_related("rule").defer("evidence")
    return [alert for alert in firing if parsed.matches(facts_of(alert))]


def suggest_matcher(alert: Alert) -> str:
    """Return what silences an alert: its rule and its group."""
    terms = [("rule", alert.rule_name), *((name, str(value)) for name, value in alert.labels.items())]
    return " ".join(format_term(name, value) for name, value in terms)
