"""Comments, docstrings, templates and documents name files and classes that are there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from tests.live import ROOT

FOLDERS = ("tracestore", "ingest", "dashboards", "alerts", "templates", "bench", "demo", "docs", "tests")
SUFFIXES = (".py", ".js", ".css", ".html", ".md")
FILE = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w/-]+\.(?:py|js|css|html|md|sql)\b")
CONTEXT_CLASS = re.compile(r"\b((?:tracestore|ingest|dashboards|alerts)(?:\.[a-z_]+)+)\.([A-Z]\w+)")
ROUTES = {"dashboards/versions.js"}


def _read(folder: str) -> dict[Path, str]:
    paths = [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES and "node_modules" not in path.parts]
    return {path: path.read_text() for path in paths}


def _exists(name: str) -> bool:
    """Templates and static files are named from below their folders."""
    return any((place / name).exists() for place in (ROOT, ROOT / "templates", *ROOT.glob("*/static")))


def test_named_files_exist() -> None:
    texts = {path: text for folder in FOLDERS for path, text in _read(folder).items()}

    named = {(str(path.relative_to(ROOT)), name) for path, text in texts.items() for name in FILE.findall(text)}

    assert sorted((where, name) for where, name in named if not _exists(name) and name not in ROUTES) == []
    assert len(named) > 100


def test_classes_of_template_contexts_exist() -> None:
    named = {found for text in _read("templates").values() for found in CONTEXT_CLASS.findall(text)}

    assert sorted(f"{module}.{name}" for module, name in named if not hasattr(import_module(module), name)) == []
    assert len(named) > 20
