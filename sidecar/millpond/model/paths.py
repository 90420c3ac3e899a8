"""Names: cache URIs, paths in the namespace, store paths, and what they hash to.

A *path* is absolute in the namespace (``/flights/year=2013/part-0.parquet``), never percent-decoded
(Hadoop's ``Path`` does not decode either) and never normalised, so that every key of a store can be
named. A *store path* is ``<store id>/<root>/<key>`` and is what file ids and names on disk derive
from. Vectors: ``tests/contract/vectors/paths.json``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote

from millpond.errors import InvalidPath

SCHEME = "cache"
MAX_PATH_BYTES = 8192
EPOCH_SLOTS = 4096
STAGING = ".millpond-"
"""Begins the name of a batch's staging directory; 32 hex digits follow."""
_STAGED = re.compile(rf"(?:(.*)/)?{re.escape(STAGING)}([0-9a-f]{{32}})(?:/(.*))?", re.DOTALL)
BORN = "born:"
"""Begins the version of a file that was written here and that the store did not have at first; 32
hex digits follow, which are its file id."""
_BORN = re.compile(rf"{BORN}([0-9a-f]{{32}})")
_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


def parse_uri(uri: str) -> str:
    """The path that ``cache:///…``, ``cache://<cluster>/…`` or a bare ``/…`` names.

    Raises InvalidPath for another scheme, a host or port as authority, or a bad path.
    """
    head, colon, rest = uri.partition(":")
    if not colon or "/" in head:
        return check_path(uri)
    if head.lower() != SCHEME:
        raise InvalidPath(
            f"{uri!r} is not a {SCHEME}:// URI",
            cause=f"its scheme is {head!r}",
            remedy=f"Name a path under a mount, such as {SCHEME}:///mount/file",
        )
    if not rest.startswith("//"):
        return check_path(rest)
    authority, slash, path = rest[2:].partition("/")
    if authority and not _AUTHORITY.match(authority):
        raise InvalidPath(
            f"{uri!r} has authority {authority!r}",
            cause="an authority is empty or a cluster's name, never a host",
            remedy=f"Write {SCHEME}:///path with three slashes",
        )
    return check_path(slash + path if slash else "/")


def check_path(path: str) -> str:
    """``path`` without a trailing slash, or InvalidPath.

    Refused: relative paths, NUL, text that is not UTF-8, more than 8192 bytes, and any segment
    that is ``.`` or ``..``, plain or percent-encoded (nobody below may decode it into one).
    """
    if not path.startswith("/"):
        raise InvalidPath(f"{path!r} is not absolute", remedy="Start the path with '/'")
    if "\0" in path:
        raise InvalidPath(f"{path!r} contains NUL", remedy="Remove the NUL character")
    try:
        size = len(path.encode())
    except UnicodeEncodeError as e:
        raise InvalidPath(f"{path!r} is not valid Unicode", cause=e.reason) from None
    if size > MAX_PATH_BYTES:
        raise InvalidPath(f"a path of {size} bytes is too long", cause=f"limit {MAX_PATH_BYTES}")
    if "." in path or "%" in path:
        for segment in path.split("/"):
            if segment in (".", "..") or ("%" in segment and unquote(segment) in (".", "..")):
                raise InvalidPath(
                    f"{path!r} has a segment {segment!r}",
                    cause="relative segments are not resolved",
                    remedy="Name the file by its full path",
                )
    return path[:-1] if len(path) > 1 and path.endswith("/") else path


@dataclass(frozen=True, slots=True)
class Staged:
    """What a staging path stands for: ``<directory>/.millpond-<batch>/<attempt>/<relative>``.

    ``relative`` is "" for the directory of an attempt, ``attempt`` too for the batch's own.
    """

    directory: str
    batch: str
    attempt: str
    relative: str

    @property
    def key(self) -> str:
        """The key, or path, that the file will have."""
        if not self.relative:
            return self.directory
        return f"{self.directory}/{self.relative}" if self.directory else self.relative


def staged(key: str) -> Staged | None:
    """What a key or a path stands for, if it lies in a batch's staging."""
    if STAGING not in key:
        return None
    found = _STAGED.fullmatch(key)
    if found is None:
        return None
    directory, batch, rest = found[1] or "", found[2], found[3] or ""
    attempt, _, relative = rest.partition("/")
    return Staged(directory, batch, attempt, relative)


def parent(path: str) -> str:
    """The directory that holds ``path``; the root holds itself."""
    return path.rsplit("/", 1)[0] or "/"


def join(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``."""
    if not name:
        return directory
    return f"/{name}" if directory == "/" else f"{directory}/{name}"


def store_path(store_id: str, root: str, key: str) -> str:
    """``<store id>/<bucket or name service>/<raw key>``."""
    return f"{store_id}/{root}/{key}"


def path_hash(path: str) -> bytes:
    """SHA-256 of a store path: 32 bytes. Names meta and dirs files and picks the epoch slot."""
    return hashlib.sha256(path.encode()).digest()


def epoch_slot(digest: bytes) -> int:
    """The slot of the epoch table that guards this path's meta or dir file."""
    return int.from_bytes(digest[:2], "big") % EPOCH_SLOTS


def file_id(store_path: str, version: str) -> bytes:
    """16 bytes that name one version of a file: wherever it lies, if it was born here."""
    born = _BORN.fullmatch(version)
    if born is not None:
        return bytes.fromhex(born[1])
    path, tag = store_path.encode(), version.encode()
    return hashlib.sha256(len(path).to_bytes(4, "little") + path + tag).digest()[:16]


def meta_name(digest: bytes) -> str:
    """Path of a meta file below the cache dir: ``meta/<2 hex>/<64 hex>``."""
    return _name("meta", digest)


def dir_name(digest: bytes) -> str:
    """Path of a directory stamp below the cache dir: ``dirs/<2 hex>/<64 hex>``."""
    return _name("dirs", digest)


def block_name(file_id: bytes, block: int) -> str:
    """Path of a block file below its disk's dir: ``blocks/<2 hex>/<32 hex>/<block no>``."""
    return f"{_name('blocks', file_id)}/{block}"


def _name(room: str, digest: bytes) -> str:
    text = digest.hex()
    return f"{room}/{text[:2]}/{text}"
