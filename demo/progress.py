"""How far along: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

from typing import TextIO

_WIDTH = 40


class Progress:
    """Reports `done` of `total` to a stream."""

    def __init__(self, total: int, unit: str, stream: TextIO) -> None:
        self._total, self._unit, self._stream = max(total, 1), unit, stream
        self._is_terminal = stream.isatty()
        self._tenths_shown = 0

    def show(self, done: int) -> None:
        share = done / self._total
        count = f"{done:,} of {self._total:,} {self._unit}"
        if self._is_terminal:
            filled = int(share * _WIDTH)
            self._stream.write(f"\r{'█' * filled}{'░' * (_WIDTH - filled)} {share:4.0%}  {count}")
            self._stream.flush()
        elif int(share * 10) > self._tenths_shown:
            self._tenths_shown = int(share * 10)
            self._stream.write(f"{share:4.0%}  {count}\n")

    def finish(self) -> None:
        if self._is_terminal:
            self._stream.write("\n")
            self._stream.flush()
