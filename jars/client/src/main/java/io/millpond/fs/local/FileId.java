package io.millpond.fs.local;

import java.nio.ByteBuffer;

/** The 16 bytes that name one version of one file. */
public final class FileId {
    public static final int BYTES = 16;

    private final long high;
    private final long low;

    private FileId(long high, long low) {
        this.high = high;
        this.low = low;
    }

    /** The id in 16 bytes from {@code at}. */
    public static FileId of(byte[] bytes, int at) {
        ByteBuffer view = ByteBuffer.wrap(bytes, at, BYTES);
        return new FileId(view.getLong(), view.getLong());
    }

    /** The id in exactly 16 bytes; IllegalArgumentException for any other number. */
    public static FileId of(byte[] bytes) {
        if (bytes.length != BYTES) {
            throw new IllegalArgumentException("a file id has 16 bytes, not " + bytes.length);
        }
        return of(bytes, 0);
    }

    public byte[] bytes() {
        byte[] bytes = new byte[BYTES];
        putInto(bytes, 0);
        return bytes;
    }

    void putInto(byte[] target, int at) {
        ByteBuffer.wrap(target, at, BYTES).putLong(high).putLong(low);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof FileId
                && ((FileId) other).high == high
                && ((FileId) other).low == low;
    }

    @Override
    public int hashCode() {
        return Long.hashCode(high ^ low);
    }

    /** 32 lower-case hex digits, as the names on disk have them. */
    @Override
    public String toString() {
        return Names.hex(bytes());
    }
}
