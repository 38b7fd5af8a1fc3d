"""What `make` says when the environment cannot be made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH without uv and without the system's package manager."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("bash", "id"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def install(python: str, venv: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci" / "install", python, str(venv), "requirements.lock"],
        cwd=ROOT,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def test_folder_that_cannot_be_written_is_not_taken_for_a_missing_module(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "file").write_text("")

    result = install(sys.executable, tmp_path / "file" / "venv", tools)

    assert result.returncode != 0
    assert "Not a directory" in result.stderr
    assert "venv module is missing" not in result.stderr


def test_missing_python_is_named(tmp_path: Path, tools: Path) -> None:
    result = install("/nothing/python3", tmp_path / "venv", tools)

    assert result.returncode == 1
    assert "needs Python 3.11 or newer; '/nothing/python3' is not" in result.stderr
