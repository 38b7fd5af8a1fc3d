"""Requests that ClickHouse refused or the disk damaged: kept as files that an operator can list, examine and replay.

Each is `<name>.pb` (the serialized Export...ServiceRequest) with `<name>.json` beside it (signal, project, receive time, reason).
A replay is asked for by an empty `<name>.replay`; the ingest process that owns the folder does it, because only that
process has the spool open.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ingest.spool.durable_files import make_folder, sync_folder, write_durably
from tracestore.model import Signal


@dataclass(frozen=True)
class DeadLetter:
    """One refused request. Times in ns since the epoch; `replay` says that a replay was asked for.

    Without `is_request` these are bytes of a damaged spool that cannot be replayed: nobody knows whose they are.
    """

    name: str
    project_id: int
    received_at_ns: int
    refused_at_ns: int
    reason: str
    body_bytes: int
    replay: bool
    signal: Signal = Signal.TRACES  # files of versions that stored only traces do not say
    is_request: bool = True


class DeadLetters:
    """The folder of refused requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(
        self,
        name: str,
        payload: bytes | memoryview,
        *,
        project_id: int,
        received_at_ns: int,
        refused_at_ns: int,
        reason: str,
        signal: Signal = Signal.TRACES,
        is_request: bool = True,
    ) -> None:
        """Keep a refused request. The same name again replaces it: a replay after a crash adds no second copy."""
        make_folder(self._folder)
        why = {
            "signal": signal,
            "project_id": project_id,
            "received_at_ns": received_at_ns,
            "refused_at_ns": refused_at_ns,
            "reason": reason,
            "is_request": is_request,
        }
        write_durably(self._folder / f"{name}.pb", payload)
        write_durably(self._folder / f"{name}.json", json.dumps(why, indent=2).encode())

    def find(self) -> list[DeadLetter]:
        """Return all, oldest refusal first."""
        letters = []
        for path in self._folder.glob("*.json"):
            try:
                why = json.loads(path.read_text())
                why["signal"] = Signal(why.get("signal", Signal.TRACES))
                size = path.with_suffix(".pb").stat().st_size
            except (FileNotFoundError, ValueError):
                continue  # removed by a replay between two looks
            letters.append(DeadLetter(path.stem, body_bytes=size, replay=path.with_suffix(".replay").exists(), **why))
        return sorted(letters, key=lambda letter: (letter.refused_at_ns, letter.name))

    def count(self) -> int:
        return sum(1 for _ in self._folder.glob("*.json"))

    def read_payload(self, name: str) -> bytes:
        return (self._folder / f"{name}.pb").read_bytes()

    def request_replay(self, name: str) -> None:
        """Ask the ingest process to accept this request once more. Raises LookupError when there is none of that name."""
        if not (self._folder / f"{name}.json").exists() or "/" in name:
            raise LookupError(f"There is no dead letter {name!r}.")
        if not json.loads((self._folder / f"{name}.json").read_text()).get("is_request", True):
            raise LookupError(f"{name} is a damaged piece of the spool, which nobody can replay.")
        (self._folder / f"{name}.replay").touch()

    def find_requested(self) -> list[DeadLetter]:
        if next(self._folder.glob("*.replay"), None) is None:
            return []
        return [letter for letter in self.find() if letter.replay]

    def remove(self, name: str) -> None:
        for suffix in (".replay", ".json", ".pb"):
            (self._folder / f"{name}{suffix}").unlink(missing_ok=True)
        sync_folder(self._folder)
