package io.millpond.fs.local;

import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;

/**
 * A reader's way to one block; positions count from the block's beginning. Remembers the inode it
 * read last and holds it only while it reads: where the pool has let it go meanwhile, it is opened
 * again by its name. Thread-safe. An interrupt of a reading thread closes the file for all who
 * share it: the interrupted one gets an InterruptedIOException, and for the others it is opened
 * again.
 */
public final class Block implements Closeable {
    private static final int MAX_REOPENS = 1000;

    private final BlockPool pool;
    private final BlockKey key;
    private final int validBytes;
    private volatile OpenBlock known;

    Block(BlockPool pool, OpenBlock open) {
        this.pool = pool;
        this.key = open.key();
        this.validBytes = open.validBytes();
        this.known = open;
    }

    public int number() {
        return key.block;
    }

    public int validBytes() {
        return validBytes;
    }

    /** The random number of the inode that is read now; 0 where there is none any more. */
    public long generation() throws IOException {
        OpenBlock open = enter();
        if (open == null) {
            return 0;
        }
        open.leave();
        return open.generation();
    }

    /** Whether the name on disk still leads to the inode that was read last; opens it to see. */
    public boolean linked() throws IOException {
        OpenBlock last = known;
        return last != null && pool.linked(last);
    }

    /** Reads again which pages are present. */
    public void refresh() throws IOException {
        for (int tries = 0; tries < MAX_REOPENS; tries++) {
            OpenBlock open = enter();
            if (open == null) {
                return;
            }
            try {
                open.refresh();
                return;
            } catch (ClosedChannelException e) {
                closedByInterrupt(open);
            } finally {
                open.leave();
            }
        }
    }

    /** Bytes present from {@code position} on; asks the disk again where that would be none. */
    public int presentRun(long position) throws IOException {
        if (position < 0 || position >= validBytes) {
            return 0;
        }
        int first = (int) position >>> Layout.PAGE_SHIFT;
        OpenBlock last = known;
        if (last == null || !last.present(first)) {
            refresh();
        }
        OpenBlock open = enter();
        if (open == null) {
            return 0;
        }
        int page = first;
        while (page << Layout.PAGE_SHIFT < validBytes && open.present(page)) {
            page++;
        }
        open.leave();
        int end = Math.min(validBytes, page << Layout.PAGE_SHIFT);
        return page == first ? 0 : end - (int) position;
    }

    /**
     * Reads bytes whose checksum was proven: up to {@code length}, the block's end or the first
     * absent page; 0 where that is the first, after one more look at the header.
     */
    public int read(long position, byte[] dst, int offset, int length) throws IOException {
        if (position < 0 || position >= validBytes || length <= 0) {
            return 0;
        }
        for (int tries = 0; tries < MAX_REOPENS; tries++) {
            OpenBlock open = enter();
            if (open == null) {
                return 0;
            }
            try {
                return open.read((int) position, dst, offset, length);
            } catch (ClosedChannelException e) {
                closedByInterrupt(open);
            } finally {
                open.leave();
            }
        }
        return interrupted();
    }

    /** As the other; {@code dst} advances by what is returned. */
    public int read(long position, ByteBuffer dst) throws IOException {
        if (position < 0 || position >= validBytes || !dst.hasRemaining()) {
            return 0;
        }
        int mark = dst.position();
        for (int tries = 0; tries < MAX_REOPENS; tries++) {
            OpenBlock open = enter();
            if (open == null) {
                return 0;
            }
            try {
                return open.read((int) position, dst);
            } catch (ClosedChannelException e) {
                dst.position(mark);
                closedByInterrupt(open);
            } catch (IOException e) {
                dst.position(mark); // what was read before the disk failed is read elsewhere again
                throw e;
            } finally {
                open.leave();
            }
        }
        return interrupted();
    }

    /** Makes the pool, and this, open the block by its name next time. */
    public void retire() {
        OpenBlock last = known;
        known = null;
        if (last != null) {
            pool.forget(last);
        }
    }

    /** Forgets the inode; a later read asks the pool again. */
    @Override
    public void close() {
        known = null;
    }

    /** The inode, which stays open until it is left; null where the block is absent by now. */
    private OpenBlock enter() throws IOException {
        checkInterrupt();
        OpenBlock last = known;
        if (last != null && last.retain()) {
            return last;
        }
        OpenBlock fresh = pool.open(key, validBytes);
        known = fresh;
        return fresh;
    }

    private void closedByInterrupt(OpenBlock dead) throws InterruptedIOException {
        checkInterrupt();
        pool.forget(dead);
        if (known == dead) {
            known = null; // a race here costs one look into the pool
        }
    }

    private int interrupted() {
        pool.trouble(LocalEvents.Trouble.INTERRUPTS, null);
        return 0;
    }

    /** Leaves before the read where the thread was interrupted: the channel stays open. */
    private static void checkInterrupt() throws InterruptedIOException {
        if (Thread.currentThread().isInterrupted()) {
            throw new InterruptedIOException("interrupted while reading the cache");
        }
    }
}
