"""``millpond mount add | ls | rm``: through the running sidecar, else in its database."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from crc32c import crc32c

from millpond.cli.link import CacheDir, Config, alone, control, give_to_owner, load_settings
from millpond.cli.output import Json, Mode, note, print_json, print_table
from millpond.errors import CacheDirUnusable, InvalidSetting, SidecarUnavailable
from millpond.model.paths import parse_uri
from millpond.model.records import pack_mounts
from millpond.namespace.mounting import Mounts
from millpond.namespace.mounts import Mount, canonical_uri, describe
from millpond.namespace.options import CacheControl, Writers, WriteTypes
from millpond.namespace.pending.data import committed
from millpond.namespace.pending.mounts import check_removable, ours
from millpond.under.registry import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from millpond.settings import Settings
    from millpond.wire import millpond_pb2 as wire

app = typer.Typer(help="What is mounted where.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="mount")


@app.command()
def add(
    path: Annotated[str, typer.Argument(help="Where in the namespace: /flights.")],
    store_uri: Annotated[str, typer.Argument(help="What: s3a://bucket/prefix, file:///dir.")],
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="key=value; repeatable.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse writes.")] = False,
    freshness: Annotated[
        str | None, typer.Option(help="How old the knowledge behind an open may be: 30s.")
    ] = None,
    list_freshness: Annotated[
        str | None, typer.Option(help="How old a listing may be: 0s is never old.")
    ] = None,
    immutable: Annotated[
        list[str] | None,
        typer.Option(help="Glob of paths below the mount that never change; repeatable."),
    ] = None,
    admission: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="What is cached: 'bypass glob=**/_tmp/** min=1GiB scan=sequential', or admit; "
            "the first that matches decides; repeatable.",
        ),
    ] = None,
    quota: Annotated[
        str | None, typer.Option(help="The most its files may take of the cache: 100GiB.")
    ] = None,
    reserve: Annotated[
        str | None, typer.Option(help="What no other mount takes from it: 10GiB.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(help="Free what was not read for so long: 7d; 0 is never.")
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Ask the store whether the place can be listed.")
    ] = True,
    if_absent: Annotated[
        bool,
        typer.Option("--if-absent", help="No error where this store is mounted there already."),
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Mount a store at a path.

    Options of every mount: write (through, async, cache, around, or rules by glob),
    cache_ttl, writers, staging, commit_files: docs/writing.md.

    Options of S3: endpoint, region, path_style, access_key, secret_key, session_token. A secret
    may be [b]env:NAME[/] or [b]file:/path[/], read by the sidecar when it opens the store; given
    plain it is kept in the sidecar's database alone (mode 0600). Without keys the usual chain of
    credentials holds: environment, profile, web identity, instance.
    """
    options = _options(option or [])
    if read_only:
        options["read_only"] = "true"
    if freshness is not None:
        options["freshness"] = freshness
    if list_freshness is not None:
        options["list_freshness"] = list_freshness
    if immutable:
        options["immutable"] = ",".join(immutable)
    if admission:
        options["admission"] = "; ".join(admission)
    for name, value in (("quota", quota), ("reserve", reserve), ("ttl", ttl)):
        if value is not None:
            options[name] = value
    settings = load_settings(cache_dir, config)
    path = parse_uri(path)

    def known(mounts: Iterable[wire.Mount]) -> wire.Mount | None:
        """The mount that ``--if-absent`` is content with; its options stay as they are."""
        uri = canonical_uri(store_uri) if if_absent else ""
        return next((m for m in mounts if if_absent and (m.path, m.store_uri) == (path, uri)), None)

    try:
        with control(settings) as sidecar:
            mounted = known(sidecar.mounts() if if_absent else ()) or sidecar.mount_add(
                path, store_uri, options, check=check
            )
    except SidecarUnavailable:
        with _offline(settings) as mounts:
            mounted = known(m.to_wire() for m in mounts.table.mounts) or (
                mounts.add(path, store_uri, options, check=check).to_wire()
            )
        note("No sidecar runs here: the mount is there for the next one.")
    if Mode.json:
        print_json(_describe(mounted))
    else:
        print(f"{mounted.path} is {mounted.store_uri}")


