"""Replies as frames, ready to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.errors import Internal, MillpondError
from millpond.model.sizes import INLINE_REPLY_BYTES
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import LENGTH, frame

if TYPE_CHECKING:
    from collections.abc import Sequence

_pack_length = LENGTH.pack
_STAT_TAG = bytes([wire.Reply.STAT_FIELD_NUMBER << 3 | 2])
_ID_TAG = bytes([wire.Reply.ID_FIELD_NUMBER << 3])
INLINE_MAX_BYTES = INLINE_REPLY_BYTES


def varint(value: int) -> bytes:
    """An unsigned integer as protobuf writes it."""
    if value < _SHORT:
        return _VARINTS[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _short_varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80, value >> 7])


_SHORT = 1 << 12
_VARINTS = [_short_varint(value) for value in range(_SHORT)]


def stat(request: int, info: bytes) -> bytes:
    """The reply to a Stat around a serialised FileInfo, put together without protobuf."""
    return stat_numbered(varint(request), info)


def stat_numbered(number: bytes, info: bytes) -> bytes:
    """The same, with the request's number still as a varint."""
    size = varint(len(info))
    length = _pack_length(2 + len(number) + len(size) + len(info))
    return b"".join((length, _ID_TAG, number, _STAT_TAG, size, info))


def plain_stat(message: bytes) -> tuple[bytes, str] | None:
    """The (number as a varint, path) of a Request that is a Stat as any client writes it.

    None for whatever is not exactly: id, then a Stat with a path of < 126 bytes and no ``force``.
    Those are for protobuf, which costs three times as much.
    """
    at = 2
    size = len(message)
    if size < 8 or message[0] != 8:
        return None
    while message[at - 1] > 127:
        at += 1
        if at > 6 or at + 4 >= size:
            return None
    inner = size - at - 2
    if inner > 127 or message[at : at + 4] != b"\x1a%c\n%c" % (inner, inner - 2):
        return None
    try:
        return message[1:at], message[at + 4 :].decode()
    except UnicodeDecodeError:
        return None


def encode(reply: wire.Reply) -> bytes:
    return frame(reply.SerializeToString())


def error(request: int, problem: Exception) -> bytes:
    """Any exception as an Error; one that is not Millpond's own is a defect."""
    return encode(wire.Reply(id=request, error=error_message(as_millpond(problem))))


def error_message(e: MillpondError) -> wire.Error:
    """An error as it travels."""
    return wire.Error(
        code=e.code, problem=e.problem, cause=e.cause, remedy=e.remedy, retriable=e.retriable
    )


def as_millpond(problem: BaseException) -> MillpondError:
    """An error as the user meets it: what is not Millpond's own is a defect."""
    if isinstance(problem, MillpondError):
        return problem
    return Internal(
        "the sidecar met a defect",
        cause=f"{type(problem).__name__}: {problem}",
        remedy="Report it with the sidecar's log",
    )


def progress(request: int, ready: int) -> bytes:
    return encode(wire.Reply(id=request, more=True, progress=wire.Progress(ready=ready)))


def fill_present(request: int, blocks: Sequence[tuple[int, int]]) -> bytes:
    """``blocks``: (block, generation)."""
    named = [wire.BlockGeneration(block=b, generation=g) for b, g in blocks]
    return encode(
        wire.Reply(id=request, fill=wire.FillReply(result=wire.FillResult.PRESENT, blocks=named))
    )


def fill_inline(request: int, data: bytes, blocks: Sequence[tuple[int, int]] = ()) -> bytes:
    named = [wire.BlockGeneration(block=b, generation=g) for b, g in blocks]
    return encode(
        wire.Reply(
            id=request,
            fill=wire.FillReply(result=wire.FillResult.INLINE, data=data, blocks=named),
        )
    )


def fill_direct(request: int, reason: str) -> bytes:
    return encode(
        wire.Reply(id=request, fill=wire.FillReply(result=wire.FillResult.DIRECT, reason=reason))
    )


def report(request: int) -> bytes:
    return encode(wire.Reply(id=request, report=wire.ReportReply()))
