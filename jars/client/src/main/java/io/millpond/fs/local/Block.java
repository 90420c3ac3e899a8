package io.millpond.fs.local;

import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;

/**
 * A reader's hold on one block; positions count from the block's beginning. Thread-safe. An
 * interrupt of a reading thread closes the file for all who share it: the interrupted one gets an
 * InterruptedIOException, and for the others it is opened again.
 */
public final class Block implements Closeable {
    private static final int MAX_REOPENS = 1000;

    private final BlockPool pool;
    private final BlockKey key;
    private final int validBytes;
    private OpenBlock held;
    private volatile OpenBlock open;
    private boolean closed;

    Block(BlockPool pool, OpenBlock open) {
        this.pool = pool;
        this.key = open.key();
        this.validBytes = open.validBytes();
        this.held = open;
        this.open = open;
    }

    /** The random number of the inode that is open now. */
    public long generation() {
        return open.generation();
    }

    public int validBytes() {
        return validBytes;
    }

    /** Whether the name on disk still leads to the inode that is open here; opens it to see. */
    public boolean linked() throws IOException {
        return pool.linked(open);
    }

    /** Reads again which pages are present. */
    public void refresh() throws IOException {
        for (int tries = 0; tries < MAX_REOPENS; tries++) {
            OpenBlock now = open;
            checkInterrupt();
            try {
                now.refresh();
                return;
            } catch (ClosedChannelException e) {
                if (!reopen(now, e)) {
                    return;
                }
            }
        }
    }

    /** Bytes present from {@code position} on; asks the disk again where that would be none. */
    public int presentRun(long position) throws IOException {
        if (position < 0 || position >= validBytes) {
            return 0;
        }
        int first = (int) position >>> Layout.PAGE_SHIFT;
        if (!open.present(first)) {
            refresh();
        }
        OpenBlock now = open;
        int page = first;
        while (page << Layout.PAGE_SHIFT < validBytes && now.present(page)) {
            page++;
        }
        int end = Math.min(validBytes, page << Layout.PAGE_SHIFT);
        return page == first ? 0 : end - (int) position;
    }

    /**
     * Reads bytes whose checksum was proven: up to {@code length}, the block's end or the first
     * absent page; 0 where that is the first, after one more look at the header.
     */
    public int read(long position, byte[] dst, int offset, int length) throws IOException {
        return read(position, ByteBuffer.wrap(dst, offset, length));
    }

    /** As the other; {@code dst} advances by what is returned. */
    public int read(long position, ByteBuffer dst) throws IOException {
        if (position < 0 || position >= validBytes || !dst.hasRemaining()) {
            return 0;
        }
        int mark = dst.position();
        for (int tries = 0; tries < MAX_REOPENS; tries++) {
            OpenBlock now = open;
            checkInterrupt();
            try {
                return now.read((int) position, dst);
            } catch (ClosedChannelException e) {
                dst.position(mark);
                if (!reopen(now, e)) {
                    return 0;
                }
            } catch (IOException e) {
                dst.position(mark); // what was read before the disk failed is read elsewhere again
                throw e;
            }
        }
        pool.trouble(LocalEvents.Trouble.INTERRUPTS, null);
        return 0;
    }

    /** Makes the pool open the block by its name next time; what is held here stays readable. */
    public void retire() {
        pool.forget(open);
    }

    /** Gives the block back to the pool; further closes do nothing. */
    @Override
    public void close() {
        OpenBlock last;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            last = held;
            held = null;
        }
        pool.giveBack(last);
    }

    /** Puts the inode that the name leads to now in place of one whose channel is closed. */
    private synchronized boolean reopen(OpenBlock dead, IOException cause) throws IOException {
        if (closed) {
            throw new IOException("the block was given back", cause);
        }
        if (open != dead) {
            return true; // another reader of this hold did it
        }
        checkInterrupt();
        pool.forget(dead);
        OpenBlock fresh = pool.open(key, validBytes);
        if (fresh == null) {
            return false;
        }
        pool.giveBack(held);
        held = fresh;
        open = fresh;
        return true;
    }

    /** Leaves before the read where the thread was interrupted: the channel stays open. */
    private static void checkInterrupt() throws InterruptedIOException {
        if (Thread.currentThread().isInterrupted()) {
            throw new InterruptedIOException("interrupted while reading the cache");
        }
    }
}
