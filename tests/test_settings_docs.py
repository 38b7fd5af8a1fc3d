"""The table of settings in docs/settings.md is the one in the code."""

from __future__ import annotations

import re

from tests.live import ROOT
from tracestore.environment import SETTINGS

ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \| (.*) \|$", re.MULTILINE)


def read_table() -> list[tuple[str, str, str, str, str]]:
    rows = ROW.findall((ROOT / "docs" / "settings.md").read_text())
    return [(name, kind, unit, default.strip().strip("`"), text) for name, kind, unit, default, text in rows]


def test_manual_lists_every_setting_with_type_unit_default_and_meaning() -> None:
    assert read_table() == [(setting.name, setting.type, setting.unit, setting.default, setting.help) for setting in SETTINGS]


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    known = {setting.name for setting in SETTINGS}
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

    for document in documents:
        named = set(re.findall(r"\bTRACESTORE_[A-Z0-9_]+\b", document.read_text()))
        assert named <= known, f"{document.name} names {sorted(named - known)}"
