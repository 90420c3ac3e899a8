package io.millpond.fs;

/**
 * Decides how many bytes a stream asks for when a page is absent: what the read needs at least, and
 * four times more at each further miss of a sequential run, up to a limit. Pure; one per stream.
 */
final class Window {
    static final int PAGE_BYTES = 64 << 10;

    /** Files up to this are fetched whole. */
    static final long SMALL_FILE_BYTES = 1L << 20;

    private static final long FIRST_BYTES = 1L << 20;
    private static final int GROWTH = 4;

    /** A random stream is taken for sequential after a run this long. */
    private static final long RANDOM_RUN_BYTES = 4L << 20;

    private static final long ADAPTIVE_RUN_BYTES = 256L << 10;

    private final ReadPolicy policy;
    private final long length;
    private final long splitEnd;
    private final long maxBytes;
    private long runStart;
    private long runEnd;
    private long lastBytes;

    /** {@code splitEnd}: the reader stops near there; the file's length if unknown. */
    Window(ReadPolicy policy, long length, long splitEnd, long maxBytes) {
        this.policy = policy;
        this.length = length;
        this.splitEnd = splitEnd > 0 && splitEnd < length ? splitEnd : length;
        this.maxBytes = maxBytes;
    }

    /** The stream is about to read at {@code position}; a jump ends the run. */
    void moveTo(long position) {
        if (position != runEnd) {
            runStart = position;
            lastBytes = 0;
        }
        runEnd = position;
    }

    /** The stream has read up to {@code position} without a jump. */
    void advancedTo(long position) {
        runEnd = position;
    }

    /**
     * Where to stop fetching for a read of {@code need} bytes at {@code position} that met an
     * absent page: the end of a page, or of the file. Call {@link #moveTo} first.
     */
    long fetchEnd(long position, long need) {
        long wanted = position + need;
        if (length <= SMALL_FILE_BYTES) {
            return length;
        }
        lastBytes = growth();
        long ahead = Math.min(position + lastBytes, Math.max(splitEnd, wanted));
        return pageEnd(Math.max(wanted, ahead));
    }

    /** Where fetching for a read of {@code need} bytes starts: the beginning of its page. */
    long fetchStart(long position) {
        return length <= SMALL_FILE_BYTES ? 0 : position - position % PAGE_BYTES;
    }

    /** Whether the run is long enough that the next range should be asked for before it is read. */
    boolean streaming() {
        return lastBytes > 0;
    }

    /** The end of the next range from {@code start} on, for a stream that is {@link #streaming}. */
    long aheadEnd(long start) {
        lastBytes = growth();
        return pageEnd(Math.min(start + lastBytes, Math.max(splitEnd, start)));
    }

    /** Bytes after {@code end} worth fetching though nobody waits for them yet. */
    long hint(long end) {
        return lastBytes < maxBytes ? 0 : Math.max(0, Math.min(lastBytes, limit() - end));
    }

    /** Nothing is fetched ahead from here on. */
    long limit() {
        return splitEnd;
    }

    private long growth() {
        if (policy == ReadPolicy.SEQUENTIAL || policy == ReadPolicy.WHOLE_FILE) {
            return maxBytes;
        }
        if (lastBytes > 0) {
            return Math.min(maxBytes, lastBytes * GROWTH);
        }
        long run = runEnd - runStart;
        long needed = policy == ReadPolicy.RANDOM ? RANDOM_RUN_BYTES : ADAPTIVE_RUN_BYTES;
        boolean fromStart = policy == ReadPolicy.ADAPTIVE && runStart == 0;
        return fromStart || run >= needed ? Math.min(maxBytes, Math.max(FIRST_BYTES, run)) : 0;
    }

    private long pageEnd(long position) {
        return Math.min(length, (position + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
    }
}
