"""Whether what the embedded engine says it has written is on the disk.

chdb (4.4, ClickHouse 26.9) takes a write that the disk refuses for done: with ENOSPC, EDQUOT or EFBIG an INSERT or a merge
"succeeds" and leaves files that end too early, which nobody notices before they are read. A server throws an exception
(WriteBufferFromFileDescriptor::nextImpl), so this is for the embedded engine.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from tracestore.clickhouse.errors import StoreUnavailable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

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
    "metadata_version.txt",
    "txn_version.txt",
    "uuid.txt",
}
_LISTS = ("columns.txt", "columns_substreams.txt")


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
        merge has made, ClickHouse takes those that it was made of, which stay for eight minutes (old_parts_lifetime).
        """
        with self._lock:
            try:
                self._take_out_all(client)
            except (ClickHouseError, DatabaseError, OSError) as error:
                raise StoreUnavailable(f"What the disk did not take whole cannot be taken out now: {error}"[:500]) from error
            if self._cut_short != begun:
                raise StoreUnavailable("The disk did not take all that ClickHouse wrote; it is full or broken.")

    def _take_out_all(self, client: Client) -> None:
        for table in list(self._detached):
            self._attach(client, table)
        found = [_Part(*row) for row in client.query(_PARTS).result_rows]
        for part in found:
            if part.path not in self._whole and not _is_whole(part):
                self._cut_short += 1
                log.error("clickhouse: the disk did not take all of part %s of %s", part.name, part.table)
                self._take_out(client, part)
        self._whole = {part.path for part in found}

    def _take_out(self, client: Client, part: _Part) -> None:
        if part.is_of_insert:
            client.command(f"ALTER TABLE {part.table} DROP PART {{part:String}}", parameters={"part": part.name})
            return
        client.command(f"DETACH TABLE {part.table} SYNC")
        self._detached.add(part.table)
        path = Path(part.path)
        path.rename(path.parent / "detached" / f"cut-short_{part.name}")
        self._attach(client, part.table)

    def _attach(self, client: Client, table: str) -> None:
        client.command(f"ATTACH TABLE {table}")
        self._detached.discard(table)


def _is_whole(part: _Part) -> bool:
    try:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(part.path)}
        lists = [(Path(part.path) / name).read_bytes() for name in _LISTS if name in sizes]
    except FileNotFoundError:  # merged and removed since it was listed
        return True
    counted = sum(size for name, size in sizes.items() if name not in _UNCOUNTED)
    return (
        counted == part.bytes_on_disk
        and all(sizes.get(name, 1) for name in _UNCOUNTED)
        and all(text.endswith(b"\n") for text in lists)
    )
