"""`make fuzz`: a million bodies, most through the receiver within a process, every twentieth over sockets to a whole instance.

Prints its seed; the same seed with as many processes makes the same bodies, but for the times of the guards. Exits 1 when
anything was not as it must be, and keeps the bodies that showed it.
"""

from __future__ import annotations

import argparse
import os
import pickle
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.result import Result

_SOCKET_SHARE = 0.05


def _work(seed: int, number: int, bodies: int) -> None:
    """Fuzz in this process; number 0 talks to an instance over sockets. TRACESTORE_DATA is a folder of its own."""
    import django

    django.setup()  # before the receiver is imported
    from django.core.management import call_command

    from tests.fuzz.mutations import Mutator, load_seeds
    from tests.fuzz.run import fuzz_in_process, fuzz_over_sockets
    from tracestore.clickhouse.client import get_store
    from tracestore.clickhouse.migrate import migrate

    data = Path(os.environ["TRACESTORE_DATA"])
    mutator = Mutator(load_seeds(), seed, number)
    if number == 0:
        result = fuzz_over_sockets(get_store, data, mutator, bodies)
    else:
        call_command("migrate", verbosity=0)
        migrate(get_store())
        result = fuzz_in_process(get_store(), data, mutator, bodies)
    get_store().close()
    (data / "result.pickle").write_bytes(pickle.dumps(result))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--bodies", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--processes", type=int, default=max(2, os.cpu_count() or 2))
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)  # of a process that this one starts
    arguments = parser.parse_args()
    if arguments.number is not None:
        _work(arguments.seed, arguments.number, arguments.bodies)
        return 0

    over_sockets = int(arguments.bodies * _SOCKET_SHARE)
    within = -(-(arguments.bodies - over_sockets) // (arguments.processes - 1 or 1))
    counts = [over_sockets] + [within] * (arguments.processes - 1 or 1)
    folder = Path(tempfile.mkdtemp(prefix="tracestore-fuzz-"))
    print(f"seed {arguments.seed}, {len(counts)} processes, {sum(counts):,} bodies, in {folder}", flush=True)
    started = time.monotonic()
    processes = []
    for number, bodies in enumerate(counts):
        data = folder / str(number)
        data.mkdir()
        command = [sys.executable, "-m", "tests.fuzz", "--seed", str(arguments.seed)]
        with (data / "log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [*command, "--number", str(number), "--bodies", str(bodies)],
                    env=os.environ
                    | {
                        "TRACESTORE_DATA": str(data),
                        "DJANGO_SETTINGS_MODULE": "tracestore.settings",
                        "TRACESTORE_LOG_LEVEL": "error",
                    },
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    total = Result()
    for number, process in enumerate(processes):
        status = process.wait()
        if status:
            total.fail(f"process {number} ended with {status}, see {folder / str(number) / 'log'}")
        else:
            total.join(pickle.loads((folder / str(number) / "result.pickle").read_bytes()))
    print(total.describe(time.monotonic() - started), flush=True)
    return 1 if total.failure_count else 0


if __name__ == "__main__":
    sys.exit(main())
