"""The mount table: which store a path of the namespace lies in. Pure: no I/O.

The longest mount path that covers a path wins, so mounts nest. Above mounts there are *synthetic
directories*: ``/`` and ``/data`` exist because ``/data/flights`` is mounted.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from millpond.errors import InvalidSetting, MountConflict, MountNotFound
from millpond.model.globs import COMMIT_FILES, Globs, commit_files
from millpond.model.paths import check_path, join, parent, store_path
from millpond.namespace.options import CACHE, CACHE_TTL_MS, TRUTH, CacheControl, Writers, WriteTypes
from millpond.namespace.pending.areas import Spot, StagingGlobs
from millpond.store.parts import NO_LIMITS
from millpond.units import format_duration_ms
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECRET_OPTIONS = frozenset({"access_key", "secret_key", "session_token"})
SECRET_PREFIX = "fsspec."
"""Arguments of implementations that we don't know: any may be a secret."""
REFERENCES = ("env:", "file:")
HIDDEN = "***"


@dataclass(frozen=True)
class Mount:
    """One mount as clients see it. ``prefix`` is the key of its root, without a trailing slash."""

    path: str
    store_uri: str
    store_id: str
    root: str
    prefix: str
    read_only: bool = False
    freshness_ms: int = 30_000
    list_freshness_ms: int = 0
    immutable: tuple[str, ...] = ()
    control: CacheControl = field(default_factory=CacheControl)
    writes: WriteTypes = field(default_factory=WriteTypes)
    commit_files: tuple[str, ...] = ()
    """Globs below the mount, instead of ``COMMIT_FILES``."""
    writers: Writers = field(default_factory=Writers)
    staging: StagingGlobs = field(default_factory=StagingGlobs)
    cache_ttl_ms: int = CACHE_TTL_MS
    direct_conf: Mapping[str, str] = field(default_factory=dict, hash=False)
    options: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """As given, secrets included: never shown, see ``shown_options``."""

    def key(self, path: str) -> str:
        """The store's key of a path at or below this mount."""
        below = self.below(path)
        return f"{self.prefix}/{below}" if self.prefix and below else self.prefix or below

    def below(self, path: str) -> str:
        """A path at or below this mount, relative to it."""
        return path[len(self.path) :].removeprefix("/") if self.path != "/" else path[1:]

    def path_of(self, key: str) -> str | None:
        """The path that names ``key`` through this mount; None outside it."""
        if self.prefix:
            if key != self.prefix and not key.startswith(self.prefix + "/"):
                return None
            key = key[len(self.prefix) + 1 :]
        return join(self.path, key)

    def store_path(self, key: str) -> str:
        return store_path(self.store_id, self.root, key)

    def uri(self, key: str) -> str:
        """Where the direct connector reads ``key``: the raw key behind the bucket's URI."""
        return self._uri_base + key

    @cached_property
    def _uri_base(self) -> str:
        scheme = self.store_uri.partition(":")[0]
        return f"{scheme}://{self.root}/"

    @cached_property
    def _immutable(self) -> Globs:
        return Globs(self.immutable)

    def is_immutable(self, path: str) -> bool:
        """Whether the mount says that this file never changes once it is there."""
        return self._immutable.match(self.below(path))

    def write_type(self, path: str) -> str:
        """How a file at a path of this mount is written, where its writer does not say."""
        return self.writes.of(self.below(path))

    def is_commit_file(self, path: str) -> bool:
        """Whether a table format commits by this file: see ``server/commit_files.py``."""
        return commit_files(self.commit_files).match(self.below(path))

    def spot(self, path: str) -> Spot | None:
        """Where in a staging area a path of this mount lies; None outside of all."""
        found = None if self.read_only else self.staging.split(self.below(path))
        if found is None:
            return None
        top, names = found
        return Spot(self.path, self.place, self.key(join(self.path, top)), names)

    @property
    def place(self) -> str:
        """Names the store: mounts that share it may share keys."""
        return f"{self.store_id}/{self.root}"

    def shown_options(self) -> dict[str, str]:
        """The options with plain secrets hidden; references to secrets are shown."""
        return {
            k: HIDDEN
            if (k in SECRET_OPTIONS or k.startswith(SECRET_PREFIX)) and not v.startswith(REFERENCES)
            else v
            for k, v in self.options.items()
        }

    def to_wire(self, *, pending: bool = False, held: Iterable[str] = ()) -> wire.Mount:
        control = self.control.to_wire()
        control.write.extend(self.writes.texts())
        control.writers.extend(self.writers.names)
        control.cache_ttl_ms = self.cache_ttl_ms
        return wire.Mount(
            path=self.path, store_uri=self.store_uri, store_id=self.store_id, root=self.root,
            prefix=self.prefix, read_only=self.read_only, freshness_ms=self.freshness_ms,
            list_freshness_ms=self.list_freshness_ms, immutable=self.immutable,
            direct_conf=dict(self.direct_conf), control=control,
            pending=pending, held=held, commit_files=self.commit_files or COMMIT_FILES,
            kept=self.writes.globs(CACHE),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ours:
    """What the stores do not have: mounts with pending data, (place, key) of held directories."""

    mounts: frozenset[str] = frozenset()
    held: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.mounts or self.held)


