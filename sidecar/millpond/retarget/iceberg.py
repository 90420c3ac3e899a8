"""Locations in the metadata of an Iceberg table: a new commit that names the same files otherwise.

What is there is left as it is: manifests, manifest lists and the table's metadata are written anew
under other names, and the last of them appears as a commit does. Snapshots keep their ids, and
time travel works.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millpond.errors import (
    AlreadyExists,
    Conflict,
    InvalidRequest,
    NotSupported,
    PathNotFound,
    SidecarUnavailable,
    StoreAnswerInvalid,
)
from millpond.retarget.extra import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.retarget.locations import Locations

TRIES = 5
MAX_METADATA_LOG = 100
POSITION_DELETES = 1
_VERSION = re.compile(r"v(\d+)(?:\.gz)?\.metadata\.json(?:\.gz)?")
_NUMBERED = re.compile(r"(\d+)-.*\.metadata\.json(?:\.gz)?")
_ENTRY_LOCATIONS = ("file_path", "referenced_data_file")
_PUFFIN = "PUFFIN"


@dataclass
class Change:
    """What was, or would be, rewritten for one table."""

    table: str
    metadata: str = ""
    """The new metadata file; empty where nothing had to be changed."""
    files: int = 0
    """Locations of data and delete files."""
    manifests: int = 0
    snapshots: int = 0
    locations: int = 0
    """Others: of the table, in its properties and logs."""
    example: tuple[str, str] = ("", "")

    @property
    def any(self) -> bool:
        return bool(self.files or self.manifests or self.snapshots or self.locations)


@dataclass
class Retarget:
    """Rewrites tables. ``fs`` is the file system of ``cache://``: all is read and written by it.

    ``told`` hears of each snapshot that is done: table, number, of how many.
    """

    fs: Any
    where: Locations
    apply: bool
    told: Callable[[str, int, int], None] = lambda table, done, of: None

    def table(self, location: str) -> Change:
        """A table in a Hadoop catalog: its newest ``vN.metadata.json``.

        Raises PathNotFound where there is none, NotSupported where data names files by location
        (position deletes), Conflict where others kept committing, SidecarUnavailable where it is
        unknown whether the commit was made.
        """
        path = self._path(location).rstrip("/")
        for _ in range(TRIES):
            number, name = self._newest(path)
            work = _Work(self, f"{path}/metadata", Change(location))
            document = work.metadata(f"{path}/metadata/{name}")
            if document is None or not self.apply:
                return work.change
            target = f"{path}/metadata/{name.replace(f'v{number}', f'v{number + 1}', 1)}"
            temporary = f"{path}/metadata/{uuid.uuid4()}.metadata.json"
            try:
                work.write(temporary, _packed(document, name))
            except BaseException:
                work.undo()
                raise
            try:
                self.fs.mv(temporary, target)
            except (FileExistsError, AlreadyExists):
                work.undo()
                continue
            except Conflict:  # nothing was renamed
                work.undo()
                raise
            except BaseException as e:  # the commit may be there, or come yet: its files stay
                raise SidecarUnavailable(
                    f"whether {location} was changed is unknown",
                    cause=f"no answer says that {target} was made: {e or type(e).__name__}",
                    remedy=f"Look at {target}: the change is made where it is there. Where it is "
                    "not in two minutes, run this again",
                ) from e
            work.change.metadata = work.named(target)
            with self.fs.open(f"{path}/metadata/version-hint.text", "wb") as hint:
                hint.write(str(number + 1).encode())
            return work.change
        raise Conflict(
            f"{location} was not changed", cause=f"others committed first, {TRIES} times",
            remedy="Run this again when fewer write to the table",
        )  # fmt: skip

    def metadata_file(self, table: str, location: str) -> Change:
        """A table whose catalog names its metadata file: the new one has the next number."""
        path = self._path(location)
        directory, _, name = path.rpartition("/")
        numbered = _NUMBERED.fullmatch(name)
        number = int(numbered[1]) + 1 if numbered is not None else 0
        work = _Work(self, directory, Change(table))
        document = work.metadata(path)
        if document is not None and self.apply:
            new = f"{directory}/{number:05}-{uuid.uuid4()}.metadata.json"
            try:
                work.write(new, _packed(document, new))
            except BaseException:
                work.undo()
                raise
            work.change.metadata = work.named(new)
        return work.change

    def _path(self, location: str) -> str:
        path = self.where.path(location if ":" in location else f"cache://{location}")
        if path is None:
            raise InvalidRequest(
                f"{location} can't be reached through cache://", cause="no mount covers it",
                remedy="Add a mount for its store: `millpond mount add`",
            )  # fmt: skip
        return path

    def _newest(self, path: str) -> tuple[int, str]:
        try:
            names = [each.rpartition("/")[2] for each in self.fs.ls(f"{path}/metadata", False)]
        except FileNotFoundError:
            names = []
        found = [(int(m[1]), n) for n in names if (m := _VERSION.fullmatch(n)) is not None]
        if not found:
            raise PathNotFound(
                f"{path} is no Iceberg table of a Hadoop catalog",
                cause=f"{path}/metadata has no v<number>.metadata.json",
                remedy="Name the table's directory; tables of a metastore: "
                "`millpond retarget metastore`",
            )
        return max(found)


@dataclass
class _Work:
    """One try for one table. ``made``: the files that it wrote."""

    job: Retarget
    directory: str
    change: Change
    made: list[str] = field(default_factory=list)
    _manifests: dict[str, tuple[str, int]] = field(default_factory=dict)

    def metadata(self, path: str) -> dict[str, Any] | None:
        """The table's new metadata; None where it is as it should be."""
        raw: bytes = self.job.fs.cat_file(path)
        try:
            old = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
            snapshots = old.get("snapshots", [])
            for done, snapshot in enumerate(snapshots, 1):
                self._snapshot(snapshot)
                self.job.told(self.change.table, done, len(snapshots))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            self.undo()
            raise StoreAnswerInvalid(
                f"{path} can't be understood", cause=f"{type(e).__name__}: {e}",
                remedy="Check that it is Iceberg metadata of format 1 to 3",
            ) from e  # fmt: skip
        except BaseException:
            self.undo()
            raise
        self._plain(old, "location")
        for name in old.get("properties", {}):
            self._plain(old["properties"], name)
        for kind in ("statistics", "partition-statistics"):
            for each in old.get(kind) or []:
                self._plain(each, "statistics-path")
        log = old.setdefault("metadata-log", [])
        for each in log:
            self._plain(each, "metadata-file")
        if not self.change.any:
            return None
        entry = {"timestamp-ms": old["last-updated-ms"], "metadata-file": self.named(path)}
        old["metadata-log"] = [*log, entry][-MAX_METADATA_LOG:]
        old["last-updated-ms"] = max(int(time.time() * 1000), old["last-updated-ms"])
        return dict(old)

    def named(self, path: str) -> str:
        """The location of a path of the namespace, as it is to stand in metadata."""
        return self.job.where.change(f"cache://{path}")

    def write(self, path: str, data: bytes) -> None:
        if self.job.apply:
            self.made.append(path)
            self.job.fs.pipe_file(path, data)

    def undo(self) -> None:
        """Nobody names what was written: it goes."""
        for path in self.made:
            if self.job.fs.exists(path):
                self.job.fs.rm_file(path)
        self.made.clear()

    def _moved(self, location: str) -> str | None:
        """What is to stand there instead; None where it may stay."""
        new = self.job.where.change(location)
        if new == location:
            return None
        if not self.change.example[0]:
            self.change.example = (location, new)
        return new

    def _plain(self, holder: dict[str, Any], name: str) -> None:
        value = holder.get(name)
        if isinstance(value, str) and (new := self._moved(value)) is not None:
            holder[name] = new
            self.change.locations += 1

    def _snapshot(self, snapshot: dict[str, Any]) -> None:
        if "manifests" in snapshot:  # format 1 may name them here
            new = [self._manifest(each)[0] for each in snapshot["manifests"]]
            self.change.snapshots += new != snapshot["manifests"]
            snapshot["manifests"] = new
            return
        location = snapshot["manifest-list"]
        schema, header, rows = self._read(location)
        changed = False
        for row in rows:
            path, length = self._manifest(row["manifest_path"], row["manifest_length"])
            changed = changed or path != row["manifest_path"]
            row["manifest_path"], row["manifest_length"] = path, length
        if changed:
            name = f"snap-{snapshot['snapshot-id']}-0-{uuid.uuid4()}.avro"
            snapshot["manifest-list"] = self._written(name, schema, header, rows)[0]
            self.change.snapshots += 1
        elif (new_list := self._moved(location)) is not None:
            snapshot["manifest-list"] = new_list
            self.change.snapshots += 1

    def _manifest(self, location: str, length: int = 0) -> tuple[str, int]:
        """Where a manifest with the right locations lies, and its length."""
        if location not in self._manifests:
            self._manifests[location] = self._new_manifest(location, length)
        return self._manifests[location]

    def _new_manifest(self, location: str, length: int) -> tuple[str, int]:
        schema, header, rows = self._read(location)
        changed = 0
        for file in (row["data_file"] for row in rows):
            moved = {n: m for n in _ENTRY_LOCATIONS if (m := self._moved(file.get(n) or ""))}
            if not moved:
                continue
            if file.get("content") == POSITION_DELETES and file["file_format"] != _PUFFIN:
                raise NotSupported(
                    f"{self.change.table} has position deletes ({file['file_path']})",
                    cause="such files name data files by their locations",
                    remedy="Rewrite its data files with their deletes and expire the snapshots "
                    "before: CALL system.rewrite_data_files(..., options => "
                    "map('delete-file-threshold', '1')), system.expire_snapshots",
                )
            file.update(moved)
            changed += 1
        if not changed:
            return self._moved(location) or location, length
        self.change.files += changed
        self.change.manifests += 1
        return self._written(f"{uuid.uuid4()}-m0.avro", schema, header, rows)

    def _read(self, location: str) -> tuple[Any, dict[str, str], list[Any]]:
        """Schema, what else the header says, and the rows of an Avro file."""
        fastavro = needed("fastavro")
        path = self.job.where.path(location)
        if path is None:
            raise NotSupported(
                f"{location} can't be read through cache://", cause="no mount covers it",
                remedy="Add a mount for its store: `millpond mount add`",
            )  # fmt: skip
        reader = fastavro.reader(io.BytesIO(self.job.fs.cat_file(path)))
        return reader.writer_schema, dict(_own(reader.metadata)), list(reader)

    def _written(
        self, name: str, schema: Any, header: dict[str, str], rows: list[Any]
    ) -> tuple[str, int]:
        out = io.BytesIO()
        needed("fastavro").writer(out, schema, rows, codec="deflate", metadata=header)
        path = f"{self.directory}/{name}"
        self.write(path, out.getvalue())
        return self.named(path), len(out.getvalue())


def _own(metadata: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What is Iceberg's of a header."""
    return ((k, v) for k, v in metadata.items() if not k.startswith("avro."))


def _packed(document: dict[str, Any], name: str) -> bytes:
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return gzip.compress(data) if ".gz" in name else data
