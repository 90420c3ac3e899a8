package io.millpond.fs;

import io.millpond.fs.local.Block;
import io.millpond.fs.local.BlockPool;
import io.millpond.fs.local.FileId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The local blocks of one file version, as one stream reads them: no call to anyone, no lock. Holds
 * the few blocks it used last, so that a hit costs a look at the map and one positional read.
 */
final class HeldBlocks {
    static final int BLOCK_SHIFT = 24;
    static final long BLOCK_BYTES = 1L << BLOCK_SHIFT;
    private static final long MASK = BLOCK_BYTES - 1;
    private static final int SLOTS = 8;

    private final BlockPool pool;
    private final FileId id;
    private final long length;
    private final Touches touches;
    private final AtomicReferenceArray<HeldBlock> slots = new AtomicReferenceArray<>(SLOTS);
    private volatile boolean closed;

    HeldBlocks(BlockPool pool, FileId id, long length, Touches touches) {
        this.pool = pool;
        this.id = id;
        this.length = length;
        this.touches = touches;
    }

    /** Bytes read from {@code position} on, within one block; 0 where the first page is absent. */
    int read(long position, byte[] dst, int offset, int count) throws IOException {
        HeldBlock held = enter(position);
        if (held == null) {
            return 0;
        }
        try {
            held.touched();
            return held.block().read(position & MASK, dst, offset, count);
        } finally {
            held.leave();
        }
    }

    /** As the other read; {@code dst} is advanced by what is returned. */
    int read(long position, ByteBuffer dst) throws IOException {
        HeldBlock held = enter(position);
        if (held == null) {
            return 0;
        }
        try {
            held.touched();
            return held.block().read(position & MASK, dst);
        } finally {
            held.leave();
        }
    }

    /** Whether blocks did not open just now for want of descriptors. */
    boolean starved() {
        return pool.starved();
    }

    /** End of the present run that begins at {@code position}, at most {@code end}. */
    long presentEnd(long position, long end) throws IOException {
        long at = position;
        while (at < end) {
            HeldBlock held = enter(at);
            if (held == null) {
                return at;
            }
            int run;
            try {
                run = held.block().presentRun(at & MASK);
            } finally {
                held.leave();
            }
            if (run == 0) {
                return at;
            }
            at += run;
        }
        return end;
    }

    /** Reads the header of the block at {@code position} again; opens it anew if it was evicted. */
    void refresh(long position) throws IOException {
        HeldBlock held = enter(position);
        if (held == null) {
            return;
        }
        boolean stale;
        try {
            stale = !held.block().linked();
            if (!stale) {
                held.block().refresh();
            }
        } finally {
            held.leave();
        }
        if (stale) {
            drop(held);
        }
    }

    /** Makes sure that the block at {@code position} is the inode with this generation. */
    void expect(long position, long generation) throws IOException {
        HeldBlock held = enter(position);
        if (held == null) {
            return;
        }
        boolean same;
        try {
            same = held.block().generation() == generation;
        } finally {
            held.leave();
        }
        if (!same) {
            drop(held);
        }
    }

    /** As {@link #release}, for good. */
    void close() {
        closed = true;
        release();
    }

    /** Gives all blocks back to the pool; the next read opens again. */
    void release() {
        for (int i = 0; i < SLOTS; i++) {
            HeldBlock old = slots.getAndSet(i, null);
            if (old != null) {
                old.leave();
            }
        }
    }

    private HeldBlock enter(long position) throws IOException {
        int number = (int) (position >>> BLOCK_SHIFT);
        int slot = number % SLOTS;
        HeldBlock held = slots.get(slot);
        if (held != null && held.number() == number && held.enter()) {
            return held;
        }
        int valid = (int) Math.min(BLOCK_BYTES, length - number * BLOCK_BYTES);
        Block block = pool.acquire(id, number, valid);
        if (block == null) {
            return null;
        }
        HeldBlock fresh = new HeldBlock(id, number, block, touches);
        fresh.enter();
        HeldBlock old = slots.getAndSet(slot, fresh);
        if (old != null) {
            old.leave();
        }
        if (closed) {
            release();
        }
        return fresh;
    }

    private void drop(HeldBlock held) {
        held.block().retire();
        int slot = held.number() % SLOTS;
        if (slots.compareAndSet(slot, held, null)) {
            held.leave();
        }
    }
}