NOTHING = Ours()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A path, its mount, and the store's key."""

    path: str
    mount: Mount
    key: str

    @property
    def store_path(self) -> str:
        return self.mount.store_path(self.key)


class MountTable:
    """An immutable snapshot of all mounts."""

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        self._by_path = {m.path: m for m in mounts}
        self._by_store: dict[tuple[str, str], list[Mount]] = {}
        self._synthetic: dict[str, set[str]] = {"/": set()}
        for mount in self._by_path.values():
            self._by_store.setdefault((mount.store_id, mount.root), []).append(mount)
            path = mount.path
            while path != "/":
                above = parent(path)
                self._synthetic.setdefault(above, set()).add(path[len(above) :].lstrip("/"))
                path = above

    @property
    def mounts(self) -> list[Mount]:
        return [self._by_path[p] for p in sorted(self._by_path)]

    def find(self, path: str) -> Mount | None:
        """The innermost mount that covers ``path``."""
        at = path
        while True:
            mount = self._by_path.get(at)
            if mount is not None or at == "/":
                return mount
            at = at[: at.rindex("/")] or "/"

    def resolve(self, path: str) -> Resolved:
        """Raises MountNotFound naming the nearest mounts. ``path`` is already checked."""
        mount = self.find(path)
        if mount is None:
            raise self._not_found(path)
        return Resolved(path, mount, mount.key(path))

    def mount_points(self, path: str) -> frozenset[str]:
        """Names that the table itself puts into directory ``path``: mounts and the way to them."""
        return frozenset(self._synthetic.get(path, ()))

    def is_synthetic(self, path: str) -> bool:
        """Whether ``path`` exists only because mounts lie below it."""
        return path in self._synthetic and self.find(path) is None

    def nested(self, path: str) -> list[Mount]:
        """The outermost mounts strictly below ``path``."""
        inside = path if path == "/" else path + "/"
        found: list[Mount] = []
        for at in sorted(self._by_path):
            below = at.startswith(inside) and at != path
            if below and not any(at.startswith(f"{m.path}/") for m in found):
                found.append(self._by_path[at])
        return found

    def paths_of(self, store_id: str, root: str, key: str) -> list[str]:
        """Every path that names this key of this store."""
        mounts = self._by_store.get((store_id, root), ())
        return [p for m in mounts if (p := m.path_of(key)) is not None]

    def part_of(self, store_path: str) -> str:
        """The mount whose part of the cache a file belongs to; "" where none has one of its own.

        Several mounts may name one key: that with the longest prefix counts.
        """
        store_id, _, rest = store_path.partition("/")
        root, _, key = rest.partition("/")
        mounts = self._by_store.get((store_id, root), ())
        naming = [m for m in mounts if m.path_of(key) is not None]
        best = max(naming, key=lambda m: (len(m.prefix), m.path), default=None)
        return best.path if best is not None and best.control.limits != NO_LIMITS else ""

    def to_wire(self, ours: Ours = NOTHING) -> wire.MountTable:
        return wire.MountTable(
            mounts=[
                m.to_wire(pending=m.path in ours.mounts, held=_below(m, ours.held))
                for m in self.mounts
            ]
        )

    def _not_found(self, path: str) -> MountNotFound:
        near = difflib.get_close_matches(path, self._by_path, n=3, cutoff=0.4)
        names = near or sorted(self._by_path)[:3]
        known = f"Mounts like it: {', '.join(names)}; " if names else ""
        return MountNotFound(
            f"no mount covers {path}",
            cause="nothing is mounted there" if self._by_path else "nothing is mounted at all",
            remedy=f"{known}`millpond mount add {path} <store URI>` adds one",
        )


