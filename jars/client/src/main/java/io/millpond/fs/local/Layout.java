package io.millpond.fs.local;

/** The units of the cache, in bytes, and where things stand in a block file. */
public final class Layout {
    /** Unit of fill and of checksum. */
    public static final int PAGE_BYTES = 64 << 10;

    /** One file on disk. */
    public static final int BLOCK_BYTES = 16 << 20;

    /** Unit of placement: the block size that engines see. */
    public static final long SECTION_BYTES = 128L << 20;

    /** Files up to this live whole inside their meta. */
    public static final int INLINE_FILE_BYTES = 64 << 10;

    public static final int PAGES_PER_BLOCK = BLOCK_BYTES / PAGE_BYTES;

    static final int PAGE_SHIFT = 16;
    static final int DATA_OFFSET = 64 << 10;
    static final int HEADER_READ_BYTES = 2048;
    static final int EPOCH_SLOTS = 4096;
    static final int EPOCHS_HEADER_BYTES = 4096;
    static final int MAX_RECORD_BYTES = 4 << 20;

    private Layout() {}

    /** The block that holds byte {@code position} of a file. */
    public static int blockOf(long position) {
        return (int) (position / BLOCK_BYTES);
    }

    /** Bytes of a file of {@code length} that fall into {@code block}: 0 behind its end. */
    public static int blockValidBytes(long length, int block) {
        return (int) Math.max(0, Math.min(BLOCK_BYTES, length - (long) block * BLOCK_BYTES));
    }
}
