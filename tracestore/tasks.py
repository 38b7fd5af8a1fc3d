"""Celery jobs of the store. Each takes what is pending, so a lost, doubled or late message changes nothing."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.part_contents import PartContents
from tracestore.clickhouse.retention import Retention
from tracestore.clickhouse.spare_memory import SpareMemory
from tracestore.clickhouse.word_index import WordIndex
from tracestore.jobs import recompute, removal, reread, summarize
from tracestore.jobs.previews import Previews
from tracestore.process.telemetry import timed_job
from tracestore.projects import find_retention_days

_spare_memory = SpareMemory()
_word_index = WordIndex()
_part_contents = PartContents()
_previews = Previews()
_retention = Retention()


@shared_task
def summarize_traces(writer: str = "", batch_seq: int = 0) -> None:
    """Write the `traces` rows of all traces that new batches touched. A writer may say that its batch is complete."""
    if writer:
        summarize.note_complete(writer, batch_seq)
    elif summarize.has_rested():
        return
    with timed_job("summarize"):
        summarize.summarize_pending()


@shared_task
def settle_running_traces() -> None:
    """Decide traces whose root never came and that have been silent for long enough."""
    with timed_job("settle"):
        summarize.settle_running()


@shared_task
def roll_up() -> None:
    """Recompute the minutes whose traces changed."""
    with timed_job("roll_up"):
        summarize.roll_up_pending()


@shared_task
def preview_traces() -> None:
    """Read out of the contents of new traces what they were asked and what they answered."""
    with timed_job("preview"):
        _previews.tend(get_store().unqueued())


@shared_task
def check_parts() -> None:
    """Look whether the disk took what merges wrote, well before ClickHouse removes what they merged (three minutes)."""
    with timed_job("check_parts"):
        get_store().check_parts()


@shared_task
def return_memory() -> None:
    """Give memory that a load left behind back to the system."""
    with timed_job("return_memory"):
        _spare_memory.tend(get_store())


@shared_task
def index_words() -> None:
    """Begin to build the index of words for spans that merges have left alone for a while; note what parts with it hold."""
    with timed_job("index_words"):
        _word_index.tend(get_store())
        _part_contents.tend(get_store())


@shared_task
def delete_old() -> None:
    """Delete what is older than the setting says, or a project, and what arrived late of projects that are gone."""
    with timed_job("delete_old"):
        store = get_store().unqueued()
        removal.look_again(store)
        _retention.tend(store, days=settings.RETENTION_DAYS, now=timezone.now(), by_project=find_retention_days())


@shared_task
def work_on_past() -> None:
    """Take the jobs further that read stored spans again, compute rollups or costs of the past again, or delete a project."""
    with timed_job("reread"):
        reread.reread_pending()
    with timed_job("recompute"):
        recompute.recompute_pending()
    with timed_job("remove"):
        removal.remove_pending()
