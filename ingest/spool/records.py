"""The records of a spool's segments: how they are written, verified, and found again after damage. Pure."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tracestore.model import Signal

# A record begins with the magic of its signal. Those of the first version had no seal.
_MAGICS = {Signal.TRACES: b"TSR2", Signal.LOGS: b"TSL2"}
_SIGNALS = {magic: signal for signal, magic in _MAGICS.items()}
_OLD_SIGNALS = {b"TSR1": Signal.TRACES, b"TSL1": Signal.LOGS}
# magic, payload bytes, CRC-32 of the rest of the header and the payload, project id, receive time (ns since the epoch)
_HEADER = struct.Struct("<4sIIIQ")
_FIELDS = struct.Struct("<IIQ")
_SEAL_BYTES = 8
HEADER_BYTES = _HEADER.size + _SEAL_BYTES


@dataclass(frozen=True, order=True)
class Position:
    """A place in the spool: a segment's number and the byte offset in its file. Later is greater."""

    segment: int
    offset: int


@dataclass(frozen=True)
class SpooledRequest:
    """One accepted request: the serialized Export...ServiceRequest of its signal, and where it stands in the spool.

    The payload is a view of what was read from the file: a batch is in memory once.
    """

    position: Position
    project_id: int
    received_at_ns: int
    payload: bytes | memoryview
    signal: Signal = Signal.TRACES


@dataclass(frozen=True)
class Damage:
    """Bytes of the spool that are no whole record any more. `reason` is for an operator.

    `request` is the one that they were when its header is intact: its payload is what is left of it. Without it `content` holds
    everything up to the next intact record.
    """

    position: Position
    content: bytes
    reason: str
    request: SpooledRequest | None = None


def _checksum(magic: bytes, project_id: int, received_at_ns: int, payload: bytes | memoryview) -> int:
    # Traces of the first version came before there was anything to tell apart.
    start = 0 if magic == b"TSR1" else zlib.crc32(magic)
    return zlib.crc32(payload, zlib.crc32(_FIELDS.pack(len(payload), project_id, received_at_ns), start))


def _seal(key: bytes, segment: int, offset: int, header: bytes) -> bytes:
    """What only this spool can have written at this place: a record that a sender put into its payload does not carry it."""
    place = struct.pack("<QQ", segment, offset)
    return hashlib.blake2b(header + place, digest_size=_SEAL_BYTES, key=key).digest()


def encode_record(
    project_id: int, received_at_ns: int, payload: bytes, signal: Signal, *, key: bytes, segment: int, offset: int
) -> tuple[bytes, bytes]:
    """Return the header and the payload: kept apart, so that a large payload is not copied."""
    magic = _MAGICS[signal]
    checksum = _checksum(magic, project_id, received_at_ns, payload)
    header = _HEADER.pack(magic, len(payload), checksum, project_id, received_at_ns)
    return header + _seal(key, segment, offset, header), payload


def _read_header(view: memoryview, at: int) -> tuple[bytes, Signal, int, int, int, int, int] | None:
    """Return magic, signal, start and end of the payload, checksum, project id and receive time; None when this is no record."""
    if at + _HEADER.size > len(view):
        return None
    magic, size, checksum, project_id, received_at_ns = _HEADER.unpack_from(view, at)
    is_old = magic in _OLD_SIGNALS
    signal = _OLD_SIGNALS.get(magic) or _SIGNALS.get(magic)
    start = at + (_HEADER.size if is_old else HEADER_BYTES)
    if signal is None or start + size > len(view):
        return None
    return magic, signal, start, start + size, checksum, project_id, received_at_ns


def measure_first(data: bytes) -> int:
    """Return how many bytes the record has that `data` begins with, by its header; 0 for less than a header."""
    return HEADER_BYTES + _HEADER.unpack_from(data)[1] if len(data) >= _HEADER.size else 0


def decode_records(data: bytes, segment: int, offset: int, *, verify: bool) -> Iterator[tuple[SpooledRequest, int]]:
    """Yield whole records from `data`, which starts at `offset` of the segment, each with the offset after it.

    Stops at the first record that is cut short or, with `verify`, damaged.
    """
    at = 0
    view = memoryview(data)
    while header := _read_header(view, at):
        magic, signal, start, end, checksum, project_id, received_at_ns = header
        payload = view[start:end]
        if verify and _checksum(magic, project_id, received_at_ns, payload) != checksum:
            return
        yield SpooledRequest(Position(segment, offset + at), project_id, received_at_ns, payload, signal), offset + end
        at = end


def _is_sealed(data: bytes, at: int, segment: int, offset: int, key: bytes) -> bool:
    header, seal = data[at : at + _HEADER.size], data[at + _HEADER.size : at + HEADER_BYTES]
    return header[:4] in _SIGNALS and _seal(key, segment, offset + at, header) == seal


def find_damage(data: bytes, segment: int, offset: int, key: bytes) -> Damage:
    """Return what is to be skipped of `data`, the rest of a segment whose first record is damaged: up to the next intact header.

    Only a sealed header is believed: bytes inside a damaged record come from a sender, who could have put a forged one there.
    """
    position = Position(segment, offset)
    if _is_sealed(data, 0, segment, offset, key) and (header := _read_header(memoryview(data), 0)):
        _, signal, start, end, _, project_id, received_at_ns = header
        payload = data[start:end]
        reason = "The disk changed this request after it was acknowledged: its checksum does not fit."
        return Damage(position, data[:end], reason, SpooledRequest(position, project_id, received_at_ns, payload, signal))
    at = data.find(b"TS", 1)
    while at >= 0 and not _is_sealed(data, at, segment, offset, key):
        at = data.find(b"TS", at + 1)
    content = data if at < 0 else data[:at]
    reason = f"The disk changed {len(content)} bytes of the spool after they were acknowledged; what they were cannot be told."
    return Damage(position, content, reason)