def _below(mount: Mount, held: Iterable[tuple[str, str]]) -> list[str]:
    """The paths of directories of a store, as far as they lie in a mount."""
    found = (mount.path_of(key) for place, key in held if place == mount.place)
    return sorted(path for path in found if path is not None)


def canonical_uri(uri: str) -> str:
    """One spelling per place: ``s3://b/p/`` and ``s3n://b/p`` are ``s3a://b/p``.

    A bare absolute path is a ``file`` URI.
    """
    if uri.startswith("/"):
        uri = "file://" + uri
    scheme, colon, rest = uri.partition("://")
    if not colon:
        raise InvalidSetting(
            f"{uri!r} is not a store URI",
            cause="it has no scheme",
            remedy="Write s3a://bucket/prefix or file:///directory",
        )
    scheme = scheme.lower()
    if scheme in ("s3", "s3n"):
        scheme = "s3a"
    if scheme == "file":
        if not rest.startswith("/"):
            raise InvalidSetting(
                f"{uri!r} is no local folder",
                cause=f"{rest.partition('/')[0]!r} stands where a host does",
                remedy="Write file:///directory with three slashes",
            )
        rest = check_path(rest)
    root, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    return f"{scheme}://{root}/{prefix}" if prefix or scheme == "file" else f"{scheme}://{root}"


def check_new(table: MountTable, path: str, store_uri: str) -> None:
    """Raises MountConflict when ``path`` is taken."""
    existing = next((m for m in table.mounts if m.path == path), None)
    if existing is not None:
        same = "already" if existing.store_uri == store_uri else f"to {existing.store_uri}"
        raise MountConflict(
            f"{path} is mounted {same}",
            cause="a path has one mount",
            remedy=f"`millpond mount rm {path}` first, or choose another path",
        )


def describe(mount: Mount) -> dict[str, object]:
    """A mount for people and for ``--json``: no secret in it."""
    return {
        "path": mount.path,
        "store_uri": mount.store_uri,
        "read_only": mount.read_only,
        "freshness": format_duration_ms(mount.freshness_ms),
        "list_freshness": format_duration_ms(mount.list_freshness_ms),
        "immutable": list(mount.immutable),
        "write": mount.writes.texts(),
        "commit_files": list(mount.commit_files or COMMIT_FILES),
        "writers": list(mount.writers.names),
        "staging": list(mount.staging.globs),
        "cache_ttl": format_duration_ms(mount.cache_ttl_ms),
        **mount.control.describe(),
    }


FAILOVER_PROVIDER = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"


def direct_conf(
    store_uri: str, root: str, options: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Hadoop keys with which the engine's own connector reaches the same store. No secrets."""
    if store_uri.startswith("hdfs:"):
        return _name_service(root, options)
    if not store_uri.startswith("s3a:"):
        return {}
    conf = {}
    named = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL", "")
    endpoint = options.get("endpoint") or named
    if endpoint:
        conf["endpoint"] = endpoint
        conf["connection.ssl.enabled"] = "false" if endpoint.startswith("http://") else "true"
    if options.get("region"):
        conf["endpoint.region"] = options["region"]
    if endpoint or "path_style" in options:
        style = options.get("path_style", "true").lower()
        conf["path.style.access"] = "true" if TRUTH.get(style, True) else "false"
    if TRUTH.get(options.get("anonymous", "false").lower()):
        conf["aws.credentials.provider"] = (
            "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
        )
    return {f"fs.s3a.bucket.{root}.{k}": v for k, v in conf.items()}


def _name_service(name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Where the NameNodes of a name service are, if options of the mount say so."""
    nodes, places = f"dfs.ha.namenodes.{name}", f"dfs.namenode.rpc-address.{name}."
    if nodes not in options:
        return {}
    provider = f"dfs.client.failover.proxy.provider.{name}"
    found = {k: v for k, v in options.items() if k in (nodes, provider) or k.startswith(places)}
    return {provider: FAILOVER_PROVIDER} | found
