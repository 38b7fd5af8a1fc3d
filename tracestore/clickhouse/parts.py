"""Whether what the embedded engine says it has written is on the disk.

chdb (4.4, ClickHouse 26.9) takes a write that the disk refuses for done: with ENOSPC, EDQUOT or EFBIG an INSERT or a merge
"succeeds" and leaves files that end too early, which nobody notices before they are read. A server throws an exception
(WriteBufferFromFileDescriptor::nextImpl), so this is for the embedded engine.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tracestore.clickhouse.errors import StoreUnavailable

log = logging.getLogger(__name__)

_PARTS = """
SELECT table, name, path, bytes_on_disk, level = 0 AND data_version = min_block_number AS is_of_insert
FROM system.parts WHERE active AND database = currentDatabase()
"""
# Files of a part that its checksums, and so bytes_on_disk, do not cover. The lists of columns end with a line break.
_UNCOUNTED = {
    "checksums.txt",
    "columns.txt",
    "columns_substreams.txt",
    "default_compression_codec.txt",
    "invalidated_system_columns.txt",
    "metadata_version.txt",
    "txn_version.txt",
    "uuid.txt",
}
_LISTS = ("columns.txt", "columns_substreams.txt")


class Client(Protocol):
    """What is asked of the driver's client."""

    def query(self, query: str) -> Any: ...

    def command(self, cmd: str, parameters: dict[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True)
class _Part:
    """A row of system.parts. `is_of_insert`: one insert wrote it; others are made of parts that still lie beside them."""

    table: str
    name: str
    path: str
    bytes_on_disk: int
    is_of_insert: bool


class PartCheck:
    """Looks at each part of the tables once, after the insert that wrote it. Reads sizes only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole: set[str] = set()  # paths of active parts that are as large as they should be
        self._detached: set[str] = set()  # tables that are to be attached again
        self._cut_short = 0

    def begin(self) -> int:
        """Return what `check` wants to know of an insert that starts now."""
        return self._cut_short

    def check(self, client: Client, begun: int) -> None:
        """Take out parts that were cut short. Raises StoreUnavailable when there were any since `begin`, whoever found them.

        A part of an insert is dropped with its deduplication token, so that the same insert again writes it; for one that a
        merge has made, ClickHouse takes those that it was made of, which stay for three minutes (migrate.py). Errors of
        the driver and of the disk pass through; the next call tries again.
        """
        with self._lock:
            self._take_out_all(client)
            if self._cut_short != begun:
                raise StoreUnavailable("The disk did not take all that ClickHouse wrote; it is full or broken.")

    def _take_out_all(self, client: Client) -> None:
        for table in list(self._detached):
            self._attach(client, table)
        found = _find_parts(client)
        short = [part for part in found if part.path not in self._whole and not _is_whole(part)]
        # One that was merged or dropped meanwhile loses its files one by one: it is active no more.
        short = [part for part in _find_parts(client) if part in short and not _is_whole(part)] if short else []
        for part in short:
            self._cut_short += 1
            log.error("clickhouse: the disk did not take all of part %s of %s", part.name, part.table)
            self._take_out(client, part)
        self._whole = {part.path for part in found if part not in short}

    def _take_out(self, client: Client, part: _Part) -> None:
        if part.is_of_insert:
            client.command(f"ALTER TABLE {part.table} DROP PART {{part:String}}", parameters={"part": part.name})
            return
        self._detached.add(part.table)
        client.command(f"DETACH TABLE {part.table} SYNC")
        path = Path(part.path)
        try:
            path.rename(path.parent / "detached" / f"cut-short_{part.name}_{time.time_ns()}")
        finally:
            self._attach(client, part.table)

    def _attach(self, client: Client, table: str) -> None:
        client.command(f"ATTACH TABLE IF NOT EXISTS {table}")
        self._detached.discard(table)


def _find_parts(client: Client) -> list[_Part]:
    return [_Part(*row) for row in client.query(_PARTS).result_rows]


def _is_whole(part: _Part) -> bool:
    """Whether no file of it ends too early. Files that nobody knows only add to the sum, and so raise no alarm."""
    try:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(part.path)}
        lists = [(Path(part.path) / name).read_bytes() for name in _LISTS if name in sizes]
    except FileNotFoundError:  # merged and removed since it was listed
        return True
    counted = sum(size for name, size in sizes.items() if name not in _UNCOUNTED)
    return (
        counted >= part.bytes_on_disk
        and all(sizes.get(name, 1) for name in _UNCOUNTED)
        and all(text.endswith(b"\n") for text in lists)
    )
