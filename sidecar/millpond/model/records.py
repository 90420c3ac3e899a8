"""The small files that clients read: meta, directory stamp, lease, epochs, mounts.

Each begins with a magic of 8 bytes, a format version (u32) and the record's length (u32), ends
with a CRC32C of all bytes before it, is little-endian, and is replaced by write + rename (the
epochs alone are updated in place, through a shared mapping). Times named ``…_ns`` are
CLOCK_MONOTONIC and mean something only together with the boot id beside them.

Meta, format 1::

    0   8 magic "MPONDMET"   8 4 format   12 4 record length
    16 16 file id           32 8 file length         40 8 mtime, ms since 1970 (signed)
    48  8 validated at, ns  56 16 boot id            72 4 flags (1: content inline; 2: weak version;
    76  4 store path bytes  80 4 version bytes             4: pending, the store does not have it)
    84  4 places            88 4 inline bytes        92 4 store version bytes
    96  … store path, version, store version (what the store calls a version born here; else empty),
        places (one disk index per section; none: all on disk 0), content
    end 4 CRC32C

Directory stamp, format 1::

    0   8 magic "MPONDDIR"   8 4 format   12 4 record length
    16  8 validated at, ns  24 8 covers from, ns     32 16 boot id
    48  4 path bytes        52 4 zero                56 … store path of the directory
    end 4 CRC32C

Lease, format 1 (84 bytes)::

    0   8 magic "MPONDLSE"   8 4 format   12 4 record length
    16  8 renewed at, ns    24 8 valid for, ns       32 16 boot id
    48  8 instance: random per start of the sidecar  56 8 id of the epochs file
    64  4 pid   68 2 lowest protocol   70 2 highest protocol   72 8 zero   80 4 CRC32C

Epochs, format 1 (4096 + 4096 * 8 bytes)::

    0   8 magic "MPONDEPO"   8 4 format   12 4 slots (4096)   16 8 id: random at creation
    4096 … u64 counters; slot of a path: ``paths.epoch_slot``

Mounts, format 1: magic "MPONDMNT", format, record length, a ``wire.MountTable``, CRC32C.

What they say together: meta holds for opens while (the lease is good) and (its stamp, or the stamp
of its directory where ``meta.validated_ns >= dir.covers_from_ns``, is within the mount's bound, in
this boot; or the file is immutable by glob). A LIST removes the meta of what changed before it
writes its stamp, so a meta counts with a stamp only if it is seen standing after the stamp was
read. A client that keeps a parsed meta or stamp in memory
reads the epoch slot before it reads the file, and trusts its copy while the slot has not moved and
the lease names the same epochs file: the sidecar bumps the slot after each change of the file and
before it answers the call that made the change.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.errors import Corrupt, UnknownFormat
from millpond.model.paths import BORN, EPOCH_SLOTS
from millpond.model.sizes import INLINE_FILE_BYTES

if TYPE_CHECKING:
    from millpond.model.block import Crc

FORMAT = 1
READABLE = frozenset({FORMAT})
MAX_RECORD_BYTES = 4 << 20
LEASE_VALID_NS = 3_000_000_000
EPOCHS_HEADER_BYTES = 4096
EPOCHS_BYTES = EPOCHS_HEADER_BYTES + 8 * EPOCH_SLOTS

_U32 = struct.Struct("<I")
_HEAD = struct.Struct("<8sII")
_META = struct.Struct("<8sII16sQqQ16sIIIIII")
_DIR = struct.Struct("<8sIIQQ16sII")
_LEASE = struct.Struct("<8sIIQQ16sQQIHHQ")
_EPOCHS = struct.Struct("<8sIIQ")
_INLINE, _WEAK, _PENDING = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Meta:
    """One version of one file: what ``open`` needs. ``content`` holds the whole of a small file.

    ``file_id``, ``version``, ``length`` and ``mtime_ms`` are constant per version; the stamp, the
    places and whether the content is here may change. A version born here is ``pending`` until the
    store has it; from then on ``store_version`` says what the store calls it.
    """

    store_path: str
    file_id: bytes
    version: str
    length: int
    mtime_ms: int
    validated_ns: int
    boot_id: bytes
    weak: bool = False
    places: bytes = b""
    content: bytes | None = field(default=None, repr=False)
    pending: bool = False
    store_version: str = ""

    def pack(self, crc: Crc) -> bytes:
        path, version, content = self.store_path.encode(), self.version.encode(), self.content
        store_version = self.store_version.encode()
        flags = (_INLINE if content is not None else 0) | (_WEAK if self.weak else 0)
        flags |= _PENDING if self.pending else 0
        body = path + version + store_version + self.places + (content or b"")
        size = _META.size + len(body) + 4
        head = _META.pack(
            b"MPONDMET", FORMAT, size, self.file_id, self.length, self.mtime_ms,
            self.validated_ns, self.boot_id, flags, len(path), len(version), len(self.places),
            len(content or b""), len(store_version),
        )  # fmt: skip
        return _seal(head + body, crc)

    @staticmethod
    def parse(data: bytes, crc: Crc) -> Meta:
        """Raises UnknownFormat, or Corrupt for whatever else is wrong."""
        _check(data, b"MPONDMET", _META.size, crc)
        (_, _, _, fid, length, mtime, at, boot, flags, n_path, n_version, n_places, n_content,
         n_store) = _META.unpack_from(data)  # fmt: skip
        if _META.size + n_path + n_version + n_store + n_places + n_content + 4 != len(data):
            raise Corrupt("meta record contradicts itself", cause="part lengths")
        at_version = _META.size + n_path
        at_store = at_version + n_version
        at_places = at_store + n_store
        at_content = at_places + n_places
        content = data[at_content : at_content + n_content] if flags & _INLINE else None
        if content is not None and (n_content != length or n_content > INLINE_FILE_BYTES):
            raise Corrupt("meta record contradicts itself", cause="inline length")
        return Meta(
            store_path=_text(data[_META.size : at_version]),
            file_id=fid,
            version=_text(data[at_version:at_store]),
            length=length,
            mtime_ms=mtime,
            validated_ns=at,
            boot_id=boot,
            weak=bool(flags & _WEAK),
            places=data[at_places:at_content],
            content=content,
            pending=bool(flags & _PENDING),
            store_version=_text(data[at_store:at_places]),
        )


def is_born(version: str) -> bool:
    """Whether a version got its name here, and not from a store."""
    return version.startswith(BORN)


@dataclass(frozen=True, slots=True)
class DirStamp:
    """When a directory was last validated by a LIST, and from which meta stamps on it speaks."""

    store_path: str
    validated_ns: int
    covers_from_ns: int
    boot_id: bytes

    def pack(self, crc: Crc) -> bytes:
        path = self.store_path.encode()
        size = _DIR.size + len(path) + 4
        head = _DIR.pack(
            b"MPONDDIR", FORMAT, size, self.validated_ns, self.covers_from_ns, self.boot_id,
            len(path), 0,
        )  # fmt: skip
        return _seal(head + path, crc)

    @staticmethod
    def parse(data: bytes, crc: Crc) -> DirStamp:
        """Raises UnknownFormat, or Corrupt for whatever else is wrong."""
        _check(data, b"MPONDDIR", _DIR.size, crc)
        _, _, _, at, covers, boot, n_path, _ = _DIR.unpack_from(data)
        if _DIR.size + n_path + 4 != len(data):
            raise Corrupt("directory stamp contradicts itself", cause="part lengths")
        return DirStamp(_text(data[_DIR.size : _DIR.size + n_path]), at, covers, boot)


@dataclass(frozen=True, slots=True)
class Lease:
    """While it holds, what meta and directory stamps say holds."""

    renewed_ns: int
    boot_id: bytes
    instance: int
    epochs_id: int
    pid: int
    protocol_min: int
    protocol_max: int
    valid_for_ns: int = LEASE_VALID_NS

    def good(self, now_ns: int, boot_id: bytes) -> bool:
        return self.boot_id == boot_id and 0 <= now_ns - self.renewed_ns <= self.valid_for_ns

    def pack(self, crc: Crc) -> bytes:
        head = _LEASE.pack(
            b"MPONDLSE", FORMAT, _LEASE.size + 4, self.renewed_ns, self.valid_for_ns, self.boot_id,
            self.instance, self.epochs_id, self.pid, self.protocol_min, self.protocol_max, 0,
        )  # fmt: skip
        return _seal(head, crc)

    @staticmethod
    def parse(data: bytes, crc: Crc) -> Lease:
        """Raises UnknownFormat, or Corrupt for whatever else is wrong."""
        _check(data, b"MPONDLSE", _LEASE.size, crc)
        _, _, _, at, valid, boot, instance, epochs, pid, low, high, _ = _LEASE.unpack_from(data)
        return Lease(at, boot, instance, epochs, pid, low, high, valid)


def pack_epochs(epochs_id: int) -> bytes:
    """A new epochs file: all counters zero."""
    head = _EPOCHS.pack(b"MPONDEPO", FORMAT, EPOCH_SLOTS, epochs_id)
    return head + bytes(EPOCHS_BYTES - len(head))


def epochs_id(data: bytes | memoryview) -> int:
    """The id in an epochs file. Raises UnknownFormat or Corrupt."""
    if len(data) < EPOCHS_BYTES or bytes(data[:8]) != b"MPONDEPO":
        raise Corrupt("not an epochs file", cause="short or wrong magic")
    _, version, slots, ident = _EPOCHS.unpack_from(data)
    if version not in READABLE or slots != EPOCH_SLOTS:
        raise UnknownFormat("epochs file of another format version")
    return int(ident)


def pack_mounts(table: bytes, crc: Crc) -> bytes:
    """The mounts file around a serialised ``wire.MountTable``."""
    return _seal(_HEAD.pack(b"MPONDMNT", FORMAT, _HEAD.size + len(table) + 4) + table, crc)


def parse_mounts(data: bytes, crc: Crc) -> bytes:
    """The serialised ``wire.MountTable``. Raises UnknownFormat or Corrupt."""
    _check(data, b"MPONDMNT", _HEAD.size, crc)
    return data[_HEAD.size : -4]


def _seal(record: bytes, crc: Crc) -> bytes:
    return record + _U32.pack(crc(record, 0))


def _check(data: bytes, magic: bytes, fixed_bytes: int, crc: Crc) -> None:
    if len(data) < _HEAD.size or data[:8] != magic:
        raise Corrupt(f"not a {magic.decode()} record", cause="short or wrong magic")
    _, version, size = _HEAD.unpack_from(data)
    if version not in READABLE:
        known = ", ".join(map(str, sorted(READABLE)))
        raise UnknownFormat(f"{magic.decode()} record of format {version}", cause=f"known: {known}")
    if size != len(data) or not fixed_bytes + 4 <= size <= MAX_RECORD_BYTES:
        raise Corrupt(
            f"{magic.decode()} record is cut", cause=f"says {size}, has {len(data)} bytes"
        )
    if _U32.unpack_from(data, size - 4)[0] != crc(data[: size - 4], 0):
        raise Corrupt(f"{magic.decode()} record fails its checksum")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise Corrupt("record holds text that is not UTF-8", cause=e.reason) from None
