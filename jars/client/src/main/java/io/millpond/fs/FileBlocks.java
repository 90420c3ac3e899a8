package io.millpond.fs;

import io.millpond.fs.local.Block;
import io.millpond.fs.local.BlockPool;
import io.millpond.fs.local.FileId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The local blocks of one file version, as one stream reads them: no call to anyone, no lock.
 * Remembers the blocks of 4 GiB, so that a hit costs a look at the map and one positional read; it
 * pins no descriptor, these stay the pool's.
 */
final class FileBlocks {
    static final int BLOCK_SHIFT = 24;
    static final long BLOCK_BYTES = 1L << BLOCK_SHIFT;
    private static final long MASK = BLOCK_BYTES - 1;
    private static final long MAX_SLOTS = 256;

    private final BlockPool pool;
    private final FileId id;
    private final long length;
    private final AtomicReferenceArray<Block> slots;

    FileBlocks(BlockPool pool, FileId id, long length) {
        this.pool = pool;
        this.id = id;
        this.length = length;
        long blocks = Math.max(1, length + MASK >>> BLOCK_SHIFT);
        this.slots = new AtomicReferenceArray<>((int) Math.min(MAX_SLOTS, blocks));
    }

    /** Bytes read from {@code position} on, within one block; 0 where the first page is absent. */
    int read(long position, byte[] dst, int offset, int count) throws IOException {
        Block block = block(position);
        return block == null ? 0 : block.read(position & MASK, dst, offset, count);
    }

    /** As the other read; {@code dst} is advanced by what is returned. */
    int read(long position, ByteBuffer dst) throws IOException {
        Block block = block(position);
        return block == null ? 0 : block.read(position & MASK, dst);
    }

    /** Whether blocks did not open just now for want of descriptors. */
    boolean starved() {
        return pool.starved();
    }

    /** End of the present run that begins at {@code position}, at most {@code end}. */
    long presentEnd(long position, long end) throws IOException {
        long at = position;
        while (at < end) {
            Block block = block(at);
            int run = block == null ? 0 : block.presentRun(at & MASK);
            if (run == 0) {
                return at;
            }
            at += run;
        }
        return end;
    }

    /** Reads the header of the block at {@code position} again; opens it anew if it was evicted. */
    void refresh(long position) throws IOException {
        Block block = block(position);
        if (block == null) {
            return;
        }
        if (block.linked()) {
            block.refresh();
        } else {
            block.retire();
        }
    }

    /** Makes sure that the block at {@code position} is the inode with this generation. */
    void expect(long position, long generation) throws IOException {
        Block block = block(position);
        if (block != null && block.generation() != generation) {
            block.retire();
        }
    }

    /** Forgets all blocks; the next read asks the pool again. */
    void release() {
        for (int i = 0; i < slots.length(); i++) {
            Block old = slots.getAndSet(i, null);
            if (old != null) {
                old.close();
            }
        }
    }

    private Block block(long position) throws IOException {
        int number = (int) (position >>> BLOCK_SHIFT);
        int slot = number % slots.length();
        Block known = slots.get(slot);
        if (known != null && known.number() == number) {
            return known;
        }
        int valid = (int) Math.min(BLOCK_BYTES, length - number * BLOCK_BYTES);
        Block fresh = pool.acquire(id, number, valid);
        if (fresh != null) {
            slots.set(slot, fresh);
        }
        return fresh;
    }
}
