"""What ``millpond doctor`` looks at: one function per question, each finding with its remedy."""

from __future__ import annotations

import grp
import os
import re
import shutil
import stat
import subprocess
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from crc32c import crc32c

import millpond
from millpond.cli.findings import Finding, ok, problem, warning
from millpond.cli.link import connect, control
from millpond.cli.stats import BAD_PAGES, BAD_PAGES_REMEDY
from millpond.errors import MillpondError, UnknownFormat
from millpond.model.records import Lease, parse_mounts
from millpond.store import node
from millpond.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.settings import Settings
    from millpond.wire import millpond_pb2 as wire

MIN_FREE_BYTES = 1 << 30
MIN_FREE_INODES = 10_000
ROOM = "Remove files from it, or `millpond evict` some"
LOCAL_TYPES = {"ext4", "ext3", "xfs", "btrfs", "zfs", "f2fs", "overlay"}
REMOTE_TYPES = {"nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "ceph", "glusterfs", "9p"}


def cache_dir(settings: Settings) -> Iterator[Finding]:
    """Exists, is private to owner and group, and this user is one of them."""
    directory, name = settings.cache_dir, "cache dir"
    try:
        found = directory.stat()
    except FileNotFoundError:
        yield problem(
            name, f"{directory} does not exist", "`millpond serve` makes it at its first start"
        )
        return
    except OSError as e:
        yield problem(
            name, f"{directory} can't be entered: {e.strerror}",
            "Join the directory's group, or name another with --cache-dir",
        )  # fmt: skip
        return
    if not stat.S_ISDIR(found.st_mode):
        yield problem(name, f"{directory} is no directory", "Name a directory as cache_dir")
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o007:
        yield problem(
            name, f"{directory} is open to everybody (mode {mode:04o})",
            f"chmod o= {directory}: whoever can read it can read what is cached",
        )  # fmt: skip
    elif mode & 0o020:
        yield warning(
            name, f"{directory} can be changed by its group (mode {mode:04o})",
            f"chmod 0750 {directory}: engines read, the sidecar alone writes",
        )  # fmt: skip
    else:
        yield ok(name, f"{directory} has mode {mode:04o}")
    yield _membership(directory, found)


def _membership(directory: Path, found: os.stat_result) -> Finding:
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    mine = found.st_uid == os.geteuid() or found.st_gid in {os.getegid(), *os.getgroups()}
    if mine or os.geteuid() == 0:
        return ok("group", f"this user may read the cache (group {group})")
    return problem(
        "group", f"this user is not in group {group} and can't read {directory}",
        f"sudo usermod -aG {group} $USER, then log in again; the same for the engines' users "
        f"(in Kubernetes: supplementalGroups [{found.st_gid}])",
    )  # fmt: skip


def _barred(settings: Settings) -> bool:
    """Whether this user may not enter the directory: ``group`` tells that, and it explains all."""
    return settings.cache_dir.is_dir() and not os.access(settings.cache_dir, os.R_OK | os.X_OK)


def disk(settings: Settings) -> Iterator[Finding]:
    """Space, inodes, and a file system that suits."""
    at = settings.cache_dir
    while not at.exists():
        at = at.parent
    space = os.statvfs(at)
    free = space.f_bavail * space.f_frsize
    if full := _full(at):
        yield problem("disk", f"{full}: nothing is cached, and the lease runs out", ROOM)
    elif free < MIN_FREE_BYTES:
        yield warning(
            "disk", f"{format_size(free)} free",
            "Free some space, or lower cache_capacity_bytes: a full disk serves without caching",
        )  # fmt: skip
    else:
        yield ok("disk", f"{format_size(free)} free")
    if space.f_files and space.f_favail < MIN_FREE_INODES:
        yield warning(
            "inodes", f"{space.f_favail} inodes free",
            "Remove small files, or make a file system with more inodes (mkfs -N)",
        )  # fmt: skip
    else:
        yield ok("inodes", f"{space.f_favail} inodes free" if space.f_files else "not counted")
    _, kind = mounted_at(at)
    if kind in ("tmpfs", "ramfs"):
        yield warning(
            "file system", f"{kind}: cached data takes memory and is lost at restart",
            "Use a local disk: its page cache already is the memory tier",
        )  # fmt: skip
    elif kind in REMOTE_TYPES:
        yield problem(
            "file system", f"{kind} is not a local disk", "Put cache_dir on a disk of this node"
        )
    elif kind in LOCAL_TYPES:
        yield ok("file system", kind)
    else:
        yield warning(
            "file system", f"{kind or 'unknown'} is untried", "ext4 and xfs are known to suit"
        )


def _full(directory: Path) -> str:
    """What the file system of ``directory`` has none of any more; empty where it has both."""
    try:
        space = os.statvfs(directory)
    except OSError:
        return ""
    if space.f_blocks and not space.f_bavail:
        return "the file system of the cache has no space left"
    if space.f_files and not space.f_favail:
        return "the file system of the cache has no inodes left"
    return ""


def mounted_at(path: Path) -> tuple[str, str]:
    """Where the file system that ``path`` is on is mounted, and its type, as the kernel says."""
    wanted, best, kind = os.path.realpath(path), "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, at, found, *_ = line.split(" ")
        at = at.replace("\\040", " ")
        inside = wanted == at or wanted.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(best):
            best, kind = at, found
    return best, kind


def sidecar(settings: Settings) -> Iterator[Finding]:
    """Answers, is of this release, and keeps its promise (the lease) renewed."""
    if _barred(settings):
        return
    try:
        with control(settings) as sidecar:
            stats = sidecar.stats()
    except MillpondError as e:
        yield problem("sidecar", e.problem, e.remedy or "Start it: `millpond serve`")
    else:
        if stats.version == millpond.__version__:
            yield ok("sidecar", f"{stats.version}, up {stats.uptime_s:.0f} s")
        else:
            yield warning(
                "sidecar", f"runs {stats.version}, this command is {millpond.__version__}",
                "Restart the sidecar after an upgrade",
            )  # fmt: skip
        for root, why in sorted(stats.disks.items()):
            if why:
                yield problem(
                    f"disk {root}", f"dropped: {why}",
                    "Repair or unname it (cache_dirs), then restart the sidecar",
                )  # fmt: skip
            else:
                yield ok(f"disk {root}", "holds blocks")
        if bad := stats.counters["corrupt_pages"]:
            yield warning("pages", BAD_PAGES.format(bad), BAD_PAGES_REMEDY)
        else:
            checked = format_size(stats.counters["scrubbed_bytes"])
            yield ok("pages", f"none was bad since the sidecar's start; {checked} scrubbed")
    yield _lease(settings)


def _lease(settings: Settings) -> Finding:
    remedy = "Start or restart the sidecar; until then every open asks it or the store"
    if full := _full(settings.cache_dir):
        remedy = f"{ROOM}; then the sidecar goes on by itself, or start it"
    try:
        lease = Lease.parse((settings.cache_dir / "lease").read_bytes(), crc32c)
    except FileNotFoundError:
        why = full or "no sidecar serves this directory"
        return problem("lease", f"there is none: {why}", remedy)
    except (OSError, MillpondError) as e:
        return problem("lease", f"it can't be read: {e}", remedy)
    boot = bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", ""))
    age_ns = time.monotonic_ns() - lease.renewed_ns
    if lease.boot_id != boot:
        return problem("lease", "it is from before the machine's last start", remedy)
    if age_ns < 0:
        return problem(
            "clock", "the sidecar's monotonic clock is ahead of ours (another time namespace)",
            "Run sidecar and engines in one time namespace, or every open asks the sidecar",
        )  # fmt: skip
    if not lease.good(time.monotonic_ns(), boot):
        why = full or "the sidecar hangs or died"
        return problem("lease", f"not renewed for {age_ns / 1e9:.0f} s: {why}", remedy)
    return ok("lease", f"renewed {age_ns / 1e9:.1f} s ago by process {lease.pid}")


def records(settings: Settings) -> Iterator[Finding]:
    """What engines read without the sidecar parses: ``node.properties`` and ``mounts``."""
    if _barred(settings):
        return
    readers: dict[str, Callable[[Path], object]] = {
        "node.properties": node.load,
        "mounts": lambda path: parse_mounts(path.read_bytes(), crc32c),
    }
    for name, read in readers.items():
        try:
            if read(settings.cache_dir / name) is None:
                continue
        except FileNotFoundError:
            continue  # no sidecar has run here: told by the other checks
        except (OSError, MillpondError) as e:
            remedy = e.remedy if isinstance(e, UnknownFormat) else ""
            yield problem(
                name, f"it can't be read: {e}", remedy or "Restart the sidecar: it is rewritten"
            )
        else:
            yield ok(name, "whole")


def _listed(settings: Settings, mount: wire.Mount) -> Finding:
    """Whether the sidecar can list a mount."""
    name = f"mount {mount.path}"
    try:
        with connect(settings) as client:
            next(iter(client.list(mount.path)), None)
    except MillpondError as e:
        return problem(name, str(e), e.remedy or "Check endpoint and credentials of the mount")
    return ok(name, f"{mount.store_uri} can be listed")


def mounts(settings: Settings) -> Iterator[Finding]:
    """Each mount can be listed, with the credentials it has."""
    try:
        with control(settings) as sidecar:
            mounted = sidecar.mounts()
            # Side by side: a store that hangs takes the sidecar's deadline, several take it once.
            with ThreadPoolExecutor(max(1, len(mounted))) as pool:
                listed = list(pool.map(lambda mount: _listed(settings, mount), mounted))
            for mount, finding in zip(mounted, listed, strict=True):
                yield finding
                if mount.unconditional:
                    yield warning(
                        f"mount {mount.path}", "its store ignores If-None-Match (commit files)",
                        "Write its Iceberg and Delta tables through this sidecar alone, or use a "
                        "store that honours conditions",
                    )  # fmt: skip
            if odd := sidecar.stats().counters["names_left_out"]:
                yield warning(
                    "names", f"{odd} names that are not UTF-8 are not shown",
                    "Rename them (convmv -t utf8); the sidecar's log names the directories",
                )  # fmt: skip
            if not mounted:
                yield warning("mounts", "none", "`millpond mount add /path s3a://bucket/prefix`")
    except MillpondError:
        return  # told by ``sidecar`` already


def java() -> Iterator[Finding]:
    """A Java for the engines, and the jar they load, of this release."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which(f"{home}/bin/java") if home else shutil.which("java")
    if program is None:
        yield warning(
            "java", "none found", "Engines bring their own, or set JAVA_HOME: 11 or newer"
        )
    else:
        run = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=60, check=False
        )
        match = re.search(r'version "(?:1\.)?(\d+)([^"]*)"', run.stderr + run.stdout)
        if match is None:
            yield warning("java", f"{program} does not say its version", "Set JAVA_HOME")
        elif int(match[1]) < 11:
            yield problem("java", f"{match[1]}{match[2]} is too old", "Install Java 11 or newer")
        else:
            socket = "" if int(match[1]) >= 16 else "; below 16 it calls over loopback TCP"
            yield ok("java", f"{match[1]}{match[2]}{socket}")
    yield _jar()


def _jar() -> Finding:
    try:
        import millpond_jars

        jar = millpond_jars.client()
    except (ImportError, FileNotFoundError) as e:
        return problem("jar", str(e), "Install a released wheel, or build the jar as it says")
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode()
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        return problem("jar", f"{jar} is damaged: {e}", "Install or build it again")
    match = re.search(r"^Implementation-Version: *(\S+)", manifest, re.MULTILINE)
    if match and match[1] != millpond.__version__:
        return problem(
            "jar", f"{jar.name} says it is {match[1]}, this is {millpond.__version__}",
            "Install jar and sidecar of one release",
        )  # fmt: skip
    return ok("jar", str(jar))


def spark_jars(directory: Path) -> Iterator[Finding]:
    """Whether Spark's jars hold the connector for direct reads, fitting its Hadoop."""
    name = "hadoop-aws"
    found = {p.name: p for p in directory.glob("*.jar")}
    if not found:
        yield problem("spark", f"{directory} holds no jars", "Name $SPARK_HOME/jars")
        return
    hadoop = _version(found, "hadoop-client-api")
    aws = _version(found, name)
    if aws is None:
        yield warning(
            name, "absent: without the sidecar nothing can read s3a:// (fallback impossible)",
            f"Add hadoop-aws {hadoop or ''} and its SDK, or `millpond spark-conf --s3a fetch`",
        )  # fmt: skip
    elif hadoop is not None and aws != hadoop:
        yield problem(
            name, f"{aws} beside Hadoop {hadoop}", f"Use hadoop-aws {hadoop}: they must be equal"
        )
    else:
        yield ok(name, f"{aws}, as Spark's Hadoop")


def _version(jars: dict[str, Path], artifact: str) -> str | None:
    pattern = re.compile(rf"{artifact}-(\d[\w.\-]*)\.jar\Z")
    return next((m[1] for m in map(pattern.match, jars) if m), None)
