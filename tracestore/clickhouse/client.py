"""The only importer of clickhouse_connect: one `Store` per process over a server or the embedded engine.

Opened lazily: the embedded engine locks its folder to one process, and a child forked after its start hangs.
"""

from __future__ import annotations

import contextlib
import copy
import math
import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from django.conf import settings

from tracestore.clickhouse.errors import BadInsert, QueryTooExpensive, StoreError, StoreUnavailable
from tracestore.clickhouse.folder import refuse_folder_in_use
from tracestore.clickhouse.machine_memory import find_memory_bytes, share_memory
from tracestore.clickhouse.parts import PartCheck
from tracestore.clickhouse.places import Places
from tracestore.process import telemetry
from tracestore.process.allocator import drop_unused_code, return_what_is_free

if TYPE_CHECKING:
    import pyarrow
    from clickhouse_connect.driver.client import Client

Row = TypeVar("Row")

# ClickHouse error codes, from src/Common/ErrorCodes.cpp of ClickHouse.
_MEMORY_LIMIT = 241
_TOO_EXPENSIVE = {158, 159, 160, _MEMORY_LIMIT, 307, 396}  # rows, time, estimated time, memory, bytes, result rows or bytes
# Network, memory, disk, threads and coordination: the same insert may pass later.
_TRANSIENT = {74, 75, 76, 159, 160, 164, 173, 198, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 319, 373, 394, 439, 499, 999}


def _translate(error: Exception, *, inserting: bool) -> StoreError:
    code = getattr(error, "code", None)
    message = str(error).split("\n")[0][:500]
    if inserting:
        if code is not None and int(code) not in _TRANSIENT and not isinstance(error, OperationalError):
            return BadInsert(message)
        return StoreUnavailable(message)
    if code in _TOO_EXPENSIVE:
        return QueryTooExpensive(
            "This query needs more time or memory than one query may use. Choose a shorter time range or add a filter."
        )
    if code is None or isinstance(error, OperationalError):
        return StoreUnavailable(message)
    return StoreError(message)


def _check_parts(parts: PartCheck, client: Client, begun: int) -> None:
    """Raises StoreUnavailable also when a part that was cut short cannot be taken out now: the insert is to be repeated."""
    try:
        parts.check(client, begun)
    except (ClickHouseError, DatabaseError, OSError) as error:
        raise StoreUnavailable(f"What the disk did not take whole cannot be taken out now: {error}"[:500]) from error


# A download has begun to answer when it waits for its turn, and can no longer refuse.
_DOWNLOAD_WAIT_S = 300.0
# A server that does not answer an insert for so long has hung: the same insert is sent again.
_ANSWER_TIMEOUT_S = 120
# In the embedded engine merges and large inserts of what is safe in the spool give way to requests and queries: put off while the
# cores are busy, they are made up for after. Only while ClickHouse works, so that a thread that gives way never holds Python's
# lock. Without the right to change priorities (CAP_SYS_NICE) ClickHouse leaves them as they are.
# Two merges at a time instead of four: one of ten parts of `spans` holds 300 to 420 MB.
_EMBEDDED_SETTINGS = (
    "os_threads_nice_value_merge_mutate=19&background_pool_size=2&background_merges_mutations_concurrency_ratio=1"
)
_EMBEDDED_INSERT_SETTINGS = {"os_threads_nice_value_query": 19, "os_threads_nice_value_materialized_view": 19}


# From so many characters on a piece of a word is looked for in the dictionary of an index of words (4 by default): what two
# characters find is many words, and still a fraction of reading all texts.
SHORTEST_IN_WORD = 2


