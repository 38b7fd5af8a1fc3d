"""Which batches the summary job has done: nothing twice, nothing left out, and one worker at a time."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.tracestore.summarize.runs import CALL, WRITER, a_run, insert, new_trace_id, read_traces, step
from tracestore.clickhouse.client import Store
from tracestore.jobs import summarize
from tracestore.jobs.lease import release_leases
from tracestore.jobs.summarize import summarize_pending
from tracestore.models import JobCursor
from tracestore.queries import summaries
from tracestore.tasks import summarize_traces

pytestmark = pytest.mark.django_db


def test_idle_job_does_not_summarise_the_last_batch_forever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *a_run(new_trace_id()))

    monkeypatch.setattr(summarize, "_MOMENT_S", 3600)
    assert [summarize_pending() for _ in range(3)] == [1, 0, 0]  # when it shows

    monkeypatch.setattr(summarize, "_MOMENT_S", 0)
    assert [summarize_pending() for _ in range(3)] == [1, 0, 0]  # once it has been quiet for a moment


def test_batch_that_its_writer_calls_complete_is_summarised_once(store: Store) -> None:
    batch_seq = insert(store, *a_run(new_trace_id()))

    summarize_traces(WRITER, batch_seq)

    assert len(read_traces(store)) == 1
    assert JobCursor.objects.get(job="summarize", source=WRITER).position == batch_seq
    assert summarize_pending() == 0


def test_batch_after_a_complete_one_is_still_open(store: Store) -> None:
    summarize_traces(WRITER, insert(store, *a_run(new_trace_id())))
    batch_seq = insert(store, *a_run(new_trace_id()), part="0")
    summarize_pending()
    insert(store, *a_run(new_trace_id()), batch_seq=batch_seq, part="1")

    summarize_traces(WRITER, batch_seq)

    assert len(read_traces(store)) == 3


def test_rows_that_join_a_batch_later_are_not_missed(store: Store) -> None:
    first, second = new_trace_id(), new_trace_id()
    batch_seq = insert(store, *a_run(first), part="0")
    summarize_pending()

    insert(store, *a_run(second), batch_seq=batch_seq, part="1")
    summarize_pending()

    assert {row[0] for row in read_traces(store)} == {first, second}


def test_rows_that_join_a_batch_after_a_long_outage_are_not_missed(store: Store) -> None:
    """One half was inserted; the other waited for hours, or the clock jumped by as much."""
    first, second = new_trace_id(), new_trace_id()
    batch_seq = insert(store, *a_run(first), part="0")
    store.command(
        "ALTER TABLE trace_touches UPDATE inserted_at = inserted_at - INTERVAL 5 HOUR WHERE 1 SETTINGS mutations_sync = 1"
    )
    summarize_pending()

    insert(store, *a_run(second), batch_seq=batch_seq, part="1")
    summarize_pending()

    assert {row[0] for row in read_traces(store)} == {first, second}


def test_span_that_comes_after_the_clock_was_set_back_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> SetBack:
            return super().now(tz) - timedelta(hours=3)

    monkeypatch.setattr(summarize, "datetime", SetBack)
    insert(store, step(trace_id, "3", "1", 2, attributes=CALL))
    summarize_pending()

    assert read_traces(store, "span_count, input_tokens") == [(3, 200)]


def test_cursor_moves_past_batches_that_a_newer_one_follows(store: Store) -> None:
    seqs = [insert(store, *a_run(new_trace_id())) for _ in range(3)]

    assert summarize_pending() == 3

    assert JobCursor.objects.get(job="summarize", source=WRITER).position == seqs[1]


def test_two_writers_each_have_a_cursor(store: Store) -> None:
    insert(store, *a_run(new_trace_id()), writer="summarize-a")
    insert(store, *a_run(new_trace_id()), writer="summarize-b")

    assert summarize_pending() == 2

    assert set(JobCursor.objects.values_list("source", flat=True)) == {"summarize-a", "summarize-b"}


def test_lease_keeps_a_second_worker_away_until_it_ends(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    lease = timezone.now() + timedelta(seconds=60)
    JobCursor.objects.create(job="summarize", source=WRITER, lease_until=lease)

    assert summarize_pending() == 0
    assert JobCursor.objects.get(source=WRITER).lease_until == lease

    JobCursor.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert summarize_pending() == 1


def test_lease_of_a_clock_that_has_been_set_back_keeps_nobody_away(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    JobCursor.objects.create(job="summarize", source=WRITER, lease_until=timezone.now() + timedelta(days=1))

    assert summarize_pending() == 1


def test_lease_of_a_killed_process_is_released_at_the_next_start(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    JobCursor.objects.create(job="summarize", source=WRITER, lease_until=timezone.now() + timedelta(seconds=60))

    release_leases()

    assert summarize_pending() == 1


def test_failing_job_frees_its_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *a_run(new_trace_id()))

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(summaries, "find_touched", fail)
        with pytest.raises(RuntimeError, match="out of luck"):
            summarize_pending()

    assert summarize_pending() == 1


def test_lease_that_a_full_disk_kept_from_being_given_back_keeps_nobody_of_the_process_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(store, *a_run(new_trace_id()))

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(summaries, "find_touched", fail)
        patch.setattr(summarize, "_held", fail)
        with pytest.raises(OperationalError):
            summarize_pending()
    lease = JobCursor.objects.get(source=WRITER).lease_until
    assert lease
    assert lease > timezone.now()

    assert summarize_pending() == 1
    assert JobCursor.objects.get(source=WRITER).lease_until is None
