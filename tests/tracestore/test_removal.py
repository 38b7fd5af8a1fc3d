"""Projects that are deleted: all that was theirs goes, and nothing of others."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.utils import timezone

from alerts.models import Alert
from tests.alerts.factories import create_channel, create_rule
from tests.alerts.incidents import begin
from tests.spans import T0, build_request
from tracestore import tasks
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.removal import TABLES, count_rows
from tracestore.clickhouse.retention import TIMES
from tracestore.jobs.removal import delete_project, look_again, remove_pending
from tracestore.jobs.summarize import roll_up_pending, summarize_pending
from tracestore.keys import find_key, make_key
from tracestore.models import Project, Refusal, Removal, SavedView
from tracestore.projects import make_project

pytestmark = pytest.mark.usefixtures("default_project")
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


@pytest.fixture
def shop() -> Project:
    return make_project("Shop", "shop", by="ann")


def insert(store: Store, table: str, project_id: int) -> None:
    """Three rows, in partitions of three months where the table has any."""
    for number, month in enumerate((7, 9, 11)):
        moment = int(datetime(2026, month, 3, tzinfo=UTC).timestamp())
        columns, row = f"project_id, {TIMES.get(table, 'inserted_at')}", f"{project_id}, toDateTime({moment}, 'UTC')"
        if table in ("trace_index", "log_index", "trace_touches"):
            columns, row = f"{columns}, trace_id", f"{row}, toFixedString('{number}', 16)"
        store.command(f"INSERT INTO {table} ({columns}) SELECT {row}")


def work(store: Store) -> Removal:
    """Let the job run to its end, as it does every few seconds."""
    deadline = time.monotonic() + 120
    while remove_pending() and time.monotonic() < deadline:
        while store.query_rows("SELECT 1 FROM system.mutations WHERE NOT is_done LIMIT 1"):
            time.sleep(0.02)
    return Removal.objects.get()


def age(removal: Removal) -> None:
    """Let the time pass in which other processes notice."""
    Removal.objects.filter(pk=removal.pk).update(created_at=timezone.now() - timedelta(minutes=2))


def test_rows_of_all_tables_go_and_those_of_others_stay(store: Store, shop: Project) -> None:
    for table in TABLES:
        for project_id in (1, shop.pk):
            insert(store, table, project_id)
    before, others = count_rows(store, shop.pk), count_rows(store, 1)

    age(delete_project(shop, typed="shop", by="ann"))
    done = work(store)

    assert all(before.values())
    assert (set(count_rows(store, shop.pk).values()), count_rows(store, 1)) == ({0}, others)
    assert (done.status, done.rows_left, done.rows_total, done.share_done) == ("done", 0, sum(before.values()), 1.0)


def test_progress_is_told(store: Store, shop: Project) -> None:
    insert(store, "scores", shop.pk)
    delete_project(shop, typed="shop", by="ann")

    remove_pending()
    begun = Removal.objects.get()
    while store.query_rows("SELECT 1 FROM system.mutations WHERE NOT is_done LIMIT 1"):
        time.sleep(0.02)
    remove_pending()

    assert (begun.rows_total, begun.rows_left) == (3, 3)
    assert Removal.objects.get().share_done == pytest.approx(1 / 3)


def test_what_was_on_its_way_is_deleted_too(store: Store, shop: Project) -> None:
    removal = delete_project(shop, typed="shop", by="ann")
    remove_pending()
    assert Removal.objects.get().status == "running"  # for a minute, in which other processes still take what is sent
    age(removal)
    work(store)
    insert_batch(store, [(shop.pk, T0, build_request({"name": "late"}))], writer="w", batch_seq=1)
    summarize_pending()
    roll_up_pending()
    assert count_rows(store, shop.pk)["traces"] == 1

    look_again(store)
    done = work(store)

    assert set(count_rows(store, shop.pk).values()) == {0}
    assert done.status == "done"


def test_job_that_failed_goes_on_at_the_next_look(store: Store, shop: Project) -> None:
    delete_project(shop, typed="shop", by="ann")
    Removal.objects.update(status="failed", error="the disk is full", ended_at=timezone.now())

    look_again(store)

    assert Removal.objects.filter(status="running", error="", ended_at=None).count() == 1


def test_jobs_of_the_schedule_do_it(store: Store, shop: Project) -> None:
    insert(store, "scores", shop.pk)
    age(delete_project(shop, typed="shop", by="ann"))
    Removal.objects.update(status="failed")

    tasks.delete_old()
    tasks.work_on_past()

    assert Removal.objects.get().rows_total == 3


def _find_owned(project_id: int) -> dict[str, int]:
    """Return how many rows each model has of a project."""
    owned: dict[str, Any] = {}
    for model in apps.get_models():
        names = {field.name for field in model._meta.fields}
        if model is not Removal and names & {"project", "project_id"}:
            owned[model.__name__] = model._default_manager.filter(project_id=project_id).count()
    return {name: count for name, count in owned.items() if count}


def test_nothing_of_it_stays_in_the_relational_database(shop: Project) -> None:
    for project in (shop, Project.objects.get(pk=1)):
        rule = create_rule(create_channel(project=project), project=project)
        begin(rule, NOW)
        make_key(project, "ci", by="ann")
        SavedView.objects.create(project=project, name="Failures")
        Refusal.objects.create(project_id=project.pk, hour=NOW, reason="body", first_seen=NOW, last_seen=NOW)
    before = _find_owned(1)

    delete_project(shop, typed="shop", by="ann")

    assert len(before) >= 7
    assert (_find_owned(shop.pk), _find_owned(1)) == ({}, before)
    assert Alert.objects.count() == 1


def test_its_keys_are_refused_at_once_and_its_slug_can_be_had(shop: Project) -> None:
    _, secret = make_key(shop, "ci", by="ann")
    assert find_key(secret, "") is not None
    old_id = shop.pk

    delete_project(shop, typed="shop", by="ann")

    assert find_key(secret, "") is None
    assert make_project("Shop", "shop", by="ann").pk > old_id


@pytest.mark.parametrize("typed", ["", "Shop", "default", "shop "])
def test_slug_must_be_typed(shop: Project, typed: str) -> None:
    with pytest.raises(ValidationError, match="Type shop to delete this project: nothing was deleted"):
        delete_project(shop, typed=typed, by="ann")

    assert Project.objects.filter(pk=shop.pk).exists()


def test_default_project_stays() -> None:
    with pytest.raises(ValidationError, match="The default project cannot be deleted"):
        delete_project(Project.objects.get(pk=1), typed="default", by="ann")
