package io.millpond.fs.local;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.UUID;

/** The 16 bytes that name one boot of the machine: monotonic times compare only within one. */
public final class BootId {
    private static final Path KERNEL = Paths.get("/proc/sys/kernel/random/boot_id");

    private final long high;
    private final long low;

    private BootId(long high, long low) {
        this.high = high;
        this.low = low;
    }

    static BootId of(byte[] bytes, int at) {
        ByteBuffer view = ByteBuffer.wrap(bytes, at, 16);
        return new BootId(view.getLong(), view.getLong());
    }

    /** This boot's id, from the kernel. */
    static BootId current() throws IOException {
        String text = new String(Files.readAllBytes(KERNEL), StandardCharsets.US_ASCII).trim();
        UUID id = UUID.fromString(text);
        return new BootId(id.getMostSignificantBits(), id.getLeastSignificantBits());
    }

    public byte[] bytes() {
        return ByteBuffer.allocate(16).putLong(high).putLong(low).array();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof BootId
                && ((BootId) other).high == high
                && ((BootId) other).low == low;
    }

    @Override
    public int hashCode() {
        return Long.hashCode(high ^ low);
    }

    @Override
    public String toString() {
        return new UUID(high, low).toString();
    }
}
