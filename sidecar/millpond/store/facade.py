"""BlockStore: the cache directory of one node as the sidecar sees it."""

from __future__ import annotations

import logging
import secrets
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import InvalidSetting, MillpondError
from millpond.model.records import DirStamp, Meta, pack_mounts
from millpond.store import node, snapshot
from millpond.store.blocks import Blocks
from millpond.store.content import COMMON
from millpond.store.disk import Disk, as_error
from millpond.store.epochs import Epochs
from millpond.store.eviction import policy_named
from millpond.store.history import History
from millpond.store.lease import LeaseKeeper
from millpond.store.meta import Metas
from millpond.store.proven import Extent, ProvenReads
from millpond.store.reconcile import Reconciler
from millpond.store.scrub import Scrubber
from millpond.store.space import Space, Victim, block_key, meta_key
from millpond.store.staging import Staging
from millpond.store.stats import StoreStats
from millpond.store.tree import Tree
from millpond.store.volumes import Volumes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from millpond.store.files import FileVersion
    from millpond.store.parts import Limits
    from millpond.store.writing import BlockWriter

log = logging.getLogger(__name__)
SNAPSHOT_EVERY_S = 60.0
LOOK_EVERY_S = 1.0


class BlockStore:
    """Blocks, meta and stamps on disk, within a space; see ``model/block.py`` for the protocol.

    All methods block and may be called from any thread, but for ``touch``, ``touch_meta``, ``hold``
    and ``stats``, which touch memory only. They raise ``millpond.errors`` only. Whatever is deleted
    by hand in the cache dir, at any time, is absent from then on and nothing worse.
    """

    def __init__(
        self,
        tree: Tree,
        capacity_bytes: int | None,
        policy: str,
        high: float,
        low: float,
        aliases: Sequence[str],
        pin_share: float,
        await_pins: bool,
        disks: Sequence[Path],
    ) -> None:
        chosen = policy_named(policy)
        if not 0 < low <= high <= 1:
            raise InvalidSetting(
                f"evict_low {low} and evict_high {high} make no sense",
                remedy="Choose 0 < evict_low ≤ evict_high ≤ 1",
            )
        self._tree = tree
        self._volumes = Volumes(tree)
        self._volumes.open(disks)
        self.directory = tree.directory
        self.boot_id = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
        self.instance = secrets.randbits(64)
        self._node_lock = threading.Lock()
        self._node = node.load_or_make(tree, capacity_bytes, aliases, self._statvfs)
        self.node_id = self._node["node.id"]
        self._tokens = node.load_tokens(tree)
        self._epochs = Epochs(tree)
        capacity = int(self._node["capacity"])
        self._space = Space(chosen, capacity, high, low, self._statvfs)
        self._space.may_evict = not await_pins
        self._pin_share = pin_share
        self.history = History()
        self._blocks = Blocks(tree, self._space, self.history, self._volumes)
        self._proven_reads = ProvenReads(self._blocks)
        self.staging = Staging(tree, self._space, self._blocks)
        self._metas = Metas(tree, self._space, self._epochs)
        self._scrubber = Scrubber(self._blocks, self._space, 0)
        self._space.blocked = self._blocks.in_use
        self._space.delete = self._delete
        snapshot.load(tree, self._space.segment_named)
        self._space.look()
        self._policy = policy
        self._lease = LeaseKeeper(tree, self._epochs, self.boot_id, self.instance)
        self._others: list[Callable[[], None]] = []
        self._lease.healed = self._heal_files
        self._mounts: bytes | None = None
        self._stop = threading.Event()
        self._reconciled = threading.Event()
        self._settle_in = threading.Event()
        self._saved_changes = -1
        self._closed = False
        self._volumes.on_drop = self._volume_dropped
        self._look_again = threading.Event()
        self._threads = [
            threading.Thread(target=self._reconcile, name="reconcile", daemon=True),
            threading.Thread(target=self._keep_house, name="housekeeper", daemon=True),
            threading.Thread(target=self._settle_parts, name="parts", daemon=True),
            threading.Thread(target=self._scrub, name="scrubber", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        capacity_bytes: int | None = None,
        policy: str = "s3fifo",
        high: float = 0.95,
        low: float = 0.90,
        aliases: Sequence[str] = (),
        pin_share: float = 0.5,
        await_pins: bool = False,
        disks: Sequence[Path] = (),
        disk: Disk | None = None,
    ) -> BlockStore:
        """Take a cache directory, making it where it is absent.

        ``disks`` hold blocks too, and may fail. ``capacity_bytes`` None: as remembered, else 80 %
        of what all disks have free. With ``await_pins`` nothing is evicted before ``load_pins``.
        Raises CacheDirUnusable, UnknownFormat (a newer release's directory), InvalidSetting.
        """
        tree = Tree(directory, disk)
        try:
            return cls(
                tree, capacity_bytes, policy, high, low, aliases, pin_share, await_pins, disks
            )  # fmt: skip
        except OSError as e:
            tree.close()
            raise as_error(e, "opening it") from e
        except BaseException:
            tree.close()
            raise

    # -- who this node is

    @property
    def token(self) -> str:
        """What a client shows that the kernel does not vouch for: readable by the group."""
        return self._tokens["token"]

    @property
    def control_token(self) -> str:
        """What is shown to change things: readable by this process's user alone."""
        return self._tokens["control.token"]

    def publish_node(self, **properties: str) -> None:
        """Merge ``properties`` into node.properties."""
        with self._node_lock:
            self._node.update(properties)
            data = node.render(self._node).encode()
            self._guarded(lambda: self._tree.replace("node.properties", data, durable=True))

    def publish_mounts(self, table: bytes, *, durable: bool = False) -> None:
        """Publish a serialised ``wire.MountTable``, with ``durable`` to last over a power loss."""
        self._mounts = data = pack_mounts(table, crc32c)
        self._guarded(lambda: self._tree.replace("mounts", data, durable=durable))

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as e:
            raise as_error(e, "publishing") from e

    def start_lease(self, protocol_min: int, protocol_max: int) -> None:
        """Tell clients, from now on until ``close``, that what meta says holds."""
        try:
            self._lease.start(protocol_min, protocol_max)
        except OSError as e:
            raise as_error(e, "writing the lease") from e

    @property
    def epochs_id(self) -> int:
        """The id of the epoch table; another one after the file was deleted by hand."""
        return self._epochs.id

    def also_heal(self, heal: Callable[[], None]) -> None:
        """Call ``heal`` about once a second too: for files others keep in the cache directory."""
        self._others.append(heal)

    def _heal_files(self) -> None:
        """Write again what was deleted by hand: the small files at the top."""
        if not (self.directory / "node.properties").exists():
            self.publish_node()
        for name, token in self._tokens.items():
            if not (self.directory / name).exists():
                self._tree.replace(name, token.encode(), durable=True, mode=node.TOKENS[name])
        if self._mounts is not None and not (self.directory / "mounts").exists():
            self._tree.replace("mounts", self._mounts)
        for heal in self._others:
            heal()

    # -- blocks

    def writer(
        self, file_id: bytes, block: int, valid_bytes: int, part: str = COMMON
    ) -> BlockWriter:
        """The writer of a block, shared by all who have it open; each gives it back by ``close``.

        Creates and links the block if it is absent. ``part``: whose it is, as ``set_parts`` has
        it. Raises NoSpace.
        """
        return self._blocks.writer(file_id, block, valid_bytes, part)

    def page_map(self, file_id: bytes, block: int) -> int:
        """Bits of the pages on disk; 0 if the block is absent or unsound."""
        return self._blocks.page_map(file_id, block)

    def blocks_of(self, file_id: bytes) -> set[int]:
        """The numbers of a file version's blocks on disk."""
        return self._blocks.of_file(file_id)

    def read(self, file_id: bytes, block: int, start: int, end: int) -> bytes | None:
        """Verified bytes [start, end) within the block; None if any page is absent or bad."""
        return self._blocks.read(file_id, block, start, end)

    def open_extent(self, file_id: bytes, block: int, start: int, end: int) -> Extent | None:
        """As ``read``, opened instead, for sending: each page is verified once per inode."""
        return self._proven_reads.open(file_id, block, start, end)

    def touch(self, file_id: bytes, block: int, reads: int = 1) -> None:
        """The block was read. Memory only."""
        self._space.touch(self._space.content, block_key(file_id, block), reads)

    def touch_meta(self, digest: bytes, reads: int = 1) -> None:
        """The meta of this path hash was read. Memory only."""
        self._space.touch(self._space.content, meta_key(digest), reads)
        self._space.touch(self._space.names, digest, reads)

    def hold(self, file_id: bytes, block: int, seconds: float = 2.0) -> None:
        """Do not evict the block before that. Memory only."""
        self._blocks.hold(block_key(file_id, block), seconds)

    def keep(self, ident: bytes) -> None:
        """No block of this version goes before ``unkeep``, by eviction, by hand or as a bad one:
        nobody else has its data. Half a path's hash: its meta is not evicted. Memory only."""
        self._blocks.kept.add(ident)

    def unkeep(self, ident: bytes) -> None:
        """They may go again. Memory only."""
        self._blocks.kept.discard(ident)

    def report_bad_page(self, file_id: bytes, block: int, page: int, generation: int) -> bool:
        """A reader met a bad page: True if we find it so too; the block is then unlinked."""
        return self._blocks.report_bad_page(file_id, block, page, generation)

    def drop_file(self, file_id: bytes) -> int:
        """Unlink all blocks of a file version; the bytes freed."""
        return self._blocks.drop_file(file_id)

    def drop_all_blocks(self) -> tuple[int, int]:
        """Unlink every block, of known files or not: (file versions, bytes freed)."""
        return self._blocks.drop_all()

    # -- pins

    @property
    def keepable_bytes(self) -> int:
        """What eviction leaves: pins and reserves together fit into it."""
        return int(self._space.capacity_bytes * self._space.low)

    @property
    def pins_at_most_bytes(self) -> int:
        """What pinned files may take: their share of the capacity, beside all reserves."""
        space = self._space
        reserved = sum(said.reserve_bytes for said in space.content.limits.values())
        share = int(space.capacity_bytes * self._pin_share)
        return max(0, min(share, self.keepable_bytes - reserved))

    def load_pins(self, files: Iterable[FileVersion]) -> None:
        """Exactly these are pinned; eviction may begin."""
        idents = {ident for file in files for ident in file.idents()}
        self._space.set_pins(idents, self.pins_at_most_bytes)

    def pin(self, file: FileVersion) -> None:
        """Do not evict what is or will be cached of this version, and its meta. Memory only."""
        self._space.pin(file.idents(), file.keys())

    def unpin(self, file: FileVersion) -> None:
        """It may go again. Memory only."""
        self._space.unpin(file.idents(), file.keys(), self._metas.part_of(file.store_path))

    # -- parts

    def set_parts(self, limits: dict[str, Limits], part_of: Callable[[str], str]) -> None:
        """These mounts have parts of the cache; ``part_of`` names that of a store path, or "".

        What is cached already of a mount whose part is new is found by its metas, in a thread.
        """
        self._metas.part_of = part_of
        new = self._space.set_limits(limits)
        self._space.set_pins_bound(self.pins_at_most_bytes)
        if new:
            self._settle_in.set()

    def parts(self) -> dict[str, tuple[int, Limits]]:
        """What each mount with a part takes, and its limits. Memory only."""
        content = self._space.content
        return {n: (content.parts[n].total_bytes, said) for n, said in content.limits.items()}

    # -- meta and stamps

    def put_meta(self, meta: Meta) -> None:
        self._metas.put_meta(meta)

    def get_meta(self, store_path: str) -> Meta | None:
        return self._metas.get_meta(store_path)

    def drop_meta(self, store_path: str) -> None:
        self._metas.drop_meta(store_path)

    def put_dir(self, stamp: DirStamp) -> None:
        self._metas.put_dir(stamp)

    def get_dir(self, store_path: str) -> DirStamp | None:
        return self._metas.get_dir(store_path)

    def drop_dir(self, store_path: str) -> None:
        self._metas.drop_dir(store_path)

    # -- space

    def evict(self, file_ids: Iterable[bytes]) -> int:
        """Unlink all blocks of these file versions; the bytes freed."""
        return sum(self.drop_file(file_id) for file_id in file_ids)

    def free(self, size_bytes: int) -> int:
        """Evict, as the policy chooses, until that much is free; the bytes freed."""
        return self._space.free(size_bytes)

    def set_space(
        self, capacity_bytes: int | None, high: float, low: float, pin_share: float
    ) -> None:
        """Another capacity (None: as it is), marks or share; what is too much is evicted soon."""
        space = self._space
        if capacity_bytes is not None and capacity_bytes != space.capacity_bytes:
            self.publish_node(capacity=str(capacity_bytes))
            space.capacity_bytes = capacity_bytes
        self._pin_share = pin_share
        space.set_marks(high, low)
        space.set_pins_bound(self.pins_at_most_bytes)

    def stats(self) -> StoreStats:
        """Memory only."""
        space = self._space
        blocks, metas, dirs = space.content.blocks, len(space.names), len(space.stamps)
        return StoreStats(
            capacity_bytes=space.capacity_bytes,
            limit_bytes=space.limit_bytes,
            used_bytes=space.used_bytes,
            blocks=blocks,
            metas=metas,
            dirs=dirs,
            inodes=blocks + metas + dirs,
            evicted_bytes=space.evicted_bytes,
            evicted_blocks=space.evicted_blocks,
            expired_bytes=space.expired_bytes,
            expired_blocks=space.expired_blocks,
            pinned_bytes=space.content.pinned.total_bytes,
            corrupt_pages=self._blocks.corrupt_pages,
            scrubbed_bytes=self._scrubber.bytes,
            free_disk_bytes=space.free_bytes,
            free_disk_inodes=space.free_inodes,
            policy=self._policy,
            reconciled=self._reconciled.is_set(),
        )

    def _delete(self, victim: Victim) -> bool:
        if victim.segment is self._space.stamps:
            self._metas.remove_dir(victim.key)
        elif victim.segment is self._space.names:
            self._metas.remove_meta(victim.key)
        elif victim.key == meta_key(victim.key):
            self.history.add(victim.key, victim.why)
            return self._metas.evict_content(victim.key)
        else:
            return self._blocks.evict(victim.key, victim.why)
        return True

    def _statvfs(self) -> os.statvfs_result:
        return self._volumes.statvfs()

    # -- threads

    def _reconcile(self) -> None:
        """At the start, and after a disk was dropped."""
        while not self._stop.is_set():
            try:
                work = Reconciler(
                    self._tree, self._space, self._metas, self._blocks, self._volumes,
                    self._stop.is_set,
                )  # fmt: skip
                if work.run():
                    self._reconciled.set()
                    log.info("the index agrees: %d added, %d dropped", work.added, work.dropped)
            except (OSError, MillpondError) as e:
                log.error("the index was not compared with the disk: %s", e)
            self._look_again.wait()
            self._look_again.clear()

    def _volume_dropped(self) -> None:
        self._blocks.volume_dropped()
        self._look_again.set()

    def disks(self) -> list[tuple[str, str]]:
        """Further disks and why each is not used: "" where it is."""
        live = [(str(v.root), "") for v in self._volumes.live.values()]
        return live + [(str(d.root), d.why) for d in self._volumes.dropped]

    def _settle_parts(self) -> None:
        """Bring what is cached into the parts of their mounts, whenever a part is new."""
        while not self._stop.is_set():
            self._settle_in.wait()
            self._reconciled.wait()  # the index knows what is cached
            self._settle_in.clear()
            try:
                self._metas.settle_parts(self._stop.is_set)
            except (OSError, MillpondError) as e:
                log.error("cached files were not brought into their mounts' parts: %s", e)

    def _scrub(self) -> None:
        self._reconciled.wait()  # the index knows what is cached
        self._scrubber.run(self._stop)

    def set_scrub_rate(self, rate_bytes: int) -> None:
        """Check so many cached bytes a second against their checksums; 0 is none."""
        self._scrubber.rate_bytes = rate_bytes

    def wait_reconciled(self, timeout_s: float) -> bool:
        """Wait until the index is known to agree with the disk."""
        return self._reconciled.wait(timeout_s)

    def _keep_house(self) -> None:
        save_at = time.monotonic() + SNAPSHOT_EVERY_S
        while not self._stop.is_set():
            self._space.pressure.wait(LOOK_EVERY_S)
            if self._stop.is_set():
                return
            try:
                self._volumes.check()
                self._space.tidy()
                self._blocks.sweep_holds()
                if time.monotonic() >= save_at:
                    save_at = time.monotonic() + SNAPSHOT_EVERY_S
                    self.save_index()
            except (OSError, MillpondError) as e:
                log.error("keeping house failed: %s", e)
                self._stop.wait(LOOK_EVERY_S)

    def save_index(self) -> None:
        """Write index.snapshot, if anything changed since the last one."""
        self._space.settle()
        changes = sum(kind.changes for kind in self._space.kinds)
        if changes != self._saved_changes:
            snapshot.save(self._tree, self._space.segments, self._space.lock)
            self._saved_changes = changes

    def close(self) -> None:
        """End the lease, save the index, give the lock back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._lease.stop()
        self._stop.set()
        self._space.pressure.set()
        self._settle_in.set()
        self._look_again.set()
        self._reconciled.set()
        for thread in self._threads:
            thread.join()
        try:
            self.save_index()
        except OSError as e:
            log.warning("the index was not saved, the next start walks the disk: %s", e)
        finally:
            self._volumes.close()
            self._tree.close()
