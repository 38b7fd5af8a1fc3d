"""One running instance that holds every recording, for all tests that only read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpus.recordings import recordings, replay
from tests.live import LiveServer, start_server


@pytest.fixture(scope="package")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("corpus"))
    for recording in recordings():
        assert set(replay(recording, server.otlp_url)) == {200}, recording.name
    yield server
    server.stop()
