package io.millpond.fs.local;

import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The direct buffers through which file bytes reach arrays: few, as large as fits a core's cache,
 * and placed with care. The JDK's own are per thread, grow to the largest read ever made, and lie
 * where malloc puts them; a copy in the kernel whose target is a few bytes ahead of its source,
 * modulo the page size, runs at a quarter of the speed on some processors (and malloc's large
 * chunks begin 16 bytes into a page). Half a page apart, it never does.
 */
final class Bounce {
    static final int BYTES = 128 << 10;
    private static final int ALIGNMENT = 4096;
    private static final int APART = ALIGNMENT / 2;
    private static final int PROBES = 4;

    private final AtomicReferenceArray<ByteBuffer> free;
    private final int mask;

    Bounce() {
        int slots = Integer.highestOneBit(4 * Runtime.getRuntime().availableProcessors());
        free = new AtomicReferenceArray<>(slots);
        mask = slots - 1;
    }

    /** A buffer of this thread's own until it is given back. */
    ByteBuffer take() {
        int first = (int) Thread.currentThread().getId();
        for (int i = 0; i < PROBES; i++) {
            ByteBuffer buffer = free.getAndSet(first + i & mask, null);
            if (buffer != null) {
                return buffer;
            }
        }
        return ByteBuffer.allocateDirect(BYTES + 2 * ALIGNMENT).alignedSlice(ALIGNMENT);
    }

    void give(ByteBuffer buffer) {
        int first = (int) Thread.currentThread().getId();
        for (int i = 0; i < PROBES; i++) {
            if (free.compareAndSet(first + i & mask, null, buffer)) {
                return;
            }
        }
    }

    /** Lays {@code count} bytes of a taken buffer open for a read from {@code fileOffset}. */
    static void place(ByteBuffer buffer, long fileOffset, int count) {
        int at = (int) (fileOffset + APART & ALIGNMENT - 1);
        buffer.limit(at + count).position(at);
    }

    /** Whether a read from {@code fileOffset} straight into a direct buffer would be a slow one. */
    static boolean unlucky(ByteBuffer direct, long fileOffset) {
        int behind = direct.alignmentOffset(direct.position(), ALIGNMENT);
        int ahead = (int) (behind - fileOffset & ALIGNMENT - 1);
        return ahead > 0 && ahead < 64;
    }
}
