"""Send each report once: when it is due, what time it is about, who makes it, and what happens when the channel is away."""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Prefetch, QuerySet

from alerts.channels import ChannelError, send_notification
from alerts.delivery import has_come, lease, mark_delivered, pause_after
from alerts.models import DeliveryStatus, Digest, DigestPeriod, DigestRun
from alerts.reports.report import build_report
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError

logger = logging.getLogger(__name__)

# A report that could not be sent by then is no news any more; the next one comes.
GIVE_UP_AFTER = timedelta(hours=20)
# A report asks the store a score of questions, each of which may take its time.
_BUILT_WITHIN = timedelta(minutes=15)


def last_due(period: str, weekday: int, time_of_day: clock, zone: str, now: datetime) -> datetime:
    """Return the latest moment, up to now, at which a report was due. The hour is that of the wall clock."""
    date = now.astimezone(ZoneInfo(zone)).date()
    for days in range(9):
        day = date - timedelta(days=days)
        due = datetime.combine(day, time_of_day, ZoneInfo(zone)).astimezone(UTC)
        if due <= now and (period == DigestPeriod.DAILY or day.weekday() == weekday):
            return due
    raise AssertionError("every weekday comes within nine days")


def covered_time(period: str, zone: str, due_at: datetime) -> tuple[datetime, datetime]:
    """Return the start and end of the calendar day, or the seven, that ended with the midnight before the report."""
    today = due_at.astimezone(ZoneInfo(zone)).date()
    start = today - timedelta(days=1 if period == DigestPeriod.DAILY else 7)
    first, last = (datetime.combine(day, clock(0), ZoneInfo(zone)).astimezone(UTC) for day in (start, today))
    return first, last


def find_digests(project_id: int) -> QuerySet[Digest]:
    """Return the project's reports, each with its channel and, as `latest`, a list of its latest run or of nothing."""
    latest = Prefetch("runs", queryset=DigestRun.objects.order_by("-due_at", "-id")[:1], to_attr="latest")
    return Digest.objects.filter(project_id=project_id).select_related("channel").prefetch_related(latest)


def find_due_runs(now: datetime) -> list[int]:
    """Make the runs that are due and return the ids of those to attempt. Two that race make one."""
    for digest in Digest.objects.filter(enabled=True):
        try:
            _make_run(digest, now)
        except (OperationalError, InterfaceError):
            raise  # the database is away for all
        except Exception:  # a time zone that the system no longer knows must not keep the other reports from being sent
            logger.exception("report to channel %s cannot be planned", digest.channel_id)
    pending = DigestRun.objects.filter(status=DeliveryStatus.PENDING)
    pending.filter(due_at__lt=now - GIVE_UP_AFTER).update(status=DeliveryStatus.FAILED)
    return list(_to_attempt(now).order_by("next_attempt_at").values_list("pk", flat=True))


def _make_run(digest: Digest, now: datetime) -> None:
    due_at = last_due(digest.period, digest.weekday, digest.time_of_day, digest.time_zone, now)
    # One that was due before anybody asked for it, or while nobody was there for most of a day, is left out.
    if due_at <= max(digest.created_at, now - GIVE_UP_AFTER) or digest.runs.filter(due_at=due_at).exists():
        return
    # Where another worker was first there is one already.
    with contextlib.suppress(IntegrityError), transaction.atomic():
        DigestRun.objects.create(digest=digest, due_at=due_at, next_attempt_at=now)


def _to_attempt(now: datetime) -> QuerySet[DigestRun]:
    """Return the runs to attempt now: what is switched off, report or channel, waits and is given up at last."""
    due = DigestRun.objects.filter(has_come(now), status=DeliveryStatus.PENDING)
    return due.filter(digest__enabled=True, digest__channel__enabled=True)


def send_run(run_id: int, store: Store, now: datetime) -> bool:
    """Make one attempt if it is due and nobody else makes it; True when the channel accepted the report."""
    run = _to_attempt(now).select_related("digest__channel", "digest__project").filter(pk=run_id).first()
    if run is None:
        return False
    mine = DigestRun.objects.filter(pk=run.pk, status=DeliveryStatus.PENDING, attempts=run.attempts)
    if mine.update(attempts=run.attempts + 1, next_attempt_at=now + _BUILT_WITHIN) != 1:
        return False
    digest, started = run.digest, time.monotonic()
    attempt = DigestRun.objects.filter(pk=run.pk, status=DeliveryStatus.PENDING, attempts=run.attempts + 1)
    try:
        start, end = covered_time(digest.period, digest.time_zone, run.due_at)
        report = build_report(store, digest, start, end)
        if attempt.update(next_attempt_at=now + timedelta(seconds=time.monotonic() - started) + lease()) != 1:
            return False  # it took so long that another worker has it
        send_notification(digest.channel, report)
    except (ChannelError, StoreError) as error:
        logger.warning("report %s to channel %s failed: %s", run.pk, digest.channel.name, error)
        over = isinstance(error, ChannelError) and error.permanent
        attempt.update(
            last_error=str(error)[:1000],
            next_attempt_at=now + pause_after(run.attempts + 1),
            status=DeliveryStatus.FAILED if over else DeliveryStatus.PENDING,
        )
        return False
    except Exception as error:  # a task's edge: what is wrong is shown with the report, which is tried again
        logger.exception("report %s to channel %s broke", run.pk, digest.channel.name)
        attempt.update(
            last_error=f"internal error ({type(error).__name__}); the server's log says more",
            next_attempt_at=now + pause_after(run.attempts + 1),
        )
        return False
    mark_delivered(run)
    return True
