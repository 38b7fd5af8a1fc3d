"""Who imports whom, read from the source."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import ROOT

PACKAGES = ("tracestore", "ingest", "dashboards", "alerts")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the absolute name of every module that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def top_levels(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported_modules(path)}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_itself_and_tracestore(package: str) -> None:
    strangers = set(PACKAGES) - {package, "tracestore"}

    offenders = [str(path) for path in FILES if path.parts[len(ROOT.parts)] == package and top_levels(path) & strangers]

    assert offenders == []


def test_only_the_client_imports_the_driver() -> None:
    users = {str(path.relative_to(ROOT)) for path in FILES if top_levels(path) & {"clickhouse_connect", "chdb"}}

    assert users == {"tracestore/clickhouse/client.py"}


def test_product_does_not_import_its_tests() -> None:
    assert [str(path) for path in FILES if top_levels(path) & {"tests", "bench"}] == []


def test_importing_everything_opens_no_store(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if "migrations" not in path.parts and path.name != "__init__.py"
    ]
    program = f"""
import importlib, threading, django
django.setup()
for name in {modules!r}:
    importlib.import_module(name)
from django.urls import reverse
reverse("healthz")
from tracestore.clickhouse.client import get_store
print(get_store.cache_info().currsize, threading.active_count())
"""

    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
        env=os.environ | {"TRACESTORE_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tracestore.settings"},
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["0", "1"]
    assert not (tmp_path / "clickhouse").exists()
