"""Shared fixtures: one embedded ClickHouse for this process. Tests of the whole product start their own (tests/live.py)."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.live import find_template

gc.disable()  # until all is loaded, see pytest_collection_finish

# A busy machine is slow, not wrong. What a test suppresses itself comes in the place of these.
_SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
hypothesis.settings.register_profile("busy", hypothesis.settings.default, deadline=None, suppress_health_check=_SLOW)
hypothesis.settings.load_profile("busy")

# The embedded engine takes one path per process, and settings read the environment once: both are fixed before Django loads.
_DATA = Path(tempfile.mkdtemp(prefix="tracestore-test-"))
(_DATA / "static").mkdir()  # the static files' middleware warns when there is none
atexit.register(shutil.rmtree, _DATA, ignore_errors=True)
if "TEMPLATE_DATA" in os.environ:  # tables made once for many processes
    shutil.copytree(find_template() / "clickhouse", _DATA / "clickhouse", symlinks=True)
for _name in [name for name in os.environ if name.startswith(("TRACESTORE_", "CLICKHOUSE_", "CELERY_", "DATABASE_URL"))]:
    del os.environ[_name]
os.environ["TRACESTORE_DATA"] = str(_DATA)
# Named here and not in pyproject.toml: pytest-django would load the settings before this file has run.
os.environ["DJANGO_SETTINGS_MODULE"] = "tracestore.settings"

import django  # noqa: E402  # after the environment is set

django.setup()

from django.conf import settings  # noqa: E402  # after the environment is set
from django.core.cache import cache  # noqa: E402

from alerts.evidence import gathering  # noqa: E402
from tests.factories import default_project  # noqa: E402
from tests.spans import T0, SendSpans, build_request  # noqa: E402
from tracestore.clickhouse.client import Store, get_store  # noqa: E402
from tracestore.clickhouse.landing import insert_batch  # noqa: E402
from tracestore.clickhouse.migrate import migrate  # noqa: E402
from tracestore.models import Project  # noqa: E402

# A second of processor time goes into each password otherwise; instances of their own hash as they do for users.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Pages are rendered without `collectstatic`: names of static files stay as they are.
settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# Users and alerts wait so long for an answer and then do without. A test does not: the same answer takes a busy machine longer.
settings.QUERY_TIMEOUT_S = 60
gathering._EVIDENCE_S = 300.0
_CEILING = re.compile(r"max_execution_time = \d+")


def _make_patient(read: Callable[..., Any]) -> Callable[..., Any]:
    return lambda store, sql, *rest, **params: read(store, _CEILING.sub("max_execution_time = 60", sql), *rest, **params)


for _name in ("query", "query_rows", "query_arrow"):
    setattr(Store, _name, _make_patient(getattr(Store, _name)))


def pytest_collection_finish() -> None:
    """What is loaded by now stays. Looking through it for garbage again and again takes a twentieth of the tests' time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _no_guesses() -> None:
    """Wrong passwords of one test do not count in the next."""
    cache.clear()


TABLES = (
    "spans",
    "trace_touches",
    "trace_index",
    "traces",
    "rollups",
    "rollups_hourly",
    "intake",
    "logs",
    "log_index",
    "log_intake",
    "scores",
    "part_contents",
    "trace_previews",
)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Whether the relational tables are there already: `.ci/tests` has them made once for many processes."""
    if "TEMPLATE_DATA" not in os.environ:
        return False
    test_database = settings.DATABASES["default"]["TEST"]["NAME"]
    shutil.copyfile(find_template() / "tracestore.sqlite3", test_database)
    with closing(sqlite3.connect(test_database)) as connection, connection:
        # What the instance wrote that made them. Migrations leave rows in three tables only.
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        written = {name for (name,) in tables} - {"django_migrations", "django_content_type", "auth_permission"}
        for table in written:
            connection.execute(f"DELETE FROM {table}")
            connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    return True


@pytest.fixture(scope="session")
def _migrated_store() -> Iterator[Store]:
    store = get_store()
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(_migrated_store: Store) -> Store:
    """An empty, migrated store on the real embedded engine."""
    # Of these only, because a TRUNCATE takes as long for a table that is empty.
    written = "SELECT DISTINCT table FROM system.parts WHERE active AND rows > 0 AND table IN {tables:Array(String)}"
    for (table,) in _migrated_store.query_rows(written, tables=list(TABLES)):
        _migrated_store.command(f"TRUNCATE TABLE {table}")
    return _migrated_store


# The engine remembers batch tokens across truncation, hence a counter that never starts again.
_batches = itertools.count(1)


@pytest.fixture
def send_spans(store: Store) -> SendSpans:
    """Store spans given as for `build_request`, as ingest does."""

    def send(*spans: dict[str, Any], project_id: int = 1, received_ns: int = T0, **envelope: Any) -> None:
        payload = build_request(*spans, **{"scope": ""} | envelope)
        insert_batch(store, [(project_id, received_ns, payload)], writer="test", batch_seq=next(_batches))

    return send


@pytest.fixture(name="default_project")
def _default_project(db: None) -> Project:
    """The project that every page shows."""
    return default_project()
