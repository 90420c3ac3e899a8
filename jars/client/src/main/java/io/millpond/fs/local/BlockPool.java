package io.millpond.fs.local;

import io.millpond.fs.CorruptException;
import io.millpond.fs.UnknownFormatException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * The open block files of this process: reopening for each read would halve random reads. Keeps up
 * to a number of idle descriptors, the least recently used go first, and none for longer than a
 * time. An inode that was evicted is given up within that time, so that its space comes free.
 */
public final class BlockPool implements Closeable {
    static final int MAX_IDLE = 256;
    static final long IDLE_NS = TimeUnit.SECONDS.toNanos(30);

    private static final int MAX_UNREPORTED = 8192;

    /** Named here so that the class is loaded while there are descriptors to load it with. */
    private static final LocalEvents.Trouble NOT_OPENED = LocalEvents.Trouble.OPEN_FAILED;

    private final Path dir;
    private final LocalEvents events;
    private final int maxIdle;
    private final long idleNs;
    private final Bounce bounce = new Bounce();
    private final ConcurrentHashMap<BlockKey, OpenBlock> blocks = new ConcurrentHashMap<>();
    private final ConcurrentHashMap<BlockKey, Integer> unreported = new ConcurrentHashMap<>();
    private volatile long starvedNs;
    private volatile boolean starved;
    private Thread sweeper;
    private boolean closed;

    BlockPool(Path dir, LocalEvents events, int maxIdle, long idleNs) {
        this.dir = dir;
        this.events = events;
        this.maxIdle = maxIdle;
        this.idleNs = idleNs;
    }

    /**
     * The block with exactly {@code validBytes}, or null where it is absent or can't be used; the
     * reasons but absence are told to the events. InterruptedIOException for an interrupted thread.
     */
    public Block acquire(FileId file, int block, int validBytes) throws IOException {
        OpenBlock open = open(new BlockKey(file, block), validBytes);
        if (open == null) {
            return null;
        }
        Block reader = new Block(this, open);
        open.leave();
        return reader;
    }

    /** Tells how often blocks were read since the last call; late and lossy. */
    public void drainReads(Reads reader) {
        for (OpenBlock each : blocks.values()) {
            tell(reader, each.key(), each.drainReads());
        }
        for (BlockKey key : unreported.keySet()) {
            Integer reads = unreported.remove(key);
            tell(reader, key, reads == null ? 0 : reads);
        }
    }

    private static void tell(Reads reader, BlockKey key, int reads) {
        if (reads > 0) {
            reader.read(key.file, key.block, reads);
        }
    }

    /** Whether a block did not open within the last second, most likely for want of descriptors. */
    public boolean starved() {
        return starved && System.nanoTime() - starvedNs < TimeUnit.SECONDS.toNanos(1);
    }

    /** A retained inode, from the pool or opened now; null as {@link #acquire}. */
    OpenBlock open(BlockKey key, int validBytes) throws IOException {
        OpenBlock pooled = blocks.get(key);
        if (pooled != null && pooled.open() && pooled.retain()) {
            if (pooled.validBytes() == validBytes) {
                return pooled;
            }
            pooled.leave();
            return null;
        }
        if (pooled != null) {
            forget(pooled);
        }
        OpenBlock fresh = openFile(key);
        if (fresh == null) {
            return null;
        }
        if (fresh.validBytes() != validBytes) {
            trouble(LocalEvents.Trouble.CORRUPT, null);
            fresh.release(System.nanoTime());
            return null;
        }
        return share(fresh);
    }

    /** Puts a new inode into the pool, or takes the one another thread has just put there. */
    private OpenBlock share(OpenBlock fresh) {
        fresh.retain();
        OpenBlock other = blocks.putIfAbsent(fresh.key(), fresh);
        if (other == null) {
            sweepLater();
            shrink(maxIdle);
            return fresh;
        }
        if (other.open() && other.generation() == fresh.generation() && other.retain()) {
            fresh.release(0);
            fresh.release(0);
            return other;
        }
        if (blocks.replace(fresh.key(), other, fresh)) {
            remember(other);
            other.release(System.nanoTime());
        } else {
            fresh.release(0); // the pool's share: it lives as long as its reader
        }
        return fresh;
    }

    private OpenBlock openFile(BlockKey key) throws IOException {
        while (true) {
            try {
                return openOnce(key);
            } catch (FileSystemException e) {
                if (absent(e)) {
                    return null;
                }
                if (e instanceof AccessDeniedException) {
                    trouble(LocalEvents.Trouble.PERMISSION, e);
                    return null;
                }
                if (!shrink(blocks.size() / 2)) {
                    starvedNs = System.nanoTime();
                    starved = true;
                    trouble(NOT_OPENED, e);
                    return null;
                }
            }
        }
    }

