"""Frames of the local protocol: a u32 length, little-endian, then that many bytes."""

from __future__ import annotations

import struct

from millpond.errors import FrameTooLarge
from millpond.model.sizes import MIB

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1
MAX_FRAME_BYTES = 8 * MIB
LENGTH = struct.Struct("<I")
_pack = LENGTH.pack
_unpack = LENGTH.unpack_from


def frame(message: bytes) -> bytes:
    """One message as a frame."""
    return _pack(len(message)) + message


class FrameParser:
    """Cuts a byte stream into frames. Holds at most one unfinished frame."""

    __slots__ = ("_held", "_need", "max_frame_bytes")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._held = bytearray()
        self._need = 4

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes.

        Raises FrameTooLarge as soon as a length says so, before anything is kept for it; the
        messages before it are lost with the connection.
        """
        held = self._held
        if held:
            held += data
            if len(held) < self._need:
                return []
            data = bytes(held)
            held.clear()
        messages = []
        at, size = 0, len(data)
        self._need = 4
        while at + 4 <= size:
            length: int = _unpack(data, at)[0]
            if length > self.max_frame_bytes:
                raise FrameTooLarge(
                    f"a frame of {length} bytes was announced",
                    cause=f"the cap is {self.max_frame_bytes} bytes",
                    remedy="Check that the peer speaks Millpond's local protocol",
                )
            end = at + 4 + length
            if end > size:
                self._need = end - at
                break
            messages.append(data[at + 4 : end])
            at = end
        if at < size:
            held += memoryview(data)[at:]
        return messages
