"""Recorded exports of real agent frameworks, one zip a source, with what the model server counted while they ran.

Each zip holds the request bodies as sent (`0001.pb.gz`, with `0001.headers.json`), `truth.json` and `cases.jsonl` (one line a
run of the agent: what it did, whether it failed, the ids of its traces). Timestamps lie on 2026-11-20, UTC.
"""

from __future__ import annotations

import gzip
import json
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
START, END = "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z"


@dataclass(frozen=True)
class Recording:
    """One source. `truth` counts by what the fake model server and the driver saw, not by what the spans say."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def truth(self) -> dict[str, Any]:
        with zipfile.ZipFile(self.path) as archive:
            return dict(json.loads(archive.read("truth.json")))

    @cached_property
    def cases(self) -> list[dict[str, Any]]:
        with zipfile.ZipFile(self.path) as archive:
            return [json.loads(line) for line in archive.read("cases.jsonl").splitlines()]

    def requests(self) -> list[tuple[str, bytes, dict[str, str]]]:
        """Return (path, body as sent, headers) in the order of arrival; what came over gRPC is sent as http/protobuf."""
        result = []
        with zipfile.ZipFile(self.path) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".headers.json")):
                meta = json.loads(archive.read(name))
                headers = {"Content-Type": "application/x-protobuf" if meta["transport"] == "grpc" else meta["content-type"]}
                if meta.get("content-encoding"):
                    headers["Content-Encoding"] = meta["content-encoding"]
                result.append((f"/v1/{meta['signal']}", archive.read(meta["file"]), headers))
        return result

    def trace_requests(self) -> list[bytes]:
        """Return the plain protobuf bodies of its trace requests (none for a source that sends JSON)."""
        return self._bodies("/v1/traces")

    def log_requests(self) -> list[bytes]:
        """Return the plain protobuf bodies of its log requests."""
        return self._bodies("/v1/logs")

    def _bodies(self, wanted: str) -> list[bytes]:
        return [
            gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
            for path, body, headers in self.requests()
            if path == wanted and headers["Content-Type"] == "application/x-protobuf"
        ]


def recordings() -> list[Recording]:
    """Return every source, by name."""
    return [Recording(path) for path in sorted(FOLDER.glob("*.zip"))]


def replay(recording: Recording, otlp_url: str) -> list[int]:
    """Send every request as it was sent and return the status codes."""
    statuses = []
    for path, body, headers in recording.requests():
        request = urllib.request.Request(otlp_url + path, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=90) as answer:
            statuses.append(answer.status)
    return statuses
