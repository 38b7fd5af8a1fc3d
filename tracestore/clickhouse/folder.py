"""The lock on the folder of the embedded engine, looked at first: of a second start the engine says little, and says it twice."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from tracestore.clickhouse.errors import FolderInUse

# What the engine writes into the file that it locks: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/StatusFile.cpp
_PID, _SINCE = re.compile(r"^PID: (\d+)$", re.MULTILINE), re.compile(r"^Started at: (.+)$", re.MULTILINE)


def refuse_folder_in_use(folder: Path) -> None:
    """Raise FolderInUse, with the process where that is known, when one has opened the embedded engine on this folder."""
    try:
        with (folder / "status").open() as status:
            try:
                fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said = status.read()
            else:
                return  # left behind by a crash; closing the file gives the lock back
    except OSError:
        return  # none has, or the engine says why it cannot
    pid, since = _PID.search(said), _SINCE.search(said)
    holder = f"process {pid[1]}" if pid and _is_running(int(pid[1])) else "another process"
    started = f", which started at {since[1]}" if since else ""
    raise FolderInUse(
        f"The database in {folder} is in use by {holder}{started}. Stop that one first, or set TRACESTORE_DATA to another folder."
    )


def _is_running(pid: int) -> bool:
    """Whether this machine or container has such a process: that of another container has a number of its own."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
