"""What must go on in this process besides answering requests: its threads live, its jobs finish."""

from __future__ import annotations

import threading
import time

_JOB_S = 120.0  # jobs run every few seconds; a long one says in between that it goes on

_threads: dict[str, threading.Thread] = {}
_jobs: dict[str, float] = {}  # name -> monotonic time of the last sign of life


def watch_thread(name: str, thread: threading.Thread) -> None:
    """Expect this thread to live until the process stops."""
    _threads[name] = thread


def watch_job(name: str) -> None:
    """Expect a sign of life from this job at least every two minutes from now on."""
    _jobs[name] = time.monotonic()


def note_progress(name: str) -> None:
    """The job has done a part of its work, or found none. Nothing happens in a process that does not run it."""
    if name in _jobs:
        _jobs[name] = time.monotonic()


def find_stopped() -> dict[str, str]:
    """Return why what should go on does not, by name; empty while all is well."""
    now = time.monotonic()
    reasons = {name: "its thread has ended; restart the process" for name, thread in _threads.items() if not thread.is_alive()}
    for name, seen in _jobs.items():
        if now - seen > _JOB_S:
            reasons[name] = f"nothing was done for {now - seen:.0f} s; the log may say why, a restart begins anew"
    return reasons