class PlainText:
    """A String parameter that needs no escapes. The driver looks at each character of a str, 0.1 us each."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@dataclass
class _Engine:
    """What is so of the engine whichever way it is asked: the same for all forms of a Store."""

    inserts: int = 0
    holds_merges: bool = False
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def count_insert(self) -> None:
        with self._counting:
            self.inserts += 1


class Store:
    """A pool of ClickHouse clients (one per concurrent caller) with ceilings on time and memory."""

    def __init__(self, url: str = "", path: str = "", *, timeout_s: int = 15, memory_bytes: int = 2**30) -> None:
        """`url` names a server, `path` a folder for the embedded engine; exactly one is given.

        A read takes `memory_bytes` at most. In the embedded engine all of them share half of this machine's; a server sees to its
        own.
        """
        self._url, self._path = url, path
        self._timeout_s, self._deadline = float(timeout_s), math.inf
        self._memory_bytes = memory_bytes
        self._places: Places | None = Places()
        self._download_places, self._is_download = Places(2), False
        if path:
            self._memory_bytes, reads = share_memory(find_memory_bytes(), memory_bytes)
            self._places = Places(reads)
        self._idle: queue.LifoQueue[Client] = queue.LifoQueue()
        # The embedded engine ends with its last client, and with it what it was told (to hold merges) and keeps in memory.
        # This one runs nothing, so nothing that fails takes it away.
        self._anchor: list[Client] = []
        self._opening = threading.Lock()
        self._parts = PartCheck() if path else None
        self._engine = _Engine()

    def limited(self, total_s: float) -> Store:
        """Return this store with reads that take so long together at most: what is asked later raises QueryTooExpensive."""
        limited = copy.copy(self)
        limited._deadline = time.monotonic() + total_s
        return limited

    def unqueued(self) -> Store:
        """Return this store with reads that do not wait behind others: for alerts, which must not be late where much is read."""
        unqueued = copy.copy(self)
        unqueued._places = None
        return unqueued

    def for_download(self) -> Store:
        """Return this store with reads that take turns, one of a project at a time: many downloads must not hold up its pages."""
        download = copy.copy(self)
        download._is_download = True
        return download

    @property
    def _left_s(self) -> float:
        """The seconds that a read which begins now may take."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise QueryTooExpensive("There is no time left for this query.")
        return min(self._timeout_s, left_s)

    @property
    def _read_settings(self) -> dict[str, float | int]:
        return {
            "max_execution_time": self._left_s,
            "max_memory_usage": self._memory_bytes,
            "max_threads": 4,
            "text_index_like_min_pattern_length": SHORTEST_IN_WORD,
        }

    def _open(self) -> Client:
        if not self._url:
            with self._opening:
                if not self._anchor:
                    refuse_folder_in_use(Path(self._path))
                    self._anchor.append(self._open_embedded())
                return self._open_embedded()
        parts = urlsplit(self._url)
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname or "localhost",
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or "default",
            autogenerate_session_id=False,
            connect_timeout=5,
            send_receive_timeout=_ANSWER_TIMEOUT_S,
            tz_mode="aware",
        )

    def _open_embedded(self) -> Client:
        return clickhouse_connect.get_client(interface="chdb", path=f"{self._path}?{_EMBEDDED_SETTINGS}", tz_mode="aware")

    @property
    def insert_count(self) -> int | None:
        """How many inserts have ended, well or badly; None for a server, into which other processes insert as well."""
        return self._engine.inserts if self._path else None

    @property
    def holds_merges(self) -> bool:
        """Whether the embedded engine was told to begin no merges: more waits to be stored than is good."""
        return self._engine.holds_merges

    @contextlib.contextmanager
    def _lend(self) -> Iterator[Client]:
        """Lend a client, and take it back unless something failed: what was read of that answer would begin the next one's."""
        try:
            client = self._idle.get_nowait()
        except queue.Empty:
            client = self._open()
        yield client
        self._idle.put(client)

    @contextlib.contextmanager
    def _client(self, operation: str, project_id: int | None = None) -> Iterator[Client]:
        """Lend a client for one statement; `operation` is select, insert or command.

        A read of a project may wait for others; those of no project, which jobs make, never do. Raises StoreUnavailable when it
        would wait for longer than a read may take.
        """
        with contextlib.ExitStack() as held:
            if self._places and project_id is not None:
                if self._is_download:
                    held.enter_context(self._download_places.take(project_id, _DOWNLOAD_WAIT_S))
                held.enter_context(self._places.take(project_id, self._left_s))
            started = time.monotonic()
            try:
                with self._lend() as client:
                    begun = self._parts.begin() if self._parts else 0
                    yield client
                    if self._parts and operation == "insert":
                        _check_parts(self._parts, client, begun)
            except (ClickHouseError, DatabaseError, OSError) as error:
                translated = _translate(error, inserting=operation == "insert")
                telemetry.QUERY_ERRORS.labels(operation, type(translated).__name__).inc()
                raise translated from error
            else:
                telemetry.QUERY.labels(operation).observe(time.monotonic() - started)
            finally:
                if operation == "insert":
                    self._engine.count_insert()

    def query(self, sql: str, row_type: type[Row], **params: Any) -> list[Row]:
        """Return one `row_type` (a dataclass) per row; columns match its fields by name, extra columns are an error.

        Parameters bind on the server as {name:Type}. Raises QueryTooExpensive, StoreUnavailable or StoreError.
        """
        names = {field.name for field in fields(cast(Any, row_type))}
        with self._client("select", params.get("project_id")) as client:
            result = client.query(sql, parameters=params, settings=self._read_settings)
        unknown = set(result.column_names) - names
        if unknown:
            raise StoreError(f"{row_type.__name__} has no field for {sorted(unknown)}")
        return [row_type(**dict(zip(result.column_names, row, strict=True))) for row in result.result_rows]

    def query_rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """Return plain tuples: for queries of one or two columns that need no name."""
        with self._client("select", params.get("project_id")) as client:
            return cast("list[tuple[Any, ...]]", client.query(sql, parameters=params, settings=self._read_settings).result_rows)

    def query_arrow(self, sql: str, **params: Any) -> pyarrow.Table:
        """Return columns, LowCardinality ones as dictionaries, FixedString ones as fixed-size binary: for batch computation."""
        with self._client("select", params.get("project_id")) as client:
            settings = self._read_settings | {
                "output_format_arrow_low_cardinality_as_dictionary": 1,
                "output_format_arrow_string_as_string": 0,
                "output_format_arrow_fixed_string_as_fixed_byte_array": 1,
            }
            # In the text: for settings beside such a query the embedded engine would run a SET for each, before and after.
            clause = ", ".join(f"{name} = {value}" for name, value in settings.items())
            return client.query_arrow(f"{sql}\nSETTINGS {clause}", parameters=params)

    def command(self, sql: str, **params: Any) -> Any:
        """Run one statement that returns nothing or one value (DDL, INSERT ... SELECT)."""
        with self._client("insert" if sql.lstrip()[:6].upper() == "INSERT" else "command") as client:
            return client.command(sql, parameters=params)

    def compute(self, sql: str, **params: Any) -> None:
        """Run one INSERT ... SELECT with the memory of two queries, as long as it takes.

        What it reads comes from senders, who must not be able to have it take the whole machine; but what does not fit is left
        out, so it gets more than a query. Raises QueryTooExpensive when it needs more, BadInsert or StoreUnavailable.
        """
        with self._client("insert") as client:
            try:
                client.command(sql, parameters=params, settings={"max_memory_usage": 2 * self._memory_bytes, "max_threads": 4})
            except DatabaseError as error:
                if error.code == _MEMORY_LIMIT:
                    raise _translate(error, inserting=False) from error
                raise

    def insert_columns(self, table: str, columns: dict[str, Sequence[Any]]) -> None:
        """Insert column-wise. Raises BadInsert when the values do not fit, StoreUnavailable when a retry may pass."""
        with self._client("insert") as client:
            client.insert(table, list(columns.values()), column_names=list(columns), column_oriented=True)

    def insert_arrow(self, table: str, columns: pyarrow.Table) -> None:
        """Insert columns without a Python object for each value. Raises BadInsert or StoreUnavailable.

        Rows that replace each other must not be in one insert: looking for those takes longer than the insert.
        """
        # Times come from senders: what they sent at once may lie in any number of months, each a partition (landing.py).
        settings = {"optimize_on_insert": 0, "max_partitions_per_insert_block": 0}
        with self._client("insert") as client:
            client.insert_arrow(table, columns, settings=settings)

    def insert_raw(
        self, table: str, body: Generator[bytes, None, None], fmt: str, settings: dict[str, Any], *, gives_way: bool = False
    ) -> None:
        """Insert the pieces of one body in a ClickHouse input format. Raises BadInsert or StoreUnavailable.

        One that `gives_way` has the lowest priority, where other programs keep the cores busy next to none: 33 s in place of
        0.7 s beside four.
        """
        if self._path and gives_way:
            settings = settings | _EMBEDDED_INSERT_SETTINGS
        with self._client("insert") as client:
            client.raw_insert(table, insert_block=body, fmt=fmt, settings=settings)

    def check_parts(self) -> None:
        """Look at parts that were merged since the last insert, each of which does so itself. Raises StoreUnavailable."""
        if self._parts:
            with self._client("command") as client:
                _check_parts(self._parts, client, self._parts.begin())

    def hold_merges(self, tables: Sequence[str], held: bool) -> None:
        """Have the embedded engine begin no merges of these tables, and break off those that run, until they are let go or it
        ends; a server sees to its own. Raises StoreUnavailable or StoreError.
        """
        if self._path:
            for table in tables:
                self.command(f"SYSTEM {'STOP' if held else 'START'} MERGES {table}")
            self._engine.holds_merges = held

    def release_memory(self) -> None:
        """Return what the embedded engine and Python freed or need not keep to the system; a server sees to its own memory."""
        if self._path:
            self.command("SYSTEM JEMALLOC PURGE")
            return_what_is_free()
            drop_unused_code()

    def close(self) -> None:
        """Close idle clients; the embedded engine releases its folder when the last one goes."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                break
        while self._anchor:
            self._anchor.pop().close()


@cache
def get_store() -> Store:
    """Return this process's store. Nothing is opened until the first call that needs it."""
    path = settings.DATA / "clickhouse"
    if not settings.CLICKHOUSE_URL:
        path.mkdir(parents=True, exist_ok=True)
    return Store(
        url=settings.CLICKHOUSE_URL,
        path="" if settings.CLICKHOUSE_URL else str(path),
        timeout_s=settings.QUERY_TIMEOUT_S,
        memory_bytes=settings.QUERY_MEMORY_BYTES,
    )
