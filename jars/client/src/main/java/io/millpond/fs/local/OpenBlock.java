package io.millpond.fs.local;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * One open inode of a block, shared by all readers of this process. Serves a page only after its
 * CRC was proven once; the proof holds for the inode, since pages in it are never written twice.
 */
final class OpenBlock {
    /** Larger reads through a heap array would grow the JDK's per-thread buffer, and run no faster. */
    private static final int CHUNK_BYTES = 256 << 10;

    private final BlockPool.Key key;
    private final FileChannel channel;
    private final LocalEvents events;
    private final AtomicLongArray verified = new AtomicLongArray(Layout.PAGES_PER_BLOCK / 64);
    private final AtomicLongArray bad = new AtomicLongArray(Layout.PAGES_PER_BLOCK / 64);
    private final AtomicInteger references = new AtomicInteger(1);
    private volatile BlockHeader header;
    private volatile long usedNs;
    private final long openedNs;

    OpenBlock(
            BlockPool.Key key,
            FileChannel channel,
            BlockHeader header,
            LocalEvents events,
            long nowNs) {
        this.key = key;
        this.channel = channel;
        this.header = header;
        this.events = events;
        this.openedNs = nowNs;
        this.usedNs = nowNs;
    }

    BlockPool.Key key() {
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
        int end = at + Math.min(dst.remaining(), header.validBytes - at);
        int from = at;
        boolean refreshed = false;
        while (from < end) {
            int page = from >>> Layout.PAGE_SHIFT;
            int read;
            if (get(verified, page)) {
                read = readProven(from, provenEnd(page, end), dst);
            } else if (present(page)) {
                read = readUnproven(page, from, end, dst);
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

    private int readProven(int from, int end, ByteBuffer dst) throws IOException {
        int at = from;
        int limit = dst.limit();
        try {
            while (at < end) {
                dst.limit(dst.position() + Math.min(CHUNK_BYTES, end - at));
                int count = channel.read(dst, (long) Layout.DATA_OFFSET + at);
                if (count <= 0) {
                    break; // cut by hand: what was proven is gone
                }
                at += count;
            }
        } finally {
            dst.limit(limit);
        }
        return at - from;
    }

    /** Reads one page and proves it: in place where it is wanted whole, else beside. */
    private int readUnproven(int page, int from, int end, ByteBuffer dst) throws IOException {
        int start = page << Layout.PAGE_SHIFT;
        int size = header.pageValidBytes(page);
        int count = Math.min(end, start + size) - from;
        if (count == size) {
            ByteBuffer place = dst.duplicate();
            place.limit(place.position() + size);
            if (!readWhole(start, place) || !prove(page, place)) {
                return 0;
            }
            dst.position(dst.position() + size);
            return size;
        }
        ByteBuffer beside = ByteBuffer.allocate(size);
        if (!readWhole(start, beside) || !prove(page, beside)) {
            return 0;
        }
        beside.position(from - start).limit(from - start + count);
        dst.put(beside);
        return count;
    }

    /** Fills {@code place}, and leaves its position where it began. */
    private boolean readWhole(int start, ByteBuffer place) throws IOException {
        int mark = place.position();
        while (place.hasRemaining()) {
            long at = (long) Layout.DATA_OFFSET + start + place.position() - mark;
            if (channel.read(place, at) <= 0) {
                break;
            }
        }
        boolean whole = !place.hasRemaining();
        place.position(mark);
        return whole;
    }

    /** Compares with the CRC on disk, looking again: bit and CRC may have come between two reads. */
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
