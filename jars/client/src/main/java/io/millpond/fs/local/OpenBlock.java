package io.millpond.fs.local;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.LongAdder;

/**
 * One open inode of a block, shared by all readers of this process. Serves a page only after its
 * CRC was proven once; the proof holds for the inode, since pages in it are never written twice.
 */
final class OpenBlock {
    private final BlockKey key;
    private final FileChannel channel;
    private final LocalEvents events;
    private final Bounce bounce;
    private final AtomicLongArray verified = new AtomicLongArray(Layout.PAGES_PER_BLOCK / 64);
    private final AtomicLongArray bad = new AtomicLongArray(Layout.PAGES_PER_BLOCK / 64);
    private final AtomicInteger references = new AtomicInteger(1);
    private final LongAdder reads = new LongAdder();
    private long drainedReads;
    private volatile BlockHeader header;
    private volatile long usedNs;
    private final long openedNs;

    OpenBlock(
            BlockKey key,
            FileChannel channel,
            BlockHeader header,
            LocalEvents events,
            Bounce bounce,
            long nowNs) {
        this.key = key;
        this.channel = channel;
        this.header = header;
        this.events = events;
        this.bounce = bounce;
        this.openedNs = nowNs;
        this.usedNs = nowNs;
    }

    BlockKey key() {
        return key;
    }

    long generation() {
        return header.generation;
    }

    int validBytes() {
        return header.validBytes;
    }

    long openedNs() {
        return openedNs;
    }

    long usedNs() {
        return usedNs;
    }

    boolean open() {
        return channel.isOpen();
    }

    /** One reference more, unless the last is gone. */
    boolean retain() {
        for (int now = references.get(); now > 0; now = references.get()) {
            if (references.compareAndSet(now, now + 1)) {
                return true;
            }
        }
        return false;
    }

    void release(long nowNs) {
        usedNs = nowNs;
        if (references.decrementAndGet() == 0) {
            try {
                channel.close();
            } catch (IOException e) {
                events.trouble(LocalEvents.Trouble.READ_FAILED, e);
            }
        }
    }

    /** Gives a reader's reference back. */
    void leave() {
        release(System.nanoTime());
    }

    /** How often it was read since the last call. */
    synchronized int drainReads() {
        long all = reads.sum();
        int fresh = (int) Math.min(Integer.MAX_VALUE, all - drainedReads);
        drainedReads = all;
        return fresh;
    }

    /** Whether only the pool holds it. */
    boolean idle() {
        return references.get() == 1;
    }

    /** Reads map and CRCs again; a header that has gone bad keeps what is known. */
    void refresh() throws IOException {
        BlockHeader fresh = BlockHeader.read(channel);
        if (fresh.generation == header.generation) {
            header = fresh;
        }
    }

    /** Whether a page may be tried: proven, or its bit is set and it did not fail. */
    boolean present(int page) {
        return get(verified, page) || (header.present(page) && !get(bad, page));
    }

    /**
     * Reads from {@code at} in the block into {@code dst}: up to its room, the end of the block or
     * the first page that is absent; 0 where that is the first.
     */
    int read(int at, ByteBuffer dst) throws IOException {
        ByteBuffer via = bounce.take();
        try {
            return counted(read(at, dst, via));
        } finally {
            bounce.give(via);
        }
    }

    /** As the other, into an array; makes no object where all of it is proven: the common hit. */
    int read(int at, byte[] dst, int offset, int count) throws IOException {
        int end = at + Math.min(count, header.validBytes - at);
        int page = at >>> Layout.PAGE_SHIFT;
        if (!get(verified, page) || provenEnd(page, end) < end) {
            return read(at, ByteBuffer.wrap(dst, offset, count));
        }
        ByteBuffer via = bounce.take();
        try {
            int done = 0;
            while (at + done < end) {
                int read = fetch(at + done, Math.min(Bounce.BYTES, end - at - done), via);
                if (read <= 0) {
                    break; // cut by hand: what was proven is gone
                }
                via.get(dst, offset + done, read);
                done += read;
            }
            return counted(done);
        } finally {
            bounce.give(via);
        }
    }

