"""The past computed again: rollups from traces, costs from today's prices, and the commands that wait for it."""

from __future__ import annotations

import io
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.utils import timezone

from tests.factories import insert_traces
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.lease import release_leases
from tracestore.jobs.recompute import recompute_pending, start_recomputation
from tracestore.jobs.summarize import roll_up_pending, summarize_pending
from tracestore.models import JobCursor, Project, Recomputation
from tracestore.queries import recompute as queries
from tracestore.queries.rollups import recompute_hours, recompute_rollups
from tracestore.summary import costs
from tracestore.timerange import NS_PER_S, TimeRange

pytestmark = pytest.mark.usefixtures("default_project")

HOUR_S = 1_790_002_800  # 2026-09-21T15:00:00Z
START_NS = HOUR_S * NS_PER_S


def count_requests(store: Store, table: str = "rollups") -> list[tuple[Any, ...]]:
    return store.query_rows(
        f"SELECT toUnixTimestamp(toStartOfHour(bucket_start)) AS hour_s, sum(requests) FROM {table} FINAL WHERE dimension = ''"
        " GROUP BY hour_s ORDER BY hour_s"
    )


def test_rollups_of_the_range_are_computed_again_and_no_others(store: Store) -> None:
    insert_traces(store, *({"start_ns": START_NS + hour * 3600 * NS_PER_S} for hour in (0, 0, 5, 9)))

    call_command("backfill_rollups", "--start", "2026-09-21T15:30:00Z", "--end", "2026-09-21T21:00:00Z", "--no-wait")
    assert recompute_pending() == 0

    job = Recomputation.objects.get()
    assert (job.status, job.traces_done, job.traces_total) == ("done", 3, 3)
    assert count_requests(store) == [(HOUR_S, 2), (HOUR_S + 5 * 3600, 1)]


def test_hours_that_were_added_up_are_added_up_again(store: Store) -> None:
    insert_traces(store, start_ns=START_NS)
    recompute_rollups(store, project_id=1, bucket_starts_s=[HOUR_S])
    recompute_hours(store, project_id=1, hour_starts_s=[HOUR_S])
    insert_traces(store, start_ns=START_NS)

    call_command("backfill_rollups", "--no-wait")
    recompute_pending()

    assert count_requests(store, "rollups_hourly") == [(HOUR_S, 2)]


def test_reprice_gives_traces_the_cost_of_today_and_rollups_follow(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    call = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 1,
    }  # fmt: skip
    body = build_request({"trace_id": "ab" * 16, "span_id": "1" * 16, "start_ns": START_NS, "name": "chat", "attributes": call})
    insert_batch(store, [(1, time.time_ns(), body)], writer="reprice", batch_seq=time.time_ns())
    with monkeypatch.context() as patched:
        patched.setattr(costs, "price_calls", lambda sold, which, tokens, start_ns, *_: tokens["input_tokens"] * 1e-3)
        summarize_pending()
    roll_up_pending()
    assert store.query_rows("SELECT cost_usd FROM traces FINAL") == [(1000.0,)]

    call_command("reprice", "--no-wait")
    recompute_pending()
    roll_up_pending()

    [(cost,)] = store.query_rows("SELECT cost_usd FROM traces FINAL")
    assert cost == pytest.approx(2.5, rel=0.01)
    assert store.query_rows("SELECT sum(cost_usd) FROM rollups FINAL WHERE dimension = ''") == [(cost,)]


@pytest.mark.django_db(transaction=True)
def test_command_shows_how_far_the_worker_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracestore.management.recomputation._POLL_S", 0.01)
    insert_traces(store, *({"start_ns": START_NS + hour * 3600 * NS_PER_S} for hour in range(4)))
    said, terminal = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.02):
            recompute_pending()
        connections.close_all()

    for stdout in (said, terminal):
        stop = threading.Event()
        worker = threading.Thread(target=work, args=(stop,))
        worker.start()
        try:
            call_command("backfill_rollups", stdout=stdout)
        finally:
            stop.set()
            worker.join()

    assert said.getvalue().endswith("Done: 4 traces.\n")
    assert "\r" not in said.getvalue()
    assert "\r[" in terminal.getvalue()
    assert "100% 4 of 4 traces" in terminal.getvalue()


def test_second_run_of_a_kind_is_refused_and_one_can_be_cancelled(store: Store) -> None:
    call_command("reprice", "--no-wait")

    with pytest.raises(CommandError, match="already"):
        call_command("reprice", "--no-wait")
    call_command("backfill_rollups", "--no-wait")
    call_command("reprice", "--cancel")

    assert Recomputation.objects.filter(status="running").count() == 1
    JobCursor.objects.all().delete()


def test_job_of_a_killed_process_goes_on_at_the_next_start_where_it_was(store: Store) -> None:
    insert_traces(store, *({"start_ns": START_NS + hour * 3600 * NS_PER_S} for hour in range(3)))
    call_command("backfill_rollups", "--start", "2026-09-21T15:00:00Z", "--end", "2026-09-21T18:00:00Z", "--no-wait")
    recompute_pending(work_s=-1.0)  # one hour
    Recomputation.objects.update(lease_until=timezone.now() + timedelta(minutes=14))
    assert recompute_pending() == 1

    release_leases()

    assert recompute_pending() == 0
    assert Recomputation.objects.get().traces_done == 3
    assert count_requests(store) == [(HOUR_S + 3600 * hour, 1) for hour in range(3)]


def test_job_that_breaks_says_so_and_keeps_no_other_from_its_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traces(store, {"start_ns": START_NS})
    other = Project.objects.create(slug="other", name="Other")
    odd = start_recomputation(other.pk, Recomputation.Kind.ROLLUPS, TimeRange(START_NS, START_NS + 3600 * NS_PER_S))
    good = start_recomputation(1, Recomputation.Kind.ROLLUPS, TimeRange(START_NS, START_NS + 3600 * NS_PER_S))
    count = queries.count_traces

    def break_on_other(store: Store, *, project_id: int, time_range: TimeRange) -> int:
        return count(store, project_id=project_id, time_range=time_range) if project_id == 1 else 1 // 0

    monkeypatch.setattr(queries, "count_traces", break_on_other)

    assert recompute_pending() == 0
    odd.refresh_from_db()
    good.refresh_from_db()
    assert (odd.status, odd.error) == ("failed", "internal error (ZeroDivisionError); the server's log says more")
    assert (good.status, good.traces_done) == ("done", 1)
