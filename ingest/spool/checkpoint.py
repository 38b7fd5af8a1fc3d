"""How far the drain has come, as one small file that is replaced as a whole, also on a full disk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from ingest.spool.durable_files import sync_folder
from ingest.spool.records import Position

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """The requests from `start` to `end` of the spool, which ClickHouse gets (or got) under the number `batch_seq`.

    Written before the insert, so that a replay after a crash sends the same rows under the same number and ClickHouse
    drops what it has. An empty range means that nothing is open. `mapped` are the projects of it that had rules of their own
    (tracestore/mapping.py): their requests went into another table, which alone knows that it has them.
    """

    batch_seq: int
    start: Position
    end: Position
    mapped: tuple[int, ...] = ()


class Checkpoint:
    """The last batch of one spool, and the name under which its batches are numbered."""

    def __init__(self, folder: Path, *, first: Position, end: Position) -> None:
        """`first` and `end` bound the spool; draining starts at `first` when there is no checkpoint that fits."""
        self._path = folder / "checkpoint.json"
        self._spare = folder / "checkpoint.json.spare"
        # A lost checkpoint means a new name: batch numbers of the old one must never be used twice, because ClickHouse
        # would take new spans for a replay and drop them.
        self.writer = secrets.token_hex(6)
        self.batch = Batch(0, first, first)
        try:
            content = json.loads(self._path.read_text())
            mapped = tuple(content.get("mapped", ()))
            batch = Batch(content["batch_seq"], Position(*content["start"]), Position(*content["end"]), mapped)
            if batch.end > end:
                raise ValueError("it lies behind the end of the spool")
            self.writer, self.batch = str(content["writer"]), batch
        except FileNotFoundError:
            self.save(self.batch)
        except (ValueError, KeyError, TypeError) as error:
            log.error("spool: %s cannot be used (%s); starting over as %s", self._path, error, self.writer)
            self.save(self.batch)
        if not self._spare.exists():
            self.save(self.batch)

    def save(self, batch: Batch) -> None:
        """Make the batch durable; after a crash either the old or the new one is there, never a mixture. Raises OSError."""
        content = {
            "writer": self.writer,
            "batch_seq": batch.batch_seq,
            "start": [batch.start.segment, batch.start.offset],
            "end": [batch.end.segment, batch.end.offset],
            "mapped": batch.mapped,
        }
        self._write(json.dumps(content).encode())
        self.batch = batch

    def _write(self, content: bytes) -> None:
        """Overwrite the file before the last one and let it take the place of the last one, which is kept to be overwritten.

        That needs no new block of the disk: a spool that has filled it is emptied only if the checkpoint can move on.
        """
        spare, kept = self._spare, self._path.with_name("checkpoint.json.last")
        if spare.exists() and spare.stat().st_nlink > 1:
            spare.unlink()  # a power cut left it another name of the last one, which must not be written to
        with open(spare, "r+b" if spare.exists() else "wb") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        kept.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not every file system has links: there the next one is a new file
            os.link(self._path, kept)
        os.replace(spare, self._path)
        if kept.exists():
            os.replace(kept, spare)
        sync_folder(self._path.parent)


def is_drained(spool_folder: Path) -> bool:
    """Whether everything durable in this spool is in ClickHouse, as the files say: for tools outside the ingest process."""
    try:
        content = json.loads((spool_folder / "checkpoint.json").read_text())
        newest = max(spool_folder.glob("*.segment"))
        position = [int(newest.stem), newest.stat().st_size]
        start_of_it = [position[0], 0]
    except (OSError, ValueError):
        return False
    nothing_open = content["start"] == content["end"]
    # After a restart the newest segment is empty, and the checkpoint may still name the end of the one before it.
    return nothing_open and (
        content["end"] == position or (position == start_of_it and not _other_segments(spool_folder, newest))
    )


def _other_segments(spool_folder: Path, newest: Path) -> list[Path]:
    return [path for path in spool_folder.glob("*.segment") if path != newest and path.stat().st_size]