    private int counted(int read) {
        if (read > 0) {
            reads.increment();
        }
        return read;
    }

    /** Reads up to {@code count} bytes, which then lie open in {@code via}. */
    private int fetch(int at, int count, ByteBuffer via) throws IOException {
        long offset = (long) Layout.DATA_OFFSET + at;
        Bounce.place(via, offset, count);
        int start = via.position();
        int read = channel.read(via, offset);
        if (read > 0) {
            via.limit(start + read).position(start);
        }
        return read;
    }

    private int read(int at, ByteBuffer dst, ByteBuffer via) throws IOException {
        int end = at + Math.min(dst.remaining(), header.validBytes - at);
        int from = at;
        boolean refreshed = false;
        while (from < end) {
            int page = from >>> Layout.PAGE_SHIFT;
            int read;
            if (get(verified, page)) {
                read = readProven(from, provenEnd(page, end), dst, via);
            } else if (present(page)) {
                read = readUnproven(page, from, end, dst, via);
            } else if (from == at && !refreshed) {
                refreshed = true;
                refresh();
                continue;
            } else {
                break;
            }
            if (read == 0) {
                break;
            }
            from += read;
        }
        return Math.max(0, from - at);
    }

    private int provenEnd(int page, int end) {
        int next = page + 1;
        while (next << Layout.PAGE_SHIFT < end && get(verified, next)) {
            next++;
        }
        return Math.min(end, next << Layout.PAGE_SHIFT);
    }

    private int readProven(int from, int end, ByteBuffer dst, ByteBuffer via) throws IOException {
        int at = from;
        while (at < end) {
            long offset = (long) Layout.DATA_OFFSET + at;
            int count =
                    dst.isDirect() && !Bounce.unlucky(dst, offset)
                            ? readStraight(offset, end - at, dst)
                            : readVia(at, Math.min(Bounce.BYTES, end - at), dst, via);
            if (count <= 0) {
                break; // cut by hand: what was proven is gone
            }
            at += count;
        }
        return at - from;
    }

    private int readStraight(long offset, int count, ByteBuffer dst) throws IOException {
        int limit = dst.limit();
        dst.limit(dst.position() + count);
        try {
            return channel.read(dst, offset);
        } finally {
            dst.limit(limit);
        }
    }

    private int readVia(int at, int count, ByteBuffer dst, ByteBuffer via) throws IOException {
        int read = fetch(at, count, via);
        if (read > 0) {
            dst.put(via);
        }
        return read;
    }

    /** Reads one page whole, proves it, and hands out what is wanted of it. */
    private int readUnproven(int page, int from, int end, ByteBuffer dst, ByteBuffer via)
            throws IOException {
        int first = page << Layout.PAGE_SHIFT;
        long offset = (long) Layout.DATA_OFFSET + first;
        Bounce.place(via, offset, header.pageValidBytes(page));
        int start = via.position();
        while (via.hasRemaining()) {
            if (channel.read(via, offset + via.position() - start) <= 0) {
                via.limit(via.position()); // cut short: what is there can't pass
            }
        }
        int last = via.position();
        via.position(start);
        if (!prove(page, via)) {
            return 0;
        }
        int count = Math.min(end - from, last - start - (from - first));
        via.limit(start + from - first + count).position(start + from - first);
        dst.put(via);
        return count;
    }

    /** Compares with the CRC on disk; looks again: bit and CRC may have come meanwhile. */
    private boolean prove(int page, ByteBuffer data) throws IOException {
        int crc = Crc.ofPage(key.file, key.block, page, data);
        if (crc != header.pageCrc(page)) {
            refresh();
            if (crc != header.pageCrc(page)) {
                if (set(bad, page)) {
                    events.badPage(key.file, key.block, page, header.generation);
                }
                return false;
            }
        }
        set(verified, page);
        return true;
    }

    private static boolean get(AtomicLongArray bits, int page) {
        return (bits.get(page >>> 6) >>> page & 1) != 0;
    }

    /** True where this call set it. */
    private static boolean set(AtomicLongArray bits, int page) {
        long bit = 1L << page;
        return (bits.getAndAccumulate(page >>> 6, bit, (a, b) -> a | b) & bit) == 0;
    }
}
