"""The relational data on Postgres."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import ROOT

_TOOLS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)  # as Debian has it


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """An empty database of a server that listens on a socket of its own."""
    assert _TOOLS, "No Postgres is installed: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="tracestore-postgres-"))
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    options = f"-k {folder} -c listen_addresses= -c fsync=off"

    def run(*command: str) -> None:
        subprocess.run(
            [_TOOLS / command[0], *command[1:]], check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120
        )

    run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "tracestore", "--no-sync")
    run("pg_ctl", "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        run("createdb", "-h", str(folder), "-U", "tracestore", "tracestore")
        yield f"postgres://tracestore@{str(folder).replace('/', '%2F')}/tracestore"
    finally:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def manage(database_url: str, data: Path, *command: str) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TRACESTORE_", "CLICKHOUSE_"))}
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT, env=clean | {"TRACESTORE_DATA": str(data), "DATABASE_URL": database_url}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


_MAKE_PROJECTS = """
from tracestore.models import Project
from tracestore.projects import make_project
Project.objects.get_or_create(id=1, defaults={"slug": "default", "name": "Default"})
print(make_project("Shop", "shop", by="ann").pk, make_project("Bank", "bank", by="ann").pk)
"""


def test_projects_are_made_beside_the_default_one(database_url: str, tmp_path: Path) -> None:
    manage(database_url, tmp_path, "migrate", "--verbosity=0")

    assert manage(database_url, tmp_path, "shell", "--no-imports", "-c", _MAKE_PROJECTS).split() == ["2", "3"]
    assert "No changes" in manage(database_url, tmp_path, "makemigrations", "--check", "--dry-run")
