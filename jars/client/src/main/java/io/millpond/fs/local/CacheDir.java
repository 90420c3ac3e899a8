package io.millpond.fs.local;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;

/**
 * One cache directory as this process reads it: lease, mounts, meta, stamps, blocks. Shared by all
 * who open the same path. Every record is re-read when it may have changed, and what is damaged or
 * of an unknown format is absent, counted by the events. Thread-safe.
 */
public final class CacheDir implements Closeable {
    private static final ConcurrentHashMap<Path, CacheDir> OPEN = new ConcurrentHashMap<>();
    private static final long META_MEMORY_BYTES = 24 << 20;
    private static final long STAMP_MEMORY_BYTES = 2 << 20;

    private final Path path;
    private final File root;
    private final BootId bootId;
    private final Listeners events = new Listeners();
    private final LeaseWatch lease;
    private final Watched<MountTable> mounts;
    private final Watched<NodeProperties> node;
    private final BlockPool blocks;
    private final Memory<Meta> metas =
            new Memory<>(META_MEMORY_BYTES, Meta::weightBytes, Meta::bare);
    private final Memory<DirStamp> stamps =
            new Memory<>(STAMP_MEMORY_BYTES, stamp -> 400, UnaryOperator.identity());
    private int users;

    private CacheDir(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            throw new NotDirectoryException(path.toString());
        }
        long now = System.nanoTime();
        this.path = path;
        this.root = path.toFile();
        this.bootId = BootId.current();
        this.lease = new LeaseWatch(path, events);
        this.mounts =
                new Watched<>(
                        new File(root, "mounts"),
                        MountTable.EMPTY,
                        MountTable::parse,
                        events,
                        LeaseWatch.INTERVAL_NS,
                        now);
        this.node =
                new Watched<>(
                        new File(root, "node.properties"),
                        NodeProperties.NONE,
                        NodeProperties::parse,
                        events,
                        LeaseWatch.INTERVAL_NS,
                        now);
        this.blocks = new BlockPool(path, events, BlockPool.MAX_IDLE, BlockPool.IDLE_NS);
    }

    /** The directory at a path, shared; NotDirectoryException where there is none. */
    public static CacheDir open(Path dir) throws IOException {
        Path key = dir.toAbsolutePath().normalize();
        synchronized (OPEN) {
            CacheDir known = OPEN.get(key);
            if (known == null) {
                known = new CacheDir(key);
                OPEN.put(key, known);
            }
            known.users++;
            return known;
        }
    }

    /** Gives up one opening; the last one closes the idle descriptors. */
    @Override
    public void close() {
        synchronized (OPEN) {
            if (users == 0 || --users > 0) {
                return;
            }
            OPEN.remove(path, this);
        }
        blocks.close();
    }

    public Path path() {
        return path;
    }

    /** This boot of the machine: stamps of another one say nothing. */
    public BootId bootId() {
        return bootId;
    }

    /** CLOCK_MONOTONIC as this JVM sees it, in ns: the clock of lease and stamps. */
    public long nowNs() {
        return System.nanoTime();
    }

    /** The lease as it stood within the last 250 ms, or null. */
    public Lease lease() {
        return lease.at(nowNs()).lease;
    }

    public boolean leaseGood() {
        Lease last = lease();
        return last != null && last.good(nowNs(), bootId);
    }

    /** Makes the next look at the lease read it: for when another sidecar has answered. */
    public void expireLease() {
        lease.expire();
    }

    /** The mount table as it stood within the last 250 ms; empty where there never was one. */
    public MountTable mounts() {
        return mounts.get(nowNs());
    }

    /** The mount table as it stands now. */
    public MountTable mountsNow() {
        return mounts.now(nowNs());
    }

    /** The node's properties as they stood within the last 250 ms. */
    public NodeProperties node() {
        return node.get(nowNs());
    }

    public BlockPool blocks() {
        return blocks;
    }

    /** What is recorded of a file, content included; null if absent or damaged. */
    public Meta meta(String storePath) {
        return meta(storePath, true);
    }

    /** As {@link #meta}, but the content of a small file may be missing: for a status. */
    public Meta metaForStatus(String storePath) {
        return meta(storePath, false);
    }

    private Meta meta(String storePath, boolean whole) {
        Epochs epochs = lease.at(nowNs()).epochs;
        Memory.Entry<Meta> known = metas.get(storePath, epochs);
        if (known != null && (known.value == null || !whole || !known.value.stripped())) {
            return known.value;
        }
        byte[] digest = Names.pathHash(storePath);
        File file = new File(root, Names.metaName(digest));
        int slot = Names.epochSlot(digest);
        long counter = epochs == null ? 0 : epochs.counter(slot);
        RecordFile.Outcome<Meta> read =
                RecordFile.read(file, data -> checked(Meta.parse(data), storePath), events);
        if (epochs != null && (read.value != null || read.absent)) {
            metas.put(storePath, epochs, slot, counter, read.value);
        }
        return read.value;
    }

    private static Meta checked(Meta meta, String storePath) throws IOException {
        if (!meta.storePath().equals(storePath)) {
            throw Record.corrupt("meta is another file's", meta.storePath());
        }
        return meta;
    }

    /** When the directory under a store path was last validated; null if not or damaged. */
    public DirStamp dirStamp(String storePath) {
        Epochs epochs = lease.at(nowNs()).epochs;
        Memory.Entry<DirStamp> known = stamps.get(storePath, epochs);
        if (known != null) {
            return known.value;
        }
        byte[] digest = Names.pathHash(storePath);
        File file = new File(root, Names.dirName(digest));
        int slot = Names.epochSlot(digest);
        long counter = epochs == null ? 0 : epochs.counter(slot);
        RecordFile.Outcome<DirStamp> read =
                RecordFile.read(file, data -> checked(DirStamp.parse(data), storePath), events);
        if (epochs != null && (read.value != null || read.absent)) {
            stamps.put(storePath, epochs, slot, counter, read.value);
        }
        return read.value;
    }

    private static DirStamp checked(DirStamp stamp, String storePath) throws IOException {
        if (!stamp.storePath().equals(storePath)) {
            throw Record.corrupt("directory stamp is another's", stamp.storePath());
        }
        return stamp;
    }

    /** Adds a listener to what goes wrong here. */
    public void listen(LocalEvents listener) {
        events.all.addIfAbsent(listener);
    }

    public void unlisten(LocalEvents listener) {
        events.all.remove(listener);
    }

    /** Tells all listeners. */
    private static final class Listeners implements LocalEvents {
        final CopyOnWriteArrayList<LocalEvents> all = new CopyOnWriteArrayList<>();

        @Override
        public void badPage(FileId file, int block, int page, long generation) {
            all.forEach(each -> each.badPage(file, block, page, generation));
        }

        @Override
        public void trouble(Trouble reason, Throwable error) {
            all.forEach(each -> each.trouble(reason, error));
        }
    }
}