    private static boolean absent(FileSystemException e) {
        return e instanceof NoSuchFileException || e instanceof NotDirectoryException;
    }

    /** FileSystemException where it does not open; null where it opens and is no good. */
    private OpenBlock openOnce(BlockKey key) throws IOException {
        FileChannel channel = FileChannel.open(path(key), StandardOpenOption.READ);
        OpenBlock made = null;
        try {
            BlockHeader header = BlockHeader.read(channel);
            if (header.block != key.block || !header.fileId.equals(key.file)) {
                throw Record.corrupt("block file is another's", path(key).toString());
            }
            made = new OpenBlock(key, channel, header, events, bounce, System.nanoTime());
        } catch (ClosedChannelException e) {
            InterruptedIOException interrupted =
                    new InterruptedIOException("interrupted while opening a cache block");
            interrupted.initCause(e);
            throw interrupted;
        } catch (CorruptException e) {
            trouble(LocalEvents.Trouble.CORRUPT, e);
        } catch (UnknownFormatException e) {
            trouble(LocalEvents.Trouble.UNKNOWN_FORMAT, e);
        } catch (IOException e) {
            trouble(LocalEvents.Trouble.READ_FAILED, e);
        } finally {
            if (made == null) {
                channel.close();
            }
        }
        return made;
    }

    private Path path(BlockKey key) {
        return dir.resolve(Names.blockName(key.file, key.block));
    }

    /** Whether the name of an open block still leads to its inode. */
    boolean linked(OpenBlock open) throws IOException {
        OpenBlock named = openFile(open.key());
        if (named == null) {
            return false;
        }
        named.release(0);
        return named.generation() == open.generation();
    }

    /** Takes an inode out of the pool; it closes after its last reader. */
    void forget(OpenBlock open) {
        if (blocks.remove(open.key(), open)) {
            remember(open);
            open.release(System.nanoTime());
        }
    }

    /** Keeps how often an inode was read that leaves the pool. */
    private void remember(OpenBlock open) {
        int reads = open.drainReads();
        if (reads > 0 && unreported.size() < MAX_UNREPORTED) {
            unreported.merge(open.key(), reads, Integer::sum);
        }
    }

    void trouble(LocalEvents.Trouble reason, Throwable error) {
        events.trouble(reason, error);
    }

    /** Descriptors the pool holds, idle and in use. */
    int size() {
        return blocks.size();
    }

    /**
     * Lets idle descriptors go, the least recently used first, until the pool has {@code most};
     * whether any went.
     */
    private boolean shrink(int most) {
        boolean some = false;
        while (blocks.size() > most) {
            OpenBlock oldest = null;
            for (OpenBlock each : blocks.values()) {
                if (each.idle() && (oldest == null || each.usedNs() - oldest.usedNs() < 0)) {
                    oldest = each;
                }
            }
            if (oldest == null) {
                return some;
            }
            forget(oldest);
            some = true;
        }
        return some;
    }

    private synchronized void sweepLater() {
        if (sweeper == null && !closed) {
            sweeper = new Thread(this::sweepUntilEmpty, "millpond-blocks");
            sweeper.setDaemon(true);
            sweeper.setContextClassLoader(null);
            sweeper.start();
        }
    }

    private void sweepUntilEmpty() {
        try {
            while (true) {
                TimeUnit.NANOSECONDS.sleep(idleNs / 3);
                sweep();
                synchronized (this) {
                    if (blocks.isEmpty() || closed) {
                        sweeper = null;
                        return;
                    }
                }
            }
        } catch (InterruptedException e) {
            synchronized (this) {
                sweeper = null;
            }
        }
    }

    /** Closes what was idle too long; gives up what was evicted under a long-lived descriptor. */
    private void sweep() {
        long now = System.nanoTime();
        for (OpenBlock each : blocks.values()) {
            boolean idle = each.idle() && now - each.usedNs() > idleNs;
            if (idle || (now - each.openedNs() > idleNs && !stillLinked(each))) {
                forget(each);
            }
        }
    }

    private boolean stillLinked(OpenBlock open) {
        try {
            return linked(open);
        } catch (IOException e) {
            return true;
        }
    }

    /** Takes what was read. */
    public interface Reads {
        void read(FileId file, int block, int reads);
    }

    /** Closes all that is idle; what is just being read closes behind its reader. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            if (sweeper != null) {
                sweeper.interrupt();
            }
        }
        for (OpenBlock each : blocks.values()) {
            forget(each);
        }
    }
}
