"""What a running instance has, for tests of what it says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.service import Ingest
from tracestore.clickhouse.client import Store
from tracestore.process import liveness


@pytest.fixture
def nothing_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_threads", {})
    monkeypatch.setattr(liveness, "_jobs", {})


@pytest.fixture
def ingest(store: Store, tmp_path: Path) -> Iterator[Ingest]:
    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda *_: None)
    yield ingest
    ingest.stop(60)