@app.command("rm")
def remove(
    path: Annotated[str, typer.Argument(help="The mount's path.")],
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Unmount a path. The store keeps all it has; cached blocks go when space is needed."""
    settings = load_settings(cache_dir, config)
    path = parse_uri(path)
    try:
        with control(settings) as sidecar:
            removed = sidecar.mount_remove(path)
    except SidecarUnavailable:
        with _offline(settings) as mounts:
            check_removable(*committed(mounts.database), path)
            removed = mounts.remove(path).to_wire()
    if Mode.json:
        print_json(_describe(removed))
    else:
        print(f"{removed.path} is no mount any more (it was {removed.store_uri})")


@app.command("ls")
def list_mounts(cache_dir: CacheDir = None, config: Config = None, as_json: Json = False) -> None:
    """Show all mounts with their bounds. Secrets are never shown."""
    settings = load_settings(cache_dir, config)
    try:
        with control(settings) as sidecar:
            mounts = sidecar.mounts()
    except SidecarUnavailable:
        _check_exists(settings.cache_dir)
        if not (settings.cache_dir / "namespace.db").exists():
            mounts = []
        else:
            with _offline(settings) as offline:
                mounts = [m.to_wire() for m in offline.table.mounts]
    if Mode.json:
        print_json([_describe(m) for m in mounts])
        return
    if not mounts:
        note("Nothing is mounted. `millpond mount add /path s3a://bucket/prefix` adds a mount.")
        return
    rows = []
    for mount in mounts:
        said = _describe(mount)
        rows.append(
            [
                mount.path, mount.store_uri, str(said["freshness"]), str(said["list_freshness"]),
                "read-only" if mount.read_only else "", " ".join(mount.immutable),
                "; ".join(mount.control.admission),
                " ".join(f"{k} {said[k]}" for k in ("quota", "reserve", "ttl") if said[k]),
            ]
        )  # fmt: skip
    print_table(
        ["PATH", "STORE", "FRESHNESS", "LISTINGS", "", "IMMUTABLE", "ADMISSION", "CACHE"], rows
    )


def _check_exists(directory: Path) -> None:
    """Raises CacheDirUnusable where there is none: nobody's mounts are not "no mounts"."""
    try:
        os.listdir(directory)
    except OSError as e:
        raise CacheDirUnusable(
            f"the cache directory {directory} can't be read",
            cause=e.strerror or str(e),
            remedy="Name the right one with --cache-dir or MILLPOND_DIR; `millpond serve` or the "
            "first `millpond mount add` makes one",
        ) from None


def _describe(mount: wire.Mount) -> dict[str, object]:
    shown = describe(
        Mount(
            mount.path, mount.store_uri, mount.store_id, mount.root, mount.prefix,
            mount.read_only, mount.freshness_ms, mount.list_freshness_ms, tuple(mount.immutable),
            CacheControl.from_wire(mount.control),
            WriteTypes.parse(",".join(mount.control.write)),
            tuple(mount.commit_files),
            Writers(tuple(mount.control.writers)),
            cache_ttl_ms=mount.control.cache_ttl_ms,
        )
    )  # fmt: skip
    return {**shown, "direct_conf": dict(mount.direct_conf)}


def _options(texts: list[str]) -> dict[str, str]:
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            # The text may be a secret that lost its name: it is not repeated.
            raise InvalidSetting(
                "an option has no '='", remedy="Write --option key=value, such as region=eu-west-1"
            )
        options[key.strip()] = value
    return options


@contextmanager
def _offline(settings: Settings) -> Iterator[Mounts]:
    directory = settings.cache_dir
    files = [directory / n for n in ("namespace.db", "namespace.db-wal", "namespace.db-shm")]

    def publish(table: bytes, *, durable: bool = False) -> None:
        new = directory / "mounts.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "wb") as out:
            out.write(pack_mounts(table, crc32c))
            if durable:
                os.fsync(out)
        give_to_owner(directory, new)
        new.replace(directory / "mounts")

    with alone(settings):
        mounts = Mounts(
            directory / "namespace.db", open_store, publish,
            freshness_ms=settings.freshness_ms, list_freshness_ms=settings.list_freshness_ms,
        )  # fmt: skip
        try:
            mounts.set_ours(ours(mounts.table, *committed(mounts.database)))
            mounts.publish()
            yield mounts
        finally:
            mounts.close()
            give_to_owner(directory, *files)
