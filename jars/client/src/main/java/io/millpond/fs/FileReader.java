package io.millpond.fs;

import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Fallback;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.LongAdder;

/**
 * Reads one version of one file for one stream. A hit is served here, from memory or from local
 * blocks; a miss goes to {@link Misses}. Thread-safe but for {@code readOn}, which follows the
 * stream's position.
 */
final class FileReader implements Closeable {
    private final Client client;
    private final FileVersion file;
    private final FileBlocks blocks;
    private final Misses misses;
    private final LongAdder hitBytes;
    private final LongAdder hitReads;
    private final LongAdder filledBytes;
    private volatile ByteBuffer content;
    private volatile boolean closed;

    FileReader(Client client, FileVersion file, ReadPolicy policy, long splitEnd) {
        this.client = client;
        this.file = file;
        this.content = file.content();
        this.blocks = file.direct() != null || file.remote() ? null : client.blocks(file);
        this.misses = new Misses(client, file, blocks, policy, splitEnd, this::loaded);
        this.hitBytes = client.counters().adder(Counters.Name.HIT_BYTES);
        this.hitReads = client.counters().adder(Counters.Name.HIT_READS);
        this.filledBytes = client.counters().adder(Counters.Name.FILLED_BYTES);
    }

    FileVersion file() {
        return file;
    }

    Client client() {
        return client;
    }

    /** Reads where the stream stands: at least one byte. Not past the end of the file. */
    int readOn(long position, byte[] dst, int offset, int count) throws IOException {
        int read = local(position, dst, offset, count);
        if (read > 0) {
            misses.advanced(position, read);
            return read;
        }
        ByteBuffer target = ByteBuffer.wrap(dst, offset, count);
        return misses.readOn(position, target);
    }

    /** As above, into a buffer that is advanced. */
    int readOn(long position, ByteBuffer dst) throws IOException {
        int read = local(position, dst);
        if (read > 0) {
            misses.advanced(position, read);
            return read;
        }
        return misses.readOn(position, dst);
    }

    /** Reads anywhere, by any thread: at least one byte. Not past the end of the file. */
    int readAt(long position, byte[] dst, int offset, int count) throws IOException {
        int read = local(position, dst, offset, count);
        return read > 0 ? read : misses.readAt(position, ByteBuffer.wrap(dst, offset, count));
    }

    /** As above, into a buffer that is advanced. */
    int readAt(long position, ByteBuffer dst) throws IOException {
        int read = local(position, dst);
        return read > 0 ? read : misses.readAt(position, dst);
    }

    /** Reads from memory or local blocks alone; 0 where the first page is absent. */
    int local(long position, ByteBuffer dst) throws IOException {
        checkOpen();
        ByteBuffer whole = content;
        int read = 0;
        if (whole != null) {
            read = (int) Math.min(dst.remaining(), whole.limit() - position);
            ByteBuffer part = whole.duplicate();
            part.position((int) position).limit((int) position + read);
            dst.put(part);
        } else if (blocks != null) {
            try {
                read = blocks.read(position, dst);
            } catch (InterruptedIOException e) {
                throw e;
            } catch (IOException e) {
                client.fallback(Fallback.LOCAL_IO, e.toString());
            }
        }
        return counted(position, read);
    }

    /** Reads what a Fill has just made present; 0 where it is absent all the same. */
    int filled(long position, ByteBuffer dst) throws IOException {
        checkOpen();
        return blocks == null ? 0 : misses.readFilled(position, dst);
    }

    private int local(long position, byte[] dst, int offset, int count) throws IOException {
        checkOpen();
        ByteBuffer whole = content;
        int read = 0;
        if (whole != null) {
            read = (int) Math.min(count, whole.limit() - position);
            ByteBuffer part = whole.duplicate();
            part.position((int) position);
            part.get(dst, offset, read);
        } else if (blocks != null) {
            try {
                read = blocks.read(position, dst, offset, count);
            } catch (InterruptedIOException e) {
                throw e;
            } catch (IOException e) {
                client.fallback(Fallback.LOCAL_IO, e.toString());
            }
        }
        return counted(position, read);
    }

    Misses misses() {
        return misses;
    }

    private int counted(long position, int read) {
        if (read > 0 && misses.brought(position)) {
            filledBytes.add(read);
        } else if (read > 0) {
            hitBytes.add(read);
            hitReads.increment();
        }
        return read;
    }

    private void loaded(ByteBuffer whole) {
        content = whole;
    }

    private void checkOpen() throws IOException {
        if (closed) {
            throw new IOException("Stream is closed!");
        }
    }

    /** Gives descriptors and the direct stream back; reads go on and open them again. */
    void unbuffer() {
        if (blocks != null) {
            blocks.release();
        }
        misses.unbuffer();
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            misses.close();
            if (blocks != null) {
                blocks.release();
            }
        }
    }
}
