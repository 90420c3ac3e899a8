package io.millpond.fs.local;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/** The CRC32C of records and pages. */
final class Crc {
    private static final int SEED_BYTES = 24;

    private Crc() {}

    static int of(byte[] data, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(data, from, length);
        return (int) crc.getValue();
    }

    /**
     * The CRC of one page's valid bytes, seeded with file id, block and page: a hole, a page of
     * another file or of another place does not pass. {@code data} ends where it began.
     */
    static int ofPage(FileId id, int block, int page, ByteBuffer data) {
        byte[] seed = new byte[SEED_BYTES];
        id.putInto(seed, 0);
        ByteBuffer.wrap(seed).order(ByteOrder.LITTLE_ENDIAN).putInt(16, block).putInt(20, page);
        CRC32C crc = new CRC32C();
        crc.update(seed, 0, SEED_BYTES);
        if (data.hasArray()) {
            crc.update(data.array(), data.arrayOffset() + data.position(), data.remaining());
        } else {
            crc.update(data.duplicate());
        }
        return (int) crc.getValue();
    }
}
