package io.millpond.fs.local;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Writes one block file into staging: pages as they come, the header last, so that a block which
 * was not finished has none. Not thread-safe; an interrupt closes it, and what it wrote is lost.
 */
public final class BlockWriter implements Closeable {
    private final FileChannel channel;
    private final FileId id;
    private final int block;
    private final ByteBuffer head =
            ByteBuffer.allocate(Layout.HEADER_READ_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private int validBytes;
    private int pages;

    /** Opens a staging file that the sidecar made. */
    public BlockWriter(Path staged, FileId id, int block) throws IOException {
        this.channel =
                FileChannel.open(staged, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
        this.id = id;
        this.block = block;
    }

    /** How much of the block is still free. */
    public int free() {
        return Layout.BLOCK_BYTES - validBytes;
    }

    /** Appends whole pages; only the last call for the block may bring a part of one. */
    public void write(byte[] data, int from, int length) throws IOException {
        for (int at = 0; at < length; at += Layout.PAGE_BYTES) {
            int size = Math.min(Layout.PAGE_BYTES, length - at);
            ByteBuffer page = ByteBuffer.wrap(data, from + at, size);
            head.putInt(BlockHeader.PAGE_CRCS_AT + 4 * pages, Crc.ofPage(id, block, pages, page));
            int bits = BlockHeader.MAP_AT + (pages >>> 3);
            head.put(bits, (byte) (head.get(bits) | 1 << (pages & 7)));
            pages++;
        }
        put(ByteBuffer.wrap(data, from, length), Layout.DATA_OFFSET + (long) validBytes);
        validBytes += length;
    }

    /** Writes the header, and closes the file: it is complete. */
    public void finish() throws IOException {
        BlockHeader.pack(head, id, block, validBytes, ThreadLocalRandom.current().nextLong());
        head.clear();
        put(head, 0);
        channel.close();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    private void put(ByteBuffer data, long at) throws IOException {
        long to = at;
        while (data.hasRemaining()) {
            to += channel.write(data, to);
        }
    }
}
