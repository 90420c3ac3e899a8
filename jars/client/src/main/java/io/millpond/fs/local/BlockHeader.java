package io.millpond.fs.local;

import io.millpond.fs.MillpondException;
import io.millpond.fs.UnknownFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The first 2048 bytes of a block file as one reading found them: constants, map, page CRCs. */
final class BlockHeader {
    private static final byte[] MAGIC = "MPONDBLK".getBytes(StandardCharsets.US_ASCII);
    private static final int CRC_AT = 56;
    static final int MAP_AT = 64;
    static final int PAGE_CRCS_AT = 1024;

    private final ByteBuffer view;
    final FileId fileId;
    final int block;
    final int validBytes;
    final int pages;
    final long generation;

    private BlockHeader(ByteBuffer view) {
        this.view = view;
        fileId = FileId.of(view.array(), 24);
        block = view.getInt(40);
        validBytes = view.getInt(44);
        pages = (validBytes + Layout.PAGE_BYTES - 1) >>> Layout.PAGE_SHIFT;
        generation = view.getLong(48);
    }

    /** Reads it by position; Corrupt or UnknownFormat where it is no good header. */
    static BlockHeader read(FileChannel channel) throws IOException {
        ByteBuffer data = ByteBuffer.allocate(Layout.HEADER_READ_BYTES);
        while (data.hasRemaining() && channel.read(data, data.position()) > 0) {
            // the rest
        }
        return parse(Arrays.copyOf(data.array(), data.position()));
    }

    /** Throws UnknownFormat for another format version, Corrupt for anything else that is wrong. */
    static BlockHeader parse(byte[] data) throws MillpondException {
        ByteBuffer view = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        if (data.length < Layout.HEADER_READ_BYTES || !Arrays.equals(data, 0, 8, MAGIC, 0, 8)) {
            throw Record.corrupt("not a block file", "short or wrong magic");
        }
        if (view.getInt(8) != Record.FORMAT) {
            throw new UnknownFormatException("block file of another format version", "", "");
        }
        if (view.getInt(CRC_AT) != Crc.of(data, 0, CRC_AT)) {
            throw Record.corrupt("block header fails its checksum", "");
        }
        if (view.getInt(12) != Layout.PAGE_BYTES
                || view.getInt(16) != Layout.BLOCK_BYTES
                || view.getInt(20) != Layout.DATA_OFFSET) {
            throw new UnknownFormatException("block file with other unit sizes", "", "");
        }
        int valid = view.getInt(44);
        if (valid <= 0 || valid > Layout.BLOCK_BYTES) {
            throw Record.corrupt("block header is out of range", "valid bytes " + valid);
        }
        return new BlockHeader(view);
    }

    /** Writes the constants of a new block; map and page CRCs are the caller's. */
    static void pack(ByteBuffer view, FileId id, int block, int validBytes, long generation) {
        byte[] fileId = id.bytes();
        for (int i = 0; i < MAGIC.length; i++) {
            view.put(i, MAGIC[i]);
        }
        view.putInt(8, Record.FORMAT);
        view.putInt(12, Layout.PAGE_BYTES);
        view.putInt(16, Layout.BLOCK_BYTES);
        view.putInt(20, Layout.DATA_OFFSET);
        for (int i = 0; i < fileId.length; i++) {
            view.put(24 + i, fileId[i]);
        }
        view.putInt(40, block);
        view.putInt(44, validBytes);
        view.putLong(48, generation);
        view.putInt(CRC_AT, Crc.of(view.array(), 0, CRC_AT));
    }

    boolean present(int page) {
        return page < pages && (view.get(MAP_AT + (page >>> 3)) >>> (page & 7) & 1) != 0;
    }

    int pageCrc(int page) {
        return view.getInt(PAGE_CRCS_AT + 4 * page);
    }

    int pageValidBytes(int page) {
        return Math.min(Layout.PAGE_BYTES, validBytes - (page << Layout.PAGE_SHIFT));
    }
}
